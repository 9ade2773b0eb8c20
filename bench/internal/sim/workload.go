package sim

import (
	"math"
	"time"
)

// zipf returns the shares of n ranks, the k-th in proportion to k^-s.
func zipf(n int, s float64) []float64 {
	shares, sum := make([]float64, n), 0.0
	for i := range shares {
		shares[i] = math.Pow(float64(i+1), -s)
		sum += shares[i]
	}
	for i := range shares {
		shares[i] /= sum
	}
	return shares
}

// readRate is how often a second one process opens a cell of a key, bursts apart.
func (r *run) readRate(key int) float64 {
	if len(r.cfg.Trace) > 0 {
		return 0
	}
	scope := r.keys[key].scope
	rate := r.cfg.Rate / float64(r.cfg.Processes) * (1 - r.cfg.Writes) * r.shares[scope]
	switch older := len(r.scopes[scope]) - 1; {
	case older == 0:
		return rate
	case key == r.newest(scope):
		return rate * (1 - r.cfg.Old)
	default:
		return rate * r.cfg.Old / float64(older)
	}
}

// writeRate is how often a second one process seals for a tenant, bursts apart.
func (r *run) writeRate(scope int) float64 {
	if len(r.cfg.Trace) > 0 {
		return 0
	}
	return r.cfg.Rate / float64(r.cfg.Processes) * r.cfg.Writes * r.shares[scope]
}

// load returns the seconds that have passed by a time, where a second of a burst counts as
// many times as the burst has the rate. Lookups come evenly by it.
func (r *run) load(at time.Duration) float64 {
	c := r.cfg
	if c.BurstEvery <= 0 || c.BurstFactor <= 0 {
		return at.Seconds()
	}
	bursts := time.Duration(int64(at/c.BurstEvery))*c.BurstFor + min(at%c.BurstEvery, c.BurstFor)
	return at.Seconds() + (c.BurstFactor-1)*bursts.Seconds()
}

// nextLookup draws when the next lookup of a rate comes after now, or after from if that is later.
func (r *run) nextLookup(from time.Duration, rate float64) time.Duration {
	c := r.cfg
	from = max(from, r.now)
	wait := r.random.ExpFloat64() / rate
	if c.BurstEvery <= 0 || c.BurstFactor <= 0 {
		return from + time.Duration(min(wait, maxWait)*float64(time.Second))
	}
	period := r.load(c.BurstEvery)
	periods, rest := math.Modf((r.load(from) + min(wait, maxWait)) / period)
	rest *= period
	if burst := c.BurstFor.Seconds() * c.BurstFactor; rest < burst {
		rest /= c.BurstFactor
	} else {
		rest += c.BurstFor.Seconds() - burst
	}
	return max(from, time.Duration(int64(periods))*c.BurstEvery+time.Duration(rest*float64(time.Second)))
}

// maxWait keeps times within a Duration: some ten years, in seconds.
const maxWait = 3e8

// A source yields lookups in the order of time; false when there are no more.
type source func() (Access, bool)

// replay is one process's part of the trace: each access falls to one process, and the trace
// begins again when it is over.
func (c *Config) replay(process int) source {
	length := c.traceLength()
	i, lap := process, time.Duration(0)
	return func() (Access, bool) {
		for i >= len(c.Trace) {
			i, lap = i-len(c.Trace), lap+length
		}
		a := c.Trace[i]
		i += c.Processes
		a.At += lap
		return a, true
	}
}

func (c *Config) traceLength() time.Duration {
	if len(c.Trace) == 0 {
		return 0
	}
	return c.Trace[len(c.Trace)-1].At + time.Duration(float64(time.Second)/c.Rate)
}

// lapse returns by how much time must lapse if so much of it can be simulated. Bursts, scans
// and traces are simulated whole.
func (c *Config) lapse(parts []part, affords time.Duration) float64 {
	var total time.Duration
	for _, p := range parts {
		if !p.outage {
			total += p.length
		}
	}
	if period := max(c.BurstEvery, c.ScanEvery, c.traceLength()); period > 0 {
		affords = affords.Truncate(period) + period
	}
	return max(1, float64(total)/float64(max(affords, 1)))
}
