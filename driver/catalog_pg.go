package driver

import (
	"context"
	"regexp"
	"strings"

	"github.com/colseal/colseal/internal/sqlplan"
)

// Numbers and booleans are asked for as text, which every driver gives the same way. All
// names are qualified: the session's search path may hold anything.
const (
	pgSessionQuery = `SELECT pg_catalog.current_setting('search_path'),
	pg_catalog.current_schemas(true)::pg_catalog.text,
	pg_catalog.current_setting('standard_conforming_strings'),
	CASE WHEN pg_catalog.pg_my_temp_schema() = 0 THEN '' ELSE 'temp' END,
	current_user::pg_catalog.text`

	// The base type of a domain counts, and a domain's default applies to a column
	// without one.
	pgRelationQuery = `SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
	c.relpersistence::pg_catalog.text, c.relkind::pg_catalog.text,
	a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod),
	(WITH RECURSIVE base AS (
		SELECT t.oid, t.typbasetype, t.typtype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
		UNION ALL
		SELECT t.oid, t.typbasetype, t.typtype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd'
	) SELECT base.oid::pg_catalog.text FROM base WHERE base.typtype <> 'd' LIMIT 1),
	COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), t.typdefault),
	a.attidentity::pg_catalog.text, a.attgenerated::pg_catalog.text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.oid = pg_catalog.to_regclass($1)
ORDER BY a.attnum`
)

func (c *conn) readPGSession(ctx context.Context) error {
	rows, err := c.lookup(ctx, pgSessionQuery)
	if err != nil {
		return err
	}
	if len(rows) != 1 || len(rows[0]) != 5 {
		return errFacts
	}
	row := rows[0]
	s := &c.session
	s.setting = textOf(row[0])
	// The setting and the user belong to it: of the schemas that the setting names, those
	// count that are there and that the user may use, and that can change unseen. What a
	// session then finds is not what one with another setting finds.
	s.path = textOf(row[1]) + "\x00" + s.setting + "\x00" + textOf(row[4])
	s.nonstdText = textOf(row[2]) != "on"
	s.temporary = textOf(row[3]) != ""
	s.known = true
	return nil
}

func (c *conn) pgRelation(ctx context.Context, schemaName, name string) (*sqlplan.Relation, error) {
	regclass := quoteIdent(name)
	if schemaName != "" {
		regclass = quoteIdent(schemaName) + "." + regclass
	}
	rows, err := c.lookup(ctx, pgRelationQuery, regclass)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if len(rows[0]) != 10 {
		return nil, errFacts
	}
	first := rows[0]
	kind := textOf(first[3])
	rel := &sqlplan.Relation{
		Schema: textOf(first[0]), Name: textOf(first[1]),
		Temporary: textOf(first[2]) == "t",
		View:      kind == "v" || kind == "m",
	}
	for _, row := range rows {
		if row[4] == nil {
			continue // a table without columns
		}
		generated := textOf(row[9]) != ""
		rel.Columns = append(rel.Columns, sqlplan.RelationColumn{
			Name:      textOf(row[4]),
			Type:      textOf(row[5]),
			Storage:   pgStorage(textOf(row[6])),
			Default:   !generated && (textOf(row[8]) != "" || hasDefault(textOf(row[7]))),
			Generated: generated,
		})
	}
	return rel, nil
}

// pgStorage tells from the OID of a base type how a cell is stored in it.
func pgStorage(oid string) sqlplan.Storage {
	switch oid {
	case "17": // bytea
		return sqlplan.StorageBytes
	case "25", "1043": // text, varchar
		return sqlplan.StorageText
	}
	return sqlplan.StorageOther
}

// nullDefault is a default that is written out but is NULL: "NULL::bytea".
var nullDefault = regexp.MustCompile(`^(?i:NULL)(::[a-z "\[\]().,0-9]+)?$`)

func hasDefault(expr string) bool { return expr != "" && !nullDefault.MatchString(expr) }

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
