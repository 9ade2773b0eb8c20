package sqlplan

import (
	"errors"
	"strings"
	"testing"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// A text that names a sealed table must be seen to, however the name is written.
func TestMentions(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct {
		dialect     dialect.Dialect
		table, text string
		want        bool
	}{
		{dialect.Postgres, "users", "SELECT 1 FROM USERS", true},
		{dialect.Postgres, "users", `SELECT 1 FROM"users"`, true},
		{dialect.Postgres, "users", "SELECT 1 FROM/**/users--", true},
		{dialect.Postgres, "users", "SELECT 1 FROM users2, my_users", false},
		{dialect.Postgres, "users", "SELECT 1 FROM users$2", true}, // errs on that side
		{dialect.Postgres, "users", "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$SELECT 1 FROM users$$", true},
		{dialect.Postgres, "users", "SELECT query_to_xml($q$TABLE users$q$, true, true, '')", true},
		{dialect.Postgres, "users", `SELECT query_to_xml(E'SELECT id FROM\nusers', true, true, '')`, true},
		{dialect.Postgres, "users", "SELECT ts_stat('SELECT v FROM us'\n'ers')", true},
		{dialect.Postgres, "us$ers", "SELECT 1 FROM us$ers", true},
		{dialect.Postgres, "users", `SELECT 1 FROM U&"\0075sers"`, true},
		{dialect.Postgres, "users", `DO E'BEGIN DELETE FROM \x75sers; END'`, true},
		{dialect.Postgres, "users", `DO/**/LANGUAGE plpgsql E'BEGIN DELETE FROM \165sers; END'`, true},
		{dialect.Postgres, "users", "DO 'BEGIN DELETE FROM us'\n'ers; END'", true},
		{dialect.Postgres, "users", "do 'BEGIN DELETE FROM us' -- and\n -- on\n 'ers; END'", true},
		{dialect.Postgres, "users", `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS E'SELECT 1 FROM \u0075sers'`, true},
		{dialect.Postgres, "users", "CREATE PROCEDURE p() LANGUAGE sql AS 'DELETE FROM u'\r'sers'", true},
		{dialect.Postgres, "users", `DO $$ BEGIN RAISE NOTICE E'a\n'; END $$`, true}, // errs on that side
		{dialect.Postgres, "users", "DO $$\nBEGIN\n  PERFORM 1;\nEND $$", false},
		{dialect.Postgres, "users", `INSERT INTO logs VALUES (E'a\nb') ON CONFLICT DO NOTHING`, false},
		{dialect.Postgres, "users", "INSERT INTO logs VALUES ('a'\n'b') ON CONFLICT (id) DO\nUPDATE SET done = 'do not'", false},
		{dialect.Postgres, "\"\u212ael\"", "SELECT 1 FROM \"\u212ael\"", true},
		{dialect.Postgres, "\"\u0130d\"", "SELECT 1 FROM \"\u0130d\" WHERE '\u0130\u0130' = ''", true},
		{dialect.Postgres, `"we""ird"`, `SELECT 1 FROM "we""ird"`, true},
		{dialect.Postgres, long, "SELECT 1 FROM " + long + "bcd", true}, // cut by the server
		{dialect.Postgres, `"état"`, "SELECT 1 FROM \xe9tat", true},     // as in LATIN1
		{dialect.Postgres, "users", "SELECT 1 FROM \xe9tat", false},
		{dialect.SQLite, "\"we`ird\"", "SELECT 1 FROM `we``ird`", true},
		{dialect.SQLite, `"we'ird"`, "SELECT 1 FROM 'we''ird'", true},
		{dialect.SQLite, "users", "SELECT 1 FROM [users]", true},
	} {
		p := New(schema.Must(schema.Columns(c.table, schema.Column{Name: "email"})), c.dialect, Options{})
		if got := p.mentions(c.text, p.Known()); got != c.want {
			t.Errorf("%s in %s: %t", c.table, c.text, got)
		}
	}
}

// A table may have the name of one of the server's types. In a program that is the table's.
func TestProgramsNameTypes(t *testing.T) {
	p := New(schema.Must(schema.Columns("path", schema.Column{Name: "email"})), dialect.Postgres, Options{})
	for _, text := range []string{
		"DO $$BEGIN UPDATE path SET email = 'x'; END$$",
		"SELECT query_to_xml('SELECT email = ''x'' FROM path', true, true, '')",
	} {
		if _, err := p.Plan(t.Context(), text, &Env{Catalog: testCatalog}); !errors.Is(err, colseal.ErrRefused) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The server cuts a name that is too long, and so finds the sealed table.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	p := New(schema.Must(schema.Columns(long, schema.Column{Name: "email"})), dialect.Postgres, Options{})
	catalog := fakeCatalog{"public." + long: relation(long, "email bytea")}
	plan, err := p.Plan(t.Context(), "INSERT INTO "+long+"zz(email) VALUES ('x')", &Env{Catalog: catalog})
	if err == nil && len(plan.Literals) != 1 || err != nil && !errors.Is(err, colseal.ErrRefused) {
		t.Errorf("%+v, %v", plan, err)
	}
}

// A plan that was made without a catalog is not given to those who have one.
func TestPlansWithoutCatalog(t *testing.T) {
	p := New(testSchema, dialect.Postgres, Options{})
	const sql = "SELECT * FROM users"
	if _, err := p.Plan(t.Context(), sql, nil); err != nil {
		t.Fatal(err)
	}
	plan, err := p.Plan(t.Context(), sql, &Env{Catalog: testCatalog})
	if err != nil || plan.Open {
		t.Errorf("%+v, %v", plan, err)
	}
}

// SQLite takes a name in double quotes that it does not find for a string.
func TestBlankHidesWhatMayBeAString(t *testing.T) {
	s := schema.Must(schema.Columns("users", schema.Column{Name: "email"}))
	const text = `SELECT "Email", "id" FROM "users" WHERE "email" = "alice" OR [id] = 'bob' -- carol`
	if got, want := New(s, dialect.SQLite, Options{}).Redact(text), `SELECT "Email", "**" FROM "users" WHERE "email" = "*****" OR [id] = *****         `; got != want {
		t.Errorf("SQLite:\n%s\n%s", got, want)
	}
	if got, want := New(s, dialect.Postgres, Options{}).Redact(`SELECT "id" = 'bob'`), `SELECT "id" = *****`; got != want {
		t.Errorf("PostgreSQL:\n%s\n%s", got, want)
	}
}
