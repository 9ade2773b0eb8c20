package stat

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// A Subject is one thing to time. Run does it n times. Renew, if not nil, is called
// now and then between blocks, untimed: it makes anew what might by chance be better or
// worse for this subject than for another, such as connections.
type Subject struct {
	Name  string
	Run   func(n int)
	Renew func()
}

// Times are nanoseconds per run, by subject and round: as the clock has it, and as
// the processor time of this process. NaN: took no part in the round.
type Times struct{ Wall, CPU [][]float64 }

// Blocks times subjects against each other: in every round each subject runs once,
// for about block, in a new random order. So what disturbs the machine for longer
// than a block meets all of them alike, and round i of one subject is a fair pair
// to round i of another. Each block begins with some runs that are not timed, since
// what ran before left the caches, and a server's process, cold.
//
// A subject that takes much longer than block for a single run takes part in every
// second, third, … round only, and at least in a few; the others hold NaN, which the
// functions of this package pass over.
//
// progress, if not nil, is called after each block, taken part in or not.
func Blocks(subjects []Subject, rounds int, block time.Duration, progress func()) Times {
	return BlocksWithin(subjects, rounds, block, math.MaxInt64, progress)
}

// BlocksWithin is Blocks that makes no further round when limit is over, but a few rounds
// in any case: rounds that were not made hold NaN.
func BlocksWithin(subjects []Subject, rounds int, block, limit time.Duration, progress func()) Times {
	begin := time.Now()
	counts, every := make([]int, len(subjects)), make([]int, len(subjects))
	times := Times{make([][]float64, len(subjects)), make([][]float64, len(subjects))}
	for i, s := range subjects {
		var one time.Duration
		counts[i], one = calibrate(s, block)
		every[i] = max(1, min(int(one/(4*block)), rounds/fewestRounds))
		times.Wall[i] = slices.Repeat([]float64{math.NaN()}, rounds)
		times.CPU[i] = slices.Clone(times.Wall[i])
	}
	order := make([]int, len(subjects))
	for i := range order {
		order[i] = i
	}
	for round := range rounds {
		if round >= fewestRounds && time.Since(begin) > limit {
			break
		}
		if round > 0 && round%renewEvery == 0 {
			renew(subjects, every)
		}
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			if round%every[i] == 0 {
				wall, cpu := timed(subjects[i], counts[i])
				times.Wall[i][round], times.CPU[i][round] = wall, cpu
				counts[i] = nextCount(counts[i], wall, block)
			}
			if progress != nil {
				progress()
			}
		}
	}
	return times
}

// renewEvery is how many rounds pass from one renewal to the next.
const renewEvery = 10

// renew renews the subjects, but for slow ones: they are not what luck shows in.
func renew(subjects []Subject, every []int) {
	for _, i := range rand.Perm(len(subjects)) {
		if s := subjects[i]; s.Renew != nil && every[i] == 1 {
			s.Renew()
			s.Run(1)
		}
	}
}

// timed returns nanoseconds per run. The collector is left alone: what a subject
// allocates is part of its price.
func timed(s Subject, n int) (wall, cpu float64) {
	if warm := n / 8; warm > 0 {
		s.Run(warm)
	}
	start, used := time.Now(), cpuTime()
	s.Run(n)
	return float64(time.Since(start)) / float64(n), float64(cpuTime()-used) / float64(n)
}

// nextCount corrects a count that did not make a block, not too quickly: a single
// block may have been disturbed.
func nextCount(n int, perRun float64, block time.Duration) int {
	fits := int(float64(block) / perRun)
	return max(1, n/2, min(fits, 2*n))
}

// fewestRounds is what even the slowest subject takes part in, if there are as many.
const fewestRounds = 10

// calibrate finds how many runs take about block, and how long one does. The first
// runs are not looked at: they open connections and fill caches.
func calibrate(s Subject, block time.Duration) (n int, one time.Duration) {
	runtime.GC()
	s.Run(1)
	for n = 1; ; {
		start := time.Now()
		s.Run(n)
		took := max(time.Since(start), time.Nanosecond)
		if took >= block/4 {
			return max(1, int(float64(n)*float64(block)/float64(took))), took / time.Duration(n)
		}
		n = max(n*2, min(n*100, int(float64(n)*float64(block)/float64(took)/2)))
	}
}
