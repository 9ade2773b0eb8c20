package keycache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/colseal/colseal/codec"
)

// SearchKeys returns the keys of col, a deterministic column, in ctx's scope: an
// equality search matches the cells of all of them, and the first one seals.
// There is one, but for the time in which a second is made live and the rows are
// sealed again. The first use in a scope makes it.
//
// The slice is shared: callers do not change it.
func (c *Cache) SearchKeys(ctx context.Context, col Column) ([]*codec.Key, error) {
	id := ringID{PurposeSearch, ScopeOf(ctx)}
	if r := c.ringNow(id); r != nil && r.hit() {
		if s := r.current.Load(); s != nil {
			if keys := s.column(col); keys != nil && s.hit() {
				c.hits.Add(1)
				return keys, nil
			}
		}
	}
	return c.searchSlow(ctx, id, col)
}

func (s *ringState) column(col Column) []*codec.Key {
	columns := *s.columns.Load()
	for i := range columns {
		if columns[i].col == col {
			return columns[i].keys
		}
	}
	return nil
}

// hit reports whether all keys of the ring may serve.
func (s *ringState) hit() bool {
	for _, k := range s.keys {
		if !k.entry.Load().hit() {
			return false
		}
	}
	return true
}

func (c *Cache) searchSlow(ctx context.Context, id ringID, col Column) ([]*codec.Key, error) {
	if purposeOf(col.Suite) != PurposeSearch {
		return nil, fmt.Errorf("keycache: column %s is not deterministic; use Sealer", col.Identity)
	}
	c.columns.learn(col)
	var how lookup
	defer func() { c.tally(how) }()
	err := errWiped
	for range sealTries {
		var s *ringState
		if s, err = c.state(ctx, id, &how); err != nil {
			return nil, err
		}
		var keys []*codec.Key
		if keys, err = c.searchKeys(ctx, s, col, &how); err == nil {
			s.publish(col, keys)
			return keys, nil
		}
		if !errors.Is(err, errWiped) {
			return nil, err
		}
	}
	return nil, c.explain("search with", Record{Purpose: id.purpose, Scope: id.scope}, err)
}

func (c *Cache) searchKeys(ctx context.Context, s *ringState, col Column, how *lookup) ([]*codec.Key, error) {
	keys := make([]*codec.Key, len(s.keys))
	for i, k := range s.keys {
		var err error
		if keys[i], err = c.keyOf(ctx, k, col, how); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// publish keeps a column's keys for the lookups to come. They stay right as long
// as the reading of the ring does, even when an entry is fetched again: a key id
// has one data key for ever.
func (s *ringState) publish(col Column, keys []*codec.Key) {
	for {
		old := s.columns.Load()
		if slices.ContainsFunc(*old, func(x searchKeys) bool { return x.col == col }) {
			return
		}
		next := append(slices.Clip(*old), searchKeys{col, keys})
		if s.columns.CompareAndSwap(old, &next) {
			return
		}
	}
}
