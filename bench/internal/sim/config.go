// Package sim runs the real key cache against a modelled workload, keyring and KMS
// on a virtual clock, and counts what comes of it. A simulated month takes seconds.
//
// The cache under test is package keycache itself, not a model of it: its timers,
// retries, breaker, eviction and renewal all run, in a testing/synctest bubble whose
// clock jumps to the next event. Only what is around it is modelled.
package sim

import (
	"errors"
	"time"

	"github.com/colseal/colseal/bench/internal/world"
	"github.com/colseal/colseal/keycache"
)

// Config describes one run. All fields are required unless they say otherwise.
type Config struct {
	Duration  time.Duration `json:"duration"` // simulated and measured
	Warmup    time.Duration `json:"warmup"`   // simulated before that
	Processes int           `json:"processes"`
	Rate      float64       `json:"rate"`   // operations per second, all processes together
	Writes    float64       `json:"writes"` // share of the operations that seal; the rest open

	// Scopes are the tenants; each has Epochs data keys when the run begins, one
	// for each rotation of its past.
	Scopes int     `json:"scopes"`
	Epochs int     `json:"epochs"`
	Zipf   float64 `json:"zipf"` // exponent of the scopes' popularity; 0 is uniform
	Old    float64 `json:"old"`  // share of the reads that meet an older data key, any of them alike

	ScanEvery   time.Duration `json:"scan_every"` // every process reads cells of all keys; 0: never
	ScanRate    float64       `json:"scan_rate"`  // keys per second of a scan
	BurstEvery  time.Duration `json:"burst_every"`
	BurstFor    time.Duration `json:"burst_for"`
	BurstFactor float64       `json:"burst_factor"` // times Rate; 0 or 1: no bursts

	Trace []Access `json:"-"` // replaces the workload when not empty

	Cache          keycache.Config `json:"cache"`
	KMS            world.Latency   `json:"kms"`
	Outages        []world.Outage  `json:"outages,omitempty"` // Start counts from the end of the warm-up
	KeyringLatency time.Duration   `json:"keyring_latency"`
	Patience       time.Duration   `json:"patience"` // how long an operation waits for its key
	Price          float64         `json:"price"`    // of 10,000 KMS requests
	Buckets        int             `json:"buckets"`  // of the series over time; 0: none
	Seed           uint64          `json:"seed"`
}

// Defaults is a service of moderate size on default settings.
func Defaults() Config {
	return Config{
		Duration:  30 * 24 * time.Hour,
		Warmup:    time.Hour,
		Processes: 2,
		Rate:      10,
		Writes:    0.1,
		Scopes:    20,
		Epochs:    3,
		Zipf:      1,
		Old:       0.2,
		ScanRate:  200,
		Cache: keycache.Config{
			RotateEvery: 30 * 24 * time.Hour,
			MaxAge:      10 * time.Minute,
			MaxStale:    time.Hour,
			MaxEntries:  1024,
		},
		KMS:            world.Latency{Min: 20 * time.Millisecond, Median: 45 * time.Millisecond, Max: 300 * time.Millisecond},
		KeyringLatency: time.Millisecond,
		Patience:       10 * time.Second,
		Price:          0.03,
		Seed:           1,
	}
}

// Check returns what is wrong with the settings.
func (c *Config) Check() error {
	var errs []error
	must := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	must(c.Duration > 0 && c.Warmup >= 0, "the simulated time must be positive")
	must(c.Processes > 0, "there must be a process")
	must(c.Rate > 0, "the rate must be positive")
	must(c.Writes >= 0 && c.Writes <= 1, "the share of writes must be between 0 and 1")
	must(c.Old >= 0 && c.Old <= 1, "the share of old keys must be between 0 and 1")
	must(c.Scopes > 0 && c.Epochs > 0, "there must be a tenant with a data key")
	must(c.Scopes*c.Epochs <= 1_000_000, "no more than a million data keys")
	must(c.Zipf >= 0, "the Zipf exponent must not be negative")
	must(c.ScanEvery == 0 || c.ScanRate > 0, "the rate of scans must be positive")
	must(c.BurstEvery == 0 || c.BurstFor <= c.BurstEvery, "bursts must be shorter than the time between them")
	must(c.Patience > 0, "an operation must wait for some time")
	return errors.Join(errs...)
}
