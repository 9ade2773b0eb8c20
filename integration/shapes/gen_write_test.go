package shapes

import (
	"fmt"
	"strings"
)

// keyOf is the column that an upsert may meet a duplicate in, besides id.
func keyOf(table string) string {
	if table == "users" {
		return "email"
	}
	return "id"
}

func (g *gen) returning(cols []column, prefix string) string {
	if g.n(2) == 0 {
		return ""
	}
	c := cols[g.n(len(cols))]
	return " RETURNING " + g.pick("*", prefix+c.name, prefix+c.name+" AS r, "+prefix+"id", prefix+"id, "+g.known()+" AS k")
}

func (g *gen) insert() string {
	g.writes = true
	t := g.target("users", "archive", "leads", "orders")
	cols := base[t]
	list := "(" + names(cols) + ")"
	if t != "orders" && t != "orders_of" && t != "mails_of" && g.now(3) {
		list = ""
	}
	if g.now(3) {
		return g.insertQuery(t, list)
	}
	var rows []string
	for i := range 1 + g.n(2) {
		vals := []string{g.pick(fmt.Sprint(101+i), fmt.Sprint(1+i), fmt.Sprint(7+i))}
		for _, c := range cols[1:] {
			if g.now(14) {
				vals = append(vals, "DEFAULT")
				continue
			}
			vals = append(vals, g.value(c.class))
		}
		rows = append(rows, "("+strings.Join(vals, ", ")+")")
	}
	q := fmt.Sprintf("INSERT INTO %s AS tgt%s VALUES %s", t, list, strings.Join(rows, ", "))
	return q + g.onConflict(t) + g.returning(cols, "tgt.")
}

func names(cols []column) string {
	var all []string
	for _, c := range cols {
		all = append(all, c.name)
	}
	return strings.Join(all, ", ")
}

// insertQuery writes an INSERT of what a query yields. The ids of the new rows are no others'.
func (g *gen) insertQuery(t, list string) string {
	cols := base[t]
	from := g.table("users", "archive", "leads", "orders")
	in := []source{{"s", base[from], true}}
	outs := []string{"s.id + 100"}
	for _, c := range cols[1:] {
		if overUsers(t) && c.class == mail { // which is unique
			outs = append(outs, g.null(c.class))
			continue
		}
		outs = append(outs, g.expr(in, c.class, 1))
	}
	return fmt.Sprintf("INSERT INTO %s%s SELECT %s FROM %s AS s WHERE %s%s", t, list, strings.Join(outs, ", "), from, g.cond(in, 1), g.returning(cols, ""))
}

func (g *gen) onConflict(t string) string {
	cols := base[t]
	c := cols[1+g.n(len(cols)-1)]
	see := []source{{"tgt", cols, true}, {"excluded", cols, true}}
	switch g.n(6) {
	case 0, 1:
		return ""
	case 2:
		return " ON CONFLICT DO NOTHING"
	case 3:
		return " ON CONFLICT (" + keyOf(t) + ") DO NOTHING"
	case 4:
		return fmt.Sprintf(" ON CONFLICT (id) DO UPDATE SET %s = %s", c.name, g.value(c.class))
	}
	set := g.either(is("EXCLUDED."+c.name), is("tgt."+c.name), is("COALESCE(EXCLUDED."+c.name+", tgt."+c.name+")"),
		func() string { return g.expr(see, c.class, 1) })
	where := ""
	if g.now(2) {
		where = " WHERE " + g.cond(see, 0)
	}
	return fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s = %s%s", g.pick("id", keyOf(t)), c.name, set, where)
}

// sets writes the assignments of an UPDATE. email of users is unique: only one row may get a value.
func (g *gen) sets(t string, see []source) string {
	cols := base[t][1:]
	first := g.n(len(cols))
	chosen := []column{cols[first]}
	if second := g.n(len(cols)); second != first {
		chosen = append(chosen, cols[second])
	}
	var left, right, each []string
	for _, c := range chosen {
		v := g.expr(see, c.class, 2)
		left, right, each = append(left, c.name), append(right, v), append(each, c.name+" = "+v)
	}
	if len(chosen) == 2 && g.now(4) {
		return fmt.Sprintf("(%s) = %s%s)", strings.Join(left, ", "), g.pick("(", "ROW(", "(SELECT "), strings.Join(right, ", "))
	}
	return strings.Join(each, ", ")
}

func (g *gen) update() string {
	g.writes = true
	t := g.target("users", "archive", "leads", "orders")
	cols := base[t]
	see := []source{{"tgt", cols, true}}
	switch g.n(5) {
	case 3: // one row of FROM for each row, so that it is told which
		from := g.pick("archive", "users", "leads")
		see = append(see, source{"s", base[from], true})
		return fmt.Sprintf("UPDATE %s AS tgt SET %s FROM %s AS s WHERE s.id = tgt.id AND tgt.id = %d AND %s", t, g.sets(t, see), from, 1+g.n(4), g.cond(see, 0))
	case 4:
		c := cols[1+g.n(len(cols)-1)]
		return fmt.Sprintf("UPDATE %s AS tgt SET %s = v.b FROM (VALUES (%d, %s), (9, %s)) AS v(a, b) WHERE v.a = tgt.id%s", t, c.name, 1+g.n(4), g.value(c.class), g.value(c.class), g.returning(cols, "tgt."))
	}
	where := fmt.Sprintf("tgt.id = %d", 1+g.n(5))
	if !overUsers(t) || g.now(3) {
		where = g.cond(see, 1)
	}
	return fmt.Sprintf("UPDATE %s AS tgt SET %s WHERE %s%s", t, g.sets(t, see), where, g.returning(cols, "tgt."))
}

func (g *gen) delete() string {
	g.writes = true
	t := g.target("users", "archive", "leads")
	see := []source{{"tgt", base[t], true}}
	using := ""
	if g.now(3) {
		u := g.pick("archive", "users", "leads")
		see, using = append(see, source{"s", base[u], true}), " USING "+u+" AS s"
	}
	ret := g.returning(base[t], "tgt.")
	if using != "" { // of several rows that it meets, either may be returned
		ret = ""
	}
	return fmt.Sprintf("DELETE FROM %s AS tgt%s WHERE %s%s", t, using, g.cond(see, 2), ret)
}

// merge writes a MERGE that meets no row twice.
func (g *gen) merge() string {
	g.writes = true
	t := g.pick("users", "archive", "leads")
	cols := base[t]
	tgt := source{"tgt", cols, true}
	var using, met string
	var src source
	if g.now(2) {
		u := g.pick("archive", "leads", "users")
		src, using = source{"s", base[u], true}, u+" AS s"
	} else {
		c := cols[1+g.n(len(cols)-1)]
		src = source{"s", []column{{"id", number}, {"v", c.class}}, true}
		using = fmt.Sprintf("(VALUES (%d, %s), (%d, %s)) AS s(id, v)", 1+g.n(3), g.value(c.class), 5+g.n(4), g.value(c.class))
		met = fmt.Sprintf(" WHEN MATCHED AND tgt.id <> 2 THEN UPDATE SET %s = s.v", c.name) // tells what the values are
	}
	see := []source{tgt, src}
	q := fmt.Sprintf("MERGE INTO %s AS tgt USING %s ON tgt.id = s.id%s", t, using, met)
	set := func() string { return "UPDATE SET " + g.sets(t, see) }
	for more := g.n(2); more >= 0; more-- {
		q += " WHEN MATCHED"
		if more > 0 || g.now(2) { // after one without a condition comes no other
			q += " AND " + g.cond(see, 0)
		}
		q += " THEN " + g.either(set, is("DELETE"), set, is("DO NOTHING"))
	}
	if g.n(3) > 0 {
		vals := []string{"s.id"}
		for _, c := range cols[1:] {
			if t == "users" && c.class == mail { // which is unique
				vals = append(vals, g.null(mail))
				continue
			}
			vals = append(vals, g.expr([]source{src}, c.class, 1))
		}
		q += " WHEN NOT MATCHED THEN INSERT (" + names(cols) + ") VALUES (" + strings.Join(vals, ", ") + ")"
	}
	if g.version >= 17 && g.now(4) {
		q += " WHEN NOT MATCHED BY SOURCE THEN " + g.either(is("DELETE"), func() string { return "UPDATE SET " + g.sets(t, see[:1]) })
	}
	if g.version >= 17 && g.now(3) {
		q += g.pick(" RETURNING tgt.*", " RETURNING merge_action(), tgt."+cols[1].name, " RETURNING tgt.id, s.id")
	}
	return q
}

// withWrites writes a statement whose WITH clause writes, and goes on with what it returns.
func (g *gen) withWrites() string {
	g.writes = true
	t := g.pick("users", "archive", "leads")
	cols := base[t]
	in := []source{{"tgt", cols, true}}
	var w string
	switch g.n(3) {
	case 0:
		w = fmt.Sprintf("DELETE FROM %s AS tgt WHERE %s", t, g.cond(in, 1))
	case 1:
		w = fmt.Sprintf("UPDATE %s AS tgt SET %s WHERE tgt.id = %d", t, g.sets(t, in), 1+g.n(4))
	case 2:
		vals := []string{"50"}
		for _, c := range cols[1:] {
			vals = append(vals, g.value(c.class))
		}
		w = fmt.Sprintf("INSERT INTO %s AS tgt(%s) VALUES (%s)", t, names(cols), strings.Join(vals, ", "))
	}
	w = fmt.Sprintf("WITH w AS (%s RETURNING tgt.*) ", w)
	see := []source{{"w", cols, true}}
	if to := g.pick("archive", "leads", "orders"); g.now(2) {
		outs := []string{"w.id + 100"}
		for _, c := range base[to][1:] {
			outs = append(outs, g.expr(see, c.class, 1))
		}
		return fmt.Sprintf("%sINSERT INTO %s(%s) SELECT %s FROM w%s", w, to, names(base[to]), strings.Join(outs, ", "), g.returning(base[to], ""))
	}
	c := g.class(see)
	return fmt.Sprintf("%sSELECT %s AS o, w.id FROM w WHERE %s", w, g.output(see, see, c, 1), g.cond(see, 0))
}
