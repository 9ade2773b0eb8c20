package shapes

import (
	"fmt"
	"strings"
)

// top writes a whole statement.
func (g *gen) top() string {
	switch g.n(23) {
	case 5, 6:
		return g.insert()
	case 7, 8:
		return g.update()
	case 9:
		return g.delete()
	case 10, 11:
		return g.merge()
	case 12:
		return g.grouped()
	case 13:
		return g.windows()
	case 14:
		return g.withClause()
	case 15:
		return g.recursive()
	case 16:
		return g.setOperation(2)
	case 17:
		return g.withWrites()
	case 18:
		return g.arrays()
	case 19:
		return g.unnested()
	case 20:
		return g.definition()
	case 21:
		if g.rowTypes {
			return g.rowTyped()
		}
	case 22:
		if g.rowTypes {
			return g.program()
		}
	}
	return g.plainSelect()
}

// plainSelect writes a SELECT that may return a parameter, too, or be in order.
func (g *gen) plainSelect() string {
	q, cols := g.selectFrom(g.shape(), nil, 2)
	switch g.n(6) {
	case 4:
		if rest, distinct := strings.CutPrefix(q, "SELECT DISTINCT "); !distinct {
			return "SELECT " + g.known() + " AS k, " + strings.TrimPrefix(rest, "SELECT ")
		}
	case 5:
		c := cols[g.n(len(cols))]
		if !c.class.sealed() || g.now(4) { // an order, which sealed columns have not
			return q + " ORDER BY " + c.name
		}
	}
	return q
}

// shape picks the classes of a query's outputs.
func (g *gen) shape() []class {
	cs := make([]class, 1+g.n(3))
	for i := range cs {
		cs[i] = []class{mail, number, secret, plainText, lead, phone, other}[g.n(7)]
	}
	return cs
}

// selectFrom writes a SELECT with outputs of the classes where its tables have them, and of others where not. outer is in
// sight too.
func (g *gen) selectFrom(cs []class, outer []source, depth int) (string, []column) {
	args, hot := g.args, g.hot
	text, items := g.from(outer, depth)
	if g.column(items, number) == "" {
		g.args, g.hot = args, hot // those of the text that is thrown away
		text, items = "users AS u", []source{{"u", base["users"], true}}
	}
	for i, c := range cs {
		if g.column(items, c) == "" {
			cs[i] = number
		}
	}
	return g.selectOf(cs, text, items, outer, depth)
}

// selectOf is selectFrom over a FROM clause that has all the classes.
func (g *gen) selectOf(cs []class, text string, items, outer []source, depth int) (string, []column) {
	see := append(append([]source{}, items...), outer...)
	outs, cols := make([]string, len(cs)), make([]column, len(cs))
	searchable := true
	for i, c := range cs {
		g.names++
		cols[i] = column{fmt.Sprintf("o%d_%d", i, g.names), c}
		outs[i] = g.output(items, see, c, depth) + " AS " + cols[i].name
		searchable = searchable && !c.random()
	}
	q := "SELECT "
	if g.now(8) && (searchable || g.now(4)) {
		q += "DISTINCT "
	}
	q += strings.Join(outs, ", ") + " FROM " + text
	if g.n(3) > 0 {
		q += " WHERE " + g.cond(see, depth)
	}
	return q, cols
}

// from writes a FROM clause.
func (g *gen) from(outer []source, depth int) (string, []source) {
	text, items := g.item(outer, depth)
	for len(items) < 3 && g.now(3) {
		if g.now(4) {
			more, in := g.lateral(items, depth)
			text, items = text+more, append(items, in...)
			continue
		}
		more, in := g.item(outer, depth)
		both := append(append([]source{}, items...), in...)
		switch g.n(4) {
		case 0:
			text = fmt.Sprintf("%s JOIN %s ON %s", text, more, g.cond(both, 0))
		case 1:
			text = fmt.Sprintf("%s %s JOIN %s ON %s", text, g.pick("LEFT", "RIGHT"), more, g.cond(both, 0))
		case 2:
			text = fmt.Sprintf("%s CROSS JOIN %s", text, more)
		default: // the last one: an ON further on would not see what is before the comma
			return text + ", " + more, both
		}
		items = both
	}
	return text, items
}

// lateral writes a FROM item that sees those to its left.
func (g *gen) lateral(left []source, depth int) (string, []source) {
	alias := g.name()
	q, cols := g.selectFrom(g.shape(), left, min(depth, 1))
	in := []source{{alias, cols, false}}
	if g.now(2) {
		return fmt.Sprintf(" LEFT JOIN LATERAL (%s) AS %s ON true", q, alias), in
	}
	return fmt.Sprintf(" CROSS JOIN LATERAL (%s) AS %s", q, alias), in
}

// item writes one FROM item.
func (g *gen) item(outer []source, depth int) (string, []source) {
	alias := g.name()
	switch n := g.n(9); {
	case n == 5 && depth > 0:
		q, cols := g.selectFrom(g.shape(), nil, depth-1)
		return "(" + q + ") AS " + alias, []source{{alias, cols, false}}
	case n == 6 && depth > 0:
		q, cols := g.selectFrom(g.shape(), nil, depth-1)
		list, renamed := make([]string, len(cols)), make([]column, len(cols))
		for i, c := range cols {
			list[i] = fmt.Sprintf("%s%d", g.pick("email", "note", "c"), i)
			renamed[i] = column{list[i], c.class}
		}
		return fmt.Sprintf("(%s) AS %s(%s)", q, alias, strings.Join(list, ", ")), []source{{alias, renamed, false}}
	case n == 7:
		t, u := g.pick("users", "archive"), g.name()
		return fmt.Sprintf("(%s AS %s %s JOIN archive AS %s USING (email))", t, alias, g.pick("INNER", "LEFT"), u),
			[]source{{alias, base[t], false}, {u, base["archive"], false}}
	case n == 8:
		q := g.setOperation(1)
		return "(" + q + ") AS " + alias + "(email)", []source{{alias, []column{{"email", mail}}, false}}
	}
	t := g.table(baseNames...)
	return t + " AS " + alias, []source{{alias, base[t], true}}
}

// setOperation writes some queries of the same classes: of one column of mail if width is 1.
func (g *gen) setOperation(width int) string {
	cs, op := []class{mail}, g.pick("UNION ALL", "UNION", "EXCEPT", "INTERSECT", "EXCEPT ALL", "INTERSECT ALL")
	if width > 1 {
		cs = classes(base[g.pick("users", "leads", "archive", "orders")])
		from := g.n(len(cs))
		cs = cs[from:min(len(cs), from+1+g.n(2))]
	}
	for _, c := range cs {
		if c.random() && !g.now(5) {
			op = "UNION ALL"
		}
	}
	arms := make([]string, 2+g.n(2))
	nulls := -1 // one of them at most, or nothing would be compared with a column
	if g.now(5) {
		nulls = g.n(len(arms))
	}
	for i := range arms {
		if i == nulls {
			arms[i] = g.nulls(cs)
			continue
		}
		arms[i] = g.arm(cs)
	}
	return strings.Join(arms, " "+op+" ")
}

func (g *gen) arm(cs []class) string {
	t := g.tableOf(cs...)
	in := []source{{g.name(), base[t], true}}
	q, _ := g.selectOf(cs, t+" AS "+in[0].alias, in, nil, 1)
	return "(" + q + ")"
}

// nulls writes rows of NULLs, without names. The server takes a NULL for text as soon as two of
// them meet.
func (g *gen) nulls(cs []class) string {
	row := func() string {
		list := make([]string, len(cs))
		for i, c := range cs {
			list[i] = g.null(c)
		}
		return g.pick("SELECT ", "SELECT DISTINCT ") + strings.Join(list, ", ")
	}
	return "(" + g.either(row, func() string { return row() + " UNION ALL " + row() }) + ")"
}

func (g *gen) grouped() string {
	text, items := g.from(nil, 1)
	c := g.comparable(items)
	key := g.column(items, c)
	agg := g.either(is("count(*)"), is("count("+g.column(items, g.class(items))+")"), is("count("+items[0].alias+")"), is("count(DISTINCT "+key+")"),
		func() string { return "count(*) FILTER (WHERE " + g.cond(items, 0) + ")" })
	q := fmt.Sprintf("SELECT %s AS k, %s FROM %s WHERE %s GROUP BY ", key, agg, text, g.cond(items, 1))
	switch g.n(9) {
	case 3:
		q += "1"
	case 4:
		q += g.pick("ROLLUP", "CUBE") + " (" + key + ")"
	case 5:
		q += "GROUPING SETS ((" + key + "), ())"
	case 6:
		q += "GROUPING SETS ((" + key + ", " + key + "), ROLLUP ((" + key + ", " + key + ")), ())"
	case 7:
		q += "(" + key + ", " + key + ")"
	default:
		q += key
	}
	if g.now(3) {
		q += " HAVING count(*) > 0 AND " + key + g.either(is(" IS NOT NULL"), func() string { return " <> " + g.value(c) })
	}
	return q
}

// windows writes a query with window functions over one table, whose ids make every order total.
func (g *gen) windows() string {
	t := g.pick("users", "archive", "leads", "orders")
	in := []source{{g.name(), base[t], true}}
	c, d := g.class(in), g.comparable(in)
	over := fmt.Sprintf("(PARTITION BY %s ORDER BY id)", g.column(in, d))
	if g.now(3) {
		over = "(ORDER BY id DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
	}
	col := g.column(in, c)
	call := func() string {
		if g.now(8) {
			return "lead(" + col + ", 1, " + g.expr(in, c, 0) + ")"
		}
		return g.pick("count(*)", "row_number()", "first_value("+col+")", "lag("+col+")", "nth_value("+col+", 2)", "last_value("+col+")",
			"sum(id)", "count("+col+")", "lag("+col+", 2)", "rank()", "array_agg("+col+")")
	}
	q := fmt.Sprintf("SELECT id, %s OVER %s AS a, %s OVER w AS b FROM %s AS %s WHERE %s WINDOW w AS %s", call(), over, call(), t, in[0].alias, g.cond(in, 1), over)
	if g.now(4) {
		return fmt.Sprintf("SELECT b, id FROM (%s) AS q WHERE q.id <> 2", q)
	}
	return q
}

func (g *gen) withClause() string {
	name := g.pick("w", "users", "archive", "email")
	q, cols := g.selectFrom(g.shape(), nil, 1)
	in := []source{{"c", cols, false}}
	return fmt.Sprintf("WITH %s AS %s(%s) SELECT c.*, c.%s AS again FROM %s AS c WHERE %s", name, g.pick("", "MATERIALIZED ", "NOT MATERIALIZED "), q,
		cols[0].name, name, g.cond(in, 1))
}

// recursive writes a recursive query that ends after some rounds.
func (g *gen) recursive() string {
	t := g.pick("users", "archive", "leads")
	in := []source{{"s", base[t], true}}
	c := g.class(in)
	r := []source{{"r", []column{{"v", c}, {"n", number}}, false}}
	step := "r.v"
	from := "r"
	switch g.n(4) {
	case 1:
		step = g.expr(r, c, 1)
	case 2:
		from = "r JOIN " + t + " AS s ON " + g.cond(append(r, in...), 0)
		step = g.expr(append(r, in...), c, 0)
	}
	where := "r.n < 3"
	if g.now(3) {
		where += " AND " + g.cond(r, 0)
	}
	union := "UNION ALL"
	if !c.random() && g.now(4) {
		union = "UNION"
	}
	return fmt.Sprintf("WITH RECURSIVE r(v, n) AS (SELECT %s, 1 FROM %s AS s WHERE %s %s SELECT %s, r.n + 1 FROM %s WHERE %s) SELECT v, n, count(*) OVER () FROM r%s",
		g.column(in, c), t, g.cond(in, 1), union, step, from, where, g.either(is(""), func() string { return " WHERE " + g.cond(r, 1) }))
}

// arrays writes a query with arrays of columns in its outputs.
func (g *gen) arrays() string {
	t := g.table("users", "archive", "leads", "orders")
	in := []source{{g.name(), base[t], true}}
	c := g.class(in)
	col := g.column(in, c)
	where := " FROM " + t + " AS " + in[0].alias + " WHERE " + g.cond(in, 1)
	switch g.n(5) {
	case 1:
		return fmt.Sprintf("SELECT ARRAY(SELECT %s%s ORDER BY %s.id), 1 AS one", col, where, in[0].alias)
	case 2:
		return fmt.Sprintf("SELECT %s.id, ARRAY[%s, %s]%s", in[0].alias, col, g.expr(in, c, 0), where)
	case 3:
		return fmt.Sprintf("SELECT unnest(array_agg(%s)) AS u%s", col, where)
	case 4:
		return fmt.Sprintf("SELECT u.v FROM unnest(ARRAY(SELECT %s%s)) AS u(v)", col, where)
	}
	return fmt.Sprintf("SELECT array_agg(%s ORDER BY %s.id), count(*)%s", col, in[0].alias, where)
}

// unnested writes a query over the elements of a list that is given.
func (g *gen) unnested() string {
	t := g.pick("users", "archive", "leads")
	alias := g.name()
	g.args = append(g.args, []string{"zqcanary-a", "zqcanary-b", "", "zqcanary-x"}[g.n(4):])
	p := fmt.Sprintf("$%d::text[]", len(g.args))
	switch g.n(3) {
	case 1:
		return fmt.Sprintf("SELECT v.e, %s.id FROM %s AS %s JOIN unnest(%s) AS v(e) ON v.e = %s.email", alias, t, alias, p, alias)
	case 2:
		return fmt.Sprintf("SELECT v.e, v.o, %s.id FROM unnest(%s) WITH ORDINALITY AS v(e, o) LEFT JOIN %s AS %s ON %s.email = v.e", alias, p, t, alias, alias)
	}
	return fmt.Sprintf("SELECT %s.id FROM %s AS %s WHERE %s.email IN (SELECT unnest(%s))", alias, t, alias, alias, p)
}
