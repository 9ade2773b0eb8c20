package cells

import (
	"testing"
	"time"
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
	tables := Tables(results)
	if len(tables) != 3 || len(tables[0].Rows) != 6 {
		t.Errorf("%d tables, %d goals", len(tables), len(tables[0].Rows))
	}
}
