package explain

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/shows"
	"github.com/colseal/colseal/schema"
)

// String renders the explanation for a terminal. Each refusal has a caret under its place.
func (e *Explanation) String() string {
	var b strings.Builder
	if e.Undecided != "" {
		fmt.Fprintf(&b, "NOT DECIDED without a database: %s. What it would be otherwise:\n\n", e.Undecided)
	}
	switch {
	case e.Refused != nil:
		renderRefusals(&b, "REFUSED before sending", e.Refused)
	case e.Observed != nil:
		renderRefusals(&b, "WORKS in the stage copy, REFUSED in the stage sealed", e.Observed)
		if e.Sealed {
			b.WriteString("\nIn the stage copy it is sent as\n\n")
			e.renderPlan(&b)
		}
	case !e.Sealed:
		b.WriteString("FORWARDED as it is: nothing sealed is read or written\n")
	default:
		b.WriteString("WORKS\n\n")
		e.renderPlan(&b)
	}
	if e.Fingerprint != "" && (e.Refused != nil || e.Observed != nil) {
		fmt.Fprintf(&b, "\nstatement %s in logs\n", e.Fingerprint)
	}
	for _, n := range e.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

func renderRefusals(b *strings.Builder, what string, refusals []*colseal.QueryError) {
	if len(refusals) > 1 {
		fmt.Fprintf(b, "%s, for %d reasons\n\n", what, len(refusals))
	}
	for i, r := range refusals {
		if len(refusals) == 1 {
			fmt.Fprintf(b, "%s: %s\n\n", what, r.Reason)
		} else {
			fmt.Fprintf(b, "%d. %s\n\n", i+1, r.Reason)
		}
		if r.Query != "" {
			b.WriteString(underline(r))
			b.WriteByte('\n')
		}
		renderAdvice(b, r)
		if i+1 < len(refusals) {
			b.WriteByte('\n')
		}
	}
}

func renderAdvice(b *strings.Builder, r *colseal.QueryError) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	if r.Table != "" {
		column := r.Table
		if r.Column != "" {
			column += "." + r.Column
		}
		fmt.Fprintf(w, "column\t%s\n", column)
	}
	if r.Hint != "" {
		fmt.Fprintf(w, "hint\t%s\n", r.Hint)
	}
	_ = w.Flush() // a Builder takes everything
}

// around is how many characters of a line are shown on each side of a refusal's place.
const around = 200

// underline returns the line of a refusal's place, indented, with a caret under that.
func underline(r *colseal.QueryError) string {
	line, col := r.Position()
	text := []rune(strings.TrimRight(strings.Split(r.Query, "\n")[line-1], " \r"))
	caret := min(col-1, len(text))
	before, after := "", ""
	if end := caret + around; end < len(text) {
		text, after = text[:end], "…"
	}
	if start := caret - around; start > 0 {
		text, caret, before = text[start:], around+1, "…"
	}
	shown := before + string(text) + after
	blank := strings.Map(func(c rune) rune {
		if c == '\t' { // it is as wide as the one above it
			return c
		}
		return ' '
	}, string([]rune(shown)[:caret]))
	return fmt.Sprintf("  %s\n  %s^\n", shown, blank)
}

func (e *Explanation) renderPlan(b *strings.Builder) {
	for text := range strings.Lines(e.Sent) {
		if text = strings.TrimRight(text, " \r\n"); text != "" {
			fmt.Fprintf(b, "  %s\n", text)
		}
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, p := range e.Params {
		fmt.Fprintf(w, "parameter\t%s\t%s\n", p.Name, p.describe())
	}
	for i, l := range e.Literals {
		fmt.Fprintf(w, "literal\t%d\t%s\n", i+1, l)
	}
	for i, r := range e.Results {
		number := fmt.Sprint(i + 1)
		if !e.numbered(i) {
			number = "…"
		}
		fmt.Fprintf(w, "result\t%s\t%s\n", strings.TrimSpace(number+" "+r.Name), r.describe())
	}
	_ = w.Flush() // a Builder takes everything
	e.renderShown(b)
}

// renderShown writes what the statement's columns, and the statement itself, show to whoever reads
// the database.
func (e *Explanation) renderShown(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, c := range e.columns() {
		for _, r := range shows.Of(c) {
			fmt.Fprintf(w, "shows\t%s.%s\t%s\n", c.TableName(), c.Name, r.Words)
		}
	}
	_ = w.Flush() // a Builder takes everything
}

// columns returns each sealed column of the statement once.
func (e *Explanation) columns() []*schema.Column {
	var all []*schema.Column
	add := func(columns ...*schema.Column) {
		for _, c := range columns {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	for _, p := range e.Params {
		for _, u := range p.Uses {
			add(u.Column)
		}
	}
	for _, l := range e.Literals {
		add(l.Column)
	}
	for _, r := range e.Results {
		add(r.Columns...)
	}
	return all
}

// numbered reports whether the place of result i is known: offline, what a star yields stands
// anywhere among the plain columns.
func (e *Explanation) numbered(i int) bool {
	seen := e.Results[:i+1]
	if e.Offline {
		seen = e.Results
	}
	return !slices.ContainsFunc(seen, func(r Result) bool { return r.Unknown })
}

func (p Param) describe() string {
	var parts []string
	if p.Plain {
		parts = append(parts, "sent as it is")
	}
	for _, u := range p.Uses {
		parts = append(parts, u.String())
	}
	if p.Asked {
		parts = append(parts, "compared in the program, of which the truth is sent")
	}
	if len(parts) == 0 {
		return "not used"
	}
	return strings.Join(parts, "; and ")
}

// String says for which column a value is sealed, and how.
func (u Use) String() string {
	s := "sealed for " + describeColumn(u.Column)
	if u.Array {
		s += ", each element of the array"
	}
	if u.Text {
		s += ", as text"
	}
	return s
}

func (r Result) describe() string {
	if r.Unknown {
		return "any number of plain columns, as they are"
	}
	if len(r.Columns) == 0 {
		return "as it is"
	}
	var names []string
	for _, c := range r.Columns {
		names = append(names, describeColumn(c))
	}
	s := "opened: " + strings.Join(names, " or ")
	if r.Array {
		s += ", each element of the array"
	}
	return s
}

// describeColumn names a column with how it is sealed.
func describeColumn(c *schema.Column) string {
	return fmt.Sprintf("%s.%s (%s, %s)", c.TableName(), c.Name, c.Mode, c.Kind.String())
}
