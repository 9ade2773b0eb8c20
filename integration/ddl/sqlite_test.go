// Package ddl_test runs what internal/ddl writes for SQLite.
package ddl_test

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// cellOf makes a cell of a column.
func cellOf(t *testing.T, c *schema.Column) []byte {
	t.Helper()
	key, err := codec.NewKey(bytes.Repeat([]byte{7}, 32), 0xf0000001, c.Suite(), c.Identity())
	if err != nil {
		t.Fatal(err)
	}
	cell, err := key.Seal(nil, c.Kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cell
}

// SQLite's triggers, and its CHECKs for new tables, take NULL and the column's cells and nothing else.
func TestSQLite(t *testing.T) {
	s := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}))
	table := s.Lookup("", "users")
	email, ssn := table.Column("email"), table.Column("ssn")
	text := func(c *schema.Column) bool { return c == ssn }
	triggers, err := ddl.Write(s, ddl.Options{Dialect: dialect.SQLite, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	for name, statements := range map[string]string{
		"triggers": "CREATE TABLE users (email, ssn);" + triggers + triggers,
		"checks": "CREATE TABLE users (email, ssn, CHECK (" + backstop.Condition(dialect.SQLite, email, false) + "), CHECK (" +
			backstop.Condition(dialect.SQLite, ssn, true) + "))",
	} {
		t.Run(name, func(t *testing.T) {
			db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			if _, err := db.Exec(statements); err != nil {
				t.Fatal(err)
			}
			mail, number := cellOf(t, email), codec.EncodeText(cellOf(t, ssn))
			for _, row := range [][]any{{mail, number}, {nil, nil}} {
				if _, err := db.Exec("INSERT INTO users VALUES (?, ?)", row...); err != nil {
					t.Errorf("the columns' own cells: %v", err)
				}
			}
			for _, row := range [][]any{
				{"alice", nil}, {[]byte("alice@example.com, at great length"), nil}, {7, nil}, {[]byte{}, nil}, {mail[:24], nil},
				{cellOf(t, ssn), nil}, {string(mail), nil},
				{nil, "078-05-1120"}, {nil, number[:53]}, {nil, number + "\n"}, {nil, codec.EncodeText(mail)}, {nil, []byte(number)},
				{nil, strings.ToLower(number)}, {nil, number[:20] + "+" + number[21:]},
			} {
				if _, err := db.Exec("INSERT INTO users VALUES (?, ?)", row...); err == nil {
					t.Errorf("%T %T is taken: %.20q", row[0], row[1], row)
				}
				if _, err := db.Exec("UPDATE users SET email = ?, ssn = ?", row...); err == nil {
					t.Errorf("%T %T is taken by an UPDATE: %.20q", row[0], row[1], row)
				}
			}
		})
	}
}
