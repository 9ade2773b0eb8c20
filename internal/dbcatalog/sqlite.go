package dbcatalog

import (
	"context"
	"strings"
)

// SQLite resolves an unqualified name in temp first, then in main, then in the attached
// databases in the order of their attachment.
const (
	sqliteSessionQuery = `SELECT
	(SELECT group_concat(name || '=' || file, char(10)) FROM pragma_database_list),
	(SELECT count(*) FROM temp.sqlite_master)`

	sqliteTableQuery = `SELECT l.schema, l.name, l.type FROM pragma_table_list AS l
JOIN pragma_database_list AS d ON d.name = l.schema
WHERE lower(l.name) = lower(?1) AND (?2 = '' OR lower(l.schema) = lower(?2))
ORDER BY CASE l.schema WHEN 'temp' THEN -1 ELSE d.seq END LIMIT 1`

	sqliteColumnQuery = `SELECT name, type, dflt_value, hidden FROM pragma_table_xinfo(?1, ?2) ORDER BY cid`
)

func readSQLiteSession(ctx context.Context, q Querier) (Session, error) {
	rows, err := read(ctx, q, 2, sqliteSessionQuery)
	if err != nil {
		return Session{}, err
	}
	if len(rows) != 1 {
		return Session{}, errForm
	}
	return Session{Path: rows[0].Text(0), Temporary: rows[0].Int(1) > 0}, nil
}

func readSQLiteRelation(ctx context.Context, q Querier, schemaName, name string) (*Relation, Session, error) {
	s, err := readSQLiteSession(ctx, q)
	if err != nil {
		return nil, s, err
	}
	tables, err := read(ctx, q, 3, sqliteTableQuery, name, schemaName)
	if err != nil || len(tables) == 0 {
		return nil, s, err
	}
	rel := &Relation{
		Schema: tables[0].Text(0), Name: tables[0].Text(1),
		View: tables[0].Text(2) == "view",
	}
	rel.Temporary = rel.Schema == "temp"
	if rel.View {
		views, err := read(ctx, q, 1, `SELECT sql FROM `+QuoteIdent(rel.Schema)+`.sqlite_master WHERE type = 'view' AND name = ?1`, rel.Name)
		if err != nil {
			return nil, s, err
		}
		if len(views) == 1 {
			rel.Definition = views[0].Text(0)
		}
	}
	columns, err := read(ctx, q, 4, sqliteColumnQuery, rel.Name, rel.Schema)
	if err != nil {
		return nil, s, err
	}
	for _, row := range columns {
		hidden := row.Int(3) // 1: hidden, of a virtual table; 2 and 3: generated
		def := row.Text(2)
		rel.Columns = append(rel.Columns, Column{
			Name:      row.Text(0),
			Type:      row.Text(1),
			Storage:   sqliteStorage(row.Text(1)),
			Default:   def != "" && !strings.EqualFold(def, "NULL"),
			Generated: hidden > 1,
			Hidden:    hidden == 1,
		})
	}
	return rel, s, nil
}

// sqliteStorage tells from a declared type how a cell is stored. SQLite would store one
// anywhere; a type that says something else is taken for a mistake, and so is refused.
// The rules are those of column affinity (https://sqlite.org/datatype3.html, 3.1), and the
// names that other databases have for bytes.
func sqliteStorage(declared string) Storage {
	t := strings.ToUpper(declared)
	has := func(s string) bool { return strings.Contains(t, s) }
	switch {
	case has("INT"):
		return StorageOther
	case has("CHAR"), has("CLOB"), has("TEXT"):
		return StorageText
	case t == "", has("BLOB"), has("BYTEA"), has("BINARY"):
		return StorageBytes
	}
	return StorageOther
}
