package migrate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/pgarray"
)

// object is an index or a constraint of a plain column, in the order in which they are made.
type object struct {
	Kind  string `json:"kind"`            // index, unique, check or foreign key
	Table string `json:"table,omitempty"` // of a foreign key, where it is not this one: in a statement
	Name  string `json:"name"`
	Def   string `json:"def"`             // CREATE INDEX, or what stands behind ADD CONSTRAINT name
	Defer string `json:"defer,omitempty"` // of a unique constraint
	Space string `json:"space,omitempty"` // the tablespace of an index, quoted

	After []string `json:"after,omitempty"` // what gives it the rest
}

// index is one of a table's indexes.
type index struct {
	name, def, pred string
	unique, valid   bool
	exprs           bool
	method          string
	cols            []int64 // attribute numbers of the keys; 0 for an expression
	refers          []int64 // all of the columns that it depends on
	constraint      string  // the unique or exclusion constraint, or primary key, that it is of
	kind            string  // p, u, x
	deferred        string
	replica         bool
	loose           []int64 // the keys that it compares by a collation which takes values for equal that differ
	space           string
	after           []string
}

// constraint is a CHECK.
type constraint struct {
	name, def string
	cols      []int64
	valid     bool
	after     []string
}

// foreignKey is from the table or to it.
type foreignKey struct {
	name, def     string
	from, to      string // tables, in a statement
	fromHere      bool
	toHere        bool
	fromCols      []string
	toCols        []string
	onUpdate      string
	onDelete      string
	sets          []string // the columns that ON DELETE SET NULL or SET DEFAULT is about; empty: all of fromCols
	match, defer_ string
	valid         bool
	after         []string
}

// view depends on columns of the table.
type view struct {
	name, def  string
	kind       string
	options    string
	dependents int64 // and what else is lost when it is made again
	cols       []int64
	after      []string // what gives it its owner and privileges, when it is made again
}

const (
	commentOfConstraint = `SELECT pg_catalog.format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, $1::pg_catalog.text, pg_catalog.obj_description(c.oid, 'pg_constraint')) AS s
		WHERE pg_catalog.obj_description(c.oid, 'pg_constraint') IS NOT NULL`

	indexQuery = `SELECT i.relname::pg_catalog.text, pg_catalog.pg_get_indexdef(x.indexrelid), COALESCE(pg_catalog.pg_get_expr(x.indpred, x.indrelid), ''),
	x.indisunique::pg_catalog.text, x.indisvalid::pg_catalog.text, (x.indexprs IS NOT NULL)::pg_catalog.text, m.amname::pg_catalog.text, x.indkey::pg_catalog.text,
	(SELECT COALESCE(pg_catalog.string_agg(d.refobjsubid::pg_catalog.text, ' '), '') FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = x.indrelid AND d.refobjsubid > 0
		AND (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = x.indexrelid OR d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid)),
	COALESCE(c.conname::pg_catalog.text, ''), COALESCE(c.contype::pg_catalog.text, ''),
	CASE WHEN c.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN c.condeferrable THEN ' DEFERRABLE' ELSE '' END, x.indisreplident::pg_catalog.text,
	(SELECT COALESCE(pg_catalog.string_agg(q.n::pg_catalog.text, ' '), '') FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[]), pg_catalog.unnest(x.indcollation::pg_catalog.oid[])) AS q(n, o)
		JOIN pg_catalog.pg_collation k ON k.oid = q.o WHERE NOT k.collisdeterministic),
	COALESCE((SELECT pg_catalog.quote_ident(s.spcname) FROM pg_catalog.pg_tablespace s WHERE s.oid = i.reltablespace), ''),
	(SELECT pg_catalog.array_agg(s)::pg_catalog.text FROM (
		SELECT pg_catalog.format('COMMENT ON INDEX %I.%I IS %L', n.nspname, i.relname, pg_catalog.obj_description(i.oid, 'pg_class')) AS s WHERE pg_catalog.obj_description(i.oid, 'pg_class') IS NOT NULL
		UNION ALL SELECT pg_catalog.format('ALTER TABLE %s CLUSTER ON %I', $1::pg_catalog.text, i.relname) WHERE x.indisclustered
		UNION ALL SELECT pg_catalog.format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', n.nspname, i.relname, a.attnum, a.attstattarget) FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.oid AND a.attstattarget >= 0
		UNION ALL ` + commentOfConstraint + `) q)
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_am m ON m.oid = i.relam
JOIN pg_catalog.pg_namespace n ON n.oid = i.relnamespace LEFT JOIN pg_catalog.pg_constraint c ON c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x')
WHERE x.indrelid = pg_catalog.to_regclass($1) ORDER BY x.indexrelid`

	checkQuery = `SELECT c.conname::pg_catalog.text, pg_catalog.pg_get_constraintdef(c.oid), pg_catalog.array_to_string(c.conkey, ' '), c.convalidated::pg_catalog.text,
	(SELECT pg_catalog.array_agg(s)::pg_catalog.text FROM (` + commentOfConstraint + `) q)
FROM pg_catalog.pg_constraint c WHERE c.conrelid = pg_catalog.to_regclass($1) AND c.contype = 'c' ORDER BY c.oid`

	foreignKeyQuery = `SELECT c.conname::pg_catalog.text, pg_catalog.pg_get_constraintdef(c.oid), f.nspname::pg_catalog.text, ff.relname::pg_catalog.text, t.nspname::pg_catalog.text, tt.relname::pg_catalog.text,
	(SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.i)::pg_catalog.text FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY AS k(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n),
	(SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.i)::pg_catalog.text FROM pg_catalog.unnest(c.confkey) WITH ORDINALITY AS k(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n),
	c.confupdtype::pg_catalog.text, c.confdeltype::pg_catalog.text, c.confmatchtype::pg_catalog.text,
	CASE WHEN c.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN c.condeferrable THEN ' DEFERRABLE' ELSE '' END, c.convalidated::pg_catalog.text,
	(c.conrelid = pg_catalog.to_regclass($1))::pg_catalog.text, (c.confrelid = pg_catalog.to_regclass($1))::pg_catalog.text,
	(SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.i)::pg_catalog.text FROM pg_catalog.unnest(COALESCE(c.confdelsetcols, '{}')) WITH ORDINALITY AS k(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n),
	(SELECT pg_catalog.array_agg(s)::pg_catalog.text FROM (` + commentOfConstraint + `) q)
FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class ff ON ff.oid = c.conrelid JOIN pg_catalog.pg_namespace f ON f.oid = ff.relnamespace
JOIN pg_catalog.pg_class tt ON tt.oid = c.confrelid JOIN pg_catalog.pg_namespace t ON t.oid = tt.relnamespace
WHERE c.contype = 'f' AND pg_catalog.to_regclass($1) IN (c.conrelid, c.confrelid) ORDER BY c.oid`

	viewQuery = `SELECT n.nspname::pg_catalog.text, v.relname::pg_catalog.text, v.relkind::pg_catalog.text, pg_catalog.pg_get_viewdef(v.oid), COALESCE(pg_catalog.array_to_string(v.reloptions, ', '), ''),
	((SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend e WHERE e.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.refobjid = v.oid AND e.deptype = 'n'
			AND NOT (e.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND e.objid IN (SELECT o.oid FROM pg_catalog.pg_rewrite o WHERE o.ev_class = v.oid))
		OR e.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND e.refobjid IN (v.reltype, (SELECT y.typarray FROM pg_catalog.pg_type y WHERE y.oid = v.reltype)) AND e.deptype = 'n')
		+ (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger o WHERE o.tgrelid = v.oid) + (SELECT pg_catalog.count(*) FROM pg_catalog.pg_rewrite o WHERE o.ev_class = v.oid AND o.rulename <> '_RETURN')
		+ (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute o WHERE o.attrelid = v.oid AND (o.attacl IS NOT NULL OR o.atthasdef OR pg_catalog.col_description(v.oid, o.attnum) IS NOT NULL)))::pg_catalog.text,
	pg_catalog.string_agg(DISTINCT d.refobjsubid::pg_catalog.text, ' '),
	(SELECT pg_catalog.array_agg(s)::pg_catalog.text FROM (
		SELECT pg_catalog.format('ALTER VIEW %I.%I OWNER TO %I', n.nspname, v.relname, pg_catalog.pg_get_userbyid(v.relowner)) AS s
		UNION ALL SELECT pg_catalog.format('REVOKE ALL ON %I.%I FROM %s', n.nspname, v.relname, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END)
			FROM pg_catalog.pg_default_acl f, LATERAL pg_catalog.aclexplode(f.defaclacl) x WHERE f.defaclobjtype = 'r' AND f.defaclrole = (SELECT o.oid FROM pg_catalog.pg_roles o WHERE o.rolname = CURRENT_USER) AND f.defaclnamespace IN (0, n.oid) AND x.grantee <> v.relowner
		UNION ALL SELECT pg_catalog.format('GRANT %s ON %I.%I TO %s%s', x.privilege_type, n.nspname, v.relname, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END,
			CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM pg_catalog.aclexplode(v.relacl) x WHERE x.grantee <> v.relowner
		UNION ALL SELECT pg_catalog.format('COMMENT ON VIEW %I.%I IS %L', n.nspname, v.relname, o.description) FROM pg_catalog.pg_description o
			WHERE o.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objoid = v.oid AND o.objsubid = 0) q)
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid JOIN pg_catalog.pg_class v ON v.oid = r.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = pg_catalog.to_regclass($1) AND v.relkind IN ('v', 'm')
GROUP BY n.oid, n.nspname, v.relname, v.relkind, v.oid, v.reloptions, v.reltype, v.relowner, v.relacl ORDER BY v.oid`
)

func intsOf(s string) []int64 {
	var out []int64
	for f := range strings.FieldsSeq(s) {
		var n int64
		if _, err := fmt.Sscan(f, &n); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// readObjects reads what belongs to the columns.
func (m *migration) readObjects(ctx context.Context, t *table) error {
	t.indexes, t.checks, t.keys, t.views = nil, nil, nil, nil
	rows, err := m.q.Query(ctx, indexQuery, t.name)
	if err != nil {
		return err
	}
	for _, r := range rows {
		after, err := stringsOf(r.Text(15))
		if err != nil {
			return err
		}
		t.indexes = append(t.indexes, &index{space: r.Text(14), after: after, name: r.Text(0), def: r.Text(1), pred: r.Text(2), unique: r.Bool(3), valid: r.Bool(4), exprs: r.Bool(5), method: r.Text(6),
			cols: intsOf(r.Text(7)), refers: intsOf(r.Text(8)), constraint: r.Text(9), kind: r.Text(10), deferred: r.Text(11), replica: r.Bool(12), loose: intsOf(r.Text(13))})
	}
	if rows, err = m.q.Query(ctx, checkQuery, t.name); err != nil {
		return err
	}
	for _, r := range rows {
		after, err := stringsOf(r.Text(4))
		if err != nil {
			return err
		}
		t.checks = append(t.checks, &constraint{after: after, name: r.Text(0), def: strings.TrimSuffix(r.Text(1), " NOT VALID"), cols: intsOf(r.Text(2)), valid: r.Bool(3)})
	}
	if rows, err = m.q.Query(ctx, foreignKeyQuery, t.name); err != nil {
		return err
	}
	for _, r := range rows {
		fk := &foreignKey{name: r.Text(0), def: r.Text(1), from: dbcatalog.Name{Schema: r.Text(2), Table: r.Text(3)}.SQL(), to: dbcatalog.Name{Schema: r.Text(4), Table: r.Text(5)}.SQL(),
			onUpdate: r.Text(8), onDelete: r.Text(9), match: r.Text(10), defer_: r.Text(11), valid: r.Bool(12), fromHere: r.Bool(13), toHere: r.Bool(14)}
		if fk.fromCols, err = stringsOf(r.Text(6)); err != nil {
			return err
		}
		if fk.toCols, err = stringsOf(r.Text(7)); err != nil {
			return err
		}
		if fk.sets, err = stringsOf(r.Text(15)); err != nil {
			return err
		}
		if fk.after, err = stringsOf(r.Text(16)); err != nil {
			return err
		}
		t.keys = append(t.keys, fk)
	}
	if rows, err = m.q.Query(ctx, viewQuery, t.name); err != nil {
		return err
	}
	for _, r := range rows {
		after, err := stringsOf(r.Text(7))
		if err != nil {
			return err
		}
		t.views = append(t.views, &view{after: after, name: dbcatalog.Name{Schema: r.Text(0), Table: r.Text(1)}.SQL(), kind: r.Text(2), def: r.Text(3), options: r.Text(4), dependents: r.Int(5), cols: intsOf(r.Text(6))})
	}
	return nil
}

// has reports whether one of the columns is among the numbers.
func has(nums []int64, cols ...*attribute) bool {
	return slices.ContainsFunc(cols, func(c *attribute) bool { return c != nil && slices.Contains(nums, c.num) })
}

// token is a part of a definition: a string constant, a quoted name, a name, or anything else.
var token = regexp.MustCompile(`'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*|.`)

// mapNames returns a definition, as the server prints it, with other names for columns. It drops
// the collation and the operator class of a renamed index key, which belong to another type.
func mapNames(def string, names map[string]string) string {
	var b strings.Builder
	after := false
	tokens := token.FindAllString(def, -1)
	for i := 0; i < len(tokens); i++ {
		tok := tokens[i]
		name := tok
		if strings.HasPrefix(tok, `"`) {
			name = strings.ReplaceAll(tok[1:len(tok)-1], `""`, `"`)
		}
		if to, ok := names[name]; ok && !strings.HasPrefix(tok, "'") {
			b.WriteString(dbcatalog.QuoteIdent(to))
			after = true
			continue
		}
		if after {
			rest := strings.Join(tokens[i:], "")
			if said := keyOptions.FindString(rest); said != "" {
				skip := 0
				for skip < len(said) {
					skip += len(tokens[i])
					i++
				}
				i--
				after = false
				continue
			}
			after = false
		}
		b.WriteString(tok)
	}
	return b.String()
}

// keyOptions is what the server prints behind a key of an index and is of its type.
var keyOptions = regexp.MustCompile(`^(?: COLLATE (?:[a-z_]+\.)?(?:"[^"]*"|[a-z_]+))?(?: [a-z0-9_]+_ops)?`)

// nullTest is a condition of an index that is about a value's being there alone.
var nullTest = regexp.MustCompile(`^IS (?:NOT )?NULL\b`)

// onlyNullTests reports whether a condition says of a column no more than whether it is NULL.
func onlyNullTests(pred, column string) bool {
	tokens := token.FindAllString(pred, -1)
	for i, tok := range tokens {
		if tok != column && tok != dbcatalog.QuoteIdent(column) {
			continue
		}
		if !nullTest.MatchString(strings.TrimLeft(strings.Join(tokens[i+1:], ""), " ")) {
			return false
		}
	}
	return true
}

var actions = map[string]string{"a": "", "r": " RESTRICT", "c": " CASCADE", "n": " SET NULL", "d": " SET DEFAULT"}

// define writes a foreign key over other columns.
func (k *foreignKey) define(from, to map[string]string) string {
	list := func(cols []string, names map[string]string) string {
		out := make([]string, len(cols))
		for i, c := range cols {
			if n, ok := names[c]; ok {
				c = n
			}
			out[i] = dbcatalog.QuoteIdent(c)
		}
		return strings.Join(out, ", ")
	}
	s := "FOREIGN KEY (" + list(k.fromCols, from) + ") REFERENCES " + k.to + " (" + list(k.toCols, to) + ")"
	if k.match == "f" {
		s += " MATCH FULL"
	}
	if a := actions[k.onUpdate]; a != "" {
		s += " ON UPDATE" + a
	}
	if a := actions[k.onDelete]; a != "" {
		if s += " ON DELETE" + a; len(k.sets) > 0 {
			s += " (" + list(k.sets, from) + ")"
		}
	}
	return s + k.defer_
}

// stringsOf reads an array of texts; none of "", which stands for NULL.
func stringsOf(literal string) ([]string, error) {
	if literal == "" {
		return nil, nil
	}
	elems, err := pgarray.Parse(literal)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(elems))
	for i, e := range elems {
		out[i] = e.Text
	}
	return out, nil
}
