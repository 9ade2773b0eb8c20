package sim

import "time"

// A gate models keycache's gate to KMS: so many calls at once, three tries, and a circuit
// breaker.
type gate struct {
	run   *run
	free  int      // calls that may begin
	queue []func() // calls that wait for one to end

	// The breaker is closed while openUntil is zero. After that time it lets one call probe.
	failures  int // in a row
	openUntil time.Duration
	probing   bool
	era       int // counts changes of its state: answers from before are ignored
}

// The limits of keycache that no setting changes.
const (
	kmsTries      = 3
	kmsRetryMin   = 100 * time.Millisecond
	breakerTrips  = 6
	breakerPauses = 3 * time.Second
)

// call asks KMS. rare says that the call is due once in the simulated time, whatever the lapse.
func (g *gate) call(rare bool, done func(ok bool)) { g.try(1, kmsRetryMin, rare, done) }

func (g *gate) try(n int, retry time.Duration, rare bool, done func(ok bool)) {
	if g.free == 0 {
		g.queue = append(g.queue, func() { g.ask(n, retry, rare, done) })
		return
	}
	g.free--
	g.ask(n, retry, rare, done)
}

func (g *gate) ask(n int, retry time.Duration, rare bool, done func(ok bool)) {
	if !g.allows() {
		g.leave()
		done(false)
		return
	}
	r, era := g.run, g.era
	weight := r.weightOf(rare)
	r.kmsCalls += weight
	took, ok := r.askKMS()
	r.after(took, func() {
		g.heard(era, ok)
		g.leave()
		switch {
		case ok:
			done(true)
			return
		case n == kmsTries:
			done(false)
		default:
			r.after(r.jitter(retry), func() { g.try(n+1, retry*3/2, rare, done) })
		}
		r.kmsErrors += weight
	})
}

// leave lets the next call begin.
func (g *gate) leave() {
	if len(g.queue) == 0 {
		g.free++
		return
	}
	next := g.queue[0]
	g.queue = g.queue[1:]
	next()
}

func (g *gate) allows() bool {
	if g.openUntil == 0 {
		return true
	}
	if g.run.now <= g.openUntil || g.probing {
		return false
	}
	g.probing = true
	g.era++
	return true
}

// heard notes the answer to a call that was allowed in an era.
func (g *gate) heard(era int, ok bool) {
	switch {
	case era != g.era:
		return
	case ok:
		g.failures = 0
		if !g.probing {
			return
		}
		g.openUntil = 0
	default:
		if g.failures++; g.failures < breakerTrips && !g.probing {
			return
		}
		g.openUntil = g.run.now + breakerPauses
	}
	g.probing, g.failures = false, 0
	g.era++
}
