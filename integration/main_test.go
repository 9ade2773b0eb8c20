// Package integration holds what Colseal promises of its parts together, on real PostgreSQL servers
// (package pgtest) and a KMS that speaks AWS's protocol (package kmstest). One file holds one promise.
package integration

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

// childEnv names the role that this test binary plays when a test starts it again as a process of its own.
const childEnv = "COLSEAL_TEST_CHILD"

// children are the roles: each runs in a process of its own and returns what went wrong.
var children = map[string]func() error{}

func TestMain(m *testing.M) {
	role, ok := os.LookupEnv(childEnv)
	if !ok {
		pgtest.Main(m)
		return
	}
	play, ok := children[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "no role %q\n", role)
		os.Exit(2)
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

const alias = "alias/app"

// newKMS starts a KMS with one key, alias/app.
func newKMS(tb testing.TB) *kmstest.Server {
	tb.Helper()
	srv := kmstest.Start(tb)
	srv.CreateKey(kmstest.Alias(alias))
	return srv
}

// newWrapper is alias/app of a new KMS.
func newWrapper(tb testing.TB) kms.Wrapper {
	tb.Helper()
	return awskms.New(newKMS(tb).Client(tb), alias)
}

// openSealed opens a database through Colseal over pgx, in one exec mode; the key table is made on first use.
func openSealed(tb testing.TB, dsn string, mode pgx.QueryExecMode, cfg driver.Config) *sql.DB {
	tb.Helper()
	db, err := openConfig(dsn, mode, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func openConfig(dsn string, mode pgx.QueryExecMode, cfg driver.Config) (*sql.DB, error) {
	pg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	pg.DefaultQueryExecMode = mode
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(cn), nil
}

// sealedDB opens db through Colseal with a KMS of its own and pgx's default exec mode.
func sealedDB(tb testing.TB, db *pgtest.DB, tables *schema.Schema) *sql.DB {
	tb.Helper()
	return openSealed(tb, db.DSN(), pgx.QueryExecModeCacheStatement,
		driver.Config{Schema: tables, KMS: newWrapper(tb), AutoCreateKeyTable: true})
}

// mustExec runs statements without results.
func mustExec(tb testing.TB, db *sql.DB, query string, args ...any) {
	tb.Helper()
	if _, err := db.ExecContext(tb.Context(), query, args...); err != nil {
		tb.Fatalf("%.200s: %v", query, err)
	}
}

// scanOne reads one value of one row.
func scanOne[T any](tb testing.TB, db *sql.DB, query string, args ...any) (v T) {
	tb.Helper()
	if err := db.QueryRowContext(tb.Context(), query, args...).Scan(&v); err != nil {
		tb.Fatalf("%.200s: %v", query, err)
	}
	return v
}
