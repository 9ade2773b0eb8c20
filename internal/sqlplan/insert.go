package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// insert analyses INSERT.
func (a *analysis) insert(s *sqlparse.Insert, with *withScope) ([]output, error) {
	sc, w, err := a.openWrite(s.With, s.Table, with)
	if err != nil {
		return nil, err
	}
	if err := a.insertSource(s, w, sc); err != nil {
		return nil, err
	}
	for _, c := range s.Conflicts {
		if err := a.conflict(c, w, sc.with); err != nil {
			return nil, err
		}
		if len(c.Targets) == 0 {
			a.anyConflict(s.Columns, w, c.Pos(), "ON CONFLICT without columns")
		}
	}
	if s.Replace {
		a.anyConflict(s.Columns, w, s.Pos(), "OR REPLACE or OR IGNORE")
	}
	return a.returning(s.Returning, w, sc.with)
}

// insertSource makes the rows of an INSERT go to its columns.
func (a *analysis) insertSource(s *sqlparse.Insert, w *writeTarget, sc *scope) error {
	names := s.Columns
	if names == nil {
		names = a.allColumns(w)
		a.unlistedInsert = a.unlistedInsert || w.item.table != nil && a.env.Catalog == nil && s.Source != nil
	}
	if s.Source == nil {
		return a.checkDefaults(w, nil, s.Pos())
	}
	if s.Columns == nil {
		if err := a.checkNoneMissing(w, s.Pos()); err != nil {
			return err
		}
		if err := a.plainsThere(w, s.Pos()); err != nil {
			return err
		}
	}
	if src := s.Source; src.Values != nil && src.With == nil && src.OrderBy == nil && src.Limit == nil {
		width := len(s.Source.Values[0])
		for _, row := range s.Source.Values {
			if err := a.insertRow(w, names, row, sc, s.Pos()); err != nil {
				return err
			}
			width = min(width, len(row))
		}
		return a.finishInsert(s, w, names, width)
	}
	doubles := a.doublesOf(s.Source, w, names)
	outs, err := a.selectStmt(s.Source, nil, sc.with)
	if err != nil {
		return err
	}
	for i, o := range outs {
		if d := doubles[i]; d != nil {
			if err := a.storeBoth(d, names[i], o.t); err != nil {
				return err
			}
			continue
		}
		if o.gap && s.Columns == nil && a.lagging > 1 && slices.ContainsFunc(w.item.cols, func(o output) bool { return o.pair.lags() }) {
			// What is made of a row, with another value, has the companion of that row.
			a.forbidden = true
			return a.refuseUnsupported(s.Pos(), nil, "the companion of a column that is on its way may be one of the columns that this INSERT copies, with the cell of another value",
				"name the columns of the INSERT, and write them out instead of *")
		}
		if o.gap {
			return a.insertGap(w, names[min(i, len(names)):], outs[i:], s)
		}
		if i >= len(names) {
			if err := a.extraValue(w, o.t, s.Pos()); err != nil {
				return err
			}
			continue
		}
		col, err := a.targetTerm(w, names[i])
		if err != nil {
			return err
		}
		if err := a.store(col, o.t, names[i].Pos()); err != nil {
			return err
		}
	}
	return a.finishInsert(s, w, names, len(outs))
}

// insertGap decides an INSERT from a query with columns of unknown number.
func (a *analysis) insertGap(w *writeTarget, names []sqlparse.Name, outs []output, s *sqlparse.Insert) error {
	if w.item.table == nil {
		return a.plainOutputs(outs, s.Pos(), "an INSERT of unknown columns")
	}
	return a.refuseUnknown(s.Pos(), nil, "the columns that this INSERT copies are not known", "write the columns out instead of *")
}

// insertRow makes one row of VALUES go to the columns.
func (a *analysis) insertRow(w *writeTarget, names []sqlparse.Name, row []sqlparse.Expr, sc *scope, pos int) error {
	if err := a.checkNoStar(row); err != nil {
		return err
	}
	for i, e := range row {
		if i < len(names) {
			if err := a.assign(w, names[i], e, sc, true); err != nil {
				return err
			}
			continue
		}
		t, err := a.infer(e, sc)
		if err != nil {
			return err
		}
		if err := a.extraValue(w, t, e.Pos()); err != nil {
			return err
		}
	}
	return nil
}

// extraValue decides a value beyond the last column. The server refuses such a
// statement, but would see what the value is.
func (a *analysis) extraValue(w *writeTarget, t *term, pos int) error {
	if w.item.table == nil || w.item.open || w.item.ask != nil {
		return a.plainOnly(t, pos, "a value for a column that is not known")
	}
	return a.goOn(a.refuseName(pos, nil, "the INSERT has more values than columns", "give as many values as there are columns"))
}

// finishInsert looks at the columns that get no value, and adds the column list that
// the statement lacks, so that a table changed meanwhile cannot move the values.
func (a *analysis) finishInsert(s *sqlparse.Insert, w *writeTarget, names []sqlparse.Name, width int) error {
	if w.item.table == nil {
		return nil
	}
	given := map[string]bool{}
	for _, n := range names[:min(width, len(names))] {
		given[n.Name] = true
	}
	if err := a.checkDefaults(w, given, s.Pos()); err != nil {
		return err
	}
	if s.Columns != nil || width == 0 { // a query of no columns: there is no list of none
		return nil
	}
	if w.rel == nil || hasGap(w.item.cols) {
		if a.env.Catalog == nil {
			return nil
		}
		return a.refuseUnknown(s.Pos(), nil, "the columns of the table are not known", "write the column list")
	}
	if a.p.dialect == dialect.SQLite && width < len(names) {
		return a.refuseName(s.Pos(), nil, "the INSERT has fewer values than columns", "give a value for each column, or write the column list")
	}
	return a.addColumnList(s, w, names[:min(width, len(names))])
}

// checkDefaults refuses defaults of the sealed columns that are not given.
func (a *analysis) checkDefaults(w *writeTarget, given map[string]bool, pos int) error {
	if w.item.table == nil {
		return nil
	}
	a.step(len(w.item.cols))
	for _, c := range w.item.cols {
		if c.gap || c.t.root().state != sealed || given[c.name] {
			continue
		}
		if err := a.goOn(a.defaultValue(w, c.name, pos)); err != nil {
			return err
		}
	}
	if w.beneath != nil {
		return a.checkDefaults(w.beneath, w.given(given, a.p.fold), pos)
	}
	return nil
}

// allColumns lists the columns that an INSERT without a column list fills. PostgreSQL
// counts generated columns among them and takes DEFAULT alone for one; SQLite skips them.
func (a *analysis) allColumns(w *writeTarget) []sqlparse.Name {
	var names []sqlparse.Name
	if w.rel == nil {
		for _, c := range w.item.cols {
			if !c.gap {
				names = append(names, sqlparse.Name{Name: c.name})
			}
		}
		return names
	}
	for i := range w.rel.Columns {
		if c := &w.rel.Columns[i]; a.isCompanion(w, c.Name) {
			continue
		} else if !c.Hidden && (!c.Generated || a.p.dialect == dialect.Postgres) {
			names = append(names, sqlparse.Name{Name: a.p.fold(c.Name)})
		}
	}
	return names
}

// conflict analyses ON CONFLICT.
func (a *analysis) conflict(c *sqlparse.Conflict, w *writeTarget, with *withScope) error {
	own := &scope{with: with, items: []*item{w.item}}
	for _, e := range c.Targets {
		t, err := a.infer(e, own)
		if err != nil {
			return err
		}
		a.demand(t, unique, e.Pos(), "ON CONFLICT")
	}
	if err := a.condition(c.TargetWhere, own); err != nil {
		return err
	}
	both := &scope{with: with, items: []*item{w.item, {name: "excluded", cols: w.item.cols, open: w.item.open, table: w.item.table, ask: w.item.ask, hidden: allHidden(w.item)}}}
	if err := a.assignments(c.Set, w, both); err != nil {
		return err
	}
	return a.condition(c.Where, both)
}

// anyConflict demands that the deterministic columns that are written (nil: all of them) can
// be told apart by their cells, since each of them may be unique.
func (a *analysis) anyConflict(written []sqlparse.Name, w *writeTarget, pos int, what string) {
	for _, c := range w.item.cols {
		if c.gap || c.t.root().state != sealed || !c.t.first().EqualCells() {
			continue
		}
		a.step(len(written))
		if written == nil || slices.ContainsFunc(written, func(n sqlparse.Name) bool { return n.Name == c.name }) {
			a.demand(c.t, unique, pos, what)
		}
	}
}

// allHidden hides every column of an item, as those of EXCLUDED can only be named with
// it where the target has them too.
func allHidden(it *item) map[string]bool {
	h := map[string]bool{}
	for _, c := range it.cols {
		h[c.name] = true
	}
	return h
}
