package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/colseal/colseal/bench/internal/sim"
	"github.com/colseal/colseal/bench/internal/table"
)

// A sweep is a table of simulations that differ in one or two settings.
type sweep struct {
	table.Table
	names []string
	cfgs  []sim.Config
}

func (s *sweep) add(name string, cfg sim.Config) {
	s.names, s.cfgs = append(s.names, name), append(s.cfgs, cfg)
}

// sweepCache simulates and prints the tables of the documentation.
func sweepCache(w io.Writer) error {
	sweeps := []sweep{sweepMonth(), sweepWorkloads(), sweepMaxAge(), sweepOutage()}
	sizes, matrix := sweepEntries()
	total := len(matrix.cfgs)
	for _, s := range sweeps {
		total += len(s.cfgs)
	}
	progress := bar(os.Stderr, total, "simulations")
	defer func() { _ = progress.Finish() }()
	step := func() { _ = progress.Add(1) }
	for _, s := range sweeps {
		results, err := sim.RunAll(s.cfgs, step)
		if err != nil {
			return err
		}
		s.Columns = append(s.Columns, "hit rate", "KMS per million lookups", "KMS per month", "price per month",
			"p50", "p99", "p99.9", "max", "failed", "keys live", "rotations")
		for i, r := range results {
			s.Add(s.names[i], percent(r.HitRate), fmt.Sprintf("%.0f", r.KMSPerMillion), fmt.Sprintf("%.0f", r.KMSPerMonth),
				fmt.Sprintf("$%.2f", r.CostPerMonth), millis(r.P50), millis(r.P99), millis(r.P999), millis(r.Max),
				percent(float64(r.Failed)/float64(max(r.Ops, 1))), r.Live, r.Rotations)
		}
		if err := s.Print(w); err != nil {
			return err
		}
	}
	results, err := sim.RunAll(matrix.cfgs, step)
	if err != nil {
		return err
	}
	for i := 0; i < len(results); i += sizes {
		row := []any{matrix.names[i]}
		for _, r := range results[i : i+sizes] {
			row = append(row, fmt.Sprintf("%.1f %%", 100*r.HitRate))
		}
		matrix.Add(row...)
	}
	return matrix.Print(w)
}

// sweepMonth is a month on the defaults, by rotation period.
func sweepMonth() sweep {
	cfg := sim.Defaults()
	s := sweep{Table: table.Table{Columns: []string{"RotateEvery"},
		Title: fmt.Sprintf("A month by rotation period: %d processes, %d tenants (Zipf %v) with %d data keys each at first, %v lookups/s, MaxAge %s",
			cfg.Processes, cfg.Scopes, cfg.Zipf, cfg.Epochs, cfg.Rate, short(cfg.Cache.MaxAge))}}
	for _, rotate := range []time.Duration{7 * 24 * time.Hour, 30 * 24 * time.Hour} {
		cfg.Cache.RotateEvery = rotate
		s.add(days(rotate), cfg)
	}
	return s
}

// sweepEntries is the hit rate by cache size, for several exponents: so many sizes each.
func sweepEntries() (sizes int, s sweep) {
	s = sweep{Table: table.Table{Columns: []string{"MaxEntries"},
		Title: "Hit rate by cache size: 1 process, 1,000 tenants with one data key each, 10 reads/s, MaxAge 10m",
		Note: "With room for every key, what still misses are keys that were not used for so long that they were not renewed. " +
			"A longer MaxAge helps there, more entries do not."}}
	for _, exponent := range []float64{0, 0.6, 0.8, 1, 1.2} {
		sizes = 0
		for _, n := range []int{16, 32, 64, 128, 256, 512, 1024} {
			cfg := sim.Defaults()
			cfg.Processes, cfg.Scopes, cfg.Epochs, cfg.Writes = 1, 1000, 1, 0
			cfg.Duration, cfg.Zipf, cfg.Cache.MaxEntries = 6*time.Hour, exponent, n
			name := "uniform"
			if exponent > 0 {
				name = fmt.Sprintf("Zipf %v", exponent)
			} else {
				s.Columns = append(s.Columns, fmt.Sprint(n))
			}
			s.add(name, cfg)
			sizes++
		}
	}
	return sizes, s
}

// sweepWorkloads is one cache under several workloads: what scans and bursts do to it.
func sweepWorkloads() sweep {
	base := sim.Defaults()
	base.Processes, base.Scopes, base.Epochs = 1, 1000, 1
	base.Duration, base.Cache.MaxEntries = 12*time.Hour, 256
	s := sweep{Table: table.Table{Columns: []string{"workload"},
		Title: fmt.Sprintf("Workloads: 1 process, 1,000 tenants with one data key each, %v lookups/s, MaxEntries %d, MaxAge %s",
			base.Rate, base.Cache.MaxEntries, short(base.Cache.MaxAge)),
		Note: "What a scan brings in leaves first, since it was used once: keys in use stay. The lookups of the scan itself are counted, and miss."}}
	s.add("Zipf 1", base)
	uniform, scans, bursts, both := base, base, base, base
	uniform.Zipf = 0
	s.add("uniform", uniform)
	scans.ScanEvery = 15 * time.Minute
	s.add("Zipf 1, every 15 minutes a scan of all keys", scans)
	bursts.BurstEvery, bursts.BurstFor = 10*time.Minute, time.Minute
	s.add("Zipf 1, bursts of 10 times the rate for a minute in ten", bursts)
	both.ScanEvery, both.BurstEvery, both.BurstFor, both.Cache.MaxEntries = scans.ScanEvery, bursts.BurstEvery, bursts.BurstFor, 1024
	s.add("Zipf 1, scans and bursts, room for every key", both)
	return s
}

// sweepMaxAge is the price of KMS requests by MaxAge, for several fleets.
func sweepMaxAge() sweep {
	cfg := sim.Defaults()
	s := sweep{Table: table.Table{Columns: []string{"processes, MaxAge"},
		Title: fmt.Sprintf("KMS requests by MaxAge: %d tenants (Zipf %v) with %d data keys each, 20 lookups/s over all processes", cfg.Scopes, cfg.Zipf, cfg.Epochs)}}
	for _, n := range []int{1, 4, 16} {
		for _, age := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour} {
			cfg.Processes, cfg.Rate, cfg.Cache.MaxAge = n, 20, age
			s.add(fmt.Sprintf("%d, %s", n, short(age)), cfg)
		}
	}
	return s
}

// sweepOutage is what happens through an outage that is shorter than one MaxStale and longer
// than the others.
func sweepOutage() sweep {
	cfg := sim.Defaults()
	cfg.Duration, cfg.Outages = 2*time.Hour, []sim.Outage{{Start: 30 * time.Minute, For: 45 * time.Minute}}
	s := sweep{Table: table.Table{Columns: []string{"MaxStale"}, Title: "Two hours with KMS away from minute 30 to 75, MaxAge 10m"}}
	for _, stale := range []time.Duration{-1, 20 * time.Minute, time.Hour} {
		name := "none"
		if stale > 0 {
			name = short(stale)
		}
		cfg.Cache.MaxStale = stale
		s.add(name, cfg)
	}
	return s
}
