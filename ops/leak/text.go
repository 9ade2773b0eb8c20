package leak

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// String renders the report for a terminal.
func (r *Report) String() string {
	var b strings.Builder
	c := r.Column
	fmt.Fprintf(&b, "%s.%s (%s, %s)\n\n", c.TableName(), c.Name, c.Mode, c.Kind)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "rows\t%d, of which %d are NULL, which shows\n", r.Rows, r.Null)
	if r.NotCells > 0 {
		fmt.Fprintf(w, "no cells\t%d rows, which show what they hold: colseal audit looks for them\n", r.NotCells)
	}
	fmt.Fprintf(w, "keys\t%d\n", r.Keys)
	fmt.Fprintf(w, "cells\t%d different ones; %s of the rows have the cell of another row\n", r.Cells, percent(r.Repeated, r.sealed()))
	fmt.Fprintf(w, "lengths\t%d different ones; %s of the rows have one that no other row has\n", r.Lengths, percent(r.Alone, r.sealed()))
	if possible, ok := r.possible(); ok {
		fmt.Fprintf(w, "bounds\t%s\n", possible)
	}
	if t := r.Terms; t != nil {
		fmt.Fprintf(w, "terms\t%s\n", c.Terms)
		fmt.Fprintf(w, "tokens\t%d different ones; %s of the rows have the commonest, %s have one that another row has\n", t.Tokens, percent(t.Commonest, r.sealed()), percent(t.Shared, r.sealed()))
		fmt.Fprintf(w, "\t%s of the rows have tokens that, all together, no other row has\n", percent(t.Apart, r.sealed()))
	}
	_ = w.Flush() // a Builder takes everything
	if len(r.Attacks) == 0 {
		b.WriteString("\nNothing else shows: no two cells tell whether their values are equal, but for copies that the database made.\n")
		return b.String()
	}
	b.WriteString("\nRows that an attacker gets right who has the cells and knows how often each value occurs:\n\n")
	fmt.Fprintf(w, "\tin this column\tin others like it\t\n")
	for _, a := range r.Attacks {
		how := a.How
		if a.Away > 0 {
			how += fmt.Sprintf("; a guess is %.2f %% of the rows away", 100*a.Away)
		}
		mode := a.Mode.String()
		if a.Terms {
			mode = "terms"
		}
		fmt.Fprintf(w, "%s\t%.1f %%\t%.1f %%\t%s\n", mode, 100*a.Exact, 100*a.Alike, how)
	}
	_ = w.Flush()
	return strings.ReplaceAll(b.String(), "in others like it  \n", "in others like it\n")
}

// sealed returns how many rows have a cell.
func (r *Report) sealed() int { return r.Rows - r.Null - r.NotCells }

// possible says how many of the values that the bounds allow occur.
func (r *Report) possible() (text string, ok bool) {
	o := r.Column.Layout().Order
	if o == nil || r.Keys != 1 {
		return "", false
	}
	greatest, ok := o.Greatest()
	text = fmt.Sprintf("%d of %.0f possible values occur", r.Cells, float64(greatest)+1)
	if uint64(r.Cells) > greatest { //nolint:gosec // not negative
		text += ": whoever sorts the cells has the values"
	}
	return text, ok
}

func percent(n, of int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(of, 1))) }
