package queries

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// BenchmarkSince times replayed statements through database/sql, plain and with three sealed
// columns. The server of COLSEAL_TEST_DSN gives the first answers. bench/since.sh also builds this
// file with the packages of an earlier commit.
func BenchmarkSince(b *testing.B) {
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			b.Helper()
			b.Fatal(err)
		}
	}
	cfg, err := config(os.Getenv("COLSEAL_TEST_DSN"), false)
	must(err)
	server := stdlib.OpenDB(*cfg)
	defer func() { _ = server.Close() }()
	for _, s := range []string{
		"DROP SCHEMA IF EXISTS " + schemaName + " CASCADE", "CREATE SCHEMA " + schemaName,
		"CREATE TABLE plain_read (id bigint PRIMARY KEY, name text, email text, phone text)", "CREATE TABLE plain_write (LIKE plain_read)",
		"CREATE TABLE sealed_read (id bigint PRIMARY KEY, name bytea, email bytea, phone bytea)", "CREATE TABLE sealed_write (LIKE sealed_read)",
	} {
		_, err := server.ExecContext(ctx, s)
		must(err)
	}
	tables, err := schema.New(sealedSchema...)
	must(err)
	w, err := localkms.Open(filepath.Join(b.TempDir(), "kek"))
	must(err)
	cfg.DialFunc = replaying(cfg.DialFunc)
	sealing, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: tables, KMS: w, AutoCreateKeyTable: true})
	must(err)
	for _, way := range []struct {
		kind kind
		db   *sql.DB
	}{{plainKind, stdlib.OpenDB(*cfg)}, {sealedKind, sql.OpenDB(sealing)}} {
		way.db.SetMaxOpenConns(1)
		defer func() { _ = way.db.Close() }()
		_, err := way.db.ExecContext(ctx, way.kind.insert("_read", 1), arguments(1, 1)...)
		must(err)
		name, email, phone := values()
		insert, query := way.kind.insert("_write", 1), way.kind.query("id = $1")
		for _, s := range []struct {
			name string
			run  func() error
		}{
			{"Insert", func() error {
				_, err := way.db.ExecContext(ctx, insert, int64(1), name, email, phone)
				return err
			}},
			{"Select", func() error {
				return way.db.QueryRowContext(ctx, query, int64(1)).Scan(new(string), new(string), new(string))
			}},
		} {
			b.Run(s.name+"/"+way.kind.name, func(b *testing.B) {
				for range 100 { // until answers are replayed
					must(s.run())
				}
				for b.Loop() {
					must(s.run())
				}
			})
		}
	}
}
