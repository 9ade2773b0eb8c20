package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sqlplan"
)

// CopyFrom writes rows with PostgreSQL's COPY protocol, sealed columns sealed, and
// returns how many were written. It needs pgx below. table is written as in SQL (users,
// app.users, "Users"); columns are exact names; each row has one value per column. It
// takes part in the transaction that is open on conn, if one is. On an error nothing was
// written. rows and what they hold are not changed.
func CopyFrom(ctx context.Context, conn *sql.Conn, table string, columns []string, rows [][]any) (int64, error) {
	var n int64
	err := conn.Raw(func(driverConn any) error {
		c, ok := unwrapConn(driverConn)
		if !ok {
			return errors.New("colseal: CopyFrom: the connection is not one of a driver that was registered with this package")
		}
		var err error
		n, err = c.copyFrom(ctx, table, columns, rows)
		return c.db().Refused(ctx, err)
	})
	return n, err
}

func (c *conn) copyFrom(ctx context.Context, table string, columns []string, rows [][]any) (int64, error) {
	name, err := dbcatalog.ParseName(table)
	if err != nil {
		return 0, fmt.Errorf("colseal: CopyFrom: %w", err)
	}
	rel, uses, err := c.session.CopyPlan(ctx, name, columns)
	if err != nil {
		return 0, err
	}
	for i, row := range rows {
		if len(row) != len(columns) {
			return 0, fmt.Errorf("colseal: CopyFrom: row %d has %d values for %d columns", i, len(row), len(columns))
		}
	}
	v := c.session.Seal(ctx, len(columns))
	defer v.Close()
	for _, use := range uses {
		if use != nil {
			v.Expect(use.Column, len(rows)) // NULLs too: one pass over the values will do
		}
	}
	if err := v.FindKeys(nil); err != nil {
		return 0, err
	}
	next, out := 0, make([]any, len(columns)) // pgx encodes a row before it asks for the next
	n, err := c.under.copyFrom(ctx, []string{rel.Schema, rel.Name}, columns, func() ([]any, error) {
		if next == len(rows) {
			return nil, nil
		}
		next++
		v.Next()
		return out, c.copyRow(&v, uses, out, rows[next-1], next-1)
	})
	c.session.NoteError(err)
	return n, err
}

// copyRow copies a row to out with its sealed columns sealed.
func (c *conn) copyRow(v *front.Sealing, uses []*sqlplan.Use, out, row []any, index int) error {
	for i, use := range uses {
		if use == nil {
			out[i] = row[i]
		} else if err := c.collectValue(v, use, row[i], false); err != nil {
			return front.SealError(use.Column, "row "+strconv.Itoa(index), err)
		}
	}
	if err := v.Seal(); err != nil {
		return err
	}
	for i, use := range uses {
		if use != nil {
			out[i] = front.Stored(use, v.Take())
		}
	}
	return nil
}
