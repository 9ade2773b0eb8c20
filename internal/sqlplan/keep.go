package sqlplan

import (
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// keep analyses a statement that keeps a query, or makes a relation of its rows.
//
// What runs the query again, as a view does, is never analysed, and knows no other search
// key than the one of today: nothing in it may be sealed, or be compared as cells. What
// comes out of it later is opened only if it is a registered relation.
func (a *analysis) keep(u *sqlparse.Utility) error {
	k := u.Kept
	slots, nulls, checks := len(a.slots), len(a.nulls), len(a.checked)
	outs, err := a.query(k.Query, nil, nil)
	if err != nil {
		return err
	}
	a.shown(outs)
	if outs, err = a.renamed(outs, k.Columns, u.Pos()); err != nil {
		return err
	}
	a.results, a.returns = nil, false
	switch k.Kind {
	case sqlparse.KeptRows:
		return a.makes(k.Name, outs, u.What)
	case sqlparse.KeptCursor:
		return a.checkUnopened(outs, u, "FETCH would return it as a cell, which is not opened",
			"declare the cursor without the sealed column and read that by a query with the rows' keys; database/sql reads the rows of a query one after another, too")
	case sqlparse.KeptStatement:
		err = a.checkUnopened(outs, u, "EXECUTE would return it as a cell, which is not opened", "prepare the statement with db.Prepare")
	case sqlparse.KeptView:
		err = a.makes(k.Name, outs, u.What)
	}
	if err != nil {
		return err
	}
	hint := "define it without the sealed column in a condition, and filter in the queries that use it"
	if k.Kind == sqlparse.KeptStatement {
		hint = "prepare the statement with db.Prepare"
	}
	if err := a.checkNothingSealed(u.What, hint, slots, checks); err != nil {
		return err
	}
	// The parameters of a prepared statement are not those of this text.
	a.slots, a.nulls = a.slots[:slots], a.nulls[:nulls]
	return nil
}

// checkUnopened refuses sealed outputs of a query whose rows come by another statement.
func (a *analysis) checkUnopened(outs []output, u *sqlparse.Utility, why, hint string) error {
	for _, o := range outs {
		if o.gap {
			continue
		}
		if o.t.root().state == sealed {
			return a.refuseOperation(u.Pos(), o.t.first(), u.What+" of a sealed column: "+why, hint)
		}
		if err := a.plainOnly(o.t, u.Pos(), "an output of "+u.What); err != nil {
			return err
		}
	}
	return nil
}

// checkNothingSealed refuses what a statement keeps if a value in it is sealed or compared: it
// looks at the slots and checks beyond the given numbers.
func (a *analysis) checkNothingSealed(what, hint string, slots, checks int) error {
	for _, s := range a.slots[slots:] {
		if use := s.use(); use != nil {
			return a.refusePlaintext(s.pos(), use.Column, what+" would keep a value that is sealed now, or take later ones unsealed", hint)
		}
	}
	for _, c := range a.checked[checks:] {
		if t := c.t.root(); t.state == sealed && c.need != single {
			return a.refuseOperation(c.pos, t.first(), what+" would keep a comparison of cells ("+c.what+"), which is wrong when the search key changes", hint)
		}
	}
	return nil
}

// makes decides what a relation that is made of a query's rows holds: cells only in the
// columns that are registered for them, and nothing else there.
func (a *analysis) makes(tn *sqlparse.TableName, outs []output, what string) error {
	table, err := a.registration(tn, what)
	if err != nil {
		return err
	}
	for _, o := range outs {
		if o.gap && table != nil {
			return a.refuseUnknown(tn.Pos(), nil, what+" of columns that are not known", "write the columns out instead of *")
		}
		if o.gap {
			continue
		}
		if table != nil && (o.name == "" || !o.sure && a.p.dialect == dialect.Postgres) {
			return a.refuseUnknown(tn.Pos(), nil, what+" of a column whose name is not known", "name each column with AS")
		}
		var col *schema.Column
		if table != nil {
			col = a.sealedColumn(a.columnsOf(table), o.name)
		}
		r := o.t.root()
		if col == nil {
			if r.state == sealed {
				return a.refusePlaintext(tn.Pos(), o.t.first(), what+" would put cells where no sealed column is registered",
					"register the new relation with this column (schema.View for a view, with schema.Renamed for a column that gets another name; the same id= or join= for a table), or leave the column out")
			}
			if err := a.plainOnly(o.t, tn.Pos(), "an output of "+what); err != nil {
				return err
			}
			continue
		}
		storage := dbcatalog.StorageBytes
		if r.state == sealed {
			storage = r.cols[0].storage
		}
		if err := a.store(newSealed(source{col, storage}), o.t, tn.Pos()); err != nil {
			return err
		}
	}
	return nil
}

// registration returns the registered table that a new relation will be, or nil.
func (a *analysis) registration(tn *sqlparse.TableName, what string) (*schema.Table, error) {
	candidates := a.p.tables[a.p.fold(tn.Name)]
	if len(candidates) == 0 {
		return nil, nil
	}
	a.touched = true
	if tn.Schema != "" {
		return pick(candidates, tn.Schema), nil
	}
	if len(candidates) == 1 && candidates[0].Schema == "" {
		return candidates[0], nil
	}
	r := a.refuseUnknown(tn.Pos(), nil, "it is not known in which schema "+what+" makes this relation, and whether it is the registered one", "write the schema before its name")
	r.Table = tn.Name
	return nil, r
}
