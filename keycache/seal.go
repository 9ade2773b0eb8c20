package keycache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// Tries at getting hold of a key that rotation, eviction or other callers keep
// taking away. Each failure means that someone else made progress.
const sealTries = 16

// Sealer returns the key that seals cells of col, a randomized column, now: the
// newest data key of ctx's scope. The first use in a scope makes one, and the
// key stands in the keyring, committed, before Sealer returns.
//
// n is the number of cells about to be sealed. It is taken from the budget of
// the key; the caller seals no more than n with it and asks again for the next.
// An n of more than half of MaxSeals gives [keyring.ErrBudget]: no key may have as much
// left.
func (c *Cache) Sealer(ctx context.Context, col Column, n int) (*codec.Key, error) {
	if k := c.HeldSealer(ctx, col, n); k != nil {
		return k, nil
	}
	return c.sealSlow(ctx, ringID{keyring.PurposeData, keyring.ScopeOf(ctx)}, col, uint64(max(n, 0))) //nolint:gosec // not negative
}

// HeldSealer is Sealer if that has to wait for nothing; else it returns nil.
func (c *Cache) HeldSealer(ctx context.Context, col Column, n int) *codec.Key {
	data := c.HeldData(ctx)
	if key := data.Key(col); key != nil && data.Take(n) {
		data.Count()
		return key
	}
	return nil
}

// HeldData is the data key that seals now in a scope.
type HeldData struct {
	Held
	ring *ring
	key  *liveKey
}

// HeldData returns the newest data key of ctx's scope if it is in memory and may serve.
func (c *Cache) HeldData(ctx context.Context) HeldData {
	r := c.ringNow(ringID{keyring.PurposeData, keyring.ScopeOf(ctx)})
	if r == nil || !r.hit() {
		return HeldData{}
	}
	s := r.current.Load()
	if s == nil {
		return HeldData{}
	}
	k := s.keys[0]
	e := k.entry.Load()
	if !e.hit() {
		return HeldData{}
	}
	return HeldData{Held{c: c, entry: e}, r, k}
}

// Take takes n cells, of any columns, from the key's budget, as [Cache.Sealer] does. It returns
// false if the caller has to wait for more. Call it before the key seals: seals that were not taken
// are not counted.
func (h *HeldData) Take(n int) bool {
	seals := uint64(max(n, 0)) //nolint:gosec // not negative
	if h.key == nil || !h.key.budget.take(seals) {
		return false
	}
	h.c.taken(h.ring, h.key, seals)
	return true
}

func (c *Cache) taken(r *ring, k *liveKey, seals uint64) {
	c.seals.Add(seals)
	if k.budget.low() {
		c.refill(r, k)
	}
}

func (c *Cache) sealSlow(ctx context.Context, id ringID, col Column, seals uint64) (*codec.Key, error) {
	if purposeOf(col.Suite) != keyring.PurposeData {
		return nil, hint.With(fmt.Errorf("keycache: column %s is not randomized", col.Identity), "use SearchKeys")
	}
	if c.writes() && !col.Inbox {
		return nil, writeOnly("seal with", keyring.Key{Purpose: id.purpose, Scope: id.scope})
	}
	if most := max(c.cfg.MaxSeals/2, 1); seals > most {
		return nil, &keyring.Error{Op: "seal with", Purpose: id.purpose, Scope: id.scope, Class: keyring.ErrBudget,
			Hint: fmt.Sprintf("seal at most %d cells at a time, or raise MaxSeals", most)}
	}
	c.columns.learn(col)
	var how lookup
	defer func() { c.tally(how) }()
	err := errWiped
	for range sealTries {
		var key *codec.Key
		if key, err = c.trySeal(ctx, id, col, seals, &how); err == nil {
			return key, nil
		}
		if !errors.Is(err, errWiped) && !errors.Is(err, errSpent) {
			return nil, err
		}
	}
	return nil, c.explain("seal with", keyring.Key{Purpose: id.purpose, Scope: id.scope}, err)
}

// trySeal is one try. errWiped and errSpent mean: try again.
func (c *Cache) trySeal(ctx context.Context, id ringID, col Column, seals uint64, how *lookup) (*codec.Key, error) {
	s, err := c.state(ctx, id, true, how)
	if errors.Is(err, errNoKey) {
		err = c.explain("seal with", keyring.Key{Purpose: id.purpose, Scope: id.scope}, err)
	}
	if err != nil {
		return nil, err
	}
	if c.cfg.ReadOnly {
		return nil, c.explain("seal with", keyring.Key{Purpose: id.purpose, Scope: id.scope}, errNoKey)
	}
	k, r := s.keys[0], c.ring(id)
	if c.writes() && k.entry.Load().wiped() { // it left memory, and cannot be had again
		how.waited = true
		return nil, c.noReserve(ctx, r, k, errSpent)
	}
	key, err := c.keyOf(ctx, k, col, how)
	if err != nil {
		return nil, err
	}
	// A block may be taken by others before it comes to this caller; then it has
	// the next one reserved. That ends with ctx, or with the key's seals.
	for !k.budget.take(seals) {
		if k.budget.failing.Load() && k.budget.borrow(seals, c.credit) {
			how.stale = true
			break
		}
		how.waited = true
		if err = c.reserveSoon(ctx, r, k, seals, seals); err != nil {
			return nil, c.noReserve(ctx, r, k, err)
		}
	}
	c.taken(r, k, seals)
	return key, nil
}

// noReserve finds out what it means that no seals could be reserved. errSpent:
// the ring was read again, and there may be another key.
func (c *Cache) noReserve(ctx context.Context, r *ring, k *liveKey, err error) error {
	if !errors.Is(err, errSpent) {
		return c.explain("reserve seals of", k.rec, err)
	}
	// Retired, destroyed, or no seals left: in each case the ring is to be read
	// again, and this key is not to be chosen again.
	r.spent.Store(k.rec.ID)
	if err := c.rereadRing(ctx, r.id); err != nil {
		return c.explain("get", keyring.Key{Purpose: r.id.purpose, Scope: r.id.scope}, err)
	}
	return errSpent
}

// keyOf returns the key of a ring for a column, fetched again if it left memory.
func (c *Cache) keyOf(ctx context.Context, k *liveKey, col Column, how *lookup) (*codec.Key, error) {
	if c.writes() {
		return c.expanded(ctx, k.entry.Load(), col, how)
	}
	e, err := c.entryFor(ctx, k.rec, how)
	if err != nil {
		return nil, err
	}
	k.entry.Store(e)
	return c.expanded(ctx, e, col, how)
}

// Warm makes sure that the keys which seal in ctx's scope exist and are in
// memory, for data keys, search keys or both, so that the next statement waits
// for neither KMS nor the keyring. Before a SQLite transaction that writes it is
// a need: while one is open, nothing else can write, the keyring included.
func (c *Cache) Warm(ctx context.Context, purposes ...keyring.Purpose) error {
	for _, p := range purposes {
		if c.Held(ctx, p) {
			continue
		}
		s, err := c.state(ctx, ringID{p, keyring.ScopeOf(ctx)}, true, new(lookup))
		if errors.Is(err, errNoKey) {
			continue // it makes none, and so needs none
		}
		if err != nil {
			return err
		}
		if c.writes() {
			continue
		}
		for _, k := range s.keys {
			e, err := c.entryFor(ctx, k.rec, new(lookup)) // it may have left memory
			if err != nil {
				return c.explain("get", k.rec, err)
			}
			k.entry.Store(e)
		}
		if k := s.keys[0]; p == keyring.PurposeData && !c.cfg.ReadOnly && (k.budget.left.Load() == 0 || k.budget.low()) {
			r := c.ring(ringID{p, keyring.ScopeOf(ctx)})
			if err := c.reserveSoon(ctx, r, k, 1, max(k.budget.block.Load()/4, 1)); err != nil && !errors.Is(err, errSpent) {
				return c.explain("reserve seals of", k.rec, err)
			}
		}
	}
	return nil
}

// Held reports whether [Cache.Warm] has to wait for nothing.
func (c *Cache) Held(ctx context.Context, p keyring.Purpose) bool {
	r := c.ringNow(ringID{p, keyring.ScopeOf(ctx)})
	if r == nil || !r.hit() {
		return false
	}
	s := r.current.Load()
	if s == nil || !s.hit() || p == keyring.PurposeSearch {
		return s != nil && s.hit()
	}
	b := &s.keys[0].budget
	return b.left.Load() > 0 && (!b.low() || c.firstBlock() == c.blocks.first)
}

// SearchKeys returns the keys of col, a deterministic or ordered column, in ctx's scope: an
// equality search matches the cells of all of them, and the first one seals.
// There is one, but for the time in which a second is made live and the rows are
// sealed again. The first use in a scope makes it.
//
// The slice is shared: callers do not change it.
func (c *Cache) SearchKeys(ctx context.Context, col Column) ([]*codec.Key, error) {
	if keys := c.HeldSearchKeys(ctx, col); keys != nil {
		return keys, nil
	}
	return c.searchSlow(ctx, ringID{keyring.PurposeSearch, keyring.ScopeOf(ctx)}, col, true)
}

// HeldSearchKeys is SearchKeys if that has to wait for nothing; else it returns nil.
func (c *Cache) HeldSearchKeys(ctx context.Context, col Column) []*codec.Key {
	id := ringID{keyring.PurposeSearch, keyring.ScopeOf(ctx)}
	if r := c.ringNow(id); r != nil && r.hit() {
		if s := r.current.Load(); s != nil {
			if keys := s.column(col); keys != nil && s.hit() {
				c.hits.Add(1)
				return keys
			}
		}
	}
	return nil
}

// LookupKeys is SearchKeys for a statement that stores nothing. In a scope without search keys it
// makes none and does not ask KMS. It returns a key of which there are no stored cells, so that the
// statement finds nothing. Such a key has the key id 0 and is known in this process only. Each call
// looks up whether the scope has keys by now.
func (c *Cache) LookupKeys(ctx context.Context, col Column) ([]*codec.Key, error) {
	if keys := c.HeldSearchKeys(ctx, col); keys != nil {
		return keys, nil
	}
	keys, err := c.searchSlow(ctx, ringID{keyring.PurposeSearch, keyring.ScopeOf(ctx)}, col, false)
	if errors.Is(err, errNoKey) {
		k, err := c.nowhere.key(col)
		return []*codec.Key{k}, err
	}
	return keys, err
}

// nowhere is a search key under which nothing is stored, expanded for each column that asked
// for it.
type nowhere struct{ keys sync.Map } // of Column to *codec.Key

func (n *nowhere) key(col Column) (*codec.Key, error) {
	if k, ok := n.keys.Load(col); ok {
		return k.(*codec.Key), nil
	}
	plain := make([]byte, kms.DataKeySize)
	defer clear(plain)
	_, _ = rand.Read(plain) // never fails
	k, err := codec.NewKey(plain, 0, col.Suite, col.Identity)
	if err != nil {
		return nil, err
	}
	first, _ := n.keys.LoadOrStore(col, k)
	return first.(*codec.Key), nil
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

func (c *Cache) searchSlow(ctx context.Context, id ringID, col Column, makes bool) ([]*codec.Key, error) {
	if purposeOf(col.Suite) != keyring.PurposeSearch {
		return nil, hint.With(fmt.Errorf("keycache: column %s is randomized", col.Identity), "use Sealer")
	}
	c.columns.learn(col)
	var how lookup
	defer func() { c.tally(how) }()
	err := errWiped
	for range sealTries {
		var s *ringState
		s, err = c.state(ctx, id, makes, &how)
		if errors.Is(err, errNoKey) && makes {
			err = c.explain("search with", keyring.Key{Purpose: id.purpose, Scope: id.scope}, err)
		}
		if err != nil {
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
	return nil, c.explain("search with", keyring.Key{Purpose: id.purpose, Scope: id.scope}, err)
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
// has one data key permanently.
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
