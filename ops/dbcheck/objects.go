package dbcheck

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/pairtrigger"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

const indexQuery = `SELECT i.indrelid::pg_catalog.text, c.relname::pg_catalog.text, am.amname::pg_catalog.text,
	i.indisunique::pg_catalog.text, i.indkey::pg_catalog.text, i.indnkeyatts::pg_catalog.text,
	pg_catalog.pg_get_expr(i.indexprs, i.indrelid), pg_catalog.pg_get_expr(i.indpred, i.indrelid)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) ORDER BY c.relname`

// indexes judges the indexes with a sealed column in them.
func (k *checker) indexes(ctx context.Context) error {
	rows, err := k.query(ctx, indexQuery, k.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		rel, name := k.byOID[r[0]], r[1]
		keys := attributes(r[4])
		keys = keys[:min(number(r[5]), len(keys))] // those after are INCLUDE's, which nothing searches
		for _, c := range rel.sorted() {
			if slices.Contains(keys, c.num) {
				k.indexKey(c, name, r[2], r[3] == "true")
			}
			rest, fold, terms := c.overTerms(r[6])
			c.foldIndex = c.foldIndex || fold && (r[2] == "btree" || r[2] == "hash")
			c.termsIndex = c.termsIndex || terms && r[2] == "gin"
			if mentions(rest, c.name) || mentions(r[7], c.name) && !nullsOnly(r[7], c.name) {
				k.on(SeverityDanger, "expression-index", rel, c, name, "the index computes on cells: what it finds has nothing to do with the values",
					"drop it, and index the column itself for equality")
			}
		}
	}
	return nil
}

func (k *checker) indexKey(c *column, index, method string, unique bool) {
	switch {
	case !c.col.EqualCells() && unique:
		k.on(SeverityDanger, "unique", c.rel, c, index, "it is unique over a randomized column, whose cells all differ: duplicates are never found",
			`drop it, or make the column seal:"deterministic"`)
	case !c.col.EqualCells():
		k.on(SeverityWarning, "index", c.rel, c, index, "an index over a randomized column finds nothing", "drop it")
	case method != "btree" && method != "hash":
		k.on(SeverityWarning, "index", c.rel, c, index, "an index of type "+method+" cannot answer equality of cells", "make it a btree or hash index")
	}
}

const foreignKeyQuery = `SELECT conname::pg_catalog.text, conrelid::pg_catalog.text, conkey::pg_catalog.text,
	confrelid::pg_catalog.text, confkey::pg_catalog.text, conrelid::pg_catalog.regclass::pg_catalog.text, confrelid::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_constraint
WHERE contype = 'f' AND conparentid = 0 AND (conrelid = ANY ($1::pg_catalog.oid[]) OR confrelid = ANY ($1::pg_catalog.oid[])) ORDER BY conname`

// foreignKeys checks that both ends of each are cells of one identity.
func (k *checker) foreignKeys(ctx context.Context) error {
	rows, err := k.query(ctx, foreignKeyQuery, k.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		from, to := attributes(r[2]), attributes(r[4])
		for i := range min(len(from), len(to)) {
			k.foreignKey(r[0], k.sealed(r[1], from[i]), k.sealed(r[3], to[i]), r[5], r[6])
		}
	}
	return nil
}

// sealed returns a sealed column by its numbers, or nil.
func (k *checker) sealed(oid, num string) *column {
	if rel := k.byOID[oid]; rel != nil {
		return rel.cols[num]
	}
	return nil
}

func (k *checker) foreignKey(name string, from, to *column, fromTable, toTable string) {
	const hint = "give both columns one join= group, or drop the foreign key"
	switch {
	case from == nil && to == nil:
	case from == nil:
		k.on(SeverityDanger, "foreign-key", to.rel, to, name, "it is referenced from a plain column of "+fromTable+", which never equals a cell", hint)
	case to == nil:
		k.on(SeverityDanger, "foreign-key", from.rel, from, name, "it references a plain column of "+toTable+", which never equals a cell", hint)
	case from.col.Identity() != to.col.Identity() || !from.col.EqualCells():
		k.on(SeverityDanger, "foreign-key", from.rel, from, name, "it references "+to.rel.label+"."+to.name+", whose cells are never equal to its own", hint)
	}
}

const triggerQuery = `SELECT t.tgrelid::pg_catalog.text, t.tgname::pg_catalog.text, p.proname::pg_catalog.text, p.prosrc,
	pg_catalog.concat_ws(' ', t.tgtype, t.tgenabled, t.tgqual IS NULL, l.lanname, p.prosecdef, p.proconfig IS NULL),
	COALESCE((SELECT pg_catalog.string_agg(a.attname::pg_catalog.text, ',') FROM pg_catalog.pg_attribute a
		WHERE a.attrelid OPERATOR(pg_catalog.=) t.tgrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (t.tgattr)), ''), pg_catalog.encode(t.tgargs, 'hex')
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgrelid = ANY ($1::pg_catalog.oid[]) ORDER BY t.tgname`

// What triggerQuery says of triggers that colseal seal makes: for each row, BEFORE INSERT OR UPDATE
// or BEFORE UPDATE; enabled; without a condition; of a function that is nobody else's and sets
// nothing.
const (
	pairsTrigger = "23 O t plpgsql f t"
	bothTrigger  = "19 O t plpgsql f t"
)

// triggers reports every trigger of a sealed table: what it does can only be read by a person. Of
// those of colseal seal it is known.
func (k *checker) triggers(ctx context.Context) error {
	rows, err := k.query(ctx, triggerQuery, k.oids())
	if err != nil {
		return err
	}
	own := map[*relation][][]string{}
	for _, r := range rows {
		rel := k.byOID[r[0]]
		if r[1] == pairtrigger.Name || strings.HasPrefix(r[1], pairtrigger.BothName) {
			own[rel] = append(own[rel], r)
			continue
		}
		sev, what := SeverityWarning, "its function "+r[2]+" gets rows with cells in them"
		if names := k.named(rel, r[3]); len(names) > 0 {
			sev, what = SeverityDanger, "its function "+r[2]+" names "+strings.Join(names, ", ")+": it sees cells, and what it writes is not sealed"
		}
		k.on(sev, "trigger", rel, nil, r[1], what, "see that it neither computes with the sealed columns nor writes them nor copies them elsewhere; do that in the program")
	}
	for _, rel := range k.rels {
		rows := own[rel]
		if len(rows) == 0 {
			left, err := k.leftFunction(ctx, rel)
			if err != nil {
				return err
			}
			if !left {
				continue
			}
		}
		k.ownTriggers(rel, rows)
	}
	return nil
}

const leftQuery = `SELECT p.oid::pg_catalog.text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = $1 AND p.proname = $2 AND p.pronargs = 0`

// leftFunction reports whether the function of the triggers of colseal seal is there, for a table
// that has columns with a stage. The triggers go with it.
func (k *checker) leftFunction(ctx context.Context, rel *relation) (bool, error) {
	if !slices.ContainsFunc(rel.table.Columns(), func(c *schema.Column) bool { return c.Stage != schema.StageNone }) {
		return false, nil
	}
	rows, err := k.query(ctx, leftQuery, rel.schema, pairtrigger.FunctionOf(rel.name))
	return len(rows) > 0, err
}

// ownTriggers compares the triggers of colseal seal with what it makes.
func (k *checker) ownTriggers(rel *relation, rows [][]string) {
	tampered := func(name, what string) {
		k.on(SeverityDanger, "trigger", rel, nil, name, what+": a column and its companion can come to differ",
			"see what was changed, and by whom; each step of colseal seal and unseal makes the triggers again")
	}
	byName := map[string][]string{}
	for _, r := range rows {
		byName[r[1]] = r
	}
	last := byName[pairtrigger.Name]
	if last == nil {
		tampered(pairtrigger.Name, "the trigger that colseal seal made is gone")
		return
	}
	modes, err := pairtrigger.Modes(last[3])
	var columns []*schema.Column
	for _, c := range rel.table.Columns() {
		if _, ok := modes[c.Stored]; ok && c.Stage != schema.StageNone {
			columns = append(columns, c)
		}
	}
	body := ""
	if err == nil && len(modes) > 0 && len(columns) == len(modes) {
		body = pairtrigger.Body(columns, modes)
	}
	as := func(name, shape, columns, args string) {
		r := byName[name]
		delete(byName, name)
		switch {
		case r == nil:
			tampered(name, "the trigger that colseal seal made is gone")
		case r[2] != pairtrigger.FunctionOf(rel.name) || r[3] != body || r[4] != shape || r[5] != columns || r[6] != args:
			tampered(name, "it is not the trigger that colseal seal makes for the columns with a stage in this schema")
		}
	}
	as(pairtrigger.Name, pairsTrigger, "", "")
	for _, c := range columns {
		as(pairtrigger.BothNameOf(c), bothTrigger, c.Stored, hex.EncodeToString([]byte(c.Stored+"\x00")))
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		tampered(name, "it has the name of a trigger that colseal seal makes, and is none")
	}
}

// named lists the sealed columns of a relation that a function's body names.
func (k *checker) named(rel *relation, body string) []string {
	var names []string
	for _, c := range rel.sorted() {
		if mentions(body, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

const ruleQuery = `SELECT ev_class::pg_catalog.text, rulename::pg_catalog.text FROM pg_catalog.pg_rewrite
WHERE rulename <> '_RETURN' AND ev_class = ANY ($1::pg_catalog.oid[]) ORDER BY rulename`

// rules reports the rules on sealed tables: the server executes other statements than were
// analysed.
func (k *checker) rules(ctx context.Context) error {
	rows, err := k.query(ctx, ruleQuery, k.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		k.on(SeverityDanger, "rule", k.byOID[r[0]], nil, r[1], "the rule rewrites statements after they were analysed and sealed", "drop it, and do in the program what it does")
	}
	return nil
}

const functionQuery = `SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text, p.prosrc
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND l.lanname NOT IN ('internal', 'c')
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
	AND p.prosrc ~* $1 ORDER BY 1`

// functions reports those whose body names a sealed table.
func (k *checker) functions(ctx context.Context) error {
	var names []string
	for _, rel := range k.rels {
		names = append(names, regexp.QuoteMeta(rel.name))
	}
	if len(names) == 0 {
		return nil
	}
	rows, err := k.query(ctx, functionQuery, "("+strings.Join(names, "|")+")")
	if err != nil {
		return err
	}
	for _, r := range rows {
		for _, rel := range k.rels {
			if !mentions(r[1], rel.name) {
				continue
			}
			sev, what := SeverityWarning, "its body names the table, so that statements that call it are refused unless schema.Functions lists it"
			if names := k.named(rel, r[1]); len(names) > 0 {
				sev, what = SeverityDanger, "its body names the table and "+strings.Join(names, ", ")+": it sees cells, and what it writes is not sealed"
			}
			k.on(sev, "function", rel, nil, r[0], what, "see that it neither computes with the sealed columns nor writes them; do that in the program")
		}
	}
	return nil
}

const parentQuery = `SELECT inhrelid::pg_catalog.text, inhparent::pg_catalog.text, inhparent::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_inherits WHERE inhrelid = ANY ($1::pg_catalog.oid[])
ORDER BY 3`

// parents reports those of a sealed table that are not registered.
func (k *checker) parents(ctx context.Context) error {
	rows, err := k.query(ctx, parentQuery, k.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		if k.byOID[r[1]] == nil {
			k.on(SeverityDanger, "inheritance", k.byOID[r[0]], nil, r[2], "its parent is not registered: a statement that names the parent writes plaintext and reads cells",
				"register the parent, with schema.WithIdentityTable if the cells are there already")
		}
	}
	return nil
}

// mentions reports whether a name stands in a text as a word.
func mentions(text, name string) bool {
	if text == "" {
		return false
	}
	re := regexp.MustCompile(`(?i)(^|[^\pL\pN_$])` + regexp.QuoteMeta(name) + `($|[^\pL\pN_$])`)
	return re.MatchString(text)
}

// nullsOnly reports whether an expression, as the server prints it, asks of a column only whether
// it is NULL, which cells answer as values do.
func nullsOnly(expr, column string) bool {
	for _, name := range []string{column, dbcatalog.QuoteIdent(column)} {
		expr = regexp.MustCompile(`(?i)`+regexp.QuoteMeta(name)+` IS (NOT )?NULL`).ReplaceAllLiteralString(expr, "")
	}
	return !mentions(expr, column)
}

// What depends on single columns. Indexes, CHECKs and foreign keys are judged elsewhere, with more
// facts. pg_rewrite stands for views and rules, whose relation is the view or the table of the
// rule.
const dependQuery = `SELECT DISTINCT d.refobjid::pg_catalog.text, d.refobjsubid::pg_catalog.text,
	CASE WHEN d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'generated' ELSE cl.relname::pg_catalog.text END,
	COALESCE(r.ev_class::pg_catalog.text, ''), COALESCE(r.rulename::pg_catalog.text, ''),
	CASE WHEN r.oid IS NOT NULL THEN r.ev_class::pg_catalog.regclass::pg_catalog.text
		WHEN ad.oid IS NOT NULL THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, ad.adrelid, ad.adnum)
		ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class cl ON cl.oid = d.classid
LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
LEFT JOIN pg_catalog.pg_attrdef ad ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND ad.oid = d.objid
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY ($1::pg_catalog.oid[]) AND d.refobjsubid > 0
	AND d.classid <> 'pg_catalog.pg_constraint'::pg_catalog.regclass
	AND (d.classid <> 'pg_catalog.pg_class'::pg_catalog.regclass OR d.objid = d.refobjid AND d.objsubid > 0)
	AND NOT (ad.oid IS NOT NULL AND ad.adrelid = d.refobjid AND ad.adnum = d.refobjsubid)
ORDER BY 1, 2, 6`

// refusal returns why the driver refuses a query; "" if it does not.
func (k *checker) refusal(ctx context.Context, query string) (string, error) {
	if k.planner == nil {
		k.planner = sqlplan.New(k.db.Schema, k.db.Dialect, k.db.Plans)
		known, err := k.planner.Survey(ctx, k.q)
		if err != nil {
			return "", err
		}
		k.planner.Learn(known)
	}
	_, err := k.planner.Plan(ctx, query, &sqlplan.Env{Catalog: dbcatalog.Live{Querier: k.q, Dialect: k.db.Dialect}})
	var r *sqlplan.Refusal
	if errors.As(err, &r) {
		return r.Reason, nil
	}
	return "", err
}

// dependents reports the objects that the catalog knows to use a sealed column.
func (k *checker) dependents(ctx context.Context) error {
	rows, err := k.query(ctx, dependQuery, k.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		c := k.sealed(r[0], r[1])
		if c == nil {
			continue
		}
		class, owner, object := r[2], r[3], r[5]
		switch class {
		case "pg_rewrite":
			if k.byOID[owner] != nil {
				continue // a registered view, or a rule that is reported already
			}
			if r[4] != "_RETURN" {
				k.on(SeverityDanger, "rule", c.rel, c, r[4]+" on "+object, "the rule computes on cells, or copies them", "drop it, and do in the program what it does")
				continue
			}
			reason, err := k.refusal(ctx, "SELECT * FROM "+object)
			if err != nil {
				return err
			}
			if reason != "" {
				k.on(SeverityDanger, "view", c.rel, c, object, "statements that name the view are refused: "+reason, "leave the column out of it, or let it select the column as it is")
			}
		case "generated", "pg_attrdef":
			k.on(SeverityDanger, "generated", c.rel, c, object, "a generated column computes on cells", "drop it, and compute the value in the program")
		case "pg_policy":
			k.on(SeverityDanger, "policy", c.rel, c, object, "a row security policy judges cells, not values", "let the policy use plain columns")
		case "pg_proc":
			k.on(SeverityDanger, "function", c.rel, c, object, "its body uses the column: it sees cells, and what it writes is not sealed", "do in the program what it does")
		case "pg_trigger":
			// Reported with the table's triggers.
		default:
			k.on(SeverityWarning, "dependent", c.rel, c, object, "it uses the column, and so cells", "see that it makes sense without the values")
		}
	}
	return nil
}

// A view that takes a table's row as one value depends on no column of it. Stars are expanded in
// the definition that the server prints, so what is left of them is such a value, perhaps of
// another table.
const rowQuery = `SELECT DISTINCT d.refobjid::pg_catalog.text, r.ev_class::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY ($1::pg_catalog.oid[])
	AND r.ev_class <> d.refobjid AND r.rulename = '_RETURN' AND pg_catalog.pg_get_viewdef(r.ev_class) ~ '[.][*]' ORDER BY 2`

// wholeRows reports views that take whole rows of a sealed table.
func (k *checker) wholeRows(ctx context.Context) error {
	rows, err := k.query(ctx, rowQuery, k.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		k.on(SeverityDanger, "view", k.byOID[r[0]], nil, r[1], "the view reads the table and takes a row as one value: cells may be inside it", "let it name the plain columns that it needs")
	}
	return nil
}
