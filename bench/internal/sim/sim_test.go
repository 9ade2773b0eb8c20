package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The model's figures are within 1 % of the real cache's. Chance alone, such as when a key is renewed, makes a difference of
// half of that between two runs. Where it makes more, the mean of further runs has to be right.
func TestModelAgainstRealCache(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("the real cache takes a hundred microseconds for each miss")
	}
	outage := Outage{Start: 30 * time.Minute, For: 45 * time.Minute}
	hang := Outage{Start: outage.Start, For: outage.For, Hang: true}
	tests := []struct {
		name   string
		change func(*Config)
	}{
		{"small cache", func(c *Config) {
			c.Duration, c.Processes, c.Scopes, c.Zipf, c.Cache.MaxEntries, c.Cache.MaxAge = 12*time.Hour, 1, 100, 0.9, 64, 30*time.Minute
		}},
		{"short MaxAge in a fleet", func(c *Config) { c.Duration, c.Processes, c.Rate, c.Cache.MaxAge = 4*time.Hour, 4, 20, time.Minute }},
		{"rotation", func(c *Config) { c.Duration, c.Rate, c.Cache.RotateEvery = 48*time.Hour, 3, 12*time.Hour }},
		{"scans and bursts", func(c *Config) {
			c.Duration, c.Scopes, c.Cache.MaxEntries, c.ScanEvery = 4*time.Hour, 100, 100, 20*time.Minute
			c.BurstEvery, c.BurstFor = time.Hour, 6*time.Minute
		}},
		{"outage", func(c *Config) {
			c.Duration, c.Outages, c.Cache.MaxStale = 4*time.Hour, []Outage{outage}, 20*time.Minute
		}},
		{"KMS hangs", func(c *Config) { c.Duration, c.Outages, c.Writes = 4*time.Hour, []Outage{hang}, 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var model, real []*Result
			for _, runs := range []int{1, 6} {
				for len(real) < runs {
					cfg := Defaults()
					tt.change(&cfg)
					cfg.Seed = uint64(len(real)) + 1
					real = append(real, runReal(t, cfg))
					cfg.Budget = math.MaxInt64 // nothing lapses
					model = append(model, simulate(t, cfg))
				}
				got, want := mean(model), mean(real)
				off := differences(got, want, 1)
				if off == nil {
					return
				}
				report := t.Logf
				if runs == 6 {
					report = t.Errorf
				}
				report("mean of %d:\n%s\ngot:  %+v\nwant: %+v", runs, strings.Join(off, "\n"), *got, *want)
			}
		})
	}
}

// mean returns the mean of each number of the results.
func mean(results []*Result) *Result {
	sum := *results[0]
	m := reflect.ValueOf(&sum).Elem()
	for i := range m.NumField() {
		total, f := 0.0, m.Field(i)
		for _, r := range results {
			if from := reflect.ValueOf(*r).Field(i); from.CanConvert(reflect.TypeFor[float64]()) {
				total += from.Convert(reflect.TypeFor[float64]()).Float()
			}
		}
		if f.CanSet() && f.CanConvert(reflect.TypeFor[float64]()) {
			f.Set(reflect.ValueOf(total / float64(len(results))).Convert(f.Type()))
		}
	}
	return &sum
}

// differences says where got differs from want by more than 1 % in what a user chooses settings by, or otherwise by more
// than chance explains. weight is what one event of got counts for.
func differences(got, want *Result, weight float64) (off []string) {
	near := func(what string, share, got, want, few float64) {
		if d := math.Abs(got - want); d > share*want && d > 4*math.Sqrt(weight*want) && d > few {
			off = append(off, fmt.Sprintf("%s = %v, want %v", what, got, want))
		}
	}
	exactly := func(what string, got, want float64) {
		if math.Abs(got-want) > 0.01*want {
			off = append(off, fmt.Sprintf("%s = %v, want %v within 1 %%", what, got, want))
		}
	}
	exactly("hit rate", got.HitRate, want.HitRate)
	exactly("KMS requests per million lookups", got.KMSPerMillion, want.KMSPerMillion)
	exactly("cost", got.CostPerMonth, want.CostPerMonth)
	exactly("lookups", float64(got.Ops), float64(want.Ops))
	near("waited", 0.05, float64(got.Waited), float64(want.Waited), 20) // several wait for one answer, so chance makes more of a difference
	near("refreshes", 0.02, float64(got.Refreshes), float64(want.Refreshes), 20)
	near("evictions", 0.02, float64(got.Evictions), float64(want.Evictions), 20)
	near("KMS errors", 0.05, float64(got.KMSErrors), float64(want.KMSErrors), 20)
	near("rotations", 0.03, float64(got.Rotations), float64(want.Rotations), 3)
	near("data keys", 0.03, float64(got.Keys), float64(want.Keys), 3)
	near("keys live", 0.02, float64(got.Live), float64(want.Live), 1)
	near("median wait", 0.05, float64(got.Wait), float64(want.Wait), 0)
	near("99th percentile", 0.06, float64(got.P99), float64(want.P99), float64(5*time.Millisecond))
	// When the most popular keys were last renewed before an outage decides most of these.
	near("failed", 0.08, float64(got.Failed), float64(want.Failed), 20)
	if want.Config.Writes == 0 { // the real cache counts seals that failed as stale, too
		near("stale hits", 0.08, float64(got.StaleHits), float64(want.StaleHits), 20)
	}
	return off
}

// simulate runs cfg by the model.
func simulate(t *testing.T, cfg Config) *Result {
	t.Helper()
	r, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A small budget of events lets time lapse, which changes no figure by more than 1 %.
func TestLapse(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("simulates days without a lapse")
	}
	for name, change := range map[string]func(*Config){
		"small cache, rotation": func(c *Config) {
			c.Scopes, c.Zipf, c.Cache.MaxEntries, c.Cache.RotateEvery = 100, 0.9, 64, 2*24*time.Hour
		},
		"warm fleet with bursts": func(c *Config) {
			c.Processes, c.Cache.MaxAge, c.BurstEvery, c.BurstFor = 4, 2*time.Minute, 30*time.Minute, 5*time.Minute
		},
		"scans": func(c *Config) { c.ScanEvery, c.Cache.MaxEntries = 30*time.Minute, 30 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Defaults()
			cfg.Duration = 4 * 24 * time.Hour
			change(&cfg)
			cfg.Budget = math.MaxInt64
			whole := simulate(t, cfg)
			cfg.Budget = 400_000
			part := simulate(t, cfg)
			lapse := float64(whole.events) / float64(part.events)
			if lapse < 3 {
				t.Errorf("%d events with a budget of 400,000, %d without: hardly anything lapsed", part.events, whole.events)
			}
			for _, off := range differences(part, whole, 2*lapse) {
				t.Errorf("%s\ngot:  %+v\nwant: %+v", off, *part, *whole)
			}
		})
	}
}

// However much there is to simulate, a month takes hardly more events than its budget.
func TestBudget(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"many lookups": func(c *Config) { c.Rate, c.Scopes, c.Cache.MaxEntries = 100_000, 1000, 500 },
		"many keys": func(c *Config) {
			c.Rate, c.Scopes, c.Cache.MaxEntries, c.Cache.MaxAge = 1000, 10_000, 50_000, time.Minute
		},
		"many processes": func(c *Config) { c.Rate, c.Processes, c.Scopes, c.Cache.MaxEntries = 1000, 100, 500, 200 },
		"a trace": func(c *Config) {
			c.Rate, c.Epochs = 1000, 1
			for i := range 10_000 {
				c.Trace = append(c.Trace, Access{At: time.Duration(i) * time.Millisecond, Key: i * i % 20})
			}
		},
		"a daily burst": func(c *Config) { c.Rate, c.BurstEvery, c.BurstFor = 10_000, 24*time.Hour, time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Defaults()
			cfg.Budget = 400_000
			change(&cfg)
			if r := simulate(t, cfg); r.events > 900_000 {
				t.Errorf("%d events with a budget of 400,000", r.events)
			}
		})
	}
}

// Every key in use fits: what is used is renewed in the background once per term, and nobody waits.
func TestWarmCache(t *testing.T) {
	cfg := Defaults()
	cfg.Duration, cfg.Processes, cfg.Epochs, cfg.Zipf, cfg.Rate = 6*time.Hour, 1, 2, 0, 20
	r := simulate(t, cfg)
	if r.HitRate < 0.9999 || r.Live != 40 || r.P999 != 0 || r.Failed != 0 {
		t.Errorf("hit rate %v, %d keys live, p99.9 %v, %d failed", r.HitRate, r.Live, r.P999, r.Failed)
	}
	if want := 20 * 3600 * 6.0; math.Abs(float64(r.Ops)-want) > want/1000 {
		t.Errorf("%d lookups, want %v", r.Ops, want)
	}
	// 40 keys, each renewed after 60 to 85 % of ten minutes: at most one request for a key in each 60 %.
	low, high := 40*6*60/8.5, 40*6*60/6.0
	if calls := float64(r.KMSCalls); calls < 0.95*low || calls > high {
		t.Errorf("%v requests to KMS, want %.0f to %.0f", calls, low, high)
	}
	if want := float64(r.KMSCalls) * 120; math.Abs(r.KMSPerMonth-want) > 1 {
		t.Errorf("%v requests a month, want %v", r.KMSPerMonth, want)
	}
}

// A cache of half the keys under uniform access hits half the time, and each miss is one request to KMS.
func TestSmallCache(t *testing.T) {
	cfg := Defaults()
	cfg.Processes, cfg.Zipf, cfg.Writes, cfg.Scopes, cfg.Epochs, cfg.Cache.MaxEntries = 1, 0, 0, 64, 1, 32
	cfg.Duration = 12 * time.Hour
	r := simulate(t, cfg)
	if math.Abs(r.HitRate-0.5) > 0.02 {
		t.Errorf("hit rate %v, want 0.5", r.HitRate)
	}
	if calls := float64(r.KMSCalls); calls > 1.01*float64(r.Waited) || calls < 0.98*float64(r.Waited) {
		t.Errorf("%v requests to KMS for %d misses", calls, r.Waited)
	}
	if r.Wait < 40*time.Millisecond || r.Wait > 50*time.Millisecond || r.LiveMax > 32 {
		t.Errorf("median wait %v, %d keys held", r.Wait, r.LiveMax)
	}
}

// An outage shorter than MaxStale fails nobody who uses a cached key. Without MaxStale all fail for most of it.
func TestOutage(t *testing.T) {
	cfg := Defaults()
	cfg.Duration, cfg.Zipf, cfg.Old, cfg.Epochs = 3*time.Hour, 0, 0, 1
	cfg.Outages = []Outage{{Start: time.Hour, For: 45 * time.Minute}}
	with := simulate(t, cfg)
	cfg.Cache.MaxStale = -1
	without := simulate(t, cfg)
	if with.Failed != 0 || with.StaleHits == 0 {
		t.Errorf("MaxStale longer than the outage: %d failed, %d served stale", with.Failed, with.StaleHits)
	}
	// 10 minutes of 45 are those of MaxAge, less what was over of it.
	if minutes := float64(without.Failed) / cfg.Rate / 60; minutes < 35 || minutes > 43 || without.StaleHits > 0 {
		t.Errorf("no MaxStale: failed for %.0f minutes, %d served stale", minutes, without.StaleHits)
	}
}

func TestParts(t *testing.T) {
	c := Config{Duration: 10 * time.Hour, Outages: []Outage{{Start: 9 * time.Hour, For: 2 * time.Hour}, {Start: time.Hour, For: time.Hour}, {Start: 90 * time.Minute, For: time.Hour}}}
	want := []part{{time.Hour, false}, {70 * time.Minute, true}, {30 * time.Minute, true}, {380 * time.Minute, false}, {time.Hour, true}}
	if got := c.parts(10 * time.Minute); !slices.Equal(got, want) {
		t.Errorf("parts() = %v, want %v", got, want)
	}
}

// Lookups come as often in each part of a period as the burst says.
func TestNextLookup(t *testing.T) {
	cfg := Defaults()
	cfg.BurstEvery, cfg.BurstFor, cfg.BurstFactor = time.Hour, 6*time.Minute, 11
	r := newRun(&cfg)
	in, out := 0, 0
	for range 20_000 {
		r.now = r.nextLookup(0, 0.01)
		if r.now%time.Hour < 6*time.Minute {
			in++
		} else {
			out++
		}
	}
	if ratio := float64(in) / float64(out); math.Abs(ratio-11.0/9) > 0.05 {
		t.Errorf("%d in bursts and %d outside, want 11 to 9", in, out)
	}
	if hours, want := r.load(r.now)*0.01, 20_000.0; math.Abs(hours-want) > 0.04*want {
		t.Errorf("20,000 lookups took the load of %.0f", hours)
	}
}

func TestTrace(t *testing.T) {
	for _, tt := range []struct {
		text string
		keys int
		last time.Duration
	}{
		{"a\nb\n# note\n\na\n", 2, 200 * time.Millisecond},
		{"0,a\n1.5,b\n", 2, 1500 * time.Millisecond},
	} {
		accesses, keys, err := ReadTrace(strings.NewReader(tt.text), 10)
		if err != nil || keys != tt.keys || accesses[len(accesses)-1].At != tt.last {
			t.Errorf("ReadTrace(%q) = %v, %d keys, %v", tt.text, accesses, keys, err)
		}
	}
	for _, bad := range []string{"", "x,a\n", "2,a\n1,b\n"} {
		if _, _, err := ReadTrace(strings.NewReader(bad), 10); err == nil {
			t.Errorf("ReadTrace(%q): no error", bad)
		}
	}
	cfg := Defaults()
	cfg.Trace, cfg.Scopes, _ = ReadTrace(strings.NewReader("a\nb\na\nc\n"), 10)
	cfg.Duration, cfg.Processes, cfg.Epochs = 6*time.Hour, 1, 1
	if r := simulate(t, cfg); r.Live != 3 || math.Abs(float64(r.Ops)-6*3600*10) > 10 {
		t.Errorf("%d lookups on %v keys, want 216,000 on 3", r.Ops, r.Live)
	}
}

func TestCheck(t *testing.T) {
	cfg := Defaults()
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	cfg.Processes, cfg.Writes = 0, 2
	if err := cfg.Check(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("Check() = %v, want two errors", err)
	}
}

func TestLatency(t *testing.T) {
	l, random := Defaults().KMS, rand.New(rand.NewPCG(1, 1))
	below, most := 0, time.Duration(0)
	const draws = 20_000
	for range draws {
		d := l.draw(random)
		if d < l.Min || d > l.Max {
			t.Fatalf("drew %v", d)
		}
		if d < l.Median {
			below++
		}
		most = max(most, d)
	}
	if below < draws*48/100 || below > draws*52/100 || most < 250*time.Millisecond {
		t.Errorf("%d of %d below the median, the longest %v", below, draws, most)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 99; i++ {
		h.add(time.Duration(i)*time.Millisecond, 1)
	}
	h.add(10*time.Second, 1)
	for q, want := range map[float64]time.Duration{0.5: 0, 0.9: 0, 0.95: 50 * time.Millisecond, 0.999: 99 * time.Millisecond, 1: 10 * time.Second} {
		got := h.quantile(q, 900)
		if off := math.Abs(float64(got - want)); off > 0.021*float64(want) {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	var c clock
	var got []int
	for _, at := range []int{5, 1, 4, 1, 3, 2} {
		c.at(time.Duration(at), func() { got = append(got, at) })
	}
	c.after(0, func() { got = append(got, 0) })
	c.run(4, 100)
	if want := []int{0, 1, 1, 2, 3, 4}; !slices.Equal(got, want) || c.now != 4 {
		t.Errorf("ran %v by %d, want %v by 4", got, c.now, want)
	}
}
