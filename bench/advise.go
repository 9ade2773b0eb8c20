package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/colseal/colseal/bench/internal/sim"
	"github.com/colseal/colseal/bench/internal/table"
)

// adviseAges are the values of MaxAge that are tried, shortest first: the longer it is, the
// longer a revoked key goes on serving.
var adviseAges = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 24 * time.Hour,
}

// A trial simulates settings.
type trial func(sim.Config) (*sim.Result, error)

// adviseCache prints the shortest MaxAge, and then the fewest MaxEntries, that reach hitRate,
// or that cost no more than cost if that is not zero.
func adviseCache(w io.Writer, cfg sim.Config, hitRate, cost float64) error {
	meets := func(r *sim.Result) bool {
		if cost > 0 {
			return r.CostPerMonth <= cost
		}
		return r.HitRate >= hitRate
	}
	progress := bar(os.Stderr, -1, "trials")
	defer func() { _ = progress.Finish() }()
	trials := 0
	try := func(c sim.Config) (*sim.Result, error) {
		trials++
		_ = progress.Add(1)
		results, err := sim.RunAll([]sim.Config{c}, func() {})
		if err != nil {
			return nil, err
		}
		return results[0], nil
	}
	cfg.Budget = 1_000_000 // there are some twenty trials
	var shorter, last *sim.Result
	for _, age := range adviseAges {
		c := cfg
		c.Cache.MaxAge, c.Cache.MaxEntries = age, cfg.Scopes*(cfg.Epochs+2) // room for all
		var err error
		if last, err = try(c); err != nil {
			return err
		}
		if !meets(last) {
			shorter = last
			continue
		}
		best, fewer, err := fewest(last, try, meets)
		if err != nil {
			return err
		}
		t := describe(best)
		t.Title = fmt.Sprintf("The smallest settings: MaxAge %s, MaxEntries %d (after %d trials of %s)",
			short(age), best.Config.Cache.MaxEntries, trials, days(cfg.Duration))
		if err := t.Print(w); err != nil {
			return err
		}
		t = tooLittle(shorter, fewer)
		return t.Print(w)
	}
	wanted := fmt.Sprintf("a hit rate of %v", hitRate)
	if cost > 0 {
		wanted = fmt.Sprintf("a cost of at most %.2f a month", cost)
	}
	return fmt.Errorf("no settings give %s: with room for every key and MaxAge %v it is a hit rate of %s and %.2f a month",
		wanted, last.Config.Cache.MaxAge, percent(last.HitRate), last.CostPerMonth)
}

// tooLittle shows what less would give, which is why it is not advised. Either may be nil.
func tooLittle(shorter, fewer *sim.Result) table.Table {
	t := table.Table{Title: "What is just too little", Columns: []string{"settings", "hit rate", "KMS per month", "price per month"}}
	add := func(r *sim.Result, entries string) {
		t.Add(fmt.Sprintf("MaxAge %s, %s", short(r.Config.Cache.MaxAge), entries),
			percent(r.HitRate), fmt.Sprintf("%.0f", r.KMSPerMonth), fmt.Sprintf("%.2f", r.CostPerMonth))
	}
	if shorter != nil {
		add(shorter, "room for every key")
	}
	if fewer != nil {
		add(fewer, fmt.Sprintf("MaxEntries %d", fewer.Config.Cache.MaxEntries))
	}
	return t
}

// fewest bisects MaxEntries and returns the last result that meets the goal, and the last
// that does not, if any. Fewer entries never raise the hit rate, nor lower the cost, by more
// than the noise of a simulation.
func fewest(best *sim.Result, try trial, meets func(*sim.Result) bool) (fit, fewer *sim.Result, err error) {
	fails, fits := 0, best.Config.Cache.MaxEntries
	if most := best.LiveMax; most > 0 && most < fits {
		fits = most // more was never held
	}
	for fits-fails > 1 {
		c := best.Config
		c.Cache.MaxEntries = (fails + fits) / 2
		result, err := try(c)
		if err != nil {
			return nil, nil, err
		}
		if meets(result) {
			best, fits = result, c.Cache.MaxEntries
		} else {
			fewer, fails = result, c.Cache.MaxEntries
		}
	}
	if best.Config.Cache.MaxEntries != fits {
		c := best.Config
		c.Cache.MaxEntries = fits
		best, err = try(c)
	}
	return best, fewer, err
}
