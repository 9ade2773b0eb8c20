package queries

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// A subject is one thing to time. run does it n times. renew, if not nil, is called now and
// then between blocks, untimed: it replaces what might by chance be better or worse for this
// subject than for another, such as connections. before, if not nil, is called before each
// block, untimed.
type subject struct {
	run    func(n int)
	renew  func()
	before func()
}

// A clock tells the time since some moment.
type clock func() time.Duration

var started = time.Now()

func wallTime() time.Duration { return time.Since(started) }

const (
	renewEvery   = 10 // rounds from one renewal to the next
	fewestRounds = 10 // that even the slowest subject takes part in, if there are as many
)

// interleave times subjects against each other and returns nanoseconds per run, by subject and
// round. In every round each subject runs once, for about block, in a new random order. What
// disturbs the machine for longer than a block meets all subjects alike, and round i of one is a
// fair pair to round i of another. Each block begins with some runs that are not timed, because
// what ran before left the caches, and a server's process, cold.
//
// A subject that takes much longer than block for a single run takes part in every second, third, …
// round only. It holds NaN for the others. So do all subjects for rounds that were not made because
// limit was over. now times the blocks. progress is called after each block, made or not.
func interleave(subjects []subject, rounds int, block, limit time.Duration, now clock, progress func()) [][]float64 {
	begin := time.Now()
	counts, every := make([]int, len(subjects)), make([]int, len(subjects))
	times := make([][]float64, len(subjects))
	for i, s := range subjects {
		var one time.Duration
		counts[i], one = calibrate(s, block, now)
		every[i] = max(1, min(int(one/(4*block)), rounds/fewestRounds))
		times[i] = slices.Repeat([]float64{math.NaN()}, rounds)
	}
	for round := range rounds {
		if round >= fewestRounds && time.Since(begin) > limit {
			break
		}
		if round > 0 && round%renewEvery == 0 {
			renewAll(subjects, every)
		}
		for _, i := range rand.Perm(len(subjects)) {
			if round%every[i] == 0 {
				perRun := timed(subjects[i], counts[i], now)
				times[i][round] = perRun
				counts[i] = nextCount(counts[i], perRun, block)
			}
			progress()
		}
	}
	return times
}

// renewAll renews the subjects, except slow ones: luck does not show in them.
func renewAll(subjects []subject, every []int) {
	for _, i := range rand.Perm(len(subjects)) {
		if s := subjects[i]; s.renew != nil && every[i] == 1 {
			s.renew()
			s.run(1)
		}
	}
}

// timed returns nanoseconds per run. It does not call the collector: what a subject allocates
// is part of its price.
func timed(s subject, n int, now clock) float64 {
	if s.before != nil {
		s.before()
	}
	if warm := n / 8; warm > 0 {
		s.run(warm)
	}
	start := now()
	s.run(n)
	return float64(now()-start) / float64(n)
}

// allocations returns how many objects a run allocates: the least of some blocks, since what runs
// in the background allocates too.
func allocations(s subject) float64 {
	least := math.Inf(1)
	for range 3 {
		if s.before != nil {
			s.before()
		}
		n, start := 0, time.Now()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for ; n == 0 || n < 200 && time.Since(start) < 100*time.Millisecond; n++ {
			s.run(1)
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/float64(n))
	}
	return least
}

// nextCount corrects a count that did not make a block. It does so slowly, because a single
// block may have been disturbed.
func nextCount(n int, perRun float64, block time.Duration) int {
	fits := int(float64(block) / perRun)
	return max(1, n/2, min(fits, 2*n))
}

// calibrate finds how many runs take about block, and how long one takes. It ignores the
// first run, which opens connections and fills caches.
func calibrate(s subject, block time.Duration, now clock) (n int, one time.Duration) {
	runtime.GC()
	s.run(1)
	for n = 1; ; {
		start := now()
		s.run(n)
		took := max(now()-start, time.Nanosecond)
		if took >= block/4 {
			return max(1, int(float64(n)*float64(block)/float64(took))), took / time.Duration(n)
		}
		n = max(n*2, min(n*100, int(float64(n)*float64(block)/float64(took)/2)))
	}
}

// quantile returns the q-th quantile (0 ≤ q ≤ 1) of sorted values, linearly interpolated;
// NaN for none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}

// median returns the median of values that are not NaN, and how many these are.
func median(values []float64) (m float64, n int) {
	sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(sorted)
	return quantile(sorted, 0.5), len(sorted)
}

// A Ratio is how one thing compares with another that was measured beside it: the median of
// the paired ratios, and the bootstrap interval that holds 95 % of the medians of resampled
// pairs.
type Ratio struct{ Median, Low, High float64 }

// String is "1.023 (1.011–1.034)", with fewer digits from two on.
func (r Ratio) String() string {
	digits := 3
	if r.Median >= 2 {
		digits = 2
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, r.Median, digits, r.Low, digits, r.High)
}

const resamples = 2000 // enough for two digits of a 95 % interval

// paired compares values[i] with base[i]. It ignores pairs with a NaN.
func paired(values, base []float64) Ratio {
	return Ratio(spread(values, base, func(v, b float64) float64 { return v / b }))
}

// A Difference is by how much one thing is more than another that was measured beside it, as
// [Ratio] is how many times as much.
type Difference struct{ Median, Low, High float64 }

// String is "+1.14 (+1.10 to +1.19)".
func (d Difference) String() string {
	return fmt.Sprintf("%+.2f (%+.2f to %+.2f)", d.Median, d.Low, d.High)
}

// above compares values[i] with base[i] as paired does.
func above(values, base []float64) Difference {
	return Difference(spread(values, base, func(v, b float64) float64 { return (v - b) / 1e3 }))
}

// spread is the median of the pairs' comparisons and its interval. The resampling is seeded, so
// that the same measurements give the same report.
func spread(values, base []float64, compare func(v, b float64) float64) (s struct{ Median, Low, High float64 }) {
	var pairs []float64
	for i := range values {
		if c := compare(values[i], base[i]); !math.IsNaN(c) {
			pairs = append(pairs, c)
		}
	}
	n := len(pairs)
	if n == 0 {
		s.Median, s.Low, s.High = math.NaN(), math.NaN(), math.NaN()
		return s
	}
	random := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // statistics
	medians, sample := make([]float64, resamples), make([]float64, n)
	for i := range medians {
		for j := range sample {
			sample[j] = pairs[random.IntN(n)]
		}
		slices.Sort(sample)
		medians[i] = quantile(sample, 0.5)
	}
	slices.Sort(medians)
	slices.Sort(pairs)
	s.Median, s.Low, s.High = quantile(pairs, 0.5), quantile(medians, 0.025), quantile(medians, 0.975)
	return s
}
