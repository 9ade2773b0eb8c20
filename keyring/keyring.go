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
	"strings"
	"time"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/kms"
)

// Purpose is what a data key is for. Keys of different purposes never mix.
type Purpose string

// The purposes: data keys seal randomized columns and rotate; search keys seal
// deterministic columns and change only when told to.
const (
	PurposeData   Purpose = "data"
	PurposeSearch Purpose = "search"
)

// State is where a key stands in its life.
type State string

// The states of a key.
const (
	StateNext      State = "next"      // a search key that is searched for, and seals from Key.SealsFrom on
	StateActive    State = "active"    // seals, and opens
	StateSearched  State = "searched"  // a search key that no longer seals, and is still searched for until it is retired
	StateRetired   State = "retired"   // opens only
	StateRevoked   State = "revoked"   // opens only, for a cause; a search key is still searched for until it is retired
	StateDestroyed State = "destroyed" // does nothing any more
)

// A Key is one key of the keyring, wrapped, and where it stands in its life. All
// times and durations are by the database's clock, at the moment of reading.
type Key struct {
	ID            uint32 // random, not 0, unique in the keyring
	Purpose       Purpose
	Scope         string
	Epoch         int64 // 1, 2, … within purpose and scope; the newest seals
	Wrapped       kms.Wrapped
	SealsReserved uint64        // over all processes
	Age           time.Duration // since its creation
	SealsFor      time.Duration // since when it may seal; negative: not yet
	Retired       bool          // never seals again, and is not searched for
	Revoked       bool          // an operator stopped it; it does not seal if another key can
	Destroyed     bool          // Wrapped.Blob is gone
	ChangedBy     string        // who last made, revoked, retired or destroyed it; "" for a process on its own
	ChangedWhy    string        // and why

	CreatedAt   time.Time // in UTC, as all times here
	SealsFrom   time.Time // when it begins to seal; for a data key CreatedAt
	RevokedAt   time.Time // zero: it was not
	DestroyedAt time.Time // zero: it was not
	// RetiredAt is when it stopped sealing: retired, revoked, or (from [Admin] only)
	// followed by the next. Zero: it seals, or will.
	RetiredAt time.Time

	// State is set by [Admin] only, which looks at the other keys of the ring too.
	State State
	// SettledFrom, set by [Admin] only, is when no process seals under an older search
	// key any more: rows are re-sealed after that, and then the older one is retired.
	SettledFrom time.Time
}

// Live reports whether the key may seal or be searched for: it is neither retired
// nor destroyed.
func (k Key) Live() bool { return !k.Retired && !k.Destroyed }

// Searched reports whether an equality search looks for the cells of the key.
func (k Key) Searched() bool { return k.Purpose == PurposeSearch && k.Live() }

// Call is a call to KMS about the key, whose keyring has the given name.
func (k Key) Call(keyring string) kms.Call {
	return kms.Call{
		Keyring: keyring, KeyID: k.ID, Purpose: string(k.Purpose), Scope: k.Scope, Epoch: k.Epoch, KEK: k.Wrapped.KeyID,
	}
}

// LogValue implements [slog.LogValuer]: the facts that name the key.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(audit.Key(k.ID, string(k.Purpose), k.Scope, k.Epoch, k.Wrapped.KeyID)...)
}

// Sealing returns the keys of one ring (one purpose and scope) that serve, given its
// keys newest first. The first one seals. An equality search looks for the cells of
// all of them.
//
// Of a ring of data keys only the newest serves. Of search keys every live one is
// searched for, and the newest whose time has come seals: a second search key is
// given a time to come, by which every process has read the ring and searches for
// both. Sealing returns nothing if the next key must be made first, or if the ring
// was destroyed.
func Sealing(ring []Key) []Key {
	if len(ring) == 0 || ring[0].Destroyed {
		return nil
	}
	if ring[0].Purpose != PurposeSearch {
		if ring[0].Retired {
			return nil
		}
		return ring[:1]
	}
	live := liveKeys(ring)
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

var errScope = errors.New("keyring: scope name is too long or not plain text; use at most 256 bytes of UTF-8 without control characters")

// CheckScope returns an error if scope cannot be the name of one.
func CheckScope(scope string) error {
	control := strings.ContainsFunc(scope, func(r rune) bool { return r < ' ' || r == 0x7f })
	if len(scope) > maxScope || control || !utf8.ValidString(scope) {
		return errScope
	}
	return nil
}
