package sqlplan

import (
	"github.com/colseal/colseal/internal/sqlparse"
)

// with analyses a WITH clause and puts its queries in scope.
func (a *analysis) with(w *sqlparse.With, sc *scope) error {
	if w == nil {
		return nil
	}
	ws := &withScope{parent: sc.with, ctes: map[string]*derived{}}
	sc.with = ws
	if w.Recursive {
		for _, c := range w.CTEs {
			ws.ctes[c.Name] = &derived{unknown: true}
		}
	}
	for _, c := range w.CTEs {
		cols, err := a.cte(w, c, sc)
		if err != nil {
			return err
		}
		ws.ctes[c.Name] = &derived{cols: cols}
	}
	return nil
}

// cte analyses one WITH query and returns its columns.
func (a *analysis) cte(w *sqlparse.With, c *sqlparse.CTE, outer *scope) ([]output, error) {
	a.inner++
	cols, err := a.cteQuery(w, c, outer)
	if err != nil {
		return nil, err
	}
	a.inner--
	a.shown(cols)
	if cols, err = a.renamed(cols, c.Columns, c.Pos()); err != nil {
		return nil, err
	}
	for _, n := range c.Refs {
		if o := findOutput(cols, n); o != nil {
			if err := a.plainOnly(o.t, c.Pos(), "SEARCH or CYCLE"); err != nil {
				return nil, err
			}
		}
	}
	for _, n := range c.Extra {
		cols = append(cols, output{name: n, t: newPlain()})
	}
	return cols, nil
}

func (a *analysis) cteQuery(w *sqlparse.With, c *sqlparse.CTE, outer *scope) ([]output, error) {
	s, ok := c.Query.(*sqlparse.Select)
	if !ok || !w.Recursive || s.Op != sqlparse.Union {
		return a.query(c.Query, outer.parent, outer.with)
	}
	// The first side gives the columns, which the second may refer to by the query's
	// own name; what the second adds to them flows back, as the terms are shared.
	sc := &scope{parent: outer.parent, with: outer.with}
	if err := a.with(s.With, sc); err != nil {
		return nil, err
	}
	left, err := a.selectStmt(s.Left, sc.parent, sc.with)
	if err != nil {
		return nil, err
	}
	for i := range left {
		if !left[i].gap {
			left[i].t = a.use(left[i].t)
			left[i].t.pending++
			left[i].confined = nil // what is added need not be
		}
	}
	own, err := a.renamed(left, c.Columns, c.Pos())
	if err != nil {
		return nil, err
	}
	outer.with.ctes[c.Name] = &derived{cols: own}
	right, err := a.selectStmt(s.Right, sc.parent, sc.with)
	if err != nil {
		return nil, err
	}
	outs, err := a.combine(s, left, right)
	if err != nil {
		return nil, err
	}
	for _, o := range left {
		if !o.gap {
			o.t.root().pending--
		}
	}
	for i := range outs {
		outs[i].confined = nil
	}
	return outs, a.tail(s, outs, sc)
}
