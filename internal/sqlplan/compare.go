package sqlplan

import "github.com/colseal/colseal/internal/sqlparse"

// equate merges two terms whose equality is asked. Equality of cells is the equality
// of what they hold only for deterministic columns of one identity.
func (a *analysis) equate(x, y *term, pos int, what string, of sides) (*term, error) {
	noted := len(a.noted)
	t, err := a.unify(x, y, pos, what)
	if err != nil {
		return nil, err
	}
	a.checked = append(a.checked, &check{t: t, pos: pos, what: what, need: equal, conflict: len(a.noted) > noted, sides: of})
	a.noteCompared(of.left.expr)
	a.noteCompared(of.right.expr)
	return t, nil
}

// between makes the sides of a comparison of two expressions.
func between(l, r sqlparse.Expr, s *search) sides {
	return sides{left: side{expr: l}, right: side{expr: r}, search: s}
}

// compare analyses a comparison by equality, with or without ANY and ALL.
func (a *analysis) compare(c *sqlparse.Compare, sc *scope) error {
	what := [...]string{"=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"}[c.Op]
	negated := c.Op == sqlparse.NotEqual || c.Op == sqlparse.Distinct
	s := &search{expr: c, negated: negated, allOf: c.Quant == sqlparse.All && !negated || c.Quant == sqlparse.Any && negated}
	if c.Quant != sqlparse.NoQuant {
		what += [...]string{"", " ANY", " ALL"}[c.Quant]
		if q, ok := c.Right.(*sqlparse.Subquery); ok && q.Kind == sqlparse.ScalarQuery {
			return a.matchQuery(c.Left, q.Query, sc, what, s)
		}
		left, err := a.infer(c.Left, sc)
		if err != nil {
			return err
		}
		right, err := a.element(c.Right, sc, what)
		if err != nil {
			return err
		}
		_, err = a.equate(left, right, c.Pos(), what, between(c.Left, c.Right, s))
		return err
	}
	if q, ok := c.Right.(*sqlparse.Subquery); ok && q.Kind == sqlparse.ScalarQuery {
		if _, ok := c.Left.(*sqlparse.Row); ok {
			return a.matchQuery(c.Left, q.Query, sc, what, s)
		}
	}
	op := "="
	if negated {
		op = "<>"
	}
	// IS DISTINCT FROM NULL is a test for NULL, and no comparison.
	if _, k := bare(c.Right); k != nil && k.Value == nil && (c.Op == sqlparse.Distinct || c.Op == sqlparse.NotDistinct) {
		if c.Right == sqlparse.Expr(k) {
			return a.isNull(c.Left, sc)
		}
	} else if a.asks(op, c.Left, c.Right) {
		return nil
	}
	return a.match(c.Left, c.Right, sc, c.Pos(), what, s)
}

// in analyses IN over a list or a query.
func (a *analysis) in(in *sqlparse.In, sc *scope) error {
	what := "IN"
	if in.Not {
		what = "NOT IN"
	}
	s := &search{expr: in, negated: in.Not}
	if in.Query != nil {
		return a.matchQuery(in.Left, in.Query, sc, what, s)
	}
	if row, ok := in.Left.(*sqlparse.Row); ok {
		return a.inRows(row, in.List, sc, what, s)
	}
	op := "="
	if in.Not {
		op = "<>"
	}
	if a.question(op, in.Left, in.List...) != nil {
		return nil
	}
	left, err := a.infer(in.Left, sc)
	if err != nil {
		return err
	}
	for _, e := range in.List {
		t, err := a.infer(e, sc)
		if err != nil {
			return err
		}
		a.typedBy(in.Left, e)
		if left, err = a.equate(left, t, e.Pos(), what, between(in.Left, e, s)); err != nil {
			return err
		}
	}
	return nil
}

// inRows analyses (a, b) IN ((…), (…)): the left side is analysed once, the rows of
// the list are merged with it one after another.
func (a *analysis) inRows(left *sqlparse.Row, list []sqlparse.Expr, sc *scope, what string, s *search) error {
	terms, err := a.terms(left.Args, sc)
	if err != nil {
		return err
	}
	for _, e := range list {
		row, ok := e.(*sqlparse.Row)
		if !ok || len(row.Args) != len(terms) {
			for i, t := range terms {
				if err := a.plainOnly(t, left.Args[i].Pos(), "a comparison of rows"); err != nil {
					return err
				}
			}
			if err := a.plainExpr(e, sc, "a comparison of rows"); err != nil {
				return err
			}
			continue
		}
		for i, x := range row.Args {
			t, err := a.infer(x, sc)
			if err != nil {
				return err
			}
			a.typedBy(left.Args[i], x)
			if terms[i], err = a.equate(terms[i], t, x.Pos(), what, between(left.Args[i], x, s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// match analyses the equality of two expressions, member by member if both are rows.
func (a *analysis) match(l, r sqlparse.Expr, sc *scope, pos int, what string, s *search) error {
	lrow, lok := l.(*sqlparse.Row)
	rrow, rok := r.(*sqlparse.Row)
	for _, row := range []*sqlparse.Row{lrow, rrow} {
		if row != nil {
			if err := a.checkNoStar(row.Args); err != nil {
				return err
			}
		}
	}
	if lok && rok && len(lrow.Args) == len(rrow.Args) {
		for i := range lrow.Args {
			if err := a.match(lrow.Args[i], rrow.Args[i], sc, pos, what, s); err != nil {
				return err
			}
		}
		return nil
	}
	x, err := a.infer(l, sc)
	if err != nil {
		return err
	}
	a.typedBy(r, l)
	y, err := a.infer(r, sc)
	if err != nil {
		return err
	}
	a.typedBy(l, r)
	_, err = a.equate(x, y, pos, what, between(l, r, s))
	return err
}

// matchQuery analyses the equality of an expression, or of a row, with the rows of a
// query.
func (a *analysis) matchQuery(l sqlparse.Expr, q *sqlparse.Select, sc *scope, what string, s *search) error {
	left := []sqlparse.Expr{l}
	if row, ok := l.(*sqlparse.Row); ok {
		left = row.Args
	}
	terms, err := a.terms(left, sc)
	if err != nil {
		return err
	}
	outs, err := a.selectStmt(q, sc, sc.with)
	if err != nil {
		return err
	}
	if hasGap(outs) || len(outs) != len(terms) {
		for i, t := range terms {
			if err := a.plainOnly(t, left[i].Pos(), what); err != nil {
				return err
			}
		}
		return a.plainOutputs(outs, l.Pos(), what)
	}
	for i := range terms {
		of := sides{left: side{expr: left[i]}, right: side{query: q, column: i}, search: s}
		if _, err := a.equate(terms[i], outs[i].t, left[i].Pos(), what, of); err != nil {
			return err
		}
	}
	return nil
}

func (a *analysis) terms(es []sqlparse.Expr, sc *scope) ([]*term, error) {
	out := make([]*term, len(es))
	for i, e := range es {
		t, err := a.infer(e, sc)
		if err != nil {
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

// typedBy notes that a column gives the parameter e, with which it is compared, its type.
func (a *analysis) typedBy(column, e sqlparse.Expr) {
	if c, ok := column.(*sqlparse.Column); ok && !c.Star {
		a.typedHere(e)
	}
}
