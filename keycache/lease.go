package keycache

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// A lease is how long something that was fetched may be used:
//
//	fetched ─── serves ──▶ soft ─── serves, renewed if in use ──▶ MaxAge ─── serves only while
//	                                                              renewal fails in passing ──▶ MaxAge+MaxStale: ended
//
// A lookup reads one atomic word and no clock, which costs twice the rest of the lookup: the
// lease's timer takes the fresh mark away when MaxAge is reached. A timer is late by a scheduling
// delay, milliseconds, never early. Everything off that path compares timestamps.
//
// Ages count from before the request was sent, and only a renewal that succeeded moves them.
type lease struct {
	marks atomic.Uint32

	mu       sync.Mutex // guards the following; nothing blocks under it
	timer    *time.Timer
	soft     time.Time
	fresh    time.Time
	hard     time.Time
	failing  bool // the last renewal met an unavailable KMS or keyring
	ended    bool
	retry    *backoff.ExponentialBackOff
	retryAt  time.Time
	lastUsed time.Time // as far as the timer has seen
}

// The marks of a lease.
const (
	markFresh  = 1 << iota // may serve
	markRecent             // served since eviction last looked
	markUsed               // served since the timer last looked
)

const markAll = markFresh | markRecent | markUsed

// The states of a lease.
type leaseState uint8

const (
	leaseEnded leaseState = iota // may not serve
	leaseDue                     // must be renewed before it serves
	leaseStale                   // may serve, since a renewal has just failed in passing
	leaseFresh                   // may serve
)

// Retries of a failed renewal: from a second to half a minute apart.
const (
	renewRetryMin = time.Second
	renewRetryMax = 30 * time.Second
)

// hit reports whether the lease is fresh, and marks it as used.
func (l *lease) hit() bool {
	marks := l.marks.Load()
	if marks == markAll { // the usual case writes nothing, so that readers share the cache line
		return true
	}
	if marks&markFresh == 0 {
		return false
	}
	l.marks.Or(markRecent | markUsed)
	return true
}

// Recent implements hot.Value.
func (l *lease) Recent() bool { return l.marks.And(^uint32(markRecent))&markRecent != 0 }

func (l *lease) state() leaseState {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case l.ended || !now.Before(l.hard):
		return leaseEnded
	case now.Before(l.fresh):
		return leaseFresh
	case l.failing:
		return leaseStale
	}
	return leaseDue
}

// until returns when the lease ends if it is not renewed.
func (l *lease) until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hard
}

// serves is hit by the timestamps: it reports whether the lease may serve, fresh
// or stale, and marks it as used. A first use comes this way, and does not yet
// count as recent: what is used once leaves before what is used again.
func (l *lease) serves(how *lookup) bool {
	switch l.state() {
	case leaseFresh:
	case leaseStale:
		how.stale = true
		l.marks.Or(markRecent)
	default:
		return false
	}
	l.marks.Or(markUsed)
	return true
}

// start begins a lease, or a further term of it; false if it has ended. tick is
// called in a goroutine of its own whenever the lease wants attention.
func (l *lease) start(fresh, hard time.Time, tick func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.fresh, l.hard, l.failing, l.retry = fresh, hard, false, nil
	l.marks.Or(markFresh)
	// Between 60 and 85 % of the term: processes and keys that started together
	// do not renew together.
	soft := time.Duration(float64(time.Until(fresh)) * (0.60 + 0.25*rand.Float64()))
	l.soft = time.Now().Add(soft)
	l.arm(soft/2, tick)
	return true
}

// failed notes a renewal that failed in passing and arms the next try. Everyone
// who waited for it may say so; the first is heard.
func (l *lease) failed(tick func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if wait := time.Until(l.retryAt); l.failing && wait > 0 {
		l.arm(wait, tick)
		return
	}
	l.failing = true
	if l.retry == nil {
		l.retry = backoff.NewExponentialBackOff()
		l.retry.InitialInterval, l.retry.MaxInterval = renewRetryMin, renewRetryMax
		l.retry.Reset()
	}
	wait := l.retry.NextBackOff()
	l.retryAt = time.Now().Add(wait)
	l.arm(wait, tick)
}

// attention is called by tick and says what it is to do.
func (l *lease) attention(tick func()) (renew, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.ended || !now.Before(l.hard) {
		return false, true
	}
	if now.Before(l.soft) {
		// Only what is used after this look is in use: the one use that had it
		// fetched is no reason to renew it.
		l.marks.And(^uint32(markUsed))
		l.arm(l.soft.Sub(now), tick)
		return false, false
	}
	if !now.Before(l.fresh) {
		l.marks.And(^uint32(markFresh))
	}
	if l.marks.And(^uint32(markUsed))&markUsed != 0 {
		l.lastUsed = now
	}
	// While renewal fails, looks are a second apart and less, and say little.
	if l.lastUsed.Equal(now) || l.failing && now.Sub(l.lastUsed) < renewRetryMax {
		// failed or start arms the timer again; should neither happen, because
		// the renewal is given up, the end of the term still comes.
		l.arm(time.Until(l.hard), tick)
		return true, false
	}
	// Not in use: no renewal, but look again halfway to MaxAge, and again, so
	// that a key which comes into use late in its term is renewed in time.
	l.failing = false
	half := l.fresh.Sub(now) / 2
	switch {
	case half > renewRetryMin:
		l.arm(half, tick)
	case half > 0:
		l.arm(l.fresh.Sub(now), tick)
	default:
		l.arm(l.hard.Sub(now), tick)
	}
	return false, false
}

// arm sets the timer, never beyond a change of state that nobody else notices.
// The caller holds mu.
func (l *lease) arm(d time.Duration, tick func()) {
	for _, end := range []time.Time{l.fresh, l.hard} {
		if left := time.Until(end); left > 0 {
			d = min(d, left)
		}
	}
	d = max(d, 0)
	if l.timer == nil {
		l.timer = time.AfterFunc(d, tick)
		return
	}
	l.timer.Reset(d)
}

// end ends the lease for good.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.marks.And(^uint32(markFresh))
	if l.timer != nil {
		l.timer.Stop()
	}
}
