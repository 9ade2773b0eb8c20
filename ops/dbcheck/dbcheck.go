// Package dbcheck compares a database with the schema of its sealed columns: it finds what
// stores plaintext, what works around the driver, and what cannot work on cells.
package dbcheck

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// Severity says how much a finding matters.
type Severity uint8

// The severities, in ascending order.
const (
	// SeverityWarning: nothing is leaked or lost by it as it stands, but it does less than it
	// seems to, or a safeguard is missing.
	SeverityWarning Severity = iota + 1
	// SeverityDanger: plaintext is stored or can be, or statements silently do the wrong thing.
	SeverityDanger
)

// String returns "warning" or "danger".
func (s Severity) String() string {
	switch s {
	case SeverityWarning:
		return "warning"
	case SeverityDanger:
		return "danger"
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// Finding is one thing in the database that does not go together with the schema. It holds
// names and counts, never a value.
type Finding struct {
	Severity Severity
	Rule     string // the kind of finding, for filters: "trigger", "plaintext", …
	Table    string // the table or view; "" when it is about the server
	Column   string // the sealed column; "" when it is about the table
	Object   string // the trigger, index, view, … concerned; "" when there is none
	What     string
	Hint     string // what to do about it
}

// Where says where the finding is: table.column (object), as far as it has them.
func (f Finding) Where() string {
	s := f.Table
	if s != "" && f.Column != "" {
		s += "." + f.Column
	}
	if f.Object != "" {
		s = strings.TrimSpace(s + " (" + f.Object + ")")
	}
	return s
}

// String renders the finding as one line.
func (f Finding) String() string {
	s := f.Severity.String() + " [" + f.Rule + "]"
	if where := f.Where(); where != "" {
		s += " " + where
	}
	s += ": " + f.What
	if f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

// Run looks in the database for what works around, or against, the sealed columns of the
// schema that db was opened with: objects that read or write them behind the driver's back,
// columns that cannot hold cells, a missing backstop, values that are not sealed. It changes
// nothing. It returns dangers before warnings. No findings mean that all checks passed, not
// that nothing else can be wrong: what a function does can be told only from the names in its
// body.
//
// It is meant for start-up and for deployments: a handful of catalog queries, and per sealed
// column without a CHECK one over a sample of the table. It is for PostgreSQL only.
func Run(ctx context.Context, db *sql.DB) ([]Finding, error) {
	return examine(ctx, db, (*checker).run)
}

// examine runs checks on one connection and sorts what they find.
func examine(ctx context.Context, db *sql.DB, run func(*checker, context.Context) error) ([]Finding, error) {
	var found []Finding
	err := sealeddb.With(ctx, db, func(d *sealeddb.DB, q dbcatalog.Querier) error {
		if d.Dialect != dialect.Postgres {
			return errors.New("only PostgreSQL can be checked")
		}
		k := &checker{db: d, q: q}
		err := run(k, ctx)
		found = k.found
		return err
	})
	if err != nil {
		return nil, hint.Errorf("dbcheck: %w", err)
	}
	slices.SortStableFunc(found, func(x, y Finding) int {
		return cmp.Or(-cmp.Compare(x.Severity, y.Severity), cmp.Compare(x.Table, y.Table), cmp.Compare(x.Column, y.Column),
			cmp.Compare(x.Rule, y.Rule), cmp.Compare(x.Object, y.Object))
	})
	return found, nil
}

// checker is the work of one Run.
type checker struct {
	db    *sealeddb.DB
	q     dbcatalog.Querier
	rels  []*relation
	byOID map[string]*relation
	found []Finding

	planner *sqlplan.Planner // made when it is asked for: see refusal
}

// run goes through the checks of Run. They are independent of each other, but for the first two,
// which find the tables and their columns.
func (k *checker) run(ctx context.Context) error {
	return inTurn(ctx, k.readRelations, k.readColumns, k.server, k.keyTable,
		k.checks, k.indexes, k.terms, k.foreignKeys, k.triggers, k.rules, k.functions, k.dependents, k.wholeRows, k.parents, k.plaintext)
}

func inTurn(ctx context.Context, checks ...func(context.Context) error) error {
	for _, check := range checks {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) add(f Finding) { k.found = append(k.found, f) }

// on makes a finding about a relation and perhaps a column of it.
func (k *checker) on(sev Severity, rule string, rel *relation, col *column, object, what, hint string) {
	f := Finding{Severity: sev, Rule: rule, Table: rel.label, Object: object, What: what, Hint: hint}
	if col != nil {
		f.Column = col.name
	}
	k.add(f)
}

// query runs a catalog query with at most one parameter. All columns are text.
func (k *checker) query(ctx context.Context, query string, param ...string) ([][]string, error) {
	args := make([]driver.Value, len(param))
	for i, p := range param {
		args[i] = p
	}
	rows, err := k.q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = make([]string, len(row))
		for j := range row {
			out[i][j] = row.Text(j)
		}
	}
	return out, nil
}

// server checks the settings of the session.
func (k *checker) server(ctx context.Context) error {
	rows, err := k.query(ctx, `SELECT pg_catalog.current_setting('standard_conforming_strings')`)
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0][0] != "on" {
		k.add(Finding{Severity: SeverityDanger, Rule: "standard-strings", Object: "standard_conforming_strings",
			What: "it is off, so that string literals with a backslash mean something else to the server than to the analysis, and statements with one are refused",
			Hint: "set it on, which is the default, for the database and the role (ALTER DATABASE ... SET, ALTER ROLE ... SET)"})
	}
	return nil
}

// keyTable checks that the keyring is there, unless it is elsewhere or is made on first use.
func (k *checker) keyTable(ctx context.Context) error {
	if !k.db.KeyTableHere {
		return nil
	}
	oid, name, err := k.findKeyring(ctx)
	switch {
	case denied(err):
		return nil // what needs the keyring says so
	case err != nil:
		return err
	case oid == "":
		k.add(Finding{Severity: SeverityDanger, Rule: "key-table", Table: k.db.KeyTable, What: "the keyring table does not exist",
			Hint: "create it with what `colseal ddl` prints, or set Config.AutoCreateKeyTable"})
		return nil
	}
	return errors.Join(k.uniqueKeys(ctx, oid, name), k.scopes(ctx, name))
}

const uniqueQuery = `SELECT pg_catalog.string_agg(a.attname, ', ' ORDER BY a.attname) FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(num, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
WHERE i.indrelid = $1::pg_catalog.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND k.place <= i.indnkeyatts GROUP BY i.indexrelid`

// uniqueKeys checks that the keyring's table has its unique constraints: one that was copied, or
// restored in part, may lack them.
func (k *checker) uniqueKeys(ctx context.Context, oid string, name dbcatalog.Name) error {
	rows, err := k.query(ctx, uniqueQuery, oid)
	if err != nil {
		return err
	}
	for _, c := range []struct{ columns, what, add string }{
		{"key_id", "two rows can have one id, and the keyring can have two ids of its own", "PRIMARY KEY (key_id)"},
		{"epoch, purpose, scope", "programs that start together can each make a first key, and searches miss what is under the others", "UNIQUE (purpose, scope, epoch)"},
	} {
		if !slices.ContainsFunc(rows, func(r []string) bool { return r[0] == c.columns }) {
			k.add(Finding{Severity: SeverityDanger, Rule: "key-table", Table: k.db.KeyTable, What: "nothing holds its " + c.columns + " to be unique: " + c.what,
				Hint: "ALTER TABLE " + name.SQL() + " ADD " + c.add})
		}
	}
	return nil
}

// findKeyring returns the oid of the keyring's table in this database; "" if it is not there.
func (k *checker) findKeyring(ctx context.Context) (oid string, name dbcatalog.Name, err error) {
	if name, err = dbcatalog.ParseName(k.db.KeyTable); err != nil {
		return "", name, err
	}
	rows, err := k.query(ctx, `SELECT pg_catalog.to_regclass($1)::pg_catalog.oid::pg_catalog.text`, name.SQL())
	if err != nil {
		return "", name, err
	}
	return rows[0][0], name, nil
}

// denied reports whether the role may not do what failed.
func denied(err error) bool {
	return dbcatalog.SQLState(err) == "42501" // insufficient_privilege
}

// scopes finds tables for which a scope may have been forgotten: the keyring has data keys of
// scopes and of the default one, and the schema does not say which of them the table's cells are
// under.
func (k *checker) scopes(ctx context.Context, keyring dbcatalog.Name) error {
	rows, err := k.query(ctx, "SELECT (EXISTS (SELECT 1 FROM "+keyring.SQL()+" WHERE scope <> '')"+
		" AND EXISTS (SELECT 1 FROM "+keyring.SQL()+" WHERE scope = '' AND purpose <> 'keyring'))::pg_catalog.text")
	if denied(err) {
		return nil
	}
	if err != nil || len(rows) != 1 || rows[0][0] != "true" {
		return err
	}
	for _, t := range k.db.Schema.Tables() {
		if t.ViewOf == "" && t.Scopes == schema.ScopesConfigured {
			k.add(Finding{Severity: SeverityWarning, Rule: "scope", Table: t.String(),
				What: "values were sealed under scopes and without one, and the schema does not say which this table's are: where a scope was forgotten, destroying it leaves them readable",
				Hint: "declare the table schema.Scoped or schema.Unscoped; `colseal keys reseal --dry-run` counts its cells by scope"})
		}
	}
	return nil
}

// sampleSize is how many values of a column are looked at.
const sampleSize = 10000

// plaintext counts values that are not cells, where no valid CHECK says that there are none.
func (k *checker) plaintext(ctx context.Context) error {
	for _, rel := range k.rels {
		if rel.kind == "v" || rel.kind == "f" {
			continue
		}
		for _, c := range rel.sorted() {
			if c.checked {
				continue
			}
			if err := k.sample(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// values returns a FROM item with a part of a column's values: of a big table it picks pages at
// random.
func (c *column) values() string {
	from := c.rel.sql()
	if c.rel.rows > sampleSize {
		from += fmt.Sprintf(" TABLESAMPLE SYSTEM (%.6f)", min(100, 2*100*sampleSize/c.rel.rows))
	}
	return fmt.Sprintf("(SELECT %[1]s FROM %[2]s WHERE %[1]s IS NOT NULL LIMIT %[3]d) AS s", dbcatalog.QuoteIdent(c.name), from, sampleSize)
}

// sample looks at a column's values.
func (k *checker) sample(ctx context.Context, c *column) error {
	cond := "false" // no value of another type is a cell
	if c.storage != dbcatalog.StorageOther {
		cond = backstop.Condition(dialect.Postgres, c.col, c.text())
	}
	rows, err := k.query(ctx, fmt.Sprintf(`SELECT pg_catalog.count(*)::pg_catalog.text, pg_catalog.count(*) FILTER (WHERE NOT (%s))::pg_catalog.text FROM %s`, cond, c.values()))
	if denied(err) {
		c.unread = true
		k.on(SeverityWarning, "unreadable", c.rel, c, "", "its values could not be looked at: this role may not read the table", "run the audit as a role that may SELECT from it")
		return nil
	}
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0][1] != "0" {
		k.on(SeverityDanger, "plaintext", c.rel, c, "", fmt.Sprintf("%s of the %s values looked at are not cells of this column", rows[0][1], rows[0][0]),
			"write them again through Colseal; a whole table in plaintext is sealed by colseal seal")
	}
	return nil
}
