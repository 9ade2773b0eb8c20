package snippets

import (
	"database/sql"
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

// TestMigration follows docs/migrating.md on a table that was filled before.
func TestMigration(t *testing.T) {
	for storage, conversion := range map[string]string{
		"text": "",
		"bytea": `ALTER TABLE users
			ALTER COLUMN email TYPE bytea USING convert_to(email, 'UTF8'),
			ALTER COLUMN ssn   TYPE bytea USING convert_to(ssn, 'UTF8')`,
	} {
		t.Run(storage, func(t *testing.T) { migrate(t, pgtest.New(t), storage, conversion) })
	}
}

func migrate(t *testing.T, pg *pgtest.DB, storage, conversion string) {
	must(t, pg.Admin, "CREATE TABLE users (id bigint PRIMARY KEY, email text, ssn text)")
	must(t, pg.Admin, "INSERT INTO users SELECT i, 'user' || i || '@example.com', CASE WHEN i % 2 = 0 THEN 'ssn ' || i END FROM generate_series(1, 1200) i")
	if conversion != "" {
		must(t, pg.Admin, conversion)
	}
	s := schema.Must(schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}))

	if _, err := read(openSealed(t, pg, s, driver.PlaintextReject)); !errors.Is(err, driver.ErrNotSealed) {
		t.Fatalf("before the migration, with the policy PlaintextReject: %v", err)
	}
	db := openSealed(t, pg, s, driver.PlaintextAllowRead)
	if n, err := read(db); n != 1200 || err != nil {
		t.Fatalf("before the migration, with the policy PlaintextAllowRead: %d rows, %v", n, err)
	}
	if err := sealRows(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if n, err := read(openSealed(t, pg, s, driver.PlaintextReject)); n != 1200 || err != nil {
		t.Fatalf("after the migration: %d rows, %v", n, err)
	}
	var id int64
	if err := db.QueryRow("SELECT id FROM users WHERE email = $1", "user77@example.com").Scan(&id); err != nil || id != 77 {
		t.Errorf("a sealed row is not found: %d, %v", id, err)
	}
	if storage == "bytea" {
		holdChecks(t, pg, db, s)
	}
	must(t, pg.Admin, "ALTER TABLE users ADD plain_email text")
	db = openSealed(t, pg, s, driver.PlaintextReject)
	for last, done := int64(0), false; !done; {
		var err error
		if last, done, err = openSome(t.Context(), db, last); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := pg.Admin.QueryRow("SELECT count(*) FROM users WHERE plain_email = 'user' || id || '@example.com'").Scan(&n); err != nil || n != 1200 {
		t.Errorf("%d rows have their value back, %v", n, err)
	}
}

// holdChecks adds the CHECK constraints: they let cells in, and nothing else.
func holdChecks(t *testing.T, pg *pgtest.DB, db *sql.DB, s *schema.Schema) {
	must(t, pg.Admin, checks(s))
	must(t, db, "INSERT INTO users VALUES ($1, $2, $3), ($4, $5, $6)", 2001, "x@example.com", "x", 2002, nil, nil)
	var refused *pgconn.PgError
	for _, column := range []string{"email", "ssn"} {
		_, err := pg.Admin.Exec("INSERT INTO users(id, " + column + ") VALUES (2003, 'plain')")
		if !errors.As(err, &refused) || refused.Code != "23514" { // check_violation
			t.Errorf("plaintext in %s: %v", column, err)
		}
	}
}

func openSealed(t *testing.T, pg *pgtest.DB, s *schema.Schema, p driver.PlaintextPolicy) *sql.DB {
	t.Helper()
	key, err := localkms.Open(filepath.Join(t.TempDir(), "..", "kek")) // one for all of the test
	if err != nil {
		t.Fatal(err)
	}
	inner, err := stdlib.GetDefaultDriver().(*stdlib.Driver).OpenConnector(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := driver.NewConnector(inner, driver.Config{Schema: s, KMS: key, Plaintext: p, AutoCreateKeyTable: true})
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

func read(db *sql.DB) (n int, err error) {
	rows, err := db.Query("SELECT email, ssn FROM users")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var email, ssn sql.NullString
		if err := rows.Scan(&email, &ssn); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}
