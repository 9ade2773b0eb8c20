// Package walk goes through the rows of a table in batches, beside the programs that use it: for
// tools that replace stored values.
package walk

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/pgarray"
)

// Rows is how the rows of one table are told apart, and in which order they are read.
type Rows struct {
	Keys []Key
	// Pages is the size of a PostgreSQL table without a primary key, which is read in the
	// order of its pages; 0 otherwise.
	Pages int64
}

// Key is one of the expressions that tell rows apart.
type Key struct {
	SQL  string // the column, or ctid, or rowid
	Type string // PostgreSQL's type
}

// windowPages are read at a time of a table that is read in the order of its pages.
const windowPages = 128

// Each goes through the table once. read returns up to limit rows after a row, and before a page if
// that is not 0; a row begins with its key. each works on them, and says whether to stop. limit is
// asked for each batch.
func (rows *Rows) Each(limit func() int, read func(after []driver.Value, before int64, limit int) ([]dbcatalog.Row, error), each func([]dbcatalog.Row) (stop bool, err error)) error {
	var after []driver.Value
	end := min(windowPages, rows.Pages)
	for {
		before := end
		if end >= rows.Pages {
			before = 0 // the table has grown since
		}
		n := limit()
		got, err := read(after, before, n)
		if err != nil {
			return err
		}
		if len(got) > 0 {
			after = got[len(got)-1][:len(rows.Keys)]
			if stop, err := each(got); err != nil || stop {
				return err
			}
		}
		if len(got) == n {
			continue
		}
		if end >= rows.Pages {
			return nil
		}
		after = []driver.Value{fmt.Sprintf("(%d,0)", end)} // no row is number 0 of its page
		end = min(end+windowPages, rows.Pages)
	}
}

// errNoRowKey is for a table whose rows cannot be told apart.
var errNoRowKey = hint.With(errors.New("it has no primary key, and its rows cannot be told apart by their place either"), "give it a primary key")

// errHiddenRows is for a table of which not every row may be seen: what is hidden would be
// neither counted nor sealed, and nobody would know.
var errHiddenRows = hint.With(errors.New("row-level security hides rows of it from this role"), "use one that sees all rows, its owner or one with BYPASSRLS")

// Find finds how the rows of a table are told apart.
func Find(ctx context.Context, q dbcatalog.Querier, d dialect.Dialect, rel *dbcatalog.Relation) (Rows, error) {
	if d == dialect.SQLite {
		return findSQLite(ctx, q, rel)
	}
	return findPostgres(ctx, q, rel.SQL())
}

const postgresRowKeyQuery = `SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(num, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
WHERE i.indrelid = pg_catalog.to_regclass($1) AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place`

const postgresPagesQuery = `SELECT (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.text
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind = 'r'
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid)`

// A policy may hide rows from this role, silently. A primary key holds for the rows of one table,
// not for those of its inheritance children, which a statement finds under its name, too.
const postgresRowsQuery = `SELECT pg_catalog.row_security_active(c.oid)::pg_catalog.text,
	(c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid))::pg_catalog.text
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)`

// findPostgres finds what tells rows apart: the primary key, or else the place of a row. A
// place is good enough, though every update changes it: the next pass finds a row that moved.
func findPostgres(ctx context.Context, q dbcatalog.Querier, name string) (found Rows, err error) {
	facts, err := q.Query(ctx, postgresRowsQuery, name)
	switch {
	case err != nil:
		return found, err
	case len(facts) != 1:
		return found, errors.New("the table is gone")
	case facts[0].Text(0) != "false":
		return found, errHiddenRows
	}
	rows, err := q.Query(ctx, postgresRowKeyQuery, name)
	if err != nil {
		return found, err
	}
	if len(rows) > 0 && facts[0].Text(1) == "true" {
		found.Keys = append(found.Keys, Key{SQL: "tableoid", Type: "pg_catalog.oid"})
	}
	for _, row := range rows {
		found.Keys = append(found.Keys, Key{SQL: dbcatalog.QuoteIdent(row.Text(0)), Type: row.Text(1)})
	}
	if len(found.Keys) > 0 {
		return found, nil
	}
	// Of partitions and foreign tables several rows may be at one place.
	rows, err = q.Query(ctx, postgresPagesQuery, name)
	if err != nil {
		return found, err
	}
	if len(rows) == 0 {
		return found, errNoRowKey
	}
	return Rows{Keys: []Key{{SQL: "ctid", Type: "pg_catalog.tid"}}, Pages: rows[0].Int(0) + 1}, nil
}

const (
	sqliteWithoutRowidQuery = `SELECT wr FROM pragma_table_list WHERE schema = ?1 AND name = ?2`
	sqliteRowKeyQuery       = `SELECT name FROM pragma_table_xinfo(?2, ?1) WHERE pk > 0 ORDER BY pk`
)

// findSQLite finds what tells rows apart: the rowid, under a name that no column has, or the
// primary key where there is no rowid.
func findSQLite(ctx context.Context, q dbcatalog.Querier, rel *dbcatalog.Relation) (found Rows, err error) {
	rows, err := q.Query(ctx, sqliteWithoutRowidQuery, rel.Schema, rel.Name)
	if err != nil {
		return found, err
	}
	if len(rows) == 1 && rows[0].Int(0) == 1 {
		rows, err = q.Query(ctx, sqliteRowKeyQuery, rel.Schema, rel.Name)
		for _, row := range rows {
			found.Keys = append(found.Keys, Key{SQL: dbcatalog.QuoteIdent(row.Text(0))})
		}
		return found, err
	}
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		taken := false
		for _, col := range rel.Columns {
			taken = taken || strings.EqualFold(col.Name, name)
		}
		if !taken {
			found.Keys = []Key{{SQL: name}}
			return found, nil
		}
	}
	return found, errNoRowKey
}

// Arrays returns the parameters of rows, one slice for each, as array literals, one for each
// parameter, which every driver can send.
func Arrays(params [][]driver.Value) []driver.Value {
	var literals [][]byte
	for i, row := range params {
		for j, v := range row {
			if i == 0 {
				literals = append(literals, []byte{'{'})
			} else {
				literals[j] = append(literals[j], ',')
			}
			switch v := v.(type) {
			case nil:
				literals[j] = append(literals[j], "NULL"...)
			case []byte:
				literals[j] = append(hex.AppendEncode(append(literals[j], `"\\x`...), v), '"')
			case string:
				literals[j] = pgarray.AppendElement(literals[j], v)
			}
		}
	}
	out := make([]driver.Value, len(literals))
	for j, l := range literals {
		out[j] = string(append(l, '}'))
	}
	return out
}

// Obstacle is what kept an UPDATE from replacing values, where that is no failure of the tool.
type Obstacle uint8

// The obstacles.
const (
	NoObstacle Obstacle = iota
	Contention          // somebody else was in the way
	Duplicate           // a unique index has the value already
	Orphan              // a foreign key holds the cell
)

// ObstacleOf tells it from an error.
func ObstacleOf(err error) Obstacle {
	if err == nil {
		return NoObstacle
	}
	if state := dbcatalog.SQLState(err); state != "" {
		switch state {
		case "40001", // serialization_failure
			"40P01", // deadlock_detected
			"55P03": // lock_not_available
			return Contention
		case "23505": // unique_violation
			return Duplicate
		case "23503": // foreign_key_violation
			return Orphan
		}
		return NoObstacle
	}
	if code := dbcatalog.SQLiteCode(err); code != 0 {
		switch code {
		case 2067, 1555, 2579: // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID
			return Duplicate
		case 787: // SQLITE_CONSTRAINT_FOREIGNKEY
			return Orphan
		}
		if primary := code & 0xff; primary == 5 || primary == 6 { // SQLITE_BUSY, SQLITE_LOCKED
			return Contention
		}
		return NoObstacle
	}
	// Other drivers of SQLite have the code in a type of their own.
	for text, o := range map[string]Obstacle{
		"database is locked": Contention, "database table is locked": Contention,
		"UNIQUE constraint failed": Duplicate, "FOREIGN KEY constraint failed": Orphan,
	} {
		if strings.Contains(err.Error(), text) {
			return o
		}
	}
	return NoObstacle
}

// Pause waits.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
