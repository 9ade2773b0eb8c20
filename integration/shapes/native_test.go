package shapes

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/pgxseal"
)

// native is a connection of pgx's, or one with sealed columns.
type native interface {
	nativeQuerier
	Begin(ctx context.Context) (pgx.Tx, error)
	Close(ctx context.Context) error
}

type nativeQuerier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// openNative is open for native pgx.
func openNative(t *testing.T, dsn, database string, c *driver.Config, settings map[string]string) (native, *tap) {
	t.Helper()
	cfg, heard := connConfig(t, dsn, database, settings)
	var conn native
	var err error
	if c != nil {
		conn, err = pgxseal.ConnectConfig(t.Context(), cfg, *c)
	} else {
		conn, err = pgx.ConnectConfig(t.Context(), cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, heard
}

// runNative is run for native pgx.
func (s side) runNative(query string, args []any, by how) (o outcome) {
	ctx := context.Background()
	if by == readOnly {
		s.tap.take()
		o.rows, o.err = readNative(ctx, s.native, query, args...)
		o.sent, o.code = s.tap.take(), code(o.err)
		return o
	}
	tx, err := s.native.Begin(ctx)
	if err != nil {
		return outcome{code: "BEGIN", err: err}
	}
	defer func() { _ = tx.Rollback(ctx) }()
	s.tap.take()
	if by == executed {
		_, o.err = tx.Exec(ctx, query, args...)
	} else {
		o.rows, o.err = readNative(ctx, tx, query, args...)
	}
	o.sent, o.code = s.tap.take(), code(o.err)
	if !strings.Contains(strings.ToUpper(query), "ORDER BY") {
		slices.Sort(o.rows)
	}
	if o.err != nil {
		return o
	}
	if o.tables, err = readNative(ctx, tx, readBack, pgx.QueryExecModeCacheStatement); err != nil {
		o.err, o.code = fmt.Errorf("reading back: %w", err), "READBACK"
	}
	slices.Sort(o.tables)
	return o
}

// readNative returns the rows as text, a NULL as such.
func readNative(ctx context.Context, on nativeQuerier, query string, args ...any) ([]string, error) {
	rows, err := on.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		vals, err := rows.Values()
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		for i, fd := range rows.FieldDescriptions() {
			if fd.DataTypeOID == pgtype.VarcharOID { // a sealed text is reported as one of type text
				fd.DataTypeOID = pgtype.TextOID
			}
			fmt.Fprintf(&b, "%s=%v (%d)|", fd.Name, printable(vals[i]), fd.DataTypeOID)
		}
		out = append(out, b.String())
	}
	return out, rows.Err()
}

// printable is a value that prints the same each time.
func printable(v any) any {
	switch v := v.(type) {
	case []byte:
		return "bytes:" + string(v)
	case sqldriver.Valuer:
		if plain, err := v.Value(); err == nil {
			return plain
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = printable(v[i])
		}
		return out
	}
	return v
}
