package inout

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

const oneTableDDL = "CREATE TABLE a (id bigint PRIMARY KEY, mail text NOT NULL UNIQUE); INSERT INTO a SELECT g, 'm' || g FROM generate_series(1, 10) g"

func oneColumn(table, column string) func() (*schema.Schema, error) {
	return func() (*schema.Schema, error) {
		return schema.New(schema.Columns(table, schema.Column{Name: column, ID: "a.mail", Mode: schema.ModeDeterministic, Stage: schema.StageCopy, Stored: "mail_sealed"}))
	}
}

// A table or a column that is renamed between two steps goes on, or is asked to be called again what it was.
func TestRenamedBetweenSteps(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, "")
	for cut := 1; cut < len(way); cut++ {
		for rename, is := range map[string][2]string{"ALTER TABLE a RENAME TO b": {"b", "mail"}, "ALTER TABLE a RENAME mail TO email": {"a", "email"}} {
			mustExec(t, pg.Admin, oneTableDDL)
			db := w.open(t, oneColumn("a", "mail"))
			for _, l := range way[:cut] {
				w.taken(t, db, l)
			}
			mustExec(t, pg.Admin, rename)
			renamed := w.open(t, oneColumn(is[0], is[1]))
			for i := cut; i < len(way); i++ {
				r, err := way[i].run(t.Context(), renamed, migrate.Options{})
				if errors.Is(err, migrate.ErrProblems) && strings.Contains(r.Problems[0], `it was called "public"."a"."mail" when`) {
					mustExec(t, pg.Admin, strings.NewReplacer("a RENAME TO b", "b RENAME TO a", "mail TO email", "email TO mail").Replace(rename))
					renamed, is = db, [2]string{"a", "mail"}
					r, err = way[i].run(t.Context(), renamed, migrate.Options{})
				}
				if err != nil || r.Unfit > 0 {
					t.Fatalf("%s after %s: %s: %q, %v", rename, way[cut-1], way[i], r.Problems, err)
				}
			}
			if n := all(t, pg.Admin, "SELECT count(DISTINCT "+is[1]+") || ' ' || (SELECT count(*) FROM pg_proc WHERE proname LIKE 'colseal%') FROM "+is[0])[0]; n != "10 0" {
				t.Errorf("%s after %s: values and functions in the end: %s, want 10 0", rename, way[cut-1], n)
			}
			mustExec(t, pg.Admin, "DROP TABLE "+is[0])
		}
	}
}

// A column that is renamed while programs write plain values makes their writes fail, and the next step goes on all the same.
func TestRenamedWithRowsToSeal(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, oneTableDDL)
	w.taken(t, w.open(t, oneColumn("a", "mail")), way[0])
	mustExec(t, pg.Admin, "UPDATE a SET mail = 'x' WHERE id = 1; ALTER TABLE a RENAME mail TO email")
	db := w.open(t, oneColumn("a", "email"))
	for _, l := range way[1:] {
		w.taken(t, db, l)
	}
	if n := all(t, pg.Admin, "SELECT string_agg(email, ' ' ORDER BY id) FROM a WHERE id < 3")[0]; n != "x m2" {
		t.Errorf("in the end: %s", n)
	}
}

// Of two tables that took each other's name, each keeps its own trigger's function.
func TestNamesChanged(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, "CREATE TABLE a (id bigint PRIMARY KEY, mail text); CREATE TABLE b (id bigint PRIMARY KEY, mail text)")
	db := w.open(t, func() (*schema.Schema, error) {
		c := schema.Column{Name: "mail", Stage: schema.StageCopy}
		return schema.New(schema.Columns("a", c), schema.Columns("b", c))
	})
	for _, o := range []migrate.Options{{For: migrate.ReadyCopy}, {For: migrate.ReadySealed, Columns: []string{"a"}}, {For: migrate.ReadyOnly, Columns: []string{"a"}}} {
		if r, err := migrate.Seal(t.Context(), db, o); err != nil {
			t.Fatal(r.Problems, err)
		}
	}
	mustExec(t, pg.Admin, "ALTER TABLE a RENAME TO x; ALTER TABLE b RENAME TO a; ALTER TABLE x RENAME TO b")
	ready := func() (all []migrate.Ready) {
		t.Helper()
		status, err := migrate.Status(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range status {
			all = append(all, s.Ready)
		}
		return all
	}
	for _, o := range []migrate.Options{{For: migrate.ReadySealed, Columns: []string{"a"}}, {For: migrate.ReadyOnly, Columns: []string{"b"}}} {
		r, err := migrate.Seal(t.Context(), db, o)
		if !errors.Is(err, migrate.ErrProblems) || !strings.Contains(strings.Join(r.Problems, "\n"), "rename the function, too") {
			t.Errorf("%+v: %q, %v", o, r.Problems, err)
		}
		if got := ready(); !slices.Equal(got, []migrate.Ready{migrate.ReadyCopy, migrate.ReadyOnly}) {
			t.Errorf("%+v: the tables are ready for %s", o, got)
		}
	}
	mustExec(t, pg.Admin, "ALTER FUNCTION colseal_pairs_a() RENAME TO x; ALTER FUNCTION colseal_pairs_b() RENAME TO colseal_pairs_a; ALTER FUNCTION x() RENAME TO colseal_pairs_b")
	for _, o := range []migrate.Options{{For: migrate.ReadySealed}, {For: migrate.ReadyOnly}, {For: migrate.ReadySealedOnly}} {
		if r, err := migrate.Seal(t.Context(), db, o); err != nil {
			t.Errorf("%+v: %q, %v", o, r.Problems, err)
		}
	}
}

// Cells that no trigger has kept equal to the plain values are not taken for theirs: the table was made again, and then written.
func TestTableMadeAgain(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, "")
	for cut := 1; cut < 3; cut++ {
		mustExec(t, pg.Admin, oneTableDDL)
		db := w.open(t, oneColumn("a", "mail"))
		for _, l := range way[:cut] {
			w.taken(t, db, l)
		}
		mustExec(t, pg.Admin, "CREATE TABLE again (LIKE a INCLUDING ALL); INSERT INTO again SELECT * FROM a; DROP TABLE a; ALTER TABLE again RENAME TO a; UPDATE a SET mail = 'changed' WHERE id = 3")
		r, err := way[0].run(t.Context(), db, migrate.Options{})
		if !errors.Is(err, migrate.ErrProblems) || !strings.Contains(r.Problems[0], `ALTER TABLE "public"."a" DROP COLUMN "mail_sealed"`) {
			t.Fatalf("after %s: %q, %v", way[cut-1], r.Problems, err)
		}
		mustExec(t, pg.Admin, `ALTER TABLE "public"."a" DROP COLUMN "mail_sealed"`)
		for _, l := range way[:4] {
			w.taken(t, db, l)
		}
		p := w.open(t, func() (*schema.Schema, error) {
			return schema.New(schema.Columns("a", schema.Column{Name: "mail_sealed", ID: "a.mail", Mode: schema.ModeDeterministic}))
		})
		if rows, err := lines(p.QueryContext(t.Context(), "SELECT id, mail_sealed FROM a WHERE id = 3"))(2); err != nil || !slices.Equal(rows, []string{"3 changed"}) {
			t.Errorf("after %s: %q, %v", way[cut-1], rows, err)
		}
		mustExec(t, pg.Admin, "DROP TABLE a")
	}
}
