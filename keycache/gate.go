package keycache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/kms"
	"github.com/sony/gobreaker/v2"
)

// gate is the way to KMS: so many calls at once, each for so long, tried again
// when KMS is unavailable, and none for a while when it stays so.
type gate struct {
	kms     kms.Wrapper
	slots   chan struct{}
	timeout time.Duration
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	count   *counters
	observe KMSObserver
	log     *audit.Log
	paused  atomic.Bool // it was said that calls pause
}

const (
	kmsTries      = 3
	kmsRetryMin   = 100 * time.Millisecond
	kmsRetryMax   = 2 * time.Second
	breakerTrips  = 6               // failures in a row, so two lookups that gave up
	breakerPauses = 3 * time.Second // then one call probes
)

func newGate(w kms.Wrapper, cfg Config, count *counters, log *audit.Log) *gate {
	return &gate{
		observe: cfg.ObserveKMS,
		log:     log,
		kms:     w,
		slots:   make(chan struct{}, cfg.KMSParallel),
		timeout: cfg.KMSTimeout,
		count:   count,
		breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name:        "kms",
			Timeout:     breakerPauses,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= breakerTrips },
			// A refusal is an answer: KMS works.
			IsSuccessful: func(err error) bool { return !errors.Is(err, kms.ErrUnavailable) },
			IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		}),
	}
}

func (g *gate) open() bool { return g.breaker.State() == gobreaker.StateOpen }

// throughGate calls KMS by f. What it returns with an error that is not
// unavailable is final.
func throughGate[T any](ctx context.Context, g *gate, call KMSCall, f func(context.Context) (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = kmsRetryMin, kmsRetryMax
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := once(ctx, g, call, f)
		if err != nil && (!errors.Is(err, kms.ErrUnavailable) || errors.Is(err, errBreaker)) {
			return v, backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(kmsTries))
	return v, noAnswer(err)
}

// errBreaker is unavailable, but there is no use in trying again soon.
var errBreaker = fmt.Errorf("%w: several calls in a row failed, pausing", kms.ErrUnavailable)

func once[T any](ctx context.Context, g *gate, call KMSCall, f func(context.Context) (T, error)) (v T, err error) {
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return v, noAnswer(ctx.Err())
	}
	allowed, err := g.breaker.Allow()
	if err != nil {
		return v, errBreaker
	}
	g.count.kmsCalls.Add(1)
	begun := time.Now()
	bounded, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	bounded, observed := g.observe.begin(bounded, call)
	// Deferred, so that a Wrapper that panics leaves nothing half done.
	defer func() {
		allowed(err)
		g.count.kmsAnswer(time.Since(begun), err)
		observed(KMSAnswer{KEK: kekOf(call, v), Err: err})
		g.report(ctx, call, err)
	}()
	if v, err = f(bounded); err != nil {
		err = noAnswer(err)
	}
	return v, err
}

// report logs what an answer means beyond the one call: a refusal, and that calls pause
// or go on. It is not the breaker that tells, because it would do so under its lock.
func (g *gate) report(ctx context.Context, call KMSCall, err error) {
	if errors.Is(err, kms.ErrDenied) || errors.Is(err, kms.ErrInvalidWrapped) {
		g.log.EmitSparse(ctx, audit.KMSRefused, []string{call.Op, string(call.Purpose), kms.ErrorClass(err)},
			append(append([]slog.Attr{slog.String(audit.Op, call.Op)}, keyFacts(call.record())...), audit.Failure(err)...)...)
	}
	switch open := g.open(); {
	case open && g.paused.CompareAndSwap(false, true):
		g.log.Emit(ctx, audit.KMSPaused)
	case !open && err == nil && g.paused.CompareAndSwap(true, false):
		g.log.Emit(ctx, audit.KMSResumed)
	}
}

// noAnswer sees to it that every failure but a cancellation is in a class. A
// deadline, whoever noticed it, is a time-out. What a Wrapper failed to classify
// counts as unavailable: the hard limit bounds what that can do, while taking it
// for a refusal would stop everything at one stray error.
func noAnswer(err error) error {
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

// unwrap returns the plaintext of a record's key.
func (g *gate) unwrap(ctx context.Context, keyring string, rec Record) ([]byte, error) {
	plain, err := throughGate(ctx, g, callFor(OpUnwrap, keyring, rec), func(ctx context.Context) ([]byte, error) {
		return g.kms.Unwrap(ctx, rec.Wrapped, encryptionContext(keyring, rec))
	})
	if err == nil && len(plain) != kms.DataKeySize {
		clear(plain)
		return nil, fmt.Errorf("%w: not a key of %d bytes", kms.ErrInvalidWrapped, kms.DataKeySize)
	}
	return plain, err
}

// generate makes a data key for a record.
func (g *gate) generate(ctx context.Context, keyring string, rec Record) (kms.DataKey, error) {
	dk, err := throughGate(ctx, g, callFor(OpGenerate, keyring, rec), func(ctx context.Context) (kms.DataKey, error) {
		return g.kms.GenerateDataKey(ctx, encryptionContext(keyring, rec))
	})
	if err == nil && len(dk.Plaintext) != kms.DataKeySize {
		dk.Wipe()
		return kms.DataKey{}, fmt.Errorf("%w: the new key has not %d bytes", kms.ErrUnavailable, kms.DataKeySize)
	}
	return dk, err
}
