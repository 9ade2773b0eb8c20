package sqlite

import (
	"database/sql"
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// A statement is a random one over the tables of randomDDL.
type statement struct {
	sql  string
	args []any
}

// GoString is what a failed run prints.
func (s statement) GoString() string { return fmt.Sprintf("%s\n  %#v", s.sql, s.args) }

// A gen writes one statement, from left to right. Canaries stand only where a value meets a sealed column, so that a
// canary that is sent is a leak. Of several choices the first is the simplest, so that what fails shrinks to what a
// person can read.
type gen struct {
	t     *rapid.T
	style int // of parameters: ?, ?1 or :p1
	args  []any
	names int
	with  []column // of the WITH query, if there is one
	bare  bool     // there are no parameters: SQLite takes none in what it keeps
}

// class is what a column holds.
type class uint8

const (
	number class = iota
	text
	mail   // sealed, deterministic, of a join group
	phone  // sealed, deterministic, a number
	secret // sealed, randomized
)

type column struct {
	name  string
	class class
}

type source struct {
	alias string
	cols  []column
}

var base = map[string][]column{
	"users":   {{"id", number}, {"email", mail}, {"ssn", secret}, {"note", text}, {"org", number}},
	"archive": {{"id", number}, {"up", number}, {"email", mail}, {"memo", text}},
	"leads":   {{"id", number}, {"mail", mail}, {"phone", phone}},
	"orders":  {{"id", number}, {"user_id", number}, {"memo", text}, {"up", number}},

	"mails":   {{"id", number}, {"address", mail}, {"ssn", secret}, {"note", text}},
	"of_mail": {{"id", number}, {"email", mail}, {"memo", text}, {"note", text}},
}

// randomDDL has generated columns in the middle of a sealed table and of a plain one.
const randomDDL = `
	CREATE TABLE users (id INTEGER PRIMARY KEY, email SECRET UNIQUE, ssn SECRET, note TEXT, org INTEGER);
	CREATE TABLE archive (id INTEGER PRIMARY KEY, up INTEGER GENERATED ALWAYS AS (id * 2), email SECRET, memo TEXT);
	CREATE TABLE leads (id INTEGER PRIMARY KEY, mail SECRET, phone NUMBER);
	CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, memo TEXT, up INTEGER AS (user_id + 1) STORED);
	CREATE TABLE notes (id INTEGER PRIMARY KEY, memo TEXT);` + viewsDDL

// viewsDDL makes views that the schema does not know of.
const viewsDDL = `
	CREATE VIEW mails(id, address, ssn, note) AS SELECT id, email, ssn, note FROM users WHERE note IS NOT 'x';
	CREATE VIEW of_mail AS SELECT a.id, m.address AS email, a.memo, m.note FROM mails AS m JOIN archive a ON a.email = m.address;`

// randomRows fill the tables before each check.
var randomRows = []string{
	"DELETE FROM main.users", "DELETE FROM archive", "DELETE FROM leads", "DELETE FROM orders",
	`INSERT INTO main.users VALUES (1,'zqcanary-a','zqcanary-s','n',10), (2,'zqcanary-b',NULL,'',10), (3,NULL,'zqcanary-t',NULL,20), (4,'','zqcanary-s','m',NULL)`,
	`INSERT INTO archive VALUES (1,'zqcanary-a','m'), (2,'zqcanary-a',NULL), (5,'zqcanary-c','n'), (6,NULL,'m')`,
	`INSERT INTO leads VALUES (1,'zqcanary-a',10404600001), (2,'zqcanary-d',10404600002), (3,NULL,NULL)`,
	`INSERT INTO orders VALUES (1,1,'m'), (2,1,'n'), (3,2,NULL), (4,9,'m')`,
}

func (g *gen) n(n int) int { return rapid.IntRange(0, n-1).Draw(g.t, "n") }

// one is a chance of one in n.
func (g *gen) one(n int) bool { return g.n(n) == n-1 }

func pick[T any](g *gen, of ...T) T { return of[g.n(len(of))] }

func (g *gen) alias() string {
	g.names++
	return fmt.Sprintf("t%d", g.names)
}

// list joins one to most parts.
func (g *gen) list(most int, part func() string) string {
	parts := []string{part()}
	for range g.n(most) {
		parts = append(parts, part())
	}
	return strings.Join(parts, pick(g, ", ", ",", " ,\n"))
}

// value is a literal or a parameter for a column of a class.
func (g *gen) value(c class) string {
	if g.one(12) {
		return "NULL"
	}
	var v any
	switch c {
	case number:
		v = pick(g, 1, 2, 3, 5, 10, 20)
	case text:
		v = pick(g, "n", "m", "", "it''s")
	case phone:
		v = pick(g, 10404600001, 10404600002, 10404600009)
	default:
		v = pick(g, "zqcanary-a", "zqcanary-b", "zqcanary-c", "zqcanary-s", "zqcanary-new")
	}
	if !g.bare && g.one(2) {
		return g.param(v)
	}
	if s, ok := v.(string); ok {
		return "'" + s + "'"
	}
	return fmt.Sprint(v)
}

// param is a parameter, or one more use of an earlier one with the same value.
func (g *gen) param(v any) string {
	n := len(g.args) + 1
	for i, a := range g.args {
		if named, ok := a.(sql.NamedArg); ok {
			a = named.Value
		}
		if a == v && g.style > 0 && g.one(2) {
			n = i + 1
		}
	}
	arg, spelled := v, "?"
	switch g.style {
	case 1:
		spelled = fmt.Sprintf("?%d", n)
	case 2:
		arg, spelled = sql.Named(fmt.Sprintf("p%d", n), v), fmt.Sprintf(":p%d", n)
	}
	if n > len(g.args) {
		g.args = append(g.args, arg)
	}
	return spelled
}

// column is one of the columns in sight, of one of the classes if any are given.
func (g *gen) column(from []source, classes ...class) (string, class) {
	var names []string
	var cs []class
	for _, s := range from {
		for _, c := range s.cols {
			if len(classes) > 0 && !contains(classes, c.class) {
				continue
			}
			name := c.name
			if s.alias != "" {
				name = s.alias + "." + name
			}
			names, cs = append(names, name), append(cs, c.class)
		}
	}
	if len(names) == 0 {
		return "NULL", number
	}
	i := g.n(len(names))
	return names[i], cs[i]
}

func contains(cs []class, c class) bool {
	for _, x := range cs {
		if x == c {
			return true
		}
	}
	return false
}

// condition is a truth value over the columns in sight.
func (g *gen) condition(from []source, depth int) string {
	col, c := g.column(from)
	switch n := g.n(14); {
	case n == 0:
		return col + pick(g, " IS NULL", " IS NOT NULL", " NOTNULL")
	case n == 1 && depth > 0:
		return "(" + g.condition(from, depth-1) + pick(g, " AND ", " OR ") + g.condition(from, depth-1) + ")"
	case n == 2 && depth > 0:
		return "NOT (" + g.condition(from, depth-1) + ")"
	case n == 3 && c != secret:
		return col + pick(g, " IN (", " NOT IN (") + g.list(3, func() string { return g.value(c) }) + ")"
	case n == 4 && depth > 0 && c == mail:
		in, name := g.table("")
		other, _ := g.column(in, mail)
		return col + pick(g, " IN (SELECT ", " NOT IN (SELECT ") + other + " FROM " + name + g.where(in, depth-1) + ")"
	case n == 5 && depth > 0:
		in, name := g.table(g.alias())
		return pick(g, "", "NOT ") + "EXISTS(SELECT " + pick(g, "1", "*") + " FROM " + name + g.where(append(in, from...), depth-1) + ")"
	case n == 6 && (c == mail || c == phone):
		plain, pc := g.column(from, number, text)
		return "(" + col + ", " + plain + ") = (" + g.value(c) + ", " + g.value(pc) + ")"
	case n == 7 && c == number:
		return col + pick(g, " < ", " >= ", " + 1 = ") + g.value(number)
	case n == 8 && c == text:
		return "length(" + col + ") > " + g.value(number)
	case n == 9 && c == mail:
		other, _ := g.column(from, mail)
		return col + pick(g, " = ", " <> ", " IS ") + other
	case n == 10 && c == mail:
		return "CASE WHEN " + col + " = " + g.value(c) + " THEN 1 ELSE 0 END"
	case n == 11 && c == mail:
		return pick(g, "coalesce(", "ifnull(") + col + ", " + g.value(c) + ") = " + g.value(c)
	case c == secret:
		return col + " IS NOT NULL"
	case n == 12:
		return g.value(c) + pick(g, " = ", " <> ", " == ") + col
	}
	return col + pick(g, " = ", " <> ", " IS ", " IS NOT ") + g.value(c)
}

func (g *gen) where(from []source, depth int) string {
	if g.one(3) {
		return ""
	}
	return pick(g, " WHERE ", "\nWHERE ") + g.condition(from, depth)
}

var names = []string{"users", "archive", "leads", "orders"}

// table is one table of FROM.
func (g *gen) table(alias string) ([]source, string) {
	name, cols := pick(g, append([]string{"mails", "of_mail"}, names...)...), []column(nil)
	if cols = base[name]; g.with != nil && g.one(2) {
		name, cols = "w", g.with
	}
	if alias == "" {
		return []source{{"", cols}}, name
	}
	return []source{{alias, cols}}, name + pick(g, " AS ", " ") + alias
}

// from is a FROM clause; keys order its rows.
func (g *gen) from(depth int) (from []source, clause string, keys []string) {
	add := func() string {
		alias := g.alias()
		if depth > 0 && g.one(4) {
			outs, query := g.query(depth - 1)
			from = append(from, source{alias, outs})
			return "(" + query + ") AS " + alias
		}
		in, name := g.table(alias)
		if from = append(from, in...); !strings.HasPrefix(name, "w ") { // whose id is always 1
			keys = append(keys, alias+".id")
		}
		return name
	}
	clause = add()
	for range g.n(3) - 1 {
		join := pick(g, ", ", " JOIN ", " LEFT JOIN ", " CROSS JOIN ")
		clause += join + add()
		if strings.HasSuffix(join, "T JOIN ") || join == " JOIN " {
			clause += " ON " + g.condition(from, 0)
		}
	}
	return from, clause, keys
}

// target is one result column, with the class that it has.
func (g *gen) target(from []source, depth int) (string, class) {
	col, c := g.column(from)
	switch n := g.n(12); {
	case n == 1:
		return g.condition(from, 1), number
	case n == 2 && c == number:
		return col + " + 1", number
	case n == 3 && c != number:
		return "coalesce(" + col + ", " + g.value(c) + ")", c
	case n == 4:
		return "CASE WHEN " + g.condition(from, 0) + " THEN " + col + " END", c
	case n == 5 && depth > 0:
		in, name := g.table(g.alias())
		other, oc := g.column(in)
		return "(SELECT " + other + " FROM " + name + " WHERE " + in[0].alias + ".id = " + g.value(number) + ")", oc
	case n == 6:
		return g.value(text), text
	case n == 7 && (c == mail || c == phone):
		return "nullif(" + col + ", " + g.value(c) + ")", c
	case n == 8 && c == text:
		return "upper(" + col + ")", text
	case n == 9:
		return "(" + col + ")", c
	}
	return col, c
}

// query is a query whose outputs all have names, for FROM.
func (g *gen) query(depth int) (outs []column, query string) {
	from, clause, _ := g.fromFirst(depth)
	var b strings.Builder
	for i := range 1 + g.n(3) {
		if i > 0 {
			b.WriteString(", ")
		}
		t, c := g.target(from, 0)
		outs = append(outs, column{fmt.Sprintf("c%d", i), c})
		fmt.Fprintf(&b, "%s AS c%d", t, i)
	}
	return outs, "SELECT " + b.String() + " FROM " + clause + g.where(from, 0)
}

// fromFirst draws FROM before what stands before it in the text, which only ? would mind: the parameters of the two
// have other orders then.
func (g *gen) fromFirst(depth int) (from []source, clause string, keys []string) {
	if g.style > 0 {
		return g.from(depth)
	}
	in, name := g.table(g.alias()) // there is no WITH query in this style
	return in, name, []string{in[0].alias + ".id"}
}

func (g *gen) selectStmt() string {
	from, clause, keys := g.fromFirst(2)
	if g.one(6) {
		return g.grouped(from, clause)
	}
	targets := g.list(3, func() string {
		switch {
		case g.one(5):
			return "*"
		case g.one(5):
			return from[g.n(len(from))].alias + ".*"
		}
		t, _ := g.target(from, 1)
		if g.one(3) {
			t += pick(g, " AS ", " ") + g.alias()
		}
		return t
	})
	query := "SELECT " + pick(g, "", "", "ALL ") + targets + pick(g, " FROM ", "\nFROM ", " /* c */ FROM ") + clause + g.where(from, 2)
	if len(keys) == len(from) && g.one(3) {
		query += " ORDER BY " + strings.Join(keys, ", ")
		if g.one(2) {
			query += " LIMIT " + g.value(number)
		}
	}
	return query
}

func (g *gen) grouped(from []source, clause string) string {
	col, _ := g.column(from)
	switch g.n(4) {
	case 0:
		return "SELECT count(*), count(" + col + "), max(" + from[0].alias + ".rowid) FROM " + clause + g.where(from, 1)
	case 1:
		return "SELECT DISTINCT " + col + " FROM " + clause + g.where(from, 1)
	case 2:
		return "SELECT " + col + ", count(*) FROM " + clause + g.where(from, 1) + " GROUP BY " + pick(g, "1", col)
	}
	other, c := g.column(from, mail)
	in, name := g.table(g.alias())
	right, rc := g.column(in, mail)
	if c != mail || rc != mail {
		return "SELECT count(DISTINCT " + col + ") FROM " + clause
	}
	return "SELECT " + other + " FROM " + clause + pick(g, " UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT ") + "SELECT " + right + " FROM " + name + g.where(in, 0)
}

// returning is a RETURNING clause of a table, by whose own name it knows the columns.
func (g *gen) returning(table string) string {
	if g.one(2) {
		return ""
	}
	own := []source{{pick(g, "", table), base[table]}}
	return " RETURNING " + g.list(2, func() string {
		if g.one(3) {
			return "*"
		}
		t, _ := g.target(own, 0)
		return t + pick(g, "", "", " AS "+g.alias())
	})
}

// written are the columns of a table that an INSERT without a column list fills.
func written(table string) []column {
	var cols []column
	for _, c := range base[table] {
		if c.name != "up" {
			cols = append(cols, c)
		}
	}
	return cols
}

func (g *gen) conflict() string {
	return pick(g, "", "", " OR REPLACE", " OR IGNORE", " OR ABORT", " OR FAIL", " OR ROLLBACK")
}

func (g *gen) insert() string {
	table := pick(g, names...)
	cols, list := written(table), ""
	if !g.one(3) {
		cols = append(cols[:1:1], cols[1+g.n(len(cols)-1)])
		names := make([]string, len(cols))
		for i, c := range cols {
			names[i] = c.name
		}
		list = " (" + strings.Join(names, ",") + ")"
	} else if g.one(8) {
		cols = cols[:len(cols)-1] // too few
	}
	b := "INSERT" + g.conflict() + " INTO " + table + list
	if g.one(5) {
		return b + g.insertQuery(cols)
	}
	b += " VALUES " + g.list(2, func() string {
		vals := make([]string, len(cols))
		for i, c := range cols {
			if i == 0 {
				vals[i] = fmt.Sprint(pick(g, 100, 101, 102, 1, 2))
			} else {
				vals[i] = g.value(c.class)
			}
		}
		return "(" + strings.Join(vals, ", ") + ")"
	})
	if g.one(4) {
		b += " ON CONFLICT " + pick(g, "DO NOTHING", "(id) DO NOTHING", "(id) DO UPDATE SET id = excluded.id + 200",
			"(id) DO UPDATE SET "+cols[1].name+" = excluded."+cols[1].name)
	}
	return b + g.returning(table)
}

// insertQuery is a query that fills columns, the first of which is an id.
func (g *gen) insertQuery(cols []column) string {
	from, name := g.table(g.alias())
	vals := []string{from[0].alias + ".id + 300"}
	for _, c := range cols[1:] {
		v := g.value(c.class)
		if len(v) > 0 && v[0] != '?' && v[0] != ':' && g.one(2) {
			if col, cc := g.column(from, c.class); cc == c.class {
				v = col
			}
		}
		vals = append(vals, v)
	}
	// In the order of an index on cells the rows would meet a conflict in another order.
	return " SELECT " + strings.Join(vals, ", ") + " FROM " + name + g.where(from, 0) + " ORDER BY " + from[0].alias + ".id"
}

func (g *gen) update() string {
	table := pick(g, names...)
	own := []source{{table, base[table]}}
	b := "UPDATE"
	if table != "users" { // of which a unique column is sealed: which row gives way depends on the order of cells
		b += g.conflict()
	}
	b += " " + table
	if g.one(4) {
		own[0].alias = g.alias()
		b += " AS " + own[0].alias
	}
	b += " SET "
	cols := written(table)[1:]
	c := cols[g.n(len(cols))]
	if g.one(4) {
		with := g.with
		g.with = nil // whose rows have one id: which of them gives its value is not said
		other, name := g.table(g.alias())
		g.with = with
		v, vc := g.column(other, c.class)
		if vc != c.class {
			v = g.value(c.class)
		}
		b += c.name + " = " + v + " FROM " + name + " WHERE " + other[0].alias + ".id = " + own[0].alias + ".id"
		if g.one(2) {
			b += " AND " + g.condition(append(own, other...), 1)
		}
		return b + g.returning(table)
	}
	switch {
	case g.one(4):
		b += c.name + " = CASE WHEN " + g.condition(own, 0) + " THEN " + g.value(c.class) + " ELSE " + c.name + " END"
	case g.one(4):
		d := cols[g.n(len(cols))]
		b += "(" + c.name + ", " + d.name + ") = (" + g.value(c.class) + ", " + g.value(d.class) + ")"
	default:
		b += c.name + " = " + g.value(c.class)
	}
	return b + g.where(own, 1) + g.returning(table)
}

func (g *gen) delete() string {
	table := pick(g, names...)
	return "DELETE FROM " + table + g.where([]source{{pick(g, "", table), base[table]}}, 2) + g.returning(table)
}

// statements draws statements.
func statements() *rapid.Generator[statement] {
	return rapid.Custom(func(t *rapid.T) statement {
		g := &gen{t: t}
		g.style = g.n(3)
		return g.any()
	})
}

func columnNames(cols []column) string {
	var b strings.Builder
	for _, c := range cols {
		b.WriteString(", " + c.name)
	}
	return b.String()
}

func (g *gen) any() statement {
	var b strings.Builder
	if g.style > 0 && g.one(5) { // a WITH query, in the place of a table
		outs, query := g.query(0)
		g.with = append([]column{{"id", number}}, outs...)
		fmt.Fprintf(&b, "WITH w(id%s) AS (SELECT 1, q.* FROM (%s) AS q) ", columnNames(outs), query)
	}
	switch g.n(6) {
	case 0, 1, 2:
		b.WriteString(g.selectStmt())
	case 3:
		b.WriteString(g.insert())
	case 4:
		b.WriteString(g.update())
	default:
		b.WriteString(g.delete())
	}
	return statement{b.String(), g.args}
}
