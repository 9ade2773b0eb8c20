package sim

import (
	"flag"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"
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

// RunAll simulates each of the configurations, as many at once as there are processors, and
// returns the results in their order. step is called after each.
func RunAll(cfgs []Config, step func()) ([]*Result, error) {
	results := make([]*Result, len(cfgs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range cfgs {
		group.Go(func() (err error) {
			Virtually(func() { results[i], err = Run(cfgs[i], nil) })
			step()
			return err
		})
	}
	return results, group.Wait()
}
