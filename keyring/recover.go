package keyring

import "context"

// A Recoverer is what [Recover] needs of a keyring: a [Store], or one in memory for tests.
type Recoverer interface {
	Ring(ctx context.Context, purpose Purpose, scope string) (Ring, error)
	Keys(ctx context.Context, ids []uint32) ([]Key, error)
	Insert(ctx context.Context, k Key) (bool, error)
	Identify(ctx context.Context, as string) (string, error)
}

// Recover stores a key again whose row is gone, and returns the row. stored is false if the row was
// there. A keyring loses rows when a standby that lacks them takes over, or when the database is
// restored to an earlier time. What was sealed under their keys would be lost with them.
//
// The key takes the epoch that is next. It opens, and neither seals nor is searched for: nobody
// knows how much was sealed under it, and by now another key may do both. Only a search key that
// nobody stopped, in a scope that has none, goes on as it was, since to make another would hide its
// cells from searches. So does an inbox that nobody stopped: it seals nothing.
//
// A keyring that lost its id with all of its rows gets that of the key. In a keyring of another id
// the key would not unwrap: [ErrOtherKeyring].
//
// A scope that was destroyed stays so: [ErrKeyDestroyed]. The epoch is one that a tombstone would
// take, so that of the two only one is stored.
func Recover(ctx context.Context, keyring Recoverer, k Key) (row Key, stored bool, err error) {
	if id, err := keyring.Identify(ctx, k.Keyring); err != nil {
		return Key{}, false, err
	} else if id != k.Keyring {
		return Key{}, false, refused("recover", k, ErrOtherKeyring, "the keyring in its place is %s: restore the one of the key, which is %s", id, k.Keyring)
	}
	for range rotateTries {
		there, err := keyring.Keys(ctx, []uint32{k.ID})
		if err != nil {
			return Key{}, false, err
		}
		if len(there) > 0 {
			return there[0], false, nil
		}
		purpose := k.Purpose
		if purpose == PurposeWriter { // it is in no ring, and its scope's tombstone in all
			purpose = PurposeData
		}
		ring, err := keyring.Ring(ctx, purpose, k.Scope)
		if err != nil {
			return Key{}, false, err
		}
		if tomb, destroyed := ring.Tombstone(); destroyed {
			return Key{}, false, ScopeDestroyed(tomb)
		}
		row = Key{ID: k.ID, Keyring: k.Keyring, Purpose: k.Purpose, Scope: k.Scope, Epoch: ring.Next, Wrapped: k.Wrapped, SealsReserved: k.SealsReserved,
			Public: k.Public, WrappedTo: k.WrappedTo}
		goesOn := false
		switch k.Purpose {
		case PurposeSearch:
			goesOn = !k.Retired && !k.Revoked && len(Sealing(ring.Keys)) == 0 && ring.Fault() == nil
		case PurposeInbox:
			goesOn = !k.Retired && !k.Revoked
		case PurposeWriter:
			row.Epoch = int64(k.ID)
		}
		row.Recovered, row.Retired = !goesOn, !goesOn
		if stored, err = keyring.Insert(ctx, row); err != nil || stored {
			return row, stored, err
		}
		// Another process made that epoch, or stored the key.
	}
	return Key{}, false, errNoFreeID
}
