package failover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// TestReaders: programs on a hot standby and on a logical subscriber search in scopes that have no key. They find nothing and
// make nothing; and they find what the primary writes as soon as it has come.
func TestReaders(t *testing.T) {
	p, kek := start(t), filepath.Join(t.TempDir(), "kek.json")
	const table = "CREATE TABLE letters (id bigint PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)"
	p.psql(t, 0, table)
	writer := p.open(t, kek, keycache.Config{})
	write := func(id int, scope string) {
		t.Helper()
		if _, err := writer.ExecContext(keyring.WithScope(t.Context(), scope), "INSERT INTO letters (id, scope, sender, body) VALUES ($1, $2, 'ann', 'x')", id, scope); err != nil {
			t.Fatal(err)
		}
	}
	write(1, "first")
	p.replica(t)
	p.psql(t, 0, "CREATE PUBLICATION p FOR TABLE letters, colseal_keys")
	p.psql(t, 0, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
	p.psql(t, 0, "CREATE DATABASE sub")
	p.run(t, `export PGHOST=/tmp PGPORT=5433 PGUSER=postgres
		pg_dump -s -t letters -t colseal_keys --no-publications postgres | psql -qX -v ON_ERROR_STOP=1 sub >/dev/null
		psql -qX -v ON_ERROR_STOP=1 sub -c "CREATE SUBSCRIPTION s CONNECTION 'host=/tmp port=5433 user=postgres dbname=postgres' PUBLICATION p WITH (create_slot = false, slot_name = 's')"`)
	for name, r := range map[string]struct {
		port     int
		database string
		keys     keycache.Config
	}{
		"standby":            {p.ports[1], "postgres", keycache.Config{}},
		"read-only standby":  {p.ports[1], "postgres", keycache.Config{ReadOnly: true}},
		"logical subscriber": {p.ports[0], "sub", keycache.Config{ReadOnly: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := kms.Open(t.Context(), "localkms://"+kek)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := pgx.ParseConfig(fmt.Sprintf("host=localhost port=%d user=postgres dbname=%s sslmode=disable", r.port, r.database))
			if err != nil {
				t.Fatal(err)
			}
			cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: letters, KMS: w, Keys: r.keys})
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(cn)
			defer func() { _ = db.Close() }()
			scope := "new on " + name
			found := func(ctx context.Context, scope string) (n int) {
				t.Helper()
				if err := db.QueryRowContext(keyring.WithScope(ctx, scope), "SELECT count(*) FROM letters WHERE sender = $1", "ann").Scan(&n); err != nil {
					t.Error(err)
				}
				return n
			}
			arrives := func(scope string) {
				t.Helper()
				for deadline := time.Now().Add(20 * time.Second); found(t.Context(), scope) != 1; time.Sleep(50 * time.Millisecond) {
					if t.Failed() || time.Now().After(deadline) {
						t.Fatal("a row of the primary's is not found")
					}
				}
			}
			arrives("first")
			for range 3 {
				if n := found(t.Context(), scope); n != 0 {
					t.Errorf("%d rows", n)
				}
			}
			if stats, _ := driver.Stats(t.Context(), db); stats.Created != 0 || stats.KMSErrors != 0 {
				t.Errorf("%+v", stats)
			}
			write(100+len(scope), scope)
			arrives(scope)
			_, err = db.ExecContext(keyring.WithScope(t.Context(), "another"), "INSERT INTO letters (id, scope, body) VALUES (9, '', 'x')")
			if r.keys.ReadOnly && !errors.Is(err, keyring.ErrReadOnly) || err == nil {
				t.Error(err)
			}
			var keys int
			if err := db.QueryRow("SELECT count(*) FROM colseal_keys WHERE scope IN ('another')").Scan(&keys); err != nil || keys != 0 {
				t.Errorf("%d keys were made, %v", keys, err)
			}
		})
	}
}

// TestStandbys: an operator is told whether the standbys have a change.
func TestStandbys(t *testing.T) {
	p := start(t)
	db, err := sql.Open("pgx", p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store := keyring.OpenStore(db, keyring.DialectPostgres, "")
	if all, _, known, err := store.Standbys(t.Context(), ""); len(all) != 0 || !known || err != nil {
		t.Errorf("without a standby: %v, %v, %v", all, known, err)
	}
	p.replica(t)
	if err := store.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	lsn := ""
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		all, at, known, err := store.Standbys(t.Context(), lsn)
		if err != nil || !known {
			t.Fatal(known, err)
		}
		if lsn = at; len(all) == 1 && all[0].Has {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", all)
		}
	}
	// It stops, and keeps its slot.
	p.psql(t, 0, "SELECT pg_create_physical_replication_slot('kept', true)")
	if all, _, _, err := store.Standbys(t.Context(), ""); err != nil || len(all) != 2 || all[0].Name != "kept" || all[0].Has {
		t.Errorf("%+v, %v", all, err)
	}
	p.psql(t, 0, "CREATE ROLE nobody LOGIN")
	other, err := sql.Open("pgx", fmt.Sprintf("host=localhost port=%d user=nobody dbname=postgres sslmode=disable", p.ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, _, known, err := keyring.OpenStore(other, keyring.DialectPostgres, "").Standbys(t.Context(), ""); known || err != nil {
		t.Errorf("for a role that may not see it: %v, %v", known, err)
	}
}
