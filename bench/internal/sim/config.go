// Package sim simulates the key cache under a workload, with its keyring and KMS, and counts
// what comes of it. A simulated month takes seconds.
//
// Package keycache is modelled: leases, eviction, shared requests, retries, the circuit breaker,
// rotation. A test runs the real cache through the same workloads on a virtual clock, and holds
// that the figures are within 1 % of each other.
package sim

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/colseal/colseal/keycache"
)

// Config describes one run. All fields are required unless they say otherwise.
type Config struct {
	Duration  time.Duration // simulated and measured
	Processes int
	Rate      float64 // operations per second, all processes together
	Writes    float64 // share of the operations that seal; the rest open

	// Scopes are the tenants; each has Epochs data keys when the run begins, one
	// for each rotation of its past.
	Scopes int
	Epochs int
	Zipf   float64 // exponent of the scopes' popularity; 0 is uniform
	Old    float64 // share of the reads that meet an older data key, any of them alike

	ScanEvery   time.Duration // every process reads cells of all keys; 0: never
	ScanRate    float64       // keys per second of a scan
	BurstEvery  time.Duration
	BurstFor    time.Duration
	BurstFactor float64 // times Rate; 0 or 1: no bursts

	Trace []Access // replaces the workload when not empty

	Cache          keycache.Config
	KMS            Latency
	Outages        []Outage // Start counts from the end of the warm-up
	KeyringLatency time.Duration
	Patience       time.Duration // how long an operation waits for its key
	Price          float64       // of 10,000 KMS requests
	Seed           uint64

	// Budget is how many events the simulation handles. Where the whole time would take more, only
	// a part of it is simulated and stands for the whole. If zero, 8 million: some ten seconds.
	Budget uint64
}

// Defaults is a service of moderate size on default settings.
func Defaults() Config {
	return Config{
		Duration:    30 * 24 * time.Hour,
		Processes:   2,
		Rate:        10,
		Writes:      0.1,
		Scopes:      20,
		Epochs:      3,
		Zipf:        1,
		Old:         0.2,
		ScanRate:    200,
		BurstFactor: 10,
		Cache: keycache.Config{
			RotateEvery: 30 * 24 * time.Hour,
			MaxAge:      10 * time.Minute,
			MaxStale:    time.Hour,
			MaxEntries:  1024,
		},
		KMS:            Latency{Min: 20 * time.Millisecond, Median: 45 * time.Millisecond, Max: 300 * time.Millisecond},
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
	must(c.Duration > 0, "the simulated time must be positive")
	must(c.Processes > 0, "there must be a process")
	must(c.Rate > 0, "the rate must be positive")
	must(c.Writes >= 0 && c.Writes <= 1, "the share of writes must be between 0 and 1")
	must(c.Old >= 0 && c.Old <= 1, "the share of old keys must be between 0 and 1")
	must(c.Scopes > 0 && c.Epochs > 0, "there must be a tenant with a data key")
	must(c.Scopes*c.Epochs <= 200_000, "no more than 200,000 data keys")
	must(c.Zipf >= 0, "the Zipf exponent must not be negative")
	must(c.ScanEvery == 0 || c.ScanRate > 0, "the rate of scans must be positive")
	must(c.BurstEvery == 0 || c.BurstFor <= c.BurstEvery, "bursts must be shorter than the time between them")
	must(c.Patience > 0, "an operation must wait for some time")
	return errors.Join(errs...)
}

// Latency is how long KMS takes: log-normal about a median, as answers over a network are, and
// held within bounds.
type Latency struct {
	Min    time.Duration
	Median time.Duration
	Max    time.Duration // about one in a thousand reaches it
}

func (l Latency) draw(random *rand.Rand) time.Duration {
	if l.Median <= 0 {
		return 0
	}
	const z999 = 3.09 // standard deviations to the 99.9th percentile
	sigma := math.Log(float64(l.Max)/float64(l.Median)) / z999
	d := time.Duration(float64(l.Median) * math.Exp(sigma*random.NormFloat64()))
	return min(max(d, l.Min), l.Max)
}

// An Outage is a time without KMS.
type Outage struct {
	Start time.Duration // in the measured time
	For   time.Duration
	Hang  bool // no answer at all; otherwise an error at once
}

// A part of the measured time has an outage or settles after one, or has none.
type part struct {
	length time.Duration
	outage bool
}

// parts divides the measured time. An outage's part ends settle after the outage.
func (c *Config) parts(settle time.Duration) []part {
	var parts []part
	at := time.Duration(0)
	add := func(until time.Duration, outage bool) {
		if until = min(until, c.Duration); until > at {
			parts = append(parts, part{until - at, outage})
			at = until
		}
	}
	for _, o := range slices.SortedFunc(slices.Values(c.Outages), func(a, b Outage) int { return int(a.Start - b.Start) }) {
		add(o.Start, false)
		add(o.Start+o.For+settle, true)
	}
	add(c.Duration, false)
	return parts
}
