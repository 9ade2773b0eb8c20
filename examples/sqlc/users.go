// Package sqlc runs code that sqlc generated for pgx/v5 on sealed columns. The code in db is as
// sqlc wrote it (sqlc generate in this folder); it does not know that columns are sealed.
package sqlc

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/examples/sqlc/db"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

// Tables names the sealed columns. sqlc's models have no tags, so they are listed here.
var Tables = schema.Must(schema.Columns("users",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic},
	schema.Column{Name: "ssn"},
	schema.Column{Name: "born", Kind: schema.KindDate},
	schema.Column{Name: "income", Kind: schema.KindNumeric},
))

// DDL makes the table as it is stored: sealed columns are bytea.
const DDL = `CREATE TABLE users (
	id     bigint PRIMARY KEY,
	email  bytea UNIQUE,
	ssn    bytea,
	born   bytea,
	income bytea,
	note   text NOT NULL DEFAULT ''
)`

// Open returns a pool and the generated queries on it.
func Open(ctx context.Context, dsn string, key kms.Wrapper) (*pgxseal.Pool, *db.Queries, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, nil, err
	}
	pool, err := pgxseal.New(ctx, config, driver.Config{Schema: Tables, KMS: key, AutoCreateKeyTable: true})
	if err != nil {
		return nil, nil, err
	}
	return pool, db.New(pool), nil
}
