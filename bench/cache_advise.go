package main

import (
	"fmt"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/sim"
)

// adviseDays bounds what one trial simulates: the steady state shows in a day.
const adviseDays = 1

// adviseAges are the values of MaxAge that are tried, shortest first: the longer,
// the longer a revoked key goes on serving.
var adviseAges = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 24 * time.Hour,
}

// adviseCache finds the shortest MaxAge, and then the fewest MaxEntries, that meet
// what is wanted.
func adviseCache(r *doc.Report, cfg sim.Config, o cacheOptions) error {
	cfg.Duration = min(cfg.Duration, adviseDays*24*time.Hour)
	meets := func(result *sim.Result) bool {
		if o.cost > 0 {
			return result.CostPerMonth <= o.cost
		}
		return result.HitRate >= o.hitRate
	}
	progress := bar(len(adviseAges), "trying settings")
	var tried []*sim.Result
	trial := func(c sim.Config) (*sim.Result, error) {
		results, err := sim.RunAll([]sim.Config{c}, 1, nil)
		if err != nil {
			return nil, err
		}
		tried = append(tried, results[0])
		return results[0], nil
	}
	var best, shorter, fewer *sim.Result // what is advised, and what is just too little
	for _, age := range adviseAges {
		c := cfg
		c.Cache.MaxAge, c.Cache.MaxEntries = age, cfg.Scopes*(cfg.Epochs+2) // room for all
		c.Warmup = max(cfg.Warmup, age)
		result, err := trial(c)
		if err != nil {
			return err
		}
		_ = progress.Add(1)
		if !meets(result) {
			shorter = result
			continue
		}
		if best, fewer, err = fewest(result, trial, meets); err != nil {
			return err
		}
		break
	}
	_ = progress.Finish()
	r.Data = tried
	if best == nil {
		wanted := fmt.Sprintf("a hit rate of %v", o.hitRate)
		if o.cost > 0 {
			wanted = fmt.Sprintf("a cost of at most %.2f a month", o.cost)
		}
		last := tried[len(tried)-1]
		return fmt.Errorf("no settings give %s: with room for every key and MaxAge %v it is a hit rate of %s and %.2f a month",
			wanted, last.Config.Cache.MaxAge, percent(last.HitRate), last.CostPerMonth)
	}
	t := describe(best)
	t.Title = fmt.Sprintf("The smallest settings: MaxAge %s, MaxEntries %d (after %d trials of %s)",
		short(best.Config.Cache.MaxAge), best.Config.Cache.MaxEntries, len(tried), days(cfg.Duration))
	r.Tables = append(r.Tables, t, tooLittle(shorter, fewer))
	return nil
}

// tooLittle shows what less would give, which is why it is not advised.
func tooLittle(shorter, fewer *sim.Result) doc.Table {
	t := doc.Table{Title: "What is just too little", Columns: []string{"settings", "hit rate", "KMS per month", "price per month"}}
	add := func(what string, r *sim.Result) {
		if r != nil {
			t.Add(what, percent(r.HitRate), fmt.Sprintf("%.0f", r.KMSPerMonth), fmt.Sprintf("%.2f", r.CostPerMonth))
		}
	}
	if shorter != nil {
		add(fmt.Sprintf("MaxAge %s, room for every key", short(shorter.Config.Cache.MaxAge)), shorter)
	}
	if fewer != nil {
		add(fmt.Sprintf("MaxAge %s, MaxEntries %d", short(fewer.Config.Cache.MaxAge), fewer.Config.Cache.MaxEntries), fewer)
	}
	return t
}

// fewest bisects MaxEntries, and returns the last result that meets the goal and the
// last that does not, if any. Fewer entries never raise the hit rate, nor lower the
// cost, by more than the noise of a simulation.
func fewest(best *sim.Result, trial func(sim.Config) (*sim.Result, error), meets func(*sim.Result) bool) (fit, fewer *sim.Result, err error) {
	fails, fits := 0, best.Config.Cache.MaxEntries
	if most := int(best.LiveMax); most > 0 && most < fits {
		fits = most // more was never held
	}
	for fits-fails > 1 {
		c := best.Config
		c.Cache.MaxEntries = (fails + fits) / 2
		result, err := trial(c)
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
		best, err = trial(c)
	}
	return best, fewer, err
}
