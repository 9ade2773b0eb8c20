package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/plots"
	"github.com/colseal/colseal/bench/internal/sim"
	"github.com/colseal/colseal/bench/internal/world"
)

// sweepCache simulates and draws the three plots of the documentation.
func sweepCache(out *output, r *doc.Report, parallel int) error {
	var data []*sim.Result
	for _, sweep := range []func(*output, *doc.Report, int) ([]*sim.Result, error){sweepMonth, sweepEntries, sweepWorkloads, sweepMaxAge, sweepOutage} {
		results, err := sweep(out, r, parallel)
		if err != nil {
			return err
		}
		data = append(data, results...)
	}
	r.Data = data
	return nil
}

// sweepMonth is a month on the defaults, by rotation period.
func sweepMonth(_ *output, r *doc.Report, parallel int) ([]*sim.Result, error) {
	var cfgs []sim.Config
	for _, rotate := range []time.Duration{7 * 24 * time.Hour, 30 * 24 * time.Hour} {
		cfg := sim.Defaults()
		cfg.Cache.RotateEvery = rotate
		cfgs = append(cfgs, cfg)
	}
	results, err := simulate(cfgs, parallel, "a month")
	if err != nil {
		return nil, err
	}
	d := sim.Defaults()
	t := table(results, "RotateEvery", func(c sim.Config) string { return days(c.Cache.RotateEvery) })
	t.Title = fmt.Sprintf("A month by rotation period: %d processes, %d tenants (Zipf %v) with %d data keys each at first, %v lookups/s, MaxAge %s",
		d.Processes, d.Scopes, d.Zipf, d.Epochs, d.Rate, short(d.Cache.MaxAge))
	r.Tables = append(r.Tables, t)
	return results, nil
}

// sweepEntries is the hit rate by cache size, for several exponents.
func sweepEntries(out *output, r *doc.Report, parallel int) ([]*sim.Result, error) {
	exponents := []float64{0, 0.6, 0.8, 1, 1.2}
	sizes := []int{16, 32, 64, 128, 256, 512, 1024}
	var cfgs []sim.Config
	for _, s := range exponents {
		for _, n := range sizes {
			cfg := sim.Defaults()
			cfg.Processes, cfg.Scopes, cfg.Epochs, cfg.Writes = 1, 1000, 1, 0
			cfg.Duration, cfg.Warmup, cfg.Rate, cfg.Zipf, cfg.Cache.MaxEntries = time.Hour, 20*time.Minute, 10, s, n
			cfgs = append(cfgs, cfg)
		}
	}
	results, err := simulate(cfgs, parallel, "hit rate by cache size")
	if err != nil {
		return nil, err
	}
	one := 1.0
	chart := plots.Chart{Title: "Hit rate by cache size, 1,000 keys", XLabel: "MaxEntries", YLabel: "hit rate", LogX: true, Points: true, YMax: &one}
	t := doc.Table{
		Title: "Hit rate by cache size: 1 process, 1,000 tenants with one data key each, 10 reads/s, MaxAge 10m, 1 hour",
		Notes: []string{"With room for every key, what still misses are keys that were not used for so long that they were not renewed: a longer MaxAge helps there, more entries do not."},
	}
	t.Columns = []string{"MaxEntries"}
	for _, n := range sizes {
		t.Columns = append(t.Columns, fmt.Sprint(n))
	}
	for i, s := range exponents {
		name := map[bool]string{true: "uniform", false: fmt.Sprintf("Zipf %v", s)}[s == 0]
		line, row := plots.Line{Name: name}, []any{name}
		for j, n := range sizes {
			result := results[i*len(sizes)+j]
			line.X, line.Y = append(line.X, float64(n)), append(line.Y, result.HitRate)
			row = append(row, fmt.Sprintf("%.1f %%", 100*result.HitRate))
		}
		chart.Lines = append(chart.Lines, line)
		t.Add(row...)
	}
	r.Tables = append(r.Tables, t)
	return results, out.plot(r, "hit-rate.svg", chart)
}

// sweepMaxAge is the price of KMS requests by MaxAge, for several fleets.
func sweepMaxAge(out *output, r *doc.Report, parallel int) ([]*sim.Result, error) {
	fleets := []int{1, 4, 16}
	ages := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour}
	var cfgs []sim.Config
	for _, n := range fleets {
		for _, age := range ages {
			cfg := sim.Defaults()
			cfg.Processes, cfg.Rate, cfg.Cache.MaxAge = n, 20, age
			cfg.Duration, cfg.Warmup = 2*time.Hour+4*age, 20*time.Minute+age
			cfgs = append(cfgs, cfg)
		}
	}
	results, err := simulate(cfgs, parallel, "KMS cost by MaxAge")
	if err != nil {
		return nil, err
	}
	d := sim.Defaults()
	chart := plots.Chart{Title: fmt.Sprintf("KMS requests by MaxAge, %d data keys", d.Scopes*d.Epochs), XLabel: "MaxAge in minutes",
		YLabel: "US dollars per month", LogX: true, LogY: true, Points: true}
	t := table(results, "processes, MaxAge", func(c sim.Config) string { return fmt.Sprintf("%d, %v", c.Processes, short(c.Cache.MaxAge)) })
	t.Title = fmt.Sprintf("KMS requests by MaxAge: %d tenants (Zipf %v) with %d data keys each, 20 lookups/s over all processes", d.Scopes, d.Zipf, d.Epochs)
	t.Notes = []string{"Simulated for two hours and four times MaxAge, and extended to a month."}
	for i, n := range fleets {
		line := plots.Line{Name: fmt.Sprintf("%d processes", n)}
		for j, age := range ages {
			line.X, line.Y = append(line.X, age.Minutes()), append(line.Y, results[i*len(ages)+j].CostPerMonth)
		}
		chart.Lines = append(chart.Lines, line)
	}
	r.Tables = append(r.Tables, t)
	return results, out.plot(r, "kms-cost.svg", chart)
}

// short is d without the units that are zero at its end: 1h, not 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// sweepOutage is what happens through an outage that is shorter than one MaxStale
// and longer than others.
func sweepOutage(out *output, r *doc.Report, parallel int) ([]*sim.Result, error) {
	outage := world.Outage{Start: 30 * time.Minute, For: 45 * time.Minute}
	stales := []time.Duration{-1, 20 * time.Minute, time.Hour}
	var cfgs []sim.Config
	for _, stale := range stales {
		cfg := sim.Defaults()
		cfg.Duration, cfg.Cache.MaxStale, cfg.Outages, cfg.Buckets = 2*time.Hour, stale, []world.Outage{outage}, 120
		cfgs = append(cfgs, cfg)
	}
	results, err := simulate(cfgs, parallel, "an outage")
	if err != nil {
		return nil, err
	}
	name := func(c sim.Config) string {
		if c.Cache.MaxStale < 0 {
			return "MaxStale none"
		}
		return "MaxStale " + short(c.Cache.MaxStale)
	}
	zero, hundred := 0.0, 100.0
	span := &[2]float64{outage.Start.Minutes(), (outage.Start + outage.For).Minutes()}
	failed := plots.Chart{Title: "Lookups that fail through an outage of KMS", XLabel: "minutes", YLabel: "% of lookups", YMin: &zero, YMax: &hundred, Shade: span}
	latency := plots.Chart{Title: "Longest added latency through an outage of KMS", XLabel: "minutes", YLabel: "ms", YMin: &zero, Shade: span}
	for _, result := range results {
		f, l := plots.Line{Name: name(result.Config)}, plots.Line{Name: name(result.Config)}
		for _, p := range result.Series {
			f.X, f.Y = append(f.X, p.At.Minutes()), append(f.Y, 100*p.Failed)
			l.X, l.Y = append(l.X, p.At.Minutes()), append(l.Y, float64(p.Max.Milliseconds()))
		}
		failed.Lines, latency.Lines = append(failed.Lines, f), append(latency.Lines, l)
	}
	t := table(results, "MaxStale", name)
	t.Title = "Two hours with KMS away from minute 30 to 75, MaxAge 10m"
	r.Tables = append(r.Tables, t)
	if err := out.plot(r, "outage-failed.svg", failed); err != nil {
		return nil, err
	}
	return results, out.plot(r, "outage-latency.svg", latency)
}

// table has a row for each result.
func table(results []*sim.Result, what string, name func(sim.Config) string) doc.Table {
	t := doc.Table{Columns: []string{what, "hit rate", "KMS per million lookups", "KMS per month", "price per month",
		"p50", "p99", "p99.9", "max", "failed", "keys live", "rotations"}}
	for _, r := range results {
		t.Add(name(r.Config), percent(r.HitRate), fmt.Sprintf("%.0f", r.KMSPerMillion), fmt.Sprintf("%.0f", r.KMSPerMonth),
			fmt.Sprintf("$%.2f", r.CostPerMonth), millis(r.P50), millis(r.P99), millis(r.P999), millis(r.Max),
			percent(float64(r.Failed)/float64(max(r.Ops, 1))), fmt.Sprintf("%.0f", r.Live), r.Rotations)
	}
	return t
}
