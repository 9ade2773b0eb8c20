package sqlplan

import (
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// reference analyses an expression of ORDER BY, GROUP BY or DISTINCT ON, which may
// name an output or give its number. outputFirst: an output's name wins over a column's.
func (a *analysis) reference(e sqlparse.Expr, outs []output, sc *scope, outputFirst bool) (*term, *confinement, error) {
	if c, ok := e.(*sqlparse.Const); ok {
		if n, ok := c.Value.(int64); ok {
			t, err := a.ordinal(n, e.Pos(), outs)
			if n < 1 || n > int64(len(outs)) {
				return t, nil, err
			}
			return t, outs[n-1].confined, err
		}
	}
	c, ok := e.(*sqlparse.Column)
	var out *output
	if ok && !c.Star && len(c.Parts) == 1 {
		out = findOutput(outs, c.Parts[0])
	}
	if out == nil {
		t, err := a.infer(e, sc)
		return t, a.confined[e], err
	}
	if !outputFirst {
		t, _, err := a.search(c, c.Parts[0], sc)
		if err != nil || t != nil {
			return t, a.confined[e], err
		}
	}
	return out.t, out.confined, nil
}

// ordinal returns the output of a number, counted from 1.
func (a *analysis) ordinal(n int64, pos int, outs []output) (*term, error) {
	for i, o := range outs {
		if o.gap {
			for _, o := range outs {
				if !o.gap && o.t.root().state == sealed {
					return newFree(), a.goOn(a.refuseUnknown(pos, o.t.first(), "it is not known which output this number means", "name the column instead of giving its number"))
				}
			}
			break
		}
		if int64(i+1) == n {
			return o.t, nil
		}
	}
	return newPlain(), nil
}

// targets analyses a select list.
func (a *analysis) targets(ts []sqlparse.Target, star []output, sc *scope) ([]output, error) {
	outs := []output{}
	n := 0
	for _, t := range ts {
		if c, ok := t.Expr.(*sqlparse.Column); ok && c.Star {
			cols, err := a.star(c, star, sc)
			if err != nil {
				if err = a.goOn(err); err != nil {
					return nil, err
				}
				cols = []output{{gap: true}}
			}
			if err := a.checkWidth(&n, cols, c.Pos()); err != nil {
				return nil, err
			}
			outs = append(outs, cols...)
			continue
		}
		if sc.parent == nil && a.inner == 0 {
			a.usesRows(rowShown, t.Expr)
		} else {
			a.yieldsRows(t.Expr)
		}
		left := a.rowsLeft
		x, err := a.targetValue(t.Expr, sc)
		if err != nil {
			return nil, err
		}
		if expands(t.Expr) { // (row).*: columns of unknown number
			outs = append(outs, output{gap: true})
			continue
		}
		o := output{name: t.Name, t: x, sure: t.Name != "", confined: a.confined[t.Expr], more: a.originOf(t.Expr), row: a.rowsLeft > left}
		if o.name == "" {
			o.name, o.sure = a.label(t.Expr)
			a.keepName(t.Expr, o.name)
			if a.p.dialect == dialect.SQLite && !isColumn(t.Expr) || wholeValue(t.Expr) {
				o.more = &details{unnamed: t.Expr, origin: o.more.source()}
			}
			a.keepExtreme(t.Expr)
		}
		outs = append(outs, o)
		if err := a.checkWidth(&n, outs[len(outs)-1:], t.Expr.Pos()); err != nil {
			return nil, err
		}
	}
	return outs, nil
}

// star returns the columns of * or t.* in a select list.
func (a *analysis) star(c *sqlparse.Column, all []output, sc *scope) ([]output, error) {
	if len(c.Parts) == 0 {
		cols, err := a.expand(a.uses(all))
		if err != nil {
			return nil, err
		}
		return a.yielded(c, cols)
	}
	it, err := a.item(c, c.Parts, sc)
	if err != nil {
		return nil, err
	}
	if it == nil {
		if _, err := a.unresolved(c); err != nil {
			return nil, err
		}
		return []output{{gap: true}}, nil
	}
	if err := a.load(it); err != nil {
		return nil, err
	}
	cols := a.uses(it.cols)
	for i := range cols {
		cols[i].from = it
	}
	return a.yielded(c, cols)
}

// yielded returns the columns that a star yields, where all of them may be shown.
func (a *analysis) yielded(c *sqlparse.Column, cols []output) ([]output, error) {
	for i := range cols {
		if o := &cols[i]; !o.gap {
			if err := a.byItself(o, c.Pos()); err != nil {
				return nil, err
			}
			if err := a.leftAsItIs(c, o); err != nil {
				return nil, err
			}
		}
	}
	return a.writeOut(c, cols)
}

// uses returns columns for one more use of each.
func (a *analysis) uses(cols []output) []output {
	a.step(outputSteps * len(cols))
	out := make([]output, len(cols))
	for i, c := range cols {
		if !c.gap {
			c.t = a.use(c.t)
		}
		out[i] = c
	}
	return out
}

func isColumn(e sqlparse.Expr) bool {
	_, ok := e.(*sqlparse.Column)
	return ok
}

// label returns the name that the server gives an output that has no alias. sure: it is
// what will be reported, which only PostgreSQL documents. SQLite's name of anything but a
// column is its text, which no reference here can mean.
func (a *analysis) label(e sqlparse.Expr) (name string, sure bool) {
	if a.p.dialect == dialect.SQLite {
		return columnBehind(e), false
	}
	switch e := e.(type) {
	case *sqlparse.Column:
		return e.Parts[len(e.Parts)-1], true
	case *sqlparse.Cast:
		if name, _ := a.label(e.Arg); name != "" {
			return name, false
		}
		return e.Type.Name, false
	case *sqlparse.Call:
		return e.Name, false
	case *sqlparse.Coalesce:
		return "coalesce", false
	case *sqlparse.NullIf:
		return "nullif", false
	case *sqlparse.Case:
		if e.Else != nil {
			if name, _ := a.label(e.Else); name != "" {
				return name, false
			}
		}
		return "case", false
	case *sqlparse.Array:
		return "array", false
	case *sqlparse.Row:
		return "row", false
	case *sqlparse.Subquery:
		switch {
		case e.Kind == sqlparse.ExistsQuery:
			return "exists", false
		case e.Kind == sqlparse.ArrayQuery:
			return "array", false
		case len(e.Query.Targets) == 1:
			if t := e.Query.Targets[0]; t.Name != "" {
				return t.Name, false
			} else if c, ok := t.Expr.(*sqlparse.Column); !ok || !c.Star {
				name, _ := a.label(t.Expr)
				return name, false
			}
		}
	}
	return "", false
}

// columnBehind returns the name of the column that SQLite names an expression of a query
// after; "" for none.
func columnBehind(e sqlparse.Expr) string {
	switch e := e.(type) {
	case *sqlparse.Column:
		return e.Parts[len(e.Parts)-1]
	case *sqlparse.Opaque:
		if e.What == "COLLATE" {
			return columnBehind(e.Args[0])
		}
	case *sqlparse.Call:
		if (e.Name == "likely" || e.Name == "unlikely" || e.Name == "likelihood") && len(e.Args) > 0 {
			return columnBehind(e.Args[0])
		}
	}
	return ""
}

func hasGap(cols []output) bool {
	for _, c := range cols {
		if c.gap {
			return true
		}
	}
	return false
}
