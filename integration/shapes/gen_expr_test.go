package shapes

import (
	"fmt"
	"strings"
)

// expr writes an expression of a class, which has to stand beside a column of it.
func (g *gen) expr(from []source, c class, depth int) string {
	if depth > 0 {
		switch g.n(10) {
		case 9:
			if !c.numeric() && !g.direct {
				return g.given(from, c, depth)
			}
		case 4:
			return fmt.Sprintf("COALESCE(%s, %s)", g.expr(from, c, depth-1), g.expr(from, c, depth-1))
		case 5:
			return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", g.cond(from, depth-1), g.expr(from, c, depth-1), g.expr(from, c, depth-1))
		case 6:
			if !c.random() {
				return fmt.Sprintf("NULLIF(%s, %s)", g.expr(from, c, depth-1), g.expr(from, c, 0))
			}
		case 7:
			if t := g.tableOf(c); t != "" {
				in := source{g.name(), base[t], true}
				return fmt.Sprintf("(SELECT %s FROM %s AS %s WHERE %s.id = %d)", g.column([]source{in}, c), t, in.alias, in.alias, 1+g.n(4))
			}
		case 8:
			if c == plainText {
				return fmt.Sprintf("%s(%s)", g.pick("lower", "concat", "trim"), g.mostly(from, c, depth-1))
			}
			if c == number {
				return fmt.Sprintf("(%s %s %s)", g.expr(from, c, depth-1), g.pick("+", "-", "*"), g.expr(from, c, 0))
			}
		}
	}
	if col := g.column(from, c); col != "" && g.n(4) < 3 {
		return col
	}
	return g.value(c)
}

// given writes a value that is left as it is when its parameter is empty.
func (g *gen) given(from []source, c class, depth int) string {
	other := "zqcanary-x"
	if c == plainText {
		other = "m1"
	}
	g.param([]string{"", other, other + "x"}[g.n(3)], c)
	p := fmt.Sprintf("$%d", len(g.args))
	switch g.n(4) {
	case 1:
		return fmt.Sprintf("COALESCE(NULLIF(%s::text, ''), %s)", p, g.expr(from, c, depth-1))
	case 2:
		return fmt.Sprintf("CASE WHEN %s IN ('', '%s') THEN %s ELSE %s::text END", p, other, g.expr(from, c, depth-1), p)
	case 3:
		return fmt.Sprintf("CASE WHEN '' = %s::text OR %s IS NULL THEN %s ELSE %s END", p, p, g.expr(from, c, depth-1), p)
	}
	return fmt.Sprintf("CASE WHEN %s <> '' THEN %s ELSE %s END", p, p, g.expr(from, c, depth-1))
}

// tableOf picks a table that has a column of a class.
func (g *gen) tableOf(cs ...class) string {
	var all []string
next:
	for _, t := range []string{"users", "archive", "leads", "orders", "user_view"} {
		for _, c := range cs {
			if !has(base[t], c) {
				continue next
			}
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return ""
	}
	return g.pick(all...)
}

// mostly is expr; now and then it is a column of another class, so that some statements are refused.
func (g *gen) mostly(from []source, c class, depth int) string {
	if g.now(20) {
		return g.column(from, g.class(from))
	}
	return g.expr(from, c, depth)
}

// output writes an output column of a class.
func (g *gen) output(items, see []source, c class, depth int) string {
	col := g.column(items, c)
	if depth == 0 {
		return col
	}
	switch g.n(9) {
	case 5:
		return fmt.Sprintf("COALESCE(%s, %s)", col, g.expr(see, c, depth-1))
	case 6:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", g.cond(see, depth-1), col, g.expr(see, c, depth-1))
	case 7:
		if !c.random() {
			return fmt.Sprintf("NULLIF(%s, %s)", col, g.expr(see, c, 0))
		}
	case 8:
		if c == number || c == plainText { // two classes are compared, and the result is plain
			return fmt.Sprintf("CASE WHEN %s THEN %s END", g.cond(see, depth), col)
		}
	}
	return col
}

// cond writes a condition.
func (g *gen) cond(from []source, depth int) string {
	if depth > 0 && g.now(3) {
		if s := g.deepCond(from, depth-1); s != "" {
			return s
		}
	}
	c := g.comparable(from)
	col := g.column(from, c)
	if c.random() && !g.now(4) {
		return col + g.pick(" IS NULL", " IS NOT NULL")
	}
	switch g.n(16) {
	case 5:
		return col + g.pick(" IS NULL", " IS NOT NULL")
	case 6:
		return fmt.Sprintf("%s %s (%s, %s)", col, g.pick("IN", "NOT IN"), g.expr(from, c, 0), g.value(c))
	case 7:
		return fmt.Sprintf("%s IS %sDISTINCT FROM %s", col, g.pick("", "NOT "), g.expr(from, c, min(depth, 1)))
	case 8, 9:
		return g.array(from, c, col)
	case 10, 11:
		return g.rows(from, c, col)
	case 12:
		return fmt.Sprintf("CASE %s WHEN %s THEN true ELSE false END", col, g.expr(from, c, 0))
	case 13:
		if !c.sealed() || g.now(4) { // an order, which sealed columns have not
			return fmt.Sprintf("%s %s %s", col, g.pick("<", ">", "<="), g.expr(from, c, 0))
		}
	case 15:
		if g.now(2) { // whole rows
			return from[g.n(len(from))].alias + g.pick(" IS NULL", " IS NOT NULL", ".* IS NOT NULL", " IS NOT DISTINCT FROM NULL")
		}
	case 14:
		if c == plainText || c == mail && g.now(4) {
			return fmt.Sprintf("%s LIKE %s", col, g.value(c))
		}
	}
	return fmt.Sprintf("%s %s %s", col, g.pick("=", "=", "<>"), g.mostly(from, c, depth))
}

// array writes a comparison with an array's elements.
func (g *gen) array(from []source, c class, col string) string {
	op := g.pick("= ANY", "<> ALL")
	switch g.n(4) {
	case 1:
		if !c.numeric() && !g.direct {
			list := []string{"zqcanary-a", "zqcanary-b", "", "zqcanary-x"}[g.n(4):]
			if c == plainText {
				list = []string{"note a", "m1", ""}[g.n(3):]
			}
			g.args = append(g.args, list)
			return fmt.Sprintf("%s %s($%d%s)", col, op, len(g.args), g.pick("::text[]", ""))
		}
	case 2:
		if t := g.tableOf(c); t != "" {
			in := source{g.name(), base[t], true}
			return fmt.Sprintf("%s %s(ARRAY(SELECT %s FROM %s AS %s WHERE %s))", col, op, g.column([]source{in}, c), t, in.alias, g.cond([]source{in}, 0))
		}
	case 3:
		return fmt.Sprintf("%s %s(ARRAY[%s, %s, %s])", col, op, g.expr(from, c, 0), g.value(c), g.column(from, c))
	}
	return fmt.Sprintf("%s %s(ARRAY[%s, %s])", col, op, g.value(c), g.value(c))
}

// rows writes a comparison of rows.
func (g *gen) rows(from []source, c class, col string) string {
	d := g.comparable(from)
	second := g.column(from, d)
	switch g.n(4) {
	case 1:
		return fmt.Sprintf("(%s, %s) IN ((%s, %s), (%s, %s))", col, second, g.value(c), g.value(d), g.value(c), g.expr(from, d, 0))
	case 2:
		return fmt.Sprintf("ROW(%s, %s) <> ROW(%s, %s)", col, second, g.expr(from, c, 0), g.value(d))
	case 3:
		if t := g.tableOf(c, d); t != "" {
			in := []source{{g.name(), base[t], true}}
			return fmt.Sprintf("(%s, %s) %s (SELECT %s, %s FROM %s AS %s)", col, second, g.pick("IN", "NOT IN"), g.column(in, c), g.column(in, d), t, in[0].alias)
		}
	}
	return fmt.Sprintf("(%s, %s) = (%s, %s)", col, second, g.expr(from, c, 0), g.expr(from, d, 0))
}

// deepCond writes a condition that holds others.
func (g *gen) deepCond(from []source, depth int) string {
	switch g.n(6) {
	case 0:
		return fmt.Sprintf("(%s AND NOT (%s))", g.cond(from, depth), g.cond(from, depth))
	case 1:
		return fmt.Sprintf("(%s OR %s)", g.cond(from, depth), g.cond(from, depth))
	case 2, 3:
		t := g.pick("archive", "users", "leads", "orders")
		in := source{g.name(), base[t], true}
		return fmt.Sprintf("%sEXISTS (SELECT 1 FROM %s AS %s WHERE %s)", g.pick("", "NOT "), t, in.alias, g.cond(append([]source{in}, from...), depth))
	case 4:
		c := g.comparable(from)
		if t := g.tableOf(c); t != "" {
			in := []source{{g.name(), base[t], true}}
			q, _ := g.selectOf([]class{c}, t+" AS "+in[0].alias, in, nil, depth)
			return fmt.Sprintf("%s %s (%s)", g.column(from, c), g.pick("IN", "NOT IN", "= ANY", "<> ALL"), q)
		}
	}
	return g.optional(from)
}

// optional writes a filter that is off when its parameter is empty.
func (g *gen) optional(from []source) string {
	for _, c := range []class{mail, lead, plainText} {
		col := g.column(from, c)
		if col == "" {
			continue
		}
		v := g.value(c)
		if !strings.HasPrefix(v, "$") || v[1] == 'q' {
			return col + " = " + v
		}
		p := fmt.Sprintf("$%d", len(g.args))
		off := g.pick(p+"::text IS NULL", p+" = ''", p+"::text = ''", "COALESCE("+p+", '') = ''")
		return fmt.Sprintf("(%s OR %s = %s::text)", off, col, p)
	}
	return ""
}
