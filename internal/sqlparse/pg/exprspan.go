package pg

import (
	"slices"

	"github.com/colseal/colseal/internal/sqlparse"
)

// Span returns the bytes that an expression spans, without parentheses around it. It knows columns,
// parameters, constants, casts, rows, arrays, subqueries, comparisons, BETWEEN, LIKE and its like,
// IN, CASE, COALESCE, NULLIF, || and some functions, and these inside each other; false for every
// other expression. All the parentheses around a subquery are its own.
func Span(tokens []sqlparse.Token, text string, e sqlparse.Expr) (start, end int, ok bool) {
	r := reader{tokens, text}
	from, to, ok := r.span(e)
	if !ok || from < 0 || from >= to || to > len(tokens) {
		return 0, 0, false
	}
	return tokens[from].Start, tokens[to-1].End, true
}

// span returns the indices of an expression's tokens, to exclusive.
func (r reader) span(e sqlparse.Expr) (from, to int, ok bool) {
	from = r.find(e.Pos())
	switch x := e.(type) {
	case *sqlparse.Column:
		to, ok = r.columnEnd(from, x)
	case *sqlparse.Param:
		to, ok = from+1, r.kind(from) == sqlparse.TokenParam
	case *sqlparse.Const:
		to, ok = r.constant(from)
	case *sqlparse.Cast:
		return r.castSpan(x)
	case *sqlparse.Row:
		if x.Explicit {
			to, ok = r.group(from + 1)
		} else {
			to, ok = r.group(from)
		}
	case *sqlparse.Array:
		if r.is(from, "array") {
			to, ok = r.group(from + 1)
		} else { // inside another
			to, ok = r.group(from)
		}
	case *sqlparse.Subquery:
		if r.is(from, "exists", "array") {
			to, ok = r.group(from + 1)
		} else {
			to, ok = r.group(from)
		}
	case *sqlparse.Coalesce:
		if to, ok = r.group(from + 1); !r.is(from, "coalesce") {
			ok = false
		}
	case *sqlparse.NullIf:
		if to, ok = r.group(from + 1); !r.is(from, "nullif") {
			ok = false
		}
	case *sqlparse.Case:
		to, ok = r.caseEnd(from)
	case *sqlparse.Call:
		if to, ok = r.name(from); ok && slices.Contains(spannedCalls, x.Name) && x.Over == nil && x.Filter == nil && !x.Within {
			to, ok = r.group(to)
		} else {
			ok = false
		}
	case *sqlparse.Compare:
		return r.compareSpan(x)
	case *sqlparse.In:
		return r.inSpan(x)
	case *sqlparse.Order:
		return r.orderSpan(x)
	case *sqlparse.Between:
		return r.betweenSpan(x)
	case *sqlparse.Match:
		return r.matchSpan(x)
	case *sqlparse.Opaque:
		return r.concatSpan(x)
	}
	return from, to, ok
}

// spannedCalls are the functions whose calls Span knows.
var spannedCalls = []string{"lower", "left", "right", "starts_with"}

func (r reader) columnEnd(i int, c *sqlparse.Column) (int, bool) {
	if c.Star && len(c.Parts) == 0 {
		return i + 1, r.is(i, "*")
	}
	return r.name(i)
}

// caseEnd passes CASE … END. Inside parentheses its words may be names.
func (r reader) caseEnd(i int) (int, bool) {
	for depth := 0; i < len(r.tokens); i++ {
		switch {
		case r.is(i-1, "."): // the name of a column or field
		case r.is(i, "("), r.is(i, "["):
			end, ok := r.group(i)
			if !ok {
				return 0, false
			}
			i = end - 1
		case r.is(i, "case"):
			depth++
		case r.is(i, "end"):
			if depth--; depth == 0 {
				return i + 1, true
			}
		case depth == 0:
			return 0, false
		}
	}
	return 0, false
}

// operand returns the span of an operand together with the parentheses around it that end
// directly before the token before, or start directly behind the token after; the
// other of the two is negative.
func (r reader) operand(e sqlparse.Expr, before, after int) (from, to int, ok bool) {
	from, to, ok = r.span(e)
	for ok {
		if before >= 0 && to == before || after >= 0 && from == after+1 {
			return from, to, true
		}
		if !r.is(from-1, "(") || !r.is(to, ")") {
			return 0, 0, false
		}
		from, to = from-1, to+1
	}
	return 0, 0, false
}

// castSpan returns the span of a cast in any of its spellings.
func (r reader) castSpan(c *sqlparse.Cast) (from, to int, ok bool) {
	if c.Type.Pos() < 0 {
		return 0, 0, false // implied by the grammar
	}
	at := r.find(c.Pos())
	typ := r.find(c.Type.Pos())
	typeEnd, ok := r.typeName(typ)
	switch {
	case !ok:
	case r.is(at, "::"):
		from, _, ok = r.operand(c.Arg, at, -1)
		return from, typeEnd, ok
	case at == typ: // date '…'
		if _, to, ok = r.span(c.Arg); ok && r.is(typ, "interval") {
			to = r.intervalFields(to)
		}
		return at, to, ok
	case r.is(at, "cast"):
		return at, typeEnd + 1, r.is(typeEnd, ")")
	}
	return 0, 0, false
}

// operatorEnd passes the operator of a comparison.
func (r reader) operatorEnd(i int) (int, bool) {
	switch {
	case r.is(i, "operator"):
		return r.group(i + 1)
	case r.is(i, "is"):
		if i++; r.is(i, "not") {
			i++
		}
		return i + 2, r.is(i, "distinct") && r.is(i+1, "from")
	}
	return i + 1, r.is(i, "=", "<>", "!=")
}

func (r reader) compareSpan(c *sqlparse.Compare) (from, to int, ok bool) {
	at := r.find(c.Pos())
	from, _, ok = r.operand(c.Left, at, -1)
	if !ok {
		return 0, 0, false
	}
	op, ok := r.operatorEnd(at)
	switch {
	case !ok:
	case c.Quant != sqlparse.NoQuant: // ANY (…)
		if to, ok = r.group(op + 1); ok {
			return from, to, true
		}
	default:
		if _, to, ok = r.operand(c.Right, -1, op-1); ok {
			return from, to, true
		}
	}
	return 0, 0, false
}

func (r reader) orderSpan(o *sqlparse.Order) (from, to int, ok bool) {
	at := r.find(o.Pos())
	if from, _, ok = r.operand(o.Left, at, -1); !ok {
		return 0, 0, false
	}
	op, ok := at+1, r.is(at, "<", "<=", ">", ">=")
	if r.is(at, "operator") {
		op, ok = r.group(at + 1)
	}
	switch {
	case !ok:
	case o.Quant != sqlparse.NoQuant: // ANY (…)
		to, ok = r.group(op + 1)
	default:
		_, to, ok = r.operand(o.Right, -1, op-1)
	}
	return from, to, ok
}

func (r reader) betweenSpan(b *sqlparse.Between) (from, to int, ok bool) {
	at := r.find(b.Pos())
	if from, _, ok = r.operand(b.Arg, at, -1); !ok {
		return 0, 0, false
	}
	if r.is(at, "not") {
		at++
	}
	if !r.is(at, "between") {
		return 0, 0, false
	}
	if at++; !r.is(at, "symmetric", "asymmetric") {
		at--
	}
	_, and, ok := r.operand(b.Low, -1, at)
	if ok && r.is(and, "and") {
		_, to, ok = r.operand(b.High, -1, and)
	}
	return from, to, ok && r.is(and, "and")
}

func (r reader) matchSpan(m *sqlparse.Match) (from, to int, ok bool) {
	at := r.find(m.Pos())
	if from, _, ok = r.operand(m.Left, at, -1); !ok {
		return 0, 0, false
	}
	op := at
	if r.is(op, "not") {
		op++
	}
	switch {
	case r.is(op, "operator"):
		if op, ok = r.group(op + 1); !ok {
			return 0, 0, false
		}
	case r.is(op, "like", "ilike", "~~", "~~*", "!~~", "!~~*", "^@", "@>", "<@", "&&"):
		op++
	default:
		return 0, 0, false
	}
	if _, to, ok = r.operand(m.Right, -1, op-1); ok && m.Escape != nil {
		if !r.is(to, "escape") {
			return 0, 0, false
		}
		_, to, ok = r.operand(m.Escape, -1, to)
	}
	return from, to, ok
}

// concatSpan returns the span of a || b || c without parentheses inside.
func (r reader) concatSpan(x *sqlparse.Opaque) (from, to int, ok bool) {
	if x.What != "the operator ||" || len(x.Args) < 2 {
		return 0, 0, false
	}
	for i, arg := range x.Args {
		first, end, ok := r.span(arg)
		switch {
		case !ok || i > 0 && (first != to+1 || !r.is(to, "||")):
			return 0, 0, false
		case i == 0:
			from = first
		}
		to = end
	}
	return from, to, true
}

func (r reader) inSpan(x *sqlparse.In) (from, to int, ok bool) {
	at := r.find(x.Pos())
	if from, _, ok = r.operand(x.Left, at, -1); !ok {
		return 0, 0, false
	}
	if r.is(at, "not") {
		at++
	}
	if !r.is(at, "in") {
		return 0, 0, false
	}
	to, ok = r.group(at + 1)
	return from, to, ok
}
