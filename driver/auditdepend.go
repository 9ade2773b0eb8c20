package driver

import (
	"fmt"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
)

// What depends on single columns. Indexes, CHECKs and foreign keys are judged elsewhere, with more
// facts. pg_rewrite stands for views and rules, whose relation is the view or the table of the rule.
const auditDependQuery = `SELECT DISTINCT d.refobjid::pg_catalog.text, d.refobjsubid::pg_catalog.text,
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

// dependents reports the objects that the catalog knows to use a sealed column.
func (a *auditor) dependents() error {
	rows, err := a.query(auditDependQuery, a.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		c := a.sealed(r[0], r[1])
		if c == nil {
			continue
		}
		class, owner, object := r[2], r[3], r[5]
		switch class {
		case "pg_rewrite":
			if a.byOID[owner] != nil {
				continue // a registered view, or a rule that is reported already
			}
			if r[4] != "_RETURN" {
				a.on(Danger, "rule", c.rel, c, r[4]+" on "+object, "the rule computes on cells, or copies them", "drop it, and do in the program what it does")
				continue
			}
			a.on(Danger, "view", c.rel, c, object, "the view reads the column and is not registered: who reads it gets cells, and its conditions judge cells",
				"register it with schema.View, or leave the column out of it")
		case "generated", "pg_attrdef":
			a.on(Danger, "generated", c.rel, c, object, "a generated column computes on cells", "drop it, and compute the value in the program")
		case "pg_policy":
			a.on(Danger, "policy", c.rel, c, object, "a row security policy judges cells, not values", "let the policy use plain columns")
		case "pg_proc":
			a.on(Danger, "function", c.rel, c, object, "its body uses the column: it sees cells, and what it writes is not sealed", "do in the program what it does")
		case "pg_trigger":
			// Reported with the table's triggers.
		default:
			a.on(Warning, "dependent", c.rel, c, object, "it uses the column, and so cells", "see that it makes sense without the values")
		}
	}
	return nil
}

// A view that takes a table's row as one value depends on no column of it. Stars are expanded in the
// definition that the server prints, so what is left of them is such a value, perhaps of another table.
const auditRowQuery = `SELECT DISTINCT d.refobjid::pg_catalog.text, r.ev_class::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY ($1::pg_catalog.oid[])
	AND r.ev_class <> d.refobjid AND r.rulename = '_RETURN' AND pg_catalog.pg_get_viewdef(r.ev_class) ~ '[.][*]' ORDER BY 2`

// wholeRows reports views that take whole rows of a sealed table.
func (a *auditor) wholeRows() error {
	rows, err := a.query(auditRowQuery, a.oids())
	if err != nil {
		return err
	}
	for _, r := range rows {
		a.on(Danger, "view", a.byOID[r[0]], nil, r[1], "the view reads the table and takes a row as one value: cells may be inside it", "let it name the plain columns that it needs")
	}
	return nil
}

// auditSample is how many values of a column are looked at.
const auditSample = 10000

// plaintext counts values that are not cells, where no valid CHECK says that there are none.
func (a *auditor) plaintext() error {
	for _, rel := range a.rels {
		if rel.kind == "v" || rel.kind == "f" {
			continue
		}
		for _, c := range rel.sorted() {
			if c.checked {
				continue
			}
			if err := a.sample(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// sample looks at a part of a column's values: the pages of a big table are picked at random.
func (a *auditor) sample(c *auditCol) error {
	cond := "false" // no value of another type is a cell
	if c.storage != dbcatalog.StorageOther {
		cond = ddl.Condition(dialect.Postgres, c.col, c.text())
	}
	from := c.rel.sql()
	if c.rel.rows > auditSample {
		from += fmt.Sprintf(" TABLESAMPLE SYSTEM (%.6f)", min(100, 2*100*auditSample/c.rel.rows))
	}
	name := dbcatalog.QuoteIdent(c.name)
	rows, err := a.query(fmt.Sprintf(`SELECT pg_catalog.count(*)::pg_catalog.text, pg_catalog.count(*) FILTER (WHERE NOT (%[1]s))::pg_catalog.text
FROM (SELECT %[2]s FROM %[3]s WHERE %[2]s IS NOT NULL LIMIT %[4]d) AS s`, cond, name, from, auditSample))
	if dbcatalog.SQLState(err) == "42501" { // insufficient_privilege
		a.on(Warning, "unreadable", c.rel, c, "", "its values could not be looked at: this role may not read the table", "run the audit as a role that may SELECT from it")
		return nil
	}
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0][1] != "0" {
		a.on(Danger, "plaintext", c.rel, c, "", fmt.Sprintf("%s of the %s values looked at are not cells of this column", rows[0][1], rows[0][0]),
			"seal them; until then, reads need Config.Plaintext = driver.AllowRead")
	}
	return nil
}
