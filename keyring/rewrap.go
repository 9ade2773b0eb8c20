package keyring

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/kms"
	"golang.org/x/sync/errgroup"
)

// RewrapOptions are how to rewrap. The zero value rewraps every key that is not yet
// under the current KEK.
type RewrapOptions struct {
	// From names the KEKs that keys may be under besides the current one and those that
	// the Wrapper trusts ([kms.Truster]), as they stand in [kms.Wrapped]. A key under any
	// other fails with [ErrForeignKEK]: whoever may insert rows could have put a key there
	// that they know, and rewrapped it would be the program's own.
	From []string
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
// Writers' keys are not under a KEK, but encrypted to an inbox, and stay as they are.
//
// Keys that are under that KEK already are skipped, so that a Rewrap that was cut short
// goes on where it stopped. A key that fails does not stop the others; the report
// holds its error, and the error that is returned counts them.
func (a *Admin) Rewrap(ctx context.Context, opts RewrapOptions) (RewrapReport, error) {
	all, err := a.Keys(ctx, Filter{})
	if err != nil {
		return RewrapReport{}, err
	}
	r := &rewrapping{Admin: a, opts: opts}
	if err := r.all(ctx, all, r.rewrap); err != nil {
		return r.report, err
	}
	if n := len(r.report.Failed); n > 0 {
		return r.report, hint.With(fmt.Errorf("keyring: rewrap: %d of %d keys failed, the others are done", n, r.report.Total), "run it again")
	}
	return r.report, nil
}

// rewrapping is one run of Rewrap.
type rewrapping struct {
	*Admin
	opts RewrapOptions
	to   string // the id of the keyring that keys are wrapped for; "" for the one that they are in
	do   func(context.Context, Key) (rewrapResult, error)

	mu      sync.Mutex // guards the following
	report  RewrapReport
	current []string // the KEKs that wrap now; nil while that is not known
	done    int
}

// What became of one key.
type rewrapResult uint8

const (
	rewrapDone rewrapResult = iota
	rewrapCurrent
	rewrapDestroyed
	rewrapFailed
)

// all does what is to be done with each key that has a wrapped form, several at a time. The keys'
// errors are in the report.
func (r *rewrapping) all(ctx context.Context, keys []Key, do func(context.Context, Key) (rewrapResult, error)) error {
	r.do = do
	r.report, r.done = RewrapReport{KEK: r.report.KEK, Failed: map[uint32]error{}}, 0
	var work []Key
	for _, k := range keys {
		switch {
		case k.Destroyed:
			continue
		case k.Purpose == PurposeWriter && r.to == "":
			continue // it is encrypted to an inbox, which is rewrapped
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
	parallel := r.opts.Parallel
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
	_ = group.Wait() // it returns none
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("keyring: rewrap: %w", err)
	}
	return nil
}

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

// try is do, with a panic as an error: it runs in a goroutine of its own.
func (r *rewrapping) try(ctx context.Context, rec Key) (result rewrapResult, err error) {
	defer func() {
		if caught := audit.Caught(recover()); caught != nil {
			result, err = rewrapFailed, Classify("rewrap", rec, caught)
		}
	}()
	return r.do(ctx, rec)
}

// isCurrent reports whether a key is under the current KEK, as far as that is known.
func (r *rewrapping) isCurrent(rec Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.KEK == rec.Wrapped.KeyID
}

func (r *rewrapping) learn(next kms.Wrapped) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.KEK, r.current = next.KeyID, kms.KEKs(next)
}

// admit refuses a key under a KEK that is neither the current one, nor trusted, nor named. While
// the current one is not known, nothing is refused: KMS tells it, and its answer is thrown away.
func (r *rewrapping) admit(rec Key) error {
	r.mu.Lock()
	current := r.current
	r.mu.Unlock()
	if current == nil {
		return nil
	}
	for _, kek := range kms.KEKs(rec.Wrapped) {
		if !slices.Contains(current, kek) && !slices.Contains(r.opts.From, kek) && !r.gate.Trusts(kek) {
			return refused("rewrap", rec, ErrForeignKEK,
				"it is under %s: if that was the program's own, name it (RewrapOptions.From, --from); if not, revoke the key", printable(kek))
		}
	}
	return nil
}

func (r *rewrapping) rewrap(ctx context.Context, rec Key) (rewrapResult, error) {
	for range swapTries {
		if !r.opts.Force && r.isCurrent(rec) {
			return rewrapCurrent, nil
		}
		next, err := r.wrap(ctx, rec)
		switch {
		case err != nil:
			return rewrapFailed, Classify("rewrap", rec, err)
		case !r.opts.Force && r.isCurrent(rec):
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
		case r.isCurrent(now[0]):
			return rewrapCurrent, nil
		}
		rec = now[0]
	}
	return rewrapFailed, Classify("rewrap", rec, errNotWritten)
}

// wrap has KMS wrap a key under the current KEK. In a dry run KMS is asked no more than it takes to
// know that KEK.
func (r *rewrapping) wrap(ctx context.Context, rec Key) (kms.Wrapped, error) {
	if err := r.admit(rec); err != nil {
		return kms.Wrapped{}, err
	}
	if r.opts.DryRun && r.known() {
		return kms.Wrapped{}, nil
	}
	next, err := r.gate.Rewrap(ctx, rec.Call(), rec.Wrapped, cmp.Or(r.to, rec.Keyring))
	if err != nil {
		return kms.Wrapped{}, err
	}
	r.learn(next)
	return next, r.admit(rec)
}

func (r *rewrapping) known() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current != nil
}

var errNotWritten = errors.New("the database did not take the new wrapped key")
