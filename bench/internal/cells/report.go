package cells

import (
	"fmt"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
)

// Tables lays the results out: the goals first, then a table per size and operation.
func Tables(results []Result) []doc.Table {
	tables := []doc.Table{goals(results)}
	for start := 0; start < len(results); {
		end := start
		for end < len(results) && results[end].Size == results[start].Size && results[end].Op == results[start].Op {
			end++
		}
		tables = append(tables, table(results[start:end]))
		start = end
	}
	return tables
}

func table(rows []Result) doc.Table {
	t := doc.Table{
		Title:   fmt.Sprintf("%s, %s", rows[0].Op, size(rows[0].Size)),
		Columns: []string{rows[0].Op, "ns", "± MAD", "× bare", "× bare, random nonce", "× Tink", "allocations", "bytes added"},
	}
	for _, r := range rows {
		added := "–"
		if r.Added != nil {
			added = fmt.Sprint(*r.Added)
		}
		t.Add(r.Name, fmt.Sprintf("%.0f", r.NS.Median), fmt.Sprintf("%.0f", r.NS.MAD), r.Bare, ratio(r.Random), ratio(r.Tink), r.Allocs, added)
	}
	return t
}

func ratio(r *stat.Ratio) string {
	if r == nil {
		return "–"
	}
	return r.String()
}

func size(n int) string {
	if n >= 1024 && n%1024 == 0 {
		return fmt.Sprintf("%d KiB", n/1024)
	}
	return fmt.Sprintf("%d bytes", n)
}

// A goal bounds one row at 64 bytes.
type goal struct {
	what, op, name string
	of             func(Result) *stat.Ratio
	ratio, allocs  float64
}

func goals(results []Result) doc.Table {
	bare := func(r Result) *stat.Ratio { return &r.Bare }
	drawn := func(r Result) *stat.Ratio { return r.Random }
	tink := func(r Result) *stat.Ratio { return r.Tink }
	t := doc.Table{
		Title:   "Goals for 64 bytes",
		Columns: []string{"what", "goal", "measured", "allocations, goal", "measured"},
		Notes: []string{
			"Ratios of medians of paired blocks with their 95 % bootstrap interval. “Bare” is AES-256-GCM of the standard library into a prepared " +
				"buffer; a bare seal that is safe to use must draw its nonce, so sealing is held to that one.",
			"Opening into a Go value costs an allocation more than opening into bytes: a string in an interface has a header of its own.",
		},
	}
	for _, g := range []goal{
		{"seal incl. key lookup ÷ bare", "seal", "cell, Go value, incl. key lookup", drawn, 2.2, 1},
		{"open, allocating ÷ bare", "open", "cell, bytes, allocating", bare, 1.8, 1},
		{"open, in place ÷ bare", "open", "cell, bytes in place, incl. the copy", bare, 1.4, 0},
		{"seal deterministic ÷ bare", "seal", "deterministic cell, Go value", drawn, 3.5, 1},
		{"open deterministic ÷ bare", "open", "deterministic cell, bytes, allocating", bare, 4, 1},
		{"seal ÷ Tink", "seal", "cell, bytes, allocating", tink, 1.1, 1},
	} {
		for _, r := range results {
			if r.Size == 64 && r.Op == g.op && r.Name == g.name {
				t.Add(g.what, fmt.Sprintf("≤ %.1f", g.ratio), g.of(r), fmt.Sprintf("≤ %v", g.allocs), r.Allocs)
			}
		}
	}
	return t
}
