// Package keyring keeps wrapped data keys in a table of the application's own
// database, the keyring. Programs and operators use it; plaintext keys live in
// memory only, in package keycache.
//
// A data key (DEK) is made by a key management service (KMS), which also wraps
// it under a key encryption key (KEK) that never leaves the service. The wrapped
// form is one row of the keyring, committed before the first cell is sealed under
// it, so that no crash leaves a cell without its key.
//
// [Store] is the keyring in a database. [Admin] lists, rotates, revokes, retires,
// destroys and rewraps its keys. Processes meet in the keyring only: when a key is
// due each of them may try to insert the next one, and a unique constraint picks
// the winner.
package keyring

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/kms"
)

// Purpose is what a data key is for. Keys of different purposes never mix.
type Purpose string

// The purposes: data keys seal randomized columns and rotate; search keys seal
// deterministic columns and change only when told to. An inbox is the private key of a
// key pair, and seals nothing: a write-only program makes a writer's key, a data key of its own,
// and encrypts it to the public key of an inbox.
const (
	PurposeData   Purpose = "data"
	PurposeSearch Purpose = "search"
	PurposeInbox  Purpose = "inbox"
	PurposeWriter Purpose = "writer"
)

// WriterAge is the age at which a writer's key stops sealing.
const WriterAge = time.Hour

// bySuccession reports whether a newer key of the ring takes over from the ones before it. Among
// inboxes the programs' pins decide. Writers' keys are independent of each other.
func (p Purpose) bySuccession() bool { return p == PurposeData || p == PurposeSearch }

// State is where a key stands in its life.
type State string

// The states of a key.
const (
	StateNext      State = "next"      // a search key that is searched for, and seals from Key.SealsFrom on
	StateActive    State = "active"    // seals, and opens
	StateSearched  State = "searched"  // a search key that no longer seals, and is still searched for until it is retired
	StateRetired   State = "retired"   // opens only
	StateRecovered State = "recovered" // opens only: its row was gone, and a process that held it stored it again
	StateRevoked   State = "revoked"   // opens only, for a cause; a search key is still searched for until it is retired
	StateDestroyed State = "destroyed" // does nothing any more
	StateInvalid   State = "invalid"   // not used: Key.Invalid or Key.Stray says why
)

// A Key is one key of the keyring, wrapped, and where it stands in its life. All
// times and durations are by the database's clock, at the moment of reading.
type Key struct {
	ID            uint32 // random, not 0, unique in the keyring
	Keyring       string // the id of the keyring that it was read from, or is made for
	Purpose       Purpose
	Scope         string
	Epoch         int64 // 1, 2, … within purpose and scope; the newest seals. Of a writer's key its ID
	Wrapped       kms.Wrapped
	Public        []byte        // of an inbox: the public key that writers' keys are encrypted to
	WrappedTo     uint32        // of a writer's key: the inbox, in the place of a KEK, that it is encrypted to
	SealsReserved uint64        // over all processes
	Age           time.Duration // since its creation
	SealsFor      time.Duration // since when it may seal; negative: not yet
	Retired       bool          // never seals again, and is not searched for
	Revoked       bool          // an operator stopped it; it does not seal if another key can
	Destroyed     bool          // its scope was destroyed
	Recovered     bool          // its row was gone and was stored again, see [Recover]; Retired goes with it
	ChangedBy     string        // who last made, revoked, retired or destroyed it; "" for a process on its own
	ChangedWhy    string        // and why

	CreatedAt   time.Time // in UTC, as all times here
	SealsFrom   time.Time // when it begins to seal; for a data key CreatedAt
	RevokedAt   time.Time // zero: it was not
	DestroyedAt time.Time // zero: it was not
	// RetiredAt is when it stopped sealing: retired, revoked, or (from [Admin] only)
	// followed by the next. Zero: it seals, or will.
	RetiredAt time.Time

	// Invalid says why the row cannot be a key's; nil for a good one. An invalid key is
	// not used, and is an error of class ErrKeyInvalid to whoever needs it.
	Invalid error
	// Stray says why the row is no part of its ring, which ignores it: a row beyond a gap
	// in the epochs, or a search key that seals before programs had the time to search for
	// it. Whoever may insert rows can make such. Nil for all others.
	Stray error

	placement int // how the row stands to its ring: placed and its like

	// State is set by [Admin] only, which looks at the other keys of the ring too.
	State State
	// SettledFrom, set by [Admin] only, is when no process seals under an older search
	// key any more: rows are re-sealed after that, and then the older one is retired.
	SettledFrom time.Time
}

// Live reports whether the key may seal or be searched for: it is in its ring, and
// neither retired nor destroyed.
func (k Key) Live() bool { return !k.Retired && !k.Destroyed && k.Stray == nil }

// Searched reports whether an equality search looks for the cells of the key.
func (k Key) Searched() bool { return k.Purpose == PurposeSearch && k.Live() }

// Call returns a call to KMS about the key.
func (k Key) Call() kms.Call {
	return kms.Call{
		Keyring: k.Keyring, KeyID: k.ID, Purpose: string(k.Purpose), Scope: k.Scope, Epoch: k.Epoch, KEK: k.Wrapped.KeyID,
	}
}

// LogValue implements [slog.LogValuer]: the facts that name the key.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(audit.Key(k.ID, string(k.Purpose), k.Scope, k.Epoch, k.Wrapped.KeyID)...)
}

// A Ring is the keys of one purpose and scope, as far as they are looked at.
type Ring struct {
	Keyring string // the id of the keyring; "" if it is new and has none yet: see Store.Identify
	Scoped  bool   // the keyring has keys of scopes, in this ring or others
	Keys    []Key  // newest first; strays may stand anywhere
	Next    int64  // the epoch of the key that follows
}

// Tombstone returns a key of the ring if its scope was destroyed.
func (r Ring) Tombstone() (Key, bool) {
	for _, k := range r.Keys {
		if k.Destroyed {
			return k, true
		}
	}
	return Key{}, false
}

// Newest returns the newest key of the ring, but for recovered ones; false if it has none.
func (r Ring) Newest() (Key, bool) {
	for _, k := range r.Keys {
		if k.Stray == nil && !k.Recovered {
			return k, true
		}
	}
	return Key{}, false
}

// Fault returns why the ring can neither serve nor be given its first key, nil if it can:
// a row stands for a search key that may have sealed cells, and cannot be used. To make
// another key instead would hide those cells from searches.
func (r Ring) Fault() error {
	var fault error
	for _, k := range r.Keys {
		if k.Purpose != PurposeSearch || k.Retired || k.Destroyed || k.Revoked {
			continue
		}
		if k.Stray == nil && k.Invalid != nil {
			return k.Invalid
		}
		if k.placement == hasty && len(Sealing(r.Keys)) == 0 {
			fault = k.Stray
		}
	}
	return fault
}

// Sealing returns the keys of one ring that serve, given its keys newest first. The
// first one seals. An equality search looks for the cells of all of them.
//
// Of a ring of data keys only the newest serves. Of search keys every live one is
// searched for, and the newest whose time has come seals: a second search key is
// given a time to come, by which every process has read the ring and searches for
// both. Sealing returns nothing if the next key must be made first, or if the scope
// was destroyed.
func Sealing(keys []Key) []Key {
	ring := Ring{Keys: keys}
	newest, ok := ring.Newest()
	if _, destroyed := ring.Tombstone(); !ok || destroyed {
		return nil
	}
	if newest.Purpose != PurposeSearch {
		if newest.Retired || newest.Invalid != nil {
			return nil
		}
		return []Key{newest}
	}
	live := slices.DeleteFunc(liveKeys(keys), func(k Key) bool { return k.Invalid != nil })
	slices.SortStableFunc(live, func(a, b Key) int {
		return cmp.Or(-cmp.Compare(a.precedence(), b.precedence()), -cmp.Compare(a.Epoch, b.Epoch))
	})
	return live
}

// liveKeys returns the live ones of keys, in the same order.
func liveKeys(keys []Key) []Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return !k.Live() })
}

// precedence says which of two live search keys seals: one whose time has come rather
// than one whose has not, and then one that is not revoked. A revoked one seals on
// until the other's time has come: cells under that one would not be found before.
func (k Key) precedence() int {
	switch {
	case k.SealsFor < 0:
		return 0
	case k.Revoked:
		return 1
	}
	return 2
}

// IDTries bounds the tries at an id that is free: a second is needed once in
// millions of keys.
const IDTries = 4

// NewID returns a random key id. 0 is not one: it stands for "no key".
func NewID() uint32 {
	var b [4]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if id := binary.BigEndian.Uint32(b[:]); id != 0 {
			return id
		}
	}
}

func hexID(id uint32) string { return fmt.Sprintf("%08x", id) }

type scopeKey struct{}

// WithScope returns a context whose cells are sealed under data keys of their
// own, which can be destroyed together: "tenant:42", say. The empty scope, which
// is what a context without WithScope has, is an ordinary one.
//
// Opening needs no scope: a cell names its key. Scope names are stored in the
// clear, in the keyring and in the audit log of KMS. An equality search finds
// only what was sealed in the scope it is made in. A scope is at most 256 bytes
// of UTF-8 without control characters.
func WithScope(ctx context.Context, scope string) context.Context {
	return context.WithValue(ctx, scopeKey{}, scope)
}

// ScopeOf returns the scope of ctx; "" when there is none.
func ScopeOf(ctx context.Context) string {
	scope, _ := ctx.Value(scopeKey{}).(string)
	return scope
}

// maxScope keeps an encryption context well within the 8 KB that AWS allows.
const maxScope = 256

var errScope = hint.With(errors.New("keyring: the scope's name is too long or not plain text"), "use at most 256 bytes of UTF-8 without control characters")

// CheckScope returns an error if scope cannot be the name of one.
func CheckScope(scope string) error {
	if len(scope) > maxScope || !utf8.ValidString(scope) || printable(scope) != scope {
		return errScope
	}
	return nil
}
