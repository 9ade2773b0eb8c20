package sqlite

import (
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/schema"
)

const pageDDL = `
	CREATE TABLE users (id INTEGER PRIMARY KEY, email SECRET UNIQUE, ssn SECRET, note TEXT, org INTEGER);
	CREATE TABLE archive (id INTEGER PRIMARY KEY, email SECRET, ssn SECRET, memo TEXT);
	CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, total NUMERIC, memo TEXT);
	INSERT INTO orders VALUES (1,1,2.5,'o');`

var (
	pageTable = regexp.MustCompile(`(?ms)^<!-- checked: sqlite -->\n(.*?)^$`)
	inCode    = regexp.MustCompile("`([^`]+)`")
	parameter = regexp.MustCompile(`(LIMIT )?(\?|:\w+)`)
)

// TestPage runs the statements that docs/sql-sqlite.md shows, one database for each.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/sql-sqlite.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(pageTable.FindSubmatch(text)[1])) {
		cells := strings.Split(strings.Trim(line, "| \n"), "|")
		want := verdict(strings.TrimSpace(cells[len(cells)-1]))
		for _, c := range inCode.FindAllStringSubmatch(cells[0], -1) {
			n++
			p := newPair(t, pageDDL, schema.Must(
				schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}),
			), "SELECT * FROM users ORDER BY id", "SELECT * FROM orders")
			p.expect(t, works, "INSERT INTO users VALUES (1,'zqcanary-a','zqcanary-s','n',7)")
			p.expect(t, want, c[1], arguments(c[1])...)
		}
	}
	if n < 15 {
		t.Errorf("only %d statements were found: the test looks in the wrong place", n)
	}
}

// arguments are some for the parameters of a statement.
func arguments(query string) []any {
	var args []any
	seen := map[string]bool{}
	for i, m := range parameter.FindAllStringSubmatch(query, -1) {
		switch name := m[2]; {
		case m[1] != "" || i == 0 && strings.Contains(query, "VALUES"): // a limit, or an id
			args = append(args, i+5)
		case name == "?":
			args = append(args, "a@x")
		case !seen[name]:
			seen[name] = true
			args = append(args, sql.Named(name[1:], "a@x"))
		}
	}
	return args
}
