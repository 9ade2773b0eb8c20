package driver

import (
	"bytes"
	"context"
	sqldriver "database/sql/driver"
	"io"
	"strconv"
)

// lookup is ask with texts, which it gives back as such, too.
func (c *conn) lookup(ctx context.Context, query string, params ...string) ([][]sqldriver.Value, error) {
	values := make([]sqldriver.Value, len(params))
	for i, p := range params {
		values[i] = p
	}
	rows, err := c.ask(ctx, query, values)
	for _, row := range rows {
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				row[i] = string(b)
			}
		}
	}
	return rows, err
}

// ask runs a query of our own on the inner connection and returns all rows, as copies. Its
// errors are the inner driver's, as they are.
func (c *conn) ask(ctx context.Context, query string, params []sqldriver.Value) ([][]sqldriver.Value, error) {
	args := c.ownArgs(params)
	rows, err := innerQuery(ctx, c.inner, query, args)
	if err == sqldriver.ErrSkip {
		stmt, perr := innerPrepare(ctx, c.inner, query)
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

// tell runs a statement of our own on the inner connection and returns how many rows it changed.
func (c *conn) tell(ctx context.Context, query string, params []sqldriver.Value) (int64, error) {
	args := c.ownArgs(params)
	res, err := innerExec(ctx, c.inner, query, args)
	if err == sqldriver.ErrSkip {
		stmt, perr := innerPrepare(ctx, c.inner, query)
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

// ownArgs are the arguments of a statement of our own.
func (c *conn) ownArgs(params []sqldriver.Value) []sqldriver.NamedValue {
	args := make([]sqldriver.NamedValue, len(params))
	for i, p := range params {
		args[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: p}
	}
	if c.pg != nil {
		return c.pg.lookup(args)
	}
	return args
}

// readAll copies what is left of a result.
func readAll(rows sqldriver.Rows) ([][]sqldriver.Value, error) {
	var out [][]sqldriver.Value
	n := len(rows.Columns())
	for {
		row := make([]sqldriver.Value, n)
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

// textOf returns a text column of a lookup; "" for NULL.
func textOf(v sqldriver.Value) string {
	s, _ := v.(string)
	return s
}

// intOf returns a number of a lookup.
func intOf(v sqldriver.Value) int64 {
	n, _ := v.(int64)
	return n
}

// number64 is a count in a lookup.
func number64(v sqldriver.Value) int64 {
	if s, ok := v.(string); ok {
		n, _ := strconv.ParseInt(s, 10, 64) // the server printed it as a number
		return n
	}
	return intOf(v)
}
