package keycache

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/colseal/colseal/codec"
)

// A Column is what a key is expanded for: the column's cryptographic identity
// (its join group's, if it is in one) and the suite of its cells.
type Column struct {
	Identity string
	Suite    codec.Suite
}

// check returns nil if keys can be expanded for the column.
func (c Column) check() error {
	if !c.Suite.Valid() {
		return fmt.Errorf("keycache: %w: %d", codec.ErrSuite, uint8(c.Suite))
	}
	if c.Identity == "" || len(c.Identity) > math.MaxUint16 {
		return fmt.Errorf("keycache: column identity of %d bytes, want 1 to %d", len(c.Identity), math.MaxUint16)
	}
	return nil
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

// of returns the columns whose keys have the given purpose.
func (s *columnSet) of(p Purpose) []Column {
	return slices.DeleteFunc(slices.Clone(*s.list.Load()), func(c Column) bool { return purposeOf(c.Suite) != p })
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
	if e.rec.Purpose != purposeOf(col.Suite) {
		return nil, &Error{Op: "use", Purpose: e.rec.Purpose, KeyID: e.rec.ID, Scope: e.rec.Scope, Cause: codec.ErrAuth,
			Mend: "no cell of this kind was ever sealed under a key of this purpose: the cell was altered"}
	}
	if e.wiped() {
		return nil, errWiped
	}
	how.waited = true
	c.columns.learn(col)
	fetched, err := share(ctx, c.flights, flightName(e.rec.ID), func(ctx context.Context) (*entry, error) {
		if e := c.entries.Get(e.rec.ID); e != nil && e.key(col) != nil {
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
