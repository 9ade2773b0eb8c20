package shapes

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/integration/pgtest"
	ddlscript "github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/schema"
)

var termStatements = flag.Int("terms.n", 250, "how many searches for terms to compare with a plaintext twin, for each database and number of search keys")

const termsDDL = `CREATE TABLE people (id bigint PRIMARY KEY, scope text, org int, name %[1]s, mail %[1]s, code %[1]s, tags %[2]s, nums %[3]s, pin %[4]s);
`

// The cells of some columns stand in companions.
const sealedTermsDDL = `CREATE TABLE people (id bigint PRIMARY KEY, scope text, org int, name text CHECK (name IS NULL), mail %[1]s, code %[1]s, tags %[1]s, nums %[1]s, pin text CHECK (pin IS NULL),
	name_sealed %[1]s, pin_sealed %[1]s);
`

var termTables = schema.Must(schema.Columns("people",
	schema.Column{Name: "name", Terms: codec.Terms{Equal: true, Fold: true, Prefix: codec.Lengths{Min: 1, Max: 20}, Suffix: codec.Lengths{Min: 1, Max: 20}}, Stage: schema.StageOnly},
	schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Terms: codec.Terms{Fold: true, Prefix: codec.Lengths{Min: 2, Max: 14}, Suffix: codec.Lengths{Min: 2, Max: 14}}},
	schema.Column{Name: "code", Terms: codec.Terms{Equal: true, Prefix: codec.Lengths{Min: 1, Max: 16}}},
	schema.Column{Name: "tags", Kind: schema.KindTextArray, Terms: codec.Terms{Equal: true, Elements: true}},
	schema.Column{Name: "nums", Mode: schema.ModeDeterministic, Kind: schema.KindIntArray, Terms: codec.Terms{Elements: true}},
	schema.Column{Name: "pin", Kind: schema.KindInt, Terms: codec.Terms{Equal: true}, Stage: schema.StageOnly}))

// found is what searches for terms look through. On the twin a value of the scope b is another one, which is equal to no value of the
// scope a, begins and ends like none, and has no member of theirs, nor a NULL: so every statement has one text, and the twin is the
// oracle for rows of another scope, where no term is known. "Everything", as '%' and '{}' ask for it, is true of them; NULL is NULL.
func found(t *testing.T) people {
	t.Helper()
	script, err := ddlscript.Write(termTables, ddlscript.Options{Dialect: dialect.Postgres})
	if err != nil {
		t.Fatal(err)
	}
	return people{
		tables: termTables,
		pg:     fmt.Sprintf(sealedTermsDDL, "bytea") + script,
		pgTwin: fmt.Sprintf(termsDDL, `text COLLATE "C.utf8"`, "text[]", "bigint[]", "bigint"),
		lite:   fmt.Sprintf(sealedTermsDDL, "BLOB"), liteTwin: fmt.Sprintf(termsDDL, "TEXT", "TEXT", "TEXT", "INTEGER"),
		fill: fillTerms, statement: (*draw).search, kinds: kindsOf("LIKE", "ILIKE", "ESCAPE", `starts_with\(`, `\^@`, `left\(`, `right\(`, `lower\(`, `= ANY \(p\.`, "@>", "<@", "&&", "NOT ", "LEFT JOIN", "EXISTS",
			"UNION|EXCEPT|INTERSECT", "HAVING", "OVER", "WITH", "UPDATE", "IS NOT TRUE", "CASE"), least: 2,
	}
}

func kindsOf(words ...string) map[string]*regexp.Regexp {
	kinds := map[string]*regexp.Regexp{}
	for _, s := range words {
		kinds[s] = regexp.MustCompile(s)
	}
	return kinds
}

// names are texts that have much in common.
func (c *canaries) names() []string {
	m := c.mark
	return []string{m, "Ab" + m, "ab" + m, "AB" + strings.ToUpper(m), "Ab" + m + "Yz", m + "yz", m + "YZ", "", "ÄR" + m, "är" + m, "10%" + m, "10_" + m, `b\` + m, m + `\`, m + "o'k", "İ" + m + "Σ", "abc"}
}

// another is a text of the scope b on the twin.
func another(s string) string { return "¤" + s + "¤" }

func fillTerms(t *testing.T, w *scopesWorld, first, last int) {
	t.Helper()
	dice := rand.New(rand.NewPCG(11, 11))
	names := w.names()
	for id := 1; id <= last; id++ {
		scope := []string{"a", "a", "b"}[dice.IntN(3)]
		values := []any{id, scope, dice.IntN(4)}
		twins := slices.Clone(values)
		add := func(v, other any) {
			if dice.IntN(8) == 0 {
				v, other = nil, nil
			}
			if scope == "a" {
				other = v
			}
			values, twins = append(values, v), append(twins, other)
		}
		for range 3 {
			v := names[dice.IntN(len(names))]
			add(v, another(v))
		}
		add(w.array(dice, 4))
		nums := fmt.Sprintf("{%d,%d}", w.phone+dice.Int64N(3), w.phone+dice.Int64N(3))
		if dice.IntN(3) == 0 {
			nums = []string{"{}", "{NULL}", fmt.Sprintf("{%d,NULL}", w.phone)}[dice.IntN(3)]
		}
		add(nums, fmt.Sprintf("{%d}", -id%3-1))
		pin := w.phone + dice.Int64N(4)
		add(pin, -pin)
		if id >= first {
			w.insert(t, scope, "INSERT INTO people(id, scope, org, name, mail, code, tags, nums, pin) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)", values, twins)
		}
	}
}

// array is the literal of an array of less than n texts, and what it is in the scope b on the twin.
func (c *canaries) array(r *rand.Rand, n int) (own, other any) {
	members := []string{c.mark, c.mark + "b", c.mark + `"q\`, strings.ToUpper(c.mark), c.mark + "NULL"}
	array, twin := []byte{'{'}, []byte("{¤")
	for i := range r.IntN(n) {
		if i > 0 {
			array = append(array, ',')
		}
		twin = append(twin, ',')
		if r.IntN(5) == 0 {
			array, twin = append(array, "NULL"...), append(twin, "¤0"...)
			continue
		}
		m := members[r.IntN(len(members))]
		array, twin = pgarray.AppendElement(array, m), pgarray.AppendElement(twin, another(m))
	}
	return string(append(array, '}')), string(append(twin, '}'))
}

// give writes a value as a parameter, which may have stood elsewhere, as a literal, or NULL.
func (d *draw) give(v any, cast string) string {
	typed := func(s string) string {
		if d.w.isLite {
			return s
		}
		return d.pick(s, s+"::"+cast)
	}
	switch d.r.IntN(10) {
	case 0:
		return typed("NULL")
	case 1, 2, 3:
		if s, ok := v.(string); ok {
			return "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
		return fmt.Sprint(v)
	case 4:
		v = nil
	}
	return typed(d.param(v))
}

// name draws a text, in the case that it is stored in or another.
func (d *draw) name() string {
	names := d.w.names()
	s := names[d.r.IntN(len(names))]
	switch d.r.IntN(6) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.Map(unicode.ToLower, s)
	case 2:
		return s + "x"
	}
	return s
}

// cut draws a beginning or an end of a text, of n code points at least.
func (d *draw) cut(s string, end bool) string {
	r := []rune(s)
	n := d.r.IntN(len(r) + 1)
	if d.r.IntN(4) > 0 {
		n = max(n, len(r)*3/4)
	}
	if end {
		return string(r[len(r)-n:])
	}
	return string(r[:n])
}

// pattern draws one of LIKE, whose escape character is esc, if it has one. Some are not answered.
func (d *draw) pattern(esc string) string {
	quote := func(s string) string {
		if esc == "" || d.r.IntN(10) == 0 {
			return s
		}
		quoted := strings.NewReplacer(esc, esc+esc, "%", esc+"%", "_", esc+"_").Replace(s)
		if s != "" && quoted[0] == s[0] && d.r.IntN(4) == 0 {
			return esc + quoted // which is what it is without
		}
		return quoted
	}
	s := d.name()
	switch d.r.IntN(16) {
	case 0:
		return d.pick("%", "%%", "")
	case 1:
		return "%" + quote(s) + "%"
	case 2, 3, 4:
		return quote(s)
	case 5, 6, 7, 8:
		return d.pick("%", "%%") + quote(d.cut(s, true))
	}
	return quote(d.cut(s, false)) + d.pick("%", "%%")
}

// glob is a search for terms on SQLite, or a comparison beside it.
func (d *draw) glob(alias string) string {
	c := alias + "." + d.pick("name", "name", "mail", "code")
	not := d.pick("", "", "NOT ")
	switch d.r.IntN(12) {
	case 0, 1, 2, 3:
		s := d.name()
		pattern := d.cut(s, false) + d.pick("*", "*", "**")
		switch d.r.IntN(10) {
		case 0:
			pattern = d.pick("*", "**", "", s, s, s+"?", "*"+s+"*", "[a]"+s+"*")
		case 1, 2, 3:
			pattern = d.pick("*", "**") + d.cut(s, true)
		}
		return fmt.Sprintf("%s %sGLOB %s", c, not, d.give(pattern, "text"))
	case 4, 5:
		return fmt.Sprintf("%s %sGLOB "+d.pick("%s || '*'", "'*' || %s", "('Ab' || %s)"), c, not, d.param(d.cut(d.name(), d.r.IntN(2) == 0)))
	case 6, 7:
		return fmt.Sprintf("%s %s %s", c, d.pick("=", "<>"), d.give(d.name(), "text"))
	case 8:
		return fmt.Sprintf("%s %sIN (%s, %s)", c, not, d.give(d.name(), "text"), d.give(d.name(), "text"))
	case 9:
		return fmt.Sprintf("%s.pin %s %s", alias, d.pick("=", "<>"), d.give(d.w.phone+d.r.Int64N(5), "bigint"))
	case 10:
		return fmt.Sprintf("%s = %s.pin", d.give(d.w.phone+d.r.Int64N(5), "bigint"), alias)
	}
	return d.pick(fmt.Sprintf("%s IS %sNULL", c, not), fmt.Sprintf("%s.org < %d", alias, d.r.IntN(4)))
}

// leaf is a search for terms, or a comparison beside it. shown says that its value is looked at, and not only whether it is true.
func (d *draw) leaf(alias string, shown bool) string {
	if d.w.isLite {
		return d.glob(alias)
	}
	c := alias + "." + d.pick("name", "name", "mail", "code")
	folds := !strings.HasSuffix(c, "code")
	lower := func(column, value string) (string, string) {
		if folds && d.r.IntN(3) == 0 {
			return "lower(" + column + ")", "lower(" + value + ")"
		}
		return column, value
	}
	not := d.pick("", "", "NOT ")
	tags, nums := alias+".tags", alias+".nums"
	switch d.r.IntN(20) {
	case 0, 1, 2:
		esc := `\`
		pattern, escape := d.pattern(esc), ""
		if d.r.IntN(3) == 0 {
			esc = d.pick("!", "")
			pattern, escape = d.pattern(esc), " ESCAPE '"+esc+"'"
		}
		column, value := lower(c, d.give(pattern, "text"))
		op := "LIKE"
		if folds {
			op = d.pick("LIKE", "ILIKE")
		}
		return fmt.Sprintf("%s %s%s %s%s", column, not, op, value, escape)
	case 3:
		column, value := lower(c, d.give(d.cut(d.name(), false), "text"))
		if d.r.IntN(3) == 0 {
			return fmt.Sprintf("%s LIKE 'Ab' || lower(%s) || '%%'", c, d.give(d.pick(d.w.mark, d.w.mark+"YZ", ""), "text"))
		}
		return fmt.Sprintf("%s %s %s || '%%'", column, d.pick("LIKE", "NOT LIKE"), value)
	case 4, 5:
		if shown {
			break
		}
		column, value := lower(c, d.give(d.cut(d.name(), false), "text"))
		return fmt.Sprintf("%sstarts_with(%s, %s)", not, column, value)
	case 6:
		return fmt.Sprintf("%s ^@ %s", c, d.give(d.cut(d.name(), false), "text"))
	case 7, 8:
		end := folds && d.r.IntN(2) == 0
		part := d.cut(d.name(), end)
		column, value := lower(c, d.give(part, "text"))
		n := len([]rune(part)) + d.r.IntN(8)/7
		return fmt.Sprintf("%s(%s, %d) %s %s", map[bool]string{true: "right", false: "left"}[end], column, n, d.pick("=", "=", "<>"), value)
	case 9, 10:
		column, value := lower(c, d.give(d.name(), "text"))
		return fmt.Sprintf("%s %s %s", column, d.pick("=", "=", "<>"), value)
	case 11:
		return fmt.Sprintf("%s %sIN (%s, %s)", c, not, d.give(d.name(), "text"), d.give(d.name(), "text"))
	case 12:
		list := []byte{'{'}
		for i := range d.r.IntN(3) {
			if i > 0 {
				list = append(list, ',')
			}
			list = pgarray.AppendElement(list, d.name())
		}
		return fmt.Sprintf("%s %s (%s)", c, d.pick("= ANY", "<> ALL"), d.give(string(append(list, '}')), "text[]"))
	case 13, 14:
		if shown {
			break
		}
		column, v, cast := tags, any(d.pick(d.w.mark, d.w.mark+"b", d.w.mark+"NULL", "none")), "text"
		if d.r.IntN(3) == 0 {
			column, v, cast = nums, any(d.w.phone+d.r.Int64N(4)), "bigint"
		}
		return fmt.Sprintf("%s %s (%s)", d.give(v, cast), d.pick("= ANY", "<> ALL"), column)
	case 15, 16:
		array, _ := d.w.array(d.r, 3)
		v := d.give(array, "text[]")
		if d.r.IntN(3) == 0 {
			return fmt.Sprintf("%s <@ %s", v, tags)
		}
		return fmt.Sprintf("%s %s %s", tags, d.pick("@>", "&&"), v)
	case 17:
		return fmt.Sprintf("%s %s ARRAY[%s, %s]::bigint[]", nums, d.pick("@>", "&&"), d.give(d.w.phone+d.r.Int64N(3), "bigint"), d.give(d.w.phone, "bigint"))
	case 18:
		return fmt.Sprintf("%s.pin %s %s", alias, d.pick("=", "<>"), d.give(d.w.phone+d.r.Int64N(5), "bigint"))
	}
	return d.pick(fmt.Sprintf("%s IS %sNULL", c, not), fmt.Sprintf("%s.org < %d", alias, d.r.IntN(4)))
}

// test is a tree of leaves. shown as in leaf.
func (d *draw) test(depth int, shown bool, aliases ...string) string {
	if depth == 0 || d.r.IntN(5) == 0 {
		return d.leaf(aliases[d.r.IntN(len(aliases))], shown)
	}
	switch d.r.IntN(9) {
	case 0, 1, 2:
		return fmt.Sprintf("(%s %s %s)", d.test(depth-1, shown, aliases...), d.pick("AND", "OR"), d.test(depth-1, shown, aliases...))
	case 3, 4, 5:
		return "NOT (" + d.test(depth-1, shown, aliases...) + ")"
	case 6:
		return "((" + d.test(depth-1, true, aliases...) + ") " + d.pick("IS TRUE", "IS NOT TRUE", "IS NULL") + ")"
	case 7:
		v := d.param(any(d.pick("", d.w.mark)))
		text := v + "::text"
		if d.w.isLite {
			text = "CAST(" + v + " AS TEXT)"
		}
		return fmt.Sprintf("(%s = '' OR %s.name = %s)", text, aliases[0], v)
	}
	return "(CASE WHEN " + d.test(depth-1, false, aliases...) + " THEN 1 ELSE 0 END = 1)"
}

// search is a statement in which nothing is left to the order in which a server finds rows.
func (d *draw) search() text {
	switch d.r.IntN(14) {
	case 0, 1:
		return same("SELECT p.id, CASE WHEN p.scope = 'a' THEN p.name END AS n FROM people p WHERE %s ORDER BY p.id", d.test(3, false, "p"))
	case 2:
		return same("SELECT p.id, %s AS x, count(*) FILTER (WHERE %s) OVER (PARTITION BY p.org ORDER BY p.id) FROM people p ORDER BY p.id", d.test(1, true, "p"), d.test(1, false, "p"))
	case 3, 4:
		kind := d.pick("JOIN", "LEFT JOIN", "RIGHT JOIN")
		return same("SELECT p.id, q.id AS qid FROM people p %s people q ON q.id = p.id + 1 AND %s WHERE %s ORDER BY p.id, q.id", kind, d.test(2, false, "p", "q"), d.test(1, false, "p", "q"))
	case 5:
		return same("SELECT p.id FROM people p WHERE p.id %s (SELECT q.id FROM people q WHERE %s) AND %s ORDER BY p.id", d.pick("IN", "NOT IN"), d.test(2, false, "q"), d.test(1, false, "p"))
	case 6:
		return same("SELECT p.id FROM people p WHERE %sEXISTS (SELECT 1 FROM people q WHERE q.org = p.org AND %s) ORDER BY p.id", d.pick("", "NOT "), d.test(2, false, "p", "q"))
	case 7:
		return same("SELECT p.org, count(*) FROM people p WHERE %s GROUP BY p.org HAVING count(*) FILTER (WHERE %s) > %d ORDER BY p.org", d.test(1, false, "p"), d.test(1, false, "p"), d.r.IntN(3))
	case 8:
		return same("SELECT p.id FROM people p WHERE %s %s SELECT q.id FROM people q WHERE %s ORDER BY 1", d.test(2, false, "p"), d.pick("UNION", "UNION ALL", "EXCEPT", "INTERSECT"), d.test(2, false, "q"))
	case 9:
		const columns = "SELECT p.id, p.scope, p.org, p.name, p.mail, p.code, p.tags, p.nums, p.pin FROM people p WHERE "
		return same("SELECT s.id FROM (%s%s UNION ALL %s%s) s WHERE %s ORDER BY 1", columns, d.test(1, false, "p"), columns, d.test(1, false, "p"), d.test(1, false, "s"))
	case 10:
		return same("WITH s AS (SELECT p.* FROM people p WHERE %s) SELECT s.id FROM s WHERE %s ORDER BY s.id", d.test(1, false, "p"), d.test(2, false, "s"))
	case 11:
		if d.w.isLite {
			return same("UPDATE people AS p SET org = p.org WHERE %s RETURNING id, scope", d.test(2, false, "p"))
		}
		return same("WITH u AS (UPDATE people p SET org = p.org WHERE %s RETURNING p.id, p.scope) SELECT u.id FROM u ORDER BY u.id", d.test(2, false, "p"))
	case 12:
		if d.w.isLite {
			return same("SELECT p.id, %s AS x FROM people p ORDER BY p.id", d.test(1, true, "p"))
		}
		return same("SELECT p.id, q.id AS qid FROM people p JOIN people q ON lower(p.mail) = lower(q.mail) AND %s ORDER BY p.id, q.id", d.test(1, false, "p", "q"))
	}
	return same("SELECT count(*) FROM people p WHERE %s AND %s", d.test(3, false, "p"), d.test(1, false, "p"))
}

// TestTermsRandom compares statements that search for terms with a plaintext twin.
func TestTermsRandom(t *testing.T) {
	n, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for keys := 1; keys <= 2; keys++ {
			t.Run(fmt.Sprint(keys, " keys"), func(t *testing.T) { newScopesPG(t, found(t), db, keys).random(t, n, *termStatements) })
			exec(t, db.Admin, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		}
	})
	for keys := 1; keys <= 2; keys++ {
		t.Run(fmt.Sprint("SQLite ", keys, " keys"), func(t *testing.T) {
			p := found(t)
			p.kinds = kindsOf("GLOB", "NOT GLOB", `\|\|`, `IN \(`, "LEFT JOIN", "EXISTS", "UNION|EXCEPT|INTERSECT", "HAVING", "OVER", "WITH", "UPDATE", "IS NOT TRUE", "CASE")
			newScopesLite(t, p, keys).random(t, n, *termStatements)
		})
	}
}
