package driver

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/schema"
)

// auditRel is a relation of the database that is registered in the schema.
type auditRel struct {
	oid          string
	schema, name string
	kind         string // pg_class.relkind
	rows         float64
	table        *schema.Table
	label        string               // how findings call it
	cols         map[string]*auditCol // the sealed ones, by attribute number
}

// auditCol is a sealed column of an auditRel.
type auditCol struct {
	rel     *auditRel
	num     string // attribute number
	name    string
	col     *schema.Column
	storage dbcatalog.Storage
	checked bool // a CHECK that is valid holds every row to being a cell
}

// stores reports whether the relation has rows of its own, or is the head of partitions.
func (r *auditRel) stores() bool { return r.kind == "r" || r.kind == "p" }

// sorted returns the sealed columns in the order of the table.
func (r *auditRel) sorted() []*auditCol {
	return slices.SortedFunc(maps.Values(r.cols), func(x, y *auditCol) int { return number(x.num) - number(y.num) })
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the server printed it as a number
	return n
}

// text reports whether cells are stored as text.
func (c *auditCol) text() bool { return c.storage == dbcatalog.StorageText }

const auditRelationQuery = `SELECT c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
	c.relkind::pg_catalog.text, c.reltuples::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
	AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relname = ANY ($1::pg_catalog.text[])
ORDER BY n.nspname, c.relname`

// readRelations finds what the schema registers. A registration without a schema means the
// relations of that name in every schema.
func (a *auditor) readRelations() error {
	var names []string
	for _, t := range a.c.st.cfg.Schema.Tables() {
		names = append(names, t.Name)
	}
	rows, err := a.query(auditRelationQuery, pgarray.Strings(names))
	if err != nil {
		return err
	}
	a.byOID = map[string]*auditRel{}
	count := map[*schema.Table]int{}
	for _, r := range rows {
		t := a.c.st.cfg.Schema.Lookup(r[1], r[2])
		if t == nil {
			continue // of this name in a schema that is not registered
		}
		tuples, _ := strconv.ParseFloat(r[4], 64) // negative when it was never analysed
		rel := &auditRel{oid: r[0], schema: r[1], name: r[2], kind: r[3], rows: tuples, table: t, label: t.String(), cols: map[string]*auditCol{}}
		count[t]++
		a.rels = append(a.rels, rel)
		a.byOID[rel.oid] = rel
	}
	for _, rel := range a.rels {
		if count[rel.table] > 1 {
			rel.label = rel.schema + "." + rel.name
		}
		a.registeredKind(rel)
	}
	for _, t := range a.c.st.cfg.Schema.Tables() {
		if count[t] == 0 {
			a.add(Finding{Severity: Danger, Rule: "missing-table", Table: t.String(), What: "the schema registers it, and the database has no such table or view",
				Mend: "create it, or correct the name: a table of another name is not sealed"})
		}
	}
	return nil
}

func (a *auditor) registeredKind(rel *auditRel) {
	view := rel.kind == "v" || rel.kind == "m"
	switch {
	case view && rel.table.ViewOf == "":
		a.on(Warning, "kind", rel, nil, "", "it is registered as a table and is a view", "register the table beneath it, and this with schema.View")
	case !view && rel.table.ViewOf != "":
		a.on(Danger, "kind", rel, nil, "", "it is registered as a view and is a table, which stores cells of another table", "register it with schema.Model or schema.Columns")
	case rel.kind == "f":
		a.on(Warning, "kind", rel, nil, "", "it is a foreign table: nothing here can hold the other server to sealed cells", "audit the other server, too")
	}
}

const auditColumnQuery = `SELECT a.attrelid::pg_catalog.text, a.attnum::pg_catalog.text, a.attname::pg_catalog.text,
	pg_catalog.format_type(a.atttypid, a.atttypmod),
	(WITH RECURSIVE base AS (
		SELECT t.oid, t.typbasetype, t.typtype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
		UNION ALL
		SELECT t.oid, t.typbasetype, t.typtype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd'
	) SELECT base.oid::pg_catalog.text FROM base WHERE base.typtype <> 'd' LIMIT 1),
	a.atttypmod::pg_catalog.text, COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), t.typdefault),
	a.attidentity::pg_catalog.text, a.attgenerated::pg_catalog.text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`

// readColumns finds the sealed columns and checks what they are.
func (a *auditor) readColumns() error {
	rows, err := a.query(auditColumnQuery, a.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		rel := a.byOID[r[0]]
		col := rel.table.Column(r[2])
		if col == nil {
			continue
		}
		ac := &auditCol{rel: rel, num: r[1], name: r[2], col: col, storage: dbcatalog.PostgresStorage(r[4])}
		rel.cols[ac.num] = ac
		a.columnType(ac, r[3], r[5])
		a.columnDefault(ac, r[6], r[7], r[8])
	}
	for _, rel := range a.rels {
		for _, col := range rel.table.Columns() {
			if !slices.ContainsFunc(rel.sorted(), func(c *auditCol) bool { return c.col == col }) {
				a.on(Danger, "missing-column", rel, &auditCol{name: col.Name}, "", "the schema seals it, and the relation has no such column",
					"add it, or correct the name in the tag: a column of another name is not sealed")
			}
		}
	}
	return nil
}

// columnType checks that cells fit into the column's type.
func (a *auditor) columnType(c *auditCol, typ, mod string) {
	if c.storage == dbcatalog.StorageOther {
		a.on(Danger, "type", c.rel, c, "", "its type "+typ+" cannot hold cells, and every statement that uses it is refused",
			"seal its values into a new column of type bytea and let that take its place; if it is empty: "+alterType(c))
		return
	}
	// A varchar's modifier counts its length from 4.
	const minimum = 100
	if n := number(mod) - 4; c.text() && n > 0 && n < minimum {
		a.on(Warning, "type", c.rel, c, "", "its type "+typ+" has room only for the cells of very short values", "change it to text, or better to bytea")
	}
}

func alterType(c *auditCol) string {
	return "ALTER TABLE " + c.rel.sql() + " ALTER COLUMN " + dbcatalog.QuoteIdent(c.name) + " TYPE bytea USING NULL"
}

// columnDefault checks what the server itself would store in the column.
func (a *auditor) columnDefault(c *auditCol, expr, identity, generated string) {
	alter := "ALTER TABLE " + c.rel.sql() + " ALTER COLUMN " + dbcatalog.QuoteIdent(c.name)
	switch {
	case generated != "":
		a.on(Danger, "generated", c.rel, c, "", "the server generates its values, unsealed", alter+" DROP EXPRESSION, and give the value in the statement")
	case identity != "":
		a.on(Danger, "default", c.rel, c, "", "it is an identity column: the server stores numbers, unsealed", alter+" DROP IDENTITY, and give the value in the statement")
	case dbcatalog.HasDefault(expr):
		a.on(Danger, "default", c.rel, c, "", "its default is stored as it is, unsealed", alter+" DROP DEFAULT, and give the value in the statement")
	}
}

// sql is the relation's name in a statement.
func (r *auditRel) sql() string {
	return dbcatalog.QuoteIdent(r.schema) + "." + dbcatalog.QuoteIdent(r.name)
}

// oids are all relations', as an array literal.
func (a *auditor) oids() string {
	out := make([]string, len(a.rels))
	for i, r := range a.rels {
		out[i] = r.oid
	}
	return "{" + strings.Join(out, ",") + "}"
}

const auditCheckQuery = `SELECT conrelid::pg_catalog.text, conname::pg_catalog.text, pg_catalog.pg_get_constraintdef(oid),
	convalidated::pg_catalog.text, conkey::pg_catalog.text
FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid = ANY ($1::pg_catalog.oid[]) ORDER BY conname`

// checks looks for the CHECK of each sealed column, and for others over it.
func (a *auditor) checks() error {
	rows, err := a.query(auditCheckQuery, a.oids())
	if err != nil {
		return err
	}
	valid := map[*auditCol]string{} // "true", "false", or "" without
	for _, r := range rows {
		for _, num := range attributes(r[4]) {
			c := a.byOID[r[0]].cols[num]
			switch {
			case c == nil:
			case ddl.SameCondition(r[2], c.col, c.text()):
				valid[c] = max(valid[c], r[3]) // "true" is the greatest
			case r[1] == ddl.ConstraintName(c.col):
				// Not this column's cells: reported below as missing, with what replaces it.
			case !nullsOnly(r[2], c.name):
				a.on(Warning, "check", c.rel, c, r[1], "a CHECK judges the cells, not the values", "drop it, and check the value in the program")
			}
		}
	}
	for _, rel := range a.rels {
		if !rel.stores() {
			continue
		}
		for _, c := range rel.sorted() {
			a.backstop(c, valid[c])
		}
	}
	return nil
}

// backstop judges the CHECK that was found for a column.
func (a *auditor) backstop(c *auditCol, valid string) {
	name := ddl.ConstraintName(c.col)
	switch {
	case valid == "true":
		c.checked = true
	case valid == "false":
		a.on(Warning, "check-not-valid", c.rel, c, name, "its CHECK was never validated: older rows may hold plaintext",
			"seal them, then ALTER TABLE "+c.rel.sql()+" VALIDATE CONSTRAINT "+dbcatalog.QuoteIdent(name))
	case c.storage != dbcatalog.StorageOther:
		a.on(Warning, "no-check", c.rel, c, name, "no CHECK refuses what is not a cell of this column: any other program can store plaintext",
			oneLine(ddl.AddCheck(&schema.Table{Schema: c.rel.schema, Name: c.rel.name}, c.col, c.text(), false)))
	}
}

// oneLine makes one line of a statement that was laid out over several.
func oneLine(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\n\t", " ")) }

// attributes splits an array or vector of attribute numbers.
func attributes(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '{' || r == '}' || r == ',' || r == ' ' })
}
