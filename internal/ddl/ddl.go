// Package ddl writes the statements that prepare a database for sealed columns: the
// keyring table, the columns' types, and per sealed column a backstop that lets the
// database itself refuse whatever is not a cell of that column, so that a psql
// session or another program cannot store plaintext there.
//
// The statements are for a person to review and run. None of them destroys a value: a
// change of type stops at the first row that holds one.
package ddl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Options say what to write. The zero value is usable.
type Options struct {
	Dialect  dialect.Dialect
	KeyTable string // default keyring.DefaultTable

	// NotValid makes PostgreSQL hold only new rows and updated ones to the CHECK, for tables
	// that hold plaintext until it is sealed.
	NotValid bool

	// Text says which columns store cells as text instead of bytea. Nil: none.
	Text func(*schema.Column) bool
}

// Write returns the statements for a schema. The same schema and options give the same
// text. The error is about the name of the key table, or a column that cannot be stored as text.
func Write(s *schema.Schema, o Options) (string, error) {
	store := keyring.OpenStore(nil, o.Dialect, o.KeyTable) // its DDL needs no database
	keys := store.DDL()
	if keys == "" {
		return "", fmt.Errorf("ddl: %q is not a table name; write table or schema.table", o.KeyTable)
	}
	var b strings.Builder
	b.WriteString("-- The keyring: one row per data key, wrapped by the key service.\n")
	b.WriteString(keys)
	b.WriteString(";\n")
	if grants := store.Grants("program", "writer", "operator", "auditor"); grants != "" {
		b.WriteString("\n-- What a program needs of it, a write-only program, an operator (colseal keys), and an auditor; name the roles:\n")
		for line := range strings.Lines(grants) {
			b.WriteString("-- " + line)
		}
	}
	if o.Dialect == dialect.Postgres {
		b.WriteString(functions(s))
	}
	if o.Dialect == dialect.Postgres && s.Staged() {
		fmt.Fprintf(&b, "\n-- In which programs tell in which stage they have a column; each needs SELECT, INSERT, UPDATE and DELETE.\n%s;\n", store.StageDDL())
	}
	for _, t := range s.Tables() {
		if t.ViewOf != "" {
			continue // a view stores nothing
		}
		fmt.Fprintf(&b, "\n-- Table %s\n", t)
		var checks []string
		for _, c := range t.Columns() {
			fmt.Fprintf(&b, "\n-- %s.%s: %s %s, identity %q, tag %04x\n", t, c.Name, c.Mode, c.Kind.String(), c.Identity(), c.Tag())
			text := o.Text != nil && o.Text(c)
			if text && c.Suite().HasTerms() {
				return "", fmt.Errorf("ddl: %s.%s has terms, which are looked for in cells of bytes: it cannot be stored as text", t, c.Name)
			}
			if text && c.Sorted() {
				return "", fmt.Errorf("ddl: %s.%s is %s, whose cells sort by bytes and not by a collation: it cannot be stored as text", t, c.Name, sortedBy(c))
			}
			b.WriteString(addCompanion(t, c, o.Dialect, text))
			if o.Dialect == dialect.SQLite {
				b.WriteString(triggers(t, c, text))
				continue
			}
			if c.Stage == schema.StageNone {
				b.WriteString(changeType(t, c, text))
			}
			b.WriteString(AddCheck(t, c, text, o.NotValid))
			checks = append(checks, ConstraintName(c))
			if c.Mode == schema.ModeOrdered {
				b.WriteString(SetStatistics(t, c) + ";\n")
			}
			if Indexed(c) {
				b.WriteString(TermsIndex(t, c) + ";\n")
			}
			if c.Terms.Fold {
				fmt.Fprintf(&b, "-- For lower(%[1]s) = lower($1). If values that differ in case only are one: CREATE UNIQUE INDEX CONCURRENTLY ON %[2]s (colseal.fold1(%[1]s));\n%[3]s;\n",
					dbcatalog.QuoteIdent(c.CellColumn()), tableName(t), FoldIndex(t, c))
			}
		}
		if o.NotValid && len(checks) > 0 {
			b.WriteString("\n-- When every row is sealed; under load, in a transaction that ends with a lock (docs/migrating.md):\n-- " +
				Validate(tableName(t), checks) + ";\n")
		}
	}
	return b.String(), nil
}

// TermsIndex returns the statement that makes the index over a column's terms, without a semicolon.
func TermsIndex(t *schema.Table, c *schema.Column) string {
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s USING gin (colseal.terms1(%s))",
		dbcatalog.QuoteIdent(termsIndex(t, c)), tableName(t), dbcatalog.QuoteIdent(c.CellColumn()))
}

// FoldIndex returns the statement that makes the index over a column's values in lower case,
// without a semicolon.
func FoldIndex(t *schema.Table, c *schema.Column) string {
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (colseal.fold1(%s))",
		dbcatalog.QuoteIdent(foldIndex(t, c)), tableName(t), dbcatalog.QuoteIdent(c.CellColumn()))
}

func termsIndex(t *schema.Table, c *schema.Column) string {
	return Shorten("colseal_" + t.Name + "_" + c.CellColumn() + "_terms")
}

func foldIndex(t *schema.Table, c *schema.Column) string {
	return Shorten("colseal_" + t.Name + "_" + c.CellColumn() + "_fold")
}

// TermIndex is an index that searches of a column need.
type TermIndex struct{ Name, Create string }

// TermIndexes returns the indexes that searches of a column need.
func TermIndexes(t *schema.Table, c *schema.Column) (out []TermIndex) {
	if Indexed(c) {
		out = append(out, TermIndex{termsIndex(t, c), TermsIndex(t, c)})
	}
	if c.Terms.Fold {
		out = append(out, TermIndex{foldIndex(t, c), FoldIndex(t, c)})
	}
	return out
}

func sortedBy(c *schema.Column) string {
	if c.Cursor {
		return "a cursor"
	}
	return c.Mode.String()
}

// Statistics is the statistics target of an ordered column. PostgreSQL interpolates between the
// cells of its histogram as between numbers, so it takes a range between two of them for a single
// row. With the usual 100 that is up to a hundredth of the table, for which a nested loop is the
// wrong join. More than 200 makes planning slower.
const Statistics = 200

// SetStatistics returns the statement that gives an ordered column its statistics target, without a
// semicolon.
func SetStatistics(t *schema.Table, c *schema.Column) string {
	return fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET STATISTICS %d", tableName(t), dbcatalog.QuoteIdent(c.CellColumn()), Statistics)
}

// fold1 takes from a cell its header and the token of its value in lower case. The operators and
// functions of the body are resolved when it is made, so that no search path changes it. It has no
// condition, so that it is inlined and an index over it is used.
const fold1 = `CREATE FUNCTION colseal.fold1(cell bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN pg_catalog.substring(cell, 1, 8) OPERATOR(pg_catalog.||) pg_catalog.substring(cell, 11, 11)`

// Functions returns the statements that make the functions that columns need, without semicolons.
// One that is there is left alone: its version is in its name.
func Functions(cols []*schema.Column) (out []string) {
	add := func(needed func(*schema.Column) bool, what, name, create string) {
		if slices.ContainsFunc(cols, needed) {
			out = append(out, fmt.Sprintf("-- What %s is sent as.\nDO $colseal$\nBEGIN\n\tIF pg_catalog.to_regprocedure('%s(pg_catalog.bytea)') IS NULL THEN\n"+
				"\t\tCREATE SCHEMA IF NOT EXISTS colseal;\n\t\t%s;\n\tEND IF;\nEND\n$colseal$", what, name, strings.ReplaceAll(create, "\n", "\n\t\t")))
		}
	}
	add(func(c *schema.Column) bool { return c.Terms.Fold }, "lower(...) of a sealed column", "colseal.fold1", fold1)
	add(Indexed, "a search for beginnings, ends, members or equality", "colseal.terms1", terms1)
	return out
}

// functions writes them for a schema.
func functions(s *schema.Schema) string {
	var cols []*schema.Column
	for _, t := range s.Tables() {
		cols = append(cols, t.CellColumns()...)
	}
	var b strings.Builder
	for _, f := range Functions(cols) {
		b.WriteString("\n" + f + ";\n")
	}
	if b.Len() > 0 {
		b.WriteString("-- GRANT USAGE ON SCHEMA colseal TO program;\n")
	}
	return b.String()
}

// Indexed reports whether an index over the terms of a column is of use.
func Indexed(c *schema.Column) bool {
	return c.Terms != (codec.Terms{}) && c.Terms != (codec.Terms{Fold: true})
}

// terms1 takes the tokens from a cell. What is no cell with terms has none, and no cell makes it
// fail. It is in PL/pgSQL because PostgreSQL puts the body of a function in SQL into the statement,
// at each planning, which takes longer than all the rest of planning a search. A call takes a third
// longer for that. The body is read when it runs: so each name is qualified, and no literal depends
// on standard_conforming_strings.
const terms1 = `CREATE FUNCTION colseal.terms1(cell bytea) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $terms$
BEGIN
	RETURN CASE WHEN pg_catalog.length(cell) OPERATOR(pg_catalog.>) 9
		AND (pg_catalog.substring(cell, 1, 2) OPERATOR(pg_catalog.=) pg_catalog.decode('0104', 'hex')
			OR pg_catalog.substring(cell, 1, 2) OPERATOR(pg_catalog.=) pg_catalog.decode('0105', 'hex'))
	THEN pg_catalog.array_to_tsvector(pg_catalog.string_to_array(pg_catalog.encode(pg_catalog.substring(cell, 11,
		256 OPERATOR(pg_catalog.*) pg_catalog.get_byte(cell, 8) OPERATOR(pg_catalog.+) pg_catalog.get_byte(cell, 9)), 'escape'), ' ')) END;
END
$terms$`

// AddCheck returns the statement that adds a column's CHECK to a PostgreSQL table, or
// replaces the one of the same name.
func AddCheck(t *schema.Table, c *schema.Column, text, notValid bool) string {
	name := dbcatalog.QuoteIdent(ConstraintName(c))
	s := fmt.Sprintf("ALTER TABLE %s\n\tDROP CONSTRAINT IF EXISTS %s,\n\tADD CONSTRAINT %[2]s CHECK (%s)", tableName(t), name, backstop.Condition(dialect.Postgres, c, text))
	if !notValid {
		return s + ";\n"
	}
	if c.Stage != schema.StageNone {
		return s + " NOT VALID;\n"
	}
	return s + " NOT VALID;\n-- An UPDATE of a row whose value is still plaintext is refused from now on.\n"
}

// Validate returns the statement that has PostgreSQL hold all rows of a table to CHECKs, without a semicolon. While others use
// the table, it makes them valid in one statement (docs/migrating.md).
func Validate(table string, names []string) string {
	each := make([]string, len(names))
	for i, n := range names {
		each[i] = "VALIDATE CONSTRAINT " + dbcatalog.QuoteIdent(n)
	}
	return "ALTER TABLE " + table + " " + strings.Join(each, ", ")
}

// addCompanion returns the statement that adds the column of the cells beside the plain one. It
// takes the table's lock for the moment in which the catalog changes.
func addCompanion(t *schema.Table, c *schema.Column, d dialect.Dialect, text bool) string {
	if c.Stage == schema.StageNone {
		return ""
	}
	typ := "bytea"
	switch {
	case text:
		typ = "text"
	case d == dialect.SQLite:
		typ = "BLOB"
	}
	name := dbcatalog.QuoteIdent(c.Stored)
	if d == dialect.SQLite {
		return fmt.Sprintf("-- If the companion is not there: ALTER TABLE %s ADD COLUMN %s %s;\n", tableName(t), name, typ)
	}
	return fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s;\n", tableName(t), name, typ)
}

// changeType returns the statement that gives a column the type that holds cells. It does nothing
// when the column has the type, and fails when the column holds a value: that is plaintext, and no
// cast seals it.
func changeType(t *schema.Table, c *schema.Column, text bool) string {
	typ, accepted := "bytea", "'bytea'::regtype"
	if text {
		typ, accepted = "text", "'text'::regtype, 'varchar'::regtype"
	}
	body := fmt.Sprintf(`
BEGIN
	IF (SELECT atttypid IN (%[2]s) FROM pg_attribute WHERE attrelid = %[3]s::regclass AND attname = %[4]s) THEN
		RETURN;
	END IF;
	SET LOCAL row_security = off; -- fail rather than miss a row
	LOCK TABLE %[5]s IN ACCESS EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM %[5]s WHERE %[6]s IS NOT NULL) THEN
		RAISE EXCEPTION %[7]s USING HINT = 'Make the column %[1]s with the values in it and seal them there, as docs/migrating.md says, or seal them into a new column that takes the place of this one.';
	END IF;
	ALTER TABLE %[5]s ALTER COLUMN %[6]s DROP DEFAULT, ALTER COLUMN %[6]s TYPE %[1]s USING NULL;
END
`, typ, accepted, dbcatalog.QuoteLiteral(tableName(t)), dbcatalog.QuoteLiteral(c.Name), tableName(t), dbcatalog.QuoteIdent(c.Name),
		dbcatalog.QuoteLiteral(strings.ReplaceAll(t.String()+"."+c.Name+" holds values that are not sealed", "%", "%%")))
	tag := "$colseal$"
	for strings.Contains(body, tag) {
		tag = "$_" + tag[1:]
	}
	return fmt.Sprintf("-- WARNING: values that the column holds already must be sealed first: docs/migrating.md.\nDO %s%s%[1]s;\n", tag, body)
}

// triggers returns the statements that make SQLite refuse what is not a cell. SQLite cannot add
// a CHECK to a table that exists; its column types need no change, because any column holds a
// BLOB.
func triggers(t *schema.Table, c *schema.Column, text bool) string {
	var b strings.Builder
	cond := strings.ReplaceAll(backstop.Condition(dialect.SQLite, c, text), dbcatalog.QuoteIdent(c.CellColumn()), "NEW."+dbcatalog.QuoteIdent(c.CellColumn()))
	fmt.Fprintf(&b, "-- In a new table, write instead of the triggers: CONSTRAINT %s CHECK (%s)\n", dbcatalog.QuoteIdent(ConstraintName(c)), backstop.Condition(dialect.SQLite, c, text))
	for _, event := range []string{"INSERT", "UPDATE OF " + dbcatalog.QuoteIdent(c.CellColumn())} {
		word, _, _ := strings.Cut(strings.ToLower(event), " ")
		name := dbcatalog.QuoteIdent(Shorten("colseal_" + t.Name + "_" + c.CellColumn() + "_" + word))
		if t.Schema != "" {
			name = dbcatalog.QuoteIdent(t.Schema) + "." + name
		}
		fmt.Fprintf(&b, "DROP TRIGGER IF EXISTS %s;\nCREATE TRIGGER %[1]s BEFORE %s ON %s\nWHEN NOT (%s)\nBEGIN\n\tSELECT RAISE(ABORT, %s);\nEND;\n",
			name, event, dbcatalog.QuoteIdent(t.Name), cond, "'"+strings.ReplaceAll("colseal: "+t.String()+"."+c.CellColumn()+" takes only sealed cells of this column", "'", "''")+"'")
	}
	return b.String()
}

// ConstraintName returns the name of a column's CHECK in its table: the same for the same column,
// and at most 63 bytes, which is all that PostgreSQL keeps of a name.
func ConstraintName(c *schema.Column) string { return Shorten("colseal_" + c.CellColumn() + "_check") }

// Shorten makes a name fit, with a hash in the place of what is cut.
func Shorten(name string) string {
	if len(name) <= dbcatalog.MaxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4])
	n := dbcatalog.MaxName - len(tail)
	for !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n] + tail
}

func tableName(t *schema.Table) string { return dbcatalog.Name{Schema: t.Schema, Table: t.Name}.SQL() }
