package driver_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Rows under two search keys on SQLite: a predicate finds those of either, whichever seals.
func TestSQLiteTwoSearchKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "two.db")
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	exec := func(db *sql.DB, query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(raw, "CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB, note TEXT)")
	w := newMemKMS(t)
	open := func() *sql.DB {
		t.Helper()
		tables := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}))
		cfg := driver.Config{Schema: tables, KMS: w, Dialect: driver.DialectSQLite, AutoCreateKeyTable: true}
		cn, err := driver.NewConnector(liteConnector(path), cfg)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(cn)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	first := open()
	exec(first, "INSERT INTO users VALUES (1,'a','x'), (2,'b','y'), (3,NULL,'x'), (4,'a','y')")
	admin := keyring.NewAdmin(keyring.OpenStore(raw, keyring.DialectSQLite, ""), w, keyring.AdminConfig{})
	if _, err := admin.Rotate(t.Context(), keyring.PurposeSearch, ""); err != nil {
		t.Fatal(err)
	}
	exec(raw, "UPDATE colseal_keys SET seals_from = '2001-01-01T02:00:00.000Z', created_at = '2001-01-01T00:00:00.000Z' WHERE purpose = 'search' AND epoch = 2")
	second := open()
	exec(second, "UPDATE users SET email='a' WHERE id=4")
	exec(second, "UPDATE users SET email=? WHERE email=? AND id=2", "b", "b")
	exec(raw, "UPDATE colseal_keys SET seals_from = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 day') WHERE purpose = 'search' AND epoch = 2")

	var cells int
	if err := raw.QueryRow("SELECT count(DISTINCT email) FROM users").Scan(&cells); err != nil || cells != 3 {
		t.Fatal("different cells: ", cells, err)
	}
	for _, db := range []*sql.DB{second, open()} {
		for _, c := range []struct {
			where string
			args  []any
			want  string
		}{
			{"email=?", []any{"a"}, "[1 4]"},
			{"email='a' OR :b = email", []any{sql.Named("b", "b")}, "[1 2 4]"},
			{"email IN (?,?)", []any{"b", nil}, "[2]"},
			{"email NOT IN (?2,?1)", []any{"b", "c"}, "[1 4]"},
			{"email NOT IN (?,NULL)", []any{"b"}, "[]"},
			{"email <> ?", []any{"a"}, "[2]"},
			{"NOT (email = ?)", []any{"a"}, "[2]"},
			{"email IS NOT ?", []any{"a"}, "[2 3]"},
			{"email IS ?", []any{nil}, "[3]"},
			{"(email,note) = (?,'y')", []any{"a"}, "[4]"},
			{"email IN (SELECT ? UNION ALL SELECT 'z')", []any{"a"}, "[1 4]"},
			{"iif(id>1,email,NULL) = ?", []any{"a"}, "[4]"},
			{"email = ? AND note = ?", []any{"a", "y"}, "[4]"},
		} {
			rs, err := db.Query("SELECT id FROM users WHERE "+c.where+" ORDER BY id", c.args...)
			if err != nil {
				t.Errorf("%s: %v", c.where, err)
				continue
			}
			ids := []int64{}
			for rs.Next() {
				var id int64
				if err := rs.Scan(&id); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			if err := rs.Close(); err != nil || fmt.Sprint(ids) != c.want {
				t.Errorf("%s: %v, want %s (%v)", c.where, ids, c.want, err)
			}
		}
	}
}
