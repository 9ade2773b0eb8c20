package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// What a definition says of a table is kept by the server, or computed for all rows at once.
// It is never rewritten: it is sent as it stands, or refused. So nothing in it may be sealed,
// be compared as cells, or take a cell elsewhere.
//
// The name of the table is not looked up. In a definition it stands for every registered
// table that it may mean, so that what the server takes it for cannot differ.

// meant returns the registered tables that a name may mean, whatever the search path.
func (a *analysis) meant(tn *sqlparse.TableName) []*schema.Table {
	tables := a.candidates(tn.Name)
	if tn.Schema != "" {
		t := pick(tables, tn.Schema)
		if tables = nil; t != nil {
			tables = []*schema.Table{t}
		}
	}
	return append(slices.Clip(tables), a.adopted[a.p.fold(tn.Name)]...)
}

// namesSealed returns the first of the names that may mean a registered table, or nil.
func (a *analysis) namesSealed(names []*sqlparse.TableName) *sqlparse.TableName {
	for _, n := range names {
		if len(a.meant(n)) > 0 {
			return n
		}
	}
	return nil
}

// definition analyses one expression of a definition. computes says that it is computed for
// rows that are there. It is refused as a whole.
func (a *analysis) definition(d *sqlparse.Definition, computes bool) error {
	every := a.every
	a.every = false
	defer func() { a.every = every }()
	tables := a.meant(d.Table)
	columns, err := a.sealedOf(tables)
	if err != nil {
		return err
	}
	target := a.sealedIn(columns, d.Column)
	switch {
	case d.Bounds:
		return a.checkBounds(d, tables, columns)
	case d.Keys != nil:
		return a.keys(d, columns, computes)
	case target != nil && d.Type != nil:
		return a.retype(d, target)
	case target != nil:
		return a.refusePlaintext(d.Pos(), target, "a default of a sealed column would be stored unsealed", "leave the default NULL and give the value in each INSERT")
	case d.Expr == nil || a.isBackstop(d, columns):
		return nil
	}
	slots, nulls, checks := len(a.slots), len(a.nulls), len(a.checked)
	a.rows = a.rowsOf(d, tables, columns)
	err = a.defined(d, &scope{items: a.rows})
	a.rows = nil
	if err != nil {
		return a.otherTable(err, d.Table, tables)
	}
	if err = a.checkNothingSealed(d.What, hintForDefinition(d), slots, checks); err != nil {
		return a.otherTable(err, d.Table, tables)
	}
	a.slots, a.nulls = a.slots[:slots], a.nulls[:nulls]
	return nil
}

// defined analyses the expression itself.
func (a *analysis) defined(d *sqlparse.Definition, sc *scope) error {
	switch {
	case d.Column != "":
		t, err := a.infer(d.Expr, sc)
		if err != nil {
			return err
		}
		return a.store(newPlain(), t, d.Expr.Pos())
	case d.Condition:
		return a.condition(d.Expr, sc)
	}
	return a.plainExpr(d.Expr, sc, d.What)
}

// rowsOf returns the items that the names of a definition go through. Every column that is
// not sealed counts as one of the table: the text may have added it.
func (a *analysis) rowsOf(d *sqlparse.Definition, tables []*schema.Table, columns []*schema.Column) []*item {
	row := item{name: d.Table.Name, schema: d.Table.Schema, open: true}
	for _, t := range tables {
		row.table = t
	}
	for _, c := range columns {
		if name := a.p.fold(c.Name); findOutput(row.cols, name) == nil {
			row.cols = append(row.cols, output{name: name, t: newSealed(source{c, dbcatalog.StorageBytes})})
		}
	}
	// PostgreSQL takes t.f for the function f over the whole row. A value that is kept must
	// not be made so.
	row.kept = !d.Condition && a.p.dialect == dialect.Postgres
	if d.Rows == nil {
		return []*item{&row}
	}
	items := make([]*item, len(d.Rows))
	for i, name := range d.Rows {
		r := row
		r.name, r.schema = name, ""
		items[i] = &r
	}
	return items
}

// sealedOf returns the sealed columns of tables, one after the other.
func (a *analysis) sealedOf(tables []*schema.Table) ([]*schema.Column, error) {
	var out []*schema.Column
	for _, t := range tables {
		cols, err := a.sealedColumns(t)
		if err != nil {
			return nil, err
		}
		out = append(out, cols...)
	}
	return out, nil
}

// sealedIn returns the sealed column of a name, or nil.
func (a *analysis) sealedIn(columns []*schema.Column, column string) *schema.Column {
	if column == "" {
		return nil
	}
	return a.sealedColumn(columns, column)
}

// keys analyses the columns of a UNIQUE, a PRIMARY KEY, or a FOREIGN KEY: the server compares
// their cells. Those of rows that are there may be under two search keys.
func (a *analysis) keys(d *sqlparse.Definition, columns []*schema.Column, computes bool) error {
	for i, name := range d.Keys {
		c := a.sealedIn(columns, name)
		switch {
		case d.References != nil:
			if err := a.foreignKey(d, i, c); err != nil {
				return err
			}
		case c != nil && !c.EqualCells():
			return a.refuseMode(d.Pos(), c, d.What+" needs a deterministic column",
				`cells of a randomized column are all different; tag the column seal:"deterministic", or leave it out`)
		case c != nil && computes:
			a.touched = true
			a.demand(termOf(c), unique, d.Pos(), d.What)
		}
	}
	return nil
}

// foreignKey analyses one column of a FOREIGN KEY; c is nil for one that is not sealed.
func (a *analysis) foreignKey(d *sqlparse.Definition, i int, c *schema.Column) error {
	to := d.References
	if to.Columns == nil && c != nil {
		return a.refuseUnknown(d.Pos(), c, "it is not known which column a sealed column refers to", "write the column: REFERENCES "+to.Table.Name+" (column)")
	}
	if i >= len(to.Columns) {
		return nil
	}
	columns, err := a.sealedOf(a.meant(to.Table))
	if err != nil {
		return err
	}
	other := a.sealedIn(columns, to.Columns[i])
	if c == nil && other == nil {
		return nil
	}
	a.touched = true
	t, err := a.unify(termOf(c), termOf(other), d.Pos(), d.What)
	if err != nil {
		return err
	}
	a.demand(t, unique, d.Pos(), d.What)
	return nil
}

// termOf returns the term of a sealed column; nil is a plain one.
func termOf(c *schema.Column) *term {
	if c == nil {
		return newPlain()
	}
	return newSealed(source{c, dbcatalog.StorageBytes})
}

// isBackstop reports whether a CHECK is the one that lets the database refuse plaintext, as
// colseal ddl prints it. Its constants are no values.
func (a *analysis) isBackstop(d *sqlparse.Definition, columns []*schema.Column) bool {
	return d.Text != "" && slices.ContainsFunc(columns, func(c *schema.Column) bool { return backstop.Is(d.Text, a.p.dialect, c) })
}

// retype decides a change of a sealed column's type. To bytea without USING it is harmless:
// the server has no cast to bytea that it would use by itself, so that either the column is
// bytea already, or the statement fails.
func (a *analysis) retype(d *sqlparse.Definition, c *schema.Column) error {
	typ := d.Type
	if d.Expr == nil && typ.Name == "bytea" && (typ.Schema == "" || typ.Schema == "pg_catalog") && !typ.Array {
		return nil
	}
	return a.refuseOperation(d.Pos(), c, "a change of a sealed column's type would convert its cells, or store plaintext",
		`keep it bytea, whatever its values are, and tell an ORM that migrates by itself so (gorm:"type:bytea", bun:"type:bytea"); to store cells in another type, add a column and write the values to it from the program`)
}

// checkBounds refuses the bounds of a partition, which are values of the parent's key, unless that
// has no sealed column.
func (a *analysis) checkBounds(d *sqlparse.Definition, tables []*schema.Table, columns []*schema.Column) error {
	if len(tables) == 0 {
		return nil
	}
	var parent *dbcatalog.Relation
	if !a.unsettled && a.changed(d.Table) == nil {
		var err error
		if parent, err = a.relation(d.Table); err != nil {
			return err
		}
	}
	if parent == nil {
		r := a.refuseUnknown(d.Pos(), nil, "it is not known whether the bounds of this partition are values of a sealed column", "make the parent by a statement of its own first")
		r.Table = tables[0].String()
		return a.otherTable(r, d.Table, tables)
	}
	partitioned := false
	for _, col := range parent.Columns {
		partitioned = partitioned || col.Key
		if c := a.sealedIn(columns, col.Name); c != nil && col.Key {
			return a.otherTable(a.refusePlaintext(d.Pos(), c, "the bounds of this partition are values of a sealed column", "partition the table by a plain column, or by HASH"), d.Table, tables)
		}
	}
	if !partitioned {
		r := a.refuseStorage(d.Pos(), nil, "the sealed table has no partitions", "create it with PARTITION BY")
		r.Table = tables[0].String()
		return a.otherTable(r, d.Table, tables)
	}
	return nil
}

// otherTable adds to a refusal how to say that a table is meant that is not registered.
func (a *analysis) otherTable(err error, tn *sqlparse.TableName, tables []*schema.Table) error {
	r, ok := err.(*Refusal)
	if !ok || tn.Schema != "" {
		return err
	}
	for _, t := range tables {
		if t.Schema == "" {
			return err
		}
	}
	if len(tables) > 0 {
		r.Hint += "; if another " + tn.Name + " is meant, write its schema before the name"
	}
	return r
}

func hintForDefinition(d *sqlparse.Definition) string {
	if d.Text != "" {
		return "check the values in the program; colseal ddl prints the CHECK that takes nothing but cells"
	}
	return "define it without the sealed column, or let it ask only whether that is NULL"
}

// checkSchemaChange refuses to drop a schema with sealed tables or the keyring in it, or to rename
// one so that they are sealed no more.
func (a *analysis) checkSchemaChange(u *sqlparse.Utility, s sqlparse.SchemaChange) error {
	for _, t := range a.p.registered {
		concerned, err := a.concerns(t, s)
		if err != nil {
			return err
		}
		if !concerned {
			continue
		}
		a.forbidden = true
		r := a.refusePlaintext(u.Pos(), nil, "a table of sealed columns would be written in plaintext under another name",
			"register it with the new schema first, by schema.WithIdentityTable and its present name; then rename the schema")
		if s.To == "" {
			r = a.refuseUnknown(u.Pos(), nil, "a schema that holds a sealed table, or may hold one, would be dropped",
				"drop its tables one by one first, or drop it over a connection without Colseal")
		}
		r.Table = t.String()
		return r
	}
	return a.checkKeyringSchema(u, s)
}

// concerns reports whether a change of a schema drops a registered table, or takes it to where
// it is not registered.
func (a *analysis) concerns(t *schema.Table, s sqlparse.SchemaChange) (bool, error) {
	switch {
	case t.Schema != "":
		return a.p.fold(t.Schema) == a.p.fold(s.Name) && (s.To == "" || !a.sealsAfter(t, sqlparse.Rename{ToSchema: s.To})), nil
	case s.To != "":
		return false, nil // it is registered in every schema
	}
	return a.holds(s.Name, t.Name)
}

// holds reports whether a schema has a relation, or may have it where there is no catalog.
func (a *analysis) holds(schemaName, name string) (bool, error) {
	if a.env.Catalog == nil || a.unsettled {
		return true, nil
	}
	rel, err := a.relation(&sqlparse.TableName{Schema: schemaName, Name: name})
	return rel != nil, err
}

// changes are what earlier statements of the text may have done to a relation.
type changes struct {
	another bool     // its name may mean another relation, or its sealed columns changed
	columns []string // columns, none of them sealed, that it gained, lost or changed
}

// passed records what the statement that was just analysed changes for later ones of the text. An
// unknown function may change what names mean, and nothing can be asked between two statements of a
// text.
func (a *analysis) passed(s sqlparse.Stmt) {
	effects := a.effects
	u, ok := s.(*sqlparse.Utility)
	if ok && u.Bounded {
		if u.Catalog {
			effects &^= ChangesCatalog | ChangesTemporary
		}
		if u.Session {
			effects &^= ChangesSession
		}
	}
	if ok {
		for _, c := range u.Changes {
			a.change(c)
		}
	}
	if effects&^settled != 0 {
		a.unsettled = true
	}
}

func (a *analysis) change(c sqlparse.Change) {
	name := a.p.fold(c.Table.Name)
	for _, parent := range c.Parents {
		d := descent{c.Table, parent}
		if a.lineage == nil {
			a.lineage = map[string][]descent{}
		}
		a.lineage[name] = append(a.lineage[name], d)
		a.lineage[a.p.fold(parent.Name)] = append(a.lineage[a.p.fold(parent.Name)], d)
		a.descends(d)
	}
	known := a.changes[name]
	if known == nil {
		known = &changes{}
		if a.changes == nil {
			a.changes = map[string]*changes{}
		}
		a.changes[name] = known
	}
	known.another = known.another || len(c.Columns) == 0
	for _, column := range c.Columns {
		for _, t := range a.candidates(name) {
			d := a.known.dependents[t]
			switch {
			case d == nil:
				known.another = known.another || a.sealedIn(t.Columns(), column) != nil
			case d.kind == dbcatalog.DependentChild:
				known.another = known.another || a.sealedIn(d.columns, column) != nil
			default:
				known.another = true
			}
		}
		known.columns = append(known.columns, a.p.fold(column))
	}
}

// A descent is what makes a relation a child, a partition or a stand-in of another one.
type descent struct{ child, parent *sqlparse.TableName }

// descends has one of the two stand for what the other one stands for, and then what is above or below
// that one by an earlier statement.
func (a *analysis) descends(d descent) {
	above := a.meant(d.parent)
	a.adopt(d.child, above)
	if len(above) == 0 { // it shows the rows of its child, and passes rows on to a partition
		a.adopt(d.parent, a.meant(d.child))
	}
}

// adopt notes that a relation stands for rows of sealed tables from here on. What is known of
// dependents is older than the text.
func (a *analysis) adopt(tn *sqlparse.TableName, tables []*schema.Table) {
	meant := a.meant(tn)
	tables = slices.DeleteFunc(slices.Clone(tables), func(t *schema.Table) bool { return slices.Contains(meant, t) })
	if len(tables) == 0 {
		return
	}
	if a.adopted == nil {
		a.adopted = map[string][]*schema.Table{}
	}
	name := a.p.fold(tn.Name)
	a.adopted[name] = append(a.adopted[name], tables...)
	for _, d := range a.lineage[name] {
		a.descends(d)
	}
}

// changed returns what the text may have done to a relation before; nil for nothing.
func (a *analysis) changed(tn *sqlparse.TableName) *changes { return a.changes[a.p.fold(tn.Name)] }

// withChanges returns the columns of a registered table that the text changed before. A star
// yields them in an order that is not known, and maybe others.
func withChanges(cols, unlisted []output, c *changes) []output {
	out := append([]output{{gap: true}}, cols...)
	for _, name := range c.columns {
		if findOutput(out, name) == nil && findOutput(unlisted, name) == nil {
			out = append(out, output{name: name, t: newPlain()})
		}
	}
	return append(out, output{gap: true})
}
