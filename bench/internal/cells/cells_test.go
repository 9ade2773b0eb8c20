package cells

import (
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
)

func TestRun(t *testing.T) {
	o := Options{Sizes: []int{64}, Rounds: 3, Block: 50 * time.Microsecond}
	blocks := 0
	results, err := Run(o, func() { blocks++ })
	if err != nil {
		t.Fatal(err)
	}
	if blocks != Blocks(o) {
		t.Errorf("%d blocks, announced %d", blocks, Blocks(o))
	}
	for _, r := range results {
		if r.NS.Median <= 0 || r.Bare.Low > r.Bare.Median || r.Bare.High < r.Bare.Median {
			t.Errorf("%s %s: %+v", r.Op, r.Name, r)
		}
	}
	if tables := Tables(results); len(tables) != 4 {
		t.Errorf("%d tables", len(tables))
	}
	goals := Goals(results)
	if len(goals) != 10 {
		t.Errorf("%d goals: a row that one names is not there", len(goals))
	}
	// Allocations are the same on every machine.
	for _, g := range goals {
		for _, r := range results {
			if strings.Contains(g.What, "in place") && r.Name == "cell, bytes in place, incl. the copy" && r.Allocs > 0 {
				t.Errorf("%s: %v allocations", r.Name, r.Allocs)
			}
		}
	}
}

func TestAnAllocationTooManyMissesTheGoal(t *testing.T) {
	one := stat.Exactly(1)
	r := Result{Size: 64, Op: "open", Name: "cell, bytes, allocating", Bare: one, Allocs: 2}
	if goals := Goals([]Result{r}); len(goals) != 1 || goals[0].Verdict != doc.NotMet {
		t.Errorf("got %+v", goals)
	}
}

func TestParallel(t *testing.T) {
	table, err := Parallel(Options{Rounds: 3, Block: 20 * time.Microsecond})
	if err != nil || len(table.Rows) != 4 {
		t.Errorf("%d rows, %v", len(table.Rows), err)
	}
}
