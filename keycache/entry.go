package keycache

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/keyring"
)

// errWiped: the entry left the cache between being found and being used.
var errWiped = hint.With(errors.New("keycache: data key was evicted while in use"), "raise MaxEntries")

// An entry is what is kept of one plaintext data key: the keys that were expanded
// from it, one for each column of its purpose.
//
// The plaintext itself is not kept: it is wiped as soon as it is expanded. A
// column that nobody had named until then has the key unwrapped once more.
// Expanded keys that were handed out go on working after the entry has left the
// cache; they are the garbage collector's.
type entry struct {
	lease
	rec     keyring.Key
	print   fingerprint
	columns atomic.Pointer[[]expanded]    // replaced as a whole; nil once wiped
	private atomic.Pointer[inbox.Private] // of an inbox, which has no columns
}

type expanded struct {
	col Column
	key *codec.Key
}

// fingerprint tells whether two plaintext keys are the same one, and nothing else
// of them: they are 256 random bits.
type fingerprint [sha256.Size]byte

// newEntry expands plain, which it does not keep, for cols.
func newEntry(rec keyring.Key, plain []byte, cols []Column) (*entry, error) {
	e := &entry{rec: rec, print: printOf(plain)}
	if rec.Purpose == keyring.PurposeInbox {
		private, err := rec.Private(plain)
		if err != nil {
			return nil, err
		}
		e.private.Store(private)
	}
	columns, err := expand(rec.ID, plain, nil, cols)
	if err != nil {
		return nil, err
	}
	e.columns.Store(&columns)
	return e, nil
}

func printOf(plain []byte) (sum fingerprint) {
	inSecret(func() { sum = sha256.Sum256(plain) })
	return sum
}

// key returns the key expanded for col if there is one. A schema has few columns,
// and its identities are the same strings each time: comparing their addresses
// finds almost every key without reading them, faster than a map would. The
// second pass is for an equal string from elsewhere.
func (e *entry) key(col Column) *codec.Key {
	k, _ := e.keyFrom(0, col)
	return k
}

// keyFrom is key, which looks at place from first, where the key of the next column of a statement
// often stands. It returns the key's place, too.
func (e *entry) keyFrom(from int, col Column) (*codec.Key, int) {
	p := e.columns.Load()
	if p == nil {
		return nil, 0
	}
	columns := *p
	if from < len(columns) && columns[from].same(&col) {
		return columns[from].key, from
	}
	for i := range columns {
		if columns[i].same(&col) {
			return columns[i].key, i
		}
	}
	for i := range columns {
		if x := &columns[i]; x.col == col {
			return x.key, i
		}
	}
	return nil, 0
}

// same reports whether x is for a column whose identity is the same string in memory.
func (x *expanded) same(col *Column) bool {
	return unsafe.StringData(x.col.Identity) == unsafe.StringData(col.Identity) &&
		len(x.col.Identity) == len(col.Identity) && x.col.Suite == col.Suite && x.col.Inbox == col.Inbox
}

// expand appends to have the keys for those of cols that it lacks. What the
// library allocates on the way is erased where [inSecret] can see to it.
func expand(id uint32, plain []byte, have []expanded, cols []Column) ([]expanded, error) {
	have = slices.Clip(have)
	for _, col := range cols {
		if slices.ContainsFunc(have, func(x expanded) bool { return x.col == col }) {
			continue
		}
		var (
			k   *codec.Key
			err error
		)
		inSecret(func() { k, err = codec.NewKey(plain, id, col.Suite, col.Identity) })
		if err != nil {
			return nil, err
		}
		have = append(have, expanded{col, k})
	}
	return have, nil
}

// renew adds the keys for those of cols that the entry lacks. It is false if plain
// is not the entry's data key, or the entry was wiped.
func (e *entry) renew(plain []byte, cols []Column) (bool, error) {
	print := printOf(plain)
	have := e.columns.Load()
	if have == nil || subtle.ConstantTimeCompare(e.print[:], print[:]) != 1 {
		return false, nil
	}
	columns, err := expand(e.rec.ID, plain, *have, cols)
	if err != nil {
		return false, err
	}
	if len(columns) == len(*have) {
		return true, nil
	}
	return e.columns.CompareAndSwap(have, &columns), nil
}

// wipe ends the entry. A lookup that comes later is answered by the keyring.
func (e *entry) wipe() {
	e.end()
	e.columns.Store(nil)
	e.private.Store(nil)
}

func (e *entry) wiped() bool { return e.columns.Load() == nil }

// A Column is what a key is expanded for: the column's cryptographic identity
// (its join group's, if it is in one), the suite of its cells, and whether there may be cells
// under writers' keys in it.
type Column struct {
	Identity string
	Suite    codec.Suite
	Inbox    bool
}

// takes reports whether the column's cells may be under keys of a purpose.
func (c Column) takes(p keyring.Purpose) bool {
	return p == purposeOf(c.Suite) || p == keyring.PurposeWriter && c.Inbox && c.Suite == codec.SuiteRandomized
}

// check returns nil if keys can be expanded for the column.
func (c Column) check() error {
	if !c.Suite.Valid() {
		return fmt.Errorf("keycache: %w: %d", codec.ErrSuite, uint8(c.Suite))
	}
	if c.Identity == "" || len(c.Identity) > math.MaxUint16 {
		return fmt.Errorf("keycache: column identity of %d bytes, want 1 to %d", len(c.Identity), math.MaxUint16)
	}
	return codec.CheckIdentity(c.Suite, c.Identity)
}

// columnSet is every column that keys are expanded for as soon as they are
// unwrapped, so that their plaintext need not be kept: those that [New] was given
// and those that were asked for since. A program names columns by its schema, so
// they are few.
type columnSet struct{ list atomic.Pointer[[]Column] }

func (s *columnSet) learn(cols ...Column) {
	for {
		old := s.list.Load()
		var next []Column
		if old != nil {
			next = slices.Clip(*old)
		}
		for _, col := range cols {
			// One that cannot be expanded must not spoil the others.
			if col.check() == nil && !slices.Contains(next, col) {
				next = append(next, col)
			}
		}
		if old != nil && len(next) == len(*old) || s.list.CompareAndSwap(old, &next) {
			return
		}
	}
}

// of returns the columns whose cells may be under keys of the given purpose.
func (s *columnSet) of(p keyring.Purpose) []Column {
	return slices.DeleteFunc(slices.Clone(*s.list.Load()), func(c Column) bool { return !c.takes(p) })
}

// expanded returns e's key for col. A column that was not known when e was
// unwrapped costs another call to KMS, for everyone who waits for it.
// errWiped: e left the cache meanwhile.
func (c *Cache) expanded(ctx context.Context, e *entry, col Column, how *lookup) (*codec.Key, error) {
	if k := e.key(col); k != nil {
		return k, nil
	}
	if err := col.check(); err != nil {
		return nil, err
	}
	if !col.takes(e.rec.Purpose) {
		hint := "no cell of this kind was ever sealed under a key of this purpose: the cell was altered"
		if e.rec.Purpose == keyring.PurposeWriter {
			hint = "it is a write-only program's key, and the column is not one that such a program may write: the cell was forged, or the column's tag lacks inbox"
		}
		return nil, &keyring.Error{Op: "use", Purpose: e.rec.Purpose, KeyID: e.rec.ID, Scope: e.rec.Scope, Cause: codec.ErrAuth, Hint: hint}
	}
	if e.wiped() {
		return nil, errWiped
	}
	how.waited = true
	c.columns.learn(col)
	fetched, err := share(ctx, c.flights, flightName(e.rec.ID), func(ctx context.Context) (*entry, error) {
		if e := c.held(e.rec.ID); e != nil && e.key(col) != nil {
			return e, nil // someone else was as quick
		}
		return c.fetch(ctx, e.rec.ID, c.record)
	})
	if err != nil {
		return nil, c.explain("expand", e.rec, err)
	}
	if k := fetched.key(col); k != nil {
		return k, nil
	}
	return nil, errWiped // the flight was under way before col was known: the next one is not
}

// purposeOf returns the purpose of the keys for a suite.
func purposeOf(s codec.Suite) keyring.Purpose {
	if s.Searchable() {
		return keyring.PurposeSearch
	}
	return keyring.PurposeData
}
