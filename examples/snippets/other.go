package snippets

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/schema"
)

var customers = schema.Must(schema.Columns("customers",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic},
	schema.Column{Name: "born", Kind: schema.KindDate}))

func overPool(pool *pgxpool.Pool, cfg driver.Config) (*sql.DB, error) {
	sealed, err := driver.NewConnector(stdlib.GetPoolConnector(pool), cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(sealed), nil
}

func overPQ(key kms.Wrapper) {
	driver.Register("pq-colseal", driver.Config{Driver: &pq.Driver{}, Schema: tables, KMS: key})
}

// look gives the tools for database/sql to a program that only has a pool.
func look(ctx context.Context, pool *pgxpool.Pool, key kms.Wrapper) ([]dbcheck.Finding, error) {
	db, err := overPool(pool, driver.Config{Schema: tables, KMS: key})
	if err != nil {
		return nil, err
	}
	defer db.Close() // the pool stays open
	return dbcheck.System(ctx, db, dbcheck.Options{KMS: key})
}

var _, _, _ = customers, overPQ, look
