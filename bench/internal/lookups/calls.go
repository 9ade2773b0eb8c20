package lookups

import (
	"math"
	"time"

	"github.com/colseal/colseal/bench/internal/world"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
)

// Calls counts what many cells on warm keys cost at KMS.
type Calls struct {
	Name      string        `json:"name"`
	Cells     int           `json:"cells"` // sealed and opened
	Keys      int           `json:"keys"`
	Over      time.Duration `json:"over"`      // on the clock of the run
	KMS       uint64        `json:"kms"`       // calls
	Intervals float64       `json:"intervals"` // refresh intervals that began in that time
}

// PerInterval is calls by key and refresh interval.
func (c Calls) PerInterval() float64 { return float64(c.KMS) / float64(c.Keys) / c.Intervals }

// refreshShare is the shortest time, as a share of MaxAge, after which a key in use is
// unwrapped again: package keycache draws it between 60 and 85 %.
const refreshShare = 0.6

const (
	callKeys = 20
	callAge  = 10 * time.Minute
)

// countCalls seals and opens many cells at one go, and as many over two hours of a
// virtual clock.
func countCalls(o Options, virtually func(func())) ([]Calls, error) {
	burst, err := cellsOver(o.Cells, 0)
	if err != nil {
		return nil, err
	}
	var slow Calls
	virtually(func() { slow, err = cellsOver(o.Cells, 2*time.Hour) })
	burst.Name, slow.Name = "at one go", "over two hours"
	return []Calls{burst, slow}, err
}

// cellsOver seals and opens so many cells, spread evenly over a time.
func cellsOver(cells int, over time.Duration) (Calls, error) {
	start := time.Now()
	w, err := newWarm(callKeys, keycache.Config{MaxAge: callAge}, world.Latency{}, nil)
	if err != nil {
		return Calls{}, err
	}
	const stops = 1000
	for i := range cells {
		if over > 0 && i%max(cells/stops, 1) == 0 {
			time.Sleep(over/stops - time.Since(start)%time.Millisecond)
		}
		if err := w.roundTrip(i % callKeys); err != nil {
			return Calls{}, err
		}
	}
	took := time.Since(start)
	c := Calls{Cells: cells, Keys: callKeys, Over: took, KMS: w.kms.Calls(),
		Intervals: math.Ceil(float64(took) / (refreshShare * float64(callAge)))}
	return c, w.Close()
}

// roundTrip seals a cell of a tenant and opens it.
func (w *warm) roundTrip(tenant int) error {
	k, err := w.Sealer(w.scopes[tenant], random, 1)
	if err != nil {
		return err
	}
	cell, err := k.SealValue(codec.KindInt, int64(tenant))
	if err != nil {
		return err
	}
	h, err := codec.ParseHeader(cell)
	if err != nil {
		return err
	}
	if k, err = w.Opener(background, random, h.KeyID); err != nil {
		return err
	}
	_, err = k.OpenValue(codec.KindInt, cell, true)
	return err
}
