package driver

import (
	"bytes"
	"context"
	sqldriver "database/sql/driver"
	"io"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// ownConn runs this module's own statements on the inner connection of a conn.
type ownConn struct{ c *conn }

var _ dbcatalog.Querier = ownConn{}

// own returns the way past the analysis for statements of our own.
func (c *conn) own() dbcatalog.Querier { return ownConn{c} }

// Query implements dbcatalog.Querier.
func (o ownConn) Query(ctx context.Context, query string, params ...sqldriver.Value) ([]dbcatalog.Row, error) {
	args := o.args(params)
	rows, err := innerQuery(ctx, o.c.inner, query, args)
	if err == sqldriver.ErrSkip {
		stmt, perr := innerPrepare(ctx, o.c.inner, query)
		if perr != nil {
			return nil, perr
		}
		defer func() { _ = stmt.Close() }() // all was read, or an error is on its way
		rows, err = innerStmtQuery(ctx, stmt, args)
	}
	if err != nil {
		return nil, err
	}
	out, err := readAll(rows)
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return out, err
}

// Exec implements dbcatalog.Querier.
func (o ownConn) Exec(ctx context.Context, query string, params ...sqldriver.Value) (int64, error) {
	args := o.args(params)
	res, err := innerExec(ctx, o.c.inner, query, args)
	if err == sqldriver.ErrSkip {
		stmt, perr := innerPrepare(ctx, o.c.inner, query)
		if perr != nil {
			return 0, perr
		}
		defer func() { _ = stmt.Close() }() // it has been executed
		res, err = innerStmtExec(ctx, stmt, args)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (o ownConn) args(params []sqldriver.Value) []sqldriver.NamedValue {
	args := make([]sqldriver.NamedValue, len(params))
	for i, p := range params {
		args[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: p}
	}
	if o.c.pg != nil {
		return o.c.pg.lookup(args)
	}
	return args
}

// readAll copies what is left of a result.
func readAll(rows sqldriver.Rows) ([]dbcatalog.Row, error) {
	var out []dbcatalog.Row
	n := len(rows.Columns())
	for {
		row := make(dbcatalog.Row, n)
		if err := rows.Next(row); err != nil {
			if err == io.EOF {
				return out, nil
			}
			return nil, err
		}
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				row[i] = bytes.Clone(b) // a driver may use the memory again
			}
		}
		out = append(out, row)
	}
}
