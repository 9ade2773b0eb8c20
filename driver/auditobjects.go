package driver

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/schema"
)

const auditIndexQuery = `SELECT i.indrelid::pg_catalog.text, c.relname::pg_catalog.text, am.amname::pg_catalog.text,
	i.indisunique::pg_catalog.text, i.indkey::pg_catalog.text, i.indnkeyatts::pg_catalog.text,
	pg_catalog.pg_get_expr(i.indexprs, i.indrelid), pg_catalog.pg_get_expr(i.indpred, i.indrelid)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) ORDER BY c.relname`

// indexes judges the indexes with a sealed column in them.
func (a *auditor) indexes() error {
	rows, err := a.query(auditIndexQuery, a.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		rel, name := a.byOID[r[0]], r[1]
		keys := attributes(r[4])
		keys = keys[:min(number(r[5]), len(keys))] // those after are INCLUDE's, which nothing searches
		for _, c := range rel.sorted() {
			if slices.Contains(keys, c.num) {
				a.indexKey(c, name, r[2], r[3] == "true")
			}
			if mentions(r[6], c.name) || mentions(r[7], c.name) && !nullsOnly(r[7], c.name) {
				a.on(Danger, "expression-index", rel, c, name, "the index computes on cells: what it finds has nothing to do with the values",
					"drop it, and index the column itself for equality")
			}
		}
	}
	return nil
}

func (a *auditor) indexKey(c *auditCol, index, method string, unique bool) {
	switch {
	case c.col.Mode != schema.Deterministic && unique:
		a.on(Danger, "unique", c.rel, c, index, "it is unique over a randomized column, whose cells all differ: duplicates are never found",
			`drop it, or make the column seal:"deterministic"`)
	case c.col.Mode != schema.Deterministic:
		a.on(Warning, "index", c.rel, c, index, "an index over a randomized column finds nothing", "drop it")
	case method != "btree" && method != "hash":
		a.on(Warning, "index", c.rel, c, index, "an index of type "+method+" cannot answer equality of cells", "make it a btree or hash index")
	}
}

const auditForeignKeyQuery = `SELECT conname::pg_catalog.text, conrelid::pg_catalog.text, conkey::pg_catalog.text,
	confrelid::pg_catalog.text, confkey::pg_catalog.text, conrelid::pg_catalog.regclass::pg_catalog.text, confrelid::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_constraint
WHERE contype = 'f' AND conparentid = 0 AND (conrelid = ANY ($1::pg_catalog.oid[]) OR confrelid = ANY ($1::pg_catalog.oid[])) ORDER BY conname`

// foreignKeys checks that both ends of each are cells of one identity.
func (a *auditor) foreignKeys() error {
	rows, err := a.query(auditForeignKeyQuery, a.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		from, to := attributes(r[2]), attributes(r[4])
		for i := range min(len(from), len(to)) {
			a.foreignKey(r[0], a.sealed(r[1], from[i]), a.sealed(r[3], to[i]), r[5], r[6])
		}
	}
	return nil
}

// sealed returns a sealed column by its numbers, or nil.
func (a *auditor) sealed(oid, num string) *auditCol {
	if rel := a.byOID[oid]; rel != nil {
		return rel.cols[num]
	}
	return nil
}

func (a *auditor) foreignKey(name string, from, to *auditCol, fromTable, toTable string) {
	const mend = "give both columns one join= group, or drop the foreign key"
	switch {
	case from == nil && to == nil:
	case from == nil:
		a.on(Danger, "foreign-key", to.rel, to, name, "it is referenced from a plain column of "+fromTable+", which never equals a cell", mend)
	case to == nil:
		a.on(Danger, "foreign-key", from.rel, from, name, "it references a plain column of "+toTable+", which never equals a cell", mend)
	case from.col.Identity() != to.col.Identity() || from.col.Mode != schema.Deterministic:
		a.on(Danger, "foreign-key", from.rel, from, name, "it references "+to.rel.label+"."+to.name+", whose cells are never equal to its own", mend)
	}
}

const auditTriggerQuery = `SELECT t.tgrelid::pg_catalog.text, t.tgname::pg_catalog.text, p.proname::pg_catalog.text, p.prosrc
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgrelid = ANY ($1::pg_catalog.oid[]) ORDER BY t.tgname`

// triggers reports every trigger of a sealed table: what it does can only be read by a person.
func (a *auditor) triggers() error {
	rows, err := a.query(auditTriggerQuery, a.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		rel := a.byOID[r[0]]
		sev, what := Warning, "its function "+r[2]+" gets rows with cells in them"
		if names := a.named(rel, r[3]); len(names) > 0 {
			sev, what = Danger, "its function "+r[2]+" names "+strings.Join(names, ", ")+": it sees cells, and what it writes is not sealed"
		}
		a.on(sev, "trigger", rel, nil, r[1], what, "see that it neither computes with the sealed columns nor writes them nor copies them elsewhere; do that in the program")
	}
	return nil
}

// named lists the sealed columns of a relation that a function's body names.
func (a *auditor) named(rel *auditRel, body string) []string {
	var names []string
	for _, c := range rel.sorted() {
		if mentions(body, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

const auditRuleQuery = `SELECT ev_class::pg_catalog.text, rulename::pg_catalog.text FROM pg_catalog.pg_rewrite
WHERE rulename <> '_RETURN' AND ev_class = ANY ($1::pg_catalog.oid[]) ORDER BY rulename`

// rules reports the rules on sealed tables: the server executes other statements than were analysed.
func (a *auditor) rules() error {
	rows, err := a.query(auditRuleQuery, a.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		a.on(Danger, "rule", a.byOID[r[0]], nil, r[1], "the rule rewrites statements after they were analysed and sealed", "drop it, and do in the program what it does")
	}
	return nil
}

const auditFunctionQuery = `SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text, p.prosrc
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND l.lanname NOT IN ('internal', 'c')
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
	AND p.prosrc ~* $1 ORDER BY 1`

// functions reports those whose body names a sealed table.
func (a *auditor) functions() error {
	var names []string
	for _, rel := range a.rels {
		names = append(names, regexp.QuoteMeta(rel.name))
	}
	if len(names) == 0 {
		return nil
	}
	rows, err := a.query(auditFunctionQuery, "("+strings.Join(names, "|")+")")
	if err != nil {
		return err
	}
	for _, r := range rows {
		for _, rel := range a.rels {
			if !mentions(r[1], rel.name) {
				continue
			}
			sev, what := Warning, "its body names the table"
			if names := a.named(rel, r[1]); len(names) > 0 {
				sev, what = Danger, "its body names the table and "+strings.Join(names, ", ")+": it sees cells, and what it writes is not sealed"
			}
			a.on(sev, "function", rel, nil, r[0], what, "see that it neither computes with the sealed columns nor writes them; do that in the program")
		}
	}
	return nil
}

const auditChildQuery = `WITH RECURSIVE below AS (
	SELECT inhparent AS head, inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = ANY ($1::pg_catalog.oid[])
	UNION SELECT below.head, i.inhrelid FROM below JOIN pg_catalog.pg_inherits i ON i.inhparent = below.inhrelid)
SELECT head::pg_catalog.text, inhrelid::pg_catalog.text, inhrelid::pg_catalog.regclass::pg_catalog.text, 'below' FROM below
UNION ALL
SELECT inhrelid::pg_catalog.text, inhparent::pg_catalog.text, inhparent::pg_catalog.regclass::pg_catalog.text, 'above'
FROM pg_catalog.pg_inherits WHERE inhrelid = ANY ($1::pg_catalog.oid[])
ORDER BY 4, 3`

// children reports partitions and other children, and parents, that are not registered. A table
// may have thousands: one finding for all.
func (a *auditor) children() error {
	rows, err := a.query(auditChildQuery, a.oids())
	if err != nil {
		return err
	}
	below := map[string][]string{}
	for _, r := range rows {
		switch {
		case a.byOID[r[1]] != nil:
		case r[3] == "above":
			a.on(Danger, "inheritance", a.byOID[r[0]], nil, r[2], "its parent is not registered: a statement that names the parent writes plaintext and reads cells",
				"register the parent, with schema.WithIdentityTable if the cells are there already")
		default:
			below[r[0]] = append(below[r[0]], r[2])
		}
	}
	for _, rel := range a.rels {
		if names := below[rel.oid]; len(names) > 0 {
			a.on(Warning, "inheritance", rel, nil, some(names), "partitions or children are not registered: a statement that names one is forwarded unsealed",
				fmt.Sprintf("name only the parent in SQL, or register them with schema.WithIdentityTable(%s)", strconv.Quote(rel.label)))
		}
	}
	return nil
}

// some lists the first few of many names.
func some(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// mentions reports whether a name stands in a text as a word.
func mentions(text, name string) bool {
	if text == "" {
		return false
	}
	re := regexp.MustCompile(`(?i)(^|[^\pL\pN_$])` + regexp.QuoteMeta(name) + `($|[^\pL\pN_$])`)
	return re.MatchString(text)
}

// nullsOnly reports whether an expression, as the server prints it, asks of a column only whether it is
// NULL, which cells answer as values do.
func nullsOnly(expr, column string) bool {
	for _, name := range []string{column, dbcatalog.QuoteIdent(column)} {
		expr = regexp.MustCompile(`(?i)`+regexp.QuoteMeta(name)+` IS (NOT )?NULL`).ReplaceAllLiteralString(expr, "")
	}
	return !mentions(expr, column)
}
