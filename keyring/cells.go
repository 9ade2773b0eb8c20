package keyring

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// A CellColumn is a column that may hold cells. Its conditions are SQL that is true for a value that is one, stored as bytes or as
// text.
type CellColumn struct {
	Schema, Table, Column string // Schema "" is any
	Bytes, Text           string
}

// lookTime bounds the search for cells, which may read whole tables.
const lookTime = 30 * time.Second

// CheckCells returns nil if the keyring holds keys, or the given columns hold no cells. Otherwise the keyring was lost, or not
// restored with the data: under new keys nothing of it would open, and searches would find nothing and say nothing. So that is
// [ErrNoKeyTable]; and so is a search for cells that fails or takes too long, unless somebody made the table.
func (s *Store) CheckCells(ctx context.Context, cols []CellColumn) error {
	if s.invalid != nil {
		return s.invalid
	}
	is := "holds no keys"
	switch empty, err := s.empty(ctx); {
	case errors.Is(err, ErrNoKeyTable):
		is = "does not exist"
	case err != nil || !empty:
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var found string
	look := func(ctx context.Context, conn *sql.Conn) (err error) {
		found, err = s.findCells(ctx, conn, cols)
		return err
	}
	own := *s
	own.loans = nil // a slow search is no lack of connections
	err := own.withConn(bounded, opRead, look)
	if errors.As(err, new(noConn)) {
		err = s.withConn(bounded, opRead, look)
	}
	if found == "" && (err == nil || is == "holds no keys") {
		return ctx.Err()
	}
	if empty, err := s.empty(ctx); err == nil && !empty {
		return nil // another program made it meanwhile, and the cells
	}
	fault := &TableError{Table: s.table, Class: ErrNoKeyTable, Cause: err}
	if found == "" {
		fault.Reason = "does not exist, and it could not be found out whether the sealed columns hold cells"
		fault.Hint, fault.ddl = "if they hold none, run the statement that "+ddlMethod+" returns", s.DDL()+";"
		return fault
	}
	fault.Reason = is + ", but " + found + " holds cells"
	fault.Hint = "restore the key table from the backup that the data is from: new keys open none of these cells, and no search would find them. To give them up, run `colseal keys init`"
	return fault
}

// empty reports whether the table has no rows.
func (s *Store) empty(ctx context.Context) (empty bool, err error) {
	err = s.answer(ctx, opCheck, func(ctx context.Context) error {
		return s.retried(ctx, opCheck, func(ctx context.Context, conn *sql.Conn) error {
			var one int
			err := conn.QueryRowContext(ctx, "SELECT 1 FROM "+s.table+" LIMIT 1").Scan(&one)
			if empty = errors.Is(err, sql.ErrNoRows); empty {
				return nil
			}
			return err
		})
	})
	return empty, err
}

// findCells returns the first of the columns that holds a cell; "" if none does.
func (s *Store) findCells(ctx context.Context, conn *sql.Conn, cols []CellColumn) (string, error) {
	for _, col := range cols {
		places, err := s.places(ctx, conn, col)
		if err != nil {
			return "", err
		}
		for _, p := range places {
			name := dbcatalog.Name{Schema: p.schema, Table: p.table}
			condition := col.Bytes
			if p.text {
				condition = col.Text
			}
			var one int
			err := conn.QueryRowContext(ctx, "SELECT 1 FROM "+name.SQL()+" WHERE "+dbcatalog.QuoteIdent(p.column)+" IS NOT NULL AND ("+condition+") LIMIT 1").Scan(&one)
			if err == nil {
				return name.SQL() + "." + dbcatalog.QuoteIdent(p.column), nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return "", err
			}
		}
	}
	return "", nil
}

// place is a stored column.
type place struct {
	schema, table, column string
	text                  bool
}

// places returns the stored columns that a CellColumn names, in every schema that the program may read: which of them
// its requests will mean is not known.
func (s *Store) places(ctx context.Context, conn *sql.Conn, col CellColumn) ([]place, error) {
	query, args := `SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, a.attname::pg_catalog.text, (t.typcategory = 'S')::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attnum > 0
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE c.relname = CAST($1 AS pg_catalog.text) AND a.attname = CAST($2 AS pg_catalog.text) AND CAST($3 AS pg_catalog.text) IN ('', n.nspname)
AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
AND (t.typcategory = 'S' OR 'pg_catalog.bytea'::pg_catalog.regtype IN (t.oid, t.typbasetype))
AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')`, []any{col.Table, col.Column, col.Schema}
	if s.dialect == DialectSQLite {
		query = `SELECT 'main', m.name, i.name, v.text FROM sqlite_master m, pragma_table_info(m.name) i, (SELECT 'true' AS text UNION ALL SELECT 'false') v
WHERE m.type = 'table' AND lower(m.name) = lower($1) AND lower(i.name) = lower($2) AND lower($3) IN ('', 'main')`
	}
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is rows.Err's
	var all []place
	for rows.Next() {
		var p place
		var text string
		if err := rows.Scan(&p.schema, &p.table, &p.column, &text); err != nil {
			return nil, err
		}
		p.text = strings.HasPrefix(text, "t")
		all = append(all, p)
	}
	return all, rows.Err()
}
