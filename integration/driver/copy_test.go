package driver_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"strings"
	"testing"

	"github.com/XSAM/otelsql"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/ops/reseal"
	"github.com/colseal/colseal/schema"
)

// TestOtherDrivers runs CopyFrom, Stats and the tools with lib/pq below, and with wrappers for tracing above and below.
func TestOtherDrivers(t *testing.T) {
	under := func(d sqldriver.Driver) func(string) (sqldriver.Connector, error) {
		return func(dsn string) (sqldriver.Connector, error) { return opener{d, dsn}, nil }
	}
	tests := []struct {
		name  string
		below func(dsn string) (sqldriver.Connector, error)
		above bool
	}{
		{"lib/pq", func(dsn string) (sqldriver.Connector, error) { return pq.NewConnector(dsn) }, false},
		{"lib/pq, traced above", func(dsn string) (sqldriver.Connector, error) { return pq.NewConnector(dsn) }, true},
		{"lib/pq, traced above and below", under(otelsql.WrapDriver(&pq.Driver{})), true},
		{"pgx, traced above", under(stdlib.GetDefaultDriver()), true},
		{"pgx, traced below", under(otelsql.WrapDriver(stdlib.GetDefaultDriver())), false},
		{"pgx, traced above and below", under(otelsql.WrapDriver(stdlib.GetDefaultDriver())), true},
	}
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		service := newMemKMS(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				mustExec(t, server.Admin, "DROP TABLE IF EXISTS users; "+pgUsers)
				below, err := tt.below(server.DSN())
				if err != nil {
					t.Fatal(err)
				}
				cn, err := driver.NewConnector(below, driver.Config{Schema: schema.Must(pgSealed), KMS: service, AutoCreateKeyTable: true})
				if err != nil {
					t.Fatal(err)
				}
				db := sql.OpenDB(cn)
				if tt.above {
					db = otelsql.OpenDB(cn)
				}
				t.Cleanup(func() { _ = db.Close() })
				testCopy(t, db, server.Admin)
				testTools(t, db)
			})
		}
	})
}

func testCopy(t *testing.T, db, admin *sql.DB) {
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	columns := []string{"id", "email", "ssn", "note"}
	var rows [][]any
	const many = 5000 // more than a buffer
	for i := range many {
		rows = append(rows, []any{i, "a@x", "0\t\\7", sql.NullString{String: "n\n", Valid: i > 0}})
	}
	if n, err := driver.CopyFrom(t.Context(), conn, "users", columns, rows); n != many || err != nil {
		t.Fatal(n, err)
	}
	var sealed int
	if err := admin.QueryRow(`SELECT count(*) FROM users WHERE get_byte(email, 0) = 1 AND ssn LIKE 'cs1:%' AND (note = E'n\n' OR id = 0 AND note IS NULL)`).Scan(&sealed); err != nil || sealed != many {
		t.Errorf("%d rows are sealed, %v", sealed, err)
	}
	var ssn string
	if err := db.QueryRow("SELECT ssn FROM users WHERE id = $1 AND email = $2", many-1, "a@x").Scan(&ssn); err != nil || ssn != "0\t\\7" {
		t.Errorf("read %q, %v", ssn, err)
	}
	// In a transaction of the program's: what fails leaves nothing behind, and what works goes with the transaction.
	tx, err := conn.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("DELETE FROM users"); err != nil {
		t.Fatal(err)
	}
	if n, err := driver.CopyFrom(t.Context(), conn, "users", columns, rows[:3]); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		t.Helper()
		if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM users").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != many {
		t.Errorf("%d rows after a rollback, want %d", n, many)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, bad := range map[string]struct {
		ctx  context.Context
		rows [][]any
	}{
		"a value of no kind, late": {t.Context(), append(fresh(many, 3000), []any{99999, struct{ V string }{canary}, "x", "n"})},
		"a duplicate":              {t.Context(), append(fresh(many, 3000), []any{1, "b@x", "x", "n"})},
		"a context that has ended": {ended, fresh(many, 3000)},
	} {
		if n, err := driver.CopyFrom(bad.ctx, conn, "users", columns, bad.rows); err == nil || n != 0 || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if bad.ctx.Err() == nil {
			if n := count(); n != many {
				t.Errorf("%s: %d rows, want %d", name, n, many)
			}
		}
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM users").Scan(&n); err != nil || n != many {
		t.Errorf("%d rows in the end, %v, want %d", n, err, many)
	}
	if _, err := db.Prepare(`COPY "users" ("email") FROM STDIN`); !errors.Is(err, driver.ErrRefused) || !strings.Contains(hint(err), "CopyFrom of package driver") { // as pq.CopyIn writes it
		t.Errorf("CopyIn: %v", err)
	}
}

// opener is a connector of a driver that has none.
type opener struct {
	driver sqldriver.Driver
	dsn    string
}

func (o opener) Connect(context.Context) (sqldriver.Conn, error) { return o.driver.Open(o.dsn) }
func (o opener) Driver() sqldriver.Driver                        { return o.driver }

// fresh returns n rows with ids from first on.
func fresh(first, n int) (rows [][]any) {
	for i := range n {
		rows = append(rows, []any{first + i, "f@x", "x", "n"})
	}
	return rows
}

func hint(err error) string {
	var refused *driver.QueryError
	if errors.As(err, &refused) {
		return refused.Hint
	}
	return ""
}

func testTools(t *testing.T, db *sql.DB) {
	if s, err := driver.Stats(t.Context(), db); err != nil || s.Entries == 0 {
		t.Errorf("Stats: %+v, %v", s, err)
	}
	found, err := dbcheck.System(t.Context(), db, dbcheck.Options{})
	if err != nil || len(found) != 4 || found[0].Rule != "unreadable" || found[1].Rule != "no-check" {
		t.Errorf("System: %v, %v", found, err)
	}
	if e, err := explain.Query(t.Context(), db, "SELECT * FROM users WHERE email = $1"); err != nil || e.Refused != nil {
		t.Errorf("explain: %v, %v", e, err)
	}
	if uses, err := reseal.Usage(t.Context(), db); err != nil || len(uses) != 2 {
		t.Errorf("Usage: %v, %v", uses, err)
	}
}
