package inout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// In copy a whole row is what it is in a table without the companion, whatever is made of it, or the
// statement is refused.
func TestWholeRows(t *testing.T) {
	pg := pgtest.New(t)
	const columns = "(id bigint PRIMARY KEY, mail text, note text);"
	w := newWorld(t, pg, "CREATE TABLE people "+columns+" CREATE TABLE twin "+columns)
	db := w.open(t, func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "mail", Stage: schema.StageCopy, Stored: "mail_sealed"}))
	})
	if _, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadyCopy}); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"people", "twin"} {
		mustExec(t, db, "INSERT INTO "+table+" VALUES (1, 'a', 'x'), (2, 'b', NULL), (3, NULL, NULL)")
		mustExec(t, pg.Admin, "INSERT INTO "+table+" (id, mail, note) VALUES (4, 'a', 'y'), (5, 'c', 'z')") // without companions
	}
	for _, q := range []string{
		"SELECT u FROM %s u ORDER BY 1",
		"SELECT u FROM %s u ORDER BY u",
		"SELECT u FROM %s u ORDER BY u.mail NULLS FIRST, u.id",
		"SELECT DISTINCT u FROM %s u ORDER BY u",
		"SELECT u, count(*) FROM %s u GROUP BY u ORDER BY 1",
		"SELECT u, count(*) FROM %s u GROUP BY u.id ORDER BY u.id",
		"SELECT count(DISTINCT u) FROM %s u",
		"SELECT id FROM %s u WHERE u IS NOT NULL ORDER BY 1",
		"SELECT id FROM %s u WHERE u IS NULL ORDER BY 1",
		"SELECT id FROM %s u WHERE NOT u IS NULL ORDER BY 1",
		"SELECT id FROM %s u WHERE ROW(u.*) IS NOT NULL ORDER BY 1",
		"SELECT id FROM %s u WHERE (u.*) IS NOT NULL ORDER BY 1",
		"SELECT row_to_json(u) FROM %s u ORDER BY id",
		"SELECT to_jsonb(u) FROM %s u ORDER BY id",
		"SELECT to_jsonb(u) - 'id' FROM %s u ORDER BY id",
		"SELECT to_jsonb(u.*) FROM %s u ORDER BY id",
		"SELECT json_agg(u ORDER BY u.id) FROM %s u",
		"SELECT jsonb_agg(u ORDER BY u.id) FILTER (WHERE u IS NOT NULL) FROM %s u",
		"SELECT array_agg(u ORDER BY u.id) FROM %s u",
		"SELECT u::text FROM %s u ORDER BY id",
		"SELECT length(u::text) FROM %s u ORDER BY id",
		"SELECT u.id, v FROM %[1]s u LEFT JOIN %[1]s v ON v.id = u.id + 2 ORDER BY 1",
		"SELECT u.id, row_to_json(v), v IS NULL FROM %[1]s u LEFT JOIN %[1]s v ON v.id = u.id + 2 ORDER BY 1",
		"SELECT count(v) FROM %[1]s u LEFT JOIN %[1]s v ON v.id = u.id + 2",
		"SELECT coalesce(to_json(v)::text, 'none') FROM %[1]s u LEFT JOIN %[1]s v ON v.id = u.id + 2 ORDER BY u.id",
		"SELECT u.id FROM %[1]s u JOIN %[1]s v ON u = v ORDER BY 1",
		"SELECT u.id, v.id FROM %[1]s u JOIN %[1]s v ON u < v ORDER BY 1, 2",
		"SELECT u.id FROM %[1]s u WHERE u IN (SELECT v FROM %[1]s v) ORDER BY 1",
		"SELECT u.id FROM %[1]s u WHERE EXISTS (SELECT v FROM %[1]s v WHERE v IS NOT DISTINCT FROM u) ORDER BY 1",
		"SELECT (SELECT v FROM %[1]s v WHERE v.id = u.id) FROM %[1]s u ORDER BY u.id",
		"WITH x AS (SELECT u FROM %s u) SELECT (x.u).mail FROM x ORDER BY 1",
		"SELECT x.id, (x.us)[1].mail FROM (SELECT u.id, array_agg(u) AS us FROM %s u GROUP BY u.id) x ORDER BY 1",
		"SELECT (x.l).mail FROM (SELECT lag(u) OVER (ORDER BY u.id) AS l, to_json(u), u.id FROM %s u) x ORDER BY x.id",
		"SELECT (SELECT count(*) FROM %[1]s v WHERE v IS NOT NULL), (u).id, lag(u) OVER (ORDER BY u.id) FROM %[1]s u ORDER BY 2",
		"SELECT (array_agg(u ORDER BY u.id))[1].mail FROM %s u",
		"SELECT (lag(u) OVER (ORDER BY u.id)).mail FROM %s u ORDER BY u.id",
		"SELECT (coalesce(v, u)).mail FROM %[1]s u LEFT JOIN %[1]s v ON v.id = u.id + 2 ORDER BY u.id",
		"SELECT (CASE WHEN u.id > 0 THEN u END).mail, to_json(u), u IS NOT NULL, u FROM %s u ORDER BY u.id",
		"SELECT ((SELECT v FROM %[1]s v WHERE v.id = u.id)).mail FROM %[1]s u ORDER BY u.id",
		"SELECT u FROM %s AS u(a) ORDER BY u.a",
		"SELECT to_json(u) FROM (SELECT * FROM %s) AS u(a) ORDER BY u.a",
		"SELECT ROW(u.*) FROM %s AS u(a) ORDER BY u.a",
		"SELECT x.u FROM (SELECT u FROM %s u) x ORDER BY 1",
		"SELECT x FROM (SELECT * FROM %s u) x ORDER BY id",
		"SELECT (u).mail FROM %s u ORDER BY 1",
		"SELECT u.* FROM %s u ORDER BY 1",
		"SELECT u FROM %[1]s u UNION SELECT v FROM %[1]s v ORDER BY 1",
		"SELECT u FROM %[1]s u EXCEPT SELECT v FROM %[1]s v WHERE v.id > 2 ORDER BY 1",
		"SELECT u AS x FROM %s u ORDER BY x",
		"SELECT max(u::text) FROM %s u",
		"SELECT u, rank() OVER (ORDER BY u) FROM %s u ORDER BY 2",
		"SELECT lag(u) OVER (ORDER BY u.id) FROM %s u ORDER BY u.id",
		"SELECT first_value(u) OVER (ORDER BY u.id) FROM %s u ORDER BY u.id",
		"SELECT concat(u, '!') FROM %s u ORDER BY id",
		"SELECT u || '' FROM %s u ORDER BY id",
		"SELECT u.id || ':' || u::text FROM %s u ORDER BY id",
		"SELECT format('%%s', u) FROM %s u ORDER BY id",
		"SELECT hash_record(u) IS NULL FROM %s u ORDER BY id",
		"SELECT num_nonnulls(u) FROM %s u ORDER BY id",
		"SELECT num_nulls(VARIADIC ARRAY[u]) FROM %s u ORDER BY id",
		"SELECT j.key, j.value FROM %s u, jsonb_each(to_jsonb(u)) j ORDER BY u.id, 1",
		"SELECT j.value FROM %s u CROSS JOIN LATERAL json_each_text(row_to_json(u)) j ORDER BY u.id, 1",
		"SELECT CASE WHEN u.id > 2 THEN u END FROM %s u ORDER BY u.id",
		"SELECT coalesce(v, u) FROM %[1]s u LEFT JOIN %[1]s v ON v.id = u.id + 2 ORDER BY u.id",
		"SELECT nullif(u, u) FROM %s u ORDER BY u.id",
		"SELECT ARRAY[u] FROM %s u ORDER BY u.id",
		"SELECT ARRAY(SELECT u FROM %s u ORDER BY u.id)",
		"SELECT ROW(u, 1) FROM %s u ORDER BY u.id",
		"SELECT ROW(u.*, 1) FROM %s u ORDER BY u.id",
		"SELECT (u, u.id) FROM %s u ORDER BY u.id",
		"SELECT unnest(ARRAY[u]) FROM %s u ORDER BY u.id",
		"SELECT count(u.*) FROM %s u",
		"SELECT count(*) FROM %s u WHERE u.* IS NOT NULL",
		"SELECT json_build_object('u', u) FROM %s u ORDER BY id",
		"SELECT jsonb_build_array(u, u.*) FROM %s u ORDER BY id",
		"SELECT u FROM %s AS u(a, b, c) ORDER BY u.a",
		"SELECT to_json(u) FROM %s AS u(a, b, c) ORDER BY u.a",
		"SELECT to_json(u) FROM %s AS u(a) ORDER BY u.a",
		"SELECT string_agg(u::text, ';' ORDER BY u) FROM %s u",
		"SELECT json_object_agg(u.id, u ORDER BY u.id) FROM %s u",
		"SELECT u FROM %s u GROUP BY u HAVING count(*) > 0 ORDER BY u",
		"SELECT row_to_json(u) FROM ONLY %s u ORDER BY id",
		"SELECT u FROM %s u FOR UPDATE",
		"SELECT DISTINCT ON (u) u.id FROM %s u ORDER BY u",
		"SELECT DISTINCT ON (u.note) u FROM %s u ORDER BY u.note, u.id",
		"UPDATE %s u SET note = to_json(u)->>'mail' WHERE id = 2 RETURNING u",
		"UPDATE %s u SET note = NULL WHERE id = 2 RETURNING to_json(u)",
		"INSERT INTO %s AS u VALUES (9, 'm', 'n') RETURNING u",
		"INSERT INTO %s AS u VALUES (9, 'm', 'n') ON CONFLICT (id) DO UPDATE SET note = to_json(u)->>'note' RETURNING u.note, to_json(u.*)",
		"DELETE FROM %s u WHERE id = 9 RETURNING u, row_to_json(u)",
		"MERGE INTO %[1]s u USING (SELECT 10 AS id) s ON u.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (10, 'q', 'w')",
		"SELECT x.n, (x.v).mail FROM (SELECT u.id, (SELECT count(*) FROM (SELECT w FROM %[1]s w) q WHERE (q.w).id < u.id) AS n, u AS v FROM %[1]s u) x ORDER BY x.id",
		"SELECT (jsonb_each_text(x.j)).* FROM (SELECT to_jsonb(u) AS j FROM %s u) x ORDER BY 1, 2",
	} {
		run := func(table string) (out []string, err error) {
			rows, err := db.Query(fmt.Sprintf(q, table))
			if err != nil {
				return nil, err
			}
			columns, err := rows.Columns()
			if err != nil {
				return nil, err
			}
			out, err = lines(rows, nil)(len(columns))
			return append(out, strings.Join(columns, ",")), err
		}
		got, err := run("people")
		want, twin := run("twin")
		if (err != nil) != (twin != nil) || !slices.Equal(got, want) {
			t.Errorf("%s:\n%q, %v\nin the twin\n%q, %v", q, got, err, want, twin)
		}
	}
	for _, q := range []string{
		"WITH x AS (SELECT u FROM %s u) SELECT x.u FROM x ORDER BY (x.u).id",
		"SELECT x.u FROM (SELECT u FROM %s u) x WHERE (x.u).id > 2",
		"SELECT (x.u).* FROM (SELECT u FROM %s u) x ORDER BY 1",
		"SELECT (u).* FROM %s u ORDER BY 1",
		"SELECT to_json(j) FROM (%[1]s u JOIN %[1]s v USING (id)) AS j ORDER BY j.id",
		// The companion would be the cell of another value.
		`INSERT INTO %[1]s SELECT r.* FROM %[1]s u, jsonb_populate_record(u, '{"id": 31, "mail": "z"}') r WHERE u.id = 1`,
		`INSERT INTO %[1]s SELECT (r).* FROM (SELECT jsonb_populate_record(u, '{"id": 32, "mail": "z"}') AS r FROM %[1]s u WHERE u.id = 1) x`,
		`INSERT INTO %[1]s SELECT (jsonb_populate_record(u, '{"id": 33, "mail": "z"}')).* FROM %[1]s u WHERE u.id = 1`,
		`INSERT INTO %[1]s SELECT * FROM jsonb_populate_record((SELECT u FROM %[1]s u WHERE id = 1), '{"id": 34, "mail": "z"}')`,
		`INSERT INTO %[1]s SELECT r.* FROM %[1]s u, jsonb_populate_record(NULL::%[1]s, to_jsonb(u) || '{"id": 35, "mail": "z"}') r WHERE u.id = 1`,
		`WITH s AS (SELECT * FROM %[1]s WHERE id = 1) INSERT INTO %[1]s SELECT r.* FROM s, jsonb_populate_record(NULL::%[1]s, to_jsonb(s) || '{"id": 38, "mail": "z"}') r`,
	} {
		rows, err := db.Query(fmt.Sprintf(q, "people"))
		if err == nil {
			_ = rows.Close()
		}
		if !errors.Is(err, driver.ErrRefused) {
			t.Errorf("%s: %v", q, err)
		}
	}
	mustExec(t, db, `INSERT INTO people SELECT * FROM jsonb_populate_record(NULL::people, '{"id": 36, "mail": "z"}')`)
	mustExec(t, db, `INSERT INTO people (id, mail, note) SELECT r.id, r.mail, r.note FROM people u, jsonb_populate_record(u, '{"id": 37, "mail": "z"}') r WHERE u.id = 1`)
	if _, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealed}); err != nil {
		t.Fatal(err)
	}
	sealed := w.open(t, func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "mail", Stage: schema.StageSealed, Stored: "mail_sealed"}))
	})
	got, err := lines(sealed.Query("SELECT id, mail FROM people WHERE id > 30 ORDER BY id"))(2)
	if want := []string{"36 z", "37 z"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("in sealed: %q, %v", got, err)
	}
}
