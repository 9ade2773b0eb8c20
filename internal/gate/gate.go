// Package gate limits calls to a key management service (KMS).
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/kms"
	"github.com/sony/gobreaker/v2"
)

// A Gate bounds the number and the duration of the calls to KMS, retries those
// that find it unavailable, and stops calling while its circuit breaker is open.
// It is safe for concurrent use.
type Gate struct {
	kms     kms.Wrapper
	slots   chan struct{}
	timeout time.Duration
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	observe kms.Observer
	log     *audit.Log
	paused  atomic.Bool // a KMSPaused event was emitted and no KMSResumed since

	mu    sync.Mutex // guards stats
	stats Stats
}

// Config configures a Gate.
type Config struct {
	Timeout  time.Duration // of one try. If zero or less, 5 seconds.
	Parallel int           // tries at once. If zero or less, 16.
	Observe  kms.Observer
	Log      *audit.Log
}

// The defaults of a Config.
const (
	defaultTimeout  = 5 * time.Second
	defaultParallel = 16
)

// Stats are counts since the Gate was made, but for Open.
type Stats struct {
	Calls   uint64            // retries included
	Errors  map[string]uint64 // calls that failed, by kms.ErrorClass; nil when there are none
	Elapsed time.Duration     // spent in calls, all together
	Open    bool              // now: the circuit breaker is open
}

// How a Gate deals with a KMS that is unavailable.
const (
	Tries        = 3 // at one call
	RetryMin     = 100 * time.Millisecond
	retryMax     = 2 * time.Second
	BreakerTrips = 6               // failures in a row, so two lookups that gave up
	BreakerPause = 3 * time.Second // then one call probes
)

// New returns a Gate to w.
func New(w kms.Wrapper, cfg Config) *Gate {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = defaultParallel
	}
	return &Gate{
		observe: cfg.Observe,
		log:     cfg.Log,
		kms:     w,
		slots:   make(chan struct{}, cfg.Parallel),
		timeout: cfg.Timeout,
		breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name:        "kms",
			Timeout:     BreakerPause,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= BreakerTrips },
			// A refusal is an answer: KMS works.
			IsSuccessful: func(err error) bool { return !errors.Is(err, kms.ErrUnavailable) },
			IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		}),
	}
}

// Generate makes a data key for the key that call names.
func (g *Gate) Generate(ctx context.Context, call kms.Call) (kms.DataKey, error) {
	call.Op = kms.OpGenerate
	dk, err := through(ctx, g, call, func(ctx context.Context) (kms.DataKey, error) {
		return g.kms.GenerateDataKey(ctx, call.EncryptionContext())
	})
	if err == nil && len(dk.Plaintext) != kms.DataKeySize {
		dk.Wipe()
		return kms.DataKey{}, fmt.Errorf("%w: the new key has not %d bytes", kms.ErrUnavailable, kms.DataKeySize)
	}
	return dk, err
}

// Unwrap returns the plaintext of w, the wrapped form of the key that call names.
func (g *Gate) Unwrap(ctx context.Context, call kms.Call, w kms.Wrapped) ([]byte, error) {
	call.Op = kms.OpUnwrap
	plain, err := through(ctx, g, call, func(ctx context.Context) ([]byte, error) {
		return g.kms.Unwrap(ctx, w, call.EncryptionContext())
	})
	if err == nil && len(plain) != kms.DataKeySize {
		clear(plain)
		return nil, fmt.Errorf("%w: not a key of %d bytes", kms.ErrInvalidWrapped, kms.DataKeySize)
	}
	return plain, err
}

// Rewrap wraps the key that call names, whose wrapped form is w, under the current KEK, for the
// keyring of the given id.
func (g *Gate) Rewrap(ctx context.Context, call kms.Call, w kms.Wrapped, keyring string) (kms.Wrapped, error) {
	call.Op = kms.OpRewrap
	next, err := through(ctx, g, call, func(ctx context.Context) (kms.Wrapped, error) {
		to := call
		to.Keyring = keyring
		return g.kms.Rewrap(ctx, w, call.EncryptionContext(), to.EncryptionContext())
	})
	if err == nil && (next.KeyID == "" || len(next.Blob) == 0) {
		return kms.Wrapped{}, fmt.Errorf("%w: the answer to rewrap is empty", kms.ErrUnavailable)
	}
	return next, err
}

// Trusts reports whether the key management service was told that a KEK is the program's own.
func (g *Gate) Trusts(kek string) bool {
	t, ok := g.kms.(kms.Truster)
	return ok && t.Trusts(kek)
}

// Stats returns the counts.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Errors, s.Open = maps.Clone(s.Errors), g.open()
	return s
}

func (g *Gate) open() bool { return g.breaker.State() == gobreaker.StateOpen }

// through calls KMS by f. An error that is not unavailable is final.
func through[T any](ctx context.Context, g *Gate, call kms.Call, f func(context.Context) (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = RetryMin, retryMax
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := once(ctx, g, call, f)
		if err != nil && (!errors.Is(err, kms.ErrUnavailable) || errors.Is(err, errBreaker)) {
			return v, backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(Tries))
	return v, classed(err)
}

// errBreaker is unavailable, but there is no use in trying again soon.
var errBreaker = fmt.Errorf("%w: several calls in a row failed, pausing", kms.ErrUnavailable)

func once[T any](ctx context.Context, g *Gate, call kms.Call, f func(context.Context) (T, error)) (v T, err error) {
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return v, classed(ctx.Err())
	}
	allowed, err := g.breaker.Allow()
	if err != nil {
		return v, errBreaker
	}
	g.count()
	begun := time.Now()
	bounded, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	bounded, observed := g.observe.Begin(bounded, call)
	defer func() {
		// A Wrapper is the program's, and its panic no reason to end the process.
		if caught := audit.Caught(recover()); caught != nil {
			err = fmt.Errorf("%w: %w", kms.ErrUnavailable, caught)
		}
		allowed(err)
		g.tally(time.Since(begun), err)
		observed(kms.Answer{KEK: kekOf(call, v), Err: err})
		g.report(ctx, call, err)
	}()
	if v, err = f(bounded); err != nil {
		err = classed(err)
	}
	return v, err
}

func (g *Gate) count() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Calls++
}

func (g *Gate) tally(took time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Elapsed += took
	if err == nil {
		return
	}
	if g.stats.Errors == nil {
		g.stats.Errors = map[string]uint64{}
	}
	g.stats.Errors[kms.ErrorClass(err)]++
}

// report logs what an answer means beyond the one call: a refusal, and that calls
// pause or go on. The breaker itself would call back under its lock.
func (g *Gate) report(ctx context.Context, call kms.Call, err error) {
	if errors.Is(err, kms.ErrDenied) || errors.Is(err, kms.ErrInvalidWrapped) {
		attrs := []slog.Attr{slog.String(audit.Op, call.Op)}
		attrs = append(attrs, audit.Key(call.KeyID, call.Purpose, call.Scope, call.Epoch, call.KEK)...)
		g.log.EmitSparse(ctx, audit.KMSRefused, []string{call.Op, call.Purpose, kms.ErrorClass(err)},
			append(attrs, audit.Failure(err)...)...)
	}
	switch open := g.open(); {
	case open && g.paused.CompareAndSwap(false, true):
		g.log.Emit(ctx, audit.KMSPaused)
	case !open && err == nil && g.paused.CompareAndSwap(true, false):
		g.log.Emit(ctx, audit.KMSResumed)
	}
}

// classed puts every failure but a cancellation in a class. A deadline, whoever
// noticed it, is a time-out. What a Wrapper failed to classify counts as
// unavailable: the hard limit bounds what that can do, while taking it for a
// refusal would stop everything at one stray error.
func classed(err error) error {
	for _, class := range []error{nil, context.Canceled, kms.ErrUnavailable, kms.ErrDenied, kms.ErrInvalidWrapped} {
		if errors.Is(err, class) {
			return err
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", kms.ErrTimeout, err)
	}
	return fmt.Errorf("%w: in none of the classes of package kms: %w", kms.ErrUnavailable, err)
}

// kekOf returns the KEK that an answer names, or else the call's.
func kekOf(call kms.Call, answer any) string {
	kek := ""
	switch v := answer.(type) {
	case kms.DataKey:
		kek = v.Wrapped.KeyID
	case kms.Wrapped:
		kek = v.KeyID
	}
	if kek == "" {
		return call.KEK
	}
	return kek
}
