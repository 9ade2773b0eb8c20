package dbcheck

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/schema"
)

// relation is a relation of the database that is registered in the schema.
type relation struct {
	oid          string
	schema, name string
	kind         string // pg_class.relkind
	rows         float64
	table        *schema.Table
	label        string             // how findings call it
	cols         map[string]*column // the sealed ones, by attribute number
}

// column is a sealed column of a relation.
type column struct {
	rel     *relation
	num     string // attribute number
	name    string
	col     *schema.Column
	storage dbcatalog.Storage
	checked bool // a CHECK that is valid holds every row to being a cell
	unread  bool // the role may not read the values, which is among the findings

	foldIndex, termsIndex bool // there is an index that searches by lower(), or by terms, use
}

// stores reports whether the relation has rows of its own, or is the head of partitions.
func (r *relation) stores() bool { return r.kind == "r" || r.kind == "p" }

// sorted returns the sealed columns in the order of the table.
func (r *relation) sorted() []*column {
	return slices.SortedFunc(maps.Values(r.cols), func(x, y *column) int { return number(x.num) - number(y.num) })
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the server printed it as a number
	return n
}

// text reports whether cells are stored as text.
func (c *column) text() bool { return c.storage == dbcatalog.StorageText }

const relationQuery = `SELECT c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
	c.relkind::pg_catalog.text, c.reltuples::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
	AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relname = ANY ($1::pg_catalog.text[])
ORDER BY n.nspname, c.relname`

// readRelations finds what the schema registers. A registration without a schema means the
// relations of that name in every schema.
func (k *checker) readRelations(ctx context.Context) error {
	var names []string
	for _, t := range k.db.Schema.Tables() {
		names = append(names, t.Name)
	}
	rows, err := k.query(ctx, relationQuery, pgarray.Strings(names))
	if err != nil {
		return err
	}
	k.byOID = map[string]*relation{}
	count := map[*schema.Table]int{}
	for _, r := range rows {
		t := k.db.Schema.Lookup(r[1], r[2])
		if t == nil {
			continue // of this name in a schema that is not registered
		}
		tuples, _ := strconv.ParseFloat(r[4], 64) // negative when it was never analysed
		rel := &relation{oid: r[0], schema: r[1], name: r[2], kind: r[3], rows: tuples, table: t, label: t.String(), cols: map[string]*column{}}
		count[t]++
		k.rels = append(k.rels, rel)
		k.byOID[rel.oid] = rel
	}
	for _, rel := range k.rels {
		if count[rel.table] > 1 {
			rel.label = rel.schema + "." + rel.name
		}
		k.registeredKind(rel)
	}
	for _, t := range k.db.Schema.Tables() {
		if count[t] == 0 {
			k.add(Finding{Severity: SeverityDanger, Rule: "missing-table", Table: t.String(), What: "the schema registers it, and the database has no such table or view",
				Hint: "create it, or correct the name: a table of another name is not sealed"})
		}
	}
	return nil
}

func (k *checker) registeredKind(rel *relation) {
	view := rel.kind == "v" || rel.kind == "m"
	switch {
	case view && rel.table.ViewOf == "":
		k.on(SeverityWarning, "kind", rel, nil, "", "it is registered as a table and is a view", "register the table beneath it, and this with schema.View")
	case !view && rel.table.ViewOf != "":
		k.on(SeverityDanger, "kind", rel, nil, "", "it is registered as a view and is a table, which stores cells of another table", "register it with schema.Model or schema.Columns")
	case rel.kind == "f":
		k.on(SeverityWarning, "kind", rel, nil, "", "it is a foreign table: nothing here can hold the other server to sealed cells", "audit the other server, too")
	}
}

const columnQuery = `SELECT a.attrelid::pg_catalog.text, a.attnum::pg_catalog.text, a.attname::pg_catalog.text,
	pg_catalog.format_type(a.atttypid, a.atttypmod),
	` + dbcatalog.PostgresBaseType + `,
	a.atttypmod::pg_catalog.text, COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), t.typdefault),
	a.attidentity::pg_catalog.text, a.attgenerated::pg_catalog.text, COALESCE(a.attstattarget, -1)::pg_catalog.text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`

// readColumns finds the sealed columns and checks what they are.
func (k *checker) readColumns(ctx context.Context) error {
	rows, err := k.query(ctx, columnQuery, k.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		rel := k.byOID[r[0]]
		cells := cellColumns(rel.table)
		at := slices.IndexFunc(cells, func(c *schema.Column) bool { return c.CellColumn() == r[2] })
		if at < 0 {
			continue
		}
		col := cells[at]
		ac := &column{rel: rel, num: r[1], name: r[2], col: col, storage: dbcatalog.PostgresStorage(r[4])}
		rel.cols[ac.num] = ac
		k.columnType(ac, r[3], r[5])
		k.columnDefault(ac, r[6], r[7], r[8])
		k.statistics(ac, number(r[9]))
	}
	for _, rel := range k.rels {
		for _, col := range cellColumns(rel.table) {
			switch {
			case slices.ContainsFunc(rel.sorted(), func(c *column) bool { return c.col == col }):
			case col.Stage == schema.StageCopy:
				k.on(SeverityWarning, "missing-companion", rel, &column{name: col.Stored}, "", "the column "+col.Name+" is in the stage copy, and the companion for its cells is not there: nothing is copied yet",
					"go on with colseal seal, or run what colseal ddl prints")
			case col.Stage != schema.StageNone:
				k.on(SeverityDanger, "missing-companion", rel, &column{name: col.Stored}, "", "the column "+col.Name+" is in the stage "+col.Stage.String()+", and the companion that holds its cells is not there",
					"go back to the stage copy, and fill it with colseal seal")
			default:
				k.on(SeverityDanger, "missing-column", rel, &column{name: col.Name}, "", "the schema seals it, and the relation has no such column",
					"add it, or correct the name in the tag: a column of another name is not sealed")
			}
		}
	}
	return nil
}

// cellColumns returns the columns of a table whose cells can be relied on. A column whose options
// change has cells in two places, as long as both are written.
func cellColumns(t *schema.Table) []*schema.Column {
	return slices.DeleteFunc(t.CellColumns(), func(c *schema.Column) bool {
		return slices.ContainsFunc(t.Columns(), func(o *schema.Column) bool { return o.Was == c && o.Stage == schema.StageOnly })
	})
}

// columnType checks that cells fit into the column's type.
func (k *checker) columnType(c *column, typ, mod string) {
	if c.storage == dbcatalog.StorageOther {
		k.on(SeverityDanger, "type", c.rel, c, "", "its type "+typ+" cannot hold cells, and every statement that uses it is refused",
			"seal its values into a new column of type bytea and let that take its place; if it is empty: "+alterType(c))
		return
	}
	if c.text() && c.col.Suite().HasTerms() {
		k.on(SeverityDanger, "type", c.rel, c, "", "its type "+typ+" hides the terms in its cells: every search for them is refused",
			"seal its values into a new column of type bytea and let that take its place; if it is empty: "+alterType(c))
		return
	}
	if c.text() && c.col.Sorted() {
		k.on(SeverityDanger, "type", c.rel, c, "", "its type "+typ+" sorts by its collation, and the cells of the column sort by bytes: every statement that sorts or compares by it is refused",
			"seal its values into a new column of type bytea and let that take its place; if it is empty: "+alterType(c))
		return
	}
	// A varchar's modifier counts its length from 4.
	const minimum = 100
	if n := number(mod) - 4; c.text() && n > 0 && n < minimum {
		k.on(SeverityWarning, "type", c.rel, c, "", "its type "+typ+" has room only for the cells of very short values", "change it to text, or better to bytea")
	}
}

// statistics checks that the server knows enough of an ordered column to estimate a range of it.
func (k *checker) statistics(c *column, target int) {
	if c.col.Mode == schema.ModeOrdered && c.rel.stores() && !c.text() && target < ddl.Statistics {
		k.on(SeverityWarning, "statistics", c.rel, c, "", "the server's statistics of this ordered column are too coarse: it takes narrow ranges for far smaller than they are",
			ddl.SetStatistics(&schema.Table{Schema: c.rel.schema, Name: c.rel.name}, c.col)+", and ANALYZE the table")
	}
}

func alterType(c *column) string {
	return "ALTER TABLE " + c.rel.sql() + " ALTER COLUMN " + dbcatalog.QuoteIdent(c.name) + " TYPE bytea USING NULL"
}

// columnDefault checks what the server itself would store in the column.
func (k *checker) columnDefault(c *column, expr, identity, generated string) {
	alter := "ALTER TABLE " + c.rel.sql() + " ALTER COLUMN " + dbcatalog.QuoteIdent(c.name)
	switch {
	case generated != "":
		k.on(SeverityDanger, "generated", c.rel, c, "", "the server generates its values, unsealed", alter+" DROP EXPRESSION, and give the value in the statement")
	case identity != "":
		k.on(SeverityDanger, "default", c.rel, c, "", "it is an identity column: the server stores numbers, unsealed", alter+" DROP IDENTITY, and give the value in the statement")
	case dbcatalog.HasDefault(expr):
		k.on(SeverityDanger, "default", c.rel, c, "", "its default is stored as it is, unsealed", alter+" DROP DEFAULT, and give the value in the statement")
	}
}

// sql returns the relation's name in a statement.
func (r *relation) sql() string {
	return dbcatalog.Name{Schema: r.schema, Table: r.name}.SQL()
}

// oids are all relations', as an array literal.
func (k *checker) oids() string {
	out := make([]string, len(k.rels))
	for i, r := range k.rels {
		out[i] = r.oid
	}
	return "{" + strings.Join(out, ",") + "}"
}

const checkQuery = `SELECT conrelid::pg_catalog.text, conname::pg_catalog.text, pg_catalog.pg_get_constraintdef(oid),
	convalidated::pg_catalog.text, conkey::pg_catalog.text
FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid = ANY ($1::pg_catalog.oid[]) ORDER BY conname`

// checks looks for the CHECK of each sealed column, and for others over it.
func (k *checker) checks(ctx context.Context) error {
	rows, err := k.query(ctx, checkQuery, k.oids())
	if err != nil {
		return err
	}
	valid := map[*column]string{} // "true", "false", or "" without
	for _, r := range rows {
		for _, num := range attributes(r[4]) {
			c := k.byOID[r[0]].cols[num]
			switch {
			case c == nil:
			case backstop.InCatalog(r[2], c.col, c.text()):
				valid[c] = max(valid[c], r[3]) // "true" is the greatest
			case r[1] == ddl.ConstraintName(c.col):
				// Not this column's cells: reported below as missing, with what replaces it.
			case !nullsOnly(r[2], c.name):
				k.on(SeverityWarning, "check", c.rel, c, r[1], "a CHECK judges the cells, not the values", "drop it, and check the value in the program")
			}
		}
	}
	for _, rel := range k.rels {
		if !rel.stores() {
			continue
		}
		var unproven []string // the CHECKs that are not valid
		for _, c := range rel.sorted() {
			if valid[c] == "false" {
				unproven = append(unproven, ddl.ConstraintName(c.col))
			}
		}
		for _, c := range rel.sorted() {
			k.backstop(c, valid[c], unproven)
		}
	}
	return nil
}

// backstop judges the CHECK that was found for a column. unproven are those of the table that are
// not valid.
func (k *checker) backstop(c *column, valid string, unproven []string) {
	name := ddl.ConstraintName(c.col)
	switch {
	case valid == "true":
		c.checked = true
	case valid == "false":
		k.on(SeverityWarning, "check-not-valid", c.rel, c, name, "its CHECK was never validated: older rows may hold plaintext",
			"seal them, then "+ddl.Validate(c.rel.sql(), unproven)+"; under load, in a transaction that ends with a lock (docs/migrating.md)")
	case c.storage != dbcatalog.StorageOther:
		k.on(SeverityWarning, "no-check", c.rel, c, name, "no CHECK refuses what is not a cell of this column: any other program can store plaintext",
			oneLine(ddl.AddCheck(&schema.Table{Schema: c.rel.schema, Name: c.rel.name}, c.col, c.text(), false)))
	}
}

// oneLine makes one line of a statement that was laid out over several.
func oneLine(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\n\t", " ")) }

// attributes splits an array or vector of attribute numbers.
func attributes(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '{' || r == '}' || r == ',' || r == ' ' })
}
