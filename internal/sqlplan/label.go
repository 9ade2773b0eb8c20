package sqlplan

import (
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// keepLabel gives an output the label that PostgreSQL gives the expression as it was
// written: a sealed value gets a type, by which it would be named.
func (e *emission) keepLabel(value sqlparse.Expr) {
	if value == nil || e.p.dialect != dialect.Postgres {
		return
	}
	label := "?column?"
	if c, ok := value.(*sqlparse.Cast); ok {
		label = c.Type.Name
	}
	operand, ok := e.operandSpan(value)
	at := operand.end
	if !ok || e.labelled[at] {
		return
	}
	if e.labelled == nil {
		e.labelled = map[int]bool{}
	}
	e.labelled[at] = true
	e.edits = append(e.edits, edit{start: at, end: at, text: " AS " + dbcatalog.QuoteIdent(label), label: true})
}

// shown notes the outputs of a query whose labels are seen outside of it.
func (a *analysis) shown(outs []output) {
	if a.p.dialect != dialect.SQLite {
		return
	}
	for _, o := range outs {
		if x := o.more.value(); x != nil {
			a.labels = append(a.labels, x)
		}
	}
}

// keepTexts gives the outputs that are rewritten the labels that SQLite gives them as they
// were written: their texts.
func (e *emission) keepTexts() error {
	if len(e.labels) == 0 {
		return nil
	}
	edits := slices.Clone(e.edits)
	slices.SortFunc(edits, func(c, d edit) int { return c.start - d.start })
	named := map[sqlparse.Expr]bool{}
	for _, x := range e.labels {
		if named[x] {
			continue // shown by an outer query, too
		}
		named[x] = true
		s, ok := e.operandSpan(x)
		if !ok {
			return e.refuseRewriting(x.Pos(), nil, "the end of this expression cannot be found", "name it with AS")
		}
		from, _ := slices.BinarySearchFunc(edits, s.start, func(d edit, at int) int { return d.start - at })
		to, _ := slices.BinarySearchFunc(edits, s.end, func(d edit, at int) int { return d.start - at })
		for _, d := range edits[from:to] {
			if d.literal != nil {
				return e.refuseRewriting(d.start, d.literal.Use.Column, "the label of this result column would be its text, with the sealed value in it",
					"name the result column with AS, or use a parameter")
			}
		}
		if from < to || slices.ContainsFunc(e.regions, func(r *region) bool { return r.start >= s.start && r.end <= s.end }) {
			e.edits = append(e.edits, edit{start: s.end, end: s.end, text: " AS " + dbcatalog.QuoteIdent(e.textLabel(s)), label: true})
		}
	}
	return nil
}

// textLabel returns the label that SQLite makes of an output's text: all up to the next token,
// without the white space at its end.
func (e *emission) textLabel(s span) string {
	end := len(e.file.Text)
	if next := e.tokenAt(s.end); next < len(e.tokens) {
		end = e.tokens[next].Start
	}
	return strings.TrimRight(e.file.Text[s.start:end], " \t\n\v\f\r")
}

// operandSpan returns the span of an expression with the parentheses around it.
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
