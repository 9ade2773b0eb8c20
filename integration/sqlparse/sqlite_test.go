// Package sqlparse_test holds what internal/sqlparse/lite assumes of SQLite to the driver itself.
package sqlparse_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver whose behaviour is held here

	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/lite"
)

// testDB opens a database of its own, with the given statements executed.
func testDB(t *testing.T, setup ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	for _, s := range setup {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// row returns the first row of a query, printed.
func row(db *sql.DB, query string, args ...any) (string, error) {
	rows, err := db.Query(query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return "", err
	}
	values := make([]any, len(cols))
	targets := make([]any, len(cols))
	for i := range values {
		targets[i] = &values[i]
	}
	if !rows.Next() {
		return "none", rows.Err()
	}
	if err := rows.Scan(targets...); err != nil {
		return "", err
	}
	return fmt.Sprint(values), nil
}

func mustParse(t *testing.T, text string) *sqlparse.File {
	t.Helper()
	file, err := lite.Parse(text, sqlparse.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return file
}

// predicted is the row that our numbering of the parameters promises.
func predicted(t *testing.T, query string, args []any) (string, bool) {
	t.Helper()
	var out []any
	for _, target := range mustParse(t, query).Statements[0].Stmt.(*sqlparse.Select).Targets {
		p := target.Expr.(*sqlparse.Param)
		found := false
		for i, a := range args {
			named, isNamed := a.(sql.NamedArg)
			if p.Number != i+1 && (p.Name == "" || !isNamed || named.Name != p.Name) {
				continue
			}
			if isNamed {
				a = named.Value
			}
			out, found = append(out, a), true
			break
		}
		if !found {
			return "", false
		}
	}
	return fmt.Sprint(out), true
}

func TestParametersAreNumberedAsTheDriverBindsThem(t *testing.T) {
	db := testDB(t)
	a, b := sql.Named("a", "A"), sql.Named("b", "B")
	five := []any{"p1", "p2", "p3", "p4", "p5"}
	for _, test := range []struct {
		list string
		args []any
	}{
		{"?, ?", five}, {"?2, ?1", five}, {"?2, ?", five}, {"?2, ?, ?1", five}, {"?4, ?1, ?", five}, {"?1, ?", five},
		{"$1, $2", five}, {"$2, $1, $2", five}, {"$2, ?", five}, {"$2, ?, ?", five}, {"$5, $5, ?, ?3", five}, {"$9", five},
		{":a, @a, $a, #a", []any{a}}, {":a, :b, :a", []any{b, a}}, {":a", five}, {":A", []any{a}},
		{":1", five}, {"@1", five}, {"$02", five}, {"$1a", five},
		{"?, :a", []any{a}}, {"?, :a", []any{"p", a}}, {":a, ?", []any{a, "p"}}, {":a, ?", []any{"p", a}},
		{"?1, $1", []any{a}}, {":a, :b, ?, :a, ?", []any{a, b, "p3", "p4"}},
		{"$a::b(c), ?", []any{sql.Named("a::b(c)", "A"), "p2"}},
	} {
		t.Run(fmt.Sprint(test.list, test.args), func(t *testing.T) {
			want, found := predicted(t, "SELECT "+test.list, test.args)
			got, err := row(db, "SELECT "+test.list, test.args...)
			if found != (err == nil) || got != want {
				t.Errorf("the driver gives %s, %v; promised are %s, %v", got, err, want, found)
			}
		})
	}
	for _, list := range []string{"?0", "?01", "?32767"} {
		if _, err := row(db, "SELECT "+list, five...); err == nil {
			t.Errorf("the driver accepts %s", list)
		}
	}
}

func TestEveryStatementIsNumberedFromOne(t *testing.T) {
	db := testDB(t, "CREATE TABLE t (a, b)")
	const text = "INSERT INTO t VALUES (?, ?); INSERT INTO t VALUES ($2, ?)"
	if _, err := db.Exec(text, "x", "y"); err != nil {
		t.Fatal(err)
	}
	got, err := row(db, "SELECT group_concat(a || b) FROM t")
	if err != nil || got != "[xy,yy]" {
		t.Errorf("got %s, %v", got, err)
	}
	var numbers []int
	for _, statement := range mustParse(t, text).Statements {
		for _, value := range statement.Stmt.(*sqlparse.Insert).Source.Values[0] {
			numbers = append(numbers, value.(*sqlparse.Param).Number)
		}
	}
	if want := []int{1, 2, 2, 2}; !slices.Equal(numbers, want) {
		t.Errorf("parameters %v, want %v", numbers, want)
	}
}

// TestScopes holds the facts about SQLite that the shape of the tree rests on.
func TestScopes(t *testing.T) {
	db := testDB(t, "CREATE TABLE a (x, y)", "CREATE TABLE b (x, z)", "CREATE TABLE w (\"true\")",
		"INSERT INTO a VALUES (1, 2)", "INSERT INTO b VALUES (1, 3)", "INSERT INTO w VALUES (9)")
	const noColumn = "no such column"
	for _, test := range []struct{ name, query, want string }{
		{"ON sees tables to its right", "SELECT 1 FROM a JOIN b AS c ON d.z = 3 JOIN b AS d", "[1]"},
		{"a comma joins as JOIN does", "SELECT c.z FROM a, b JOIN b AS c ON c.x = a.x", "[3]"},
		{"an alias of the output in WHERE", "SELECT y AS q FROM a WHERE q = 2", "[2]"},
		{"which hides outer columns", "SELECT (SELECT z AS y FROM b WHERE y = 3) FROM a", "[3]"},
		{"but no columns of its own FROM", "SELECT z AS x FROM b WHERE x = 3", "none"},
		{"WITH in any order", "WITH p AS (SELECT * FROM q), q AS (SELECT 5) SELECT * FROM p", "[5]"},
		{"WITH is always recursive", "WITH a AS (SELECT * FROM a) SELECT * FROM a", "circular reference"},
		{"parentheses forget an alias", "SELECT b.z FROM a JOIN (b AS q) ON 1", "[3]"},
		{"so that it is unknown", "SELECT q.z FROM a JOIN (b AS q) ON 1", noColumn},
		{"names in parentheses stay visible", "SELECT b.z FROM (a JOIN b) AS q", "[3]"},
		{"beside the alias", "SELECT q.z FROM (a JOIN b) AS q", "[3]"},
		{"TRUE is a column first", "SELECT true FROM w", "[9]"},
		{"then a constant", "SELECT true FROM a", "[1]"},
		{"names ignore case", `SELECT "X" FROM A WHERE [Y] = 2`, "[1]"},
		{"in ASCII only", `SELECT (SELECT é FROM (SELECT 1 AS É))`, noColumn},
		{"a quoted name may be a string", `SELECT "nosuch" FROM a`, "[nosuch]"},
		{"hexadecimal is bits", "SELECT 0xFFFFFFFFFFFFFFFF", "[-1]"},
		{"iif takes pairs", "SELECT iif(0, 1, 1, 2, 3), if(0, 1)", "[2 <nil>]"},
		{"set operations are left-associative", "SELECT 1 UNION SELECT 2 EXCEPT SELECT 2 UNION SELECT 3 LIMIT 1 OFFSET 1", "[3]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := row(db, test.query)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("%s: got %s, want %s", test.query, got, test.want)
			}
		})
	}
}
