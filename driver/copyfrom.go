package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
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
	c.session.Sync()
	rel, uses, err := c.copyPlan(ctx, table, columns)
	if err != nil && c.session.Outdated(ctx) {
		rel, uses, err = c.copyPlan(ctx, table, columns)
	}
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
	next := 0
	n, err := c.under.copyFrom(ctx, []string{rel.Schema, rel.Name}, columns, func() ([]any, error) {
		if next == len(rows) {
			return nil, nil
		}
		next++
		v.Next()
		return c.copyRow(&v, uses, rows[next-1], next-1)
	})
	c.session.NoteError(err)
	return n, err
}

// copyPlan returns the table and how to seal each column.
func (c *conn) copyPlan(ctx context.Context, table string, columns []string) (*dbcatalog.Relation, []*sqlplan.Use, error) {
	rel, err := c.relation(ctx, table)
	if err != nil {
		return nil, nil, err
	}
	uses, err := copyUses(c.db().Config().Schema, rel, columns)
	return rel, uses, err
}

// copyRow returns a row with its sealed columns sealed.
func (c *conn) copyRow(v *front.Sealing, uses []*sqlplan.Use, row []any, index int) ([]any, error) {
	out := make([]any, len(row))
	for i, use := range uses {
		if use == nil {
			out[i] = row[i]
		} else if err := c.collectValue(v, use, row[i]); err != nil {
			return nil, front.SealError(use.Column, "row "+strconv.Itoa(index), err)
		}
	}
	if err := v.Seal(); err != nil {
		return nil, err
	}
	for i, use := range uses {
		if use != nil {
			out[i] = front.Stored(use, v.Take())
		}
	}
	return out, nil
}

// relation describes the table that a name, written as in SQL, means here.
func (c *conn) relation(ctx context.Context, table string) (*dbcatalog.Relation, error) {
	name, err := dbcatalog.ParseName(table)
	if err != nil {
		return nil, fmt.Errorf("colseal: CopyFrom: %w", err)
	}
	rel, err := c.session.Relation(ctx, name.Schema, name.Table)
	if err != nil {
		return nil, err
	}
	if rel == nil {
		return nil, fmt.Errorf("colseal: CopyFrom: there is no table %s on this connection", table)
	}
	return rel, nil
}

// copyUses returns how to seal each column; nil for plain ones.
func copyUses(sc *schema.Schema, rel *dbcatalog.Relation, columns []string) ([]*sqlplan.Use, error) {
	uses := make([]*sqlplan.Use, len(columns))
	table := sc.Lookup(rel.Schema, rel.Name)
	if table == nil {
		return uses, nil
	}
	for _, at := range rel.Columns {
		if table.Column(at.Name) != nil && (at.Default || at.Generated) && !slices.Contains(columns, at.Name) {
			return nil, &QueryError{Table: table.String(), Column: at.Name, Class: sqlplan.ClassPlaintext, Reason: "the column's default would be stored unsealed", Hint: "drop the default and give the value in each row"}
		}
	}
	for i, name := range columns {
		if len(name) > dbcatalog.MaxName {
			return nil, &QueryError{Table: table.String(), Class: sqlplan.ClassName, Reason: "COPY into a column whose name is longer than PostgreSQL keeps names, so that it is not known which one it means", Hint: "write the name as it is in the table"}
		}
		col := table.Column(name)
		if col == nil {
			continue
		}
		at := rel.Column(name)
		if at == nil || at.Storage == dbcatalog.StorageOther {
			reason := "COPY into a sealed column that the table does not have"
			if at != nil {
				reason = "COPY into a sealed column of type " + at.Type + ", which cannot hold a cell"
			}
			return nil, &QueryError{Table: table.String(), Column: name, Class: sqlplan.ClassStorage, Reason: reason, Hint: "make it bytea"}
		}
		uses[i] = &sqlplan.Use{Column: col, Storage: at.Storage}
	}
	return uses, nil
}
