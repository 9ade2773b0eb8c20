package sqlplan

import (
	"slices"

	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// tableItem makes the item of a relation that is no WITH query.
func (a *analysis) tableItem(tn *sqlparse.TableName) (*item, error) {
	it := &item{name: tn.Name, schema: tn.Schema}
	if tn.Alias != nil {
		it.name, it.schema = tn.Alias.Name, ""
	}
	table, rel, err := a.registered(tn)
	if err != nil {
		return nil, err
	}
	if table == nil {
		it.ask = tn
		return it, nil
	}
	a.touched = true
	it.table, it.at = table, tn.Pos()
	defer it.own()
	if d := a.known.dependents[table]; d != nil && d.kind == dbcatalog.DependentView {
		if err = a.viewItem(it, rel, tn.Pos()); err == nil && tn.Alias != nil {
			it.keepNames(a, tn.Alias)
			it.cols, err = a.renamed(it.cols, tn.Alias.Columns, tn.Pos())
		}
		return it, err
	}
	if rel == nil { // no catalog: only the sealed columns are known
		for _, c := range a.columnsOf(table) {
			o := output{name: a.p.fold(c.Name), t: newSealed(source{c, dbcatalog.StorageBytes})}
			if c.Stage != schema.StageNone {
				cells := &dbcatalog.Column{Name: c.Stored, Storage: dbcatalog.StorageBytes}
				if o, err = a.staged(c, &dbcatalog.Column{Name: c.Name}, cells, 1<<30); err != nil {
					return nil, a.at(err, tn.Pos())
				}
			}
			it.cols = append(it.cols, o)
		}
		it.open = true
		it.cols = append(it.cols, output{gap: true})
		return it, nil
	}
	it.cols, it.unlisted, err = a.tableColumns(tn, table, rel)
	if c := a.changed(tn); c != nil && err == nil {
		it.cols = withChanges(it.cols, it.unlisted, c)
	}
	if slices.ContainsFunc(it.cols, func(o output) bool { return o.pair.lags() }) {
		a.lagging++
	}
	if err == nil && tn.Alias != nil {
		it.keepNames(a, tn.Alias)
		it.cols, err = a.renamed(it.cols, tn.Alias.Columns, tn.Pos())
	}
	return it, err
}

// keepNames notes what the columns are called before an alias renames them.
func (it *item) keepNames(a *analysis, alias *sqlparse.Alias) {
	if len(alias.Columns) == 0 || !slices.ContainsFunc(it.cols, func(o output) bool { return o.pair != nil }) {
		return
	}
	for _, o := range it.cols {
		it.called = append(it.called, o.labelOf(a))
	}
}

// tableColumns lists the columns of a registered table, and apart from them those that can
// be named but that no star yields. It refuses a table whose sealed columns cannot hold
// cells.
func (a *analysis) tableColumns(tn *sqlparse.TableName, table *schema.Table, rel *dbcatalog.Relation) (cols, unlisted []output, err error) {
	cols = make([]output, 0, len(rel.Columns))
	a.step(outputSteps * len(rel.Columns))
	sealedColumns, err := a.sealedColumns(table)
	if err != nil {
		return nil, nil, err
	}
	found := 0
	ordinary := newPlain()
	for i := range rel.Columns {
		rc := &rel.Columns[i]
		o := output{name: a.p.fold(rc.Name), t: ordinary, sure: a.p.dialect == dialect.Postgres}
		c := a.sealedColumn(sealedColumns, rc.Name)
		if on := a.companionOf(sealedColumns, rc.Name); on != nil {
			if a.depth == 0 && a.shownAs(rel, on) != rc {
				continue
			}
			c = on
		}
		if c != nil && c.Stage != schema.StageNone {
			found++
			if o, err = a.stagedIn(c, rel, rc); err != nil {
				return nil, nil, a.at(err, tn.Pos())
			}
		} else if c != nil {
			found++
			storage := rc.Storage
			if ofRows(c) {
				storage = missing // statements that do not need it work
			} else if storage == dbcatalog.StorageOther {
				return nil, nil, a.refuseStorage(tn.Pos(), c, "the column has type "+rc.Type+", which cannot hold a cell",
					"change its type to bytea (or text), for example with ALTER TABLE ... ALTER COLUMN ... TYPE bytea")
			}
			o.t = newSealed(source{c, storage})
		} else if to := a.changing(table, rc.Name); to != nil {
			if o.more = (&details{origin: &origin{to, partCells}}); rc.Storage != dbcatalog.StorageOther {
				o.t = newSealed(source{to, rc.Storage})
			}
		}
		if rc.Hidden {
			unlisted = append(unlisted, o)
			continue
		}
		cols = append(cols, o)
	}
	if found < len(sealedColumns) && !rel.View {
		for _, c := range sealedColumns {
			if a.shownAs(rel, c) == nil {
				unlisted = append(unlisted, output{name: a.p.fold(c.Name), t: newSealed(source{c, missing})})
			}
		}
	}
	return cols, unlisted, nil
}

// missing is the storage of a registered column that the table lacks: before a migration, or
// after one. Statements that do not need it work.
const missing dbcatalog.Storage = 0

func (t *term) missing() *schema.Column {
	for _, s := range t.cols {
		if s.storage == missing {
			return s.col
		}
	}
	return nil
}

func (a *analysis) refuseMissing(pos int, col *schema.Column) error {
	if ofRows(col) {
		return a.refuseOperation(pos, nil, "the column "+col.Name+" has rows of a sealed table in it, whose fields are neither sealed nor opened",
			"leave the column out, or keep the fields in columns of their own and register these")
	}
	if col.Stage != schema.StageNone {
		return a.refuseStorage(pos, col, "the table on the server has no companion column "+col.Stored+", in which the cells stand",
			"add it with colseal seal, and go back to stage=copy until then; a view needs it beside the plain column")
	}
	return a.refuseStorage(pos, col, "the table on the server has no such column",
		"add the column, or correct the name in the struct's tag (name=..., db:\"...\")")
}

// checkNoneMissing refuses an INSERT without a column list into a table that lacks a registered
// column: that may have got another name, and its value would be stored unsealed.
func (a *analysis) checkNoneMissing(w *writeTarget, pos int) error {
	for _, o := range w.item.unlisted {
		if o.t.missing() != nil {
			r := a.refuseStorage(pos, o.t.missing(), "the table on the server has no such column, so that it is not known which value is for it",
				"write the column list, or add the column")
			return r
		}
	}
	return nil
}

// sealedColumn returns the registered column of a name, as the dialect compares names.
func (a *analysis) sealedColumn(cols []*schema.Column, name string) *schema.Column {
	for _, c := range cols {
		if c.Name == name || a.p.dialect == dialect.SQLite && strings.EqualFold(c.Name, name) {
			return c
		}
	}
	return nil
}

func (a *analysis) relColumn(rel *dbcatalog.Relation, name string) *dbcatalog.Column {
	for i := range rel.Columns {
		if a.p.fold(rel.Columns[i].Name) == a.p.fold(name) {
			return &rel.Columns[i]
		}
	}
	return nil
}

// registered returns the registration that a relation's name means, and the relation
// as the server describes it. Both are nil for other relations, and the relation alone
// is nil when there is no catalog.
func (a *analysis) registered(tn *sqlparse.TableName) (*schema.Table, *dbcatalog.Relation, error) {
	candidates := a.candidates(tn.Name)
	if adopted := a.adopted[a.p.fold(tn.Name)]; adopted != nil {
		r := a.refuseSession(tn.Pos(), nil, "an earlier statement of this text has this table stand for a sealed one", "send the statements one by one")
		r.Table, a.forbidden = tn.Name, true
		return nil, nil, r
	}
	if len(candidates) == 0 {
		return nil, nil, nil
	}
	if c := a.changed(tn); a.unsettled || c != nil && c.another {
		r := a.refuseSession(tn.Pos(), nil, "an earlier statement of this text may change which table this is", "send the statements one by one")
		r.Table = tn.Name
		return nil, nil, r
	}
	a.usedCatalog = true // and a plan made without one is not for those who have one
	if a.env.Catalog == nil {
		t := pick(candidates, tn.Schema)
		if t == nil && tn.Schema == "" {
			t = candidates[0]
		}
		return t, nil, nil
	}
	rel, err := a.relation(tn)
	if err != nil {
		return nil, nil, err
	}
	if rel == nil && a.known.dependents[candidates[0]] != nil {
		return nil, nil, nil // nothing but names of relations that are elsewhere, or gone
	}
	if rel == nil {
		r := a.refuseStorage(tn.Pos(), nil, "the server has no table of this name (for this connection's search path)",
			"create the table first, or correct the table name given to schema.Model")
		r.Table = candidates[0].Name
		return nil, nil, r
	}
	if err := a.qualify(tn, rel); err != nil {
		return nil, nil, err
	}
	t := pick(candidates, rel.Schema)
	d := a.known.dependents[t]
	if t == nil {
		return nil, nil, nil
	}
	if d == nil {
		return t, rel, nil
	}
	if d.refused != "" {
		return nil, nil, a.refuseDependent(t, d, tn.Pos())
	}
	if a.meanings == nil {
		a.meanings = map[*sqlparse.TableName]*dependent{}
	}
	a.meanings[tn] = d
	if d.kind == dbcatalog.DependentTable || d.kind == dbcatalog.DependentType { // the first is read as any other, the second is no relation
		return nil, nil, nil
	}
	return t, rel, nil
}

// qualify has a name sent with the schema that it was resolved to, whether the table came out sealed or plain: what the server
// makes of the text then cannot be another table than the one that was analysed, whatever has become of the search path.
func (a *analysis) qualify(tn *sqlparse.TableName, rel *dbcatalog.Relation) error {
	if tn.Schema != "" {
		return nil
	}
	at := tn.Pos()
	if at < 0 || at >= len(a.file.Text) {
		return a.refuseRewriting(0, nil, "the position of a table's name cannot be found", "write the name with its schema")
	}
	if a.namedAt[at] {
		return nil
	}
	if a.namedAt == nil {
		a.namedAt = map[int]bool{}
	}
	a.namedAt[at] = true
	in := rel.Schema
	if rel.Temporary && a.p.dialect == dialect.Postgres {
		in = "pg_temp"
	}
	a.names = append(a.names, edit{start: at, end: at, text: dbcatalog.QuoteIdent(in) + ".", shared: true})
	return nil
}

// pick returns the registration for a schema: the one that names it, or the one that
// names none.
func pick(candidates []*schema.Table, schemaName string) *schema.Table {
	var general *schema.Table
	for _, t := range candidates {
		switch t.Schema {
		case schemaName:
			if len(t.Columns()) == 0 && t.ViewOf == "" {
				return nil // schema.Plain
			}
			return t
		case "":
			general = t
		}
	}
	return general
}
