package lookups

import (
	"fmt"
	"time"

	"github.com/colseal/colseal/bench/internal/doc"
	"github.com/colseal/colseal/bench/internal/stat"
)

// Tables lays the outcome out.
func (o *Outcome) Tables() []doc.Table {
	tables := []doc.Table{
		results("Plan of a statement that was seen before", o.Plans),
		results("Plan of a statement that was not", o.First),
		results("Key that is in memory", o.Keys),
		o.flat(), o.calls(),
	}
	tables[0].Notes = []string{"A time is that of one lookup as its goroutine sees it, also where two look up at once."}
	if o.Hang != nil {
		tables = append(tables, o.Hang.table())
	}
	return tables
}

func results(title string, rows []Result) doc.Table {
	t := doc.Table{Title: title, Columns: []string{"lookup", "goroutines", "ns", "± MAD", "allocations"}}
	for _, r := range rows {
		t.Add(r.Name, r.Goroutines, fmt.Sprintf("%.0f", r.NS.Median), fmt.Sprintf("%.0f", r.NS.MAD), r.Allocs)
	}
	return t
}

func (o *Outcome) flat() doc.Table {
	t := doc.Table{Title: "Ten times as many", Columns: []string{"of what", "few", "many", "ns among few", "many ÷ few"},
		Notes: []string{"Rows are among the queries."}}
	for _, f := range o.Flat {
		t.Add(f.Name, f.Few, f.Many, fmt.Sprintf("%.0f", f.NS), f.Ratio)
	}
	return t
}

func (o *Outcome) calls() doc.Table {
	t := doc.Table{Title: "KMS requests for cells on warm keys", Columns: []string{"cells sealed and opened", "how", "keys", "KMS requests", "refresh intervals", "requests per key and interval"},
		Notes: []string{fmt.Sprintf("MaxAge %v. A key in use is unwrapped again at 60 to 85 %% of it; an interval is the shortest such time. "+
			"The requests that made the keys are counted. Two hours are on a virtual clock.", callAge)}}
	for _, c := range o.Calls {
		t.Add(c.Cells, c.Name, c.Keys, c.KMS, c.Intervals, fmt.Sprintf("%.2f", c.PerInterval()))
	}
	return t
}

func (h *Hang) table() doc.Table {
	t := doc.Table{Title: fmt.Sprintf("KMS hangs for %v, in real time", h.For), Columns: []string{"what", "value"},
		Notes: []string{"The keys in use come up for renewal while KMS hangs, and goroutines that need new keys wait for it. What a lookup of a key in memory takes then:"}}
	t.Add("lookups timed", h.Hits)
	t.Add("goroutines that wait for KMS", h.Waiting)
	t.Add("p50 / p99 / p99.9 / longest", fmt.Sprintf("%v / %v / %v / %v", micro(h.P50), micro(h.P99), micro(h.P999), micro(h.Max)))
	t.Add("p99 of timing nothing, for comparison", micro(h.Pause))
	return t
}

func micro(d time.Duration) string {
	if d == 0 {
		return "< 1 µs"
	}
	return d.Round(time.Microsecond).String()
}

// Goals compares with what was aimed at.
func (o *Outcome) Goals() []doc.Goal {
	var goals []doc.Goal
	ns := func(what, limit string, most float64, rows []Result, name string, width int) {
		for _, r := range rows {
			if r.Name == name && r.Goroutines == width {
				goals = append(goals, doc.Goal{What: what, Limit: limit,
					Measured: fmt.Sprintf("%.0f ns (%.0f–%.0f), %v allocations", r.NS.Median, r.NS.Q1, r.NS.Q3, r.Allocs),
					Verdict:  doc.Judge(stat.Ratio{Median: r.NS.Median, Low: r.NS.Q1, High: r.NS.Q3}, most)})
			}
		}
	}
	ns("plan of a cached statement", "< 200 ns, 0 allocations", 200, o.Plans, "plan of a statement that seals", 1)
	ns("first analysis of a query of 60 lines", "< 1 ms", 1e6, o.First, "first analysis of a query of 60 lines", 1)
	ns("key cache hit, two goroutines on two cores", "≤ 20 ns", 20, o.Keys, "key that opens a cell", 2)
	for _, f := range o.Flat {
		goals = append(goals, doc.Goal{What: fmt.Sprintf("10 × the %s", f.Name), Limit: "flat within 10 %", Measured: f.Ratio.Percent(), Verdict: doc.Judge(f.Ratio, 1.1)})
	}
	for _, c := range o.Calls {
		goals = append(goals, doc.Goal{What: fmt.Sprintf("%d cells on warm keys, %s", c.Cells, c.Name), Limit: "≤ 1 KMS request per key and refresh interval",
			Measured: fmt.Sprintf("%.2f", c.PerInterval()), Verdict: doc.Judge(stat.Exactly(c.PerInterval()), 1)})
	}
	if h := o.Hang; h != nil {
		goals = append(goals, doc.Goal{What: fmt.Sprintf("KMS hangs for %v: p99 of cache hits", h.For), Limit: "< 1 ms",
			Measured: fmt.Sprintf("%s (p99.9 %s)", micro(h.P99), micro(h.P999)), Verdict: doc.Judge(stat.Exactly(float64(h.P99)), float64(time.Millisecond))})
	}
	return goals
}
