package keycache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	flightTimeout = 30 * time.Second // of everything behind one miss
	failureMemory = 1024             // failures remembered at once
	failureFor    = time.Second      // …for this long, and up to twice
)

// flights runs slow work once for all who want it, apart from any of them: one
// who gives up waiting does not end it for the others. It remembers failures
// briefly, so that a thousand lookups of a key that cannot be had are one
// request a second, and knows what is under way, so that Close can wait.
type flights struct {
	group  singleflight.Group
	base   context.Context
	stop   context.CancelFunc
	failed *lru.Cache[string, failure]

	mu     sync.Mutex // guards closed, and that nothing is added to busy after it
	closed bool
	busy   sync.WaitGroup
}

type failure struct {
	err   error
	until time.Time
}

func newFlights() *flights {
	f := &flights{}
	f.base, f.stop = context.WithCancel(context.Background())
	failed, err := lru.New[string, failure](failureMemory)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	f.failed = failed
	return f
}

// begin notes work under way; done must be called when it is over. It is false
// after close.
func (f *flights) begin() (done func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, false
	}
	f.busy.Add(1)
	return f.busy.Done, true
}

// close ends all work and waits for it, but not for a KMS that does not heed its
// context for longer than grace; false if that was done before.
func (f *flights) close(grace time.Duration) bool {
	f.mu.Lock()
	first := !f.closed
	f.closed = true
	f.mu.Unlock()
	f.stop()
	idle := make(chan struct{})
	go func() {
		f.busy.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(grace):
	}
	return first
}

// share returns what work returns, to everyone who asks for name meanwhile. A
// caller whose ctx ends stops waiting; the work goes on.
func share[T any](ctx context.Context, f *flights, name string, work func(context.Context) (T, error)) (T, error) {
	if f.base.Err() != nil {
		return *new(T), ErrClosed
	}
	if past, ok := f.failed.Get(name); ok {
		if time.Now().Before(past.until) {
			return *new(T), past.err
		}
		f.failed.Remove(name)
	}
	return shareAnew(ctx, f, name, work)
}

// shareAnew is like share but ignores a remembered failure. Renewals use it.
func shareAnew[T any](ctx context.Context, f *flights, name string, work func(context.Context) (T, error)) (T, error) {
	var none T
	if f.base.Err() != nil {
		return none, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return none, errGaveUp{err}
	}
	result := f.group.DoChan(name, func() (any, error) {
		done, ok := f.begin()
		if !ok {
			return none, ErrClosed
		}
		defer done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		defer context.AfterFunc(f.base, cancel)()
		v, err := guarded(ctx, work)
		var gaveUp errGaveUp
		switch {
		case err == nil:
		case f.base.Err() != nil:
			err = ErrClosed
		case errors.As(err, &gaveUp): // this flight, waiting for another: no caller did
			err = errFlightTimeout
		}
		f.remember(name, err)
		return v, err
	})
	select {
	case r := <-result:
		v, _ := r.Val.(T)
		return v, r.Err
	case <-ctx.Done():
		return none, errGaveUp{ctx.Err()}
	}
}

// guarded returns what work returns, or the error of its panic: nobody is there to catch
// one in a goroutine of the cache's.
func guarded[T any](ctx context.Context, work func(context.Context) (T, error)) (v T, err error) {
	defer func() {
		if caught := audit.Caught(recover()); caught != nil {
			err = caught
		}
	}()
	return work(ctx)
}

var errFlightTimeout = fmt.Errorf("%w: gave up after %v", kms.ErrTimeout, flightTimeout)

// errGaveUp: a caller's context ended. It says nothing of the key.
type errGaveUp struct{ cause error }

func (e errGaveUp) Error() string { return "gave up waiting for it: " + e.cause.Error() }
func (e errGaveUp) Unwrap() error { return e.cause }

func (f *flights) remember(name string, err error) {
	switch {
	case err == nil:
		f.failed.Remove(name)
	case errors.Is(err, ErrClosed), errors.Is(err, keyring.ErrNoKeyTable):
		// The first is permanent; the second ends by a statement of the user's,
		// who will try at once.
	default:
		f.failed.Add(name, failure{err, time.Now().Add(failureFor + rand.N(failureFor))})
	}
}
