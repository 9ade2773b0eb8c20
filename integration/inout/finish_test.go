//go:build unix

package inout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// in opens the database as a program in a stage does.
func (w *world) in(t testing.TB, stage schema.Stage) *sql.DB {
	t.Helper()
	s, err := people()
	if err != nil {
		t.Fatal(err)
	}
	pg, err := pgx.ParseConfig(w.pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), driver.Config{Schema: s, KMS: w.kms, Stages: map[string]schema.Stage{"people": stage, "letters": stage}})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

var (
	canary  = regexp.MustCompile(`canary\d{6}`)
	ofTable = regexp.MustCompile(`(?m)^(column (people|letters)|index|constraint|trigger|published) .*`)
	rank    = regexp.MustCompile(`(?m)^(column \S+ )\d+ `)
)

// ofTables is a dump without what it says of views, and of the order of columns.
func ofTables(dump string) string {
	lines := ofTable.FindAllString(rank.ReplaceAllString(dump, "$1"), -1)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// goTo takes the steps of the way from one to another.
func (w *world) goTo(t testing.TB, steps ...leg) {
	t.Helper()
	for _, l := range steps {
		if _, err := l.run(t.Context(), w.db, migrate.Options{}); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
	}
}

// After the last step a column keeps its place; what its views show is opened or refused; and dropping it is possible.
func TestFinish(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL+`
			CREATE VIEW lowered AS SELECT id, lower(mail) AS mail FROM people;
			CREATE VIEW grouped AS SELECT mail, count(*) AS n FROM people GROUP BY mail;
			CREATE MATERIALIZED VIEW kept AS SELECT id, mail FROM people;`)
	w.fill(t, 60)
	want, dump := w.rows(t), w.dump(t)
	w.goTo(t, way[:3]...)
	finish := migrate.Options{For: migrate.ReadySealedOnly}
	if r, err := migrate.Seal(t.Context(), w.db, finish); !errors.Is(err, migrate.ErrProblems) || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "kept") {
		t.Fatalf("a materialized view is kept: %v, %v", r.Problems, err)
	}
	mustExec(t, pg.Admin, "DROP MATERIALIZED VIEW kept")
	w.goTo(t, way[3])
	w.look(t, migrate.ReadySealedOnly, want)
	if n := all(t, pg.Admin, "SELECT count(*)::text FROM people WHERE mail IS NOT NULL OR ssn IS NOT NULL OR age IS NOT NULL")[0]; n != "0" {
		t.Errorf("%s rows have plain values", n)
	}

	only := w.in(t, schema.StageOnly)
	rows, err := lines(only.QueryContext(t.Context(), "SELECT * FROM people WHERE id = 1"))(5)
	if err != nil || !slices.Equal(rows, []string{"1 m1@x ssn1 1 n"}) {
		t.Errorf("SELECT * finds %v, %v", rows, err)
	}
	mustExec(t, only, "INSERT INTO people VALUES ($1, $2, $3, $4, $5)", 1000, "new@x", "ssn1000", 7, "n")
	mustExec(t, only, "DELETE FROM people WHERE mail = $1", "new@x")
	if rows, err = lines(only.QueryContext(t.Context(), "SELECT * FROM adults WHERE address = $1", "m1@x"))(3); err != nil || len(rows) != 1 || rows[0] != "1 m1@x 1" {
		t.Errorf("a view shows %v, %v", rows, err)
	}
	for _, q := range []string{"SELECT mail FROM lowered", "SELECT id FROM lowered WHERE mail = $1", "SELECT * FROM grouped", "SELECT mail FROM grouped"} {
		var args []any
		if strings.Contains(q, "$1") {
			args = []any{"m1@x"}
		}
		if rows, err := lines(only.QueryContext(t.Context(), q, args...))(1); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("%s is not refused: %v, %v", q, rows, err)
		}
	}
	if rows, err := lines(w.in(t, schema.StageSealed).QueryContext(t.Context(), "SELECT id FROM people"))(1); !errors.Is(err, driver.ErrRefused) {
		t.Errorf("a program in sealed goes on: %v, %v", rows, err)
	}
	if _, err := pg.Admin.Exec("UPDATE people SET mail = 'plain' WHERE id = 1"); err == nil {
		t.Error("a plain value is taken")
	}

	finish.Drop = true
	r, err := migrate.Seal(t.Context(), w.db, finish)
	if !errors.Is(err, migrate.ErrProblems) || len(r.Problems) != 3 || len(r.Notes) != 2 {
		t.Fatalf("dropping what views depend on: %q, %q, %v", r.Problems, r.Notes, err)
	}
	mustExec(t, pg.Admin, "DROP VIEW adults, lowered, grouped")
	if _, err := migrate.Seal(t.Context(), w.db, finish); err != nil {
		t.Fatal(err)
	}
	w.look(t, migrate.ReadySealedOnly, want)
	later := w.in(t, schema.StageOnly)
	rows, err = lines(later.QueryContext(t.Context(), "SELECT * FROM people WHERE id = 1"))(6)
	if err != nil || len(rows) != 1 || !strings.HasPrefix(rows[0], "1 n ") || !strings.HasSuffix(rows[0], " m1@x ssn1 1") {
		t.Errorf("SELECT * finds %v, %v", rows, err)
	}
	if _, err := later.ExecContext(t.Context(), "INSERT INTO people VALUES ($1, $2)", 1000, "new@x"); !errors.Is(err, driver.ErrRefused) {
		t.Errorf("INSERT without a list: %v", err)
	}
	if err := errors.Join(only.Close(), later.Close()); err != nil {
		t.Fatal(err)
	}
	w.goTo(t, way[4:]...)
	if got, was := ofTables(w.dump(t)), ofTables(dump); got != was {
		t.Errorf("the schema differs in the end:\n%s", diff(was, got))
	}
	w.look(t, migrate.ReadyPlain, want)
}

// What the table's files hold of plain values is gone when the table was rewritten, and not before.
func TestNothingLeft(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		const values = 3000
		w := newWorld(t, pg, tablesDDL)
		mustExec(t, pg.Admin, fmt.Sprintf("INSERT INTO people (mail, ssn, age) SELECT 'canary' || lpad(g::text, 6, '0') || '@example', 'canary' || lpad(g::text, 6, '0'), 7 FROM generate_series(1, %d) g", values))
		mustExec(t, pg.Admin, "ANALYZE people")
		if n := canaries(t, pg); n != values {
			t.Fatalf("%d values of %d are found at first", n, values)
		}
		w.goTo(t, way[:4]...)
		left := canaries(t, pg)
		if _, err := migrate.Seal(t.Context(), w.db, migrate.Options{For: migrate.ReadySealedOnly, Rewrite: true}); err != nil {
			t.Fatal(err)
		}
		after := canaries(t, pg)
		t.Logf("of %d values the files hold %d after the last step, and %d after they were rewritten", values, left, after)
		if after != 0 {
			t.Error("plaintext is left")
		}
	})
}

// canaries counts the values of people that stand in the files of the database after a checkpoint. The write-ahead log is none of them.
func canaries(t *testing.T, pg *pgtest.DB) int {
	t.Helper()
	mustExec(t, pg.Admin, "CHECKPOINT")
	found := map[string]bool{}
	dir := all(t, pg.Admin, "SELECT 'base/' || oid FROM pg_database WHERE datname = current_database()")[0]
	for _, name := range all(t, pg.Admin, "SELECT pg_ls_dir('"+dir+"')") {
		var data []byte
		if err := pg.Admin.QueryRowContext(t.Context(), "SELECT pg_read_binary_file($1, 0, 1 << 29, true)", dir+"/"+name).Scan(&data); err != nil {
			t.Fatal(err)
		}
		for _, c := range canary.FindAll(data, -1) {
			found[string(c)] = true
		}
	}
	return len(found)
}

// A step is not taken while programs run that it does not go with, nor a program in a stage that the database is not ready for.
func TestPrograms(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 20)
	mustExec(t, pg.Admin, "DROP TABLE colseal_keys_stages") // the command makes it, and waits until programs have seen that
	ask := func(db *sql.DB) error {
		var n int
		return db.QueryRowContext(t.Context(), "SELECT count(mail) FROM people").Scan(&n)
	}
	refuses := func(l leg) {
		t.Helper()
		if _, err := l.run(t.Context(), w.db, migrate.Options{}); !errors.Is(err, migrate.ErrPrograms) {
			t.Errorf("%s: %v", l, err)
		}
	}
	runs := func(stage schema.Stage) *sql.DB {
		t.Helper()
		db := w.in(t, stage)
		if err := ask(db); err != nil {
			t.Fatalf("a program in %s: %v", stage, err)
		}
		return db
	}
	ends := func(dbs ...*sql.DB) {
		t.Helper()
		for _, db := range dbs {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := runs(schema.StageCopy)
	work := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		for {
			select {
			case <-work:
				return
			case <-time.After(100 * time.Millisecond):
				_ = ask(first)
			}
		}
	})
	w.goTo(t, way[0])
	close(work)
	working.Wait()
	refuses(way[1]) // it has not seen the companions
	ends(first)
	for _, stage := range []schema.Stage{schema.StageSealed, schema.StageOnly} {
		if err := ask(w.in(t, stage)); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("a program in %s begins early: %v", stage, err)
		}
	}
	copies := runs(schema.StageCopy)
	w.goTo(t, way[1])
	sealed := runs(schema.StageSealed)
	refuses(way[2])
	ends(copies)
	w.goTo(t, way[2])
	if err := ask(w.in(t, schema.StageCopy)); !errors.Is(err, driver.ErrRefused) {
		t.Errorf("a program in copy begins late: %v", err)
	}
	only := runs(schema.StageOnly)
	refuses(way[3])
	ends(sealed)
	w.goTo(t, way[3:5]...)
	refuses(way[5])
	ends(only)
	sealed = runs(schema.StageSealed)
	w.goTo(t, way[5])
	copies = runs(schema.StageCopy)
	refuses(way[6])
	ends(sealed)
	w.goTo(t, way[6])
	refuses(way[7])
	ends(copies)
	w.goTo(t, way[7])
}

// Each step is undone, whole or cut short.
func TestUndoneOrKilled(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 60)
	want, dump := w.rows(t), w.dump(t)
	back := [][]leg{way[7:], way[6:], way[5:], way[4:]}
	for i := range back {
		for _, whole := range []bool{true, false} {
			w.goTo(t, way[:i]...)
			if whole {
				w.goTo(t, way[i])
			} else if w.killed(t, i, 40+rand.Int64N(160)) != 0 {
				t.Logf("%s was through before it was killed", way[i])
			}
			status, err := migrate.Status(t.Context(), w.db)
			if err != nil {
				t.Fatal(err)
			}
			steps := back[i]
			for _, s := range status { // it may not have come further than the step before
				if i > 1 && s.Ready < way[i].to {
					steps = slices.Concat([]leg{way[i]}, steps)
					break
				}
			}
			w.goTo(t, steps...)
			if got := w.dump(t); got != dump {
				t.Fatalf("%s, whole: %v, is undone, and the schema differs:\n%s", way[i], whole, diff(dump, got))
			}
			w.look(t, migrate.ReadyPlain, want)
		}
	}
}

// What a program without Colseal may do after each step.
func TestWithoutColseal(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 20)
	for i, l := range way {
		w.goTo(t, l)
		for query, want := range map[string]bool{
			"SELECT * FROM people":                                               true,
			"UPDATE people SET note = 'n' WHERE id = 1":                          true,
			"DELETE FROM people WHERE id = 20":                                   true,
			fmt.Sprintf("INSERT INTO people (mail) VALUES ('plain%d@x')", i):     l.to <= migrate.ReadyCopy,
			fmt.Sprintf("UPDATE people SET mail = 'new%d@x' WHERE id = 2", i):    l.to <= migrate.ReadyCopy,
			fmt.Sprintf("UPDATE people SET ssn = 'other%d' WHERE id = 3", i):     l.to <= migrate.ReadyCopy,
			fmt.Sprintf("INSERT INTO letters (mail) VALUES ('m%d@x')", 14+i%5):   l.to <= migrate.ReadyCopy,
			fmt.Sprintf("UPDATE letters SET body = 'c%d', mail = mail", i):       true,
			fmt.Sprintf("UPDATE people SET note = 'n%d', mail = mail", i):        true,
			fmt.Sprintf("UPDATE people SET changed = now() + '%d s'", i):         true,
			fmt.Sprintf("SELECT id FROM people WHERE mail = 'm%d@x'", 5+i):       true,
			fmt.Sprintf("DELETE FROM letters WHERE id = %d", 1+i):                true,
			fmt.Sprintf("DELETE FROM people WHERE id = %d", 7+i):                 true,
			fmt.Sprintf("UPDATE letters SET mail = NULL WHERE id = %d", 10+i%2):  true,
			fmt.Sprintf("INSERT INTO letters (body) VALUES ('without %d')", 1+i): true,
		} {
			_, err := pg.Admin.ExecContext(t.Context(), query)
			if want == (err != nil) {
				t.Errorf("%s, %s: %v", l, query, err)
			}
			if state := dbcatalog.SQLState(err); !want && state != "23514" && state != "23502" {
				t.Errorf("%s, %s: %v, want 23514 or 23502", l, query, err)
			}
		}
		if l.to == migrate.ReadyCopy {
			status, err := migrate.Status(t.Context(), w.db, "people.mail")
			if err != nil || status[0].Unsealed != 2 {
				t.Errorf("status of people.mail: %+v, %v", status, err)
			}
		}
	}
}

// With a lock all is done at once, or nothing.
func TestLocked(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, tablesDDL)
		w.fill(t, 3000)
		want, dump := w.rows(t), w.dump(t)
		mustExec(t, pg.Admin, "CREATE POLICY x ON people USING (mail <> 'x')")
		if _, err := migrate.Seal(t.Context(), w.db, migrate.Options{For: migrate.ReadySealedOnly, Lock: true}); !errors.Is(err, migrate.ErrProblems) {
			t.Fatalf("a policy stands in the way: %v", err)
		}
		mustExec(t, pg.Admin, "DROP POLICY x ON people")
		if got := w.dump(t); got != dump {
			t.Fatalf("something was changed:\n%s", diff(dump, got))
		}
		r, err := migrate.Seal(t.Context(), w.db, migrate.Options{For: migrate.ReadySealedOnly, Lock: true})
		if err != nil || r.Sealed == 0 || r.Cleared == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		w.look(t, migrate.ReadySealedOnly, want)
		if r, err = migrate.Unseal(t.Context(), w.db, migrate.Options{For: migrate.ReadyPlain, Lock: true}); err != nil || r.Opened == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		w.look(t, migrate.ReadyPlain, want)
		if got := w.dump(t); got != dump {
			t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
		}
	})
}

// Each row is sealed in the scope that stands in a column.
func TestScopeColumn(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 20)
	mustExec(t, pg.Admin, "ALTER TABLE letters DROP CONSTRAINT letters_to; UPDATE people SET note = 'tenant' || id % 3")
	if _, err := migrate.Seal(t.Context(), w.db, migrate.Options{Columns: []string{"people"}, ScopeColumn: "note"}); err != nil {
		t.Fatal(err)
	}
	scopes := all(t, pg.Admin, "SELECT DISTINCT scope FROM colseal_keys WHERE scope <> '' ORDER BY 1")
	if !slices.Equal(scopes, []string{"tenant0", "tenant1", "tenant2"}) {
		t.Errorf("there are keys of the scopes %q", scopes)
	}
}

// What cannot be carried along is said, and nothing is changed.
func TestProblems(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 5)
	for ddl, undo := range map[string][2]string{
		"CREATE UNIQUE INDEX x ON people (ssn)":                                                                                                            {"DROP INDEX x", "unique index x"},
		"CREATE UNIQUE INDEX x ON people (lower(mail))":                                                                                                    {"DROP INDEX x", "unique index x"},
		"ALTER TABLE people ADD CONSTRAINT x EXCLUDE (mail WITH =)":                                                                                        {"ALTER TABLE people DROP CONSTRAINT x", "exclusion constraint x"},
		"ALTER TABLE people DROP CONSTRAINT people_pkey, ADD CONSTRAINT x PRIMARY KEY (mail)":                                                              {"ALTER TABLE people DROP CONSTRAINT x, ADD CONSTRAINT people_pkey PRIMARY KEY (id)", "primary key"},
		"ALTER TABLE people ADD l text GENERATED ALWAYS AS (lower(mail)) STORED":                                                                           {"ALTER TABLE people DROP COLUMN l", "depends on it"},
		"CREATE POLICY x ON people USING (mail <> 'x')":                                                                                                    {"DROP POLICY x ON people", "policy x"},
		"CREATE TRIGGER x BEFORE UPDATE OF ssn ON people FOR EACH ROW EXECUTE FUNCTION touch()":                                                            {"DROP TRIGGER x ON people", "trigger x"},
		"CREATE TABLE others (mail varchar(200) CONSTRAINT x REFERENCES people (mail))":                                                                    {"DROP TABLE others", "foreign key x"},
		"ALTER TABLE letters DROP CONSTRAINT letters_to, ADD CONSTRAINT x FOREIGN KEY (mail) REFERENCES people (mail) ON UPDATE CASCADE":                   {"ALTER TABLE letters DROP CONSTRAINT x, ADD CONSTRAINT letters_to FOREIGN KEY (mail) REFERENCES people (mail) ON DELETE SET NULL", "foreign key x"},
		"ALTER TABLE people ALTER ssn TYPE char(20)":                                                                                                       {"ALTER TABLE people ALTER ssn TYPE text", "people.ssn: its type character(20)"},
		"CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE UNIQUE INDEX x ON people (mail COLLATE loose)": {"DROP INDEX x; DROP COLLATION loose", "unique index x compares"},
	} {
		mustExec(t, pg.Admin, ddl)
		dump := w.dump(t)
		r, err := migrate.Seal(t.Context(), w.db, migrate.Options{For: migrate.ReadySealed})
		if !errors.Is(err, migrate.ErrProblems) || !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, undo[1]) }) {
			t.Errorf("%s: %q, %v", ddl, r.Problems, err)
		}
		if got := w.dump(t); got != dump {
			t.Errorf("%s: something was changed:\n%s", ddl, diff(dump, got))
		}
		mustExec(t, pg.Admin, undo[0])
	}
	mustExec(t, pg.Admin, "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); ALTER TABLE people ALTER ssn TYPE text COLLATE loose")
	r, err := migrate.Seal(t.Context(), w.db, migrate.Options{For: migrate.ReadyCopy, DryRun: true})
	if err != nil || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "ssn compares with the collation") }) {
		t.Errorf("a column of a collation that takes values for equal: %q, %v", r.Notes, err)
	}
	mustExec(t, pg.Admin, "ALTER TABLE people ALTER ssn TYPE text; DROP COLLATION loose")
	w.goTo(t, way[0])
}

// Values go through as fast as the server and the machine let them.
func BenchmarkRows(b *testing.B) {
	const rows = 50_000
	pg := pgtest.New(b)
	w := newWorld(b, pg, tablesDDL)
	w.fill(b, rows)
	mustExec(b, pg.Admin, "DELETE FROM letters")
	for b.Loop() {
		for i, l := range way {
			began := b.Elapsed()
			r, err := l.run(context.Background(), w.db, migrate.Options{})
			if err != nil {
				b.Fatal(err)
			}
			took := b.Elapsed() - began
			b.Logf("%s: sealed %d, opened %d, cleared %d values in %s", way[i], r.Sealed, r.Opened, r.Cleared, took)
			if n := max(r.Sealed, r.Opened); n > 0 {
				b.ReportMetric(rows/took.Seconds(), strings.Fields(l.String())[0]+"-rows/s")
			}
		}
	}
}
