package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// join adds both sides of a join, and the columns that USING or NATURAL merge.
func (a *analysis) join(j *sqlparse.Join, sc *scope) ([]output, error) {
	base := len(sc.items)
	left, err := a.table(j.Left, sc)
	if err != nil {
		return nil, err
	}
	middle := len(sc.items)
	right, err := a.table(j.Right, sc)
	if err != nil {
		return nil, err
	}
	using := j.Using
	if j.Natural {
		if left, right, using, err = a.naturalColumns(j, left, right); err != nil {
			return nil, err
		}
	}
	star := a.beside(j, left, right)
	if len(using) > 0 {
		if star, err = a.using(j, using, left, right, sc, base, middle); err != nil {
			return nil, err
		}
	}
	if j.On != nil {
		on := &scope{parent: sc.parent, with: sc.with, items: sc.items[base:]}
		if err := a.condition(j.On, on); err != nil {
			return nil, err
		}
		a.confine(j.On, a.sidesOf(j, sc.items[base:middle], sc.items[middle:]))
	}
	if j.Alias == nil {
		return star, nil
	}
	if star, err = a.expand(star); err != nil {
		return nil, err
	}
	it := &item{cols: star}
	for _, c := range star {
		it.open = it.open || c.gap
	}
	sc.items = sc.items[:base]
	return a.addItem(sc, it, j.Alias, j.Pos())
}

// beside returns the columns of both sides of a join. Those of a join on the left are
// nobody else's, and so a chain of joins does not copy them again and again.
func (a *analysis) beside(j *sqlparse.Join, left, right []output) []output {
	if l, ok := j.Left.(*sqlparse.Join); !ok || l.Alias != nil {
		a.step(outputSteps * len(left))
		left = slices.Clone(left)
	}
	a.step(outputSteps * len(right))
	return append(left, right...)
}

// naturalColumns finds the columns that both sides of a NATURAL join have.
func (a *analysis) naturalColumns(j *sqlparse.Join, left, right []output) (l, r []output, names []string, err error) {
	if l, err = a.expand(left); err != nil {
		return
	}
	if r, err = a.expand(right); err != nil {
		return
	}
	if hasGap(l) || hasGap(r) {
		return nil, nil, nil, a.refuseUnknown(j.Pos(), nil, "the columns that this NATURAL join compares are not known", "write JOIN ... USING (...)")
	}
	a.step(len(l) * len(r))
	if err := a.companionsApart(j, l, r); err != nil {
		return nil, nil, nil, err
	}
	for _, c := range l {
		if findOutput(r, c.name) != nil {
			names = append(names, c.name)
		}
	}
	return l, r, names, nil
}

// using merges the named columns of both sides.
func (a *analysis) using(j *sqlparse.Join, names []string, left, right []output, sc *scope, base, middle int) ([]output, error) {
	merged := &item{name: j.UsingAlias, merged: true}
	for _, n := range names {
		l, err := a.sideColumn(n, left, sc.items[base:middle])
		if err != nil {
			return nil, err
		}
		r, err := a.sideColumn(n, right, sc.items[middle:])
		if err != nil {
			return nil, err
		}
		t, err := a.equate(l, r, j.Pos(), "JOIN ... USING", sides{})
		if err != nil {
			return nil, err
		}
		merged.cols = append(merged.cols, output{name: n, t: t, sure: true, from: merged})
	}
	a.occurrence(merged)
	var star []output
	if a.p.dialect == dialect.Postgres {
		star = append(star, merged.cols...)
	}
	a.step((outputSteps + len(names)) * (len(left) + len(right)))
	for i, side := range [2][]output{left, right} {
		for _, c := range side {
			switch m := findOutput(merged.cols, c.name); {
			case c.gap || m == nil:
				star = append(star, c)
			case i == 0 && a.p.dialect == dialect.SQLite: // where the left side has it
				star = append(star, *m)
			}
		}
	}
	a.step(len(names) * len(sc.items[base:]))
	for _, it := range sc.items[base:] {
		if it.hidden == nil {
			it.hidden = map[string]bool{}
		}
		for _, n := range names {
			it.hidden[n] = true
		}
	}
	sc.items = append(sc.items, merged)
	return star, nil
}

// sideColumn returns the term of the column that one side of a join has under a name.
func (a *analysis) sideColumn(name string, cols []output, items []*item) (*term, error) {
	a.step(len(cols))
	if c := findOutput(cols, name); c != nil {
		if c.stored() != "" {
			return nil, a.refuseUnsupported(0, c.pair.col, "JOIN ... USING a column that is on its way between plain and sealed", "write ON with the names of both columns")
		}
		if s := c.more.source(); s != nil && s.part != partCells && a.past(s.col) {
			a.pasts = append(a.pasts, past{col: s.col})
		}
		return a.use(c.t), nil
	}
	for _, it := range items {
		if err := a.load(it); err != nil {
			return nil, err
		}
		if c := a.find(it, name); c != nil {
			return a.use(c.t), nil
		}
	}
	return newPlain(), nil
}

func findOutput(cols []output, name string) *output {
	for i := range cols {
		if !cols[i].gap && cols[i].name == name {
			return &cols[i]
		}
	}
	return nil
}

// sidesOf returns the items whose rows the condition of a join leaves out, or fills with NULL: a
// side that is preserved keeps the others. In SQLite's joins the condition may be that of another
// one: see sqlparse.Select.
func (a *analysis) sidesOf(j *sqlparse.Join, left, right []*item) []*item {
	var sides []*item
	if a.p.dialect == dialect.SQLite && isOuter(j) {
		return nil
	}
	if !j.NullRight {
		sides = append(sides, left...)
	}
	if !j.NullLeft {
		sides = append(sides, right...)
	}
	return sides
}

// isOuter reports whether a FROM item has an outer join in it.
func isOuter(t sqlparse.Table) bool {
	j, ok := t.(*sqlparse.Join)
	return ok && (j.NullLeft || j.NullRight || isOuter(j.Left) || isOuter(j.Right))
}
