package keycache

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// A ring is what this process knows of the keys that seal for one purpose and
// scope. Its lease says how old that knowledge may be: a key that was retired or
// destroyed elsewhere stops sealing here when the ring is read again.
type ring struct {
	lease
	id      ringID
	current atomic.Pointer[ringState] // nil until first read
	spent   atomic.Uint32             // id of a key whose seals are spent: not to be chosen again
}

type ringID struct {
	purpose keyring.Purpose
	scope   string
}

func (id ringID) flightName() string { return "ring " + string(id.purpose) + " " + id.scope }

// ringState is one reading of a ring. Only what is atomic in it changes.
type ringState struct {
	keys    []*liveKey // keys[0] seals; search keys: every one that is live
	columns atomic.Pointer[[]searchKeys]
}

// liveKey is a key in a ring.
type liveKey struct {
	rec      keyring.Key
	born     time.Time     // by this process's clock, for the statistics
	reserved atomic.Uint64 // of its seals, by all processes, as far as is known here
	entry    atomic.Pointer[entry]
	gone     atomic.Bool // it left its ring: what is reserved of it goes back
	budget   budget
}

// searchKeys are a search ring's keys for one column, in the ring's order.
type searchKeys struct {
	col  Column
	keys []*codec.Key
}

// ringNow returns the ring if it is held. Most programs have no scopes, and theirs
// needs no look into the map. A ring that was dropped may be found here until it is
// replaced; it has ended, so that it never serves.
func (c *Cache) ringNow(id ringID) *ring {
	if id.scope == "" {
		if r := c.homeOf(id).Load(); r != nil {
			return r
		}
	}
	return c.rings.Get(id)
}

func (c *Cache) homeOf(id ringID) *atomic.Pointer[ring] {
	if id.purpose == keyring.PurposeSearch {
		return &c.home[1]
	}
	return &c.home[0]
}

// ring returns the ring of ctx's scope, read or not.
func (c *Cache) ring(id ringID) *ring {
	if r := c.rings.Get(id); r != nil {
		return r
	}
	r, gone := c.rings.GetOrAdd(id, &ring{id: id})
	for _, old := range gone {
		c.dropRing(old)
	}
	return r
}

// dropRing ends a ring that left the table.
func (c *Cache) dropRing(r *ring) {
	r.end()
	// After Close there is no background, but then Close releases.
	c.background(func(ctx context.Context) {
		if s := r.current.Load(); s != nil {
			c.giveBack(ctx, s)
		}
	})
}

// errNoKey: a ring has no key that serves, and none is to be made.
var errNoKey = errors.New("keycache: no key")

// state returns what is known of a ring, read again if it must be. A key that it lacks is made,
// or is errNoKey.
func (c *Cache) state(ctx context.Context, id ringID, makes bool, how *lookup) (*ringState, error) {
	makes = makes && !c.cfg.ReadOnly
	r := c.rings.Get(id)
	if r == nil {
		if err := keyring.CheckScope(id.scope); err != nil {
			return nil, err
		}
		r = c.ring(id)
	}
	if s := r.current.Load(); s != nil && r.serves(how) {
		return s, nil
	}
	how.waited = true
	name := id.flightName()
	if !makes {
		name += " as it is"
	}
	s, err := shareOrStale(ctx, c, r.current.Load() != nil && r.state() == leaseDue, name, func(ctx context.Context) (*ringState, error) {
		if s := r.current.Load(); s != nil && r.state() == leaseFresh {
			return s, nil // it was read between the look and this flight
		}
		return c.readRing(ctx, id, makes)
	}, func() (*ringState, bool) {
		s := r.current.Load()
		if s == nil {
			return nil, false
		}
		r.failed(func() { c.attendRing(r) })
		return s, r.serves(how)
	})
	switch {
	case err != nil:
		return nil, c.explain("get", keyring.Key{Purpose: id.purpose, Scope: id.scope}, err)
	case s == nil:
		return nil, errNoKey
	}
	return s, nil
}

// attendRing is what a ring's timer runs.
func (c *Cache) attendRing(r *ring) {
	done, ok := c.flights.begin()
	if !ok {
		return
	}
	defer done()
	c.guard(func(ctx context.Context) {
		renew, ended := r.attention(func() { c.attendRing(r) })
		if ended && c.rings.Remove(r.id, r) {
			c.dropRing(r)
		}
		if renew {
			// Another failure is noted in the ring.
			if c.reportPanic(c.rereadRing(ctx, r.id)) {
				r.failed(func() { c.attendRing(r) })
			}
		}
	})
}

// rereadRing reads a ring whether it is due or not.
func (c *Cache) rereadRing(ctx context.Context, id ringID) error {
	_, err := shareAnew(ctx, c.flights, id.flightName(), func(ctx context.Context) (*ringState, error) {
		return c.readRing(ctx, id, !c.cfg.ReadOnly)
	})
	return err
}

// readRing reads a ring from the keyring, makes the key that it lacks, unwraps its keys, and
// publishes it. If there is no key and makes is false, it returns nil, which is not remembered. It
// runs in a flight.
func (c *Cache) readRing(ctx context.Context, id ringID, makes bool) (*ringState, error) {
	r := c.ring(id)
	s, until, err := c.assemble(ctx, r, makes)
	if errors.Is(err, errNoKey) {
		if c.rings.Remove(id, r) {
			c.dropRing(r)
		}
		return nil, nil
	}
	if err != nil {
		err = c.explain("get", keyring.Key{Purpose: id.purpose, Scope: id.scope}, err)
		if passing(err) {
			r.failed(func() { c.attendRing(r) })
			c.reportStale(ctx, &r.lease, keyring.Key{Purpose: id.purpose, Scope: id.scope}, err)
		} else if c.rings.Remove(id, r) {
			c.dropRing(r)
		}
		return nil, err
	}
	c.leave(r.current.Swap(s), s)
	if !r.start(until.fresh, until.hard, func() { c.attendRing(r) }) {
		// Evicted meanwhile. The reading serves whoever waits for it.
		c.dropRing(r)
	} else if id.scope == "" {
		c.homeOf(id).Store(r)
	}
	return s, nil
}

type terms struct{ fresh, hard time.Time }

// within returns the terms, cut at a time.
func (t terms) within(end time.Time) terms {
	if end.Before(t.fresh) {
		t.fresh = end
	}
	if end.Before(t.hard) {
		t.hard = end
	}
	return t
}

// assemble is readRing without the publication.
//
// Whoever may insert rows can put one in the place of the newest data key. It does not
// unwrap, so it is passed over, and the next key is made: once for each look at the ring,
// of which there are keyring.IDTries.
func (c *Cache) assemble(ctx context.Context, r *ring, makes bool) (*ringState, terms, error) {
	id := r.id
	if c.writes() {
		return c.assembleWriter(ctx, r)
	}
	var passed *unusable
	for range keyring.IDTries { // losing an epoch means reading again, and finding it
		asked, granted := time.Now(), uint64(0)
		read, err := c.keyring.Ring(ctx, id.purpose, id.scope)
		if err != nil {
			return nil, terms{}, err
		}
		recovered, err := c.recoverRing(ctx, r, read)
		if err != nil {
			c.stop(r, true)
			return nil, terms{}, err
		}
		if recovered {
			if read, err = c.keyring.Ring(ctx, id.purpose, id.scope); err != nil {
				return nil, terms{}, err
			}
		}
		c.sawID(read.Keyring)
		if read.Scoped || id.scope != "" {
			c.scoped.Store(true)
		}
		c.reportStrays(ctx, read)
		stopped := r.stopped(read.Keys)
		verdict := c.judge(id.purpose, read, r.spent.Load(), passed)
		if verdict.err != nil {
			c.stop(r, stopped)
			return nil, terms{}, verdict.err
		}
		if verdict.create > 0 && !makes {
			if verdict.must {
				c.stop(r, stopped)
				return nil, terms{}, errNoKey
			}
			verdict.create = 0
		}
		if verdict.create > 0 {
			if id.purpose == keyring.PurposeData {
				granted = c.firstBlock() // stored with the key, so reserved with it
			}
			made, err := c.create(ctx, id, read.Keyring, verdict.create, granted, passed)
			switch {
			case err == nil && made == nil:
				continue // another process won
			case err == nil:
				verdict.live = []keyring.Key{made.rec}
			case verdict.must:
				c.stop(r, stopped)
				return nil, terms{}, err
			default:
				// Ahead of need: the present key serves until the next look.
				granted = 0
				c.log.EmitSparse(ctx, audit.KeyDelayed, []string{string(id.purpose), id.scope},
					keyAndError(keyring.Key{Purpose: id.purpose, Scope: id.scope, Epoch: verdict.create}, err)...)
			}
		}
		s, bad, err := c.ringOf(ctx, asked, verdict.live, r.current.Load(), granted)
		if bad != nil && id.purpose == keyring.PurposeData {
			passed = bad
			continue
		}
		if err != nil {
			c.stop(r, stopped)
			return nil, terms{}, err
		}
		return s, c.termsOf(id.purpose, asked, verdict.live[0]), nil
	}
	if passed != nil {
		c.stop(r, r.stopped(nil))
		return nil, terms{}, passed.err
	}
	return nil, terms{}, errNoFreeID
}

// lastID returns the keyring's id as it was last read, or "". A keyring that lost all of its rows
// gets this id again, so that the keys in memory still belong to it.
func (c *Cache) lastID() string {
	if id := c.identity.Load(); id != nil {
		return *id
	}
	return ""
}

// sawID remembers the keyring's id.
func (c *Cache) sawID(id string) {
	if id != "" && id != c.lastID() {
		c.identity.Store(&id)
	}
}

// unusable is a key of a ring that KMS definitely does not unwrap, or whose row cannot
// be a key's.
type unusable struct {
	key keyring.Key
	err error
}

// isUnusable tells whether an error about a key is definite, and not that it was destroyed.
func isUnusable(err error) bool {
	return errors.Is(err, kms.ErrInvalidWrapped) || errors.Is(err, kms.ErrDenied) || errors.Is(err, keyring.ErrKeyInvalid)
}

// reportStrays tells of rows that are no part of their ring, or cannot be keys.
func (c *Cache) reportStrays(ctx context.Context, read keyring.Ring) {
	for _, k := range read.Keys {
		if err := cmp.Or(k.Invalid, k.Stray); err != nil && !k.Retired && !k.Destroyed {
			c.reportInvalid(ctx, k, err)
		}
	}
}

func (c *Cache) reportInvalid(ctx context.Context, k keyring.Key, err error) {
	c.log.EmitSparse(ctx, audit.KeyInvalid, []string{string(k.Purpose), k.Scope}, keyAndError(k, err)...)
}

// stopped reports whether the data key that seals here was retired; or, whatever the purpose,
// is not in the ring any more. One that was recovered may seal on until its successor is made.
func (r *ring) stopped(recs []keyring.Key) bool {
	s := r.current.Load()
	if s == nil {
		return false
	}
	i := slices.IndexFunc(recs, func(rec keyring.Key) bool { return rec.ID == s.keys[0].rec.ID })
	return i < 0 || r.id.purpose == keyring.PurposeData && recs[i].Retired && !recs[i].Recovered
}

// stop forgets a key that is known to be retired or gone: it does not seal on, as a
// stale one, until KMS hands out its successor.
func (c *Cache) stop(r *ring, stopped bool) {
	if stopped {
		c.leave(r.current.Swap(nil), nil)
	}
}

// A verdict on a ring as it was read: the keys that are to serve, and the epoch
// to create, if any.
type verdict struct {
	live   []keyring.Key // data: the one that seals; search: every live one, the one that seals first
	create int64         // 0: none
	must   bool          // …before anything can be sealed; otherwise ahead of need
	err    error         // neither is possible
}

// judge decides by the keyring's facts alone, and by what is known of a key: that it is
// spent, or unusable.
func (c *Cache) judge(purpose keyring.Purpose, read keyring.Ring, spent uint32, passed *unusable) verdict {
	if tomb, destroyed := read.Tombstone(); destroyed {
		return verdict{err: keyring.ScopeDestroyed(tomb)}
	}
	if fault := read.Fault(); fault != nil {
		return verdict{err: fault}
	}
	v := verdict{live: keyring.Sealing(read.Keys)}
	if len(v.live) == 0 {
		return verdict{create: read.Next, must: true}
	}
	newest := v.live[0]
	switch {
	case purpose != keyring.PurposeData:
	case passed != nil && newest.ID == passed.key.ID, newest.ID == spent,
		newest.Age >= c.cfg.RotateEvery, newest.SealsReserved >= c.cfg.MaxSeals:
		return verdict{create: read.Next, must: true}
	case slices.ContainsFunc(read.Keys, func(k keyring.Key) bool { return k.Recovered && k.Epoch > newest.Epoch }):
		// The keyring was set back: what was reserved of this one may be lost, too.
		v.create = read.Next
	case newest.Age >= c.rotateAt() || newest.SealsReserved >= c.cfg.MaxSeals/2 && c.cfg.MaxSeals > 1:
		v.create = read.Next
	}
	return v
}

// rotateAt returns the age at which this process makes the next data key, ahead of
// RotateEvery by the lead time and up to as much again: long enough that every
// process has read the ring again, in the background, before the present key is
// due; and not the same in every process.
func (c *Cache) rotateAt() time.Duration {
	lead := min(max(2*c.cfg.MaxAge, c.cfg.RotateEvery/20), c.cfg.RotateEvery/4)
	return c.cfg.RotateEvery - lead - time.Duration(c.lead*float64(lead))
}

// termsOf: a ring serves as long as a key does, and no longer than its data key
// may seal.
func (c *Cache) termsOf(purpose keyring.Purpose, asked time.Time, sealing keyring.Key) terms {
	t := terms{fresh: asked.Add(c.cfg.MaxAge)}
	t.hard = t.fresh.Add(c.cfg.MaxStale)
	if purpose == keyring.PurposeSearch {
		return t
	}
	return t.within(asked.Add(c.cfg.RotateEvery - sealing.Age))
}

// ringOf has the keys of a ring unwrapped. A key that was in the ring before
// keeps its budget; one that was just made comes with what its creation granted.
// A key that is unusable is returned with its error.
//
// A search key that is unusable is passed over only if an operator revoked it: the cells
// under it, if there are any, would be missing from what a search finds.
func (c *Cache) ringOf(ctx context.Context, asked time.Time, live []keyring.Key, before *ringState, granted uint64) (*ringState, *unusable, error) {
	s := &ringState{}
	s.columns.Store(&[]searchKeys{})
	var bad *unusable
	for _, rec := range live {
		e, err := c.entryFor(ctx, rec, new(lookup))
		if err != nil && isUnusable(err) {
			c.reportInvalid(ctx, rec, err)
			bad = &unusable{rec, err}
			if rec.Purpose == keyring.PurposeSearch && rec.Revoked && !errors.Is(err, kms.ErrDenied) {
				continue
			}
		}
		if err != nil {
			return nil, bad, err
		}
		k := before.find(rec.ID)
		if k == nil {
			k = &liveKey{rec: rec, born: asked.Add(-rec.Age)}
			k.budget.add(granted)
		}
		k.reserved.Store(rec.SealsReserved)
		k.entry.Store(e)
		s.keys = append(s.keys, k)
	}
	if len(s.keys) == 0 {
		return nil, bad, bad.err
	}
	return s, nil, nil
}

func (s *ringState) find(id uint32) *liveKey {
	if s == nil {
		return nil
	}
	for _, k := range s.keys {
		if k.rec.ID == id {
			return k
		}
	}
	return nil
}

var errNoFreeID = hint.With(errors.New("keycache: no free key id was found"), "see what of the key table keeps rows out, or hides them: a trigger, a rule, or row-level security")

// create makes the data key of an epoch, wraps it and stores it, and only then
// puts it into the cache. It returns nil when another process won the epoch:
// what was made here is wiped, and no cell ever saw it. It runs in a flight.
//
// passed is the key in whose place it is made, if there is one. If KMS refused that one,
// and makes keys under the same KEK, then it is not the row that is wrong: every process
// would make keys that the others cannot use.
//
// A process that dies anywhere in here leaves either no row, and then no cell,
// or a row that the others find and use.
func (c *Cache) create(ctx context.Context, id ringID, identity string, epoch int64, reserve uint64, passed *unusable) (*entry, error) {
	for range keyring.IDTries {
		if identity == "" { // the keyring is new
			var err error
			if identity, err = c.keyring.Identify(ctx, c.lastID()); err != nil {
				return nil, err
			}
		}
		asked := time.Now()
		rec := keyring.Key{ID: keyring.NewID(), Keyring: identity, Purpose: id.purpose, Scope: id.scope, Epoch: epoch, SealsReserved: reserve}
		dk, err := c.gate.Generate(ctx, rec.Call())
		if err != nil {
			return nil, err
		}
		if passed != nil && errors.Is(passed.err, kms.ErrDenied) && dk.Wrapped.KeyID == passed.key.Wrapped.KeyID {
			dk.Wipe()
			return nil, passed.err
		}
		rec.Wrapped = dk.Wrapped
		won, err := c.keyring.Insert(ctx, rec)
		if err == nil && won {
			c.count.created.Add(1)
			if epoch > 1 {
				c.count.rotations.Add(1)
			}
			c.log.Emit(ctx, audit.KeyMade(epoch), rec.LogValue().Group()...)
			return c.install(rec, dk.Plaintext, asked, time.Time{})
		}
		dk.Wipe()
		if err != nil {
			// It may have been stored all the same; the next look will show.
			return nil, err
		}
		read, err := c.keyring.Ring(ctx, id.purpose, id.scope)
		if err != nil {
			return nil, err
		}
		if read.Next > epoch || read.Keyring != identity {
			return nil, nil
		}
		// The id was taken, not the epoch.
	}
	return nil, errNoFreeID
}
