package integration

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// TestDetachedPartition follows docs/sql-views.md: a partition that is registered with its parent's identities is sealed before it is
// detached, and after.
func TestDetachedPartition(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		mustExec(t, pg.Admin, `CREATE TABLE users (id bigint, email bytea, ssn bytea, born bytea) PARTITION BY RANGE (id);
			CREATE TABLE users_2024 PARTITION OF users FOR VALUES FROM (0) TO (100)`)
		w := newWrapper(t)
		open := func(sources ...schema.Source) *driver.Config {
			return &driver.Config{Schema: schema.Must(sources...), KMS: w, AutoCreateKeyTable: true}
		}
		db := openSealed(t, pg.DSN(), pgx.QueryExecModeCacheStatement, *open(schema.Model("users", user{}),
			schema.View("users_2024", "users")))
		mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, $1)", "erika@example.org")
		mustExec(t, db, "INSERT INTO users_2024 (id, email) VALUES (2, $1)", "erika@example.org")
		for _, when := range []string{"before", "after"} {
			if n := scanOne[int](t, db, "SELECT count(*) FROM users_2024 WHERE email = $1", "erika@example.org"); n < 2 {
				t.Errorf("%s it is detached, %d rows are found", when, n)
			}
			if got := scanOne[string](t, db, "SELECT email FROM users_2024 WHERE id = 1"); got != "erika@example.org" {
				t.Errorf("%s it is detached, the value is %q", when, got)
			}
			if when == "before" {
				mustExec(t, db, "ALTER TABLE users DETACH PARTITION users_2024")
				mustExec(t, db, "INSERT INTO users_2024 (id, email) VALUES (3, $1)", "erika@example.org")
			}
		}
		if n := scanOne[int](t, pg.Admin, "SELECT count(*) FROM users_2024 WHERE substring(email FROM 1 FOR 2) <> '\\x0102'"); n != 0 {
			t.Errorf("%d rows are not sealed", n)
		}
		mustExec(t, db, "ALTER TABLE users ATTACH PARTITION users_2024 FOR VALUES FROM (0) TO (100)")
		mustExec(t, db, "INSERT INTO users (id, email) VALUES (4, $1)", "erika@example.org")
		if n := scanOne[int](t, db, "SELECT count(*) FROM users WHERE email = $1", "erika@example.org"); n != 4 {
			t.Errorf("attached again, %d rows are found, want 4", n)
		}
		mustExec(t, db, "ALTER TABLE users DETACH PARTITION users_2024")
		// Without its registration it is a plain table.
		plain := openSealed(t, pg.DSN(), pgx.QueryExecModeCacheStatement, *open(schema.Model("users", user{})))
		if n := scanOne[int](t, plain, "SELECT count(*) FROM users_2024 WHERE email = $1", []byte("erika@example.org")); n != 0 {
			t.Errorf("%d cells are found by a plaintext", n)
		}
	})
}
