package shapes

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A generator writes random statements over the tables of ddl. Canaries stand only where
// a value meets a sealed column, and in places where nothing says what it is if the same
// parameter meets a sealed column elsewhere in the statement: so a canary that is sent is
// a leak.
type generator struct {
	r     *rand.Rand
	args  []any
	cases []bool // which args are canaries that have met a sealed column
	names int
}

// class is what a column holds.
type class uint8

const (
	number class = iota
	plainText
	mail  // sealed, deterministic, of the join group
	lead  // sealed, deterministic, another identity
	ssn   // sealed, randomized
	phone // sealed, deterministic, a number
)

type column struct {
	name  string
	class class
}

// source is a FROM item under its alias.
type source struct {
	alias string
	cols  []column
}

var base = map[string][]column{
	"users":     {{"id", number}, {"email", mail}, {"ssn", ssn}, {"note", plainText}, {"org", number}},
	"archive":   {{"id", number}, {"email", mail}, {"ssn", ssn}, {"memo", plainText}},
	"leads":     {{"id", number}, {"email", lead}, {"phone", phone}},
	"orders":    {{"id", number}, {"user_id", number}, {"memo", plainText}},
	"contacts":  {{"id", number}, {"email", plainText}},
	"user_view": {{"id", number}, {"email", mail}, {"note", plainText}},
}

var baseNames = []string{"users", "users", "archive", "leads", "orders", "contacts", "user_view"}

func (g *generator) pick(ss ...string) string { return ss[g.r.IntN(len(ss))] }
func (g *generator) one(n int) bool           { return g.r.IntN(n) == 0 }

// fresh makes an alias; now and then one that is the name of something else.
func (g *generator) fresh() string {
	g.names++
	if g.one(6) {
		return fmt.Sprintf(`"%s %d"`, g.pick("users", "email", "Note"), g.names)
	}
	return fmt.Sprintf("%s%d", g.pick("t", "x", "users", "email_"), g.names)
}

// value writes a value for a column of a class.
func (g *generator) value(c class) string {
	if g.one(12) {
		return "NULL"
	}
	var v any
	switch c {
	case number:
		return fmt.Sprint(g.r.IntN(9))
	case plainText:
		v = g.pick("note a", "note b", "m1", "o1", "", "plain-a")
	case phone:
		n := bigPhone + int64(g.r.IntN(4))
		if g.one(2) {
			return fmt.Sprint(n)
		}
		v = n
	default:
		v = g.pick("zqcanary-a", "zqcanary-b", "zqcanary-e", "zqcanary-x", "zqcanary-s1", "zqcanary-o'k", "zqcanary-\\")
	}
	s, text := v.(string)
	if text && g.one(2) {
		return g.literal(s)
	}
	return g.param(v, c)
}

func (g *generator) literal(s string) string {
	q := strings.ReplaceAll(s, "'", "''")
	switch g.r.IntN(6) {
	case 0:
		return "E'" + strings.ReplaceAll(q, `\`, `\\`) + "'"
	case 1:
		return "$q$" + s + "$q$"
	case 2:
		return "'" + q + "'::text"
	case 3:
		return "CAST('" + q + "' AS varchar)"
	}
	return "'" + q + "'"
}

func (g *generator) param(v any, c class) string {
	g.args = append(g.args, v)
	g.cases = append(g.cases, c >= mail && c != phone)
	p := fmt.Sprintf("$%d", len(g.args))
	switch v.(type) {
	case string:
		if g.one(3) {
			return p + "::text"
		}
	case int64:
		return p + "::bigint"
	}
	return p
}

// known writes a parameter that has met a sealed column already, of type text, or a plain
// value if there is none.
func (g *generator) known() string {
	for i, ok := range g.cases {
		if ok && g.one(2) {
			return fmt.Sprintf("$%d", i+1) + g.pick("", "::text")
		}
	}
	return "'p'"
}

// column picks a column of a class that is in sight; "" if there is none.
func (g *generator) column(from []source, c class) string {
	var all []string
	for _, s := range from {
		for _, col := range s.cols {
			if col.class == c {
				all = append(all, s.alias+"."+col.name)
				if len(from) == 1 {
					all = append(all, col.name)
				}
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[g.r.IntN(len(all))]
}

// classes are those in sight.
func (g *generator) class(from []source) class {
	s := from[g.r.IntN(len(from))]
	return s.cols[g.r.IntN(len(s.cols))].class
}

// expr writes an expression of a class.
func (g *generator) expr(from []source, c class, depth int) string {
	if depth > 0 {
		switch g.r.IntN(10) {
		case 0:
			return fmt.Sprintf("COALESCE(%s, %s)", g.expr(from, c, depth-1), g.expr(from, c, depth-1))
		case 1:
			return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", g.cond(from, depth-1), g.expr(from, c, depth-1), g.expr(from, c, depth-1))
		case 2:
			return fmt.Sprintf("NULLIF(%s, %s)", g.expr(from, c, depth-1), g.expr(from, c, depth-1))
		case 3:
			q, _ := g.query([]class{c}, from, depth-1)
			return "(" + q + " ORDER BY 1 LIMIT 1)"
		case 4:
			t := g.pick("users", "archive", "leads", "orders")
			in := source{g.fresh(), base[t]}
			if col := g.column([]source{in}, c); col != "" {
				return fmt.Sprintf("(SELECT %s FROM %s AS %s WHERE %s.id = %d)", col, t, in.alias, in.alias, 1+g.r.IntN(4))
			}
		case 5:
			if c == plainText && g.one(2) {
				return fmt.Sprintf("%s(%s)", g.pick("lower", "concat", "trim"), g.other(from, c, depth-1))
			}
		}
	}
	if col := g.column(from, c); col != "" && !g.one(4) {
		return col
	}
	return g.value(c)
}

// other mostly writes an expression of a class; now and then a column of another one, so
// that some statements are refused.
func (g *generator) other(from []source, c class, depth int) string {
	if g.one(25) {
		if col := g.column(from, g.class(from)); col != "" {
			return col
		}
	}
	return g.expr(from, c, depth)
}

// cond writes a condition.
func (g *generator) cond(from []source, depth int) string {
	c := g.class(from)
	if c == ssn && !g.one(10) {
		return g.column(from, c) + g.pick(" IS NULL", " IS NOT NULL")
	}
	if depth > 0 && g.one(3) {
		switch g.r.IntN(6) {
		case 0:
			return fmt.Sprintf("(%s OR %s)", g.cond(from, depth-1), g.cond(from, depth-1))
		case 1:
			return fmt.Sprintf("(%s AND NOT (%s))", g.cond(from, depth-1), g.cond(from, depth-1))
		case 2:
			t := g.pick("users", "archive", "orders")
			in := source{g.fresh(), base[t]}
			return fmt.Sprintf("EXISTS (SELECT 1 FROM %s AS %s WHERE %s)", t, in.alias, g.cond(append([]source{in}, from...), depth-1))
		case 3:
			q, _ := g.query([]class{c}, nil, depth-1)
			return fmt.Sprintf("%s %s (%s)", g.known1(from, c), g.pick("IN", "NOT IN", "= ANY", "<> ALL"), q)
		case 4:
			if col := g.column(from, c); col != "" {
				v := g.value(c)
				if strings.HasPrefix(v, "$") && v[1] != 'q' && c >= mail && c != phone {
					p := fmt.Sprintf("$%d", len(g.args))
					return fmt.Sprintf("(%s OR %s = %s)", g.pick(p+"::text IS NULL", p+" = ''", "COALESCE("+p+", '') = ''", p+"::text = "+p+"::text"), col, p+"::text")
				}
				return col + " = " + v
			}
		}
	}
	l := g.known1(from, c)
	switch g.r.IntN(12) {
	case 0:
		return l + g.pick(" IS NULL", " IS NOT NULL")
	case 1:
		return fmt.Sprintf("%s %s (%s, %s)", l, g.pick("IN", "NOT IN"), g.expr(from, c, 0), g.value(c))
	case 2:
		return fmt.Sprintf("%s IS %sDISTINCT FROM %s", l, g.pick("", "NOT "), g.expr(from, c, depth-1))
	case 3:
		if c != number && c != phone {
			return fmt.Sprintf("%s = ANY(ARRAY[%s, %s])", l, g.value(c), g.value(c))
		}
	case 4:
		if c != number && c != phone && l != "" {
			vals := []string{"zqcanary-a", "zqcanary-b", ""}
			if c == plainText {
				vals = []string{"note a", "m1"}
			}
			g.args, g.cases = append(g.args, vals), append(g.cases, false)
			return fmt.Sprintf("%s %s($%d%s)", l, g.pick("= ANY", "<> ALL"), len(g.args), g.pick("", "::text[]"))
		}
	case 5:
		return fmt.Sprintf("(%s, 1) = (%s, 1)", l, g.expr(from, c, 0))
	case 6:
		return fmt.Sprintf("CASE %s WHEN %s THEN true ELSE false END", l, g.expr(from, c, 0))
	case 7:
		if g.one(4) {
			return fmt.Sprintf("%s %s %s", l, g.pick(">", "<", "<="), g.expr(from, c, 0))
		}
	}
	return fmt.Sprintf("%s %s %s", l, g.pick("=", "=", "<>"), g.other(from, c, depth-1))
}

// known1 writes a column of a class, which gives whatever it meets its role.
func (g *generator) known1(from []source, c class) string {
	if col := g.column(from, c); col != "" {
		return col
	}
	return "NULL"
}

// from writes a FROM clause.
func (g *generator) from(outer []source, depth int) (string, []source) {
	text, items := g.item(depth)
	for g.one(3) && len(items) < 3 {
		more, in := g.item(depth)
		both := append(append([]source{}, items...), in...)
		switch g.r.IntN(4) {
		case 0:
			text, items = text+", "+more, both
		case 1:
			text, items = fmt.Sprintf("%s JOIN %s ON %s", text, more, g.cond(both, 0)), both
		case 2:
			text, items = fmt.Sprintf("%s LEFT JOIN %s ON %s", text, more, g.cond(both, 0)), both
		default:
			text, items = fmt.Sprintf("%s CROSS JOIN %s", text, more), both
		}
	}
	return text, items
}

// item writes one FROM item.
func (g *generator) item(depth int) (string, []source) {
	alias := g.fresh()
	switch n := g.r.IntN(8); {
	case n == 0 && depth > 0:
		cs := g.shape()
		q, cols := g.query(cs, nil, depth-1)
		return "(" + q + ") AS " + alias, []source{{alias, cols}}
	case n == 1 && depth > 0:
		cs := g.shape()
		q, cols := g.query(cs, nil, depth-1)
		list := make([]string, len(cols))
		renamed := make([]column, len(cols))
		for i, c := range cols {
			list[i] = fmt.Sprintf("%s%d", g.pick("email", "note", "c"), i)
			renamed[i] = column{list[i], c.class}
		}
		return fmt.Sprintf("(%s) AS %s(%s)", q, alias, strings.Join(list, ", ")), []source{{alias, renamed}}
	case n == 2:
		t := g.pick("users", "archive")
		u := g.fresh()
		return fmt.Sprintf("(%s AS %s JOIN %s AS %s USING (email))", t, alias, "archive", u),
			[]source{{alias, base[t]}, {u, base["archive"]}}
	}
	t := baseNames[g.r.IntN(len(baseNames))]
	return t + " AS " + alias, []source{{alias, base[t]}}
}

// shape picks the classes of a query's outputs.
func (g *generator) shape() []class {
	cs := make([]class, 1+g.r.IntN(3))
	for i := range cs {
		cs[i] = class(g.r.IntN(6))
	}
	return cs
}

// query writes a SELECT with outputs of the classes. outer is in sight too.
func (g *generator) query(cs []class, outer []source, depth int) (string, []column) {
	text, items := g.from(outer, depth)
	see := append(append([]source{}, items...), outer...)
	outs, cols := make([]string, len(cs)), make([]column, len(cs))
	searchable := true
	for i, c := range cs {
		if g.column(items, c) == "" { // nothing would give a value its role
			if c = plainText; g.column(items, c) == "" {
				c = number
			}
			cs[i] = c
		}
		cols[i] = column{fmt.Sprintf("o%d_%d", i, g.names), c}
		outs[i] = g.known1(items, c)
		if depth > 0 && g.one(3) {
			outs[i] = fmt.Sprintf("COALESCE(%s, %s)", outs[i], g.expr(see, c, depth-1))
		}
		outs[i] += " AS " + cols[i].name
		searchable = searchable && c != ssn
	}
	q := "SELECT "
	if searchable && g.one(6) {
		q += "DISTINCT "
	}
	q += strings.Join(outs, ", ") + " FROM " + text
	if !g.one(3) {
		q += " WHERE " + g.cond(see, depth)
	}
	return q, cols
}

// top writes a whole statement.
func (g *generator) top() string {
	switch g.r.IntN(10) {
	case 0, 1:
		return g.insert()
	case 2, 3:
		return g.update()
	case 4:
		return g.delete()
	case 5:
		return g.grouped()
	case 6:
		return g.withClause()
	case 7:
		return g.setOperation()
	}
	q, _ := g.query(g.shape(), nil, 2)
	if g.one(3) {
		rest, distinct := strings.CutPrefix(q, "SELECT DISTINCT ")
		if rest = strings.TrimPrefix(rest, "SELECT "); distinct {
			rest = "DISTINCT " + g.known() + " AS k, " + rest
		} else {
			rest = g.known() + " AS k, " + rest
		}
		q = "SELECT " + rest
	}
	return q
}

func (g *generator) setOperation() string {
	cs := g.shape()
	l, _ := g.query(cs, nil, 1)
	want := append([]class{}, cs...)
	r, _ := g.query(cs, nil, 1)
	for i := range cs {
		if cs[i] != want[i] {
			return l
		}
	}
	return l + g.pick(" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT ") + r
}

func (g *generator) grouped() string {
	text, items := g.from(nil, 1)
	c := g.class(items)
	key := g.known1(items, c)
	agg := g.pick("count(*)", "count("+g.known1(items, g.class(items))+")", "count(DISTINCT "+key+")", "count(*) FILTER (WHERE "+g.cond(items, 0)+")")
	q := fmt.Sprintf("SELECT %s AS k, %s FROM %s WHERE %s GROUP BY %s", key, agg, text, g.cond(items, 1), g.pick(key, "1", key))
	if g.one(3) {
		q += " HAVING count(*) > 0 AND " + key + g.pick(" IS NOT NULL", " = "+g.value(c))
	}
	return q
}

func (g *generator) withClause() string {
	name := g.pick("users", "w", "archive", "email")
	cs := g.shape()
	q, cols := g.query(cs, nil, 1)
	in := source{"c", cols}
	c := g.class([]source{in})
	return fmt.Sprintf("WITH %s AS %s(%s) SELECT c.*, c.%s AS again FROM %s AS c WHERE %s", name, g.pick("", "MATERIALIZED "), q,
		cols[0].name, name, fmt.Sprintf("%s IS NOT DISTINCT FROM %s OR %s", g.known1([]source{in}, c), g.expr([]source{in}, c, 1), g.cond([]source{in}, 1)))
}

func (g *generator) returning(cols []column, prefix string) string {
	if g.one(2) {
		return ""
	}
	c := cols[g.r.IntN(len(cols))]
	return " RETURNING " + g.pick("*", prefix+c.name, prefix+c.name+" AS r, id", "id, "+g.known()+" AS k")
}

func (g *generator) insert() string {
	t := g.pick("users", "archive", "leads", "orders")
	cols := base[t]
	var names, rows []string
	for _, c := range cols {
		names = append(names, c.name)
	}
	list := "(" + strings.Join(names, ", ") + ")"
	if g.one(3) && t != "orders" {
		list = ""
	}
	if g.one(4) {
		cs := make([]class, len(cols))
		for i, c := range cols {
			cs[i] = c.class
		}
		from := g.pick("users", "archive", "leads")
		in := []source{{"s", base[from]}}
		outs := []string{fmt.Sprintf("s.id + %d", 100)}
		for _, c := range cols[1:] {
			outs = append(outs, g.expr(in, c.class, 1))
		}
		return fmt.Sprintf("INSERT INTO %s%s SELECT %s FROM %s AS s WHERE %s%s", t, list, strings.Join(outs, ", "), from, g.cond(in, 1), g.returning(cols, ""))
	}
	for range 1 + g.r.IntN(2) {
		vals := []string{fmt.Sprint(g.r.IntN(120))}
		for _, c := range cols[1:] {
			if g.one(12) {
				vals = append(vals, "DEFAULT")
				continue
			}
			vals = append(vals, g.value(c.class))
		}
		rows = append(rows, "("+strings.Join(vals, ", ")+")")
	}
	q := fmt.Sprintf("INSERT INTO %s AS tgt%s VALUES %s", t, list, strings.Join(rows, ", "))
	if g.one(2) {
		c := cols[1+g.r.IntN(len(cols)-1)]
		switch g.r.IntN(4) {
		case 0:
			q += " ON CONFLICT DO NOTHING"
		case 1:
			q += fmt.Sprintf(" ON CONFLICT (id) DO UPDATE SET %s = %s", c.name, g.value(c.class))
		default:
			set := g.pick("EXCLUDED."+c.name, "tgt."+c.name, "COALESCE(EXCLUDED."+c.name+", tgt."+c.name+")")
			q += fmt.Sprintf(" ON CONFLICT (id) DO UPDATE SET %s = %s", c.name, set)
		}
	}
	return q + g.returning(cols, "tgt.")
}

func (g *generator) update() string {
	t := g.pick("users", "archive", "leads", "orders")
	cols := base[t]
	see := []source{{"tgt", cols}}
	from := ""
	if g.one(3) {
		text, items := g.from(nil, 1)
		from, see = " FROM "+text, append(see, items...)
	}
	var sets []string
	for _, i := range g.r.Perm(len(cols) - 1)[:1+g.r.IntN(2)] {
		c := cols[i+1]
		sets = append(sets, c.name+" = "+g.expr(see[:1], c.class, 2))
	}
	where := g.cond(see, 1)
	if from != "" { // one row of FROM for each, so that it is told which
		where += " AND false"
	}
	ret := g.returning(cols, "tgt.")
	if from != "" {
		ret = ""
	}
	return fmt.Sprintf("UPDATE %s AS tgt SET %s%s WHERE %s%s", t, strings.Join(sets, ", "), from, where, ret)
}

func (g *generator) delete() string {
	t := g.pick("users", "archive", "leads")
	see := []source{{"tgt", base[t]}}
	return fmt.Sprintf("DELETE FROM %s AS tgt WHERE %s%s", t, g.cond(see, 2), g.returning(base[t], "tgt."))
}
