// Package stat holds the little statistics that the bench program reports:
// medians, their spread, and confidence intervals that assume no distribution.
package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Quantile returns the q-th quantile (0 ≤ q ≤ 1) of sorted values, linearly
// interpolated; NaN for none.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}

// Median returns the median of values, which it leaves as they are; NaN for none.
func Median(values []float64) float64 { return Quantile(slices.Sorted(slices.Values(values)), 0.5) }

// MAD returns the median absolute deviation from the median.
func MAD(values []float64) float64 {
	m := Median(values)
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - m)
	}
	return Median(away)
}

// A Summary describes the measurements of one thing.
type Summary struct {
	Median float64 `json:"median"`
	MAD    float64 `json:"mad"` // median absolute deviation
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
	N      int     `json:"n"`
}

// Summarize describes values; those that are NaN are none.
func Summarize(values []float64) Summary {
	sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(sorted)
	return Summary{
		Median: Quantile(sorted, 0.5),
		MAD:    MAD(sorted),
		Q1:     Quantile(sorted, 0.25),
		Q3:     Quantile(sorted, 0.75),
		N:      len(sorted),
	}
}

// A Ratio is how one thing compares with another that was measured beside it: the
// median of the paired ratios and the bootstrap interval that holds 95 % of the
// medians of resampled pairs.
type Ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// String is "1.23 (1.20–1.26)".
func (r Ratio) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Median, r.Low, r.High) }

// Percent is "+3.1 % (+2.0 … +4.2)": how far the ratio is from one.
func (r Ratio) Percent() string {
	p := func(v float64) float64 { return 100 * (v - 1) }
	return fmt.Sprintf("%+.1f %% (%+.1f … %+.1f)", p(r.Median), p(r.Low), p(r.High))
}

// resamples of the bootstrap: enough for two digits of a 95 % interval.
const resamples = 2000

// Paired compares values with base, measured pairwise: values[i] beside base[i].
// Pairs with a NaN are none.
// The resampling is seeded, so that the same measurements give the same report.
func Paired(values, base []float64) Ratio {
	var ratios []float64
	for i := range min(len(values), len(base)) {
		if r := values[i] / base[i]; !math.IsNaN(r) {
			ratios = append(ratios, r)
		}
	}
	n := len(ratios)
	if n == 0 {
		return Ratio{math.NaN(), math.NaN(), math.NaN()}
	}
	random := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // statistics
	medians, sample := make([]float64, resamples), make([]float64, n)
	for i := range medians {
		for j := range sample {
			sample[j] = ratios[random.IntN(n)]
		}
		slices.Sort(sample)
		medians[i] = Quantile(sample, 0.5)
	}
	slices.Sort(medians)
	return Ratio{Median: Median(ratios), Low: Quantile(medians, 0.025), High: Quantile(medians, 0.975)}
}

// Exactly is the Ratio of a value without an interval.
func Exactly(v float64) Ratio { return Ratio{v, v, v} }
