package sqlite

import (
	"testing"

	"github.com/colseal/colseal/schema"
)

// An INSERT without a column list gives its values to the columns that SQLite fills, and these alone: it skips
// generated columns and the hidden ones of virtual tables.
func TestInsertSkipsGeneratedColumns(t *testing.T) {
	p := newPair(t, `
		CREATE TABLE first (id INTEGER PRIMARY KEY, up GENERATED ALWAYS AS (id * 2), mail SECRET, tag TEXT);
		CREATE TABLE middle (id INTEGER PRIMARY KEY, mail SECRET, up INT AS (length(tag)) STORED, score NUMBER, tag TEXT);
		CREATE TABLE plain (id INTEGER, up GENERATED ALWAYS AS (id * 2), tag TEXT);
		CREATE VIRTUAL TABLE words USING fts5(body, tag);`,
		schema.Must(
			schema.Columns("first", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail"}),
			schema.Columns("middle", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail"}, schema.Column{Name: "score", Kind: schema.KindInt}),
		),
		"SELECT id, up, mail, tag FROM first ORDER BY id", "SELECT * FROM middle ORDER BY id", "SELECT * FROM plain", "SELECT * FROM words")

	p.expect(t, works, "INSERT INTO first VALUES (1,'zqcanary-a','q')")
	p.expect(t, works, "INSERT INTO first VALUES (?,?,?),(?,?,?)", 2, "zqcanary-b", "r", 3, "zqcanary-c", nil)
	p.expect(t, works, "INSERT INTO middle VALUES (1,'zqcanary-a',10404600001,'tag')")
	p.expect(t, works, "INSERT INTO middle VALUES (?,?,?,?) RETURNING *", 2, "zqcanary-b", 10404600002, "tags")
	p.expect(t, works, "INSERT INTO middle SELECT id + 10, mail, ?, tag FROM first", 10404600003)
	p.expect(t, works, "INSERT INTO first SELECT id + 20, mail, tag FROM middle")
	p.expect(t, works, "REPLACE INTO first VALUES (1,'zqcanary-d','s')")
	p.expect(t, works, "INSERT INTO plain VALUES (1,'x')")
	p.expect(t, works, "INSERT INTO plain SELECT id, tag FROM first WHERE mail = 'zqcanary-b'")
	p.expect(t, works, "INSERT INTO words SELECT 'the words', tag FROM first")

	// SQLite wants a value for each of these columns, no more and no fewer.
	p.expect(t, refused, "INSERT INTO first VALUES (30,'zqcanary-e')")
	p.expect(t, refused, "INSERT INTO first VALUES (31,62,'zqcanary-f','t')")
	p.expect(t, refused, "INSERT INTO first SELECT 32, mail FROM middle")
	p.expect(t, refused, "INSERT INTO first SELECT 33, 66, mail, tag FROM middle")
	// And none for a generated column.
	p.expect(t, fails, "INSERT INTO first (id, up, mail) VALUES (34, 68, 'zqcanary-g')")
	p.expect(t, works, "INSERT INTO first (rowid, mail) VALUES (35, 'zqcanary-h')")
	p.expect(t, fails, "UPDATE first SET up = 1 WHERE mail = 'zqcanary-b'")

	// A star yields generated columns and no hidden ones, which have names all the same.
	p.expect(t, works, "SELECT * FROM first ORDER BY id")
	p.expect(t, works, "SELECT f.* FROM middle m JOIN first f USING (mail) ORDER BY f.id, m.id")
	p.expect(t, works, "SELECT * FROM first NATURAL JOIN middle")
	p.expect(t, works, "SELECT up FROM middle WHERE up = 4 AND mail = 'zqcanary-b'")
	p.expect(t, works, "SELECT f.id, f.mail, words.* FROM first f JOIN words ON words.rowid = f.id WHERE words MATCH 'words' ORDER BY rank, f.id")
	p.expect(t, works, "SELECT * FROM first f, words w WHERE w.rank IS NULL ORDER BY f.id, w.rowid")
}
