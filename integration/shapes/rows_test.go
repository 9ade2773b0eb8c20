package shapes

import (
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
)

// What follows is on no page, and needs a catalog.

// rowTypes reach cells by the row types of sealed tables, and by what is made of these.
var rowTypes = []shape{
	{name: "beside a column of rows", sql: `INSERT INTO holders (id, note) VALUES (101, $1) RETURNING id, note`, args: args("n")},
	{name: "beside a column of rows, a join", sql: `UPDATE users SET note = h.note FROM holders h WHERE h.id = users.id AND h.p IS NULL AND email = $1`, args: args(a)},
	{name: "no row", sql: `UPDATE holders SET p = NULL, note = 'x' WHERE ps IS NULL`},
	{name: "a row", sql: `INSERT INTO holders VALUES (101, 'n', ROW(1, 'zqcanary-a', NULL, 'n', 1))`, want: refused},
	{name: "a row that is a parameter", sql: `INSERT INTO holders (p) VALUES ($1)`, args: args("(1,zqcanary-a,,n,1)"), want: refused},
	{name: "a field", sql: `UPDATE holders SET p.email = $1`, args: args(x), want: refused},
	{name: "a field of an element", sql: `UPDATE holders SET ps[1].email = $1`, args: args(x), want: refused},
	{name: "search by a field", sql: `SELECT id FROM holders WHERE (p).email = 'zqcanary-a'`, want: refused},
	{name: "read a field", sql: `SELECT (p).email FROM holders`, want: refused},
	{name: "star of a table with rows in it", sql: `SELECT * FROM holders`, want: refused},
	{name: "a CHECK of a field", sql: `ALTER TABLE holders ADD CHECK ((p).email <> 'zqcanary-a')`, want: refused, direct: true},
	{name: "rows in a type", sql: `SELECT id FROM pair_holders WHERE ((pp).p).email = 'zqcanary-a'`, want: refused},
	{name: "cast to a domain over rows", sql: `SELECT (ROW(1, 'zqcanary-a', NULL, 'n', 1)::part_row).email`, want: refused},
	{name: "cast to a type with rows in it", sql: `SELECT ((NULL::part_pair).p).email = 'zqcanary-a'`, want: refused},
	{name: "CHECK of a domain over rows", sql: `ALTER DOMAIN part_row ADD CHECK ((VALUE).email <> 'zqcanary-a')`, want: refused, direct: true},
	{name: "make a column of rows", sql: `CREATE TABLE y (p parts); INSERT INTO y VALUES (ROW(1, 'zqcanary-a', NULL, 'n', 1))`, want: refused, direct: true},
	{name: "add a column of rows", sql: `ALTER TABLE orders ADD COLUMN p parts[] DEFAULT ARRAY[ROW(1, 'zqcanary-a', NULL, 'n', 1)]::parts[]`, want: refused, direct: true},
	{name: "make a type of rows", sql: `CREATE TYPE y AS (p parts); SELECT ((NULL::y).p).email = 'zqcanary-a'`, want: refused, direct: true},
	{name: "make a domain over rows", sql: `CREATE DOMAIN y AS part_row CHECK ((VALUE).email <> 'zqcanary-a')`, want: refused, direct: true},
	{name: "a function that takes a row", sql: `SELECT takes_row(ROW(1, 'zqcanary-a', NULL, 'n', 1))`, want: refused},
	{name: "a function that takes a domain over rows", sql: `SELECT takes_domain('(1,zqcanary-a,,n,1)')`, want: refused},
	{name: "a function that gives rows", sql: `SELECT email FROM gives_rows('zqcanary-a')`, want: refused},
	{name: "a function that declares an array of rows", sql: `SELECT declares_array('zqcanary-a')`, want: refused},
	{name: "a function that declares a domain over rows", sql: `SELECT declares_domain('zqcanary-a')`, want: refused},
	{name: "a block that declares an array of rows", sql: `DO $$ DECLARE ps _parts; BEGIN ps[1].email := 'zqcanary-a'; END $$`, want: refused, direct: true},
	{name: "a view gets another name", sql: `ALTER VIEW shouts RENAME TO y; UPDATE y SET email = 'zqcanary-new' WHERE id = 1`, want: refused, direct: true},
	{name: "a child gets another name", sql: `ALTER TABLE kin RENAME TO y; UPDATE y SET email = 'zqcanary-new'`, want: refused, direct: true},
	{name: "a child gets another name as an index", sql: `ALTER INDEX kin RENAME TO y; UPDATE y SET email = 'zqcanary-new'`, want: refused, direct: true},
	{name: "a field of a view gets another name", sql: `ALTER TYPE mails RENAME ATTRIBUTE mail TO y; UPDATE mails SET y = 'zqcanary-new'`, want: refused, direct: true},
	{name: "a view of plain columns gets another name", sql: `ALTER TABLE contacts RENAME TO y; INSERT INTO y VALUES (101, 'plain-c'); ALTER TABLE y RENAME TO contacts`, direct: true},
}

// programs are texts that functions run.
var programs = []shape{
	{name: "a text that names a plain table", sql: `SELECT query_to_xml('SELECT id FROM contacts WHERE email = ''plain-a''', true, true, '')::text`},
	{name: "a text that names a sealed table", sql: `SELECT query_to_xml('SELECT id FROM users WHERE email = ''zqcanary-a''', true, true, '')::text`, want: refused},
	{name: "a text in dollars that names a sealed table", sql: `SELECT query_to_xml($$SELECT 'zqcanary-a' = email::text FROM users$$, true, true, '')::text`, want: refused},
	{name: "a text with escapes that names a sealed table", sql: `SELECT query_to_xml(E'SELECT \'zqcanary-a\' = email::text FROM\nusers', true, true, '')::text`, want: refused},
	{name: "a text in pieces that names a sealed table", sql: "SELECT query_to_xml('SELECT ''zqcanary-a'' = email::text FROM us'\n'ers', true, true, '')::text", want: refused},
	{name: "a text in dollars that a block runs", sql: `DO $$BEGIN EXECUTE $q$UPDATE users$q$ || $q$ SET ssn='zqcanary-a'$q$; END$$`, want: refused, direct: true},
	{name: "a name in dollars in a block", sql: `DO $$BEGIN EXECUTE format('INSERT INTO %I (id, email) VALUES (101, ''zqcanary-a'')', $t$users$t$); END$$`, want: refused, direct: true},
	{name: "a name behind an escape in a block", sql: `DO $$BEGIN EXECUTE E'UPDATE\nusers SET ssn=\'zqcanary-a\''; END$$`, want: refused, direct: true},
	{name: "a function's body that ends with a name", sql: `CREATE FUNCTION y() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM users$$`, want: refused, direct: true},
	{name: "a function that runs a text in dollars", sql: `SELECT runs_text('zqcanary-a')`, want: refused},
	{name: "a function that runs a text, as a field", sql: `SELECT ('zqcanary-a'::text).runs_text`, want: refused},
	{name: "a function that runs a text, in a query that is copied", sql: `COPY (SELECT runs_text('zqcanary-a')) TO STDOUT`, want: refused, direct: true},
	{name: "a function that runs a text, in a rule", sql: `CREATE RULE r AS ON INSERT TO orders DO ALSO SELECT runs_text(NEW.memo); INSERT INTO orders (id, memo) VALUES (101, 'zqcanary-a')`, want: refused, direct: true},
	{name: "a function that runs a text, in a text", sql: `SELECT query_to_xml('SELECT runs_text(''zqcanary-a'')', true, true, '')`, want: refused},
	{name: "a function that runs a text, in another one", sql: `CREATE FUNCTION y(text) RETURNS bigint LANGUAGE sql AS 'SELECT runs_text($1)'; SELECT y('zqcanary-a')`, want: refused, direct: true},
	{name: "a function that runs a text, as an operator", sql: `CREATE OPERATOR !!! (RIGHTARG = text, FUNCTION = runs_text); SELECT !!! 'zqcanary-a'::text`, want: refused, direct: true},
	{name: "a function that runs a text, in an aggregate", sql: `CREATE AGGREGATE y(text) (SFUNC = public.runs_text, STYPE = bigint); SELECT y('zqcanary-a')`, want: refused, direct: true},
	{name: "a function that runs a text, as a cast", sql: `CREATE CAST (text AS part_row) WITH FUNCTION runs_text(text); SELECT 'zqcanary-a'::text::part_row`, want: refused, direct: true},
	{name: "a function that runs a text, in a domain", sql: `CREATE DOMAIN y AS text CHECK (runs_text(VALUE) > 0); SELECT 'zqcanary-a'::y`, want: refused, direct: true},
	{name: "a function that runs a text, in a domain that gets it later", sql: `CREATE DOMAIN y AS text; ALTER DOMAIN y ADD CHECK (runs_text(VALUE) > 0)`, want: refused, direct: true},
	{name: "a function that runs a text, in a table", sql: `CREATE TABLE y (c text DEFAULT 'zqcanary-a' CHECK (runs_text(c) > 0))`, want: refused, direct: true},
	{name: "a function that runs a text gets another name", sql: `ALTER FUNCTION runs_text(text) RENAME TO y; SELECT y('zqcanary-a')`, want: refused, direct: true},
	{name: "a function that runs a text gets another schema", sql: `ALTER ROUTINE runs_text SET SCHEMA other; SELECT other.runs_text('zqcanary-a')`, want: refused, direct: true},
	{name: "a domain over rows gets another name", sql: `ALTER DOMAIN part_row RENAME TO y; SELECT ('(1,zqcanary-a,,n,1)'::y).email`, want: refused, direct: true},
	{name: "a type of rows gets another schema", sql: `ALTER TYPE part_pair SET SCHEMA other; SELECT ((NULL::other.part_pair).p).email = 'zqcanary-a'`, want: refused, direct: true},
	{name: "a text that a job runs", sql: `SELECT cron.schedule('n', '* * * * *', 'INSERT INTO users (id, email) VALUES (9, ''zqcanary-a'')')`, want: refused},
	{name: "a text that a job runs from now on", sql: `SELECT cron.alter_job(1, command => 'INSERT INTO users (id, email) VALUES (9, ''zqcanary-a'')')`, want: refused},
	{name: "a text beside what is refused", sql: `INSERT INTO orders VALUES ((SELECT 1).*, query_to_xml('SELECT id FROM users WHERE email = ''zqcanary-a''', true, true, ''))`, want: refused},
	{name: "a text in a default", sql: `ALTER TABLE orders ADD COLUMN y xml DEFAULT query_to_xml('SELECT id FROM users WHERE email = ''zqcanary-a''', true, true, '')`, want: refused, direct: true},
	{name: "a text in a domain", sql: `CREATE DOMAIN y AS text CHECK (VALUE <> query_to_xml('SELECT id FROM users WHERE email = ''zqcanary-a''', true, true, '')::text)`, want: refused, direct: true},
}

// A foreign table that does not say what it stands for stands for a table of its own name.
func TestForeignTables(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		p := newPair(t, db, databaseSQL, "bytea")
		p.sealed.exec(t, `CREATE FOREIGN DATA WRAPPER fdw; CREATE SERVER away FOREIGN DATA WRAPPER fdw; CREATE SCHEMA away; CREATE SCHEMA beyond;
			CREATE FOREIGN TABLE away.users (id bigint, email text) SERVER away OPTIONS (schema_name 'public');
			CREATE FOREIGN TABLE beyond.users (id bigint, email text) SERVER away OPTIONS (table_name 'people')`)
		for _, s := range []shape{
			{name: "of the name of a sealed table", sql: `UPDATE away.users SET email = 'zqcanary-a'`, want: refused},
			{name: "for another table", sql: `SELECT id FROM beyond.users WHERE email = 'plain-a'`},
			{name: "not for another table any more", sql: `ALTER FOREIGN TABLE beyond.users OPTIONS (DROP table_name); UPDATE beyond.users SET email = 'zqcanary-a'`, want: refused, direct: true},
		} {
			t.Run(s.name, func(t *testing.T) { p.check(t, s) })
		}
	})
}
