//go:build unix

package inout

import (
	"slices"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// What a value for both columns asks of a row is asked of the column that counts. The other one may be empty: the companion in copy, before
// colseal seal has filled it, and the plain column in sealed, where a program in only has written the row.
func TestNotYetFilled(t *testing.T) {
	statements := []string{
		"UPDATE people SET ssn = COALESCE(ssn, 'other')",
		"UPDATE people SET mail = COALESCE(NULLIF('', ''), mail, 'v4@x'), ssn = COALESCE(ssn, mail || 'x')",
		"UPDATE people SET ssn = CASE WHEN age IS NULL THEN 'other' ELSE ssn END",
		"UPDATE people SET mail = CASE WHEN mail = 'v1@x' THEN 'v2@x' ELSE 'v3@x' END",
		"UPDATE people SET mail = CASE mail WHEN 'v1@x' THEN 'v2@x' ELSE 'v3@x' END",
		"UPDATE people SET mail = NULLIF('v1@x', mail)",
		"INSERT INTO people(id, mail, ssn) SELECT id + 10, 'x@x', CASE WHEN age IS NULL THEN 'a' ELSE 'b' END FROM people",
		"INSERT INTO people(id, mail, ssn) SELECT id + 10, COALESCE(mail, 'x@x'), 's' FROM people",
		"INSERT INTO people(id, mail, ssn) VALUES (1, 'q@x', 'q') ON CONFLICT (id) DO UPDATE SET ssn = COALESCE(people.ssn, excluded.ssn)",
		"UPDATE people p SET ssn = (SELECT 'yes' FROM people q WHERE q.mail IS NULL AND q.id = p.id)",
		"UPDATE people p SET ssn = CASE WHEN EXISTS (SELECT FROM people q WHERE q.mail = 'v1@x') THEN 'a' ELSE 'b' END",
		"UPDATE people SET ssn = COALESCE((SELECT q.ssn FROM people q WHERE q.id = 1), 'other')",
		"UPDATE people SET age = GREATEST(age, 7), note = LEAST(age, 7)",
		"UPDATE people SET age = LEAST(age, 20)",
		"UPDATE people SET age = (SELECT max(q.age) FROM people q)",
		"UPDATE people SET age = (SELECT max(q.age) FROM people q WHERE q.age >= 0)",
		"UPDATE people SET age = (SELECT q.age FROM people q WHERE q.id = 2 EXCEPT SELECT q.age FROM people q WHERE q.id = 2)",
		"UPDATE people SET mail = (SELECT 'v1@x' EXCEPT SELECT q.mail FROM people q) WHERE id = 2",
	}
	const row, rows = "INSERT INTO people(id, mail, ssn, age) VALUES (1, 'v1@x', 's1', 10)", "SELECT id, mail, ssn, age FROM people ORDER BY id"
	for _, s := range []struct {
		stage, after schema.Stage
		there, back  []leg
	}{{schema.StageCopy, schema.StageSealed, way[:1], way[1:2]}, {schema.StageSealed, schema.StageCopy, way[:3], way[5:7]}} {
		t.Run(s.stage.String(), func(t *testing.T) {
			t.Parallel()
			for _, q := range statements {
				t.Run(q, func(t *testing.T) {
					w := newWorld(t, pgtest.New(t), `CREATE TABLE people (id bigserial PRIMARY KEY, mail varchar(200), ssn text, age integer, note text); CREATE TABLE letters (id bigserial PRIMARY KEY, mail text)`)
					w.goTo(t, s.there...)
					if s.stage == schema.StageCopy {
						mustExec(t, w.pg.Admin, row)
					} else {
						mustExec(t, w.in(t, schema.StageOnly), row)
					}
					db := w.in(t, s.stage)
					mustExec(t, db, "INSERT INTO people(id, mail, ssn, age) VALUES (2, 'two@x', 's2', 5)") // both columns
					_, err := db.Exec(q)
					want, readErr := lines(db.QueryContext(t.Context(), rows))(4)
					mustExec(t, w.pg.Admin, "DELETE FROM colseal_keys_stages") // the programs are gone
					w.goTo(t, s.back...)
					got, afterErr := lines(w.in(t, s.after).QueryContext(t.Context(), rows))(4)
					if readErr != nil || afterErr != nil || !slices.Equal(got, want) {
						t.Errorf("%s (%v): a program in %s reads %q, %v; after the next step %q, %v", q, err, s.stage, want, readErr, got, afterErr)
					}
				})
			}
		})
	}
}
