package queries

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	sorted := []float64{1, 2, 3, 4}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 1.0 / 3: 2} {
		if got := quantile(sorted, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("quantile(nil) is a number, want NaN")
	}
}

func TestMedian(t *testing.T) {
	values := []float64{9, math.NaN(), 1, 3, 100, 2}
	if m, n := median(values); m != 3 || n != 5 {
		t.Errorf("median() = %v of %d, want 3 of 5", m, n)
	}
	if values[0] != 9 {
		t.Error("median() reordered its argument")
	}
}

// What disturbs both of a pair alike must not show in their ratio.
func TestPairedIgnoresCommonNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var a, b []float64
	for range 200 {
		noise := 1 + 5*random.Float64()
		a = append(a, 120*noise*(1+0.02*random.NormFloat64()))
		b = append(b, 100*noise)
	}
	r := paired(a, b)
	if r.Low > 1.2 || r.High < 1.2 || r.High-r.Low > 0.02 {
		t.Errorf("paired() = %v, want 1.20 within a narrow interval", r)
	}
	if r != paired(a, b) {
		t.Error("the same measurements give two intervals")
	}
	if again := paired(b, b); again != (Ratio{1, 1, 1}) {
		t.Errorf("paired(b, b) = %v, want 1", again)
	}
}

// The interval should hold the truth in about 95 of 100 experiments.
func TestPairedCoverage(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	held := 0
	for range 100 {
		var a, b []float64
		for range 40 {
			a, b = append(a, 1.1*math.Exp(0.2*random.NormFloat64())), append(b, 1)
		}
		if r := paired(a, b); r.Low <= 1.1 && 1.1 <= r.High {
			held++
		}
	}
	if held < 88 {
		t.Errorf("the interval held the truth in %d of 100 experiments", held)
	}
}

func TestRatioString(t *testing.T) {
	for want, r := range map[string]Ratio{"1.023 (1.011–1.034)": {1.0231, 1.011, 1.0339}, "8.22 (7.83–8.57)": {8.221, 7.83, 8.57}} {
		if got := r.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestInterleave(t *testing.T) {
	ticks, renewed := 0, 0
	got := interleave([]subject{
		{run: spin, renew: func() { renewed++ }},
		{run: func(n int) { spin(3 * n) }},
	}, 15, 200*time.Microsecond, time.Hour, processTime, func() { ticks++ })
	if len(got) != 2 || len(got[0]) != 15 || ticks != 30 {
		t.Fatalf("%d subjects, %d rounds, %d ticks, want 2, 15, 30", len(got), len(got[0]), ticks)
	}
	if r := paired(got[1], got[0]); r.Median < 1.5 || r.Median > 6 {
		t.Errorf("three times the work took %v times as long", r)
	}
	if renewed != 1 {
		t.Errorf("renewed %d times in 15 rounds, want once", renewed)
	}
}

// What the first run costs, such as opening a connection, is not in the times.
func TestInterleaveColdStart(t *testing.T) {
	cold := true
	got := interleave([]subject{{run: func(n int) {
		if cold {
			cold = false
			spin(100_000)
		}
		spin(n)
	}}, {run: spin}}, 15, 200*time.Microsecond, time.Hour, processTime, func() {})
	if r := paired(got[0], got[1]); r.Median > 2 {
		t.Errorf("a cold start made %v of the same work", r)
	}
}

// When the time is over there are few rounds, and the report is made of them.
func TestInterleaveLimit(t *testing.T) {
	got := interleave([]subject{{run: spin}}, 1000, 20*time.Microsecond, time.Nanosecond, wallTime, func() {})
	if m, n := median(got[0]); n != fewestRounds || !(m > 0) {
		t.Errorf("%d rounds with median %v, want %d", n, m, fewestRounds)
	}
}

func TestNextCount(t *testing.T) {
	for _, tt := range []struct {
		n      int
		perRun float64
		want   int
	}{{100, 1e4, 100}, {100, 1e3, 200}, {100, 1e6, 50}, {1, 1e9, 1}, {100, 8000, 125}} {
		if got := nextCount(tt.n, tt.perRun, time.Millisecond); got != tt.want {
			t.Errorf("nextCount(%d, %v) = %d, want %d", tt.n, tt.perRun, got, tt.want)
		}
	}
}

// A subject that takes long takes part less often, and is compared all the same.
func TestInterleaveSlowSubject(t *testing.T) {
	runs := 0
	got := interleave([]subject{
		{run: spin},
		{run: func(n int) { runs += n; spin(n * 20_000) }},
	}, 40, 20*time.Microsecond, time.Hour, wallTime, func() {})
	if _, n := median(got[1]); n != 10 || runs > 12 {
		t.Errorf("%d rounds, %d runs, want 10 rounds and hardly more runs", n, runs)
	}
	if r := paired(got[1], got[0]); !(r.Median > 1000) {
		t.Errorf("20,000 times the work took %v times as long", r)
	}
}

var sink uint64

func spin(n int) {
	x := sink + 1
	for range n * 200 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink = x
}
