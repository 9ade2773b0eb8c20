package sim

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// An alias draws from a discrete distribution in constant time (Walker, Vose).
type alias struct {
	keep  []float64
	other []int
}

// zipf returns the distribution over n ranks, the k-th in proportion to k^-s.
func zipf(n int, s float64) *alias {
	weights, sum := make([]float64, n), 0.0
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -s)
		sum += weights[i]
	}
	a := &alias{keep: make([]float64, n), other: make([]int, n)}
	var small, large []int
	for i := range weights {
		weights[i] *= float64(n) / sum
		if weights[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a.keep[s], a.other[s] = weights[s], l
		if weights[l] -= 1 - weights[s]; weights[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) {
		a.keep[i], a.other[i] = 1, i
	}
	return a
}

func (a *alias) draw(r *rand.Rand) int {
	i := r.IntN(len(a.keep))
	if r.Float64() < a.keep[i] {
		return i
	}
	return a.other[i]
}

// keys are the data keys that there are to open cells of, by scope: newest last.
// Rotation adds to them while the workload draws.
type keys struct {
	index map[string]int
	of    []atomic.Pointer[[]uint32]
}

func newKeys(names []string) *keys {
	k := &keys{index: make(map[string]int, len(names)), of: make([]atomic.Pointer[[]uint32], len(names))}
	for i, n := range names {
		k.index[n] = i
	}
	return k
}

// add is called by the keyring, which sees to it that it is not called twice at once.
func (k *keys) add(scope string, id uint32) {
	p := &k.of[k.index[scope]]
	var next []uint32
	if old := p.Load(); old != nil {
		next = append(next, *old...)
	}
	next = append(next, id)
	p.Store(&next)
}

// all returns every key there is.
func (k *keys) all() []uint32 {
	var ids []uint32
	for i := range k.of {
		ids = append(ids, *k.of[i].Load()...)
	}
	return ids
}

// An op is one operation: sealing in a scope, or opening a cell of a key.
type op struct {
	at    time.Duration // since the run began
	write bool
	scope int
	key   uint32
}

// A source yields operations in the order of time; false when there are no more.
type source func() (op, bool)

// random is the workload of the configuration, for one process.
func (c *Config) random(r *rand.Rand, popularity *alias, keys *keys) source {
	at, rate := time.Duration(0), c.Rate/float64(c.Processes)
	return func() (op, bool) {
		now := rate
		if c.BurstFactor > 0 && c.BurstEvery > 0 && at%c.BurstEvery < c.BurstFor {
			now *= c.BurstFactor
		}
		at += time.Duration(r.ExpFloat64() / now * float64(time.Second))
		o := op{at: at, scope: popularity.draw(r)}
		if o.write = r.Float64() < c.Writes; !o.write {
			ids := *keys.of[o.scope].Load()
			newest := len(ids) - 1
			if newest > 0 && r.Float64() < c.Old {
				newest = r.IntN(newest)
			}
			o.key = ids[newest]
		}
		return o, at < c.Warmup+c.Duration
	}
}

// replay is one process's part of the trace: each access falls to one process, and
// the trace begins again when it is over.
func (c *Config) replay(process int, keys *keys) source {
	length := c.Trace[len(c.Trace)-1].At + time.Duration(float64(time.Second)/c.Rate)
	i, lap := process, time.Duration(0)
	return func() (op, bool) {
		for i >= len(c.Trace) {
			i, lap = i-len(c.Trace), lap+length
		}
		a := c.Trace[i]
		i += c.Processes
		o := op{at: lap + a.At, scope: a.Key, key: (*keys.of[a.Key].Load())[0]}
		return o, o.at < c.Warmup+c.Duration
	}
}
