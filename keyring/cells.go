package keyring

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// A CellColumn is a column that may hold cells. Its conditions are SQL that is true for a cell,
// stored as bytes or as text.
type CellColumn struct {
	Schema, Table, Column string // Schema "" is any
	Bytes, Text           string
}

// lookTime bounds the search for cells, which may read whole tables.
const lookTime = 30 * time.Second

// CheckCells returns nil if the keyring holds keys, or the given columns hold no cells. Otherwise
// it returns [ErrNoKeyTable]: the keyring was lost, or not restored with the data. Under new keys
// nothing would open, and searches would silently find nothing. It also returns [ErrNoKeyTable] if
// the search for cells fails, takes too long, or may not see all rows.
//
// A keyring that has its id, as `colseal keys init` gives it, was made on purpose. For it
// CheckCells searches nothing.
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
	if found == "" && (err == nil || ctx.Err() != nil) {
		return ctx.Err()
	}
	if empty, err := s.empty(ctx); err == nil && !empty {
		return nil // another program made it meanwhile, and the cells
	}
	fault := &TableError{Table: s.table, Class: ErrNoKeyTable, Cause: err}
	if found == "" {
		fault.Reason = is + ", and it could not be found out whether the sealed columns hold cells"
		fault.Hint = "if they hold none, run `colseal keys init`; else restore the key table from the backup that the data is from"
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

// findCells returns the first of the columns that holds a cell, or "". It returns an error if it
// could not look at all of them.
func (s *Store) findCells(ctx context.Context, conn *sql.Conn, cols []CellColumn) (string, error) {
	var unread error
	for _, col := range cols {
		places, err := s.places(ctx, conn, col)
		if err != nil {
			return "", err
		}
		for _, p := range places {
			name := dbcatalog.Name{Schema: p.schema, Table: p.table}
			if p.unread {
				unread = fmt.Errorf("the rows of %s may not all be read, for %s", name.SQL(), dbcatalog.QuoteIdent(p.column))
				continue
			}
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
	return "", unread
}

// place is a stored column.
type place struct {
	schema, table, column string
	text                  bool
	unread                bool // it has rows that the program may not read
}

// places returns the stored columns that a CellColumn names, in every schema that the program may
// use, because it is not known which of them its requests will mean. It leaves out a table that may
// not be read if that takes no space: it has no rows.
func (s *Store) places(ctx context.Context, conn *sql.Conn, col CellColumn) ([]place, error) {
	query, args := `SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, a.attname::pg_catalog.text, (t.typcategory = 'S')::pg_catalog.text, (NOT r.readable)::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attnum > 0
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (SELECT has_column_privilege(c.oid, a.attnum, 'SELECT') AND NOT row_security_active(c.oid) AS readable) r
WHERE c.relname = CAST($1 AS pg_catalog.text) AND a.attname = CAST($2 AS pg_catalog.text) AND CAST($3 AS pg_catalog.text) IN ('', n.nspname)
AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
AND (t.typcategory = 'S' OR 'pg_catalog.bytea'::pg_catalog.regtype IN (t.oid, t.typbasetype))
AND has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN r.readable THEN true ELSE c.relhassubclass OR pg_relation_size(c.oid) > 0 END`, []any{col.Table, col.Column, col.Schema}
	if s.dialect == DialectSQLite {
		query = `SELECT 'main', m.name, i.name, v.text, 'false' FROM sqlite_master m, pragma_table_info(m.name) i, (SELECT 'true' AS text UNION ALL SELECT 'false') v
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
		var text, unread string
		if err := rows.Scan(&p.schema, &p.table, &p.column, &text, &unread); err != nil {
			return nil, err
		}
		p.text, p.unread = strings.HasPrefix(text, "t"), strings.HasPrefix(unread, "t")
		all = append(all, p)
	}
	return all, rows.Err()
}
