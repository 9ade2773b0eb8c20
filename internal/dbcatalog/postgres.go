package dbcatalog

import (
	"context"
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Numbers and booleans are asked for as text, which every driver gives the same way. All
// names are qualified: the session's search path may hold anything.
const (
	postgresSessionColumns = `pg_catalog.current_setting('search_path') AS setting,
	pg_catalog.array_remove(pg_catalog.current_schemas(true), CASE WHEN ` + postgresTemporary + ` THEN NULL
		ELSE (SELECT t.nspname FROM pg_catalog.pg_namespace t WHERE t.oid = pg_catalog.pg_my_temp_schema()) END)::pg_catalog.text AS schemas,
	pg_catalog.current_setting('standard_conforming_strings') AS strings,
	(` + postgresTemporary + `)::pg_catalog.text AS temporary,
	current_user::pg_catalog.text AS user,
	` + postgresBehind + ` AS behind,
	pg_catalog.current_setting('array_nulls') AS nulls,
	pg_catalog.current_setting('transform_null_equals') AS equals,
	pg_catalog.current_setting('gin_fuzzy_search_limit') AS fuzzy`

	// The snapshot that the queries of such a transaction share is younger than the transaction.
	postgresBehind = `CASE WHEN pg_catalog.current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
		THEN EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp())::pg_catalog.text END`

	// A session keeps its schema for temporary tables when it has none any more. It counts only
	// with something in it: behind a pooler, connections with and without an empty one take turns.
	postgresTemporary = `CASE WHEN pg_catalog.pg_my_temp_schema() = 0 THEN false ELSE EXISTS (SELECT FROM pg_catalog.pg_depend t
		WHERE t.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND t.refobjid = pg_catalog.pg_my_temp_schema()) END`

	postgresSessionQuery = `SELECT ` + postgresSessionColumns

	// PostgresBaseType is an expression for the type of a column a (a row of pg_attribute), and
	// of a domain for the type that it is made of: the OID that PostgresStorage takes.
	PostgresBaseType = `(WITH RECURSIVE base AS (
		SELECT t.oid, t.typbasetype, t.typtype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
		UNION ALL
		SELECT t.oid, t.typbasetype, t.typtype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd'
	) SELECT base.oid::pg_catalog.text FROM base WHERE base.typtype <> 'd' LIMIT 1)`

	// What the name was resolved under is read in the same query, so that an answer is never taken
	// for that of another search path. A domain's default applies to a column without one. A view's
	// definition stands with its first column. 28 are INSERT, UPDATE and DELETE; the server counts
	// a view whose rules do them as updatable, too. 64 is INSTEAD OF. to_regclass finds what there
	// is now, also what the rows of the catalog do not show to an old snapshot.
	postgresRelationQuery = `SELECT s.setting, s.schemas, s.strings, s.temporary, s.user, s.behind, s.nulls, s.equals, s.fuzzy, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
	c.relpersistence::pg_catalog.text, c.relkind::pg_catalog.text,
	a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod),
	` + PostgresBaseType + `,
	COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), t.typdefault),
	a.attidentity::pg_catalog.text, a.attgenerated::pg_catalog.text,
	(SELECT (a.attnum = ANY (p.partattrs::pg_catalog.int2[]) OR 0 = ANY (p.partattrs::pg_catalog.int2[]))::pg_catalog.text
		FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = c.oid),
	CASE WHEN c.relkind IN ('v', 'm') AND a.attnum = 1 THEN pg_catalog.pg_get_viewdef(c.oid) END,
	CASE WHEN c.relkind = 'v' AND a.attnum = 1 THEN (pg_catalog.pg_relation_is_updatable(c.oid, false) & 28 = 28
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND g.tgtype & 64 <> 0))::pg_catalog.text END,
	CASE WHEN a.attnum = 1 THEN ` + postgresVersion + ` END,
	(c.oid IS NULL AND pg_catalog.to_regclass($1) IS NOT NULL)::pg_catalog.text
FROM (SELECT ` + postgresSessionColumns + `) s
LEFT JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass($1)
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
ORDER BY a.attnum`
)

// ErrYounger says that a relation is there which the transaction's snapshot does not show.
var ErrYounger = errors.New("colseal: the relation is younger than what the transaction sees of the catalog")

func readPostgresSession(ctx context.Context, q Querier) (Session, error) {
	rows, err := read(ctx, q, sessionColumns, postgresSessionQuery)
	if err != nil {
		return Session{}, err
	}
	if len(rows) != 1 {
		return Session{}, errForm
	}
	return postgresSession(rows[0]), nil
}

// postgresSession reads the session from the first columns of a row.
func postgresSession(row Row) Session {
	return Session{
		Setting: row.Text(0),
		// The setting and the user belong to it: of the schemas that the setting names, those
		// count that are there and that the user may use, and that can change unseen. What a
		// session then finds is not what one with another setting finds. And array_nulls decides
		// what a literal is.
		Path:       row.Text(1) + "\x00" + row.Text(0) + "\x00" + row.Text(4) + "\x00" + row.Text(6),
		NonStdText: row.Text(2) != "on",
		Temporary:  row.Bool(3),
		Behind:     behind(row, 5),
		NullWords:  row.Text(6) != "on",
		NullEquals: row.Text(7) == "on",
		FuzzyLimit: row.Text(8) != "0",
	}
}

// sessionColumns is how many postgresSessionColumns are.
const sessionColumns = 9

// behind reads a column with postgresBehind.
func behind(row Row, i int) time.Duration {
	if row.Null(i) {
		return 0
	}
	seconds, err := strconv.ParseFloat(row.Text(i), 64)
	if err != nil {
		return math.MaxInt64
	}
	return max(time.Duration(seconds*float64(time.Second)), 1)
}

func readPostgresRelation(ctx context.Context, q Querier, schemaName, name string) (*Relation, Session, error) {
	rows, err := read(ctx, q, sessionColumns+15, postgresRelationQuery, Name{Schema: schemaName, Table: name}.SQL())
	if err != nil {
		return nil, Session{}, err
	}
	if len(rows) == 0 {
		return nil, Session{}, errForm
	}
	s := postgresSession(rows[0])
	for i := range rows {
		rows[i] = rows[i][sessionColumns:]
	}
	first := rows[0]
	if first.Bool(14) {
		return nil, s, ErrYounger
	}
	if first.Null(0) {
		return nil, s, nil
	}
	kind := first.Text(3)
	rel := &Relation{
		Schema: first.Text(0), Name: first.Text(1),
		Temporary:  first.Text(2) == "t",
		View:       kind == "v" || kind == "m",
		Definition: first.Text(11), Updatable: first.Bool(12), Version: first.Text(13),
	}
	for _, row := range rows {
		if row.Null(4) {
			continue // a table without columns
		}
		generated := row.Text(9) != ""
		rel.Columns = append(rel.Columns, Column{
			Name:      row.Text(4),
			Type:      row.Text(5),
			Storage:   PostgresStorage(row.Text(6)),
			Default:   !generated && (row.Text(8) != "" || HasDefault(row.Text(7))),
			Generated: generated,
			Key:       row.Bool(10),
		})
	}
	return rel, s, nil
}

// PostgresStorage tells from the OID of a base type how a cell is stored in it.
func PostgresStorage(oid string) Storage {
	switch oid {
	case "17": // bytea
		return StorageBytes
	case "25", "1043": // text, varchar
		return StorageText
	}
	return StorageOther
}

// nullDefault is a default that is written out but is NULL: "NULL::bytea".
var nullDefault = regexp.MustCompile(`^(?i:NULL)(::[a-z "\[\]().,0-9]+)?$`)

// HasDefault reports whether an expression, as pg_get_expr prints it, is a default other than NULL.
func HasDefault(expr string) bool { return expr != "" && !nullDefault.MatchString(expr) }
