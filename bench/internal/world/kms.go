package world

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/kms"
)

// Latency is how long KMS takes: log-normal about a median, as answers over a
// network are, and held within bounds.
type Latency struct {
	Min    time.Duration `json:"min"`
	Median time.Duration `json:"median"`
	Max    time.Duration `json:"max"` // about one in a thousand reaches it
}

// Draw draws one.
func (l Latency) Draw() time.Duration {
	if l.Median <= 0 {
		return 0
	}
	const z999 = 3.09 // standard deviations to the 99.9th percentile
	sigma := math.Log(float64(l.Max)/float64(l.Median)) / z999
	d := time.Duration(float64(l.Median) * math.Exp(sigma*mrand.NormFloat64())) //nolint:gosec // a model
	return min(max(d, l.Min), l.Max)
}

// Outage is a time without KMS.
type Outage struct {
	Start time.Duration `json:"start"` // since the beginning of the run
	For   time.Duration `json:"for"`
	Hang  bool          `json:"hang"` // no answer at all; otherwise an error at once
}

// KMS is a [kms.Wrapper] that counts its calls and takes its time. It is safe for
// concurrent use.
type KMS struct {
	Latency Latency
	Outages []Outage
	begin   time.Time
	calls   atomic.Uint64
	failed  atomic.Uint64
}

// NewKMS returns a KMS whose outages count from now.
func NewKMS(l Latency, outages []Outage) *KMS {
	return &KMS{Latency: l, Outages: outages, begin: time.Now()}
}

// Calls returns the calls so far, those that failed included: they are billed too.
func (k *KMS) Calls() uint64 { return k.calls.Load() }

// Failed returns how many of the calls failed.
func (k *KMS) Failed() uint64 { return k.failed.Load() }

var errDown = fmt.Errorf("%w: outage", kms.ErrUnavailable)

func (k *KMS) enter(ctx context.Context) error {
	k.calls.Add(1)
	at := time.Since(k.begin)
	for _, o := range k.Outages {
		if at < o.Start || at >= o.Start+o.For {
			continue
		}
		k.failed.Add(1)
		if o.Hang {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", kms.ErrTimeout, ctx.Err())
		}
		return errDown
	}
	if d := k.Latency.Draw(); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// wrap makes a wrapped key out of nothing: the plaintext is the hash of the blob.
func wrap() kms.Wrapped {
	blob := make([]byte, 16)
	_, _ = rand.Read(blob) // never fails
	return kms.Wrapped{KeyID: "bench", Blob: blob}
}

func unwrap(w kms.Wrapped) []byte {
	plain := sha256.Sum256(w.Blob)
	return plain[:]
}

// GenerateDataKey implements [kms.Wrapper].
func (k *KMS) GenerateDataKey(ctx context.Context, _ kms.EncryptionContext) (kms.DataKey, error) {
	if err := k.enter(ctx); err != nil {
		return kms.DataKey{}, err
	}
	w := wrap()
	return kms.DataKey{Plaintext: unwrap(w), Wrapped: w}, nil
}

// Unwrap implements [kms.Wrapper].
func (k *KMS) Unwrap(ctx context.Context, w kms.Wrapped, _ kms.EncryptionContext) ([]byte, error) {
	if err := k.enter(ctx); err != nil {
		return nil, err
	}
	return unwrap(w), nil
}

// Rewrap implements [kms.Wrapper]; nothing here asks for it.
func (*KMS) Rewrap(context.Context, kms.Wrapped, kms.EncryptionContext) (kms.Wrapped, error) {
	return kms.Wrapped{}, errors.New("the bench program's KMS does not rewrap")
}
