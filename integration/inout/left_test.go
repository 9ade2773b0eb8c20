package inout

import (
	"errors"
	"slices"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// A value that cannot be sealed, or a cell that cannot be opened, keeps the column where it is until it was corrected: no step takes it away.
func TestLeft(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, age integer); INSERT INTO people VALUES (1, 1), (2, 201)`)
	db := w.open(t, func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "age", Kind: schema.KindInt, Mode: schema.ModeOrdered, Min: "0", Max: "200", Stage: schema.StageCopy}))
	})
	stays := func(step, next leg) {
		t.Helper()
		for range 2 {
			if r, err := step.run(t.Context(), db, migrate.Options{}); !errors.Is(err, migrate.ErrUnfit) || r.Unfit == 0 {
				t.Errorf("%s: %d unfit, %v", step, r.Unfit, err)
			}
			if _, err := next.run(t.Context(), db, migrate.Options{}); !errors.Is(err, migrate.ErrProblems) {
				t.Errorf("%s: %v", next, err)
			}
		}
	}
	goes := func(legs ...leg) {
		t.Helper()
		for _, l := range legs {
			if r, err := l.run(t.Context(), db, migrate.Options{}); err != nil {
				t.Errorf("%s: %+v, %v", l, r.Problems, err)
			}
		}
	}
	stays(way[0], way[2])
	stays(way[1], way[2])
	mustExec(t, pg.Admin, "UPDATE people SET age = 200 WHERE id = 2")
	goes(way[1:4]...)
	mustExec(t, pg.Admin, "CREATE TABLE saved AS SELECT * FROM people; UPDATE people SET age_sealed = overlay(age_sealed placing '\\x00' from octet_length(age_sealed)) WHERE id = 2")
	goes(way[4])
	stays(way[5], way[6])
	mustExec(t, pg.Admin, "UPDATE people SET age_sealed = saved.age_sealed FROM saved WHERE saved.id = 2 AND people.id = 2 AND people.age IS NULL")
	goes(way[5:]...)
	if got := all(t, pg.Admin, "SELECT p::text FROM people p ORDER BY id"); !slices.Equal(got, []string{"(1,1)", "(2,200)"}) {
		t.Errorf("in the end: %q", got)
	}
}
