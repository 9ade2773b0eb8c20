package keycache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
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
}

const (
	kmsTries      = 3
	kmsRetryMin   = 100 * time.Millisecond
	kmsRetryMax   = 2 * time.Second
	breakerTrips  = 6               // failures in a row, so two lookups that gave up
	breakerPauses = 3 * time.Second // then one call probes
)

func newGate(w kms.Wrapper, cfg Config, count *counters) *gate {
	return &gate{
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
func throughGate[T any](ctx context.Context, g *gate, f func(context.Context) (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = kmsRetryMin, kmsRetryMax
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := once(ctx, g, f)
		if err != nil && (!errors.Is(err, kms.ErrUnavailable) || errors.Is(err, errBreaker)) {
			return v, backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(kmsTries))
	return v, noAnswer(err)
}

// errBreaker is unavailable, but there is no use in trying again soon.
var errBreaker = fmt.Errorf("%w: several calls in a row failed, pausing", kms.ErrUnavailable)

func once[T any](ctx context.Context, g *gate, f func(context.Context) (T, error)) (v T, err error) {
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return v, noAnswer(ctx.Err())
	}
	done, err := g.breaker.Allow()
	if err != nil {
		return v, errBreaker
	}
	defer func() { done(err) }()
	g.count.kmsCalls.Add(1)
	call, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	if v, err = f(call); err != nil {
		g.count.kmsFailures.Add(1)
		err = noAnswer(err)
	}
	return v, err
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
	plain, err := throughGate(ctx, g, func(ctx context.Context) ([]byte, error) {
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
	dk, err := throughGate(ctx, g, func(ctx context.Context) (kms.DataKey, error) {
		return g.kms.GenerateDataKey(ctx, encryptionContext(keyring, rec))
	})
	if err == nil && len(dk.Plaintext) != kms.DataKeySize {
		dk.Wipe()
		return kms.DataKey{}, fmt.Errorf("%w: the new key has not %d bytes", kms.ErrUnavailable, kms.DataKeySize)
	}
	return dk, err
}
