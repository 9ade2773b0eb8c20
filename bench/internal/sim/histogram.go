package sim

import (
	"math"
	"time"
)

// A histogram counts durations in buckets that are 2 % wide: any number of them takes the same
// memory. The zero value is empty.
type histogram struct {
	count float64
	max   time.Duration
	at    [buckets]float64
}

const (
	buckets = 1600 // from a microsecond to a year
	growth  = 1.02
)

var logGrowth = math.Log(growth)

// add counts d with a weight.
func (h *histogram) add(d time.Duration, weight float64) {
	if weight == 0 {
		return
	}
	h.count += weight
	h.max = max(h.max, d)
	i := int(math.Log(float64(d)/float64(time.Microsecond)) / logGrowth)
	h.at[min(max(i, 0), buckets-1)] += weight
}

// quantile returns the duration, to 2 %, that a share q does not exceed of what was counted and
// so many zeros.
func (h *histogram) quantile(q, zeros float64) time.Duration {
	rank, seen := q*(h.count+zeros), zeros
	if rank <= seen {
		return 0
	}
	for i, n := range h.at {
		if seen += n; seen >= rank {
			d := time.Duration(math.Pow(growth, float64(i)+0.5) * float64(time.Microsecond))
			return min(d, h.max)
		}
	}
	return h.max
}
