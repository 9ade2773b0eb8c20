package reseal

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	for _, c := range []struct {
		written int64
		rate    int
		gone    time.Duration
		want    time.Duration
	}{
		{100, 0, 0, 0}, {100, 50, 0, 2 * time.Second}, {100, 50, 1500 * time.Millisecond, 500 * time.Millisecond}, {100, 50, time.Minute, 0},
	} {
		if got := owed(c.written, c.rate, c.gone); got != c.want {
			t.Errorf("%d rows at %d a second after %v: wait %v, want %v", c.written, c.rate, c.gone, got, c.want)
		}
	}
	if o := (Options{RowsPerSecond: 10}).withDefaults(); o.Batch != 10 {
		t.Errorf("a batch of %d rows at 10 a second", o.Batch)
	}
}
