package sqlplan

import (
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlparse"
)

// A writeTarget is the table that a statement writes.
type writeTarget struct {
	name string // of the table, as the statement gives it
	item *item
	rel  *dbcatalog.Relation // nil when the table is not registered or there is no catalog
	// beneath is what a write to a view that is not registered goes to; nil of others. columns are
	// the names there of the view's columns.
	beneath *writeTarget
	columns map[string]string
}

// openWrite analyses what every write begins with: its WITH clause and its table. The
// scope has the WITH queries and no items yet.
func (a *analysis) openWrite(own *sqlparse.With, table *sqlparse.TableName, outer *withScope) (*scope, *writeTarget, error) {
	sc := &scope{with: outer}
	if err := a.with(own, sc); err != nil {
		return nil, nil, err
	}
	w, err := a.target(table)
	return sc, w, err
}

// target resolves the table of a write.
func (a *analysis) target(tn *sqlparse.TableName) (*writeTarget, error) {
	if a.isKeyring(tn) {
		return nil, a.refuseKeyring(tn.Pos())
	}
	it, err := a.tableItem(tn)
	if err != nil {
		return nil, err
	}
	w := &writeTarget{name: tn.Name, item: it}
	if it.table != nil {
		if _, w.rel, err = a.registered(tn); err != nil {
			return nil, err
		}
	}
	switch d := a.meanings[tn]; {
	case d == nil:
	case d.kind == dbcatalog.DependentView:
		err = a.through(w, w.rel, tn.Pos())
	case d.kind == dbcatalog.DependentTable:
		r := a.refuseUnsupported(tn.Pos(), nil, "a rule of this table names a sealed table: what the server makes of a write is not analysed", "drop the rule, and do in the program what it does")
		r.Table, err = tn.Name, r
		a.forbidden = true
	}
	return w, err
}

// targetTerm returns the term that values for a column of the target merge with.
func (a *analysis) targetTerm(w *writeTarget, n sqlparse.Name) (*term, error) {
	// An alias with column names does not rename the targets of a write, and writes
	// have none, so the item's columns are the table's.
	col := a.find(w.item, n.Name)
	if col == nil {
		if w.item.table != nil && !w.item.open && !systemColumns[a.p.dialect][n.Name] {
			r := a.refuseName(n.Pos(), nil, "the sealed table has no column of this name", "name a column of the table")
			r.Table = w.item.table.Name
			return nil, r
		}
		return newPlain(), nil
	}
	if p := col.pair; p.both() {
		if !a.copiesNull(p) {
			return nil, a.refuseUnsupported(n.Pos(), p.col, "while a column is on its way, the value of its companion has to be known where it is written", "write the values out, or name the columns of a query without DISTINCT and GROUP BY")
		}
		a.retarget(n, p.source)
		return a.use(p.plain), nil
	}
	t := a.use(col.t)
	if err := a.standsIn(col, t, n.Pos()); err != nil {
		return nil, err
	}
	a.retarget(n, col.stored())
	if n.Indirect && t.state == sealed {
		return nil, a.refuseOperation(n.Pos(), t.first(), "a part of a sealed value cannot be written", "write the whole value")
	}
	return t, nil
}

// assign makes a value go to a column.
func (a *analysis) assign(w *writeTarget, n sqlparse.Name, e sqlparse.Expr, sc *scope, listed bool) error {
	if o := a.find(w.item, n.Name); o != nil && o.pair.both() {
		return a.assignBoth(w, n, o, e, sc, listed)
	}
	col, err := a.targetTerm(w, n)
	if err != nil {
		if err = a.goOn(err); err != nil {
			return err
		}
		col = newFree()
	}
	if d, ok := e.(*sqlparse.Default); ok {
		return a.goOn(a.defaultValue(w, n.Name, d.Pos()))
	}
	return a.assignTo(col, e, sc)
}

// assignTo makes a value go to a column's term.
func (a *analysis) assignTo(col *term, e sqlparse.Expr, sc *scope) error {
	t, err := a.infer(e, sc)
	if err != nil {
		return err
	}
	a.typedHere(e)
	if s := a.slotHere(e); s != nil {
		s.assigned = true
	}
	return a.store(col, t, e.Pos())
}

// store merges the value t into a column's term.
func (a *analysis) store(col, t *term, pos int) error {
	if col.root().state == plain {
		if r := t.root(); r.state == sealed {
			return a.goOn(a.refusePlaintext(pos, r.first(), "the sealed column would be copied into a plain one",
				"read the value and write it in the program, or seal the target with the same join= group"))
		}
	}
	x, err := a.unify(col, t, pos, "an assignment")
	if err != nil {
		return err
	}
	a.demand(x, single, pos, "an assignment")
	return nil
}

// defaultValue refuses a default of a sealed column that is not NULL: the server would
// store it unsealed.
func (a *analysis) defaultValue(w *writeTarget, name string, pos int) error {
	col := a.find(w.item, name)
	if col == nil || col.t.root().state != sealed || w.rel == nil {
		return nil
	}
	if rc := a.relColumn(w.rel, name); w.beneath != nil && (rc == nil || !rc.Default) {
		return a.defaultBeneath(w, w.columns[name], pos)
	}
	a.step(len(w.rel.Columns))
	rc := a.relColumn(w.rel, name)
	if rc == nil || !rc.Default && !rc.Generated {
		return nil
	}
	return a.refusePlaintext(pos, col.t.first(), "the column's default would be stored unsealed", "drop the default (ALTER TABLE ... ALTER COLUMN ... DROP DEFAULT) and give the value in the statement")
}

// defaultBeneath is defaultValue of a column beneath a view.
func (a *analysis) defaultBeneath(w *writeTarget, name string, pos int) error {
	return a.at(a.defaultValue(w.beneath, name, pos), pos)
}

// assignments analyses SET.
func (a *analysis) assignments(set []sqlparse.Assign, w *writeTarget, sc *scope) error {
	for _, s := range set {
		if len(s.Columns) == 1 {
			if row, ok := s.Value.(*sqlparse.Row); ok && len(row.Args) == 1 {
				s.Value = row.Args[0]
			}
			if err := a.assign(w, s.Columns[0], s.Value, sc, false); err != nil {
				return err
			}
			continue
		}
		if err := a.assignSeveral(s, w, sc); err != nil {
			return err
		}
	}
	return nil
}

// assignSeveral analyses (a, b) = ….
func (a *analysis) assignSeveral(s sqlparse.Assign, w *writeTarget, sc *scope) error {
	switch v := s.Value.(type) {
	case *sqlparse.Row:
		if len(v.Args) == len(s.Columns) {
			for i, n := range s.Columns {
				if err := a.assign(w, n, v.Args[i], sc, true); err != nil {
					return err
				}
			}
			return nil
		}
	case *sqlparse.Subquery:
		outs, err := a.selectStmt(v.Query, sc, sc.with)
		if err != nil {
			return err
		}
		if len(outs) == len(s.Columns) && !hasGap(outs) {
			for i, n := range s.Columns {
				col, err := a.targetTerm(w, n)
				if err != nil {
					return err
				}
				if err := a.store(col, outs[i].t, n.Pos()); err != nil {
					return err
				}
			}
			return a.emptySeconds(s, w)
		}
	}
	if err := a.emptySeconds(s, w); err != nil {
		return err
	}
	for _, n := range s.Columns {
		col, err := a.targetTerm(w, n)
		if err != nil {
			return err
		}
		if err := a.plainOnly(col, n.Pos(), "an assignment of a row that is not written out"); err != nil {
			return err
		}
	}
	return a.plainExpr(s.Value, sc, "an assignment of a row")
}
