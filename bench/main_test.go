package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/bench/internal/sim"
	"github.com/colseal/colseal/bench/internal/world"
)

func TestLongFlags(t *testing.T) {
	got := longFlags([]string{"queries", "-dsn", "postgres://x", "--rounds", "3", "-h", "-x=1", "-1"})
	want := []string{"queries", "--dsn", "postgres://x", "--rounds", "3", "-h", "--x=1", "-1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
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
	if want := (world.Outage{Start: 10 * time.Hour, For: 45 * time.Minute, Hang: true}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "1h", "x,1h", "1h,x", "1h,1h,slow", "1h,1h,hang,1"} {
		if _, err := parseOutage(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// The line that a report gives repeats it, and never holds the server's address.
func TestCommandLine(t *testing.T) {
	cmd := cacheCommand(&output{})
	if err := cmd.ParseFlags([]string{"--entries", "64", "--no-stale", "--outage", "1h,5m", "--outage", "3h,5m,hang"}); err != nil {
		t.Fatal(err)
	}
	line := commandLine(cmd)
	for _, want := range []string{"go run ./bench cache", "--entries 64", "--no-stale", "--outage 1h,5m", "--outage 3h,5m,hang"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %q", want, line)
		}
	}
	q := queriesCommand(&output{})
	if err := q.ParseFlags([]string{"--dsn", "postgres://u:secret@h/d"}); err != nil {
		t.Fatal(err)
	}
	if line := commandLine(q); strings.Contains(line, "secret") {
		t.Errorf("the line tells the address: %q", line)
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
