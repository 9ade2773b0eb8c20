package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/sim"
	"github.com/colseal/colseal/bench/internal/world"
)

// cacheOptions are the flags of the cache command beyond the configuration's own.
type cacheOptions struct {
	days     float64
	trace    string
	outages  []string
	sweep    bool
	advise   bool
	hitRate  float64
	cost     float64
	noStale  bool
	parallel int
}

func cacheCommand(out *output) *cobra.Command {
	cfg, o := sim.Defaults(), cacheOptions{}
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Simulate the key cache: hit rate, KMS requests and their price, latency",
		Long: `Runs the real key cache on a virtual clock, against a modelled workload, keyring and
KMS. Without --sweep or --advise it simulates one configuration.

--sweep draws hit rate by cache size, KMS cost by MaxAge, and latency through an outage.
--advise finds the smallest settings that meet --hit-rate or --cost for the workload.

The workload's parameters are flags; --trace replays recorded key ids instead.`,
		Example: `  go run ./bench cache --tenants 500 --zipf 0.9 --entries 256 --max-age 30m
  go run ./bench cache --outage 10h,45m --max-stale 30m --days 1
  go run ./bench cache --trace keys.txt --advise --hit-rate 0.995
  go run ./bench cache --advise --cost 10 --processes 8`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(&cfg); err != nil {
				return err
			}
			r := &doc.Report{Section: "cache", Machine: doc.ThisMachine(), Command: commandLine(cmd)}
			var err error
			switch {
			case o.advise:
				err = adviseCache(r, cfg, o)
			case o.sweep:
				err = sweepCache(out, r, o.parallel)
			default:
				err = oneCache(r, cfg)
			}
			if err != nil {
				return err
			}
			return out.publish(cmd.OutOrStdout(), r)
		},
	}
	workloadFlags(cmd, &cfg, &o)
	settingFlags(cmd, &cfg, &o)
	return cmd
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
	f.BoolVar(&o.sweep, "sweep", false, "draw the plots (over settings of their own)")
	f.BoolVar(&o.advise, "advise", false, "print the smallest settings that meet --hit-rate or --cost")
	f.Float64Var(&o.hitRate, "hit-rate", 0, "with --advise: the hit rate wanted, such as 0.999")
	f.Float64Var(&o.cost, "cost", 0, "with --advise: the most that KMS requests may cost a month")
	f.IntVar(&o.parallel, "parallel", runtime.GOMAXPROCS(0), "simulations at once")
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

func parseOutage(text string) (world.Outage, error) {
	parts := strings.Split(text, ",")
	bad := fmt.Errorf("outage %q: want start,length or start,length,hang, such as 10h,45m", text)
	if len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && parts[2] != "hang" {
		return world.Outage{}, bad
	}
	start, err := time.ParseDuration(parts[0])
	if err != nil {
		return world.Outage{}, bad
	}
	length, err := time.ParseDuration(parts[1])
	if err != nil {
		return world.Outage{}, bad
	}
	return world.Outage{Start: start, For: length, Hang: len(parts) == 3}, nil
}
