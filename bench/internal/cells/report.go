package cells

import (
	"fmt"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
)

// Tables lays the results out: a table per size and operation.
func Tables(results []Result) []doc.Table {
	tables := breakdown(results)
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

// breakdown shows what each step adds to a value of 64 bytes, from bare AES-256-GCM to
// what the driver does: the floor under each goal.
func breakdown(results []Result) []doc.Table {
	var tables []doc.Table
	for _, b := range []struct {
		title string
		op    string
		steps [][2]string // row, what it has that the one before has not
	}{
		{"What makes up the price of sealing 64 bytes", "seal", [][2]string{
			{bareName, "AES-256-GCM itself"}, {randomName, "drawing the nonce, without which no seal is safe"},
			{"cell, bytes into a prepared buffer", "header, associated data, kind"}, {"cell, bytes, allocating", "memory for the cell"},
			{"cell, Go value", "encoding the value: UTF-8 is checked"}, {looked, "finding the key, and its budget"}}},
		{"What makes up the price of opening 64 bytes", "open", [][2]string{
			{bareName, "AES-256-GCM itself"}, {"cell, bytes in place, incl. the copy", "header, associated data, kind; copying the cell, which a driver does not"},
			{inPlaceText, "the Go value: UTF-8 is checked, a string in an interface has a header of its own"}}},
	} {
		t := doc.Table{Title: b.title, Columns: []string{"step", "ns", "adds", "for"}}
		before := 0.0
		for _, step := range b.steps {
			for _, r := range results {
				if r.Size == 64 && r.Op == b.op && r.Name == step[0] {
					t.Add(r.Name, fmt.Sprintf("%.0f", r.NS.Median), fmt.Sprintf("%+.0f", r.NS.Median-before), step[1])
					before = r.NS.Median
				}
			}
		}
		if len(t.Rows) == len(b.steps) {
			tables = append(tables, t)
		}
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

// goals are held to the two kinds of bare AES-256-GCM where they seal. A nonce that is
// fixed must never be used; it shows what of the price is the nonce's.
func goals() []goal {
	fixed := func(r Result) *stat.Ratio { return &r.Bare }
	drawn := func(r Result) *stat.Ratio { return r.Random }
	tink := func(r Result) *stat.Ratio { return r.Tink }
	return []goal{
		{"seal incl. key lookup ÷ bare that draws its nonce", "seal", looked, drawn, 2.2, 1},
		{"seal incl. key lookup ÷ bare with a fixed nonce (never safe)", "seal", looked, fixed, 2.2, 1},
		{"seal as the driver does, incl. key lookup ÷ bare with a fixed nonce", "seal", lookedBlock, fixed, 2.2, 1},
		{"open, allocating ÷ bare", "open", "cell, bytes, allocating", fixed, 1.8, 1},
		{"open, text as the driver gives it ÷ bare", "open", inPlaceText, fixed, 1.8, 1},
		{"open, in place ÷ bare", "open", "cell, bytes in place, incl. the copy", fixed, 1.4, 0},
		{"seal deterministic ÷ bare that draws its nonce", "seal", "deterministic cell, Go value", drawn, 3.5, 1},
		{"seal deterministic ÷ bare with a fixed nonce (never safe)", "seal", "deterministic cell, Go value", fixed, 3.5, 1},
		{"open deterministic ÷ bare", "open", "deterministic cell, bytes, allocating", fixed, 4, 1},
		{"seal ÷ Tink AES256_GCM", "seal", "cell, bytes, allocating", tink, 1.1, 1},
	}
}

// Goals compares with what was aimed at.
func Goals(results []Result) []doc.Goal {
	var all []doc.Goal
	for _, g := range goals() {
		for _, r := range results {
			if r.Size != 64 || r.Op != g.op || r.Name != g.name {
				continue
			}
			verdict := doc.Judge(*g.of(r), g.ratio)
			if r.Allocs > g.allocs {
				verdict = doc.NotMet
			}
			all = append(all, doc.Goal{What: "64 bytes: " + g.what, Limit: fmt.Sprintf("≤ %.1f×, ≤ %v allocations", g.ratio, g.allocs),
				Measured: fmt.Sprintf("%v, %v allocations", g.of(r), r.Allocs), Verdict: verdict})
		}
	}
	return all
}
