package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/colseal/colseal/codec"
)

// Cells are numbers of cells, by suite. A statement or a set of rows counts in one of its
// own and adds it up at its end, so that counting costs a cell nothing.
type Cells [codec.Suites]uint64

// Add counts one cell of a suite.
func (c *Cells) Add(s codec.Suite) { c[s-1]++ }

// Counts are what the driver counts for one *sql.DB. The zero value is ready; the
// methods are safe for concurrent use.
type Counts struct {
	sealed, opened [len(Cells{})]atomic.Uint64
	rows           atomic.Uint64
	unscoped       atomic.Uint64

	mu                sync.Mutex // guards the following, which are counted seldom
	refused, rejected map[string]uint64
	observed          map[string]uint64
}

// totals are the Counts at one moment.
type totals struct {
	sealed, opened    Cells
	rows              uint64
	unscoped          uint64
	refused, rejected map[string]uint64
	observed          map[string]uint64
}

// Sealed adds cells that a statement sealed.
func (c *Counts) Sealed(n Cells) { addCells(&c.sealed, n) }

// Opened adds the cells and rows that were read.
func (c *Counts) Opened(n Cells, rows uint64) {
	addCells(&c.opened, n)
	if rows > 0 {
		c.rows.Add(rows)
	}
}

// Unscoped adds cells that were sealed without a scope although there are scopes.
func (c *Counts) Unscoped(n int) { c.unscoped.Add(uint64(n)) } //nolint:gosec // not negative

// Refused adds a refusal of a class.
func (c *Counts) Refused(class string) { c.addWord(&c.refused, class) }

// Observed adds what will be refused in schema.StageSealed, of a class.
func (c *Counts) Observed(class string) { c.addWord(&c.observed, class) }

// Rejected adds a stored value that could not be opened, by the class of its error.
func (c *Counts) Rejected(class string) { c.addWord(&c.rejected, class) }

func (c *Counts) addWord(to *map[string]uint64, word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[word]++
}

func addCells(to *[len(Cells{})]atomic.Uint64, n Cells) {
	for i := range n {
		if n[i] > 0 {
			to[i].Add(n[i])
		}
	}
}

func (h *Handle) state(s Snapshot) state {
	c := &h.Counts
	t := totals{rows: c.rows.Load(), unscoped: c.unscoped.Load()}
	for i := range t.sealed {
		t.sealed[i], t.opened[i] = c.sealed[i].Load(), c.opened[i].Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.refused, t.rejected = maps.Clone(c.refused), maps.Clone(c.rejected)
	t.observed = maps.Clone(c.observed)
	return state{s, t}
}
