package sim

import (
	"math"
	"time"

	"github.com/colseal/colseal/internal/hot"
)

// A process models one process of the fleet: a keycache.Cache, and what is looked up in it.
//
// Lookups by the workload are a Poisson process for each key and for each ring. They are not
// simulated one by one: while a key serves, a lookup changes nothing but marks, which are drawn
// when somebody looks at them. Only while a key does not serve, the next lookup is an event.
type process struct {
	run      *run
	gate     gate
	entries  *hot.Map[int, *entry]
	rings    *hot.Map[int, *ring]
	keys     []*keyView
	scopes   []scopeView
	rotateAt time.Duration // age at which this process makes a tenant's next key
}

// A keyView is what a process knows of one data key.
type keyView struct {
	flight
	lookups
	entry *entry // in the cache, or nil
	met   bool   // was in the cache once
}

// A scopeView is what a process knows of one tenant.
type scopeView struct {
	flight
	lookups
	ring *ring // in the cache, or nil
	read *ring // what came of the last flight; it may have left the cache meanwhile
}

// A flight is work that all who want its result wait for.
type flight struct {
	waiters     []func(ok bool)
	underWay    bool
	failedUntil time.Duration // a failure is remembered, and given at once, until then
}

// fly has work begun unless it is under way, and answer called with its result.
func (f *flight) fly(answer func(ok bool), work func()) {
	if answer != nil {
		f.waiters = append(f.waiters, answer)
	}
	if !f.underWay {
		f.underWay = true
		work()
	}
}

// land ends a flight.
func (f *flight) land(r *run, ok bool) {
	waiters := f.waiters
	f.waiters, f.underWay, f.failedUntil = nil, false, 0
	if !ok {
		f.failedUntil = r.now + failureFor + time.Duration(r.random.Float64()*float64(failureFor))
	}
	for _, answer := range waiters {
		answer(ok)
	}
}

// The times of keycache that no setting changes.
const (
	failureFor = time.Second
	kmsTimeout = 5 * time.Second
)

// Lookups are those of one key, or of one tenant's ring, by one process.
type lookups struct {
	mode mode
	from time.Duration // accounted for until then
	next uint64        // counts expected lookups: all but the last are void
}

// A mode is what becomes of lookups.
type mode uint8

const (
	modeWaits  mode = iota // the next is an event
	modeServes             // they mark
	modeStale              // they mark, and are counted as stale
)

// settle accounts for the lookups of a rate until now: whether there was one.
func (l *lookups) settle(r *run, rate float64) bool {
	from := l.from
	l.from = r.now
	if l.mode == modeWaits || from == r.now || rate == 0 {
		return false
	}
	n := rate * (r.load(r.now) - r.load(from))
	if l.mode == modeStale {
		r.staleHits += n * r.weight
	}
	return r.random.Float64() < -math.Expm1(-n)
}

// expect sets the mode and has do called at the next lookup, if that is an event. It does so
// after a time until when none is to be.
func (l *lookups) expect(r *run, m mode, rate float64, until time.Duration, do func()) {
	l.mode, l.from = m, r.now
	l.next++
	if m != modeWaits || rate == 0 {
		return
	}
	mine := l.next
	r.at(r.nextLookup(until, rate), func() {
		if l.next == mine {
			do()
		}
	})
}

// An entry models a data key in memory.
type entry struct {
	lease
	p   *process
	key int
}

func (e *entry) process() *process { return e.p }
func (e *entry) settle()           { e.p.settleKey(e.key) }
func (e *entry) resume()           { e.p.resumeKey(e.key) }
func (e *entry) renew()            { e.p.fetch(e.key, nil) }
func (e *entry) dropped() {
	e.p.entries.Remove(e.key, e)
	e.p.gone(e)
}

// A ring models what is known of a tenant's keys.
type ring struct {
	lease
	p      *process
	scope  int
	key    int    // that seals; -1 until the ring was read
	linked *entry // of that key, when it last sealed
	paid   bool   // some seals of the key are reserved
}

func (g *ring) process() *process { return g.p }
func (g *ring) settle()           { g.p.settleRing(g.scope) }
func (g *ring) resume()           { g.p.resumeRing(g.scope, 0) }
func (g *ring) renew()            { g.p.readRing(g.scope, nil) }
func (g *ring) dropped() {
	g.p.rings.Remove(g.scope, g)
	g.p.goneRing(g)
}

// settleKey accounts for all lookups that mark a key.
func (p *process) settleKey(key int) {
	p.settleReads(key)
	if scope := p.run.keys[key].scope; p.seals(scope, key) {
		p.settleRing(scope)
	}
}

// seals reports whether a key is that of a tenant's ring.
func (p *process) seals(scope, key int) bool {
	g := p.scopes[scope].ring
	return g != nil && g.key == key
}

func (p *process) settleReads(key int) {
	v := p.keys[key]
	if v.settle(p.run, p.run.readRate(key)) {
		v.entry.recent, v.entry.used = true, true
	}
}

func (p *process) settleRing(scope int) {
	v := &p.scopes[scope]
	if v.settle(p.run, p.run.writeRate(scope)) {
		e := p.keys[v.ring.key].entry
		v.ring.recent, v.ring.used, e.recent, e.used = true, true, true, true
	}
}

// resumeKey expects lookups after a change to a key's entry.
func (p *process) resumeKey(key int) {
	p.resumeReads(key, 0)
	if scope := p.run.keys[key].scope; p.seals(scope, key) {
		p.resumeRing(scope, 0)
	}
}

func (p *process) resumeReads(key int, until time.Duration) {
	v := p.keys[key]
	v.expect(p.run, p.modeOf(v.entry), p.run.readRate(key), until, func() {
		failed := p.arrives(func(done func(ok bool)) { p.get(key, done) })
		p.resumeReads(key, p.skip(failed, p.run.readRate(key), v.failedUntil))
	})
}

func (p *process) modeOf(e *entry) mode {
	if e != nil {
		switch e.state(p.run.now) {
		case leaseFresh:
			return modeServes
		case leaseStale:
			return modeStale
		}
	}
	return modeWaits
}

func (p *process) resumeRing(scope int, until time.Duration) {
	v := &p.scopes[scope]
	v.expect(p.run, p.modeOfRing(v.ring), p.run.writeRate(scope), until, func() {
		failed := p.arrives(func(done func(ok bool)) { p.seal(scope, done) })
		remembered := v.failedUntil
		if v.ring != nil && v.ring.key >= 0 {
			remembered = max(remembered, p.keys[v.ring.key].failedUntil)
		}
		p.resumeRing(scope, p.skip(failed, p.run.writeRate(scope), remembered))
	})
}

func (p *process) modeOfRing(g *ring) mode {
	if g == nil || g.key < 0 || !g.paid {
		return modeWaits
	}
	e := p.keys[g.key].entry
	m, state := p.modeOf(e), g.state(p.run.now)
	switch {
	case m == modeWaits || state < leaseStale:
		return modeWaits
	case m == modeStale || state == leaseStale:
		return modeStale
	case g.linked != e: // the next one links it, and marks less
		return modeWaits
	}
	return modeServes
}

// arrives does an operation that begins now and counts what comes of it, at once or later. It
// reports whether the operation has failed at once.
func (p *process) arrives(operation func(done func(ok bool))) (failed bool) {
	r := p.run
	at, weight := r.now, r.weight
	operation(func(ok bool) {
		took := r.now - at
		if took > r.cfg.Patience {
			took, ok = r.cfg.Patience, false
		}
		if !ok {
			r.failed += weight
			if took == 0 {
				failed = true
				r.failedAtOnce += weight
			}
		}
		if took > 0 {
			r.waits.add(took, weight)
		}
	})
	return failed
}

// skip counts the lookups that fail at once because one has, and returns until when they do.
func (p *process) skip(failed bool, rate float64, remembered time.Duration) time.Duration {
	r := p.run
	if !failed || remembered <= r.now {
		return 0
	}
	n := rate * (r.load(remembered) - r.load(r.now)) * r.weight
	r.failed += n
	r.failedAtOnce += n
	return remembered
}

// get finds a key in the cache, or has it fetched.
func (p *process) get(key int, done func(ok bool)) {
	r, v := p.run, p.keys[key]
	p.settleKey(key)
	e := v.entry
	if e != nil && e.serves(r.now) {
		done(true)
		return
	}
	answered := false
	answer := func(ok bool) {
		if answered {
			return
		}
		answered = true
		if !ok && e != nil {
			e.failed()
			if ok = e.serves(r.now); ok {
				r.staleHits += r.weight
			}
		}
		done(ok)
	}
	if r.now < v.failedUntil {
		answer(false)
		return
	}
	if e != nil && e.state(r.now) == leaseDue {
		r.at(r.now+kmsTimeout, func() { answer(false) })
	}
	p.fetch(key, answer)
}

// fetch reads a key's record and has it unwrapped.
func (p *process) fetch(key int, answer func(ok bool)) {
	r, v := p.run, p.keys[key]
	v.fly(answer, func() {
		asked := r.now
		rare := !v.met && r.keys[key].made
		r.after(r.cfg.KeyringLatency, func() {
			p.gate.call(rare, func(ok bool) {
				if ok {
					p.install(key, asked)
				} else if v.entry != nil {
					v.entry.failed()
				}
				v.land(r, ok)
			})
		})
	})
}

// install puts a key into the cache, or renews the one that is there.
func (p *process) install(key int, asked time.Duration) {
	r, v := p.run, p.keys[key]
	fresh := asked + r.maxAge
	v.met = true
	if v.entry != nil {
		r.refreshes += r.weight
		v.entry.start(fresh, fresh+r.maxStale)
		return
	}
	e := &entry{p: p, key: key}
	e.owner = e
	p.settleKey(key)
	v.entry = e
	e.start(fresh, fresh+r.maxStale)
	for _, old := range p.entries.Add(key, e) {
		p.gone(old)
	}
}

// gone ends an entry that has left the cache.
func (p *process) gone(e *entry) {
	p.run.evictions += p.run.weight
	p.settleKey(e.key)
	e.end()
	p.keys[e.key].entry = nil
	p.resumeKey(e.key)
}

func (p *process) goneRing(g *ring) {
	p.settleRing(g.scope)
	g.end()
	p.scopes[g.scope].ring = nil
	p.resumeRing(g.scope, 0)
}

// seal finds the key that seals for a tenant, and some seals of it.
func (p *process) seal(scope int, done func(ok bool)) {
	p.settleRing(scope)
	// The way of a hit is tried first, and leaves marks as far as it comes.
	if g := p.scopes[scope].ring; g != nil && g.state(p.run.now) == leaseFresh {
		g.recent, g.used = true, true
		if e := g.linked; e != nil && e.state(p.run.now) == leaseFresh {
			e.recent, e.used = true, true
		}
	}
	p.sealing(scope, func(g *ring, ok bool) {
		if !ok {
			done(false)
			return
		}
		p.get(g.key, func(ok bool) {
			if !ok {
				done(false)
				return
			}
			p.settleRing(scope)
			g.linked = p.keys[g.key].entry
			if g.paid {
				p.resumeRing(scope, 0)
				done(true)
				return
			}
			p.run.after(p.run.cfg.KeyringLatency, func() {
				p.settleRing(scope)
				g.paid = true
				p.resumeRing(scope, 0)
				done(true)
			})
		})
	})
}

// sealing finds a tenant's ring in the cache, or reads it.
func (p *process) sealing(scope int, done func(g *ring, ok bool)) {
	r, v := p.run, &p.scopes[scope]
	g := p.ringOf(scope)
	if g.key >= 0 && g.serves(r.now) {
		done(g, true)
		return
	}
	answer := func(ok bool) {
		if ok {
			g = v.read
		} else if g.key >= 0 {
			g.failed()
			ok = g.serves(r.now)
		}
		done(g, ok)
	}
	if r.now < v.failedUntil {
		answer(false)
		return
	}
	p.readRing(scope, answer)
}

// ringOf returns a tenant's ring, read or not.
func (p *process) ringOf(scope int) *ring {
	v := &p.scopes[scope]
	if v.ring == nil {
		g := &ring{p: p, scope: scope, key: -1}
		g.owner = g
		v.ring = g
		for _, old := range p.rings.Add(scope, g) {
			p.goneRing(old)
		}
	}
	return v.ring
}

// readRing reads a ring, makes the key that it lacks, and has its key unwrapped.
func (p *process) readRing(scope int, answer func(ok bool)) {
	r, v := p.run, &p.scopes[scope]
	v.fly(answer, func() {
		g := p.ringOf(scope)
		p.assemble(scope, func(found reading, ok bool) {
			if !ok {
				g.failed()
			} else {
				p.settleRing(scope)
				if g.key != found.key {
					g.key, g.paid = found.key, found.made
				}
				g.linked, v.read = p.keys[g.key].entry, g
				fresh := found.asked + r.maxAge
				g.start(min(fresh, found.due), min(fresh+r.maxStale, found.due))
			}
			v.land(r, ok)
		})
	})
}

// A reading is what came of reading a ring.
type reading struct {
	key        int
	made       bool // by this process, just now
	asked, due time.Duration
}

func (p *process) assemble(scope int, done func(reading, bool)) {
	r := p.run
	asked := r.now
	unwrapped := func(key int, made bool) {
		found := reading{key, made, asked, r.now + r.lapsed(r.rotateEvery-r.age(key))}
		p.get(key, func(ok bool) { done(found, ok) })
	}
	r.after(r.cfg.KeyringLatency, func() {
		newest := r.newest(scope)
		if r.age(newest) < p.rotateAt {
			unwrapped(newest, false)
			return
		}
		must := r.age(newest) >= r.rotateEvery
		made := r.now
		p.gate.call(true, func(ok bool) {
			if !ok {
				if must {
					done(reading{}, false)
				} else {
					unwrapped(newest, false)
				}
				return
			}
			r.after(r.cfg.KeyringLatency, func() {
				if r.newest(scope) != newest { // another process won
					r.after(r.cfg.KeyringLatency, func() { p.assemble(scope, done) })
					return
				}
				key := r.makeKey(scope)
				p.install(key, made)
				unwrapped(key, true)
			})
		})
	})
}

// scan looks up all keys, one after the other, each time that it is due.
func (p *process) scan() {
	r := p.run
	step := time.Duration(float64(time.Second) / r.cfg.ScanRate)
	var look func(keys []int)
	look = func(keys []int) {
		if len(keys) == 0 {
			r.at(r.now+r.cfg.ScanEvery, p.scan)
			return
		}
		p.lookUp(keys[0], func() { r.at(r.now+step, func() { look(keys[1:]) }) })
	}
	look(r.allKeys())
}

// replay looks up what the trace says.
func (p *process) replay(next source) {
	a, ok := next()
	if !ok {
		return
	}
	p.run.at(max(a.At, p.run.now), func() {
		p.lookUp(p.run.newest(a.Key), func() {})
		p.replay(next)
	})
}

// lookUp is one lookup beside the workload's; then is called when it has ended.
func (p *process) lookUp(key int, then func()) {
	r := p.run
	r.ops += r.weight
	p.settleKey(key)
	e := p.keys[key].entry
	if p.modeOf(e) == modeServes {
		e.recent, e.used = true, true
		then()
		return
	}
	p.arrives(func(done func(ok bool)) {
		p.get(key, func(ok bool) { done(ok); then() })
	})
}
