package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/sealeddb"
)

// CopyFrom writes rows with PostgreSQL's COPY protocol, sealed columns sealed, and
// returns how many were written. It needs pgx or lib/pq below. table is written as in SQL (users,
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
		return 0, hint.Errorf("colseal: CopyFrom: %w", err)
	}
	rel, uses, err := c.session.CopyPlan(ctx, name, columns, nil)
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
	for i := range uses {
		if u := &uses[i]; u.Sealed {
			v.Expect(&u.Use, len(rows)) // NULLs too: one pass over the values will do
		}
	}
	if err := v.FindKeys(nil); err != nil {
		return 0, err
	}
	next, out := 0, make([]any, len(uses)) // pgx encodes a row before it asks for the next
	n, err := c.under.copyFrom(ctx, []string{rel.Schema, rel.Name}, front.CopyNames(nil, uses), func() ([]any, error) {
		if next == len(rows) {
			return nil, nil
		}
		next++
		v.Next()
		return out, c.copyRow(v, uses, out, rows[next-1], next-1)
	})
	c.session.NoteError(err)
	return n, err
}

// copyRow copies a row to out with its sealed columns sealed.
func (c *conn) copyRow(v *front.Sealing, uses []front.CopyColumn, out, row []any, index int) error {
	front.CopyValues(out, uses, row)
	for i := range uses {
		u := &uses[i]
		if !u.Sealed {
			continue
		}
		if err := c.collectValue(v, &u.Use, out[i], false); err != nil {
			return front.SealError(u.Use.Column, "row "+strconv.Itoa(index), err)
		}
	}
	if err := v.Seal(); err != nil {
		return err
	}
	for i := range uses {
		if u := &uses[i]; u.Sealed {
			out[i] = front.Stored(&u.Use, v.Take())
		}
	}
	return nil
}

// copyFrom runs COPY by the driver that is below, itself or under wrappers.
func (c *plainConn) copyFrom(ctx context.Context, table, columns []string, next func() ([]any, error)) (int64, error) {
	for below := any(c.conn); below != nil; below = sealeddb.Below(below) {
		if std, ok := below.(*stdlib.Conn); ok {
			return std.Conn().CopyFrom(ctx, pgx.Identifier(table), columns, pgx.CopyFromFunc(next))
		}
		if pq, ok := below.(contextConn); ok && reflect.TypeOf(below).String() == "*pq.conn" {
			return c.copyByPQ(ctx, pq, table, columns, next)
		}
	}
	return 0, hint.With(fmt.Errorf("colseal: CopyFrom: COPY needs pgx or lib/pq, and the underlying connection is a %T", c.conn),
		"give Config.Driver pgx (github.com/jackc/pgx/v5/stdlib) or lib/pq")
}

// copyByPQ runs COPY as lib/pq does: a prepared statement is executed once for each row, and at
// last without arguments. It works only in transactions. Closing it early stores the rows that were
// sent, so a failed copy undoes them.
func (c *plainConn) copyByPQ(ctx context.Context, pq contextConn, table, columns []string, next func() ([]any, error)) (n int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err // lib/pq would close the connection
	}
	finish, undo, err := c.atomically(ctx, pq)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			n, err = 0, errors.Join(err, undo())
		}
	}()
	idents := make([]string, len(columns))
	for i, col := range columns {
		idents[i] = dbcatalog.QuoteIdent(col)
	}
	st, err := pq.PrepareContext(ctx, "COPY "+pgx.Identifier(table).Sanitize()+" ("+strings.Join(idents, ", ")+") FROM STDIN")
	if err != nil {
		return 0, err
	}
	if err = copyRows(ctx, st, c.checker(nil), next); err != nil {
		return 0, errors.Join(err, st.Close())
	}
	done, err := st.Exec(nil) //nolint:staticcheck // lib/pq's statement for COPY has no ExecContext
	if err != nil {
		return 0, err
	}
	if n, err = done.RowsAffected(); err != nil {
		return 0, err
	}
	return n, finish()
}

func copyRows(ctx context.Context, st sqldriver.Stmt, check argChecker, next func() ([]any, error)) error {
	for {
		row, err := next()
		if err != nil || row == nil {
			return err
		}
		values := make([]sqldriver.Value, len(row))
		for i, v := range row {
			nv := sqldriver.NamedValue{Ordinal: i + 1, Value: v}
			if err := check.one(&nv); err != nil {
				return err
			}
			values[i] = nv.Value
		}
		if _, err := st.Exec(values); err != nil { //nolint:staticcheck // as above
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// atomically begins a transaction, or a part of the one that is open, and returns what ends it.
func (c *plainConn) atomically(ctx context.Context, conn contextConn) (finish, undo func() error, err error) {
	const savepoint = "colseal_copy"
	if _, err = c.Exec(ctx, "SAVEPOINT "+savepoint); dbcatalog.SQLState(err) == "25P01" { // no_active_sql_transaction
		tx, err := conn.BeginTx(ctx, sqldriver.TxOptions{})
		if err != nil {
			return nil, nil, err
		}
		return tx.Commit, tx.Rollback, nil
	}
	part := func(statement string) func() error {
		return func() error {
			_, err := c.Exec(context.WithoutCancel(ctx), statement+" SAVEPOINT "+savepoint)
			return err
		}
	}
	return part("RELEASE"), part("ROLLBACK TO"), err
}
