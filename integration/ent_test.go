package integration

import (
	"context"
	"database/sql"
	"errors"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/sqlgraph"
	"entgo.io/ent/schema/field"
)

// The code that ent generates for a model comes down to these calls.

var entColumns = []string{"id", "email", "secret", "level", "city"}

func entID() *sqlgraph.FieldSpec { return sqlgraph.NewFieldSpec("id", field.TypeInt64) }

func entCreate(a account) *sqlgraph.CreateSpec {
	c := sqlgraph.NewCreateSpec("accounts", entID())
	c.ID.Value = a.ID
	c.SetField("email", field.TypeString, a.Email)
	if a.Secret != nil {
		c.SetField("secret", field.TypeString, *a.Secret)
	}
	if a.Born != nil {
		c.SetField("born", field.TypeTime, *a.Born)
	}
	c.SetField("level", field.TypeInt64, int64(a.Level))
	c.SetField("city", field.TypeString, a.City)
	return c
}

// useEnt does what an application does with code by ent.
func useEnt(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error {
	drv := entsql.OpenDB(dialect.Postgres, db)
	find := func(where func(*entsql.Selector)) error {
		q := sqlgraph.NewQuerySpec("accounts", entColumns, entID())
		q.Predicate = where
		q.Order = func(s *entsql.Selector) { s.OrderBy(s.C("id")) }
		q.ScanValues = func([]string) ([]any, error) {
			return []any{new(sql.NullInt64), new(sql.NullString), new(sql.NullString), new(sql.NullInt64), new(sql.NullString)}, nil
		}
		q.Assign = func(columns []string, values []any) error { say(columns, values); return nil }
		return sqlgraph.QueryNodes(ctx, drv, q)
	}
	update := sqlgraph.NewUpdateSpec("accounts", entColumns, entID())
	update.Predicate = func(s *entsql.Selector) { s.Where(entsql.EQ(s.C("email"), "b@x")) }
	update.SetField("secret", field.TypeString, "by ent")
	update.Fields.Clear = append(update.Fields.Clear, sqlgraph.NewFieldSpec("born", field.TypeTime))
	upsert := &sqlgraph.BatchCreateSpec{OnConflict: []entsql.ConflictOption{entsql.ConflictColumns("id"), entsql.ResolveWithNewValues()}}
	for _, a := range accounts {
		a.Secret = ptr("again")
		upsert.Nodes = append(upsert.Nodes, entCreate(a))
	}
	err := errors.Join(
		sqlgraph.CreateNode(ctx, drv, entCreate(accounts[0])),
		sqlgraph.BatchCreate(ctx, drv, &sqlgraph.BatchCreateSpec{Nodes: []*sqlgraph.CreateSpec{entCreate(accounts[1]), entCreate(accounts[2])}}),
		find(nil),
		find(func(s *entsql.Selector) { s.Where(entsql.And(entsql.EQ(s.C("email"), "a@x"), entsql.NotNull("city"))) }),
		find(func(s *entsql.Selector) {
			s.Where(entsql.Or(entsql.In(s.C("email"), "a@x", ""), entsql.IsNull(s.C("secret"))))
		}),
		find(func(s *entsql.Selector) {
			s.Where(entsql.Not(entsql.NEQ(s.C("level"), 3)))
		}),
		sqlgraph.BatchCreate(ctx, drv, upsert),
	)
	n, err1 := sqlgraph.UpdateNodes(ctx, drv, update)
	count, err2 := sqlgraph.CountNodes(ctx, drv, sqlgraph.NewQuerySpec("accounts", nil, entID()))
	gone := sqlgraph.NewDeleteSpec("accounts", entID())
	gone.Predicate = func(s *entsql.Selector) { s.Where(entsql.EQ(s.C("email"), "")) }
	deleted, err3 := sqlgraph.DeleteNodes(ctx, drv, gone)
	say(n, count, deleted)
	return errors.Join(err, err1, err2, err3, everything(ctx, db, say))
}
