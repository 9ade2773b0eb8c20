package stat

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	sorted := []float64{1, 2, 3, 4}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 1.0 / 3: 2} {
		if got := Quantile(sorted, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if !math.IsNaN(Quantile(nil, 0.5)) {
		t.Error("a quantile of nothing is a number")
	}
}

func TestSummarize(t *testing.T) {
	values := []float64{9, 1, 3, 100, 2}
	s := Summarize(values)
	if s.Median != 3 || s.MAD != 2 || s.N != 5 || s.Q1 != 2 || s.Q3 != 9 {
		t.Errorf("got %+v", s)
	}
	if values[0] != 9 {
		t.Error("the values were reordered")
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
	r := Paired(a, b)
	if r.Low > 1.2 || r.High < 1.2 || r.High-r.Low > 0.02 {
		t.Errorf("got %v, want 1.20 within a narrow interval", r)
	}
	if r != Paired(a, b) {
		t.Error("the same measurements give two intervals")
	}
	if aa := Paired(b, b); aa != (Ratio{1, 1, 1}) {
		t.Errorf("a thing beside itself: %v", aa)
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
		if r := Paired(a, b); r.Low <= 1.1 && 1.1 <= r.High {
			held++
		}
	}
	if held < 88 {
		t.Errorf("held the truth in %d of 100", held)
	}
}

func TestHistogram(t *testing.T) {
	var h, other Histogram
	h.Add(0, 900)
	for i := 1; i <= 99; i++ {
		h.Add(time.Duration(i)*time.Millisecond, 1)
	}
	other.Add(10*time.Second, 1)
	h.Merge(&other)
	if h.Count() != 1000 || h.Max() != 10*time.Second {
		t.Fatalf("count %d, max %v", h.Count(), h.Max())
	}
	for q, want := range map[float64]time.Duration{0.5: 0, 0.9: 0, 0.95: 50 * time.Millisecond, 0.999: 99 * time.Millisecond, 1: 10 * time.Second} {
		got := h.Quantile(q)
		if diff := math.Abs(float64(got - want)); diff > 0.021*float64(want) {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestBlocks(t *testing.T) {
	runs := make([]int, 2)
	ticks, renewed := 0, 0
	subjects := []Subject{
		{Name: "one", Run: func(n int) { runs[0] += n; spin(n) }, Renew: func() { renewed++ }},
		{Name: "three", Run: func(n int) { runs[1] += n; spin(3 * n) }},
	}
	got := Blocks(subjects, 15, 200*time.Microsecond, func() { ticks++ })
	if len(got.Wall) != 2 || len(got.CPU[0]) != 15 || ticks != 30 {
		t.Fatalf("%d subjects, %d rounds, %d ticks", len(got.Wall), len(got.CPU[0]), ticks)
	}
	if r := Paired(got.Wall[1], got.Wall[0]); r.Median < 1.5 || r.Median > 6 {
		t.Errorf("three times the work took %v times as long", r)
	}
	if renewed != 1 {
		t.Errorf("renewed %d times in 15 rounds", renewed)
	}
}

// What the first run costs, such as opening a connection, is not in the times.
func TestBlocksColdStart(t *testing.T) {
	cold := true
	got := Blocks([]Subject{{Name: "cold", Run: func(n int) {
		if cold {
			cold = false
			spin(100_000)
		}
		spin(n)
	}}, {Name: "warm", Run: func(n int) { spin(n) }}}, 15, 200*time.Microsecond, nil)
	if r := Paired(got.Wall[0], got.Wall[1]); r.Median > 2 {
		t.Errorf("a cold start made %v of the same work", r)
	}
}

// When the time is over there are few rounds, and what is reported is made of them.
func TestBlocksWithin(t *testing.T) {
	got := BlocksWithin([]Subject{{Name: "one", Run: func(n int) { spin(n) }}}, 1000, 20*time.Microsecond, time.Nanosecond, nil)
	if s := Summarize(got.Wall[0]); s.N != fewestRounds || !(s.Median > 0) {
		t.Errorf("%d rounds, median %v", s.N, s.Median)
	}
}

func TestNextCount(t *testing.T) {
	for _, c := range []struct {
		n      int
		perRun float64
		want   int
	}{{100, 1e4, 100}, {100, 1e3, 200}, {100, 1e6, 50}, {1, 1e9, 1}, {100, 8000, 125}} {
		if got := nextCount(c.n, c.perRun, time.Millisecond); got != c.want {
			t.Errorf("%d runs of %v ns: next %d, want %d", c.n, c.perRun, got, c.want)
		}
	}
}

// A subject that takes long takes part less often, and is compared all the same.
func TestBlocksSlowSubject(t *testing.T) {
	runs := 0
	got := Blocks([]Subject{
		{Name: "quick", Run: func(n int) { spin(n) }},
		{Name: "slow", Run: func(n int) { runs += n; spin(n * 20_000) }},
	}, 40, 20*time.Microsecond, nil)
	if s := Summarize(got.Wall[1]); s.N != 10 || runs > 12 {
		t.Errorf("%d rounds, %d runs", s.N, runs)
	}
	if r := Paired(got.Wall[1], got.Wall[0]); !(r.Median > 1000) {
		t.Errorf("got %v", r)
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
