package sim

import (
	"flag"
	"sync"
	"testing"
	"testing/synctest"
)

// The virtual clock is that of testing/synctest, which only a test can enter. So the
// program has one: started on first use, it waits for work for as long as the
// program runs.
var clock struct {
	once sync.Once
	work chan func(*testing.T)
}

// Virtually calls f with a virtual clock, and returns when f and all that it started
// is over. Several may run at once, each on a clock of its own.
func Virtually(f func()) {
	clock.once.Do(func() {
		clock.work = make(chan func(*testing.T))
		testing.Init()
		_ = flag.CommandLine.Parse(nil) // the program's arguments are not the test's
		go testing.Main(func(_, _ string) (bool, error) { return true, nil },
			[]testing.InternalTest{{Name: "clock", F: func(t *testing.T) {
				for work := range clock.work { // never closed: the end of a test is the end of the program
					go work(t)
				}
			}}}, nil, nil)
	})
	done := make(chan struct{})
	clock.work <- func(t *testing.T) {
		defer close(done)
		synctest.Test(t, func(*testing.T) { f() })
	}
	<-done
}

// RunAll simulates each of the configurations, parallel of them at once, and returns
// the results in their order. step, if not nil, is called with the sum of what is
// done of each, from 0 to their number; not by two at once.
func RunAll(cfgs []Config, parallel int, step func(done float64)) ([]*Result, error) {
	var (
		mu       sync.Mutex // guards sum, and step
		sum      = make([]float64, len(cfgs))
		results  = make([]*Result, len(cfgs))
		errs     = make([]error, len(cfgs))
		slots    = make(chan struct{}, parallel)
		all      sync.WaitGroup
		progress = func(i int, done float64) {
			if step == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			sum[i] = done
			total := 0.0
			for _, s := range sum {
				total += s
			}
			step(total)
		}
	)
	for i := range cfgs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			Virtually(func() {
				results[i], errs[i] = Run(cfgs[i], func(done float64) { progress(i, done) })
			})
			progress(i, 1)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}
