package snippets

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"os"
	"path/filepath"
	"testing"

	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/schema"
)

// file is the SQLite database at a path.
type file string

func (f file) Connect(context.Context) (sqldriver.Conn, error) { return f.Driver().Open(string(f)) }
func (file) Driver() sqldriver.Driver                          { return &sqlite.Driver{} }

// TestMigration follows docs/migrating.md on SQLite: a table goes into sealing, and out again.
func TestMigration(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	at := file(filepath.Join(t.TempDir(), "app.db"))
	plain := sql.OpenDB(at)
	defer plain.Close()
	must(t, plain, "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, ssn TEXT)")
	must(t, plain, "INSERT INTO users VALUES (1, 'ana@example.com', '078'), (2, 'bjorn@example.com', NULL)")
	moves := blocks(string(page), "sql")
	if len(moves) != 1 {
		t.Fatalf("%d blocks of SQL", len(moves))
	}
	must(t, plain, moves[0])
	db := openSealed(t, at, driver.Config{Schema: schema.Must(schema.Model("users", User{})), Dialect: driver.DialectSQLite})
	if err := copyUsers(t.Context(), db, "users_plain", "users"); err != nil {
		t.Fatal(err)
	}
	must(t, plain, "DROP TABLE users_plain")
	must(t, plain, "VACUUM")
	holds := func(db *sql.DB, table string) {
		t.Helper()
		var id, n int
		if err := db.QueryRow("SELECT id FROM "+table+" WHERE email = $1", "bjorn@example.com").Scan(&id); err != nil || id != 2 {
			t.Errorf("%d, %v", id, err)
		}
		if err := plain.QueryRow("SELECT count(*) FROM " + table + " WHERE email LIKE '%@%' OR ssn = '078'").Scan(&n); err != nil || (n > 0) == (db != plain) {
			t.Errorf("%d rows in plaintext, %v", n, err)
		}
	}
	holds(db, "users")
	must(t, plain, "CREATE TABLE users_plain (id INTEGER PRIMARY KEY, email TEXT UNIQUE, ssn TEXT)")
	if err := copyUsers(t.Context(), db, "users", "users_plain"); err != nil {
		t.Fatal(err)
	}
	holds(plain, "users_plain")
}
