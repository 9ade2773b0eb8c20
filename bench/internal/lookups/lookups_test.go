package lookups

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
)

func TestRun(t *testing.T) {
	o := Options{Rounds: 3, Block: 20 * time.Microsecond, Cells: 2000}
	shares := 0
	out, err := Run(o, func(f func()) { synctest.Test(t, func(*testing.T) { f() }) }, func(float64) { shares++ })
	if err != nil {
		t.Fatal(err)
	}
	if shares == 0 {
		t.Error("no progress was told")
	}
	for _, r := range append(out.Plans, out.Keys...) {
		if r.Allocs != 0 || r.NS.Median <= 0 {
			t.Errorf("%s, %d goroutines: %v ns, %v allocations", r.Name, r.Goroutines, r.NS.Median, r.Allocs)
		}
	}
	for _, c := range out.Calls {
		if c.PerInterval() > 1 || c.KMS < callKeys {
			t.Errorf("%s: %d requests in %v intervals", c.Name, c.KMS, c.Intervals)
		}
	}
	if slow := out.Calls[1]; slow.Over < 2*time.Hour || slow.KMS < 10*callKeys {
		t.Errorf("over two hours keys were not renewed: %+v", slow)
	}
	// Three of plans and keys, two of numbers, two of calls.
	if goals := out.Goals(); len(goals) != 7 {
		t.Errorf("%d goals: a row that one names is not there", len(goals))
	}
	if tables := out.Tables(); len(tables) != 5 {
		t.Errorf("%d tables", len(tables))
	}
}

// Whose key is in memory does not wait while KMS hangs; who needs a new one does.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := hang(3 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if h.Hits < 10_000 || h.Max > 0 {
			t.Errorf("%d hits, the longest took %v of a clock that stands still", h.Hits, h.Max)
		}
		if h.Gave == 0 {
			t.Error("nobody waited for KMS in vain, so it did not hang")
		}
		o := Outcome{Hang: h}
		if goals := o.Goals(); len(goals) != 1 || goals[0].Verdict != doc.Met {
			t.Errorf("got %+v", goals)
		}
	})
}

func TestSpaced(t *testing.T) {
	all := make([]int, 160)
	for i := range all {
		all[i] = i
	}
	if some := spaced(all); len(some) != inUse || some[0] != 0 || some[15] != 150 {
		t.Errorf("got %v", some)
	}
}
