// Package pgxseal_test runs native pgx with sealed columns beside plain pgx on a plaintext twin of the tables, on real servers.
package pgxseal_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// db is what both sides have: pgxpool.Pool and pgxseal.Pool, and their connections and transactions.
type db interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
	Begin(context.Context) (pgx.Tx, error)
}

var (
	_ db = (*pgxpool.Pool)(nil)
	_ db = (*pgxseal.Pool)(nil)
	_ db = (*pgx.Conn)(nil)
	_ db = (*pgxseal.Conn)(nil)
	_ db = (*pgxseal.Tx)(nil)
)

// all has a column of every kind. On the sealed side each is of type %s.
var kinds = []struct {
	name, typ string
	kind      schema.Column
}{
	{"t", "text", schema.Column{Kind: schema.KindText}},
	{"b", "bytea", schema.Column{Kind: schema.KindBytes}},
	{"i", "bigint", schema.Column{Kind: schema.KindInt}},
	{"f", "float8", schema.Column{Kind: schema.KindFloat}},
	{"o", "boolean", schema.Column{Kind: schema.KindBool}},
	{"tz", "timestamptz", schema.Column{Kind: schema.KindTime}},
	{"j", "jsonb", schema.Column{Kind: schema.KindJSON}},
	{"u", "uuid", schema.Column{Kind: schema.KindUUID}},
	{"n", "numeric", schema.Column{Kind: schema.KindNumeric}},
	{"ta", "text[]", schema.Column{Kind: schema.KindTextArray}},
	{"ia", "bigint[]", schema.Column{Kind: schema.KindIntArray}},
	{"d", "date", schema.Column{Kind: schema.KindDate}},
	{"ts", "timestamp", schema.Column{Kind: schema.KindTimestamp}},
}

func sealedSchema(t testing.TB) *schema.Schema {
	t.Helper()
	var cols []schema.Column
	for _, k := range kinds {
		c := k.kind
		c.Name = k.name
		cols = append(cols, c)
	}
	s, err := schema.New(
		schema.Columns("kinds", cols...),
		schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tables returns the DDL of the tables of a side. storage is the type of sealed columns; "" for the twin.
func tables(storage string) string {
	ddl := "CREATE TABLE kinds (id bigint PRIMARY KEY"
	text := "text"
	for _, k := range kinds {
		typ := k.typ
		if storage != "" {
			typ = storage
		}
		ddl += fmt.Sprintf(", %s %s", k.name, typ)
	}
	if storage != "" {
		text = storage
	}
	return ddl + fmt.Sprintf("); CREATE TABLE users (id bigint PRIMARY KEY, email %s UNIQUE, ssn %[1]s, note text); CREATE TABLE plain (id bigint, note text)", text)
}

// twins are a pool with sealed columns and a plain one of a database with the same tables.
type twins struct {
	sealed *pgxseal.Pool
	plain  *pgxpool.Pool
	server *pgtest.DB
}

func newTwins(t testing.TB, server *pgtest.DB, storage string, change ...func(*pgxpool.Config)) *twins {
	t.Helper()
	twin := pgtest.Twin(t, server)
	exec(t, server.Admin, tables(storage))
	exec(t, twin.Admin, tables(""))
	tw := &twins{server: server}
	pool, err := pgxseal.New(t.Context(), poolConfig(t, server, change...), sealConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	tw.sealed = pool
	if tw.plain, err = pgxpool.NewWithConfig(t.Context(), poolConfig(t, twin, change...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tw.plain.Close)
	return tw
}

func poolConfig(t testing.TB, server *pgtest.DB, change ...func(*pgxpool.Config)) *pgxpool.Config {
	t.Helper()
	config, err := pgxpool.ParseConfig(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(config)
	}
	return config
}

func sealConfig(t testing.TB) driver.Config {
	t.Helper()
	w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	return driver.Config{Schema: sealedSchema(t), KMS: w, AutoCreateKeyTable: true}
}

func exec(t testing.TB, on *sql.DB, query string) {
	t.Helper()
	if _, err := on.Exec(query); err != nil {
		t.Fatal(err)
	}
}
