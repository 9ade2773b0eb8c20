package reseal

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/colseal/colseal/codec"
)

// statements writes the statements for a table in a dialect. What they compare with is in
// the text: heads of cells, which are no secret. Cells, and what tells rows apart, are parameters.
type statements interface {
	// heads counts the values of a column by head.
	heads(col *column) string
	// read selects limit rows with something to do in cols, after a row if after is set, and
	// before a page if that is not 0: row keys, the columns.
	read(cols []*column, after bool, before int64, limit int) string
	// swap replaces values. Its parameters are the row keys, and for each column the old and the
	// new value, NULL where nothing is to be done. On SQLite it is for one row. On PostgreSQL each
	// parameter is an array of the rows', and it returns the numbers, from 1, of the rows that it
	// changed.
	swap(cols []*column) string
}

// maxHeads bounds the heads in one text. Beyond it, every row is read and judged here.
const maxHeads = 256

// condition returns the condition of rows with something to do in cols: the head of one of them is
// among those to re-seal.
func condition(cols []*column, head func(*column) string, literal func(*column, string) string) string {
	var or []string
	for _, c := range cols {
		if len(c.stale) > maxHeads {
			or = append(or, c.sql+" IS NOT NULL")
			continue
		}
		literals := make([]string, len(c.stale))
		for i, h := range c.stale {
			literals[i] = literal(c, h)
		}
		or = append(or, head(c)+" IN ("+strings.Join(literals, ", ")+")")
	}
	return "(" + strings.Join(or, " OR ") + ")"
}

// postgresStatements is PostgreSQL's statements.
type postgresStatements struct{ t *table }

// postgresBytes writes bytes as text that means the same whatever standard_conforming_strings is.
func postgresBytes(digits string) string { return "pg_catalog.decode('" + digits + "', 'hex')" }

// starts returns the first bytes of the column's cells, as a list.
func (x postgresStatements) starts(c *column) string {
	var list []string
	for _, s := range c.starts() {
		list = append(list, postgresBytes(hex.EncodeToString(s)))
	}
	return strings.Join(list, ", ")
}

func (x postgresStatements) heads(c *column) string {
	head := fmt.Sprintf("CASE WHEN pg_catalog.substr(%[1]s, 1, %[2]d) IN (%[3]s) THEN pg_catalog.encode(pg_catalog.substr(%[1]s, 1, 8), 'hex') ELSE '' END",
		c.sql, tagEnd, x.starts(c))
	if c.text {
		head = fmt.Sprintf("CASE WHEN pg_catalog.substr(%[1]s, 1, %[2]d) = '%[3]s' THEN pg_catalog.substr(%[1]s, 1, %[4]d) ELSE '' END",
			c.sql, len(codec.TextPrefix), codec.TextPrefix, headTextSize)
	}
	return "SELECT " + head + ", pg_catalog.count(*)::pg_catalog.text FROM " + x.t.name + " WHERE " + c.sql + " IS NOT NULL GROUP BY 1 ORDER BY 1"
}

func (x postgresStatements) head(c *column) string {
	if c.text {
		return fmt.Sprintf("pg_catalog.substr(%s, 1, %d)", c.sql, headTextSize)
	}
	return fmt.Sprintf("pg_catalog.substr(%s, 1, 8)", c.sql)
}

// literal quotes a head, which is hexadecimal digits or base64url.
func (x postgresStatements) literal(c *column, head string) string {
	if c.text {
		return "'" + head + "'"
	}
	return postgresBytes(head)
}

func (x postgresStatements) read(cols []*column, after bool, before int64, limit int) string {
	var out, key, last []string
	for i, k := range x.t.rows.Keys {
		// Qualified, because ORDER BY takes a bare name for that of an output column, which is
		// text.
		out = append(out, "CAST(t."+k.SQL+" AS pg_catalog.text)")
		key = append(key, "t."+k.SQL)
		last = append(last, fmt.Sprintf("CAST(CAST($%d AS pg_catalog.text) AS %s)", i+1, k.Type))
	}
	for _, c := range cols {
		out = append(out, "t."+c.sql)
	}
	where := condition(cols, x.head, x.literal)
	order := strings.Join(key, ", ")
	if after {
		where += " AND (" + order + ") > (" + strings.Join(last, ", ") + ")"
	}
	if before > 0 {
		where += fmt.Sprintf(" AND t.ctid < '(%d,0)'::pg_catalog.tid", before)
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM " + x.t.name + " AS t WHERE " + where + " ORDER BY " + order + " LIMIT " + strconv.Itoa(limit)
}

// swap first locks the rows that nobody else holds and that are as they were read, so that it
// neither waits for anybody nor takes part in a deadlock. Its parameters are arrays, one for what
// each row has in one place of its own: the text is the same for every batch.
func (x postgresStatements) swap(cols []*column) string {
	var arrays, names, values, set []string
	array := func(name, typ, value string) {
		arrays = append(arrays, fmt.Sprintf("CAST(CAST($%d AS pg_catalog.text) AS %s[])", len(arrays)+1, typ))
		names = append(names, name)
		values = append(values, value)
	}
	for i, k := range x.t.rows.Keys {
		name := fmt.Sprintf("k%d", i)
		array(name, "pg_catalog.text", fmt.Sprintf("CAST(u.%s AS %s) AS %s", name, k.Type, name))
	}
	lock := "NO KEY UPDATE"
	for i, c := range cols {
		typ := "pg_catalog.bytea"
		if c.text {
			typ = "pg_catalog.text"
		}
		for _, name := range []string{fmt.Sprintf("o%d", i), fmt.Sprintf("n%d", i)} {
			array(name, typ, "NULLIF(u."+name+", 'NULL') AS "+name) // a word, which is no cell, if array_nulls is off
		}
		set = append(set, fmt.Sprintf("%[1]s = COALESCE(v.n%[2]d, t.%[1]s)", c.sql, i))
		if c.EqualCells() {
			lock = "UPDATE" // it may be in a key
		}
	}
	for _, c := range x.t.cols {
		of := func(o *column) bool { return o.Name == c.Name }
		if !slices.Contains(cols, c) && slices.ContainsFunc(cols, of) { // beside cells that a column had: ops/migrate's trigger is told that both are written
			set = append(set, c.sql+" = t."+c.sql)
		}
	}
	return "UPDATE " + x.t.name + " AS t SET " + strings.Join(set, ", ") +
		" FROM (SELECT w.* FROM (SELECT u.i, " + strings.Join(values, ", ") +
		" FROM ROWS FROM (pg_catalog.unnest(" + strings.Join(arrays, "), pg_catalog.unnest(") + ")) WITH ORDINALITY AS u(" + strings.Join(names, ", ") + ", i)) AS w" +
		" JOIN " + x.t.name + " AS s ON " + x.same(cols, "s", "w") + " FOR " + lock + " OF s SKIP LOCKED) AS v" +
		" WHERE " + x.same(cols, "t", "v") + " RETURNING CAST(v.i AS pg_catalog.text)"
}

// same is that a row of the table is the one that was read, unchanged in what is to be replaced.
func (x postgresStatements) same(cols []*column, row, was string) string {
	var and []string
	for i, k := range x.t.rows.Keys {
		and = append(and, fmt.Sprintf("%s.%s = %s.k%d", row, k.SQL, was, i))
	}
	for i, c := range cols {
		collate := ""
		if c.text {
			collate = ` COLLATE pg_catalog."C"` // another one may hold different texts to be equal
		}
		and = append(and, fmt.Sprintf("(%[2]s.o%[3]d IS NULL OR %[1]s.%[4]s%[5]s = %[2]s.o%[3]d)", row, was, i, c.sql, collate))
	}
	return strings.Join(and, " AND ")
}

// sqliteStatements is SQLite's statements. A column holds what was stored in it, whatever its
// declared type, so each value is looked at by its own.
type sqliteStatements struct{ t *table }

func sqliteBytes(b []byte) string { return "x'" + hex.EncodeToString(b) + "'" }

func (x sqliteStatements) starts(c *column) string {
	var list []string
	for _, s := range c.starts() {
		list = append(list, sqliteBytes(s))
	}
	return strings.Join(list, ", ")
}

func (x sqliteStatements) head(c *column) string {
	return fmt.Sprintf("CASE WHEN typeof(%[1]s) = 'blob' AND substr(%[1]s, 1, %[2]d) IN (%[3]s) THEN lower(hex(substr(%[1]s, 1, 8)))"+
		" WHEN typeof(%[1]s) = 'text' AND substr(%[1]s, 1, %[4]d) = '%[5]s' COLLATE BINARY THEN substr(%[1]s, 1, %[6]d) ELSE '' END",
		c.sql, tagEnd, x.starts(c), len(codec.TextPrefix), codec.TextPrefix, headTextSize)
}

func (x sqliteStatements) heads(c *column) string {
	return "SELECT " + x.head(c) + " COLLATE BINARY, count(*) FROM " + x.t.name + " WHERE " + c.sql + " IS NOT NULL GROUP BY 1 ORDER BY 1"
}

func (x sqliteStatements) read(cols []*column, after bool, _ int64, limit int) string {
	var out, key, last []string
	for i, k := range x.t.rows.Keys {
		out = append(out, "+t."+k.SQL) // without the declared type, so that the driver converts nothing
		key = append(key, "t."+k.SQL)
		last = append(last, "?"+strconv.Itoa(i+1))
	}
	for _, c := range cols {
		out = append(out, "t."+c.sql)
	}
	where := condition(cols,
		func(c *column) string { return "(" + x.head(c) + ") COLLATE BINARY" },
		func(_ *column, head string) string { return "'" + head + "'" })
	order := strings.Join(key, ", ")
	if after {
		where += " AND (" + order + ") > (" + strings.Join(last, ", ") + ")"
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM " + x.t.name + " AS t WHERE " + where + " ORDER BY " + order + " LIMIT " + strconv.Itoa(limit)
}

func (x sqliteStatements) swap(cols []*column) string {
	var set, and []string
	for i, k := range x.t.rows.Keys {
		and = append(and, fmt.Sprintf("%s = ?%d", k.SQL, i+1))
	}
	next := len(x.t.rows.Keys)
	for _, c := range cols {
		and = append(and, fmt.Sprintf("(?%[2]d IS NULL OR %[1]s = ?%[2]d COLLATE BINARY)", c.sql, next+1))
		set = append(set, fmt.Sprintf("%[1]s = COALESCE(?%[2]d, %[1]s)", c.sql, next+2))
		next += 2
	}
	// ABORT, because a UNIQUE constraint may be declared to delete the other row instead.
	return "UPDATE OR ABORT " + x.t.name + " SET " + strings.Join(set, ", ") + " WHERE " + strings.Join(and, " AND ")
}
