package shapes

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// faultTables are registered without a schema, but for one that is not meant: their names stand for a table in every schema.
var faultTables = schema.Must(
	schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"},
		schema.Column{Name: "score", Mode: schema.ModeDeterministic, Kind: schema.KindInt},
		schema.Column{Name: "at", Mode: schema.ModeDeterministic, Kind: schema.KindTime},
		schema.Column{Name: "f", Mode: schema.ModeDeterministic, Kind: schema.KindFloat}),
	schema.Columns("made", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail"}, schema.Column{Name: "tag"}),
	schema.Plain("apart.users"),
)

const faultDDL = `
CREATE TABLE users (id bigint PRIMARY KEY, email %[1]s UNIQUE, ssn %[1]s, score %[2]s, at %[3]s, f %[4]s, note text);
CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY, up text GENERATED ALWAYS AS (upper(note)) STORED, mail %[1]s, note text, tag %[1]s);
CREATE SCHEMA other;
CREATE TABLE other.users (id bigint, email %[1]s, ssn %[1]s, note text);
CREATE SCHEMA apart;
CREATE TABLE apart.users (id bigint, email text, note text);
INSERT INTO apart.users VALUES (1, 'plain-a', 'n');
`

const faultReadBack = `SELECT 'users', id, email, ssn, score, at, f, note FROM public.users UNION ALL SELECT 'made', id, mail, tag, NULL, NULL, NULL, concat(up, note) FROM made
	UNION ALL SELECT 'other', id, email, ssn, NULL, NULL, NULL, note FROM other.users UNION ALL SELECT 'apart', id, NULL, NULL, NULL, NULL, NULL, concat(email, note) FROM apart.users`

// faults are the smallest examples of faults that trying the product has found, but for those that have tests of their own.
var faults = []shape{
	// Casts that fail or change the value.
	{name: "literal cast too narrow", sql: `UPDATE users SET score = 100000::smallint`, want: refused},
	{name: "literal cast too narrow in a search", sql: `SELECT id FROM users WHERE score = '7000000000'::int`, want: refused},
	{name: "literal too small", sql: `UPDATE users SET f = 1e-400`, want: refused},
	{name: "int2 in range", sql: `UPDATE users SET score = $1::int2 WHERE id = 1 RETURNING score`, args: args(-32768)},
	{name: "int4 in range", sql: `UPDATE users SET score = $1::int4 WHERE id = 1 RETURNING score`, args: args(2147483647)},
	{name: "int8 in range", sql: `UPDATE users SET score = $1::int8, f = '0.1'::float8 WHERE score = 70::int2 OR score = 7000000000::int8 RETURNING f`, args: args(1)},
	{name: "numeric parameter", sql: `UPDATE users SET score = $1::numeric WHERE id = 1 RETURNING score`, args: args(12)},
	{name: "float4 literal", sql: `UPDATE users SET f = 0.1::float4, score = 3.0::float8 WHERE id = 1 RETURNING f, score`},
	// A cast of one of several values, of which the server makes one type.
	{name: "real among others", sql: `UPDATE users SET f = CASE WHEN id = 1 THEN 0.5::real ELSE 0.1 END`, want: refused},
	{name: "real among others, a parameter", sql: `UPDATE users SET f = COALESCE($1::real, $2)`, args: args(nil, 0.1), want: refused},
	{name: "real among others, a union", sql: `INSERT INTO users(id, f) SELECT 100, 0.5::float4 UNION ALL SELECT 101, 0.1`, want: refused},
	{name: "real among others, values", sql: `UPDATE users SET f = v.x FROM (VALUES (1, NULL::real), (2, 0.1)) v(i, x) WHERE id = v.i`, want: refused},
	{name: "all of them real", sql: `UPDATE users SET f = CASE WHEN id = 1 THEN 0.5::real ELSE 0.1::real END RETURNING f`},
	{name: "each a value by itself", sql: `INSERT INTO users(id, f) VALUES (100, 0.5::real), (101, 0.1) RETURNING f`},
	{name: "a real or the column", sql: `UPDATE users SET f = COALESCE($1::real, f) RETURNING f`, args: args(0.5)},
	// Literals that the server converts.
	{name: "decimal", sql: `SELECT id FROM users WHERE score = 70.0`},
	{name: "exponent", sql: `SELECT id FROM users WHERE score = 7e1`},
	{name: "no whole number", sql: `SELECT id FROM users WHERE score = 69.6`, want: refused},
	{name: "rounded when assigned", sql: `UPDATE users SET score = 69.6 WHERE id = 1 RETURNING score`},
	{name: "now", sql: `SELECT id FROM users WHERE at = 'now'`, want: refused},
	{name: "store now", sql: `UPDATE users SET at = 'now'`, want: refused},
	{name: "infinity", sql: `UPDATE users SET at = 'infinity' WHERE id = 1 RETURNING at`},
	{name: "infinity in a search", sql: `SELECT id FROM users WHERE at = 'infinity' OR at = '-infinity'`},
	{name: "array of arrays", sql: `SELECT id FROM users WHERE email = ANY('{{a}}')`, want: refused},
	{name: "no number", sql: `UPDATE users SET score = 'abc'`, want: refused},
	// A parameter that is compared with a literal.
	{name: "unless empty", sql: `UPDATE users SET ssn = CASE WHEN $1 <> '' THEN $1 ELSE ssn END RETURNING ssn`, args: args("")},
	{name: "unless empty, full", sql: `UPDATE users SET ssn = CASE WHEN $1 <> '' THEN $1 ELSE ssn END RETURNING ssn`, args: args(x)},
	{name: "case of empty", sql: `UPDATE users SET ssn = CASE $1 WHEN '' THEN ssn ELSE $1 END RETURNING ssn`, args: args("")},
	{name: "case of empty, full", sql: `UPDATE users SET ssn = CASE $1 WHEN '' THEN ssn ELSE $1 END RETURNING ssn`, args: args(x)},
	{name: "case of empty, NULL", sql: `UPDATE users SET ssn = CASE $1 WHEN '' THEN ssn ELSE $1 END RETURNING ssn`, args: args(nil)},
	{name: "case of empty with casts", sql: `UPDATE users SET email = CASE $1::text WHEN ''::text THEN email ELSE $1::text END WHERE id = 1 RETURNING email`, args: args(x)},
	{name: "case of NULL", sql: `UPDATE users SET ssn = CASE $1 WHEN NULL THEN ssn ELSE $1 END RETURNING ssn`, args: args(x)},
	{name: "case of a number", sql: `UPDATE users SET score = CASE $1::bigint WHEN 0 THEN NULL ELSE $1 END RETURNING score`, args: args(0)},
	{name: "case of two", sql: `UPDATE users SET ssn = CASE $1 WHEN '' THEN NULL WHEN '-' THEN ssn ELSE $1 END`, args: args(x), want: refused},
	{name: "NULL if empty", sql: `UPDATE users SET ssn = COALESCE(NULLIF($1,''), ssn) RETURNING ssn`, args: args("")},
	// A plain DISTINCT ON beside a random column.
	{name: "distinct on a plain column", sql: `SELECT DISTINCT ON (id) id, ssn FROM users ORDER BY id`},
	// MERGE and INSERT without lists of columns, and OVERRIDING.
	{name: "merge without a list", sql: `MERGE INTO users u USING (VALUES ($1::bigint, $2::text), (1, 'zqcanary-m')) s(i, e) ON u.id = s.i WHEN MATCHED THEN UPDATE SET email = s.e
		WHEN NOT MATCHED THEN INSERT VALUES (s.i, s.e, 'zqcanary-s', 5, '2020-01-01 00:00+00', 0.5, 'n')`, args: args(100, x)},
	{name: "merge with a short row", sql: `MERGE INTO users u USING (SELECT 100 AS i) s ON u.id = s.i WHEN NOT MATCHED THEN INSERT VALUES (s.i, $1)`, args: args(x)},
	{name: "merge with too many values", sql: `MERGE INTO users u USING (SELECT 100 AS i) s ON u.id = s.i WHEN NOT MATCHED THEN INSERT VALUES (s.i, $1, $1, 1, NULL, 1, 'n', $1)`, args: args(x), want: refused},
	{name: "merge without a list, a value for the wrong column", sql: `MERGE INTO made m USING (SELECT 100 AS i) s ON m.id = s.i WHEN NOT MATCHED THEN INSERT OVERRIDING SYSTEM VALUE VALUES (s.i, DEFAULT, 'zqcanary-m', 'n', $1)`, args: args(x)},
	{name: "merge that overrides", sql: `MERGE INTO made m USING (SELECT 100 AS i) s ON m.id = s.i WHEN NOT MATCHED THEN INSERT (id, mail) OVERRIDING SYSTEM VALUE VALUES (s.i, $1)`, args: args(x)},
	{name: "overriding without a list", sql: `INSERT INTO made OVERRIDING SYSTEM VALUE VALUES (100, DEFAULT, $1, 'n', $2) RETURNING *`, args: args(x, s1), want: refused},
	{name: "overriding user value", sql: `INSERT INTO made OVERRIDING USER VALUE VALUES (100, DEFAULT, $1, 'n') RETURNING up, mail, note, tag`, args: args(x), want: refused},
	{name: "overriding with a list", sql: `INSERT INTO made (id, tag, note, mail) OVERRIDING SYSTEM VALUE SELECT 100, $1, 'n', 'zqcanary-m' RETURNING *`, args: args(x)},
	{name: "no override", sql: `INSERT INTO made VALUES (100, DEFAULT, $1)`, args: args(x)},
	// What a name without a schema means.
	{name: "the same name in another schema", sql: `INSERT INTO other.users(id, email, ssn) VALUES (9, $1, 'zqcanary-o') RETURNING *`, args: args(x)},
	{name: "from one schema to another", sql: `INSERT INTO other.users(id, email) SELECT id, email FROM users RETURNING email`},
	{name: "a sealed column that the other schema's table lacks", sql: `UPDATE other.users SET score = 1`, want: refused},
	{name: "delete in another schema", sql: `DELETE FROM other.users`},
	{name: "not that one", sql: `INSERT INTO apart.users(id, email) VALUES (2, 'plain-b') RETURNING *`},
	{name: "search in the one that is not meant", sql: `SELECT * FROM apart.users WHERE email LIKE 'plain%' ORDER BY email`},
	{name: "delete where it is not meant", sql: `DELETE FROM apart.users`},
	{name: "from a sealed table to the one that is not meant", sql: `INSERT INTO apart.users(id, email) SELECT id, email FROM users`, want: refused},
	// Operator classes and types of the plaintext's type. The search path puts a type bytea before the server's.
	{name: "conflict with an operator class", sql: `INSERT INTO users(id, email) VALUES (100, $1) ON CONFLICT (email text_ops) DO NOTHING`, args: args(x), want: refused},
	{name: "index with an operator class", sql: `CREATE INDEX ON users (email text_pattern_ops)`, want: refused, direct: true},
	{name: "index with an operator class of a plain column", sql: `CREATE INDEX ON users (note text_pattern_ops, email)`, direct: true},
	{name: "another type of that name", sql: `SELECT COALESCE($1, email), COALESCE(NULL, ssn), ARRAY[email, 'zqcanary-l'] FROM users ORDER BY id`, args: args(x)},
	{name: "another type of that name, stored", sql: `UPDATE users SET ssn = COALESCE($1::text, ssn), email = NULLIF($2, '') WHERE id = 1 RETURNING *`, args: args(nil, x)},
	// Names spelled with escapes in what is not SQL.
	{name: "escaped name in a block", sql: `DO $$ BEGIN DELETE FROM U&"\0075sers"; END $$`, want: refused, direct: true},
}

// TestFaults holds the examples, each in a transaction of its own that is rolled back, on both sides.
func TestFaults(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		createDatabase(t, db, db.Name+"_twin")
		w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		path := map[string]string{"search_path": "public, pg_catalog"}
		c := newCanaries()
		sealed, tap := open(t, db.DSN(), db.Name, &driver.Config{Schema: faultTables, KMS: w, AutoCreateKeyTable: true}, path)
		twin, _ := open(t, db.DSN(), db.Name+"_twin", nil, path)
		admin, _ := open(t, db.DSN(), db.Name, nil, nil)
		plain, _ := open(t, db.DSN(), db.Name+"_twin", nil, nil)
		exec(t, admin, strings.NewReplacer("%[1]s", "pg_catalog.bytea", "%[2]s", "pg_catalog.bytea", "%[3]s", "pg_catalog.bytea", "%[4]s", "pg_catalog.bytea").Replace(faultDDL))
		exec(t, plain, strings.NewReplacer("%[1]s", "text", "%[2]s", "bigint", "%[3]s", "timestamptz", "%[4]s", "float8").Replace(faultDDL))
		for _, side := range []*sql.DB{sealed, twin} {
			for _, q := range []string{
				"INSERT INTO users(id, email, ssn, score, at, f) VALUES (1, 'zqcanary-a', 'zqcanary-s1', 70, '2020-01-01 00:00+00', 0.5), (2, NULL, '', 7000000000, NULL, NULL)",
				"INSERT INTO made(mail, note, tag) VALUES ('zqcanary-a', 'n', 'zqcanary-t')",
				"INSERT INTO other.users(id, email, note) VALUES (1, 'zqcanary-b', 'n')",
			} {
				exec(t, side, c.text.Replace(q))
			}
		}
		exec(t, admin, "CREATE DOMAIN public.bytea AS text CHECK (VALUE = 'never')")
		one := func(db *sql.DB, s shape) (o outcome) {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			o.rows, o.err = read(tx, c.text.Replace(s.sql), c.in(s.args)...)
			if o.err == nil {
				o.tables, o.err = read(tx, faultReadBack)
			}
			if o.code = code(o.err); !strings.Contains(s.sql, "ORDER BY") {
				slices.Sort(o.rows)
			}
			slices.Sort(o.tables)
			return o
		}
		for _, s := range faults {
			t.Run(s.name, func(t *testing.T) {
				tap.take()
				got := one(sealed, s)
				sent := tap.take()
				if c.leaks(sent) {
					t.Errorf("%s\nsends plaintext of a sealed column (%v)", s.sql, got.err)
				}
				if (s.want == refused) != (got.code == "REFUSED") {
					t.Fatalf("%s: %v, want a refusal: %v", s.sql, got.err, s.want == refused)
				}
				if s.want == refused {
					if bytes.Contains(sent, []byte(c.text.Replace(s.sql))) {
						t.Errorf("%s\nwas refused after it was sent", s.sql)
					}
					return
				}
				if d := differ(got, one(twin, s)); d != "" {
					t.Errorf("%s\n%s", s.sql, d)
				}
			})
		}
		t.Run("rows copied to a table that is not there", func(t *testing.T) {
			conn, err := sealed.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_, err = driver.CopyFrom(t.Context(), conn, "nowhere", []string{"id"}, [][]any{{1}})
			if code(err) != "42P01" && !errors.Is(err, driver.ErrRefused) {
				t.Errorf("CopyFrom to a table that is not there: %v, want 42P01 or ErrRefused", err)
			}
		})
	})
}

// Each numeric type holds what is in its range and no more: what is a bound of it works, and what is beyond it is refused as a
// literal, and an error as a parameter.
func TestNumericWidths(t *testing.T) {
	widths := []struct {
		column, typ, holds, beyond string
	}{
		{"i", "int2", "32767", "32768"}, {"i", "int2", "-32768", "-32769"},
		{"i", "int4", "2147483647", "2147483648"}, {"i", "int4", "-2147483648", "-2147483649"},
		{"i", "int8", "9223372036854775807", "9223372036854775808"}, {"i", "int8", "-9223372036854775808", "-9223372036854775809"},
		{"i", "numeric", "9223372036854775807", "9223372036854775808"},
		{"f", "float4", "16777216", "3.5e38"}, {"f", "float8", "9007199254740993", "1.8e308"}, {"n", "numeric", "1.50", "'x'"},
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		v := newValues(t, db)
		for _, w := range widths {
			for _, form := range []string{"UPDATE x SET r%[1]s = (%[3]s)::%[2]s WHERE id = 0 RETURNING r%[1]s", "SELECT id FROM x WHERE %[1]s = (%[3]s)::%[2]s"} {
				if code := v.compare(t, fmt.Sprintf(form, w.column, w.typ, w.holds), nil); code != "" {
					t.Errorf("%s as a literal: %s, want that it works", w.holds, code)
				}
				if code := v.compare(t, fmt.Sprintf(form, w.column, w.typ, w.beyond), nil); code != "REFUSED" {
					t.Errorf("%s as a literal of %s: %q, want a refusal", w.beyond, w.typ, code)
				}
				q := fmt.Sprintf(strings.ReplaceAll(form, "(%[3]s)", "$1"), w.column, w.typ)
				if code := v.compare(t, q, []any{w.holds}); code != "" {
					t.Errorf("%s as a parameter: %s, want that it works", w.holds, code)
				}
				if code := v.compare(t, q, []any{strings.Trim(w.beyond, "'")}); code == "" {
					t.Errorf("%s as a parameter of %s works, want an error", w.beyond, w.typ)
				}
			}
		}
	})
}
