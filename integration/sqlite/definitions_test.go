package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sqlType is the type of a plain column of a class.
func sqlType(c class) string {
	if c == number {
		return "INTEGER"
	}
	return "TEXT"
}

// kinds are the kinds of definitions, by what comes of one: made, an object of that name, or a column x of a table.
var kinds = []string{
	"CREATE TABLE", "CREATE TABLE AS", "CREATE TABLE IF NOT EXISTS", "ADD COLUMN", "GENERATED", "CREATE INDEX", "CREATE TRIGGER", "CREATE VIEW",
	"RENAME COLUMN", "RENAME TO", "DROP COLUMN", "CREATE TEMP TABLE", "CREATE TEMP TABLE AS", "CREATE TEMP TRIGGER", "CREATE TEMP VIEW",
}

// definition writes a definition of a kind, and returns the table that it is about and the columns of what is made.
func (g *gen) definition(kind string) (query, table string, made []column) {
	g.bare = true
	defer func() { g.bare = false }()
	table = pick(g, names...)
	own := []source{{"", base[table]}}
	if !g.one(3) { // what names no sealed column is the usual case
		own = []source{{"", plainOf(base[table])}}
	}
	kind, temp := strings.CutPrefix(kind, "CREATE TEMP ")
	kind = strings.TrimPrefix(kind, "CREATE ")
	create := "CREATE " + map[bool]string{true: "TEMP ", false: ""}[temp]
	c := pick(g, text, number)
	switch kind {
	case "TABLE":
		made = []column{{"id", number}, {"a", text}, {"b", number}}
		see := []source{{"", made}}
		return create + "TABLE made (id INTEGER PRIMARY KEY, a TEXT DEFAULT " + g.value(text) + " CHECK (" + g.flat(see) + "), b INTEGER DEFAULT (" +
			g.value(number) + " + 1), " + pick(g, "", "UNIQUE (a), ", "c TEXT GENERATED ALWAYS AS (upper(a)) STORED, ") + "CHECK (" + g.flat(see) + "))" +
			pick(g, "", " STRICT"), table, made
	case "TABLE AS":
		cols, q := g.made()
		return create + "TABLE made AS " + q, table, cols
	case "TABLE IF NOT EXISTS":
		return "CREATE TABLE IF NOT EXISTS " + table + " (id INTEGER PRIMARY KEY CHECK (" + g.flat(own) + "))", table, nil
	case "ADD COLUMN":
		return fmt.Sprintf("ALTER TABLE %s ADD COLUMN x %s DEFAULT %s%s", table, sqlType(c), g.value(c), pick(g, "", " CHECK ("+g.flat(append(own, source{"", []column{{"x", c}}}))+")")), table, []column{{"x", c}}
	case "GENERATED":
		e, _ := g.expression(own)
		return fmt.Sprintf("ALTER TABLE %s ADD COLUMN x AS (%s)%s", table, e, pick(g, "", " VIRTUAL")), table, []column{{"x", text}}
	case "INDEX":
		of := func() string {
			if g.one(3) {
				e, _ := g.expression(own)
				return e
			}
			col, _ := g.column(own)
			return col + pick(g, "", " DESC")
		}
		return "CREATE " + pick(g, "", "UNIQUE ") + "INDEX made ON " + table + " (" + g.list(2, of) + ")" + pick(g, "", " WHERE "+g.flat(own)), table, nil
	case "TRIGGER":
		rows := []source{{"NEW", own[0].cols}, {"OLD", own[0].cols}}
		event := pick(g, "INSERT", "UPDATE", "DELETE", "UPDATE OF "+own[0].cols[len(own[0].cols)-1].name)
		switch event {
		case "INSERT":
			rows = rows[:1]
		case "DELETE":
			rows = rows[1:]
		}
		body := g.list(1, func() string {
			v, c := g.expression(rows)
			switch g.n(4) {
			case 1:
				return "UPDATE orders SET memo = " + v + " WHERE " + g.flat(append(rows[:len(rows):len(rows)], source{"", base["orders"]}))
			case 2:
				col, _ := g.column([]source{{"", base["leads"]}}, c)
				return "UPDATE leads SET " + strings.Replace(col, "NULL", "mail", 1) + " = " + v
			case 3:
				return "SELECT RAISE(" + pick(g, "IGNORE", "ABORT, 'no'") + ") WHERE " + g.flat(rows)
			}
			return "INSERT INTO orders (memo) VALUES (" + pick(g, g.value(text), v) + ")"
		})
		return create + "TRIGGER made " + pick(g, "BEFORE ", "AFTER ") + event + " ON " + pick(g, "", "main.") + table +
			pick(g, "", " WHEN "+g.flat(rows)) + " BEGIN " + body + "; END", table, nil
	case "VIEW":
		cols, q := g.made()
		return create + "VIEW made AS " + q, table, cols
	case "RENAME COLUMN":
		col, cc := g.column(own)
		return "ALTER TABLE " + table + " RENAME " + pick(g, "", "COLUMN ") + col + " TO x", table, []column{{"x", cc}}
	case "RENAME TO":
		if g.one(2) {
			return "ALTER TABLE notes RENAME TO made", table, []column{{"id", number}, {"memo", text}}
		}
		return "ALTER TABLE " + table + " RENAME TO made", table, base[table]
	case "DROP COLUMN":
		col, _ := g.column(own)
		return "ALTER TABLE " + table + " DROP COLUMN " + col, table, nil
	}
	panic(kind)
}

// plainOf are the columns that are not sealed.
func plainOf(cols []column) (out []column) {
	for _, c := range cols {
		if c.class == number || c.class == text {
			out = append(out, c)
		}
	}
	return out
}

// flat is a condition without a query in it.
func (g *gen) flat(see []source) string {
	for {
		if c := g.condition(see, g.n(2)); !strings.Contains(c, "SELECT") || g.one(20) {
			return c
		}
	}
}

// expression is an expression over the columns in sight.
func (g *gen) expression(see []source) (string, class) {
	col, c := g.column(see)
	switch g.n(5) {
	case 1:
		return "coalesce(" + col + ", " + g.value(c) + ")", c
	case 2:
		return "CASE WHEN " + g.flat(see) + " THEN " + col + " END", c
	case 3:
		return "upper(" + col + ")", text
	case 4:
		return "(" + col + " || 'x')", text
	}
	return col, c
}

// made is a query of which something is made.
func (g *gen) made() ([]column, string) {
	if g.one(3) {
		return g.query(1)
	}
	table := pick(g, names...)
	cols := plainOf(base[table])
	if g.one(2) {
		cols = base[table]
	}
	list := make([]string, len(cols))
	for i, c := range cols {
		list[i] = c.name
	}
	return cols, "SELECT " + strings.Join(list, ", ") + " FROM " + table + g.where([]source{{"", cols}}, 1)
}

// after is a statement after a definition.
func (g *gen) after(kind, table string, made []column) statement {
	named, own := "made", made
	if strings.Contains(kind, "COLUMN") || kind == "GENERATED" {
		named, own = table, append(base[table][:1:1], made...)
	}
	if len(made) > 0 && g.one(2) {
		see := []source{{"", own}}
		col := own[g.n(len(own))]
		switch g.n(4) {
		case 1:
			return statement{"INSERT INTO " + named + " (" + col.name + ") VALUES (" + g.value(col.class) + ")", g.args}
		case 2:
			return statement{"UPDATE " + named + " SET " + col.name + " = " + g.value(col.class) + g.where(see, 1), g.args}
		case 3:
			return statement{"DELETE FROM " + named + g.where(see, 1), g.args}
		}
		return statement{"SELECT " + col.name + " FROM " + named + g.where(see, 1), g.args}
	}
	g.style = 1 + g.n(2)
	return g.any()
}

// TestDefinitions makes random definitions with expressions and runs random statements after each, in a transaction that is rolled back.
func TestDefinitions(t *testing.T) {
	setRapid(t, perRun/3)
	p := newRandom(t)
	count, byKind := map[verdict]int{}, map[string]map[verdict]int{}
	rapid.Check(t, func(rt *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(rt, "kind")
		g := &gen{t: rt}
		query, table, made := g.definition(kind)
		rt.Logf("%s", query)
		p.both("BEGIN")
		defer p.both("ROLLBACK")
		got := p.run(rt, query)
		if byKind[kind] == nil {
			byKind[kind] = map[verdict]int{}
		}
		byKind[kind][got]++
		if got != works {
			made = nil
		}
		for range g.n(4) {
			next := &gen{t: rt}
			st := next.after(kind, table, made)
			rt.Logf("%#v", st)
			count[p.run(rt, st.sql, st.args...)]++
			if len(made) > 0 && kind != "DROP COLUMN" {
				p.run(rt, "SELECT * FROM "+pick(next, "made", table))
			}
		}
	})
	for _, kind := range kinds {
		t.Logf("%s: %v", kind, byKind[kind])
		if byKind[kind][works] == 0 {
			t.Errorf("%s: none works", kind)
		}
	}
	t.Logf("afterwards: %v", count)
	p.checkFile(t)
}

// checkFile looks for plaintext in the sealed database's files, which hold what was rolled back, too.
func (p *pair) checkFile(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(p.file + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(string(content), mark); i >= 0 {
			t.Errorf("%s: plaintext at %d: %.100q", filepath.Base(f), i, content[i:])
		}
	}
}
