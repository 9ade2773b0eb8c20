package keyconns

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"flag"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var rounds = flag.Int("keyconns.rounds", 1, "programs that start cold, in each test of a pooler")

// limit bounds what must not wait without end.
const limit = 30 * time.Second

const layout = `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY, email bytea, ssn bytea, note text)`

var users = schema.Must(schema.Columns("users",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}))

// prepare makes the tables and the keyring.
func prepare(t *testing.T, pg *pgtest.DB) kms.Wrapper {
	t.Helper()
	exec(t, pg.Admin, layout)
	exec(t, pg.Admin, keyring.OpenStore(nil, keyring.DialectPostgres, "").DDL())
	return newKMS(t)
}

func newKMS(t *testing.T) kms.Wrapper {
	t.Helper()
	w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// open returns a new program's *sql.DB, which knows no keys.
func open(t *testing.T, under sqldriver.Connector, w kms.Wrapper, change ...func(*driver.Config)) *sql.DB {
	t.Helper()
	cfg := driver.Config{Schema: users, KMS: w}
	for _, f := range change {
		f(&cfg)
	}
	cn, err := driver.NewConnector(under, cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// direct connects to dsn in the given mode.
func direct(t *testing.T, dsn string, mode pgx.QueryExecMode, opts ...stdlib.OptionOpenDB) sqldriver.Connector {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	return stdlib.GetConnector(*cfg, opts...)
}

func newPool(t *testing.T, dsn string, conns int32, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = conns
	for _, f := range change {
		f(cfg)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// together runs f n times at once, each with limit, and reports the errors.
func together(t *testing.T, n int, f func(ctx context.Context, i int) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	errs := make([]error, n)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		wg.Go(func() { errs[i] = f(ctx, i) })
	}
	wg.Wait()
	failed := 0
	for _, err := range errs {
		if err != nil {
			if failed++; failed == 1 {
				t.Errorf("after %v: %v", time.Since(began).Round(time.Millisecond), err)
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d failed", failed, n)
	}
	t.Logf("%d in %v", n, time.Since(began).Round(time.Millisecond))
}

func exec(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
