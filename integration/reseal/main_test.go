package reseal

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/ops/reseal"
	"github.com/colseal/colseal/schema"
)

// childEnv tells this test binary to be a process that re-seals.
const childEnv = "COLSEAL_TEST_RESEAL_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		pgtest.Main(m)
		return
	}
	if err := resealAndDie(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// world is a database, a KEK, and who works with them.
type world struct {
	pg     *pgtest.DB
	kms    kms.Wrapper
	kmsURL string
	tables *schema.Schema
	db     *sql.DB
	admin  *keyring.Admin
}

func newWorld(t *testing.T, pg *pgtest.DB, tables *schema.Schema, ddl string) *world {
	t.Helper()
	w := &world{pg: pg, tables: tables, kmsURL: "localkms://" + filepath.Join(t.TempDir(), "kek")}
	var err error
	if w.kms, err = kms.Open(t.Context(), w.kmsURL); err != nil {
		t.Fatal(err)
	}
	mustExec(t, pg.Admin, ddl)
	w.db = w.open(t, nil)
	store := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "")
	if err := store.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.admin = keyring.NewAdmin(store, w.kms, keyring.AdminConfig{By: "test"})
	return w
}

// open opens the database as a process of its own would.
func (w *world) open(t *testing.T, change func(*driver.Config)) *sql.DB {
	t.Helper()
	cfg := driver.Config{Schema: w.tables, KMS: w.kms}
	if change != nil {
		change(&cfg)
	}
	db, err := open(w.pg.DSN(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func open(dsn string, cfg driver.Config) (*sql.DB, error) {
	pg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(cn), nil
}

// renew has data keys and search keys of a scope followed by new ones, which seal from now on and have done so for hours.
func (w *world) renew(t *testing.T, scope string) {
	t.Helper()
	for _, p := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch} {
		if _, err := w.admin.Rotate(t.Context(), p, scope); err != nil {
			t.Fatal(err)
		}
	}
	mustExec(t, w.pg.Admin, "UPDATE colseal_keys SET seals_from = seals_from - interval '3 hours', created_at = created_at - interval '3 hours'")
}

// retire ends the search keys that no longer seal.
func (w *world) retire(t *testing.T) {
	t.Helper()
	keys, err := w.admin.Keys(t.Context(), keyring.Filter{Purpose: keyring.PurposeSearch})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.State == keyring.StateSearched {
			if _, err := w.admin.Retire(t.Context(), k.ID, "re-sealed"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (w *world) reseal(t *testing.T, opts reseal.Options) reseal.Report {
	t.Helper()
	return run(t, w.db, opts)
}

func run(t *testing.T, db *sql.DB, opts reseal.Options) reseal.Report {
	t.Helper()
	report, err := reseal.Run(t.Context(), db, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// hookKMS can be down, and calls hook, if there is one, before it unwraps a key: from several goroutines at once.
type hookKMS struct {
	kms.Wrapper
	hook func()
	down atomic.Bool
}

func (k *hookKMS) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	if k.down.Load() {
		return kms.DataKey{}, kms.ErrUnavailable
	}
	return k.Wrapper.GenerateDataKey(ctx, ec)
}

func (k *hookKMS) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	if k.down.Load() {
		return nil, kms.ErrUnavailable
	}
	if k.hook != nil {
		k.hook()
	}
	return k.Wrapper.Unwrap(ctx, w, ec)
}

func mustExec(tb testing.TB, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string, args ...any) {
	tb.Helper()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		tb.Fatalf("%.200s: %v", query, err)
	}
}

// all reads a query's only column as text.
func all(tb testing.TB, db *sql.DB, query string, args ...any) []string {
	tb.Helper()
	rows, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		tb.Fatalf("%.200s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			tb.Fatalf("%.200s: %v", query, err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		tb.Fatalf("%.200s: %v", query, err)
	}
	return out
}
