package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/sqlparse"
)

// keepLabel gives an output the label that PostgreSQL gives the expression as it was
// written: a sealed value gets a type, by which it would be named.
func (e *emission) keepLabel(value sqlparse.Expr) {
	if value == nil || e.p.dialect != Postgres {
		return
	}
	label := "?column?"
	if c, ok := value.(*sqlparse.Cast); ok {
		label = c.Type.Name
	}
	at, ok := e.afterOperand(value)
	if !ok || slices.ContainsFunc(e.edits, func(d edit) bool { return d.start == at && d.label }) {
		return
	}
	e.edits = append(e.edits, edit{start: at, end: at, text: " AS " + quoteName(label), label: true})
}

// afterOperand returns where an expression ends, with the parentheses around it.
func (e *emission) afterOperand(x sqlparse.Expr) (int, bool) {
	s, ok := e.spanOf(x)
	if !ok {
		return 0, false
	}
	before := func(t sqlparse.Token, at int) int { return t.Start - at }
	from, _ := slices.BinarySearchFunc(e.tokens, s.start, before)
	to, _ := slices.BinarySearchFunc(e.tokens, s.end, before)
	for from > 0 && to < len(e.tokens) && e.tokenText(e.tokens[from-1]) == "(" && e.tokenText(e.tokens[to]) == ")" {
		from, to = from-1, to+1
	}
	return e.tokens[to-1].End, true
}

func (e *emission) tokenText(t sqlparse.Token) string { return e.file.Text[t.Start:t.End] }
