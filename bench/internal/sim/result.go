package sim

import (
	"slices"
	"time"
)

// Month is the month of the prices.
const Month = 30 * 24 * time.Hour

// A Result is what came of one run. The warm-up is not in it.
type Result struct {
	Config Config `json:"config"`

	Ops    uint64 `json:"ops"`    // lookups
	Waited uint64 `json:"waited"` // those that had to wait for KMS or the keyring
	Failed uint64 `json:"failed"` // those that got no key

	HitRate float64 `json:"hit_rate"` // share of the lookups that were answered from memory at once

	KMSCalls      uint64  `json:"kms_calls"`
	KMSPerMillion float64 `json:"kms_per_million"` // lookups
	KMSPerMonth   float64 `json:"kms_per_month"`   // of 30 days, in proportion to the simulated time
	CostPerMonth  float64 `json:"cost_per_month"`  // of these requests

	P50  time.Duration `json:"p50"` // added latency over all lookups; a hit counts as 0
	P99  time.Duration `json:"p99"`
	P999 time.Duration `json:"p999"`
	Max  time.Duration `json:"max"`
	Wait time.Duration `json:"wait"` // median of those that waited

	Live      float64 `json:"live"`       // plaintext keys held by a process, median over time
	LiveMax   float64 `json:"live_max"`   // most
	Keys      int     `json:"keys"`       // data keys in the keyring at the end
	Refreshes uint64  `json:"refreshes"`  // renewed in the background
	StaleHits uint64  `json:"stale_hits"` // answered past MaxAge in an outage
	Evictions uint64  `json:"evictions"`
	Rotations uint64  `json:"rotations"`
	KMSErrors uint64  `json:"kms_errors"`

	Series []Point `json:"series,omitempty"`
}

// A Point is one part of the measured time.
type Point struct {
	At     time.Duration `json:"at"` // middle
	Ops    uint64        `json:"ops"`
	Failed float64       `json:"failed"` // share
	P50    time.Duration `json:"p50"`
	P99    time.Duration `json:"p99"`
	Max    time.Duration `json:"max"`
}

func (r *run) result() *Result {
	var all Histogram
	out := &Result{Config: *r.cfg, Keys: len(r.keys.all())}
	for _, p := range r.fleet {
		all.Add(0, p.hits)
		all.Merge(&p.waits)
		out.Failed += p.failed
	}
	out.Ops = all.Count()
	out.P50, out.P99, out.P999, out.Max = all.Quantile(0.5), all.Quantile(0.99), all.Quantile(0.999), all.Max()
	waits := all.WithoutZeros()
	out.Waited, out.Wait = waits.Count(), waits.Quantile(0.5)
	ops := float64(max(out.Ops, 1))
	out.HitRate = 1 - float64(out.Waited)/ops

	out.KMSCalls = r.kms.Calls() - r.callsBefore
	out.KMSPerMillion = float64(out.KMSCalls) / ops * 1e6
	out.KMSPerMonth = float64(out.KMSCalls) * float64(Month) / float64(r.cfg.Duration)
	out.CostPerMonth = out.KMSPerMonth / 10_000 * r.cfg.Price

	out.Live, out.LiveMax = median(r.live), slices.Max(r.live)
	s := r.stats()
	out.Refreshes, out.StaleHits = s.Refreshes-r.before.Refreshes, s.StaleHits-r.before.StaleHits
	out.Evictions, out.Rotations = s.Evictions-r.before.Evictions, s.Rotations-r.before.Rotations
	out.KMSErrors = s.KMSErrors - r.before.KMSErrors
	out.Series = r.series()
	return out
}

func (r *run) series() []Point {
	var points []Point
	for i := range r.buckets {
		b := &r.buckets[i]
		var h Histogram
		h.Merge(&b.waits)
		h.Add(0, b.hits.Load())
		ops := h.Count()
		points = append(points, Point{
			At:     time.Duration((float64(i) + 0.5) * float64(r.cfg.Duration) / float64(len(r.buckets))),
			Ops:    ops,
			Failed: float64(b.failed) / float64(max(ops, 1)),
			P50:    h.Quantile(0.5), P99: h.Quantile(0.99), Max: h.Max(),
		})
	}
	return points
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
