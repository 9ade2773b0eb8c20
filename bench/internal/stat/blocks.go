package stat

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// A Subject is one thing to time. Run does it n times.
type Subject struct {
	Name string
	Run  func(n int)
}

// Blocks times subjects against each other: in every round each subject runs once,
// for about block, in a new random order. So what disturbs the machine for longer
// than a block meets all of them alike, and round i of one subject is a fair pair
// to round i of another. It returns nanoseconds per run, by subject and round.
//
// A subject that takes much longer than block for a single run takes part in every
// second, third, … round only, and at least in a few; the others hold NaN, which the
// functions of this package pass over.
//
// progress, if not nil, is called after each block, taken part in or not.
func Blocks(subjects []Subject, rounds int, block time.Duration, progress func()) [][]float64 {
	counts, every := make([]int, len(subjects)), make([]int, len(subjects))
	results := make([][]float64, len(subjects))
	for i, s := range subjects {
		var one time.Duration
		counts[i], one = calibrate(s, block)
		every[i] = max(1, min(int(one/(4*block)), rounds/fewestRounds))
		results[i] = slices.Repeat([]float64{math.NaN()}, rounds)
	}
	order := make([]int, len(subjects))
	for i := range order {
		order[i] = i
	}
	for round := range rounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			if round%every[i] == 0 {
				results[i][round] = timed(subjects[i], counts[i])
			}
			if progress != nil {
				progress()
			}
		}
	}
	return results
}

// timed returns nanoseconds per run. The collector is left alone: what a subject
// allocates is part of its price.
func timed(s Subject, n int) float64 {
	start := time.Now()
	s.Run(n)
	return float64(time.Since(start)) / float64(n)
}

// fewestRounds is what even the slowest subject takes part in, if there are as many.
const fewestRounds = 10

// calibrate finds how many runs take about block, and how long one does. It also
// warms the subject up.
func calibrate(s Subject, block time.Duration) (n int, one time.Duration) {
	runtime.GC()
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
