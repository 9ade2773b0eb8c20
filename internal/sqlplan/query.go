package sqlplan

import (
	"slices"
	"strconv"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// selectStmt analyses a query and returns its output columns. parent is the scope
// that its expressions can also see, nil when there is none.
func (a *analysis) selectStmt(s *sqlparse.Select, parent *scope, with *withScope) ([]output, error) {
	sc := &scope{parent: parent, with: with}
	if err := a.with(s.With, sc); err != nil {
		return nil, err
	}
	var outs []output
	var err error
	switch {
	case s.Op != sqlparse.NoSetOp:
		outs, err = a.setOperation(s, sc)
	case s.Values != nil:
		outs, err = a.values(s, sc)
	default:
		return a.plainSelect(s, sc)
	}
	if err != nil {
		return nil, err
	}
	return outs, a.tail(s, outs, sc)
}

// plainSelect analyses SELECT … FROM ….
func (a *analysis) plainSelect(s *sqlparse.Select, sc *scope) ([]output, error) {
	if a.p.dialect == dialect.SQLite {
		sc.aliases = map[string]bool{}
		for _, t := range s.Targets {
			sc.aliases[t.Name] = t.Name != ""
		}
	}
	star, err := a.from(s.From, sc)
	if err != nil {
		return nil, err
	}
	if err := a.condition(s.On, sc); err != nil {
		return nil, err
	}
	if err := a.condition(s.Where, sc); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(s.From, isOuter) {
		a.confine(s.On, sc.items)
	}
	a.confine(s.Where, sc.items)
	outs, err := a.targets(s.Targets, star, sc)
	if err != nil {
		return nil, err
	}
	a.extremeAlone(s, sc)
	for _, e := range s.GroupBy {
		t, _, err := a.reference(e, outs, sc, false)
		if err != nil {
			return nil, err
		}
		a.demand(t, group, e.Pos(), "GROUP BY")
	}
	if err := a.condition(s.Having, sc); err != nil {
		return nil, err
	}
	for _, w := range s.Windows {
		if err := a.window(w, sc); err != nil {
			return nil, err
		}
	}
	if s.Distinct {
		for _, o := range outs {
			if !o.gap {
				a.demand(o.t, group, s.Pos(), "DISTINCT")
			}
		}
	}
	for _, e := range s.DistinctOn {
		t, _, err := a.reference(e, outs, sc, true)
		if err != nil {
			return nil, err
		}
		a.demand(t, group, e.Pos(), "DISTINCT ON")
	}
	return outs, a.tail(s, outs, sc)
}

// tail analyses what stands after a query: ORDER BY, LIMIT, INTO.
func (a *analysis) tail(s *sqlparse.Select, outs []output, sc *scope) error {
	for _, o := range s.OrderBy {
		t, confined, err := a.reference(o.Expr, outs, sc, true)
		if err != nil {
			return err
		}
		if err := a.sorts(o, t, confined, false); err != nil {
			return err
		}
	}
	for _, e := range s.Limit {
		if err := a.plainExpr(e, &scope{parent: sc.parent, with: sc.with}, "LIMIT"); err != nil {
			return err
		}
	}
	if s.Into == nil {
		return nil
	}
	a.into = true
	return a.makes(s.Into, outs, "SELECT INTO")
}

// values analyses VALUES as a query: column by column, all rows together.
func (a *analysis) values(s *sqlparse.Select, sc *scope) ([]output, error) {
	outs := make([]output, len(s.Values[0]))
	for i := range outs {
		outs[i] = output{name: "column" + strconv.Itoa(i+1), t: newFree()}
	}
	n := 0
	if err := a.checkWidth(&n, outs, s.Pos()); err != nil {
		return nil, err
	}
	for _, row := range s.Values {
		if len(row) != len(outs) {
			return nil, a.refuseName(s.Pos(), nil, "the rows of VALUES have different lengths", "give every row as many values")
		}
		if err := a.checkNoStar(row); err != nil {
			return nil, err
		}
		for i, e := range row {
			t, err := a.infer(e, sc)
			if err != nil {
				return nil, err
			}
			if outs[i].t, err = a.unify(outs[i].t, t, e.Pos(), "VALUES"); err != nil {
				return nil, err
			}
		}
	}
	return outs, nil
}

// expands reports whether an expression of a list stands for several: r.* or (row).*.
func expands(e sqlparse.Expr) bool {
	switch e := e.(type) {
	case *sqlparse.Column:
		return e.Star
	case *sqlparse.Opaque:
		return e.What == sqlparse.AllFields
	}
	return false
}

// checkNoStar refuses stars in a list whose members are told apart by position.
func (a *analysis) checkNoStar(es []sqlparse.Expr) error {
	for _, e := range es {
		if expands(e) {
			return a.refuseUnknown(e.Pos(), nil, "it is not known how many values a star stands for here", "write the values out")
		}
	}
	return nil
}

// setOperation analyses UNION, INTERSECT and EXCEPT.
func (a *analysis) setOperation(s *sqlparse.Select, sc *scope) ([]output, error) {
	lags := a.lags
	left, err := a.selectStmt(s.Left, sc.parent, sc.with)
	if err != nil {
		return nil, err
	}
	right, err := a.selectStmt(s.Right, sc.parent, sc.with)
	if err != nil {
		return nil, err
	}
	if a.lags > lags && (!s.All || s.Op != sqlparse.Union) {
		return nil, a.refuseLag(s.Pos(), setOperations[s.Op])
	}
	return a.combine(s, left, right)
}

var setOperations = [...]string{sqlparse.Union: "UNION", sqlparse.Intersect: "INTERSECT", sqlparse.Except: "EXCEPT"}

// combine merges the outputs of the two sides of a set operation.
func (a *analysis) combine(s *sqlparse.Select, left, right []output) ([]output, error) {
	if hasGap(left) || hasGap(right) {
		for _, o := range append(append([]output{}, left...), right...) {
			if !o.gap && o.t.root().state != plain {
				return nil, a.refuseUnknown(s.Pos(), o.t.first(), "the columns that this set operation puts together are not known", "write the columns out instead of *")
			}
		}
		return []output{{gap: true}}, nil
	}
	if len(left) != len(right) {
		return nil, a.refuseName(s.Pos(), nil, "the two sides of the set operation have different numbers of columns", "give both sides the same columns")
	}
	outs := make([]output, len(left))
	a.step(outputSteps * len(left))
	for i := range left {
		t, err := a.unify(left[i].t, right[i].t, s.Pos(), "a set operation")
		if err != nil {
			return nil, err
		}
		if !s.All || s.Op != sqlparse.Union {
			a.demand(t, group, s.Pos(), setOperations[s.Op])
		}
		outs[i] = output{name: left[i].name, t: t, sure: left[i].sure, more: left[i].more.withoutOrigin(), confined: combined(s.Op, left[i].confined, right[i].confined)}
	}
	return outs, nil
}

// window analyses a window definition.
func (a *analysis) window(w *sqlparse.Window, sc *scope) error {
	if w == nil {
		return nil
	}
	for _, e := range w.Partition {
		t, err := a.infer(e, sc)
		if err != nil {
			return err
		}
		a.demand(t, group, e.Pos(), "PARTITION BY")
	}
	for _, s := range w.OrderBy {
		t, err := a.infer(s.Expr, sc)
		if err != nil {
			return err
		}
		if err := a.sorts(s, t, a.confined[s.Expr], true); err != nil {
			return err
		}
	}
	if w.Range {
		a.ranged = w.Frame[0].Pos() + 1
	}
	for _, e := range w.Frame {
		if err := a.plainExpr(e, sc, "a window frame"); err != nil {
			return err
		}
	}
	return nil
}
