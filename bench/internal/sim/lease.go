package sim

import "time"

// A lease models keycache's lease of a key or a ring: how long it may serve, when it is
// renewed, and the marks that eviction and renewal go by. It differs in one thing: a lookup
// does not set the marks. Its owner accounts for lookups when somebody looks at the marks.
type lease struct {
	owner        holder
	recent, used bool

	soft, fresh, hard time.Duration // ends of its parts, by the run's clock
	failing, ended    bool
	retry             time.Duration // until the next try but one, 0 if the last one did not fail
	retryAt           time.Duration
	lastUsed          time.Duration
	armed             uint64 // counts timers: all but the last are void
}

// A holder is an entry or a ring.
type holder interface {
	process() *process
	settle()  // accounts for the lookups until now
	resume()  // expects lookups again after a change
	renew()   // begins a renewal
	dropped() // takes it out of the cache, at its end
}

type leaseState uint8

const (
	leaseEnded leaseState = iota // may not serve
	leaseDue                     // must be renewed before it serves
	leaseStale                   // may serve, because a renewal has just failed
	leaseFresh                   // may serve
)

// The times of keycache that no setting changes.
const (
	renewRetryMin = time.Second
	renewRetryMax = 30 * time.Second
)

func (l *lease) state(now time.Duration) leaseState {
	switch {
	case l.ended || now >= l.hard:
		return leaseEnded
	case now < l.fresh:
		return leaseFresh
	case l.failing:
		return leaseStale
	}
	return leaseDue
}

// serves reports whether the lease may serve, and marks it as used. Like in keycache, a fresh
// one is not recent by that.
func (l *lease) serves(now time.Duration) bool {
	switch l.state(now) {
	case leaseFresh:
	case leaseStale:
		l.recent = true
	default:
		return false
	}
	l.used = true
	return true
}

// Recent implements hot.Value.
func (l *lease) Recent() bool {
	l.owner.settle()
	recent := l.recent
	l.recent = false
	return recent
}

// start begins a lease, or a further term of it, unless it has ended.
func (l *lease) start(fresh, hard time.Duration) {
	if l.ended {
		return
	}
	r := l.owner.process().run
	l.owner.settle()
	l.fresh, l.hard, l.failing, l.retry = fresh, hard, false, 0
	soft := time.Duration(float64(fresh-r.now) * (0.60 + 0.25*r.random.Float64()))
	l.soft = r.now + soft
	l.arm(soft / 2)
	l.owner.resume()
}

// failed notes a renewal that failed, and arms the next try.
func (l *lease) failed() {
	if l.ended {
		return
	}
	r := l.owner.process().run
	if wait := l.retryAt - r.now; l.failing && wait > 0 {
		l.arm(wait)
		return
	}
	l.owner.settle()
	l.failing = true
	if l.retry == 0 {
		l.retry = renewRetryMin
	}
	wait := r.jitter(l.retry)
	l.retry = min(l.retry*3/2, renewRetryMax)
	l.retryAt = r.now + wait
	l.arm(wait)
	l.owner.resume()
}

// attention is what the timer runs.
func (l *lease) attention() {
	now := l.owner.process().run.now
	l.owner.settle()
	switch {
	case l.ended || now >= l.hard:
		l.owner.dropped()
		return
	case now < l.soft:
		l.used = false
		l.arm(l.soft - now)
		return
	}
	if l.used {
		l.lastUsed = now
	}
	l.used = false
	if l.lastUsed == now || l.failing && now-l.lastUsed < renewRetryMax {
		l.arm(l.hard - now)
		l.owner.resume()
		l.owner.renew()
		return
	}
	l.failing = false
	half := (l.fresh - now) / 2
	switch {
	case half > renewRetryMin:
		l.arm(half)
	case half > 0:
		l.arm(l.fresh - now)
	default:
		l.arm(l.hard - now)
	}
	l.owner.resume()
}

// arm sets the timer, never beyond a change of state.
func (l *lease) arm(d time.Duration) {
	r := l.owner.process().run
	for _, end := range []time.Duration{l.fresh, l.hard} {
		if left := end - r.now; left > 0 {
			d = min(d, left)
		}
	}
	l.armed++
	mine := l.armed
	r.at(r.now+max(d, 0), func() {
		if l.armed == mine {
			l.attention()
		}
	})
}

// end ends the lease.
func (l *lease) end() {
	l.ended = true
	l.armed++
}
