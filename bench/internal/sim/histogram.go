package sim

import (
	"math"
	"time"
)

// A Histogram counts durations in buckets that are 2 % wide: any number of them
// takes the same memory. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	zeros uint64
	sum   time.Duration
	max   time.Duration
	at    [buckets]uint64
}

const (
	buckets = 1600 // from a microsecond to a year
	growth  = 1.02
)

var logGrowth = math.Log(growth)

// Add counts d, n times. Less than a microsecond counts as zero.
func (h *Histogram) Add(d time.Duration, n uint64) {
	h.sum += d * time.Duration(n) //nolint:gosec // a count
	h.max = max(h.max, d)
	if d < time.Microsecond {
		h.zeros += n
		return
	}
	i := int(math.Log(float64(d)/float64(time.Microsecond)) / logGrowth)
	h.at[min(i, buckets-1)] += n
}

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	h.zeros += other.zeros
	h.sum += other.sum
	h.max = max(h.max, other.max)
	for i, n := range other.at {
		h.at[i] += n
	}
}

// Count returns how many durations were added.
func (h *Histogram) Count() uint64 {
	n := h.zeros
	for _, c := range h.at {
		n += c
	}
	return n
}

// WithoutZeros returns the histogram of those that did not count as zero.
func (h *Histogram) WithoutZeros() *Histogram {
	rest := *h
	rest.zeros = 0
	return &rest
}

// Max returns the longest duration.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the duration that a share q of all does not exceed, to 2 %.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.Count())))
	seen := h.zeros
	if rank <= seen {
		return 0
	}
	for i, c := range h.at {
		if seen += c; seen >= rank {
			d := time.Duration(math.Pow(growth, float64(i)+0.5) * float64(time.Microsecond))
			return min(d, h.max)
		}
	}
	return h.max
}
