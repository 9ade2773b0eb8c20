package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/sim"
	"github.com/colseal/colseal/bench/internal/table"
)

// cacheOptions are the flags of the cache command beyond the configuration's own.
type cacheOptions struct {
	days    float64
	trace   string
	outages []string
	sweep   bool
	advise  bool
	hitRate float64
	cost    float64
	noStale bool
}

func cacheCommand() *cobra.Command {
	cfg, o := sim.Defaults(), cacheOptions{}
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Simulate the key cache: hit rate, KMS requests and their price, latency",
		Long: `Simulates the key cache under a modelled workload, with a keyring and KMS. Without --sweep
or --advise it simulates one configuration, in some seconds. Where a month has too many
misses and renewals for that, a part of it is simulated and stands for the whole.

--sweep prints tables: a month, cache sizes, workloads, MaxAge, an outage.
--advise finds the smallest settings that meet --hit-rate or --cost for the workload.

The workload's parameters are flags. --trace replays recorded key ids instead.`,
		Example: `  go run ./bench cache --tenants 500 --zipf 0.9 --entries 256 --max-age 30m
  go run ./bench cache --outage 10h,45m --max-stale 30m --days 1
  go run ./bench cache --trace keys.txt --advise --hit-rate 0.995
  go run ./bench cache --advise --cost 10 --processes 8`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(&cfg); err != nil {
				return err
			}
			switch w := cmd.OutOrStdout(); {
			case o.advise:
				return adviseCache(w, cfg, o.hitRate, o.cost)
			case o.sweep:
				return sweepCache(w)
			default:
				return oneCache(w, cfg)
			}
		},
	}
	workloadFlags(cmd, &cfg, &o)
	settingFlags(cmd, &cfg, &o)
	return cmd
}

// oneCache simulates one configuration and prints everything about it.
func oneCache(w io.Writer, cfg sim.Config) error {
	results, err := sim.RunAll([]sim.Config{cfg}, func() {})
	if err != nil {
		return err
	}
	t := describe(results[0])
	return t.Print(w)
}

// describe lists everything about one result.
func describe(r *sim.Result) table.Table {
	c := r.Config
	t := table.Table{
		Title: fmt.Sprintf("%s simulated: %d processes, %d tenants, MaxEntries %d, MaxAge %s, RotateEvery %s",
			days(c.Duration), c.Processes, c.Scopes, c.Cache.MaxEntries, short(c.Cache.MaxAge), days(c.Cache.RotateEvery)),
		Columns: []string{"what", "value"},
	}
	t.Add("share of the time that was simulated, for the whole", fmt.Sprintf("%.3g %%", 100*r.Simulated))
	t.Add("lookups", r.Ops)
	t.Add("hit rate", percent(r.HitRate))
	t.Add("lookups that waited", fmt.Sprintf("%d, half of them longer than %s", r.Waited, millis(r.Wait)))
	t.Add("lookups that failed", r.Failed)
	t.Add("added latency p50 / p99 / p99.9 / max", strings.Join([]string{millis(r.P50), millis(r.P99), millis(r.P999), millis(r.Max)}, " / "))
	t.Add("KMS requests", r.KMSCalls)
	t.Add("KMS requests per million lookups", fmt.Sprintf("%.0f", r.KMSPerMillion))
	t.Add("KMS requests per month", fmt.Sprintf("%.0f", r.KMSPerMonth))
	t.Add("their price per month", fmt.Sprintf("%.2f (at %v for 10,000)", r.CostPerMonth, c.Price))
	t.Add("keys live in a process, median / most", fmt.Sprintf("%d / %d", r.Live, r.LiveMax))
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

func percent(share float64) string { return fmt.Sprintf("%.3f %%", 100*share) }

func millis(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

func workloadFlags(cmd *cobra.Command, cfg *sim.Config, o *cacheOptions) {
	f := cmd.Flags()
	f.SortFlags = false
	f.Float64Var(&o.days, "days", 30, "days to simulate")
	f.IntVar(&cfg.Processes, "processes", cfg.Processes, "processes, each with a cache of its own")
	f.Float64Var(&cfg.Rate, "rate", cfg.Rate, "key lookups per second, all processes together")
	f.Float64Var(&cfg.Writes, "writes", cfg.Writes, "share of lookups that seal")
	f.IntVar(&cfg.Scopes, "tenants", cfg.Scopes, "tenants (scopes), each with its own data keys")
	f.IntVar(&cfg.Epochs, "epochs", cfg.Epochs, "data keys of each tenant at the start, by past rotations")
	f.Float64Var(&cfg.Zipf, "zipf", cfg.Zipf, "Zipf exponent of the tenants' popularity; 0 is uniform")
	f.Float64Var(&cfg.Old, "old", cfg.Old, "share of reads that meet an older data key")
	f.DurationVar(&cfg.ScanEvery, "scan-every", 0, "every process reads cells of all keys this often; 0 is never")
	f.Float64Var(&cfg.ScanRate, "scan-rate", cfg.ScanRate, "keys per second of a scan")
	f.DurationVar(&cfg.BurstEvery, "burst-every", 0, "time between the beginnings of bursts; 0 is none")
	f.DurationVar(&cfg.BurstFor, "burst-for", 0, "length of a burst")
	f.Float64Var(&cfg.BurstFactor, "burst-factor", 10, "how many times the rate a burst has")
	f.StringVar(&o.trace, "trace", "", "replay the key ids in this `file`, one per line, or seconds,id")
	f.StringArrayVar(&o.outages, "outage", nil, "a time without KMS, as `start,length[,hang]`; may be repeated")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "of the workload")
}

func settingFlags(cmd *cobra.Command, cfg *sim.Config, o *cacheOptions) {
	f := cmd.Flags()
	f.IntVar(&cfg.Cache.MaxEntries, "entries", cfg.Cache.MaxEntries, "keycache.Config.MaxEntries")
	f.DurationVar(&cfg.Cache.MaxAge, "max-age", cfg.Cache.MaxAge, "keycache.Config.MaxAge")
	f.DurationVar(&cfg.Cache.MaxStale, "max-stale", cfg.Cache.MaxStale, "keycache.Config.MaxStale")
	f.BoolVar(&o.noStale, "no-stale", false, "MaxStale below zero: nothing is served past MaxAge")
	f.DurationVar(&cfg.Cache.RotateEvery, "rotate-every", cfg.Cache.RotateEvery, "keycache.Config.RotateEvery")
	f.DurationVar(&cfg.KMS.Min, "kms-min", cfg.KMS.Min, "shortest KMS latency")
	f.DurationVar(&cfg.KMS.Median, "kms-median", cfg.KMS.Median, "median KMS latency (log-normal)")
	f.DurationVar(&cfg.KMS.Max, "kms-max", cfg.KMS.Max, "longest KMS latency, at the 99.9th percentile")
	f.DurationVar(&cfg.KeyringLatency, "keyring-latency", cfg.KeyringLatency, "latency of the keyring table")
	f.DurationVar(&cfg.Patience, "patience", cfg.Patience, "how long a lookup waits")
	f.Float64Var(&cfg.Price, "price", cfg.Price, "of 10,000 KMS requests")
	f.BoolVar(&o.sweep, "sweep", false, "print the tables of the documentation, over settings of their own")
	f.BoolVar(&o.advise, "advise", false, "print the smallest settings that meet --hit-rate or --cost")
	f.Float64Var(&o.hitRate, "hit-rate", 0, "with --advise: the hit rate wanted, such as 0.999")
	f.Float64Var(&o.cost, "cost", 0, "with --advise: the most that KMS requests may cost a month")
	cmd.MarkFlagsMutuallyExclusive("sweep", "advise")
	cmd.MarkFlagsMutuallyExclusive("hit-rate", "cost")
	cmd.MarkFlagsMutuallyExclusive("no-stale", "max-stale")
}

// complete turns the options into configuration.
func (o *cacheOptions) complete(cfg *sim.Config) error {
	cfg.Duration = time.Duration(o.days * 24 * float64(time.Hour))
	if o.noStale {
		cfg.Cache.MaxStale = -1
	}
	for _, text := range o.outages {
		outage, err := parseOutage(text)
		if err != nil {
			return err
		}
		cfg.Outages = append(cfg.Outages, outage)
	}
	if o.advise && o.hitRate <= 0 && o.cost <= 0 {
		return errors.New("--advise needs --hit-rate or --cost")
	}
	if o.trace == "" {
		return cfg.Check()
	}
	file, err := os.Open(o.trace)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	accesses, keys, err := sim.ReadTrace(file, cfg.Rate)
	if err != nil {
		return err
	}
	cfg.Trace, cfg.Scopes, cfg.Epochs = accesses, keys, 1
	return cfg.Check()
}

func parseOutage(text string) (sim.Outage, error) {
	parts := strings.Split(text, ",")
	bad := fmt.Errorf("outage %q: want start,length or start,length,hang, such as 10h,45m", text)
	if len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && parts[2] != "hang" {
		return sim.Outage{}, bad
	}
	start, err := time.ParseDuration(parts[0])
	if err != nil {
		return sim.Outage{}, bad
	}
	length, err := time.ParseDuration(parts[1])
	if err != nil {
		return sim.Outage{}, bad
	}
	return sim.Outage{Start: start, For: length, Hang: len(parts) == 3}, nil
}
