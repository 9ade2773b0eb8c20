package queries

import (
	"slices"
	"testing"
	"time"
)

// Every way opens what it sealed, and only that.
func TestCellWays(t *testing.T) {
	ways, err := cellWays()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways {
		sealed, err := w.seal([]byte("text"))
		if err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		if text, err := w.open(sealed); err != nil || string(text) != "text" {
			t.Errorf("%s: opened %q, %v", w.name, text, err)
		}
		other := slices.Clone(sealed)
		other[len(other)-1] ^= 1
		if _, err := w.open(other); err == nil {
			t.Errorf("%s: opened what was altered", w.name)
		}
	}
}

func TestCells(t *testing.T) {
	done := 0.0
	tables, err := Cells([]int{16, 64}, 2, 10*time.Microsecond, func(part float64) { done = part })
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != 4 || len(tables[0].Rows) != 6 || done != 1 {
		t.Errorf("%d tables, %d rows, %v done", len(tables), len(tables[0].Rows), done)
	}
}
