// Package keylife holds what Colseal promises of the life of keys, on real PostgreSQL servers and a KMS that speaks
// AWS's protocol: rotation, revocation, retirement, destruction, rewrapping and re-sealing, by operators that race
// and are killed, beside programs that write and read on. docs/keys.md is the page to it.
package keylife

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

// childEnv says that this test binary is an operator's process, which a test has started.
const childEnv = "COLSEAL_TEST_OPERATOR"

func TestMain(m *testing.M) {
	if _, ok := os.LookupEnv(childEnv); !ok {
		pgtest.Main(m)
		return
	}
	if err := operate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// letters has a column of each mode, so that keys of both purposes are used.
var letters = schema.Must(schema.Columns("letters",
	schema.Column{Name: "sender", Mode: schema.ModeDeterministic}, schema.Column{Name: "body"}))

const lettersDDL = "CREATE TABLE letters (id bigserial PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)"

const alias = "alias/app"

// world is a database, a KMS, and the letters in it.
type world struct {
	pg  *pgtest.DB
	kms *kmstest.Server
	app role // of programs, once it is needed
}

func newWorld(t *testing.T, pg *pgtest.DB) *world {
	t.Helper()
	w := &world{pg: pg, kms: kmstest.Start(t)}
	w.kms.CreateKey(kmstest.Alias(alias))
	w.exec(t, lettersDDL)
	w.exec(t, w.store(t).DDL())
	return w
}

func (w *world) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := w.pg.Admin.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
}

func (w *world) store(t *testing.T) *keyring.Store {
	t.Helper()
	return keyring.OpenStore(w.pg.Admin, keyring.DialectPostgres, "")
}

// admin returns an operator.
func (w *world) admin(t *testing.T) *keyring.Admin {
	t.Helper()
	return keyring.NewAdmin(w.store(t), awskms.New(w.kms.Client(t), alias, awskms.WithTrustedKeys(kmstest.DefaultAccount)), keyring.AdminConfig{By: "ann"})
}

// open is a program that has just started.
func (w *world) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := openLetters(w.pg.DSN(), driver.Config{KMS: awskms.New(w.kms.Client(t), alias)}, mortal.New(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func openLetters(dsn string, cfg driver.Config, life *mortal.Life) (*sql.DB, error) {
	cfg.Schema = letters
	return openAs(dsn, cfg, life)
}

func openAs(dsn string, cfg driver.Config, life *mortal.Life) (*sql.DB, error) {
	pg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	pg.DialFunc = life.Dial(pg.DialFunc)
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(cn), nil
}

// write writes a letter in a scope.
func write(ctx context.Context, db *sql.DB, scope, sender, body string) error {
	_, err := db.ExecContext(keyring.WithScope(ctx, scope),
		"INSERT INTO letters (scope, sender, body) VALUES ($1, $2, $3)", scope, sender, body)
	return err
}

// found counts the letters of a sender in a scope, by an equality search.
func found(ctx context.Context, db *sql.DB, scope, sender string) (n int, err error) {
	err = db.QueryRowContext(keyring.WithScope(ctx, scope),
		"SELECT count(*) FROM letters WHERE sender = $1", sender).Scan(&n)
	return n, err
}

// read opens every letter of a scope and returns how many there are.
func read(ctx context.Context, db *sql.DB, scope string) (n int, err error) {
	rows, err := db.QueryContext(ctx, "SELECT sender, body FROM letters WHERE scope = $1", scope)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var sender, body string
		if err := rows.Scan(&sender, &body); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
