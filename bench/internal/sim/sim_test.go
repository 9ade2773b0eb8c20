package sim

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/bench/internal/world"
)

// simulate runs a small variant of the defaults on the virtual clock.
func simulate(t *testing.T, change func(*Config)) *Result {
	t.Helper()
	cfg := Defaults()
	cfg.Duration, cfg.Processes, cfg.Scopes, cfg.Epochs = 6*time.Hour, 1, 20, 2
	change(&cfg)
	var result *Result
	synctest.Test(t, func(t *testing.T) {
		var err error
		if result, err = Run(cfg, nil); err != nil {
			t.Fatal(err)
		}
	})
	return result
}

func TestZipf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, s := range []float64{0, 0.8, 1.2} {
		a, n, draws := zipf(50, s), make([]float64, 50), 500_000
		for range draws {
			n[a.draw(random)]++
		}
		sum := 0.0
		for k := range 50 {
			sum += math.Pow(float64(k+1), -s)
		}
		for k := range 50 {
			want := math.Pow(float64(k+1), -s) / sum * float64(draws)
			if math.Abs(n[k]-want) > 6*math.Sqrt(want) {
				t.Errorf("s=%v: rank %d drawn %v times, want about %.0f", s, k+1, n[k], want)
			}
		}
	}
}

// Every key in use fits: what is used is renewed in the background once per term,
// and nobody waits.
func TestWarmCache(t *testing.T) {
	r := simulate(t, func(c *Config) { c.Zipf = 0; c.Rate = 20 })
	if r.HitRate < 0.9999 {
		t.Errorf("hit rate %v", r.HitRate)
	}
	if want := 20 * 3600 * 6.0; math.Abs(float64(r.Ops)-want) > want/50 {
		t.Errorf("%d operations, want about %v", r.Ops, want)
	}
	// 40 keys, each renewed after 60 to 85 % of ten minutes.
	low, high := 40*6*60/8.5, 40*6*60/6.0
	if calls := float64(r.KMSCalls); calls < 0.95*low || calls > 1.05*high {
		t.Errorf("%v calls to KMS, want %.0f to %.0f", calls, low, high)
	}
	if r.Live != 40 || r.P999 != 0 || r.Failed != 0 {
		t.Errorf("live %v, p99.9 %v, failed %d", r.Live, r.P999, r.Failed)
	}
	if want := float64(r.KMSCalls) * 120; math.Abs(r.KMSPerMonth-want) > 1 {
		t.Errorf("%v a month, want %v", r.KMSPerMonth, want)
	}
}

// A cache of half the keys under uniform access hits about half the time, and each
// miss is one call to KMS.
func TestSmallCache(t *testing.T) {
	r := simulate(t, func(c *Config) {
		c.Zipf, c.Old, c.Writes, c.Scopes, c.Epochs, c.Cache.MaxEntries = 0, 0, 0, 64, 1, 32
		c.Duration, c.Warmup = 30*time.Minute, 10*time.Minute
	})
	if math.Abs(r.HitRate-0.5) > 0.06 {
		t.Errorf("hit rate %v, want about 0.5", r.HitRate)
	}
	if calls := float64(r.KMSCalls); calls > 1.1*float64(r.Waited)+10 || calls < 0.8*float64(r.Waited) {
		t.Errorf("%v calls to KMS for %d misses", calls, r.Waited)
	}
	if r.Wait < 40*time.Millisecond || r.Wait > 70*time.Millisecond {
		t.Errorf("median wait %v, want KMS's and the keyring's", r.Wait)
	}
	if r.LiveMax > 32 {
		t.Errorf("%v keys held", r.LiveMax)
	}
}

// Keys that rotate in the simulated time are replaced, once each, by one process.
func TestRotation(t *testing.T) {
	r := simulate(t, func(c *Config) {
		c.Duration, c.Cache.RotateEvery, c.Cache.MaxAge = 10*24*time.Hour, 5*24*time.Hour, 2*time.Hour
		c.Processes, c.Rate, c.Scopes = 3, 1, 10
	})
	if perScope := float64(r.Rotations) / 10; perScope < 1.8 || perScope > 3.5 {
		t.Errorf("%v rotations per scope in twice the period", perScope)
	}
	if r.Keys < 20+int(r.Rotations) || r.Failed > 0 {
		t.Errorf("%d keys after %d rotations, %d failed", r.Keys, r.Rotations, r.Failed)
	}
}

// An outage shorter than MaxStale fails nobody who uses a cached key; with no
// MaxStale everybody fails for most of it.
func TestOutage(t *testing.T) {
	outage := func(stale time.Duration) *Result {
		return simulate(t, func(c *Config) {
			c.Duration, c.Cache.MaxStale, c.Buckets = 3*time.Hour, stale, 180
			c.Zipf, c.Old, c.Epochs = 0, 0, 1
			c.Outages = []world.Outage{{Start: time.Hour, For: 45 * time.Minute}}
		})
	}
	with, without := outage(time.Hour), outage(-1)
	if with.Failed != 0 || with.StaleHits == 0 {
		t.Errorf("MaxStale longer than the outage: %d failed, %d served stale", with.Failed, with.StaleHits)
	}
	if at := without.Series[60+40]; at.Failed < 0.95 {
		t.Errorf("no MaxStale: %.0f %% failed 40 minutes into the outage", 100*at.Failed)
	}
	if at := without.Series[60+50]; at.Failed > 0 {
		t.Errorf("%.0f %% failed 5 minutes after the outage", 100*at.Failed)
	}
	if at := without.Series[30]; at.Failed > 0 || at.Ops == 0 {
		t.Errorf("before the outage: %+v", at)
	}
}

func TestScansAndBursts(t *testing.T) {
	plain := simulate(t, func(c *Config) { c.Duration, c.Cache.MaxEntries = 2*time.Hour, 30 })
	scans := simulate(t, func(c *Config) { c.Duration, c.Cache.MaxEntries, c.ScanEvery = 2*time.Hour, 30, 10*time.Minute })
	if scans.KMSCalls <= plain.KMSCalls || scans.Ops <= plain.Ops {
		t.Errorf("with scans %d calls to KMS for %d operations, without %d for %d", scans.KMSCalls, scans.Ops, plain.KMSCalls, plain.Ops)
	}
	bursts := simulate(t, func(c *Config) {
		c.Duration, c.BurstEvery, c.BurstFor, c.BurstFactor = 2*time.Hour, time.Hour, 6*time.Minute, 11
	})
	if f := float64(bursts.Ops) / float64(plain.Ops); math.Abs(f-2) > 0.1 {
		t.Errorf("bursts give %.2f times the operations, want 2", f)
	}
}

func TestTrace(t *testing.T) {
	for _, c := range []struct {
		text string
		keys int
		last time.Duration
	}{
		{"a\nb\n# note\n\na\n", 2, 200 * time.Millisecond},
		{"0,a\n1.5,b\n", 2, 1500 * time.Millisecond},
	} {
		accesses, keys, err := ReadTrace(strings.NewReader(c.text), 10)
		if err != nil || keys != c.keys || accesses[len(accesses)-1].At != c.last {
			t.Errorf("%q: %v, %d keys, %v", c.text, accesses, keys, err)
		}
	}
	for _, bad := range []string{"", "x,a\n", "2,a\n1,b\n"} {
		if _, _, err := ReadTrace(strings.NewReader(bad), 10); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	accesses, keys, _ := ReadTrace(strings.NewReader("a\nb\na\nc\n"), 10)
	r := simulate(t, func(c *Config) { c.Trace, c.Scopes, c.Epochs, c.Rate = accesses, keys, 1, 10 })
	if r.Live != 3 || math.Abs(float64(r.Ops)-6*3600*10) > 10 {
		t.Errorf("%d operations on %v keys", r.Ops, r.Live)
	}
}

func TestCheck(t *testing.T) {
	cfg := Defaults()
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	cfg.Processes, cfg.Writes = 0, 2
	if err := cfg.Check(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v, want two errors", err)
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
