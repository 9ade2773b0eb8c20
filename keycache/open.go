package keycache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/hot"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"golang.org/x/sync/errgroup"
)

// Opener returns the key that opens the cells of col under the data key keyID,
// whatever its scope and age. It asks the keyring and KMS when the key is not in
// memory, together with whoever else asks for it then; ctx bounds the wait.
func (c *Cache) Opener(ctx context.Context, col Column, keyID uint32) (*codec.Key, error) {
	if k := c.HeldOpener(col, keyID); k != nil {
		return k, nil
	}
	return c.openSlow(ctx, col, keyID)
}

// HeldOpener is Opener if that has to wait for nothing; else it returns nil.
func (c *Cache) HeldOpener(col Column, keyID uint32) *codec.Key {
	var held Held
	if !c.Hold(&held, keyID) {
		return nil
	}
	defer held.Count()
	return held.Key(col)
}

// Held is a data key that was found in memory, for all columns of a statement or result. It does
// not keep the key: once the key has left memory, Held has none. The zero Held has none.
type Held struct {
	c     *Cache
	entry *entry
	next  int    // where the next column's key is looked for first
	hits  uint64 // not counted yet
}

// Hold makes h the data key keyID, and reports whether that is in memory and may serve.
func (c *Cache) Hold(h *Held, keyID uint32) bool {
	if h.entry == nil || h.c != c || h.entry.rec.ID != keyID || !h.entry.hit() {
		e := c.entries.Get(keyID)
		if e == nil || !e.hit() {
			return false
		}
		h.c, h.entry = c, e
	}
	return true
}

// Key returns the key of a column; nil if it is not in memory.
func (h *Held) Key(col Column) *codec.Key {
	if h.entry == nil {
		return nil
	}
	key, at := h.entry.keyFrom(h.next, col)
	if key != nil {
		h.next = at + 1
		h.hits++
	}
	return key
}

// Count counts the keys that were found, in [Stats].
func (h *Held) Count() {
	if h.hits > 0 {
		h.c.hits.Add(h.hits)
		h.hits = 0
	}
}

// evictionGrace is how long a plaintext key outlives its eviction for space.
const evictionGrace = time.Second

func (c *Cache) openSlow(ctx context.Context, col Column, keyID uint32) (*codec.Key, error) {
	if keyID == 0 {
		// A value that was looked up may come back in the result.
		if k, ok := c.nowhere.keys.Load(col); ok {
			return k.(*codec.Key), nil
		}
		return nil, c.notFound(0)
	}
	c.columns.learn(col)
	var how lookup
	defer func() { c.tally(how) }()
	err := errWiped
	for range 4 { // an entry may be evicted between being found and being expanded
		var (
			e *entry
			k *codec.Key
		)
		if e, err = c.entry(ctx, keyID, &how); err != nil {
			return nil, err
		}
		if k, err = c.expanded(ctx, e, col, &how); err == nil {
			return k, nil
		}
		if !errors.Is(err, errWiped) {
			return nil, err
		}
	}
	return nil, c.explain("expand", keyring.Key{ID: keyID, Purpose: purposeOf(col.Suite)}, err)
}

// lookup is how a caller's lookup went, for the statistics.
type lookup struct{ waited, stale bool }

func (c *Cache) tally(how lookup) {
	switch {
	case how.stale:
		c.count.staleHits.Add(1)
	case how.waited:
		c.count.misses.Add(1)
	default:
		c.hits.Add(1)
	}
}

// place returns the map that holds keys of a purpose. Inboxes have a map of their own: however many
// writers' keys come and go, the inboxes that open them stay.
func (c *Cache) place(p keyring.Purpose) *hot.Map[uint32, *entry] {
	if p == keyring.PurposeInbox {
		return c.inboxes
	}
	return c.entries
}

// held returns what is in memory of a key, or nil.
func (c *Cache) held(keyID uint32) *entry {
	if e := c.entries.Get(keyID); e != nil {
		return e
	}
	return c.inboxes.Get(keyID)
}

// entry returns the plaintext key of keyID, from memory if it may still serve.
func (c *Cache) entry(ctx context.Context, keyID uint32, how *lookup) (*entry, error) {
	return c.entryBy(ctx, keyID, flightName(keyID), how, c.record)
}

// entryBy is entry, with the name under which callers join, and how the key's record is read.
func (c *Cache) entryBy(ctx context.Context, keyID uint32, flight string, how *lookup, read func(context.Context, uint32) (keyring.Key, error)) (*entry, error) {
	e := c.held(keyID)
	if e != nil && e.serves(how) {
		return e, nil
	}
	how.waited = true
	fetched, err := shareOrStale(ctx, c, e != nil && e.state() == leaseDue, flight, func(ctx context.Context) (*entry, error) {
		if e := c.held(keyID); e != nil && e.state() == leaseFresh {
			return e, nil // it came between the look and this flight
		}
		return c.fetch(ctx, keyID, read)
	}, func() (*entry, bool) {
		if e == nil {
			return nil, false
		}
		e.failed(func() { c.attend(e) })
		return e, e.serves(how)
	})
	if err != nil {
		return nil, c.explain("get", keyring.Key{ID: keyID}, err)
	}
	return fetched, nil
}

// shareOrStale is like share, but falls back on what is held. While that is due for renewal, a
// lookup waits for [Cache.patience]. Then stale counts the failure and returns what is held, if
// that may still serve. If it left memory meanwhile, the lookup waits on.
func shareOrStale[T any](ctx context.Context, c *Cache, due bool, name string, work func(context.Context) (T, error), stale func() (T, bool)) (T, error) {
	wait := ctx
	if due {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, c.patience())
		defer cancel()
	}
	v, err := share(wait, c.flights, name, work)
	if err == nil || ctx.Err() != nil {
		return v, err
	}
	late := wait.Err() != nil
	if late {
		c.waitedInVain()
	}
	if late || passing(err) || errors.Is(err, kms.ErrTimeout) {
		if old, ok := stale(); ok {
			return old, nil
		}
	}
	if late {
		return share(ctx, c.flights, name, work)
	}
	return v, err
}

// patience returns how long a lookup waits that has something stale to serve: StaleWait. For a
// moment after another one waited in vain it is next to nothing, so that a statement that needs
// several keys waits once.
func (c *Cache) patience() time.Duration {
	if time.Now().UnixNano() < c.silent.Load() {
		return min(c.cfg.StaleWait, time.Millisecond)
	}
	return c.cfg.StaleWait
}

func (c *Cache) waitedInVain() { c.silent.Store(time.Now().Add(failureFor).UnixNano()) }

// entryFor is entry for a key of a ring, which must be that ring's. Whoever can
// write the keyring could give a row another scope, and have that scope seal under
// a key that is in memory for the first; KMS refuses the row as it is now.
func (c *Cache) entryFor(ctx context.Context, rec keyring.Key, how *lookup) (*entry, error) {
	for range 2 {
		e, err := c.entry(ctx, rec.ID, how)
		if err != nil || sameRing(e.rec, rec) {
			return e, err
		}
		c.evict(e)
	}
	return nil, keyring.Classify("get", rec, fmt.Errorf("%w: its row was changed while it was read", kms.ErrInvalidWrapped))
}

// sameRing reports whether two keys are of one purpose and scope.
func sameRing(a, b keyring.Key) bool { return a.Purpose == b.Purpose && a.Scope == b.Scope }

func flightName(keyID uint32) string { return fmt.Sprintf("key %08x", keyID) }

// record reads one key's record.
func (c *Cache) record(ctx context.Context, keyID uint32) (keyring.Key, error) {
	recs, err := c.keyring.Keys(ctx, []uint32{keyID})
	if err != nil {
		return keyring.Key{ID: keyID}, err
	}
	if len(recs) == 0 {
		return keyring.Key{ID: keyID}, c.notFound(keyID)
	}
	return recs[0], nil
}

func (c *Cache) notFound(keyID uint32) error {
	if keyID == 0 { // errors print no id for it
		return &keyring.Error{Op: "get", Class: keyring.ErrKeyNotFound, Cause: errZeroID, Hint: "the cell was altered, or never was one"}
	}
	return &keyring.Error{Op: "get", KeyID: keyID, Class: keyring.ErrKeyNotFound,
		Hint: "the cell may come from another database, or its keyring was not restored with the data"}
}

// errZeroID is for cells that name no key.
var errZeroID = errors.New("the id is 00000000, which no key has")

// fetch reads a record, unwraps its key and puts it into the cache, or notes
// what the failure means for the one that is there. It runs in a flight.
func (c *Cache) fetch(ctx context.Context, keyID uint32, read func(context.Context, uint32) (keyring.Key, error)) (*entry, error) {
	asked := time.Now()
	rec, err := read(ctx, keyID)
	if held, ok := c.custody.held.Peek(keyID); ok && errors.Is(err, keyring.ErrKeyNotFound) {
		rec, err = c.recover(ctx, held)
	}
	var plain []byte
	var hard time.Time
	switch {
	case err != nil:
	case rec.Destroyed:
		c.custody.held.Remove(keyID)
		err = &keyring.Error{Op: "get", Purpose: rec.Purpose, KeyID: rec.ID, Scope: rec.Scope, Class: keyring.ErrKeyDestroyed,
			Hint: "what was sealed under it is gone for good"}
	case rec.Invalid != nil:
		err = rec.Invalid
	default:
		plain, hard, err = c.unwrap(ctx, rec)
	}
	if err != nil {
		err = c.explain("unwrap", rec, err)
		c.failedFetch(ctx, keyID, err)
		return nil, err
	}
	return c.install(rec, plain, asked, hard)
}

// unwrap returns the plaintext of a key. If the key depends on an inbox, hard is when that may
// serve no longer.
func (c *Cache) unwrap(ctx context.Context, rec keyring.Key) (plain []byte, hard time.Time, err error) {
	switch {
	case c.writes():
		return nil, hard, writeOnly("unwrap", rec)
	case rec.Purpose != keyring.PurposeWriter:
		plain, err = c.gate.Unwrap(ctx, rec.Call(), rec.Wrapped)
		return plain, hard, err
	}
	to, err := c.inbox(ctx, rec)
	if err != nil {
		return nil, hard, err
	}
	c.custody.held.Get(to.rec.ID) // so that it stays there, too
	private := to.private.Load()
	if private == nil && to.wiped() {
		return nil, hard, errWiped
	}
	plain, err = rec.OpenedBy(to.rec, private)
	return plain, to.until(), err
}

// inbox returns the inbox that a writer's key is encrypted to. It checks the purpose before it
// fetches the inbox, and shares the work under another name than keys that open cells. Otherwise
// whoever may insert rows could make two of them wait for each other.
func (c *Cache) inbox(ctx context.Context, rec keyring.Key) (*entry, error) {
	noInbox := &keyring.Error{Op: "get", Purpose: rec.Purpose, KeyID: rec.ID, Scope: rec.Scope, Class: keyring.ErrKeyInvalid,
		Hint: "the key that it is encrypted to is no inbox"}
	if e := c.held(rec.WrappedTo); e != nil && e.rec.Purpose != keyring.PurposeInbox {
		return nil, noInbox
	}
	return c.entryBy(ctx, rec.WrappedTo, fmt.Sprintf("inbox %08x", rec.WrappedTo), new(lookup), func(ctx context.Context, id uint32) (keyring.Key, error) {
		to, err := c.record(ctx, id)
		if err == nil && to.Purpose != keyring.PurposeInbox {
			err = noInbox
		}
		return to, err
	})
}

// failedFetch lets an entry serve stale after a failure in passing, and drops it
// at once after a definite one.
func (c *Cache) failedFetch(ctx context.Context, keyID uint32, err error) {
	e := c.held(keyID)
	if e == nil || c.flights.base.Err() != nil {
		return
	}
	if passing(err) {
		e.failed(func() { c.attend(e) })
		c.reportStale(ctx, &e.lease, e.rec, err)
		return
	}
	c.log.Emit(ctx, audit.KeyDropped, keyAndError(e.rec, err)...)
	c.evict(e)
}

// install puts a key into the cache, or renews the one that is there. It wipes
// plain. The key serves no longer than until hard, unless that is zero.
func (c *Cache) install(rec keyring.Key, plain []byte, asked, hard time.Time) (*entry, error) {
	defer clear(plain)
	c.silent.Store(0) // KMS answers
	c.custody.held.Add(rec.ID, rec)
	cols, until := c.columns.of(rec.Purpose), terms{fresh: asked.Add(c.cfg.MaxAge), hard: asked.Add(c.cfg.MaxAge + c.cfg.MaxStale)}
	if !hard.IsZero() {
		until = until.within(hard)
	}
	if e := c.held(rec.ID); e != nil {
		same, err := e.renew(plain, cols)
		if err != nil {
			return nil, c.explain("expand", rec, err)
		}
		if same && sameRing(e.rec, rec) && e.start(until.fresh, until.hard, func() { c.attend(e) }) {
			c.count.refreshes.Add(1)
			return e, nil
		}
		c.evict(e)
	}
	e, err := newEntry(rec, plain, cols)
	if err != nil {
		return nil, c.explain("expand", rec, err)
	}
	e.start(until.fresh, until.hard, func() { c.attend(e) })
	gone := c.place(rec.Purpose).Add(rec.ID, e)
	for _, old := range gone {
		c.count.evictions.Add(1)
		c.outlive(old)
	}
	if c.flights.base.Err() != nil { // KMS answered after Close had given up waiting
		c.evict(e)
		return nil, ErrClosed
	}
	return e, nil
}

// outlive ends an entry that left for space, and wipes it a moment later: who
// waited for it, and was not scheduled yet, still gets it.
func (c *Cache) outlive(e *entry) {
	e.end()
	if !c.background(func(ctx context.Context) {
		select {
		case <-time.After(evictionGrace):
		case <-ctx.Done(): // by Close
		}
		e.wipe()
	}) {
		e.wipe()
	}
}

// evict drops an entry.
func (c *Cache) evict(e *entry) {
	if c.place(e.rec.Purpose).Remove(e.rec.ID, e) {
		c.count.evictions.Add(1)
	}
	e.wipe()
}

// attend is what an entry's timer runs: renew it if it is in use, drop it at its
// end.
func (c *Cache) attend(e *entry) {
	done, ok := c.flights.begin()
	if !ok {
		return
	}
	defer done()
	c.guard(func(ctx context.Context) {
		renew, ended := e.attention(func() { c.attend(e) })
		if ended {
			c.evict(e)
		}
		if renew && !c.writes() { // a writer's own key serves for its term
			// Its failure is noted by fetch, in the entry.
			_, err := shareAnew(ctx, c.flights, flightName(e.rec.ID), func(ctx context.Context) (*entry, error) {
				return c.fetch(ctx, e.rec.ID, c.record)
			})
			if c.reportPanic(err) {
				e.failed(func() { c.attend(e) })
			}
		}
	})
}

// Prefetch brings the data keys of the given ids into memory together: one query
// of the keyring for those that are missing, and their unwrapping side by side.
// Ids may repeat; 0 is passed over. It brings no more than the cache can hold.
//
// The error is one of those that [Cache.Opener] would give for these ids; the
// other keys are there all the same.
func (c *Cache) Prefetch(ctx context.Context, keyIDs []uint32) error {
	missing := c.missing(keyIDs)
	if len(missing) == 0 {
		return nil
	}
	read := c.batch(missing)
	var group errgroup.Group
	group.SetLimit(4 * c.cfg.KMSParallel)
	for _, id := range missing {
		group.Go(func() error {
			c.count.misses.Add(1)
			if e := c.held(id); e != nil && e.state() == leaseDue {
				// It may serve stale, as Opener decides, who waits as long at most.
				_, _ = c.entry(ctx, id, new(lookup))
				return nil
			}
			_, err := share(ctx, c.flights, flightName(id), func(ctx context.Context) (*entry, error) {
				if e := c.held(id); e != nil && e.state() == leaseFresh {
					return e, nil
				}
				return c.fetch(ctx, id, read)
			})
			if err != nil {
				return c.explain("get", keyring.Key{ID: id}, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// missing returns the distinct ids that are not in memory, or must be renewed.
func (c *Cache) missing(ids []uint32) []uint32 {
	var missing []uint32
	seen := make(map[uint32]bool, min(len(ids), c.cfg.MaxEntries))
	for _, id := range ids {
		if id == 0 || seen[id] {
			continue
		}
		if len(seen) == c.cfg.MaxEntries {
			break
		}
		seen[id] = true
		if e := c.held(id); e == nil || e.state() < leaseStale {
			missing = append(missing, id)
		}
	}
	return missing
}

// batch returns a reader of records that reads them all when it is first asked
// for one. Those of keys that someone else is fetching are read for nothing.
func (c *Cache) batch(ids []uint32) func(context.Context, uint32) (keyring.Key, error) {
	var (
		once sync.Once
		recs map[uint32]keyring.Key
		err  error
	)
	return func(ctx context.Context, id uint32) (keyring.Key, error) {
		once.Do(func() {
			var all []keyring.Key
			all, err = c.keyring.Keys(ctx, ids)
			recs = make(map[uint32]keyring.Key, len(all))
			for _, r := range all {
				recs[r.ID] = r
			}
		})
		if err != nil {
			return keyring.Key{ID: id}, err
		}
		rec, ok := recs[id]
		if !ok {
			return keyring.Key{ID: id}, c.notFound(id)
		}
		return rec, nil
	}
}
