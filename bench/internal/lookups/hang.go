package lookups

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/bench/internal/stat"
	"github.com/colseal/colseal/bench/internal/world"
	"github.com/colseal/colseal/keycache"
)

// Hang is what those feel whose keys are in memory while KMS hangs and others wait for it.
type Hang struct {
	For     time.Duration `json:"for"`
	Hits    uint64        `json:"hits"`    // lookups that were timed
	Waiting int           `json:"waiting"` // goroutines that waited for KMS meanwhile
	Gave    uint64        `json:"gave"`    // how many of these got no key in the end
	P50     time.Duration `json:"p50"`
	P99     time.Duration `json:"p99"`
	P999    time.Duration `json:"p999"`
	Max     time.Duration `json:"max"`
	// Pause is the same of a lookup of nothing, timed in between: what the machine itself
	// adds.
	Pause time.Duration `json:"pause_p99"`
}

const (
	hangKeys    = 64
	hangWaiters = 16
	hangWorkers = 2
)

// hang lets KMS hang in real time. The keys' time to be renewed falls into the hang:
// renewal of all of them begins, and does not end before it is over.
func hang(length time.Duration) (*Hang, error) {
	maxAge := 20 * length / 3 // so that what is left of it at 85 % is as long as the hang
	begin := 7 * maxAge / 10
	w, err := newWarm(hangKeys, keycache.Config{MaxAge: maxAge}, world.Latency{}, []world.Outage{{Start: begin, For: length, Hang: true}})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	h := &Hang{For: length, Waiting: hangWaiters}
	var all sync.WaitGroup
	var mu sync.Mutex // guards hits, empty
	var hits, empty stat.Histogram
	for range hangWorkers {
		all.Go(func() {
			mine, none := w.timeHits(start, begin, length)
			mu.Lock()
			defer mu.Unlock()
			hits.Merge(mine)
			empty.Merge(none)
		})
	}
	var gave atomic.Uint64
	for range hangWaiters {
		all.Go(func() {
			time.Sleep(time.Until(start.Add(begin)))
			for time.Since(start) < begin+length {
				if !w.waitForNew(length) {
					gave.Add(1)
				}
			}
		})
	}
	all.Wait()
	h.Hits, h.Gave = hits.Count(), gave.Load()
	h.P50, h.P99, h.P999, h.Max = hits.Quantile(0.5), hits.Quantile(0.99), hits.Quantile(0.999), hits.Max()
	h.Pause = empty.Quantile(0.99)
	return h, w.Close()
}

// timeHits uses all keys from the start on, and times lookups during the hang.
func (w *warm) timeHits(start time.Time, begin, length time.Duration) (hits, empty *stat.Histogram) {
	hits, empty = &stat.Histogram{}, &stat.Histogram{}
	for i := 0; ; i++ {
		at := time.Since(start)
		if at >= begin+length {
			return hits, empty
		}
		before := time.Now()
		_, err := w.Opener(background, random, w.ids[i%len(w.ids)])
		took := time.Since(before)
		if at >= begin && err == nil {
			hits.Add(took, 1)
			before = time.Now()
			empty.Add(time.Since(before), 1)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

var newcomers atomic.Uint64

// waitForNew asks for the key of a tenant that has none, which takes KMS to make.
func (w *warm) waitForNew(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	scope := "new:" + time.Duration(newcomers.Add(1)).String() //nolint:gosec // any name
	_, err := w.Sealer(keycache.WithScope(ctx, scope), random, 1)
	return err == nil
}
