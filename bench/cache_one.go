package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/sim"
)

// commandLine is the command with the flags that were given, but for where the
// output goes.
func commandLine(cmd *cobra.Command) string {
	words := []string{"go run ./bench", cmd.Name()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case cmd.InheritedFlags().Lookup(f.Name) != nil:
		case f.Name == "dsn": // may hold a password
		case f.Value.Type() == "bool":
			words = append(words, "--"+f.Name)
		case f.Value.Type() == "stringArray":
			for _, v := range strings.Split(strings.Trim(f.Value.String(), "[]"), `","`) {
				words = append(words, "--"+f.Name, strings.Trim(v, `"`))
			}
		default:
			words = append(words, "--"+f.Name, f.Value.String())
		}
	})
	return strings.Join(words, " ")
}

// oneCache simulates one configuration.
func oneCache(r *doc.Report, cfg sim.Config) error {
	results, err := simulate([]sim.Config{cfg}, 1, "simulating")
	if err != nil {
		return err
	}
	r.Tables = append(r.Tables, describe(results[0]))
	r.Data = results
	return nil
}

// simulate runs the configurations with a progress bar.
func simulate(cfgs []sim.Config, parallel int, what string) ([]*sim.Result, error) {
	const steps = 500 // of one configuration
	progress := bar(steps*len(cfgs), what)
	results, err := sim.RunAll(cfgs, parallel, func(done float64) { _ = progress.Set(int(done * steps)) })
	if err != nil {
		return nil, err
	}
	_ = progress.Finish()
	return results, nil
}

// describe lists everything about one result.
func describe(r *sim.Result) doc.Table {
	c := r.Config
	t := doc.Table{
		Title: fmt.Sprintf("%s simulated: %d processes, %d tenants, MaxEntries %d, MaxAge %s, RotateEvery %s",
			days(c.Duration), c.Processes, c.Scopes, c.Cache.MaxEntries, short(c.Cache.MaxAge), days(c.Cache.RotateEvery)),
		Columns: []string{"what", "value"},
	}
	t.Add("lookups", r.Ops)
	t.Add("hit rate", percent(r.HitRate))
	t.Add("lookups that waited", fmt.Sprintf("%d, half of them longer than %s", r.Waited, millis(r.Wait)))
	t.Add("lookups that failed", r.Failed)
	t.Add("added latency p50 / p99 / p99.9 / max", strings.Join([]string{millis(r.P50), millis(r.P99), millis(r.P999), millis(r.Max)}, " / "))
	t.Add("KMS requests", r.KMSCalls)
	t.Add("KMS requests per million lookups", fmt.Sprintf("%.0f", r.KMSPerMillion))
	t.Add("KMS requests per month", fmt.Sprintf("%.0f", r.KMSPerMonth))
	t.Add("their price per month", fmt.Sprintf("%.2f (at %v for 10,000)", r.CostPerMonth, c.Price))
	t.Add("keys live in a process, median / most", fmt.Sprintf("%.0f / %.0f", r.Live, r.LiveMax))
	t.Add("data keys in the keyring", r.Keys)
	t.Add("renewed in the background / evicted / rotated", fmt.Sprintf("%d / %d / %d", r.Refreshes, r.Evictions, r.Rotations))
	t.Add("served past MaxAge in an outage", r.StaleHits)
	t.Add("KMS requests that failed", r.KMSErrors)
	return t
}

func days(d time.Duration) string {
	if d == 24*time.Hour {
		return "1 day"
	}
	return fmt.Sprintf("%.3g days", d.Hours()/24)
}

func percent(share float64) string { return fmt.Sprintf("%.3f %%", 100*share) }

func millis(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}
