package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/hint"
)

// Revoke stops a key for a cause, which it records. The key never seals again, and still opens what
// it sealed. A key that was revoked before stays as it is.
//
// A writer's key has no successor: its program makes another one. An inbox is revoked once another
// one is there.
//
// A data key's successor is stored before it stops. Running processes stop sealing with it when
// they next read the keyring: within MaxAge, and MaxStale longer where the keyring cannot be
// reached.
//
// A search key's successor must first be searched for everywhere, or rows would not be found. Until
// then a revoked search key goes on sealing, if no other key can: [Key.SettledFrom] of the
// successor says when that is over everywhere. It is searched for until it is retired. A search key
// that has not begun to seal is retired at once. Of two live search keys, Revoke refuses the newer
// one with [ErrKeyInUse] if it seals, is about to, or the older one is revoked too. Retire the
// older one first.
func (a *Admin) Revoke(ctx context.Context, id uint32, why string) (Key, error) {
	for range IDTries {
		k, err := a.key(ctx, id)
		if err != nil {
			return Key{}, err
		}
		if k.Destroyed {
			return Key{}, destroyedKey("revoke", k)
		}
		if k.Revoked && !a.lonely(ctx, k) {
			return k, nil
		}
		how := Ending{Kind: EndRevokeData, Settled: propagationMargin, By: a.cfg.By, Why: why}
		switch {
		case k.Stray != nil, k.Recovered, k.Purpose == PurposeWriter:
			how.Kind = EndRevokeStray
		case k.Purpose == PurposeInbox:
			err = a.hasOther(ctx, k)
		case k.Purpose == PurposeSearch:
			how.Kind, err = a.revocation(ctx, k)
		default:
			err = a.succeed(ctx, k)
		}
		if err != nil {
			return Key{}, Classify("revoke", k, err)
		}
		if k.Revoked {
			return a.key(ctx, id)
		}
		ok, err := a.keyring.End(ctx, id, how)
		if err != nil {
			return Key{}, Classify("revoke", k, err)
		}
		if ok {
			a.record(ctx, audit.KeyRevoked, k, why)
			return a.key(ctx, id)
		}
		// Somebody else changed the ring meanwhile: look again.
	}
	return Key{}, hint.With(fmt.Errorf("keyring: revoke key %08x: its ring keeps changing", id), "try again")
}

// lonely reports whether a revoked search key is the only live one, and so seals on: two
// operators revoked it and its successor at the same moment.
func (a *Admin) lonely(ctx context.Context, k Key) bool {
	if !k.Searched() {
		return false
	}
	ring, err := a.keyring.Ring(ctx, k.Purpose, k.Scope)
	live := liveKeys(ring.Keys)
	return err == nil && len(live) == 1 && live[0].ID == k.ID
}

// succeed sees to it that a newer data key than k exists.
func (a *Admin) succeed(ctx context.Context, k Key) error {
	ring, err := a.keyring.Ring(ctx, k.Purpose, k.Scope)
	if err != nil {
		return err
	}
	if tomb, destroyed := ring.Tombstone(); destroyed {
		return ScopeDestroyed(tomb)
	}
	if newer := Sealing(ring.Keys); len(newer) > 0 && newer[0].Epoch > k.Epoch {
		return nil
	}
	// Whoever makes the epoch, it will be there.
	_, err = a.make(ctx, Key{Keyring: ring.Keyring, Purpose: k.Purpose, Scope: k.Scope, Epoch: ring.Next}, "revoke "+hexID(k.ID), "")
	return err
}

// hasOther refuses to stop the only inbox of a scope. Its successor must be made first, because
// programs must get its pin.
func (a *Admin) hasOther(ctx context.Context, k Key) error {
	ring, err := a.keyring.Ring(ctx, k.Purpose, k.Scope)
	if err != nil {
		return err
	}
	for _, other := range ring.Keys {
		if other.ID != k.ID && other.Live() && other.Invalid == nil {
			return nil
		}
	}
	return refused("revoke", k, ErrKeyInUse, "no other inbox is there, and write-only programs would stop: make one, and give them its pin")
}

// revocation finds out how a search key can be revoked, and makes the one that must
// follow it.
func (a *Admin) revocation(ctx context.Context, k Key) (EndingKind, error) {
	ring, err := a.keyring.Ring(ctx, k.Purpose, k.Scope)
	if err != nil {
		return 0, err
	}
	live := liveKeys(ring.Keys)
	switch {
	case len(live) > 0 && live[0].Epoch > k.Epoch:
		return EndRevokeSearch, nil
	case len(live) < 2:
		_, err = a.Rotate(ctx, k.Purpose, k.Scope)
		return EndRevokeSearch, err
	case k.SealsFor < -propagationMargin && !live[1].Revoked:
		return EndRevokeNext, nil
	}
	return 0, refused("revoke", k, ErrKeyInUse,
		"it has to stand in for key %08x: re-seal the rows, retire that one, and revoke this one after it", live[1].ID)
}

// Retire ends a search key after its rows were re-sealed. The key is no longer searched for, and
// still opens rows that were forgotten. Retire returns [ErrKeyInUse] while a process may still seal
// under the key: until [Key.SettledFrom] of its successor. It does not look at rows; re-seal them
// first.
//
// A data key can be retired once another has followed it; only the record changes. No writer's key
// is encrypted to an inbox that was retired. A writer's key stops by itself. A key that was retired
// before stays as it is.
func (a *Admin) Retire(ctx context.Context, id uint32, why string) (Key, error) {
	k, err := a.key(ctx, id)
	switch {
	case err != nil:
		return Key{}, err
	case k.Destroyed:
		return Key{}, destroyedKey("retire", k)
	case k.Retired:
		return k, nil
	case k.Purpose == PurposeWriter:
		return Key{}, refused("retire", k, ErrKeyInUse, "a writer's key stops sealing by itself after %v: revoke it if it has to stop before", WriterAge)
	}
	how := Ending{Kind: EndRetire, By: a.cfg.By, Why: why}
	if k.Purpose == PurposeSearch {
		how.Settled = a.propagation()
	}
	ok, err := a.keyring.End(ctx, id, how)
	if err != nil {
		return Key{}, Classify("retire", k, err)
	}
	if !ok {
		return a.notRetired(ctx, k)
	}
	a.record(ctx, audit.KeyRetired, k, why)
	return a.key(ctx, id)
}

// notRetired finds out why a key could not be retired.
func (a *Admin) notRetired(ctx context.Context, k Key) (Key, error) {
	keys, err := a.Keys(ctx, Filter{Purpose: k.Purpose, Scope: &k.Scope})
	if err != nil {
		return Key{}, err
	}
	hint := "no newer key seals in its place: rotate first"
	for _, other := range keys {
		switch {
		case other.ID == k.ID && other.Destroyed:
			return Key{}, destroyedKey("retire", other)
		case other.ID == k.ID && other.Retired:
			return other, nil
		case other.Epoch > k.Epoch && other.Searched():
			hint = fmt.Sprintf("processes may seal under it until %s: re-seal the rows and retire it after that",
				other.SettledFrom.Format(time.RFC3339))
		}
	}
	return Key{}, refused("retire", k, ErrKeyInUse, "%s", hint)
}

func destroyedKey(op string, rec Key) error {
	return refused(op, rec, ErrKeyDestroyed, "there is nothing left of it to change")
}

var errDefaultScope = hint.With(errors.New("keyring: destroy: the scope is the default one, in which everything is sealed that was given no scope"),
	"call DestroyDefault if that is meant")

// Destroy makes everything that was sealed in a scope permanently unreadable
// (crypto-shredding): it wipes the wrapped form of all of its keys and closes the
// scope, in one transaction. Sealing, opening and searching in it give
// [ErrKeyDestroyed] from then on; in processes that hold its keys in memory when they
// next read the keyring: within MaxAge, and MaxStale longer where the keyring cannot
// be reached. The rows of the keys stay, with who did it, when and why. It returns
// all keys of the scope. A scope that was destroyed before stays as it is.
//
// The wrapped keys that stand in backups and in the write-ahead log are not reached:
// they are as lost as the last of these, or as their KEK. The default scope, "", is
// refused here; see [Admin.DestroyDefault]. A scope without keys is [ErrKeyNotFound].
func (a *Admin) Destroy(ctx context.Context, scope, why string) ([]Key, error) {
	if scope == "" {
		return nil, errDefaultScope
	}
	return a.destroy(ctx, scope, why)
}

// DestroyDefault is Destroy for the default scope: everything that was sealed without
// [WithScope], in every table, is lost, and nothing can be sealed without it any more.
func (a *Admin) DestroyDefault(ctx context.Context, why string) ([]Key, error) {
	return a.destroy(ctx, "", why)
}

func (a *Admin) destroy(ctx context.Context, scope, why string) ([]Key, error) {
	about := Key{Scope: scope}
	before, err := a.Keys(ctx, Filter{Scope: &scope})
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		return nil, refused("destroy", about, ErrKeyNotFound, "list the keys for the names of scopes")
	}
	wiped, err := a.keyring.Destroy(ctx, scope, a.cfg.By, why)
	if err != nil {
		return nil, Classify("destroy", about, err)
	}
	after, err := a.Keys(ctx, Filter{Scope: &scope})
	// It was done, and is told, even if the keyring cannot be read any more.
	recs := make(map[uint32]Key, len(before))
	for _, k := range append(before, after...) {
		recs[k.ID] = k
	}
	for _, id := range wiped {
		rec := recs[id]
		rec.ID = id
		a.record(ctx, audit.KeyDestroyed, rec, why)
	}
	return after, err
}
