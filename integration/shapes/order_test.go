package shapes

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/litetap"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

var orderStatements = flag.Int("order.n", 250, "how many statements by order to compare with a plaintext twin, for each database and number of search keys")

// people has a column of each sort, and rows of two scopes, which the plain column scope tells on both sides.
const orderDDL = `CREATE TABLE people (id bigint PRIMARY KEY, scope text, org int, age %[1]s, born %[2]s, owed %[3]s, balance %[1]s, token %[4]s);
CREATE TABLE jobs (id bigint PRIMARY KEY, prio %[1]s);
`

var orderTables = schema.Must(
	schema.Columns("people",
		schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "150"},
		schema.Column{Name: "born", Mode: schema.ModeOrdered, Kind: schema.KindDate},
		schema.Column{Name: "owed", Mode: schema.ModeOrdered, Kind: schema.KindNumeric, Min: "-10", Max: "10", Step: "0.5"},
		schema.Column{Name: "balance", Mode: schema.ModeOrdered, Kind: schema.KindInt},
		schema.Column{Name: "token", Mode: schema.ModeDeterministic, Cursor: true}),
	schema.Unscoped(schema.Columns("jobs", schema.Column{Name: "prio", Mode: schema.ModeOrdered, Kind: schema.KindInt})),
)

// people is what a scopesWorld holds: the tables for each database and its twin, the rows, and statements.
type people struct {
	tables                     *schema.Schema
	pg, pgTwin, lite, liteTwin string // DDL
	fill                       func(t *testing.T, w *scopesWorld, first, last int)
	statement                  func(d *draw) text
	kinds                      map[string]*regexp.Regexp // of statements, which have to work
	least                      int                       // one statement in so many works
}

var ordered = people{
	tables: orderTables,
	pg:     fmt.Sprintf(orderDDL, "bytea", "bytea", "bytea", "bytea"),
	pgTwin: fmt.Sprintf(orderDDL, "bigint", "date", "numeric", "text"),
	lite:   fmt.Sprintf(orderDDL, "BLOB", "BLOB", "BLOB", "BLOB"), liteTwin: fmt.Sprintf(orderDDL, "INTEGER", "TEXT", "NUMERIC", "TEXT"),
	fill: fillOrders, statement: (*draw).ordered,
	kinds: kindsOf(`OVER|min\(p\.|ORDER BY p\.age`, `GREATEST|LEAST|(max|min)\(p\.\w+, `, `SELECT (min|max)\(\w\.\w+\)`), least: 2,
}

// scopesWorld is a database with sealed tables and a plaintext twin, and rows of two scopes. Statements run under the scope a.
type scopesWorld struct {
	*canaries
	people
	sealed, twin *sql.DB
	native       native        // PostgreSQL's every other statement goes through pgxseal; nil on SQLite
	take         func() []byte // what was sent since it was last called
	isLite       bool
	keys         int
	since        int // PostgreSQL's version
}

func scoped(scope string) context.Context {
	return keyring.WithScope(context.Background(), scope)
}

// fillOrders writes rows: of scopes a and b, with equal values in both, and NULLs.
func fillOrders(t *testing.T, w *scopesWorld, first, last int) {
	t.Helper()
	dice := rand.New(rand.NewPCG(7, 7))
	for id := 1; id <= last; id++ {
		scope := []string{"a", "a", "b"}[dice.IntN(3)]
		values := []any{id, scope, dice.IntN(4)}
		for _, v := range []any{dice.IntN(8) * 20, fmt.Sprintf("200%d-01-0%d", dice.IntN(9), 1+dice.IntN(3)), fmt.Sprintf("%g", float64(dice.IntN(41)-20)/2),
			w.phone + int64(dice.IntN(9)), fmt.Sprint(w.mark, dice.IntN(30))} {
			if dice.IntN(6) == 0 {
				v = nil
			}
			values = append(values, v)
		}
		if id < first {
			continue
		}
		const insert = "INSERT INTO people(id, scope, org, age, born, owed, balance, token) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)"
		w.insert(t, scope, insert, values, values)
		for _, db := range []*sql.DB{w.sealed, w.twin} {
			if _, err := db.Exec(fmt.Sprintf("INSERT INTO jobs VALUES (%d, %d)", id, values[2].(int)*1000+id%7)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// insert adds a row to both sides.
func (w *scopesWorld) insert(t *testing.T, scope, query string, values, twins []any) {
	t.Helper()
	if w.isLite {
		query = strings.ReplaceAll(query, "$", "?")
	}
	if _, err := w.sealed.ExecContext(scoped(scope), query, values...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.twin.Exec(query, twins...); err != nil {
		t.Fatal(err)
	}
}

const orderRows = 60

// newScopesPG makes the world on PostgreSQL, under one search key of scope a, or two.
func newScopesPG(t *testing.T, p people, db *pgtest.DB, keys int) *scopesWorld {
	t.Helper()
	kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	w := &scopesWorld{canaries: newCanaries(), people: p, keys: keys, since: db.Version}
	exec(t, db.Admin, p.pg)
	settings := map[string]string{}
	if keys == 2 {
		settings["enable_seqscan"], settings["jit"] = "off", "off" // indexes answer, too; what is left to scan seems so dear that it would be compiled
	}
	connect := func() {
		config := &driver.Config{Schema: p.tables, KMS: kek, AutoCreateKeyTable: true}
		sealed, tap := open(t, db.DSN(), db.Name, config, settings)
		native, nativeTap := openNative(t, db.DSN(), db.Name, config, settings)
		w.sealed, w.native, w.take = sealed, native, func() []byte { return append(tap.take(), nativeTap.take()...) }
	}
	connect()
	w.twin, _ = open(t, db.DSN(), db.Name, nil, nil)
	exec(t, w.twin, strings.ReplaceAll(p.pgTwin, "CREATE TABLE", "CREATE TEMPORARY TABLE"))
	if keys == 1 {
		w.fill(t, w, 1, orderRows)
		return w
	}
	w.fill(t, w, 1, orderRows/2)
	w.rotate(t, db.Admin, kek)
	connect()
	w.fill(t, w, orderRows/2+1, orderRows)
	return w
}

// rotate makes a second search key of the scope a, which new connections seal under.
func (w *scopesWorld) rotate(t *testing.T, db *sql.DB, kek kms.Wrapper) {
	t.Helper()
	dialect, ago := keyring.DialectPostgres, "now() - interval '%d hours'"
	if w.isLite {
		dialect, ago = keyring.DialectSQLite, "strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now', '-%d hours')"
	}
	admin := keyring.NewAdmin(keyring.OpenStore(db, dialect, ""), kek, keyring.AdminConfig{})
	if _, err := admin.Rotate(t.Context(), keyring.PurposeSearch, "a"); err != nil {
		t.Fatal(err)
	}
	exec(t, db, fmt.Sprintf("UPDATE colseal_keys SET seals_from = "+ago+", created_at = "+ago+" WHERE purpose = 'search' AND epoch = 2", 1, 2))
}

// newScopesLite makes it on SQLite.
func newScopesLite(t *testing.T, p people, keys int) *scopesWorld {
	t.Helper()
	kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	tap := new(litetap.Tap)
	w := &scopesWorld{canaries: newCanaries(), people: p, isLite: true, keys: keys, take: func() []byte { return []byte(tap.Take()) }}
	file := filepath.Join(t.TempDir(), "sealed.db")
	open := func(cn sqldriver.Connector) *sql.DB {
		db := sql.OpenDB(cn)
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	connect := func() {
		cn, err := driver.NewConnector(litetap.Connector{DSN: file, Tap: tap}, driver.Config{Schema: p.tables, KMS: kek, Dialect: driver.DialectSQLite, AutoCreateKeyTable: true})
		if err != nil {
			t.Fatal(err)
		}
		w.sealed = open(cn)
	}
	raw := open(litetap.Connector{DSN: file})
	exec(t, raw, p.lite)
	connect()
	w.twin = open(litetap.Connector{DSN: filepath.Join(t.TempDir(), "twin.db")})
	exec(t, w.twin, p.liteTwin)
	w.fill(t, w, 1, orderRows/keys)
	if keys == 2 {
		w.rotate(t, raw, kek)
		connect() // another program, which has no keys yet
		w.fill(t, w, orderRows/keys+1, orderRows)
	}
	return w
}

// A drawn statement is written twice. What it says of rows of scope b is the oracle for cells of another scope: a comparison by order
// with a value is false of them, and so is its negation; they are equal to no value. NULL is NULL in every scope.
type draw struct {
	w    *scopesWorld
	r    *rand.Rand
	args []any
}

// text is an expression as the sealed side gets it, and as the twin does.
type text struct{ sealed, twin string }

func same(format string, args ...any) text {
	s := fmt.Sprintf(format, args...)
	return text{s, s}
}

func (d *draw) pick(s ...string) string { return s[d.r.IntN(len(s))] }

// own is, on the twin, that a cell is one of the scope of the statement.
func own(alias, c string) string {
	return fmt.Sprintf("(%s.scope = 'a' OR %s.%s IS NULL)", alias, alias, c)
}

func (d *draw) column() string { return d.pick("age", "born", "owed", "balance") }

// value is a literal or a parameter that a column is compared with; some no column can hold.
func (d *draw) value(c string) string {
	var v any
	lit := ""
	switch c {
	case "age":
		n := int64(d.r.IntN(24)*10 - 30)
		v, lit = n, fmt.Sprint(n)
	case "born":
		s := fmt.Sprintf("200%d-01-0%d", d.r.IntN(10), 1+d.r.IntN(3))
		if !d.w.isLite && d.r.IntN(8) == 0 {
			s = d.pick("infinity", "-infinity")
		}
		v, lit = s, "'"+s+"'"
	case "owed":
		n := float64(d.r.IntN(100)-50) / 4
		v, lit = n, fmt.Sprint(n)
		if !d.w.isLite {
			v = fmt.Sprint(n)
		}
	case "balance":
		n := d.w.phone + int64(d.r.IntN(11)) - 1
		v, lit = n, fmt.Sprint(n)
	}
	switch d.r.IntN(12) {
	case 0, 1, 2, 3, 4:
		return lit
	case 5:
		return "NULL"
	}
	return d.param(v)
}

// some is a value that is not NULL: a list with NULL in it is unknown, and not false, of what it does not have.
func (d *draw) some(c string) string {
	for {
		if v := d.value(c); v != "NULL" {
			return v
		}
	}
}

func (d *draw) param(v any) string {
	d.args = append(d.args, v)
	if d.w.isLite {
		return fmt.Sprintf("?%d", len(d.args))
	}
	return fmt.Sprintf("$%d", len(d.args))
}

// confinedTo is a comparison by order as it is true, or under an odd number of NOTs false, of the scope's own rows alone.
func confinedTo(own string, odd bool, s string) text {
	if odd {
		return text{s, fmt.Sprintf("(%s OR NOT %s)", s, own)}
	}
	return text{s, fmt.Sprintf("(%s AND %s)", s, own)}
}

// between is two comparisons of one column, between whose values its own may be.
func (d *draw) between(alias string, odd bool) text {
	c := d.column()
	name := alias + "." + c
	var least, greatest string
	if above := d.pick(">", ">="); d.r.IntN(3) > 0 {
		least = fmt.Sprintf("%s %s %s", name, above, d.value(c))
	} else {
		least = fmt.Sprintf("(%s, %s.id) %s (%s, %d)", name, alias, above, d.value(c), d.r.IntN(orderRows))
	}
	if d.r.IntN(3) > 0 {
		greatest = fmt.Sprintf("%s %s %s", name, d.pick("<", "<="), d.value(c))
	} else {
		greatest = fmt.Sprintf("%s %s %s", d.value(c), d.pick(">", ">="), name)
	}
	x, y := confinedTo(own(alias, c), odd, least), confinedTo(own(alias, c), odd, greatest)
	return text{fmt.Sprintf("(%s AND %s)", x.sealed, y.sealed), fmt.Sprintf("(%s AND %s)", x.twin, y.twin)}
}

// storable is a value that the column can hold.
func (d *draw) storable(c string) string {
	switch c {
	case "age":
		return fmt.Sprint(d.r.IntN(15) * 10)
	case "born":
		return fmt.Sprintf("'200%d-01-0%d'", d.r.IntN(10), 1+d.r.IntN(3))
	case "owed":
		return fmt.Sprint(float64(d.r.IntN(40)-20) / 2)
	}
	return d.param(d.w.phone + d.r.Int64N(9))
}

// members is an array of values, and whether it has any.
func (d *draw) members(c string) (array string, some bool) {
	var list []string
	for range d.r.IntN(5) - 1 {
		n := len(d.args)
		v := d.value(c)
		if len(d.args) > n {
			v, d.args = fmt.Sprint(d.args[n]), d.args[:n] // it stands in the array
		}
		list = append(list, strings.Trim(v, "'"))
	}
	literal := "{" + strings.Join(list, ",") + "}"
	typ := map[string]string{"age": "bigint", "born": "date", "owed": "numeric", "balance": "bigint"}[c]
	switch {
	case d.r.IntN(3) == 0:
		return "'" + literal + "'" + d.pick("", "::"+typ+"[]"), len(list) > 0
	case len(list) > 0 && d.r.IntN(3) == 0:
		array = "ARRAY["
		for i := range list {
			if i > 0 {
				array += ", "
			}
			array += d.storable(c)
		}
		return array + "]::" + typ + "[]", true
	}
	return d.param(literal) + d.pick("", "::"+typ+"[]"), len(list) > 0
}

// quantified is a comparison by order with the members of an array.
func (d *draw) quantified(alias, c, op string, odd bool) text {
	array, some := d.members(c)
	quant := d.pick("ANY", "ALL")
	s := fmt.Sprintf("%s.%s %s %s (%s)", alias, c, op, quant, array)
	if !some { // false, or true, of every cell
		return text{s, s}
	}
	return confinedTo(own(alias, c), odd, s)
}

// comparison is a leaf. odd says what it is under.
func (d *draw) comparison(alias string, odd bool) text {
	c := d.column()
	name := alias + "." + c
	confined := func(s string) text { return confinedTo(own(alias, c), odd, s) }
	op := d.pick("<", "<=", ">", ">=")
	switch d.r.IntN(16) {
	case 0, 1, 2, 3:
		return confined(name + " " + op + " " + d.value(c))
	case 4:
		return confined(d.value(c) + " " + op + " " + name)
	case 5:
		sym := ""
		if !d.w.isLite {
			sym = d.pick("", " SYMMETRIC")
		}
		return confined(fmt.Sprintf("%s BETWEEN%s %s AND %s", name, sym, d.value(c), d.value(c)))
	case 6:
		return confined(fmt.Sprintf("%s NOT BETWEEN %s AND %s", name, d.value(c), d.value(c)))
	case 7:
		return confined(fmt.Sprintf("(%s, %s.id) %s (%s, %d)", name, alias, op, d.value(c), d.r.IntN(orderRows)))
	case 8:
		org := d.r.IntN(4)
		s := fmt.Sprintf("(%s.org, %s, %s.id) %s (%d, %s, %d)", alias, name, alias, op, org, d.value(c), d.r.IntN(orderRows))
		if odd {
			return text{s, fmt.Sprintf("(%s OR (%s.org = %d AND NOT %s))", s, alias, org, own(alias, c))}
		}
		return text{s, fmt.Sprintf("(%s AND (%s.org <> %d OR %s))", s, alias, org, own(alias, c))}
	case 9:
		s := name + " IN (" + d.some(c)
		for d.r.IntN(2) == 0 {
			s += ", " + d.some(c)
		}
		s += ")"
		return text{s, fmt.Sprintf("(%s AND %s)", s, own(alias, c))}
	case 10:
		return same("%s IS %sNULL", name, d.pick("", "NOT "))
	case 11, 12, 13, 14:
		if !d.w.isLite {
			return d.quantified(alias, c, op, odd)
		}
	}
	return same("%s.org %s %d", alias, op, d.r.IntN(4))
}

// condition is a tree of comparisons. odd is the parity of the NOTs above, as long as nothing but AND, OR and NOT stands between.
func (d *draw) condition(depth int, odd bool, aliases ...string) text {
	if depth == 0 || d.r.IntN(5) == 0 {
		return d.comparison(aliases[d.r.IntN(len(aliases))], odd)
	}
	switch d.r.IntN(9) {
	case 8:
		return d.between(aliases[d.r.IntN(len(aliases))], odd)
	case 0, 1, 2:
		x, y := d.condition(depth-1, odd, aliases...), d.condition(depth-1, odd, aliases...)
		op := d.pick("AND", "OR")
		return text{fmt.Sprintf("(%s %s %s)", x.sealed, op, y.sealed), fmt.Sprintf("(%s %s %s)", x.twin, op, y.twin)}
	case 3, 4, 5:
		x := d.condition(depth-1, !odd, aliases...)
		return text{"NOT (" + x.sealed + ")", "NOT (" + x.twin + ")"}
	case 6:
		x, is := d.condition(depth-1, false, aliases...), d.pick("IS TRUE", "IS NOT TRUE")
		return text{"((" + x.sealed + ") " + is + ")", "((" + x.twin + ") " + is + ")"}
	}
	x := d.condition(depth-1, false, aliases...)
	return text{"(CASE WHEN " + x.sealed + " THEN 1 ELSE 0 END = 1)", "(CASE WHEN " + x.twin + " THEN 1 ELSE 0 END = 1)"}
}

// confining is a conjunct that confines a column, or one that looks so.
func (d *draw) confining(alias, c string) text {
	name := alias + "." + c
	is := func(s string) text { return text{s, fmt.Sprintf("(%s AND %s)", s, own(alias, c))} }
	least := map[string]string{"age": "0", "born": "'0001-01-01'", "owed": "-10", "balance": "0"}[c]
	switch d.r.IntN(16) {
	case 12, 13: // a page
		op, v := d.pick("<", ">"), d.value(c)
		return is(fmt.Sprintf("(%s %s %s OR %s = %s AND %s.id %s %d)", name, op, v, name, v, alias, op, d.r.IntN(orderRows)))
	case 14:
		x := is(fmt.Sprintf("(%s < %s OR %s >= %s)", name, d.value(c), name, d.value(c)))
		return text{fmt.Sprintf("(%s OR %s IS NULL AND %s.id > 3)", x.sealed, name, alias), fmt.Sprintf("(%s OR %s IS NULL AND %s.id > 3)", x.twin, name, alias)}
	case 15: // a part of it says nothing of the column
		x, n := is(fmt.Sprintf("%s > %s", name, d.value(c))), d.r.IntN(orderRows)
		return text{fmt.Sprintf("(%s OR %s.id > %d)", x.sealed, alias, n), fmt.Sprintf("(%s OR %s.id > %d)", x.twin, alias, n)}
	case 0, 1, 2:
		return is(fmt.Sprintf("%s >= %s", name, least))
	case 3, 4:
		x := is(fmt.Sprintf("%s >= %s", name, least))
		return text{fmt.Sprintf("(%s OR %s IS NULL)", x.sealed, name), fmt.Sprintf("(%s OR %s IS NULL)", x.twin, name)}
	case 5:
		return is(fmt.Sprintf("(%s, %s.id) > (%s, %d)", name, alias, d.value(c), d.r.IntN(orderRows)))
	case 6:
		return is(fmt.Sprintf("%s BETWEEN %s AND %s", name, d.value(c), d.value(c)))
	case 7:
		return is(fmt.Sprintf("%s IN (%s, %s)", name, d.value(c), d.value(c)))
	case 8:
		return is(fmt.Sprintf("%s %s %s", name, d.pick("<", "<=", ">", ">="), d.value(c)))
	case 9:
		s := fmt.Sprintf("%s <> %s", name, d.value(c))
		return text{s, fmt.Sprintf("(%s OR NOT %s)", s, own(alias, c))}
	}
	return d.condition(1, false, alias)
}

// ordered is a statement in which nothing is left to the order in which a server finds rows.
func (d *draw) ordered() text {
	join := func(format string, xs ...text) text {
		var s, w []any
		for _, x := range xs {
			s, w = append(s, x.sealed), append(w, x.twin)
		}
		return text{fmt.Sprintf(format, s...), fmt.Sprintf(format, w...)}
	}
	c := d.column()
	lit := func(s string) text { return text{s, s} }
	direction := lit(d.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST"))
	out := lit(d.pick("p.age", "p.balance"))
	greatest, least := "GREATEST", "LEAST"
	if d.w.isLite {
		greatest, least = "max", "min"
	}
	switch n := d.r.IntN(25); n {
	case 20:
		c := d.pick("age", "balance")
		return join("SELECT p.id, %s(p.%s, %s) AS g FROM people p WHERE %s ORDER BY p.id", lit(d.pick(greatest, least)), lit(c), lit(d.storable(c)), d.confining("p", c))
	case 21:
		return join("SELECT p.id FROM people p WHERE %s ORDER BY %s(p.%s, %s)%s, p.id LIMIT 20", d.confining("p", c), lit(d.pick(greatest, least)), lit(c), lit(d.storable(c)), direction)
	case 22:
		return join("SELECT p.id, q.id AS qid FROM people p JOIN people q ON q.id = p.id + 1 AND %s WHERE %s AND %s(p.%s, q.%s) = %s ORDER BY p.id", d.confining("p", c), d.confining("q", c),
			lit(d.pick(greatest, least)), lit(c), lit(c), lit(d.storable(c)))
	case 23:
		c := d.pick("age", "balance")
		return join("SELECT %s(p.%s)%s FROM people p WHERE %s", lit(d.pick("min", "max")), lit(c), lit(d.pick(" AS l", " l")), d.confining("p", c))
	case 24:
		c := d.pick("age", "balance")
		return join("SELECT p.id, (SELECT %s(q.%s) FROM people q WHERE q.org = p.org AND %s) AS m FROM people p ORDER BY p.id", lit(d.pick("min", "max")), lit(c), d.confining("q", c))
	case 0, 1, 2:
		return join("SELECT p.id, %s FROM people p WHERE %s ORDER BY p.id", out, d.condition(3, false, "p"))
	case 3:
		return join("SELECT count(*), sum(p.id) FROM people p WHERE %s", d.condition(3, false, "p"))
	case 4, 5:
		kind := lit(d.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
		if d.w.isLite && kind.sealed == "FULL JOIN" {
			kind = lit("LEFT JOIN")
		}
		on := text{"TRUE", "TRUE"}
		if kind.sealed != "FULL JOIN" { // which PostgreSQL does by equality only
			on = d.condition(2, false, "p", "q")
		}
		return join("SELECT p.id, q.id AS qid FROM people p %s people q ON q.id = p.id + 1 AND %s WHERE %s ORDER BY p.id, q.id", kind, on, d.condition(1, false, "p", "q"))
	case 6:
		return join("SELECT p.id FROM people p WHERE p.id IN (SELECT q.id FROM people q WHERE %s) AND %s ORDER BY p.id", d.condition(2, false, "q"), d.condition(1, false, "p"))
	case 7:
		return join("SELECT p.id FROM people p WHERE NOT EXISTS (SELECT 1 FROM people q WHERE q.org = p.org AND %s) ORDER BY p.id", d.condition(2, false, "p", "q"))
	case 8, 9:
		return join("SELECT p.id, %s FROM people p WHERE %s AND %s ORDER BY p.%s%s, p.id LIMIT 20", out, d.confining("p", c), d.condition(1, false, "p"), lit(c), direction)
	case 10, 17, 18, 19:
		// Which side is preserved decides whether the condition confines the column that is sorted by.
		kind, of, by := lit(d.pick("JOIN", "LEFT JOIN", "RIGHT JOIN")), d.pick("p", "q"), lit(d.pick("p", "q"))
		on := d.confining(of, c)
		return join("SELECT p.id, q.id AS qid FROM people p %s people q ON q.id = p.id + 1 AND %s ORDER BY %s.%s%s, p.id, q.id", kind, on, by, lit(c), direction)
	case 11:
		c := lit(d.pick("age", "balance"))
		return join("SELECT p.org, min(p.%s) AS l, max(p.%s) FROM people p WHERE %s GROUP BY p.org HAVING count(*) > 1 ORDER BY p.org", c, c, d.confining("p", c.sealed))
	case 12:
		return join("SELECT p.id, rank() OVER (ORDER BY p.%s%s) AS r, sum(p.id) OVER (PARTITION BY p.org ORDER BY p.%s, p.id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM people p WHERE %s ORDER BY p.id",
			lit(c), direction, lit(c), d.confining("p", c))
	case 13:
		op := lit(d.pick("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
		c := lit(d.pick("age", "balance"))
		return join("SELECT p.id, p.%s AS c FROM people p WHERE %s %s SELECT q.id, q.%s FROM people q WHERE %s ORDER BY 2, 1", c, d.confining("p", c.sealed), op, c, d.confining("q", c.sealed))
	case 14:
		return join("WITH s AS (SELECT p.id, p.scope, p.org, p.age, p.born, p.owed, p.balance FROM people p WHERE %s) SELECT s.id FROM s WHERE %s ORDER BY s.%s%s, s.id",
			d.confining("p", c), d.condition(1, false, "s"), lit(c), direction)
	case 15:
		if d.w.isLite {
			return lit("SELECT id, prio FROM jobs ORDER BY prio DESC, id LIMIT 9")
		}
		return join("SELECT DISTINCT ON (p.%s) p.id FROM people p WHERE %s ORDER BY p.%s%s, p.id", lit(c), d.confining("p", c), lit(c), direction)
	}
	if d.w.isLite {
		return join("SELECT min(prio) AS l, max(prio) AS g FROM jobs WHERE prio > %s", lit(d.param(int64(d.r.IntN(3000)))))
	}
	c = d.pick("age", "balance")
	percentile := lit(d.pick("0.25", "'0.5'"))
	if d.r.IntN(2) == 0 {
		percentile = lit(d.param(float64(d.r.IntN(5))/4) + d.pick("", "::numeric"))
	}
	return join("SELECT min(p.id), array_agg(p.id ORDER BY p.%s, p.id), percentile_disc(%s) WITHIN GROUP (ORDER BY p.%s%s) AS d, count(*) FILTER (WHERE %s) FROM people p WHERE %s",
		lit(c), percentile, lit(c), direction, d.condition(1, false, "p"), d.confining("p", c))
}

// TestOrderRandom compares statements that compare and sort by ordered columns with a plaintext twin.
func TestOrderRandom(t *testing.T) {
	n, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for keys := 1; keys <= 2; keys++ {
			t.Run(fmt.Sprint(keys, " keys"), func(t *testing.T) { newScopesPG(t, ordered, db, keys).random(t, n, *orderStatements) })
			exec(t, db.Admin, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		}
	})
	for keys := 1; keys <= 2; keys++ {
		t.Run(fmt.Sprint("SQLite ", keys, " keys"), func(t *testing.T) { newScopesLite(t, ordered, keys).random(t, n, *orderStatements) })
	}
}

// random compares n drawn statements. At least one in w.least works, and some of every kind where one search key is live.
func (w *scopesWorld) random(t *testing.T, seed uint64, n int) {
	w.take()
	works, kinds, refusals, leaks, wrongs := 0, map[string]int{}, map[string]int{}, 0, 0
	for i := range n {
		d := &draw{w: w, r: rand.New(rand.NewPCG(seed, uint64(i)))}
		q := w.statement(d)
		ctx := scoped("a")
		if strings.Contains(q.sealed, "FROM jobs") {
			ctx = context.Background() // the table has no scopes
		}
		byNative := w.native != nil && i%2 == 1
		got, err := w.read(ctx, byNative, q.sealed, d.args)
		if sent := w.take(); w.leaks(sent) {
			leaks++
			t.Errorf("leaks: statement %d\n%s\n%v", i, q.sealed, d.args)
		}
		if errors.Is(err, driver.ErrRefused) {
			refusals[reasonOf(err)]++
			continue
		}
		want, twinErr := w.readTwin(byNative, q.twin, d.args)
		switch {
		case (err == nil) != (twinErr == nil):
			wrongs++
			t.Errorf("wrong: statement %d\n%s\n%v\nerror %v\non the twin %v\n%s", i, q.sealed, d.args, err, twinErr, q.twin)
		case !slices.Equal(got, want):
			wrongs++
			t.Errorf("wrong: statement %d\n%s\n%v\nrows\n  %q\non the twin\n  %q\n%s", i, q.sealed, d.args, got, want, q.twin)
		case err == nil:
			works++
			for kind, is := range w.kinds {
				if is.MatchString(q.sealed) {
					kinds[kind]++
				}
			}
		}
	}
	t.Logf("%d statements: %d work, of which have %v; %d wrong, %d leak; refused: %v", n, works, kinds, wrongs, leaks, refusals)
	if works < n/(w.least*w.keys)-n/20 || w.keys == 1 && len(kinds) < len(w.kinds) {
		t.Errorf("%d of %d statements work, of which have %v; refused: %v", works, n, kinds, refusals)
	}
}

// read runs a query on the sealed side.
func (w *scopesWorld) read(ctx context.Context, byNative bool, query string, args []any) ([]string, error) {
	if byNative {
		return readNative(ctx, w.native, query, args...)
	}
	return readIn(ctx, w.sealed, query, args)
}

// readTwin runs it on the twin, whose only connection has its temporary tables.
func (w *scopesWorld) readTwin(byNative bool, query string, args []any) (rows []string, err error) {
	ctx := context.Background()
	if !byNative {
		return readIn(ctx, w.twin, query, args)
	}
	conn, err := w.twin.Conn(ctx)
	if err != nil {
		return nil, err
	}
	err = conn.Raw(func(c any) (err error) {
		rows, err = readNative(ctx, c.(*stdlib.Conn).Conn(), query, args...)
		return err
	})
	return rows, errors.Join(err, conn.Close())
}

func reasonOf(err error) string {
	s := err.Error()
	for _, why := range []string{"several scopes", "two search keys", "label of this result column"} {
		if strings.Contains(s, why) {
			return why
		}
	}
	return reason(s)
}

func readIn(ctx context.Context, db *sql.DB, query string, args []any) ([]string, error) {
	return read(inContext{ctx, db}, query, args...)
}

type inContext struct {
	ctx context.Context
	db  *sql.DB
}

func (q inContext) Query(query string, args ...any) (*sql.Rows, error) {
	return q.db.QueryContext(q.ctx, query, args...)
}

// TestCursorPages: pages over a cursor column neither repeat nor miss a row, in whatever order they come.
func TestCursorPages(t *testing.T) {
	walk := func(t *testing.T, w *scopesWorld) {
		want, err := readIn(context.Background(), w.twin, "SELECT id FROM people WHERE scope = 'a' AND token IS NOT NULL ORDER BY id", nil)
		if err != nil {
			t.Fatal(err)
		}
		first, next := "SELECT id, token FROM people WHERE token > '' OR id > 0 ORDER BY token, id LIMIT 4", "SELECT id, token FROM people WHERE (token, id) > ($1, $2) ORDER BY token, id LIMIT 4"
		if _, err := w.sealed.QueryContext(scoped("a"), first); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("an OR of which a part says nothing of the column confines it: %v", err)
		}
		if w.isLite {
			next = strings.ReplaceAll(next, "$", "?")
		}
		// What is less than every cell is no value; a page begins behind the last row of the one before.
		var got []string
		token, id := w.mark, -1
		for pages := 0; pages <= orderRows; pages++ {
			rs, err := w.sealed.QueryContext(scoped("a"), next, token, id)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for ; rs.Next(); n++ {
				if err := rs.Scan(&id, &token); err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("id=%d|", id))
			}
			if err := errors.Join(rs.Err(), rs.Close()); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
		// The walk began at a value that no row has: the rows before it are those that are less.
		less := "SELECT id FROM people WHERE token < $1"
		if w.isLite {
			less = strings.ReplaceAll(less, "$", "?")
		}
		before, err := readIn(scoped("a"), w.sealed, less, []any{w.mark})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, before...)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("pages have\n%q, want\n%q", got, want)
		}
	}
	t.Run("PostgreSQL", func(t *testing.T) { walk(t, newScopesPG(t, ordered, pgtest.New(t), 1)) })
	t.Run("SQLite", func(t *testing.T) { walk(t, newScopesLite(t, ordered, 1)) })
}

// Where pgx writes arguments into the text, nothing else says what type an array has.
func TestOrderedArraysInTheText(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		exec(t, db.Admin, "CREATE TABLE jobs (id bigint, prio bytea)")
		w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		cfg, _ := connConfig(t, db.DSN(), db.Name, nil)
		cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		connector, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: orderTables, KMS: w, AutoCreateKeyTable: true})
		if err != nil {
			t.Fatal(err)
		}
		sealed := sql.OpenDB(connector)
		defer func() { _ = sealed.Close() }()
		exec(t, sealed, "INSERT INTO jobs VALUES (1, 1), (2, 2), (3, 3), (4, NULL)")
		for where, want := range map[string]string{
			"prio >= ALL ($1)": "[id=2| id=3|]", "NOT prio < ANY ($1)": "[id=2| id=3|]", "prio < ANY ($1)": "[id=1|]", "NOT prio > ALL ($1)": "[id=1| id=2|]",
			"prio <= ALL ($1::bigint[])": "[id=1|]", "prio >= ALL ('{1,2}')": "[id=2| id=3|]", "NOT prio > ANY ('{1,2}')": "[id=1|]",
		} {
			args := []any{[]int64{1, 2}}
			if !strings.Contains(where, "$1") {
				args = nil
			}
			if got, err := read(sealed, "SELECT id FROM jobs WHERE "+where+" ORDER BY id", args...); err != nil || fmt.Sprint(got) != want {
				t.Errorf("%s: %v, %v, want %s", where, got, err, want)
			}
		}
	})
}
