package shapes

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// A statement is a random one over the tables of ddl.
type statement struct {
	sql    string
	args   []any
	writes bool // it may change a table
	direct bool // it is executed, not queried
}

// GoString is what a failed run prints.
func (s statement) GoString() string { return fmt.Sprintf("%s\n  %#v", s.sql, s.args) }

// statements draws statements for a server version. The first of several choices is the simplest, so that a
// statement that fails shrinks to one that a person can read. Shards draw different ones from the same seed.
func statements(version, shard int) *rapid.Generator[statement] {
	return statementsOver(version, shard, true, true)
}

// statementsOver is statements with views, partitions and children that only a database knows, or without, and with
// row types of sealed tables and texts that functions run, or without: while a column is on its way, a row has more
// columns than on the twin.
func statementsOver(version, shard int, dependents, rows bool) *rapid.Generator[statement] {
	return rapid.Custom(func(t *rapid.T) statement {
		g := &gen{t: t, version: version, dependents: dependents, rowTypes: rows}
		for range (version-15)*shards + shard {
			g.n(2)
		}
		sql := g.top()
		return statement{sql, g.args, g.writes, g.direct}
	})
}

// A gen writes one statement. Canaries stand only where a value meets a sealed column, and in places where nothing
// says what it is if the same parameter meets a sealed column elsewhere in the statement: so a canary that is sent
// is a leak.
type gen struct {
	t       *rapid.T
	version int
	args    []any
	hot     []string // the numbers of parameters that hold canaries of text and have met a sealed column
	names   int
	writes  bool
	direct  bool // no value is a parameter

	dependents bool // views, partitions and children are named
	rowTypes   bool // what has row types is, and texts that functions run
}

// class is what a column holds.
type class uint8

const (
	number class = iota
	plainText
	mail   // sealed, deterministic, of the join group
	lead   // sealed, deterministic, another identity
	phone  // sealed, deterministic, a number
	secret // sealed, randomized: users.ssn
	other  // sealed, randomized: archive.ssn
	parted // sealed, randomized: parts.ssn
)

func (c class) random() bool  { return c == secret || c == other || c == parted }
func (c class) sealed() bool  { return c >= mail }
func (c class) numeric() bool { return c == number || c == phone }

type column struct {
	name  string
	class class
}

// source is a FROM item under its alias.
type source struct {
	alias string
	cols  []column
	keyed bool // it has a column id that tells its rows apart
}

var base = map[string][]column{
	"users":     {{"id", number}, {"email", mail}, {"ssn", secret}, {"note", plainText}, {"org", number}},
	"archive":   {{"id", number}, {"email", mail}, {"ssn", other}, {"memo", plainText}},
	"leads":     {{"id", number}, {"email", lead}, {"phone", phone}},
	"orders":    {{"id", number}, {"user_id", number}, {"memo", plainText}},
	"contacts":  {{"id", number}, {"email", plainText}},
	"user_view": {{"id", number}, {"email", mail}, {"note", plainText}},

	"mails":      {{"id", number}, {"mail", mail}, {"secret", secret}, {"remark", plainText}, {"org", number}},
	"mails_of":   {{"id", number}, {"email", mail}, {"secret", secret}, {"remark", plainText}},
	"pairs":      {{"id", number}, {"email", mail}, {"ssn", other}, {"memo", plainText}},
	"both_mails": {{"id", number}, {"email", mail}},
	"firsts":     {{"id", number}, {"e", mail}, {"n", number}},
	"orders_of":  {{"id", number}, {"user_id", number}, {"memo", plainText}},
	"shouts":     {{"id", number}, {"email", mail}, {"note", plainText}},
	"parts_1":    {{"id", number}, {"email", mail}, {"ssn", parted}, {"note", plainText}},
	"parts_22":   {{"id", number}, {"email", mail}, {"ssn", parted}, {"note", plainText}},
	"kin":        {{"id", number}, {"email", mail}, {"ssn", other}, {"memo", plainText}, {"extra", plainText}},
	"holders":    {{"id", number}, {"note", plainText}},
}

var (
	dependentNames = []string{"mails", "parts_1", "kin", "mails_of", "pairs", "both_mails", "firsts", "orders_of", "shouts", "parts_22", "holders"}
	writableNames  = []string{"mails", "parts_1", "kin", "mails_of", "parts_22", "orders_of", "holders"}
)

// table picks one of names, or one that only the database knows.
func (g *gen) table(names ...string) string { return g.orDependent(names, dependentNames) }

// target is table for a write.
func (g *gen) target(names ...string) string { return g.orDependent(names, writableNames) }

func (g *gen) orDependent(names, dependents []string) string {
	if g.dependents && g.now(5) {
		return dependents[g.n(len(dependents))]
	}
	return names[g.n(len(names))]
}

// overUsers reports whether a table is users, whose email is unique, or a view of it.
func overUsers(t string) bool { return t == "users" || t == "mails" || t == "mails_of" }

var baseNames = []string{"users", "archive", "leads", "users", "user_view", "orders", "contacts"}

// dice[k] draws one of 0 … k-1, the lower ones a little more often.
var dice = func() (all [40]*rapid.Generator[int]) {
	var faces []int
	for k := 1; k < len(all); k++ {
		faces = append(faces, k-1)
		all[k] = rapid.SampledFrom(faces[:k:k])
	}
	return all
}()

func (g *gen) n(k int) int { return dice[k].Draw(g.t, "") }

// now is true once in about k times.
func (g *gen) now(k int) bool { return g.n(k) == k-1 }

func (g *gen) pick(ss ...string) string { return ss[g.n(len(ss))] }

// either writes one of several parts. Only that one is made: a value that is drawn and left out would be an argument
// without a place.
func (g *gen) either(parts ...func() string) string { return parts[g.n(len(parts))]() }

// is is a part that holds no value.
func is(text string) func() string { return func() string { return text } }

// name makes an alias; now and then one that is the name of something else.
func (g *gen) name() string {
	g.names++
	if g.now(8) {
		return fmt.Sprintf(`"%s %d"`, g.pick("users", "email", "Note"), g.names)
	}
	return fmt.Sprintf("%s%d", g.pick("t", "x", "users", "email_"), g.names)
}

// value writes a value for a column of a class.
func (g *gen) value(c class) string {
	if g.now(14) {
		return g.null(c)
	}
	switch c {
	case number:
		if g.now(4) && !g.direct {
			return g.param(int64(g.n(9)), c)
		}
		return fmt.Sprint(g.n(9))
	case phone:
		n := bigPhone + int64(g.n(4))
		if g.n(2) == 1 && !g.direct {
			return g.param(n, c)
		}
		return fmt.Sprint(n)
	case plainText:
		return g.text(g.pick("note a", "note b", "m1", "o1", "", "plain-a"), c)
	}
	return g.text(g.pick("zqcanary-a", "zqcanary-b", "zqcanary-e", "zqcanary-x", "zqcanary-s1", "zqcanary-o'k", `zqcanary-\`), c)
}

// null writes a NULL of the class's type: the plaintext twin would take a bare one for text here and there, and the
// sealed side for a cell.
func (g *gen) null(c class) string {
	if c.numeric() {
		return "NULL::bigint"
	}
	return g.pick("NULL", "NULL::text")
}

func (g *gen) text(s string, c class) string {
	if g.n(2) == 1 && !g.direct {
		return g.param(s, c)
	}
	q := strings.ReplaceAll(s, "'", "''")
	switch g.n(6) {
	case 1:
		return "E'" + strings.ReplaceAll(q, `\`, `\\`) + "'"
	case 2:
		return "$q$" + s + "$q$"
	case 3:
		return "'" + q + "'::text"
	case 4:
		return "CAST('" + q + "' AS varchar)"
	}
	return "'" + q + "'"
}

func (g *gen) param(v any, c class) string {
	g.args = append(g.args, v)
	p := fmt.Sprintf("$%d", len(g.args))
	if c.numeric() {
		return p + "::bigint"
	}
	if c.sealed() {
		g.hot = append(g.hot, p)
	}
	return p + g.pick("::text", "")
}

// known writes a parameter that has met a sealed column already, or a plain value if there is none.
func (g *gen) known() string {
	if len(g.hot) == 0 {
		return "'p'"
	}
	return g.hot[g.n(len(g.hot))] + "::text"
}

// column picks a column of a class that is in sight; "" if there is none.
func (g *gen) column(from []source, c class) string {
	var all []string
	for _, s := range from {
		for _, col := range s.cols {
			if col.class != c {
				continue
			}
			if len(from) == 1 {
				all = append(all, col.name)
			}
			all = append(all, s.alias+"."+col.name)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[g.n(min(len(all), len(dice)-1))]
}

// class picks one that is in sight.
func (g *gen) class(from []source) class {
	s := from[g.n(len(from))]
	return s.cols[g.n(len(s.cols))].class
}

// comparable picks one that is in sight and, mostly, can be compared.
func (g *gen) comparable(from []source) class {
	c := g.class(from)
	if !c.random() || g.now(12) {
		return c
	}
	for _, s := range from {
		for _, col := range s.cols {
			if !col.class.random() {
				return col.class
			}
		}
	}
	return c
}

func has(cols []column, c class) bool {
	for _, col := range cols {
		if col.class == c {
			return true
		}
	}
	return false
}

func classes(cols []column) []class {
	var cs []class
	for _, c := range cols {
		cs = append(cs, c.class)
	}
	return cs
}
