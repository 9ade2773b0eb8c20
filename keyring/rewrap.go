package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/colseal/colseal/internal/audit"
	"golang.org/x/sync/errgroup"
)

// RewrapOptions are how to rewrap. The zero value rewraps every key that is not yet
// under the current KEK.
type RewrapOptions struct {
	// DryRun counts and writes nothing. It calls KMS once, to learn under which
	// KEK it would wrap.
	DryRun bool
	// Force rewraps the keys under the current KEK too: after the KEK's own
	// material was rotated, say.
	Force bool
	// Parallel is how many keys are rewrapped at once. Default 4.
	Parallel int
	// Progress, if set, is called after each key with how many are done, of how
	// many; never by two goroutines at once.
	Progress func(done, total int)
}

// A RewrapReport says what became of the keys. Total is the sum of the others.
type RewrapReport struct {
	KEK       string           // the current one; "" if there was nothing to rewrap
	Total     int              // keys that have a wrapped form
	Rewrapped int              // are now under KEK; in a dry run: would be
	Current   int              // were under KEK already
	Destroyed int              // were destroyed meanwhile
	Failed    map[uint32]error // by key id
}

const (
	defaultRewrapParallel = 4
	swapTries             = 3
)

// Rewrap wraps every key under the KEK that the Wrapper is configured with now, where
// the service can do so without its plaintext leaving it (ReEncrypt). It costs one call
// to KMS and one UPDATE per key, however much was sealed: no cell changes, and no other
// row is written. Running processes go on undisturbed, if KMS lets them use the new KEK.
//
// Keys that are under that KEK already are skipped, so that a Rewrap that was cut short
// goes on where it stopped. A key that fails does not stop the others; the report
// holds its error, and the error that is returned counts them.
func (a *Admin) Rewrap(ctx context.Context, opts RewrapOptions) (RewrapReport, error) {
	all, err := a.Keys(ctx, Filter{})
	if err != nil {
		return RewrapReport{}, err
	}
	r := &rewrapping{Admin: a, opts: opts, report: RewrapReport{Failed: map[uint32]error{}}}
	var work []Key
	for _, k := range all {
		switch {
		case k.Destroyed:
			continue
		case k.Invalid != nil:
			r.report.Failed[k.ID] = k.Invalid
		default:
			work = append(work, k)
		}
		r.report.Total++
	}
	r.done = len(r.report.Failed)
	// One at a time until the current KEK is known, which a first answer tells.
	for len(work) > 0 && r.report.KEK == "" && ctx.Err() == nil {
		r.one(ctx, work[0])
		work = work[1:]
	}
	parallel := opts.Parallel
	if parallel <= 0 {
		parallel = defaultRewrapParallel
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, rec := range work {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			r.one(ctx, rec)
			return nil
		})
	}
	_ = group.Wait() // the errors are in the report
	if err := ctx.Err(); err != nil {
		return r.report, fmt.Errorf("keyring: rewrap: %w", err)
	}
	if n := len(r.report.Failed); n > 0 {
		return r.report, fmt.Errorf("keyring: rewrap: %d of %d keys failed, the others are done; run it again", n, r.report.Total)
	}
	return r.report, nil
}

// rewrapping is one run of Rewrap.
type rewrapping struct {
	*Admin
	opts RewrapOptions

	mu     sync.Mutex // guards the following
	report RewrapReport
	done   int
}

// What became of one key.
type rewrapResult uint8

const (
	rewrapDone rewrapResult = iota
	rewrapCurrent
	rewrapDestroyed
	rewrapFailed
)

func (r *rewrapping) one(ctx context.Context, rec Key) {
	result, err := r.try(ctx, rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch result {
	case rewrapDone:
		r.report.Rewrapped++
	case rewrapCurrent:
		r.report.Current++
	case rewrapDestroyed:
		r.report.Destroyed++
	case rewrapFailed:
		r.report.Failed[rec.ID] = err
	}
	r.done++
	if r.opts.Progress != nil {
		r.opts.Progress(r.done, r.report.Total)
	}
}

// try is rewrap, with a panic as an error: it runs in a goroutine of its own.
func (r *rewrapping) try(ctx context.Context, rec Key) (result rewrapResult, err error) {
	defer func() {
		if caught := audit.Caught(recover()); caught != nil {
			result, err = rewrapFailed, Classify("rewrap", rec, caught)
		}
	}()
	return r.rewrap(ctx, rec)
}

// current tells whether a key is under the current KEK, as far as that is known.
func (r *rewrapping) current(rec Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.KEK == rec.Wrapped.KeyID
}

func (r *rewrapping) learn(kek string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.KEK = kek
}

func (r *rewrapping) rewrap(ctx context.Context, rec Key) (rewrapResult, error) {
	for range swapTries {
		if !r.opts.Force && r.current(rec) {
			return rewrapCurrent, nil
		}
		if r.opts.DryRun && r.known() {
			return rewrapDone, nil
		}
		next, err := r.gate.Rewrap(ctx, rec.Call(r.keyring.Name()), rec.Wrapped)
		if err != nil {
			return rewrapFailed, Classify("rewrap", rec, err)
		}
		r.learn(next.KeyID)
		switch {
		case !r.opts.Force && next.KeyID == rec.Wrapped.KeyID:
			return rewrapCurrent, nil // it only told which KEK is the current one
		case r.opts.DryRun:
			return rewrapDone, nil
		}
		ok, err := r.keyring.Swap(ctx, rec.ID, rec.Wrapped.Blob, next)
		if err != nil {
			return rewrapFailed, Classify("rewrap", rec, err)
		}
		if ok {
			old := rec.Wrapped.KeyID
			rec.Wrapped = next
			r.record(ctx, audit.KeyRewrapped, rec, "", slog.String(audit.OldKEK, old))
			return rewrapDone, nil
		}
		// Somebody else rewrapped or destroyed it meanwhile.
		now, err := r.keyring.Keys(ctx, []uint32{rec.ID})
		switch {
		case err != nil:
			return rewrapFailed, Classify("rewrap", rec, err)
		case len(now) == 0 || now[0].Destroyed:
			return rewrapDestroyed, nil
		case bytes.Equal(now[0].Wrapped.Blob, rec.Wrapped.Blob):
			return rewrapFailed, Classify("rewrap", rec, errNotWritten)
		case r.current(now[0]):
			return rewrapCurrent, nil
		}
		rec = now[0]
	}
	return rewrapFailed, Classify("rewrap", rec, errNotWritten)
}

func (r *rewrapping) known() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.KEK != ""
}

var errNotWritten = errors.New("the database did not take the new wrapped key")
