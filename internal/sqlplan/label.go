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
	operand, ok := e.operandSpan(value)
	at := operand.end
	if !ok || slices.ContainsFunc(e.edits, func(d edit) bool { return d.start == at && d.label }) {
		return
	}
	e.edits = append(e.edits, edit{start: at, end: at, text: " AS " + quoteName(label), label: true})
}

// operandSpan is the span of an expression with the parentheses around it.
func (e *emission) operandSpan(x sqlparse.Expr) (span, bool) {
	s, ok := e.spanOf(x)
	if !ok {
		return span{}, false
	}
	if _, err := e.scan(); err != nil {
		return span{}, false
	}
	from, to := e.tokenAt(s.start), e.tokenAt(s.end)
	for from > 0 && to < len(e.tokens) && e.tokenText(e.tokens[from-1]) == "(" && e.tokenText(e.tokens[to]) == ")" {
		from, to = from-1, to+1
	}
	return span{e.tokens[from].Start, e.tokens[to-1].End}, true
}

// tokenAt returns the index of the first token at or behind a position.
func (e *emission) tokenAt(pos int) int {
	i, _ := slices.BinarySearchFunc(e.tokens, pos, func(t sqlparse.Token, at int) int { return t.Start - at })
	return i
}

func (e *emission) tokenText(t sqlparse.Token) string { return e.file.Text[t.Start:t.End] }
