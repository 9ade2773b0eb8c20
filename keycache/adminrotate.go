package keycache

import (
	"context"
	"fmt"
)

// Rotate makes the next key of a purpose and scope, or the first one.
//
// A data key is stored before Rotate returns, and seals in every process that has
// read the keyring since; that takes MaxAge at the longest. The one before it stops
// sealing there and then, and opens for ever.
//
// A search key becomes the second that is live: every process that has read the
// keyring since searches for both, and none seals under the new one before all of
// them had the time to, at [Key.SealsFrom]. There are two at most: while a second
// one has not begun to seal Rotate returns that one, and later [ErrKeyInUse] until
// the older one is retired.
//
// A scope that was destroyed stays so: [ErrKeyDestroyed].
func (a *Admin) Rotate(ctx context.Context, purpose Purpose, scope string) (Key, error) {
	if purpose != PurposeData && purpose != PurposeSearch {
		return Key{}, fmt.Errorf("keycache: no purpose %q; use %q or %q", purpose, PurposeData, PurposeSearch)
	}
	if err := checkScope(scope); err != nil {
		return Key{}, err
	}
	about := Record{Purpose: purpose, Scope: scope}
	for range createTries {
		recs, err := a.keyring.Ring(ctx, purpose, scope)
		if err != nil {
			return Key{}, classify("rotate", about, err)
		}
		next, err := a.follow(recs, about)
		if err != nil {
			return Key{}, err
		}
		if next.ID != 0 { // made before, and not yet begun to seal
			return a.key(ctx, next.ID)
		}
		id, err := a.make(ctx, next, "rotate")
		if err != nil {
			return Key{}, classify("rotate", about, err)
		}
		if id != 0 {
			return a.key(ctx, id)
		}
		// Another process made that epoch, or has that id.
	}
	return Key{}, classify("rotate", about, errNoFreeID)
}

// follow returns the record of the key to make after those of a ring, newest first;
// with an id, if it was made already.
func (a *Admin) follow(recs []Record, about Record) (Record, error) {
	next := about
	next.Epoch = 1
	if len(recs) == 0 {
		return next, nil
	}
	if recs[0].Destroyed {
		return Record{}, destroyedScope(recs[0])
	}
	next.Epoch = recs[0].Epoch + 1
	if about.Purpose == PurposeData {
		return next, nil
	}
	live := liveSearchKeys(recs)
	switch {
	case len(live) > 1 && live[0].SealsFor < 0:
		return live[0], nil
	case len(live) > 1:
		return Record{}, refused("rotate", live[0], ErrKeyInUse,
			"a change of search keys is under way: re-seal the rows, and retire key %08x", live[1].ID)
	case len(live) == 1:
		next.SealsFor = -a.settle()
	}
	return next, nil
}

// make has a key made and stored; 0 when its epoch or id was taken.
func (a *Admin) make(ctx context.Context, rec Record, why string) (uint32, error) {
	rec.ID, rec.changedBy, rec.changedWhy = newKeyID(), a.cfg.By, why
	dk, err := a.gate.generate(ctx, a.keyring.Name(), rec)
	dk.Wipe()
	if err != nil {
		return 0, err
	}
	rec.Wrapped = dk.Wrapped
	// When a search key begins to seal counts from here, and others see it once this is
	// committed: that must not be so late that they have not the time to.
	ctx, cancel := context.WithTimeout(ctx, settleMargin/2)
	defer cancel()
	won, err := a.keyring.Insert(ctx, rec)
	if err != nil || !won {
		return 0, err
	}
	a.record(ctx, made(rec), rec, why)
	return rec.ID, nil
}
