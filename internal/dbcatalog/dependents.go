package dbcatalog

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dialect"
)

// Dependent is a relation or a routine through which a statement can reach a table that it
// does not name.
type Dependent struct {
	Name
	Kind DependentKind
	// Parent is the table of which a child has the columns. Of a parent it is the child. Of a type and
	// of a table with columns of such types it is the relation that has the row type. Others have none.
	Parent Name
	// Version changes when a view is defined again, gets another rule, or its columns are renamed.
	Version string
	// Source is the definition of a view of SQLite.
	Source string
	// Columns are the names of a parent's columns, or of the columns that have types with rows in them.
	Columns []string
}

// DependentKind is a kind of Dependent.
type DependentKind uint8

// The kinds of dependents.
const (
	DependentChild   DependentKind = iota + 1 // a partition or an inheritance child
	DependentView                             // a view or a materialized view
	DependentTable                            // a table with a rule that names a table
	DependentForeign                          // a foreign table
	DependentRoutine                          // a function, procedure or aggregate
	DependentParent                           // a table of which another one is a child or a partition
	DependentType                             // a type that has the rows of a relation in it
	DependentHolder                           // a table that has columns of such types
)

// Routine is a function or procedure whose body is a text.
type Routine struct {
	Name
	OID    string
	Source string
}

// postgresVersion is an expression for the version of a view c (a row of pg_class).
const postgresVersion = `CASE WHEN c.relkind IN ('v', 'm') THEN
		(SELECT pg_catalog.string_agg(r.xmin::pg_catalog.text, ' ' ORDER BY r.oid) FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid) || ' ' ||
		(SELECT pg_catalog.string_agg(v.attname::pg_catalog.text, ' ' ORDER BY v.attnum) FROM pg_catalog.pg_attribute v WHERE v.attrelid = c.oid AND v.attnum > 0)
	END`

// Dependents of the tables that $1 names, and of the routines that $2 lists. What is read takes
// no lock on them. An element of $1 is + or - (of a table that is left out), a schema (empty for
// any), and a name.
//
// In reach, class is r for a relation, f for a routine, t for a type with rows of the relation head
// in it, and h for a relation with columns of such types. Otherwise head is that of which a relation
// is a child, or above.
const postgresDependentQuery = `WITH RECURSIVE listed AS (
	SELECT pg_catalog.split_part(e, pg_catalog.chr(1), 1) AS mark, pg_catalog.split_part(e, pg_catalog.chr(1), 2) AS nsp,
		pg_catalog.split_part(e, pg_catalog.chr(1), 3) AS rel
	FROM pg_catalog.unnest(pg_catalog.string_to_array($1::pg_catalog.text, pg_catalog.chr(10))) AS e
), edges(of_class, of_oid, class, oid, child, up) AS MATERIALIZED (
	SELECT 'r', i.inhparent, 'r', i.inhrelid, true, false FROM pg_catalog.pg_inherits i
	UNION ALL SELECT 'r', i.inhrelid, 'r', i.inhparent, false, true FROM pg_catalog.pg_inherits i
	UNION ALL SELECT CASE d.refclassid WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'r' ELSE 'f' END, d.refobjid, 'r', r.ev_class, false, false
	FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
	WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.ev_class <> d.refobjid
		AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
	UNION ALL SELECT 'r', c.oid, 't', c.reltype, false, false FROM pg_catalog.pg_class c WHERE c.reltype <> 0
	UNION ALL SELECT 't', d.refobjid, CASE d.classid WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN 't' WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'h'
		WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'f' ELSE 'r' END, COALESCE(r.ev_class, d.objid), false, false
	FROM pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
	WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND (d.classid IN ('pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
		OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid > 0 OR r.oid IS NOT NULL)
	UNION ALL SELECT CASE d.refclassid WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'r' ELSE 'f' END, d.refobjid, 'f', d.objid, false, false
	FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
		AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
), reach(class, oid, head, up, of_class) AS (
	SELECT 'r', c.oid, c.oid, false, 'r' FROM listed
	JOIN pg_catalog.pg_class c ON c.relname = listed.rel AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE listed.mark = '+' AND (listed.nsp = '' OR n.nspname = listed.nsp)
		AND NOT EXISTS (SELECT FROM listed x WHERE x.mark = '-' AND x.nsp = n.nspname AND x.rel = c.relname)
	UNION SELECT 'r', f.ftrelid, 0::pg_catalog.oid, false, 'r' FROM listed
	JOIN (pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid) ON listed.mark = '+' AND listed.rel = COALESCE(
		(SELECT o.option_value FROM pg_catalog.pg_options_to_table(f.ftoptions) AS o WHERE o.option_name = 'table_name'), c.relname::pg_catalog.text)
	UNION SELECT 'f', f::pg_catalog.oid, 0::pg_catalog.oid, false, 'f'
	FROM pg_catalog.unnest(pg_catalog.string_to_array($2::pg_catalog.text, ',')) AS f
	UNION SELECT e.class, e.oid, CASE WHEN e.child OR e.up OR reach.class IN ('t', 'h') AND e.class IN ('t', 'h') THEN reach.head
		WHEN e.class = 't' THEN CASE reach.head WHEN 0 THEN reach.oid ELSE reach.head END ELSE 0 END, e.up, CASE e.class WHEN 'h' THEN 'r' ELSE e.class END
	FROM reach JOIN edges e ON e.of_oid = reach.oid AND e.of_class = reach.of_class
		AND (NOT e.child OR reach.head <> 0 AND NOT reach.up AND reach.class = 'r') AND (NOT e.up OR reach.head <> 0 AND reach.class = 'r')
)
SELECT n.nspname::pg_catalog.text, COALESCE(c.relname, p.proname, t.typname)::pg_catalog.text, COALESCE(c.relkind::pg_catalog.text, ''),
	hn.nspname::pg_catalog.text, h.relname::pg_catalog.text,
	CASE WHEN reach.class = 'h' THEN (SELECT pg_catalog.string_agg(u.attname::pg_catalog.text, pg_catalog.chr(1) ORDER BY u.attnum)
		FROM pg_catalog.pg_attribute u WHERE u.attrelid = c.oid AND u.attnum > 0 AND u.atttypid IN (SELECT x.oid FROM reach x WHERE x.class = 't' AND x.head = reach.head))
	WHEN reach.up THEN (SELECT pg_catalog.string_agg(u.attname::pg_catalog.text, pg_catalog.chr(1) ORDER BY u.attnum)
		FROM pg_catalog.pg_attribute u WHERE u.attrelid = c.oid AND u.attnum > 0 AND NOT u.attisdropped) ELSE ` + postgresVersion + ` END,
	CASE WHEN reach.up THEN 'up' ELSE reach.class END
FROM reach
LEFT JOIN pg_catalog.pg_class c ON reach.class IN ('r', 'h') AND c.oid = reach.oid
LEFT JOIN pg_catalog.pg_type t ON reach.class = 't' AND t.oid = reach.oid
LEFT JOIN pg_catalog.pg_class tc ON tc.oid = t.typrelid
LEFT JOIN pg_catalog.pg_proc p ON reach.class = 'f' AND p.oid = reach.oid
JOIN pg_catalog.pg_namespace n ON n.oid = COALESCE(c.relnamespace, p.pronamespace, t.typnamespace)
LEFT JOIN pg_catalog.pg_class h ON h.oid = reach.head
LEFT JOIN pg_catalog.pg_namespace hn ON hn.oid = h.relnamespace
WHERE CASE reach.class WHEN 't' THEN COALESCE(tc.relkind = 'c', t.typname <> '_' ||
	(SELECT x.typname::pg_catalog.text FROM pg_catalog.pg_type x WHERE x.oid = t.typelem), true) WHEN 'h' THEN c.relkind IN ('r', 'p', 'f')
	ELSE reach.head <> reach.oid END
ORDER BY 1, 2, 3, 7, 4, 5`

// Of the server's own languages; a body that the server keeps parsed is no text, and its
// dependencies are in the catalog.
const postgresRoutineQuery = `SELECT p.oid::pg_catalog.text, n.nspname::pg_catalog.text, p.proname::pg_catalog.text, p.prosrc
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE l.lanname IN ('sql', 'plpgsql') AND p.prosrc <> '' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
	AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
ORDER BY p.oid`

// ReadDependents lists what depends on tables, directly or by way of others, and on routines
// (by their OIDs). A table without a schema is meant in every schema, but for those left out.
// On SQLite it lists all views.
func ReadDependents(ctx context.Context, q Querier, d dialect.Dialect, tables, leftOut []Name, routines []string) ([]Dependent, error) {
	if d == dialect.SQLite {
		return readSQLiteViews(ctx, q)
	}
	var listed []string
	for _, n := range tables {
		listed = append(listed, "+\x01"+n.Schema+"\x01"+ClipName(n.Table))
	}
	for _, n := range leftOut {
		listed = append(listed, "-\x01"+n.Schema+"\x01"+ClipName(n.Table))
	}
	rows, err := read(ctx, q, 7, postgresDependentQuery, strings.Join(listed, "\n"), strings.Join(routines, ","))
	if err != nil {
		return nil, err
	}
	out := make([]Dependent, 0, len(rows))
	for _, row := range rows {
		dep := Dependent{Name: Name{row.Text(0), row.Text(1)}, Version: row.Text(5)}
		switch kind := row.Text(2); {
		case row.Text(6) == "t":
			dep.Kind, dep.Parent = DependentType, Name{row.Text(3), row.Text(4)}
		case row.Text(6) == "h":
			dep.Kind, dep.Parent, dep.Columns = DependentHolder, Name{row.Text(3), row.Text(4)}, strings.Split(row.Text(5), "\x01")
		case kind == "":
			dep.Kind = DependentRoutine
		case kind == "v", kind == "m":
			dep.Kind = DependentView
		case row.Text(6) == "up":
			dep.Kind, dep.Parent, dep.Columns = DependentParent, Name{row.Text(3), row.Text(4)}, strings.Split(row.Text(5), "\x01")
			if slices.ContainsFunc(out, func(o Dependent) bool { return o.Name == dep.Name && o.Kind == DependentChild }) {
				continue // of two tables of one tree it is the child that counts
			}
		case kind == "f":
			dep.Kind = DependentForeign
		case !row.Null(4):
			dep.Kind, dep.Parent = DependentChild, Name{row.Text(3), row.Text(4)}
		default:
			dep.Kind = DependentTable
		}
		out = append(out, dep)
	}
	return out, nil
}

// ReadRoutines lists the routines of PostgreSQL whose bodies are texts in a language of the
// server's own. Triggers are not among them: no statement can call one.
func ReadRoutines(ctx context.Context, q Querier) ([]Routine, error) {
	rows, err := read(ctx, q, 4, postgresRoutineQuery)
	if err != nil {
		return nil, err
	}
	out := make([]Routine, len(rows))
	for i, row := range rows {
		out[i] = Routine{OID: row.Text(0), Name: Name{row.Text(1), row.Text(2)}, Source: row.Text(3)}
	}
	return out, nil
}

// readSQLiteViews lists the views of all attached databases.
func readSQLiteViews(ctx context.Context, q Querier) ([]Dependent, error) {
	databases, err := read(ctx, q, 1, `SELECT name FROM pragma_database_list ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	var out []Dependent
	for _, db := range databases {
		name := db.Text(0)
		views, err := read(ctx, q, 2, `SELECT name, sql FROM `+QuoteIdent(name)+`.sqlite_master WHERE type = 'view' ORDER BY name`)
		if err != nil {
			return nil, err
		}
		for _, v := range views {
			out = append(out, Dependent{Name: Name{name, v.Text(0)}, Kind: DependentView, Version: v.Text(1), Source: v.Text(1)})
		}
	}
	return slices.Clip(out), nil
}

// Behind reports how far what queries of the connection's transaction see may lie back: 0 if it is
// the present. On SQLite it is: a transaction of another connection that changes the catalog waits,
// or is not committed.
func Behind(ctx context.Context, q Querier, d dialect.Dialect) (time.Duration, error) {
	if d == dialect.SQLite {
		return 0, nil
	}
	rows, err := read(ctx, q, 1, "SELECT "+postgresBehind)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 {
		return 0, errForm
	}
	return behind(rows[0], 0), nil
}
