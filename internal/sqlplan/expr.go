package sqlplan

import (
	"fmt"
	"slices"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlparse"
)

// infer returns the term of an expression. One that is refused counts as one of which nothing is known,
// where the analysis goes on.
func (a *analysis) infer(e sqlparse.Expr, sc *scope) (*term, error) {
	t, err := a.expression(e, sc)
	if err == nil {
		return t, nil
	}
	return newFree(), a.goOn(err)
}

func (a *analysis) expression(e sqlparse.Expr, sc *scope) (*term, error) {
	a.step(1)
	if w := a.world; w != inTruth && asks(e) {
		a.world = inTruth
		defer func() { a.world = w }()
	}
	if done, err := a.searchTerms(e, sc, place{shown: true}); done {
		return newPlain(), err
	}
	switch e := e.(type) {
	case *sqlparse.Column:
		return a.column(e, sc)
	case *sqlparse.Param:
		return a.slot(&slot{param: e, t: newFree()}), nil
	case *sqlparse.Const:
		if e.Value == nil {
			return a.null(e), nil
		}
		return a.slot(&slot{lit: e, t: newFree()}), nil
	case *sqlparse.Cast:
		return a.cast(e, sc)
	case *sqlparse.Compare:
		return newPlain(), a.compare(e, sc)
	case *sqlparse.Order:
		return newResult("the operator " + e.Op), a.order(e, sc, false)
	case *sqlparse.Between:
		return newResult("BETWEEN"), a.between(e, sc, false)
	case *sqlparse.In:
		return newPlain(), a.in(e, sc)
	case *sqlparse.IsNull:
		return newPlain(), a.isNull(e.Arg, sc)
	case *sqlparse.Logic:
		return newPlain(), a.truth(e, sc, place{shown: true})
	case *sqlparse.Case:
		return a.caseExpr(e, sc)
	case *sqlparse.Coalesce:
		return a.coalesce(e, sc)
	case *sqlparse.NullIf:
		return a.nullIf(e, sc)
	case *sqlparse.Subquery:
		return a.subquery(e, sc)
	case *sqlparse.Call:
		return a.call(e, sc)
	case *sqlparse.Array:
		return a.arrayValue(e, sc)
	case *sqlparse.Element:
		if err := a.plainExpr(e.Index, sc, "a subscript"); err != nil {
			return nil, err
		}
		return a.element(e.Array, sc, "a subscript")
	case *sqlparse.Row:
		a.usesRows(rowFields, e.Args...)
		return newResult("a row constructor"), a.plainExprs(e.Args, sc, "a row constructor")
	case *sqlparse.Match:
		return newResult(e.What), a.plainExprs(operandsOf(e), sc, e.What)
	case *sqlparse.Opaque:
		switch e.What {
		case sqlparse.Grouping:
			return newPlain(), a.grouping(e, sc)
		case sqlparse.Greatest, sqlparse.Least:
			return a.guarded(e, func() (*term, error) { return a.greatest(e, e.Args, e.What, sc) })
		}
		a.operandsRead(e)
		return newResult(e.What), a.plainExprs(e.Args, sc, e.What)
	case *sqlparse.Default:
		return nil, a.refuseUnsupported(e.Pos(), nil, "DEFAULT is not expected here", "")
	}
	return nil, a.refuseUnsupported(e.Pos(), nil, fmt.Sprintf("this kind of expression (%T) is not analysed", e), "")
}

// operandsOf lists the operands of a match.
func operandsOf(m *sqlparse.Match) []sqlparse.Expr {
	args := []sqlparse.Expr{m.Left, m.Right}
	if m.Escape != nil {
		args = append(args, m.Escape)
	}
	return args
}

// slot notes a parameter or literal and returns its term.
func (a *analysis) slot(s *slot) *term {
	s.first = a.first
	a.slots = append(a.slots, s)
	return s.t
}

// grouping analyses GROUPING(…), which tells whether the named columns of GROUP BY are grouped
// by, and nothing of their values.
func (a *analysis) grouping(e *sqlparse.Opaque, sc *scope) error {
	for _, x := range e.Args {
		if _, err := a.infer(x, sc); err != nil {
			return err
		}
	}
	return nil
}

// plainExpr analyses an expression that must not hold anything sealed.
func (a *analysis) plainExpr(e sqlparse.Expr, sc *scope, what string) error {
	if e == nil {
		return nil
	}
	t, err := a.infer(e, sc)
	if err != nil {
		return err
	}
	return a.plainOnly(t, e.Pos(), what)
}

func (a *analysis) plainExprs(es []sqlparse.Expr, sc *scope, what string) error {
	for _, e := range es {
		if err := a.plainExpr(e, sc, what); err != nil {
			return err
		}
	}
	return nil
}

// condition analyses an expression of which the truth is asked.
func (a *analysis) condition(e sqlparse.Expr, sc *scope) error {
	return a.truth(e, sc, place{})
}

// truth is condition for what stands under an odd number of NOTs, or an even one: see order.go. Only AND, OR and NOT pass that on.
func (a *analysis) truth(e sqlparse.Expr, sc *scope, in place) error {
	if w := a.world; w != inTruth {
		a.world = inTruth
		defer func() { a.world = w }()
	}
	if done, err := a.searchTerms(e, sc, in); done {
		return a.goOn(err)
	}
	switch e := e.(type) {
	case *sqlparse.Logic:
		a.step(1)
		in.odd = in.odd != (e.Op == sqlparse.Not) && e.Op != sqlparse.Truth
		in.shown = in.shown || e.Op == sqlparse.Truth
		for _, x := range e.Args {
			if err := a.truth(x, sc, in); err != nil {
				return err
			}
		}
		if e.Op == sqlparse.And && !in.odd && !in.shown {
			a.enclose(e.Args)
		}
		return nil
	case *sqlparse.Order:
		a.step(1)
		return a.goOn(a.order(e, sc, in.odd))
	case *sqlparse.Between:
		a.step(1)
		return a.goOn(a.between(e, sc, in.odd))
	}
	return a.plainExpr(e, sc, "a condition")
}

// null notes a NULL and returns its term.
func (a *analysis) null(c *sqlparse.Const) *term {
	t := newFree()
	if a.p.dialect == dialect.Postgres {
		a.bare = append(a.bare, bareNull{pos: c.Pos(), t: t})
	}
	return t
}

// typedHere notes that the server infers the type of e, if it is nothing but a parameter
// or NULL, from what it is assigned to or compared with. It must be the last one met.
func (a *analysis) typedHere(e sqlparse.Expr) {
	switch e := e.(type) {
	case *sqlparse.Const:
		if n := len(a.bare); e.Value == nil && n > 0 && a.bare[n-1].pos == e.Pos() {
			a.bare = a.bare[:n-1]
		}
	case *sqlparse.Param:
		if n := len(a.slots); n > 0 {
			a.slots[n-1].typed = true
		}
	}
}

// mergeAll analyses expressions of which one is the result.
func (a *analysis) mergeAll(es []sqlparse.Expr, sc *scope, what string) (*term, error) {
	result := newFree()
	for _, e := range es {
		t, err := a.infer(e, sc)
		if err != nil {
			return nil, err
		}
		if result, err = a.unify(result, t, e.Pos(), what); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// coalesce analyses COALESCE. The last operand is its result whether it is NULL or not.
func (a *analysis) coalesce(e *sqlparse.Coalesce, sc *scope) (*term, error) {
	last := e.Args[len(e.Args)-1]
	t, err := a.guarded(e, func() (*term, error) { return a.mergeAll(e.Args[:len(e.Args)-1], sc, "COALESCE") })
	if err != nil {
		return nil, err
	}
	u, err := a.infer(last, sc)
	if err != nil {
		return nil, err
	}
	return a.unify(t, u, last.Pos(), "COALESCE")
}

// caseExpr analyses CASE: its conditions, and its branches, of which one is the result.
func (a *analysis) caseExpr(c *sqlparse.Case, sc *scope) (*term, error) {
	w := a.world
	a.world = inTruth
	err := a.whens(c, sc)
	a.world = w
	if err != nil {
		return nil, err
	}
	branches := make([]sqlparse.Expr, len(c.Whens), len(c.Whens)+1)
	for i := range c.Whens {
		branches[i] = c.Whens[i].Then
	}
	if c.Else != nil {
		branches = append(branches, c.Else)
	}
	return a.mergeAll(branches, sc, "CASE")
}

// whens analyses what CASE decides by.
func (a *analysis) whens(c *sqlparse.Case, sc *scope) (err error) {
	if c.Arg == nil {
		for _, w := range c.Whens {
			if err := a.condition(w.Cond, sc); err != nil {
				return err
			}
		}
		return nil
	}
	if len(c.Whens) == 1 && a.question("=", c.Arg, c.Whens[0].Cond) != nil {
		return nil
	}
	arg, err := a.infer(c.Arg, sc)
	for i := 0; err == nil && i < len(c.Whens); i++ {
		w := c.Whens[i]
		var t *term
		if t, err = a.infer(w.Cond, sc); err == nil {
			arg, err = a.equate(arg, t, w.Cond.Pos(), "CASE ... WHEN", between(c.Arg, w.Cond, &search{form: behindItself, expr: w.Cond, then: w.Then}))
		}
	}
	return err
}

// nullIf analyses NULLIF, which yields its first operand.
func (a *analysis) nullIf(n *sqlparse.NullIf, sc *scope) (*term, error) {
	if q := a.questionOfNullIf(n); q != nil {
		q.nullIf = true
		return q.param.t, nil
	}
	l, err := a.infer(n.Left, sc)
	if err != nil {
		return nil, err
	}
	r, err := a.guarded(n, func() (*term, error) { return a.infer(n.Right, sc) })
	if err != nil {
		return nil, err
	}
	return a.equate(l, r, n.Pos(), "NULLIF", between(n.Left, n.Right, &search{form: aroundItself, expr: n}))
}

// questionOfNullIf notes a NULLIF of a parameter. For the companion of a plain column in StageCopy nothing is asked:
// what the server is asked of the plain value is asked of the cell.
func (a *analysis) questionOfNullIf(n *sqlparse.NullIf) *question {
	if a.second.besidePlain() {
		return nil
	}
	return a.question("=", n.Left, n.Right)
}

// isNull analyses a test for NULL, which a cell answers as its plaintext would.
func (a *analysis) isNull(e sqlparse.Expr, sc *scope) error {
	switch e := e.(type) {
	case *sqlparse.Param:
		a.nulls = append(a.nulls, &slot{param: e, t: newFree()})
		return nil
	case *sqlparse.Cast:
		if p, ok := e.Arg.(*sqlparse.Param); ok && !a.hasRowType(e) {
			s := &slot{param: p, t: newFree(), casts: []pgvalue.Cast{castOf(&e.Type)}}
			a.nulls = append(a.nulls, s)
			a.casts = append(a.casts, &recast{cast: e, t: s.t, slot: s, array: e.Type.Array, of: s})
			return nil
		}
	case *sqlparse.Row:
		a.usesRows(rowFields, e.Args...)
		for _, x := range e.Args {
			var err error
			if c, ok := x.(*sqlparse.Column); ok && c.Star { // a list of its columns
				err = a.plainExpr(x, sc, "a row constructor")
			} else {
				err = a.isNull(x, sc)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	a.usesRows(rowNulls, e)
	_, err := a.infer(e, sc)
	return err
}

// subquery analyses a query as an expression.
func (a *analysis) subquery(e *sqlparse.Subquery, sc *scope) (*term, error) {
	left, around, lags := a.rowsLeft, a.guarding, a.lags
	a.guarding = nil
	outs, err := a.selectStmt(e.Query, sc, sc.with)
	if a.guarding = around; err == nil && around != nil && a.lags > lags {
		return nil, a.refuseLag(e.Pos(), "COALESCE, NULLIF, GREATEST or LEAST")
	}
	if e.Kind == sqlparse.ExistsQuery || !slices.ContainsFunc(outs, func(o output) bool { return o.row }) {
		a.rowsLeft = left
	}
	if err != nil || e.Kind == sqlparse.ExistsQuery {
		return newPlain(), err
	}
	if len(outs) != 1 || outs[0].gap {
		for _, o := range outs {
			if o.gap {
				continue
			}
			if err := a.plainOnly(o.t, e.Pos(), "a subquery of several columns"); err != nil {
				return nil, err
			}
		}
		return newPlain(), nil
	}
	if e.Kind == sqlparse.ArrayQuery {
		return a.arrayOf(outs[0].t, e.Pos(), "ARRAY(SELECT ...)")
	}
	return outs[0].t, nil
}
