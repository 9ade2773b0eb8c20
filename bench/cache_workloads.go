package main

import (
	"fmt"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/sim"
)

// sweepWorkloads is one cache under several workloads: what scans and bursts do to it.
func sweepWorkloads(_ *output, r *doc.Report, parallel int) ([]*sim.Result, error) {
	base := sim.Defaults()
	base.Processes, base.Scopes, base.Epochs, base.Writes = 1, 1000, 1, 0.1
	base.Duration, base.Warmup, base.Cache.MaxEntries = 2*time.Hour, 20*time.Minute, 256
	workloads := []struct {
		name   string
		change func(*sim.Config)
	}{
		{"Zipf 1", func(*sim.Config) {}},
		{"uniform", func(c *sim.Config) { c.Zipf = 0 }},
		{"Zipf 1, every 15 minutes a scan of all keys", func(c *sim.Config) { c.ScanEvery = 15 * time.Minute }},
		{"Zipf 1, bursts of 10 times the rate for a minute in ten", func(c *sim.Config) {
			c.BurstEvery, c.BurstFor, c.BurstFactor = 10*time.Minute, time.Minute, 10
		}},
		{"Zipf 1, scans and bursts, room for every key", func(c *sim.Config) {
			c.ScanEvery, c.BurstEvery, c.BurstFor, c.BurstFactor = 15*time.Minute, 10*time.Minute, time.Minute, 10
			c.Cache.MaxEntries = 1024
		}},
	}
	cfgs := make([]sim.Config, len(workloads))
	for i, w := range workloads {
		cfgs[i] = base
		w.change(&cfgs[i])
	}
	results, err := simulate(cfgs, parallel, "workloads")
	if err != nil {
		return nil, err
	}
	next := 0
	t := table(results, "workload", func(sim.Config) string {
		next++
		return workloads[next-1].name
	})
	t.Title = fmt.Sprintf("Workloads: 1 process, 1,000 tenants with one data key each, %v lookups/s, MaxEntries %d, MaxAge %s, 2 hours",
		base.Rate, base.Cache.MaxEntries, short(base.Cache.MaxAge))
	t.Notes = []string{"What a scan brings in leaves first, since it was used once: keys in use stay. The lookups of the scan itself are counted, and miss."}
	r.Tables = append(r.Tables, t)
	return results, nil
}
