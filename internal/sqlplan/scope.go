package sqlplan

import (
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// An output is one column that a query, a FROM item or a star yields. A gap stands for
// columns of unknown number that hold nothing sealed.
type output struct {
	name string
	t    *term
	// sure: the server will report exactly this name.
	sure bool
	gap  bool
	row  bool // it is a row of a table, or made of one, with a companion in it
	// lazy: it is a gap that stands for the columns of from, if the catalog can tell.
	lazy bool
	// confined says whether its cells are all under one key; nil: no.
	confined *confinement
	// pair is what a column with a stage stands in, of a table's own columns.
	pair *pair
	// from is the item that it is one of.
	from *item
	more *details // nil for most
}

// details are what is known of few outputs.
type details struct {
	// unnamed is the expression of an output without an alias whose label changes when it
	// is rewritten: in PostgreSQL a parameter or literal, cast or not; in SQLite anything
	// but a column, since its text is the label.
	unnamed sqlparse.Expr
	// origin is the column of a table that an output of a view's definition is.
	origin *origin
}

func (d *details) value() sqlparse.Expr {
	if d == nil {
		return nil
	}
	return d.unnamed
}

func (d *details) source() *origin {
	if d == nil {
		return nil
	}
	return d.origin
}

// withoutOrigin are the details of what is no longer a column of one table.
func (d *details) withoutOrigin() *details {
	if d == nil || d.unnamed == nil {
		return nil
	}
	return &details{unnamed: d.unnamed}
}

// An item is one name that column references can go through.
type item struct {
	name   string // alias, or the relation's name; "" for the merged columns of a join
	schema string // of a relation without an alias
	cols   []output
	// kept: a value made of its columns is kept, so that a name that goes through it has to
	// be that of a column known here.
	kept bool
	// unlisted columns can be named, but no star yields them.
	unlisted []output
	// open: there are further columns, of unknown names; they are plain.
	open bool
	// companions: it has columns that no statement sees. merged: it has those that USING merges.
	companions, merged bool
	// called are the names in the catalog of columns that an alias renames, which a row keeps.
	called []string
	// at is where the name of a table stands.
	at int
	// query: it is a query of the text, and has the columns that the text says.
	query bool
	// hidden columns are merged by USING and seen only with the item's name.
	hidden map[string]bool
	// table is the registered table behind it, nil for everything else; a reference
	// to its whole row carries cells.
	table *schema.Table
	// named finds the columns of a wide item; made when it is asked for one.
	named map[string]namedColumn
	// ask is an unregistered relation whose columns have not been asked for.
	ask *sqlparse.TableName
}

// A namedColumn is the first column of a name, and how many there are.
type namedColumn struct {
	col *output
	n   int
}

// narrow is how many columns are looked through one by one.
const narrow = 8

// find returns the first column of an item with a name, or nil.
func (a *analysis) find(it *item, name string) *output {
	if found := a.lookUp(it, name); found.col != nil {
		return found.col
	}
	return findOutput(it.unlisted, name)
}

// lookUp finds a column among those that a star yields.
func (a *analysis) lookUp(it *item, name string) (found namedColumn) {
	a.step(1)
	if len(it.cols) <= narrow {
		for i := range it.cols {
			if c := &it.cols[i]; !c.gap && c.name == name {
				if found.n++; found.n == 1 {
					found.col = c
				}
			}
		}
		return found
	}
	if it.named == nil {
		a.step(outputSteps * len(it.cols))
		it.named = make(map[string]namedColumn, len(it.cols))
		for i := range it.cols {
			if c := &it.cols[i]; !c.gap {
				first := it.named[c.name]
				if first.n++; first.n == 1 {
					first.col = c
				}
				it.named[c.name] = first
			}
		}
	}
	return it.named[name]
}

// carriesCells reports whether a whole row of the item holds cells, or might.
func (it *item) carriesCells() *schema.Column {
	for _, c := range it.cols {
		if !c.gap && c.t.root().state == sealed {
			return c.t.first()
		}
	}
	return nil
}

// A scope is what names can mean in one query. parent is the enclosing query's.
type scope struct {
	parent *scope
	with   *withScope
	items  []*item
	// aliases are the names of the query's outputs, which SQLite takes for columns
	// before it looks at outer queries.
	aliases map[string]bool
}

// A withScope holds the queries of one WITH clause.
type withScope struct {
	parent *withScope
	ctes   map[string]*derived
}

// A derived is the result of a WITH query.
type derived struct {
	cols    []output
	unknown bool // it has not been analysed yet
}

func (w *withScope) find(name string) *derived {
	for ; w != nil; w = w.parent {
		if d := w.ctes[name]; d != nil {
			return d
		}
	}
	return nil
}

// systemColumns exist in every table and hold nothing of ours.
var systemColumns = map[dialect.Dialect]map[string]bool{
	dialect.Postgres: {"ctid": true, "xmin": true, "xmax": true, "cmin": true, "cmax": true, "tableoid": true},
	dialect.SQLite:   {"rowid": true, "oid": true, "_rowid_": true},
}

// column finds what a column reference means.
func (a *analysis) column(c *sqlparse.Column, sc *scope) (*term, error) {
	parts := c.Parts
	switch {
	case c.Star:
		return a.wholeRows(c, sc)
	case len(parts) == 1:
		return a.unqualified(c, parts[0], sc)
	}
	name := parts[len(parts)-1]
	it, err := a.item(c, parts[:len(parts)-1], sc)
	if err != nil {
		return nil, err
	}
	if it == nil {
		return a.unresolved(c)
	}
	if err := a.load(it); err != nil {
		return nil, err
	}
	if col := a.find(it, name); col != nil {
		a.noteConfined(c, col.confined)
		t, err := a.refer(c, col)
		if err != nil {
			return nil, err
		}
		return t, a.checkUnambiguous(c, it, name)
	}
	if it.kept && it.table != nil && !systemColumns[a.p.dialect][name] {
		return nil, a.refuseUnknown(c.Pos(), nil, "it is not known whether this is a column, or a function of the whole row", "write the column without the table's name")
	}
	if it.table != nil && !it.open && !systemColumns[a.p.dialect][name] {
		// PostgreSQL would take t.f for the function f over the whole row.
		r := a.refuseName(c.Pos(), nil, "the sealed table has no column of this name", "name a column of the table")
		r.Table = it.table.Name
		return nil, r
	}
	if err := a.checkCall(c.Pos(), "", name); err != nil { // t.f may be f(t)
		return nil, err
	}
	if it.open || it.table != nil {
		return newPlain(), nil
	}
	// v.f is the function f over the whole row, if it is anything.
	t, err := a.wholeRow(c, it)
	if err == nil && it.query {
		// More likely the name of a WITH query hides that of a table, and what f is compared with is a value of the table's.
		return a.unresolved(c)
	}
	return t, err
}

// checkUnambiguous refuses a name that several columns of an item have, when one of them may
// hold cells. The server refuses it as well, but has seen the literals by then.
func (a *analysis) checkUnambiguous(c *sqlparse.Column, it *item, name string) error {
	if a.lookUp(it, name).n < 2 {
		return nil
	}
	a.step(len(it.cols))
	for _, o := range it.cols {
		if !o.gap && o.name == name && o.t.root().state != plain {
			return a.refuseName(c.Pos(), nil, "the name of a sealed column is ambiguous here", "give the columns different names")
		}
	}
	return nil
}

// item finds the FROM item that a qualified reference goes through; nil if there is none.
func (a *analysis) item(c *sqlparse.Column, qualifier []string, sc *scope) (*item, error) {
	name := qualifier[len(qualifier)-1]
	schemaName := ""
	if len(qualifier) > 1 {
		schemaName = qualifier[len(qualifier)-2]
	}
	for ; sc != nil; sc = sc.parent {
		var found *item
		a.step(len(sc.items))
		for _, it := range sc.items {
			if it.name != name || schemaName != "" && it.schema != "" && it.schema != schemaName {
				continue
			}
			if found != nil && (found.carriesCells() != nil || it.carriesCells() != nil) {
				return nil, a.refuseName(c.Pos(), nil, "two tables of this name are in sight, one of them with sealed columns", "give each an alias of its own")
			}
			if found == nil {
				found = it
			}
		}
		if found != nil {
			return found, nil
		}
	}
	return nil, nil
}

// unqualified finds a column by its name alone, from the innermost query outward.
func (a *analysis) unqualified(c *sqlparse.Column, name string, sc *scope) (*term, error) {
	for _, it := range a.rows { // they are open, so that any name would be that of a column
		if it.name == name && a.find(it, name) == nil {
			return a.wholeRow(c, it)
		}
	}
	for s := sc; s != nil; s = s.parent {
		found, err := a.inScope(c, name, s)
		if err != nil || found != nil {
			return found, err
		}
		if s.aliases[name] {
			return nil, a.refuseName(c.Pos(), nil, "an output's alias is used as a column", "write the expression instead of its alias")
		}
	}
	if it, err := a.item(c, []string{name}, sc); it != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return a.wholeRow(c, it)
	}
	return a.unresolved(c)
}

// inScope finds a column among the items of one query. It returns nil when only an
// outer query can have it.
func (a *analysis) inScope(c *sqlparse.Column, name string, s *scope) (*term, error) {
	found, _, err := a.search(c, name, s)
	if err != nil || found != nil {
		return found, err
	}
	for _, it := range s.items {
		if it.ask == nil {
			continue
		}
		if err := a.load(it); err != nil {
			return nil, err
		}
	}
	found, open, err := a.search(c, name, s)
	if err != nil || found != nil {
		return found, err
	}
	for _, it := range s.items {
		if it.table != nil && systemColumns[a.p.dialect][name] {
			return newPlain(), nil
		}
	}
	if !open {
		return nil, nil
	}
	// The name may belong to an item of unknown columns, or to an outer query.
	for o := s.parent; o != nil; o = o.parent {
		if outer, _, err := a.search(c, name, o); err != nil || outer != nil && outer.root().state != plain {
			return nil, a.refuseUnknown(c.Pos(), nil, "it is not known which table this column belongs to", "qualify it with the table's name or alias")
		}
	}
	return newPlain(), nil
}

// search looks at the known columns of one query's items. open says that some item
// has columns that are not known.
func (a *analysis) search(c *sqlparse.Column, name string, s *scope) (found *term, open bool, err error) {
	for _, it := range s.items {
		open = open || it.open || it.ask != nil
		col := a.find(it, name)
		if col == nil || it.hidden[name] {
			continue
		}
		if found != nil && (found.root().state == sealed || col.t.root().state == sealed) {
			return nil, open, a.refuseName(c.Pos(), nil, "the name of a sealed column is ambiguous here", "qualify it with the table's name or alias")
		}
		if err := a.checkUnambiguous(c, it, name); err != nil {
			return nil, open, err
		}
		if found, err = a.refer(c, col); err != nil {
			return nil, open, err
		}
		a.noteConfined(c, col.confined)
	}
	return found, open, nil
}

// unresolved refuses a name that nothing in sight has. PostgreSQL would say so itself;
// but SQLite may take a quoted name for a string, and a name that is not understood
// must not decide what is sealed.
func (a *analysis) unresolved(c *sqlparse.Column) (*term, error) {
	if name := c.Parts[len(c.Parts)-1]; systemColumns[a.p.dialect][name] {
		return newPlain(), nil
	}
	hint := "name a column of a table of this query"
	if a.p.dialect == dialect.SQLite {
		hint += "; write strings in single quotes, as SQLite may take a name that does not exist for a string"
	}
	return nil, a.refuseName(c.Pos(), nil, "no table in this query has a column of this name", hint)
}

// wholeRow decides a reference to a whole row.
func (a *analysis) wholeRow(c *sqlparse.Column, it *item) (*term, error) {
	a.step(len(it.cols))
	nulls := a.rowOfNulls(c, it)
	if col := it.carriesCells(); col != nil && !nulls {
		return nil, a.refuseOperation(c.Pos(), col, "a whole row of a sealed table cannot be used as a value", "name the columns that are needed")
	}
	if err := a.writeRowOut(c, it); err != nil || nulls {
		return newPlain(), err
	}
	return newPlain(), a.plainOutputs(it.cols, c.Pos(), "a whole row")
}

// wholeRows decides a star where a value is expected, such as count(u.*).
func (a *analysis) wholeRows(c *sqlparse.Column, sc *scope) (*term, error) {
	if len(c.Parts) > 0 {
		it, err := a.item(c, c.Parts, sc)
		if err != nil {
			return nil, err
		}
		if it != nil {
			return a.wholeRow(c, it)
		}
		return a.unresolved(c)
	}
	for s := sc; s != nil; s = s.parent {
		for _, it := range s.items {
			if _, err := a.wholeRow(c, it); err != nil {
				return nil, err
			}
		}
	}
	return newPlain(), nil
}
