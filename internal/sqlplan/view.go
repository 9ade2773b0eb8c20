package sqlplan

import (
	"errors"
	"maps"
	"slices"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// A view that is not registered is read as its definition says: that is analysed as a statement
// would be, once more for each text that names the view. The server runs it as it stands, so what
// would have to be rewritten in it is refused.

// A trace is what the definition of a view says.
type trace struct {
	outs []output // one for each column, with the view's names
	err  error    // why it cannot be read through; a *Refusal
	// inside is the analysis of the definition. from is the one relation that it selects from, as
	// of a view that can be written; nil of others. columns are the names there of the columns that
	// are nothing else, by the view's names.
	inside   *analysis
	from     *sqlparse.TableName
	columns  map[string]string
	compares bool // it compares cells
}

// maxViews is how many views may stand one in another.
const maxViews = 32

// trace analyses the definition of a view. The error is the catalog's.
func (a *analysis) trace(rel *dbcatalog.Relation) (*trace, error) {
	if t := a.views[rel]; t != nil {
		return t, t.err
	}
	t := &trace{}
	if a.views == nil {
		a.views = map[*dbcatalog.Relation]*trace{}
	}
	a.views[rel] = t
	err := a.traced(rel, t)
	var r *Refusal
	if errors.As(err, &r) {
		t.err = a.untraceable(rel, r)
		return t, t.err
	}
	return t, err
}

// untraceable makes the refusal of what names a view of what was refused in its definition.
func (a *analysis) untraceable(rel *dbcatalog.Relation, r *Refusal) error {
	out := a.refusal(r.Class, 0, nil, "the view "+rel.SQL()+", which reads a sealed table, cannot be read through: in its definition, "+r.Reason,
		"query the table itself, or define the view without it")
	out.Table, out.Column = r.Table, r.Column
	return out
}

func (a *analysis) traced(rel *dbcatalog.Relation, t *trace) error {
	in := &analysis{p: a.p, mode: a.mode, ctx: a.ctx, env: a.env, known: a.known, depth: a.depth + 1, steps: a.steps, views: a.views,
		changes: a.changes, adopted: a.adopted, unsettled: a.unsettled, file: &sqlparse.File{Text: a.file.Text}}
	if in.depth > maxViews {
		return in.refuseUnsupported(0, nil, "too many views stand one in another", "")
	}
	file, err := a.p.parse(rel.Definition)
	if err != nil {
		return in.refusal(colseal.ClassUnreadable, 0, nil, "there is what is not analysed", "")
	}
	in.file = file
	query, columns := definitionOf(file)
	if query == nil {
		return in.refusal(colseal.ClassUnreadable, 0, nil, "there is no query", "")
	}
	if a.p.dialect == dialect.SQLite && rel.Schema != "temp" {
		in.home = rel.Schema
	}
	if err := in.refuseRoutineCalls(query); err != nil {
		return err
	}
	if err := in.checkTypes(); err != nil {
		return err
	}
	if err := in.checkPrograms(); err != nil {
		return err
	}
	outs, err := in.query(query, nil, nil)
	a.steps, a.usedCatalog = max(a.steps, in.steps), true
	a.copying = a.copying || in.copying
	if err == nil {
		outs, err = in.renamed(outs, columns, 0)
	}
	if err == nil {
		err = in.shownOnly(query)
	}
	if err == nil {
		err = in.asItStands()
	}
	if err != nil {
		return err
	}
	t.inside, t.compares = in, in.compares
	for _, c := range in.checked {
		t.compares = t.compares || c.t.root().state == sealed && c.need != single
	}
	if t.outs, err = in.columnsOfView(rel, outs); err != nil {
		return err
	}
	t.from, t.columns = selectedFrom(query, rel, a.p.fold)
	return nil
}

// definitionOf returns the query of a view's definition: of a SELECT, or of CREATE VIEW with the
// names of its columns.
func definitionOf(file *sqlparse.File) (query *sqlparse.Select, columns []string) {
	if len(file.Statements) != 1 {
		return nil, nil
	}
	switch s := file.Statements[0].Stmt.(type) {
	case *sqlparse.Select:
		return s, nil
	case *sqlparse.Utility:
		if s.Kept != nil && s.Kept.Kind == sqlparse.KeptView {
			query, _ = s.Kept.Query.(*sqlparse.Select)
			return query, s.Kept.Columns
		}
	}
	return nil, nil
}

// asItStands refuses a definition that would have to be sent otherwise than it stands.
func (a *analysis) asItStands() error {
	if err := a.resolveRoles(); err != nil {
		return err
	}
	if err := a.verify(); err != nil {
		return err
	}
	for _, s := range a.slots {
		if use := s.use(); use != nil {
			return a.refusePlaintext(0, use.Column, "a sealed column meets a constant, which is not sealed", "")
		}
	}
	if len(a.extremes) > 0 {
		return a.refuseOperation(0, a.extremes[0].of, "the function "+a.extremes[0].call.Name+" cannot work on a sealed column", "")
	}
	if len(a.copied) > 0 {
		return a.refuseSearchKeys(0, nil, "cells are compared, and two search keys are live", "")
	}
	for _, c := range a.casts {
		if t := c.t.root(); t.state == sealed && !a.keepsCells(&c.cast.Type, t) {
			return a.refuseOperation(0, t.first(), "a sealed column is cast to another type", "")
		}
	}
	return nil
}

// keepsCells reports whether a cast leaves the cells of a term as they are.
func (a *analysis) keepsCells(typ *sqlparse.Type, t *term) bool {
	if a.p.dialect == dialect.SQLite || typ.Modified || typ.Array != t.array || typ.Schema != "" && typ.Schema != "pg_catalog" {
		return false
	}
	switch t.cols[0].storage {
	case dbcatalog.StorageBytes:
		return typ.Name == "bytea"
	case dbcatalog.StorageText:
		return typ.Name == "text" || typ.Name == "varchar"
	}
	return false
}

// columnsOfView gives the outputs of the definition the names of the view's columns.
func (a *analysis) columnsOfView(rel *dbcatalog.Relation, outs []output) ([]output, error) {
	if hasGap(outs) || len(outs) != len(rel.Columns) {
		var err error
		if outs, err = a.expand(outs); err != nil {
			return nil, err
		}
	}
	if hasGap(outs) || len(outs) != len(rel.Columns) {
		return nil, a.refuseUnknown(0, nil, "the columns are not known", "")
	}
	a.step(outputSteps * len(outs))
	cols := make([]output, len(outs))
	for i := range outs {
		o := output{name: a.p.fold(rel.Columns[i].Name), t: newPlain(), sure: a.p.dialect == dialect.Postgres}
		o.more = outs[i].more
		if r := outs[i].t.root(); r.state == sealed {
			if col := r.missing(); col != nil {
				return nil, a.refuseMissing(0, col)
			}
			o.t = &term{state: sealed, cols: r.cols, array: r.array, folded: r.folded}
		}
		cols[i] = o
	}
	return cols, nil
}

// selectedFrom returns the one relation that a query selects from, and the names there of its
// outputs, by the names that the view has for them; nil where the query does more.
func selectedFrom(q *sqlparse.Select, rel *dbcatalog.Relation, fold func(string) string) (*sqlparse.TableName, map[string]string) {
	if q.Op != sqlparse.NoSetOp || q.With != nil || len(q.From) != 1 || len(q.Targets) != len(rel.Columns) {
		return nil, nil
	}
	tn, ok := q.From[0].(*sqlparse.TableName)
	if !ok || tn.Alias != nil && len(tn.Alias.Columns) > 0 {
		return nil, nil
	}
	columns := map[string]string{}
	for i, t := range q.Targets {
		if c, ok := t.Expr.(*sqlparse.Column); ok && !c.Star {
			columns[fold(rel.Columns[i].Name)] = fold(c.Parts[len(c.Parts)-1])
		}
	}
	return tn, columns
}

// viewItem fills in the columns of a view that is not registered.
func (a *analysis) viewItem(it *item, rel *dbcatalog.Relation, pos int) error {
	t, err := a.trace(rel)
	if err != nil {
		return a.at(err, pos)
	}
	a.compares = a.compares || t.compares
	a.step(outputSteps * len(t.outs))
	it.cols = make([]output, len(t.outs))
	for i, o := range t.outs {
		o.t = a.use(o.t)
		it.cols[i] = o
	}
	it.cols, err = a.pairUp(it.cols)
	return a.at(err, pos)
}

// at returns a refusal that was met before, for another place.
func (a *analysis) at(err error, pos int) error {
	if err == nil {
		return nil
	}
	r, ok := err.(*Refusal)
	if !ok {
		return err
	}
	out := *r
	out.Pos = pos
	return &out
}

// through makes a write to a view one to the relation beneath it, or refuses it.
func (a *analysis) through(w *writeTarget, rel *dbcatalog.Relation, pos int) error {
	t, err := a.trace(rel)
	if err != nil {
		return a.at(err, pos)
	}
	if !rel.Updatable || t.from == nil {
		r := a.refuseUnsupported(pos, nil, "the view "+rel.SQL()+" reads a sealed table, and what a write to it does is not known", "write to the table itself")
		r.Table = rel.Name
		return r
	}
	beneath, err := t.inside.target(t.from)
	if err != nil {
		var r *Refusal
		if errors.As(err, &r) {
			err = a.at(a.untraceable(rel, r), pos)
		}
		return err
	}
	w.beneath, w.columns = beneath, t.columns
	return nil
}

// given returns the columns beneath a view that get a value when those of the view do, or have a
// default of their own there.
func (w *writeTarget) given(of map[string]bool, fold func(string) string) map[string]bool {
	of = maps.Clone(of)
	if of == nil {
		of = map[string]bool{}
	}
	for i := range w.rel.Columns {
		if c := &w.rel.Columns[i]; c.Default {
			of[fold(c.Name)] = true
		}
	}
	out := map[string]bool{}
	for name := range of {
		out[w.columns[name]] = true
	}
	return out
}

// sealedColumns returns the sealed columns of a registered table, or of what depends on one, and its
// columns that have rows of sealed tables in them.
func (a *analysis) sealedColumns(t *schema.Table) ([]*schema.Column, error) {
	cols, err := a.ownColumns(t)
	if err != nil {
		return nil, err
	}
	for _, r := range a.known.rowColumns[a.p.fold(t.Name)] {
		if t.Schema != "" && t.Schema != r.schema {
			continue
		}
		of, err := a.columnsOfRows(r.of)
		if err != nil {
			return nil, err
		}
		if a.firstWithCells(of) != nil {
			cols = append(slices.Clip(cols), &schema.Column{Name: r.name})
		}
	}
	return cols, nil
}

// ofRows reports whether a column is one that has rows of a sealed table in it.
func ofRows(c *schema.Column) bool { return c.Identity() == "" }

// columnsOfRows returns the sealed columns of the rows of a relation.
func (a *analysis) columnsOfRows(of dbcatalog.Name) ([]*schema.Column, error) {
	var out []*schema.Column
	for _, t := range a.meant(&sqlparse.TableName{Schema: of.Schema, Name: of.Table}) {
		if d := a.known.dependents[t]; d != nil && d.kind == dbcatalog.DependentType {
			continue
		}
		cols, err := a.ownColumns(t)
		if err != nil {
			return nil, err
		}
		out = append(out, cols...)
	}
	return out, nil
}

// ownColumns is sealedColumns without columns that have rows in them.
func (a *analysis) ownColumns(t *schema.Table) ([]*schema.Column, error) {
	d := a.known.dependents[t]
	switch {
	case d == nil:
		return a.columnsOf(t), nil
	case d.refused != "":
		return nil, a.refuseDependent(t, d, 0)
	case d.kind == dbcatalog.DependentChild:
		return a.strict(d.columns), nil
	case d.kind == dbcatalog.DependentType:
		var cols []*schema.Column
		for _, of := range d.rows {
			more, err := a.columnsOfRows(of)
			if err != nil {
				return nil, err
			}
			cols = append(cols, more...)
		}
		return cols, nil
	case d.kind != dbcatalog.DependentView:
		return nil, nil
	}
	rel, err := a.relation(&sqlparse.TableName{Schema: t.Schema, Name: t.Name})
	if err != nil || rel == nil {
		return nil, err
	}
	view, err := a.trace(rel)
	if err != nil {
		return nil, err
	}
	var cols []*schema.Column
	for _, o := range view.outs {
		if o.t.state == sealed {
			c := *o.t.first()
			c.Name = o.name
			cols = append(cols, &c)
		}
	}
	return cols, nil
}

func (a *analysis) refuseDependent(t *schema.Table, d *dependent, pos int) error {
	name := dbcatalog.Name{Schema: t.Schema, Table: t.Name}
	r := a.refuseUnsupported(pos, nil, name.SQL()+" cannot be used: "+d.refused, "name the sealed table itself, or register this one with schema.Columns")
	r.Table = t.Name
	return r
}
