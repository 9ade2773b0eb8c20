// Package lookups measures what a program pays for every statement and every cell
// before any cryptography: finding the plan and finding the key. And how often KMS is
// asked, and whether a KMS that hangs is felt by those who need nothing of it.
package lookups

import (
	"fmt"
	"sync"
	"time"

	"github.com/colseal/colseal/bench/internal/stat"
)

// Options says for how long to measure.
type Options struct {
	Rounds int           // blocks of each subject
	Block  time.Duration // of one subject
	Cells  int           // to seal and open for the count of KMS calls
	Hang   time.Duration // how long KMS hangs; 0 leaves that out
}

// A Result is one row: a lookup.
type Result struct {
	Name       string       `json:"name"`
	Goroutines int          `json:"goroutines"`
	NS         stat.Summary `json:"ns"`     // of one lookup, as its goroutine sees it
	Allocs     float64      `json:"allocs"` // per lookup
}

// A Flat compares an operation with the same one among ten times as many of something.
type Flat struct {
	Name  string     `json:"name"`
	Few   int        `json:"few"`
	Many  int        `json:"many"`
	NS    float64    `json:"ns"` // among the few
	Ratio stat.Ratio `json:"ratio"`
}

// Outcome is everything that Run measures.
type Outcome struct {
	Plans []Result `json:"plans"`
	First []Result `json:"first"` // analysis of a text that was not seen before
	Keys  []Result `json:"keys"`
	Flat  []Flat   `json:"flat"`
	Calls []Calls  `json:"calls"`
	Hang  *Hang    `json:"hang,omitempty"`
}

// The goroutines that look up at once, each on a core of its own.
var widths = []int{1, 2}

// Run measures everything. virtually runs a function on a virtual clock; progress, if not
// nil, gets the share that is done.
func Run(o Options, virtually func(func()), progress func(float64)) (*Outcome, error) {
	if progress == nil {
		progress = func(float64) {}
	}
	out := &Outcome{}
	steps := []func() error{
		func() (err error) { out.Plans, err = planLookups(o); return err },
		func() (err error) { out.First, err = firstAnalyses(o); return err },
		func() (err error) { out.Keys, err = keyLookups(o); return err },
		func() (err error) { out.Flat, err = flats(o); return err },
		func() (err error) { out.Calls, err = countCalls(o, virtually); return err },
		func() (err error) {
			if o.Hang > 0 {
				out.Hang, err = hang(o.Hang)
			}
			return err
		},
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
		progress(float64(i+1) / float64(len(steps)))
	}
	return out, nil
}

// A lookup does n lookups.
type lookup struct {
	name string
	run  func(n int)
}

// measure times lookups in one goroutine and in two.
func measure(o Options, lookups []lookup) []Result { return measureWidths(o, widths, lookups) }

func measureWidths(o Options, widths []int, lookups []lookup) []Result {
	var subjects []stat.Subject
	var results []Result
	for _, width := range widths {
		for _, l := range lookups {
			subjects = append(subjects, stat.Subject{Name: l.name, Run: func(n int) { abreast(width, func() { l.run(n) }) }})
			results = append(results, Result{Name: l.name, Goroutines: width, Allocs: allocations(l.run)})
		}
	}
	times := stat.Blocks(subjects, o.Rounds, o.Block, nil)
	for i := range results {
		results[i].NS = stat.Summarize(times.Wall[i])
	}
	return results
}

// abreast runs f in several goroutines at once and waits for all.
func abreast(width int, f func()) {
	if width == 1 {
		f()
		return
	}
	var all sync.WaitGroup
	for range width {
		all.Go(f)
	}
	all.Wait()
}

// among times the same operation among few and among ten times as many.
func among(o Options, name string, few int, operation func(size int) (run func(n int), err error)) (Flat, error) {
	f := Flat{Name: name, Few: few, Many: 10 * few}
	var subjects []stat.Subject
	for _, size := range []int{f.Few, f.Many} {
		run, err := operation(size)
		if err != nil {
			return f, fmt.Errorf("%s, %d: %w", name, size, err)
		}
		subjects = append(subjects, stat.Subject{Name: fmt.Sprint(size), Run: run})
	}
	times := stat.Blocks(subjects, 2*o.Rounds, o.Block, nil)
	f.NS, f.Ratio = stat.Summarize(times.Wall[0]).Median, stat.Paired(times.Wall[1], times.Wall[0])
	return f, nil
}

// flats are the three of which there may be many. Rows are measured with the queries.
func flats(o Options) ([]Flat, error) {
	keys, err := among(o, "cached keys: find one of 16 in use and open a cell", 100, openAmong)
	if err != nil {
		return nil, err
	}
	statements, err := among(o, "planned statements: find the plan of one of 16 in use and open a cell", 400, planAmong)
	return []Flat{keys, statements}, err
}
