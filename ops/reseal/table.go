package reseal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// table is a table whose cells are re-sealed.
type table struct {
	label string // as the schema writes it
	name  string // in a statement
	cols  []*column
	keys  []rowKey // what tells its rows apart
	// pages is the size of a PostgreSQL table without a primary key, which is read in the
	// order of its pages; 0 otherwise.
	pages int64

	sql statements
}

// column is a sealed column of a table.
type column struct {
	*schema.Column
	sql   string   // its name in a statement
	text  bool     // cells are stored as text
	stale []string // heads of the cells to re-seal in this pass
	plain bool     // values that are not cells are to be sealed in this pass
}

// rowKey is one of the expressions that tell rows apart.
type rowKey struct {
	sql string // the column, or ctid, or rowid
	typ string // PostgreSQL's type
}

// errNoRowKey is for a table whose rows cannot be told apart.
var errNoRowKey = errors.New("it has no primary key, and its rows cannot be told apart by their place either: give it one")

// findTables finds the tables of the schema on this connection, as its search path has them.
// Views show the tables' cells and are left out.
func (r *resealer) findTables(ctx context.Context) ([]*table, error) {
	var tables []*table
	named := map[string]bool{}
	for _, t := range r.db.Schema.Tables() {
		if t.ViewOf != "" {
			continue
		}
		var cols []*schema.Column
		for _, col := range t.Columns() {
			if chosen(r.opts.Columns, named, t.String(), col.Name) {
				cols = append(cols, col)
			}
		}
		if len(cols) == 0 {
			continue
		}
		found, err := r.findTable(ctx, t, cols)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t, err)
		}
		tables = append(tables, found)
	}
	return tables, checkColumns(r.opts.Columns, named)
}

func (r *resealer) findTable(ctx context.Context, t *schema.Table, cols []*schema.Column) (*table, error) {
	rel, _, err := dbcatalog.ReadRelation(ctx, r.q, r.db.Dialect, t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	if rel == nil || rel.View {
		return nil, errors.New("there is no such table on this connection: create it, or take it out of the schema")
	}
	out := &table{label: t.String(), name: rel.SQL()}
	for _, col := range cols {
		at := rel.Column(col.CellColumn())
		switch {
		case at == nil:
			return nil, fmt.Errorf("it has no column %s: add it, or take it out of the schema", col.CellColumn())
		case at.Storage == dbcatalog.StorageOther:
			return nil, fmt.Errorf("its column %s has the type %s, which cannot hold cells: make it bytea", col.CellColumn(), at.Type)
		}
		out.cols = append(out.cols, &column{Column: col, sql: dbcatalog.QuoteIdent(col.CellColumn()), text: at.Storage == dbcatalog.StorageText})
	}
	if r.db.Dialect == dialect.SQLite {
		err = r.findSQLiteKeys(ctx, out, rel)
		out.sql = sqliteStatements{out}
	} else {
		err = r.findPostgresKeys(ctx, out)
		out.sql = postgresStatements{out}
	}
	return out, err
}

const postgresRowKeyQuery = `SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(num, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
WHERE i.indrelid = pg_catalog.to_regclass($1) AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place`

const postgresPagesQuery = `SELECT (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.text
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind = 'r'
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid)`

// A policy may hide rows from this role, silently. A primary key holds for the rows of one table,
// not for those of its inheritance children, which a statement finds under its name, too.
const postgresRowsQuery = `SELECT pg_catalog.row_security_active(c.oid)::pg_catalog.text,
	(c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid))::pg_catalog.text
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)`

// errHiddenRows is for a table of which not every row may be seen: what is hidden would be
// neither counted nor sealed, and nobody would know.
var errHiddenRows = errors.New("row-level security hides rows of it from this role: use one that sees all rows, " +
	"its owner or one with BYPASSRLS")

// findPostgresKeys finds what tells rows apart: the primary key, or else the place of a row. A
// place is good enough, though every update changes it: the next pass finds a row that moved.
func (r *resealer) findPostgresKeys(ctx context.Context, t *table) error {
	facts, err := r.q.Query(ctx, postgresRowsQuery, t.name)
	switch {
	case err != nil:
		return err
	case len(facts) != 1:
		return errors.New("the table is gone")
	case facts[0].Text(0) != "false":
		return errHiddenRows
	}
	rows, err := r.q.Query(ctx, postgresRowKeyQuery, t.name)
	if err != nil {
		return err
	}
	if len(rows) > 0 && facts[0].Text(1) == "true" {
		t.keys = append(t.keys, rowKey{sql: "tableoid", typ: "pg_catalog.oid"})
	}
	for _, row := range rows {
		t.keys = append(t.keys, rowKey{sql: dbcatalog.QuoteIdent(row.Text(0)), typ: row.Text(1)})
	}
	if len(t.keys) > 0 {
		return nil
	}
	// Of partitions and foreign tables several rows may be at one place.
	rows, err = r.q.Query(ctx, postgresPagesQuery, t.name)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errNoRowKey
	}
	t.keys = []rowKey{{sql: "ctid", typ: "pg_catalog.tid"}}
	t.pages = rows[0].Int(0) + 1
	return nil
}

const (
	sqliteWithoutRowidQuery = `SELECT wr FROM pragma_table_list WHERE schema = ?1 AND name = ?2`
	sqliteRowKeyQuery       = `SELECT name FROM pragma_table_xinfo(?2, ?1) WHERE pk > 0 ORDER BY pk`
)

// findSQLiteKeys finds what tells rows apart: the rowid, under a name that no column has, or the
// primary key where there is no rowid.
func (r *resealer) findSQLiteKeys(ctx context.Context, t *table, rel *dbcatalog.Relation) error {
	rows, err := r.q.Query(ctx, sqliteWithoutRowidQuery, rel.Schema, rel.Name)
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0].Int(0) == 1 {
		rows, err = r.q.Query(ctx, sqliteRowKeyQuery, rel.Schema, rel.Name)
		for _, row := range rows {
			t.keys = append(t.keys, rowKey{sql: dbcatalog.QuoteIdent(row.Text(0))})
		}
		return err
	}
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		taken := false
		for _, col := range rel.Columns {
			taken = taken || strings.EqualFold(col.Name, name)
		}
		if !taken {
			t.keys = []rowKey{{sql: name}}
			return nil
		}
	}
	return errNoRowKey
}

// The head of a stored value is what tells its key without opening it: of a cell in bytes
// its header, in hexadecimal digits; of one in text the start that holds the header; ""
// of anything else. It holds nothing of a plaintext.
const (
	headTextSize = len(codec.TextPrefix) + 11 // of base64: eight bytes, and two bits of what follows
	tagEnd       = 4                          // of a header: version, suite and tag come first
)

// starts are the first bytes of the column's cells in every suite, since the column may have
// had another mode.
func (c *column) starts() [][]byte {
	var out [][]byte
	for s := codec.SuiteRandomized; s.Valid(); s++ {
		out = append(out, codec.Header{Suite: s, Tag: c.Tag()}.Append(nil)[:tagEnd])
	}
	return out
}
