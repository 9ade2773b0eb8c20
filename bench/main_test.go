package main

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/colseal/colseal/bench/internal/sim"
)

// A bar is drawn on terminals only.
func TestBarIntoPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	progress := bar(w, 3, "testing")
	for range 3 {
		_ = progress.Add(1)
	}
	_ = progress.Finish()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if drawn, err := io.ReadAll(r); err != nil || len(drawn) > 0 {
		t.Errorf("drew %q into a pipe, %v", drawn, err)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m", 20 * time.Second: "20s", 720 * time.Hour: "720h",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestParseOutage(t *testing.T) {
	got, err := parseOutage("10h,45m,hang")
	if want := (sim.Outage{Start: 10 * time.Hour, For: 45 * time.Minute, Hang: true}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "1h", "x,1h", "1h,x", "1h,1h,slow", "1h,1h,hang,1"} {
		if _, err := parseOutage(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestFewest(t *testing.T) {
	trial := func(c sim.Config) (*sim.Result, error) {
		return &sim.Result{Config: c, HitRate: float64(min(c.Cache.MaxEntries, 100)) / 100}, nil
	}
	start := sim.Defaults()
	start.Cache.MaxEntries = 1000
	first, _ := trial(start)
	best, fewer, err := fewest(first, trial, func(r *sim.Result) bool { return r.HitRate >= 0.735 })
	if err != nil || best.Config.Cache.MaxEntries != 74 || fewer.Config.Cache.MaxEntries != 73 {
		t.Errorf("got %+v, %+v, %v", best, fewer, err)
	}
	if rows := tooLittle(nil, fewer).Rows; len(rows) != 1 || rows[0][1] != "73.000 %" {
		t.Errorf("what is too little: %v", rows)
	}
}

func TestAdviseNeedsAGoal(t *testing.T) {
	cfg, o := sim.Defaults(), cacheOptions{days: 1, advise: true}
	if err := o.complete(&cfg); err == nil {
		t.Error("no error")
	}
}
