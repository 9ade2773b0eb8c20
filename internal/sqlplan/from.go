package sqlplan

import (
	"github.com/colseal/colseal/internal/sqlparse"
)

// from adds the items of a FROM clause to a scope and returns what a star yields.
func (a *analysis) from(tables []sqlparse.Table, sc *scope) ([]output, error) {
	var star []output
	for _, t := range tables {
		cols, err := a.table(t, sc)
		if err != nil {
			return nil, err
		}
		star = append(star, cols...)
	}
	return star, nil
}

// table adds one FROM item to the scope and returns its columns.
func (a *analysis) table(t sqlparse.Table, sc *scope) ([]output, error) {
	switch t := t.(type) {
	case *sqlparse.TableName:
		return a.tableName(t, sc)
	case *sqlparse.SubqueryTable:
		return a.subqueryTable(t, sc)
	case *sqlparse.FuncTable:
		return a.funcTable(t, sc)
	case *sqlparse.OpaqueTable:
		for _, e := range t.Args {
			if err := a.plainExpr(e, sc, t.What); err != nil {
				return nil, err
			}
		}
		return a.addItem(sc, &item{cols: []output{{gap: true}}, open: true}, t.Alias, t.Pos())
	case *sqlparse.Join:
		return a.join(t, sc)
	}
	return nil, a.refuseUnsupported(t.Pos(), nil, "this kind of FROM item is not analysed", "")
}

// addItem names an item and its first columns as the alias says and puts it in scope.
func (a *analysis) addItem(sc *scope, it *item, alias *sqlparse.Alias, pos int) ([]output, error) {
	if alias != nil {
		it.name, it.schema = alias.Name, ""
		var err error
		if it.cols, err = a.renamed(it.cols, alias.Columns, pos); err != nil {
			return nil, err
		}
	}
	a.occurrence(it)
	it.own()
	sc.items = append(sc.items, it)
	return it.cols, nil
}

// own notes which item columns are of.
func (it *item) own() {
	for i := range it.cols {
		it.cols[i].from = it
		it.companions = it.companions || it.cols[i].pair != nil
	}
}

// renamed returns columns with the first ones renamed. Names given beyond a gap
// cannot be placed and stand before it, as columns that are plain; that nothing else
// stands behind the gap which such a name could mean is checked.
func (a *analysis) renamed(cols []output, names []string, pos int) ([]output, error) {
	if len(names) == 0 {
		return cols, nil
	}
	for i := range cols {
		if p := cols[i].pair; p != nil && len(names) > p.before {
			return nil, a.refuseUnknown(pos, p.col, "a column alias is given behind the companion of a sealed column", "name the columns in the query instead")
		}
	}
	out := make([]output, 0, len(cols))
	a.step(outputSteps * len(cols))
	for i, c := range cols {
		if c.gap {
			if len(names) > i {
				if err := a.plainOutputs(cols[i:], pos, "a column alias that stands for unknown columns"); err != nil {
					return nil, err
				}
			}
			for _, n := range names[min(i, len(names)):] {
				out = append(out, output{name: n, t: newPlain()})
			}
			return append(out, cols[i:]...), nil
		}
		if i < len(names) {
			c.name, c.sure = names[i], true
		}
		out = append(out, c)
	}
	return out, nil
}

// tableName resolves a relation in FROM: a WITH query, a registered table, or another.
func (a *analysis) tableName(tn *sqlparse.TableName, sc *scope) ([]output, error) {
	for _, e := range tn.Args {
		if err := a.plainExpr(e, sc, "TABLESAMPLE"); err != nil {
			return nil, err
		}
	}
	if tn.Schema == "" {
		if d := sc.with.find(tn.Name); d != nil {
			return a.withItem(tn, d, sc)
		}
	}
	it, err := a.tableItem(tn)
	if err != nil {
		return nil, err
	}
	a.occurrence(it)
	sc.items = append(sc.items, it)
	if it.ask != nil {
		return []output{{gap: true, lazy: true, from: it}}, nil
	}
	return it.cols, nil
}

func (a *analysis) withItem(tn *sqlparse.TableName, d *derived, sc *scope) ([]output, error) {
	if d.unknown {
		return nil, a.refuseName(tn.Pos(), nil, "a WITH query is used before it is defined", "order the WITH queries so that each stands after those it uses")
	}
	it := &item{name: tn.Name, cols: make([]output, len(d.cols)), query: true}
	a.step(outputSteps * len(d.cols))
	for i, c := range d.cols {
		if !c.gap {
			c.t = a.use(c.t)
		}
		it.cols[i] = c
		it.open = it.open || c.gap
	}
	return a.addItem(sc, it, tn.Alias, tn.Pos())
}

func (a *analysis) subqueryTable(t *sqlparse.SubqueryTable, sc *scope) ([]output, error) {
	parent := sc.parent
	if t.Lateral {
		parent = sc
	}
	a.inner++
	cols, err := a.selectStmt(t.Query, parent, sc.with)
	if err != nil {
		return nil, err
	}
	a.inner--
	a.shown(cols)
	it := &item{cols: cols, query: true}
	for _, c := range cols {
		it.open = it.open || c.gap
	}
	return a.addItem(sc, it, t.Alias, t.Pos())
}

// funcTable adds functions in FROM. Their arguments see the items to their left.
func (a *analysis) funcTable(t *sqlparse.FuncTable, sc *scope) ([]output, error) {
	it := &item{}
	for _, call := range t.Calls {
		cols, err := a.producer(call, sc)
		if err != nil {
			return nil, err
		}
		it.cols = append(it.cols, cols...)
		if c, ok := call.(*sqlparse.Call); ok && it.name == "" {
			it.name = c.Name
		}
	}
	if len(t.Columns) > 0 {
		it.cols = nil
		for _, n := range t.Columns {
			it.cols = append(it.cols, output{name: n, t: newPlain()})
		}
	} else if t.Alias != nil && len(t.Calls) == 1 && len(it.cols) == 1 && !it.cols[0].gap && len(t.Alias.Columns) == 0 {
		it.cols[0].name = t.Alias.Name // a function of one column is named by its alias
	}
	if t.Ordinality {
		it.cols = append(it.cols, output{name: "ordinality", t: newPlain()})
	}
	for _, c := range it.cols {
		it.open = it.open || c.gap
	}
	return a.addItem(sc, it, t.Alias, t.Pos())
}

// producer returns the columns that one function in FROM yields.
func (a *analysis) producer(e sqlparse.Expr, sc *scope) ([]output, error) {
	call, ok := e.(*sqlparse.Call)
	if ok && call.Name == "unnest" && builtin(call) {
		var cols []output
		for _, arg := range call.Args {
			t, err := a.element(arg, sc, "unnest")
			if err != nil {
				return nil, err
			}
			cols = append(cols, output{name: "unnest", t: t})
		}
		return cols, nil
	}
	if ok && len(a.candidates(call.Name)) > 0 {
		return nil, a.refuseUnsupported(e.Pos(), nil, "a function with the name of a sealed table is not analysed", "rename one of them")
	}
	if err := a.plainExpr(e, sc, "a function in FROM"); err != nil {
		return nil, err
	}
	if ok && builtin(call) && (call.Name == "generate_series" || call.Name == "generate_subscripts") {
		return []output{{name: call.Name, t: newPlain()}}, nil
	}
	return []output{{gap: true}}, nil
}
