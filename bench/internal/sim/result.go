package sim

import (
	"math"
	"slices"
	"time"
)

// Month is the month of the prices.
const Month = 30 * 24 * time.Hour

// A Result is what came of one run. The warm-up is not in it.
type Result struct {
	Config    Config
	Simulated float64 // share of the time that was simulated and stands for the whole

	Ops    uint64 // lookups
	Waited uint64 // those that had to wait for KMS or the keyring
	Failed uint64 // those that got no key

	HitRate float64 // share of the lookups that were answered from memory at once

	KMSCalls      uint64
	KMSPerMillion float64 // lookups
	KMSPerMonth   float64 // of 30 days, in proportion to the simulated time
	CostPerMonth  float64 // of these requests

	P50  time.Duration // added latency over all lookups; a hit counts as 0
	P99  time.Duration
	P999 time.Duration
	Max  time.Duration
	Wait time.Duration // median of those that waited

	Live      int    // plaintext keys held by a process, median over time
	LiveMax   int    // most
	Keys      int    // data keys in the keyring at the end
	Refreshes uint64 // renewed while they were in memory
	StaleHits uint64 // answered past MaxAge in an outage
	Evictions uint64
	Rotations uint64
	KMSErrors uint64

	events uint64 // of the simulation
}

func (r *run) result() *Result {
	count := func(n float64) uint64 { return uint64(math.Round(max(n, 0))) }
	zeros := max(r.ops-r.waits.count, 0)
	slices.Sort(r.live)
	calls := r.kmsCalls
	perMonth := calls * float64(Month) / float64(r.cfg.Duration)
	return &Result{
		Config: *r.cfg, Simulated: r.covered,
		Ops: count(r.ops), Waited: count(r.waits.count), Failed: count(r.failed),
		HitRate:  max(1-(r.waits.count+r.failedAtOnce)/max(r.ops, 1), 0),
		KMSCalls: count(calls), KMSPerMillion: calls / max(r.ops, 1) * 1e6,
		KMSPerMonth: perMonth, CostPerMonth: perMonth / 10_000 * r.cfg.Price,
		P50: r.waits.quantile(0.5, zeros), P99: r.waits.quantile(0.99, zeros), P999: r.waits.quantile(0.999, zeros),
		Max: r.waits.max, Wait: r.waits.quantile(0.5, 0),
		Live: r.live[len(r.live)/2], LiveMax: r.live[len(r.live)-1], Keys: len(r.keys),
		Refreshes: count(r.refreshes), StaleHits: count(r.staleHits), Evictions: count(r.evictions),
		Rotations: count(r.rotations), KMSErrors: count(r.kmsErrors), events: r.handled,
	}
}
