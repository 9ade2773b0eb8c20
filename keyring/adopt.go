package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/kms"
)

// AdoptOptions are how to adopt a keyring.
type AdoptOptions struct {
	// From names KEKs, as in [RewrapOptions].
	From []string
	// Leave names keys that stay as they are, and so do not open any more: rows that are no
	// keys. Any other key that fails stops it all, and nothing is changed.
	Leave []uint32
	// DryRun has KMS wrap every key, and writes nothing.
	DryRun bool
	// Parallel is how many keys are wrapped at once. Default 4.
	Parallel int
	// Progress is as in [RewrapOptions].
	Progress func(done, total int)
}

// An AdoptReport says what became of a keyring.
type AdoptReport struct {
	Old, New string           // its ids; New is "" if nothing was changed
	KEK      string           // that wraps its keys now
	Keys     int              // that were wrapped for the new id
	Failed   map[uint32]error // by key id; if there is any, nothing was changed
}

// Adopt gives the keyring of a copied database an id of its own. It wraps every key with that id,
// under the KEK that the Wrapper is configured with. Cells do not change. From then on KMS can
// allow or deny the use of the copy by its id, and a row of the original does not open in it.
//
// It makes one call to KMS per key, and none for writers' keys, which it encrypts again to their
// inbox. One transaction stores all of it: the keyring has the old id or the new one. After a
// failure, or a kill, run it again. Running processes go on, unless they are pinned to the old id,
// or KMS refuses them the new one.
func (a *Admin) Adopt(ctx context.Context, why string, opts AdoptOptions) (AdoptReport, error) {
	report := AdoptReport{New: newKeyringID()}
	ad := &adopting{next: map[uint32]Adopted{}, rewrapping: &rewrapping{Admin: a, to: report.New,
		opts: RewrapOptions{From: opts.From, Parallel: opts.Parallel, Progress: opts.Progress}}}
	for range adoptTries {
		ok, err := ad.round(ctx, why, opts, &report)
		switch {
		case len(report.Failed) > 0:
			report.New = ""
			return report, err
		case err != nil || opts.DryRun:
			report.New = ""
			return report, Classify("adopt", Key{}, err)
		}
		if ok {
			a.log.Emit(ctx, audit.KeyringAdopted, a.said(why, slog.String(audit.Keyring, report.New), slog.String(audit.OldKeyring, report.Old))...)
			return report, nil
		}
		// A key was made, changed or destroyed meanwhile.
	}
	report.New = ""
	return report, hint.With(errors.New("keyring: adopt: the keyring keeps changing"), "stop the programs that use the copy, and run it again")
}

// adoptTries bounds how often an adoption begins again because the keyring changed.
const adoptTries = 8

// adopting is one run of Adopt.
type adopting struct {
	*rewrapping
	next    map[uint32]Adopted // guarded by mu: the keys that were wrapped
	inboxes *inboxes
}

// round wraps the keys that were not wrapped yet, and stores the new id. It returns false if the
// keyring changed meanwhile, and in a dry run.
func (ad *adopting) round(ctx context.Context, why string, opts AdoptOptions, report *AdoptReport) (bool, error) {
	old, err := ad.keyring.Identify(ctx, "")
	if err != nil {
		return false, err
	}
	keys, err := ad.keyring.Rings(ctx, Filter{})
	if err != nil {
		return false, err
	}
	ad.inboxes = &inboxes{keys: make(map[uint32]Key, len(keys)), private: map[uint32]*inbox.Private{}}
	for _, k := range keys {
		ad.inboxes.keys[k.ID] = k
	}
	keys = slices.DeleteFunc(keys, func(k Key) bool { return slices.Contains(opts.Leave, k.ID) })
	err = ad.all(ctx, keys, ad.wrapFor)
	report.Old, report.KEK, report.Failed = old, ad.report.KEK, ad.report.Failed
	if err != nil {
		return false, err
	}
	if n := len(report.Failed); n > 0 {
		return false, fmt.Errorf("keyring: adopt: %d of %d keys failed, and nothing was changed", n, ad.report.Total)
	}
	adoption := Adoption{Old: old, New: report.New, Left: opts.Leave, By: ad.cfg.By, Why: why}
	for _, k := range keys {
		if n, ok := ad.next[k.ID]; ok && !k.Destroyed {
			adoption.Keys = append(adoption.Keys, n)
		}
	}
	report.Keys = len(adoption.Keys)
	if opts.DryRun {
		return false, nil
	}
	return ad.keyring.Adopt(ctx, adoption)
}

// wrapFor has a key wrapped for the new id, unless it was in a round before.
func (ad *adopting) wrapFor(ctx context.Context, k Key) (rewrapResult, error) {
	ad.mu.Lock()
	before, ok := ad.next[k.ID]
	ad.mu.Unlock()
	if ok && bytes.Equal(before.Old, k.Wrapped.Blob) {
		return rewrapDone, nil
	}
	wrap := ad.wrap
	if k.Purpose == PurposeWriter {
		wrap = ad.encrypt
	}
	next, err := wrap(ctx, k)
	if err != nil {
		return rewrapFailed, Classify("adopt", k, err)
	}
	ad.mu.Lock()
	ad.next[k.ID] = Adopted{ID: k.ID, Old: k.Wrapped.Blob, Next: next}
	ad.mu.Unlock()
	return rewrapDone, nil
}

// encrypt encrypts a writer's key to its inbox again, for the new id.
func (ad *adopting) encrypt(ctx context.Context, k Key) (kms.Wrapped, error) {
	plain, err := ad.inboxes.open(ctx, ad.Admin, k)
	if err != nil {
		return kms.Wrapped{}, err
	}
	defer clear(plain)
	k.Keyring = ad.to
	k, err = k.EncryptedTo(ad.inboxes.keys[k.WrappedTo], plain)
	return k.Wrapped, err
}
