package snippets

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestChecks adds the CHECK constraints: they let cells in, and nothing else.
func TestChecks(t *testing.T) {
	pg := pgtest.New(t)
	must(t, pg.Admin, "CREATE TABLE users (id bigint PRIMARY KEY, email bytea, ssn bytea, born bytea)")
	inner, err := stdlib.GetDefaultDriver().(*stdlib.Driver).OpenConnector(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	s := schema.Must(schema.Model("users", User{}))
	must(t, pg.Admin, checks(s))
	must(t, openSealed(t, inner, driver.Config{Schema: s}), "INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3), ($4, $5, $6)", 2001, "x@example.com", "x", 2002, nil, nil)
	var refused *pgconn.PgError
	for _, column := range []string{"email", "ssn"} {
		_, err := pg.Admin.Exec("INSERT INTO users(id, " + column + ") VALUES (2003, 'plain')")
		if !errors.As(err, &refused) || refused.Code != "23514" { // check_violation
			t.Errorf("plaintext in %s: %v", column, err)
		}
	}
}

// openSealed opens a database through Colseal, with a key of the test's own.
func openSealed(t *testing.T, inner sqldriver.Connector, cfg driver.Config) *sql.DB {
	t.Helper()
	var err error
	if cfg.KMS, err = localkms.Open(filepath.Join(t.TempDir(), "kek")); err != nil {
		t.Fatal(err)
	}
	cfg.AutoCreateKeyTable = true
	sealed, err := driver.NewConnector(inner, cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(sealed)
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}
