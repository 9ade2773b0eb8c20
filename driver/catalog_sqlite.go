package driver

import (
	"context"
	"strings"

	"github.com/colseal/colseal/internal/sqlplan"
)

// SQLite resolves an unqualified name in temp first, then in main, then in the attached
// databases in the order of their attachment.
const (
	liteSessionQuery = `SELECT
	(SELECT group_concat(name || '=' || file, char(10)) FROM pragma_database_list),
	(SELECT count(*) FROM temp.sqlite_master)`

	liteTableQuery = `SELECT l.schema, l.name, l.type FROM pragma_table_list AS l
JOIN pragma_database_list AS d ON d.name = l.schema
WHERE lower(l.name) = lower(?1) AND (?2 = '' OR lower(l.schema) = lower(?2))
ORDER BY CASE l.schema WHEN 'temp' THEN -1 ELSE d.seq END LIMIT 1`

	liteColumnQuery = `SELECT name, type, dflt_value, hidden FROM pragma_table_xinfo(?1, ?2) ORDER BY cid`
)

func (c *conn) readLiteSession(ctx context.Context) error {
	rows, err := c.lookup(ctx, liteSessionQuery)
	if err != nil {
		return err
	}
	if len(rows) != 1 || len(rows[0]) != 2 {
		return errFacts
	}
	s := &c.session
	s.path = textOf(rows[0][0])
	s.temporary = intOf(rows[0][1]) > 0
	s.known = true
	return nil
}

func (c *conn) liteRelation(ctx context.Context, schemaName, name string) (*sqlplan.Relation, error) {
	tables, err := c.lookup(ctx, liteTableQuery, name, schemaName)
	if err != nil || len(tables) == 0 {
		return nil, err
	}
	if len(tables[0]) != 3 {
		return nil, errFacts
	}
	rel := &sqlplan.Relation{
		Schema: textOf(tables[0][0]), Name: textOf(tables[0][1]),
		View: textOf(tables[0][2]) == "view",
	}
	rel.Temporary = rel.Schema == "temp"
	columns, err := c.lookup(ctx, liteColumnQuery, rel.Name, rel.Schema)
	if err != nil {
		return nil, err
	}
	for _, row := range columns {
		if len(row) != 4 {
			return nil, errFacts
		}
		hidden := intOf(row[3]) // 1: hidden, of a virtual table; 2 and 3: generated
		def := textOf(row[2])
		rel.Columns = append(rel.Columns, sqlplan.RelationColumn{
			Name:      textOf(row[0]),
			Type:      textOf(row[1]),
			Storage:   liteStorage(textOf(row[1])),
			Default:   def != "" && !strings.EqualFold(def, "NULL"),
			Generated: hidden > 1,
			Hidden:    hidden == 1,
		})
	}
	return rel, nil
}

// liteStorage tells from a declared type how a cell is stored. SQLite would store one
// anywhere; a type that says something else is taken for a mistake, and so is refused.
// The rules are those of column affinity (https://sqlite.org/datatype3.html, 3.1), and the
// names that other databases have for bytes.
func liteStorage(declared string) sqlplan.Storage {
	t := strings.ToUpper(declared)
	has := func(s string) bool { return strings.Contains(t, s) }
	switch {
	case has("INT"):
		return sqlplan.StorageOther
	case has("CHAR"), has("CLOB"), has("TEXT"):
		return sqlplan.StorageText
	case t == "", has("BLOB"), has("BYTEA"), has("BINARY"):
		return sqlplan.StorageBytes
	}
	return sqlplan.StorageOther
}
