package inout

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
)

// Columns go in and out again, step by step, each step twice: the second time there is nothing to do.
func TestThereAndBack(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, tablesDDL)
		w.fill(t, 3000)
		want, dump, dumped := w.rows(t), w.dump(t), pgDump(t, pg)
		for _, l := range way {
			dry, err := l.run(t.Context(), w.db, migrate.Options{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.run(t.Context(), w.db, migrate.Options{})
			if err != nil {
				t.Fatalf("%s: %v", l, err)
			}
			if len(r.Steps) == 0 || !slices.EqualFunc(r.Steps, dry.Steps, func(a, b migrate.Step) bool { return a.What == b.What && slices.Equal(a.SQL, b.SQL) }) {
				t.Errorf("%s: the dry run said %v, the run did %v", l, dry.Steps, r.Steps)
			}
			w.look(t, l.to, want)
			r, err = l.run(t.Context(), w.db, migrate.Options{})
			if err != nil || r.Sealed+r.Opened+r.Cleared > 0 {
				t.Errorf("%s again: %+v, %v", l, r, err)
			}
		}
		if got := w.dump(t); got != dump {
			t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
		}
		if got := pgDump(t, pg); got != dumped {
			t.Errorf("pg_dump differs in the end:\n%s", diff(dumped, got))
		}
	})
}

// What the server knows of the columns is of when they were filled, not of when they were NULL: it chooses by it how to check
// the foreign keys of many rows.
func TestStatistics(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 1000)
	for _, l := range way[:6] {
		if _, err := l.run(t.Context(), w.db, migrate.Options{}); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
	}
	got := all(t, pg.Admin, "SELECT tablename || ' ' || (null_frac < 1)::text FROM pg_stats WHERE attname = 'mail' AND schemaname = 'public' ORDER BY 1")
	if want := []string{"letters true", "people true"}; !slices.Equal(got, want) {
		t.Errorf("the mails have values: %v, want %v", got, want)
	}
}

// pgDump is what pg_dump writes of the schema, but for the order of its lines; "" where there is none for the server.
func pgDump(t *testing.T, pg *pgtest.DB) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "pg_dump", "--schema-only", "-T", "colseal_keys*", pg.DSN())
	out, err := cmd.Output()
	if err != nil {
		t.Logf("no pg_dump: %v", err)
		return ""
	}
	var lines []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if line = strings.TrimSuffix(line, ","); !regexp.MustCompile(`^\\(un)?restrict `).MatchString(line) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A column goes its way beside another one of its table that stays, or follows later.
func TestOneByOne(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 10)
	want, dump := w.rows(t), w.dump(t)
	step := func(l leg, columns ...string) {
		t.Helper()
		if r, err := l.run(t.Context(), w.db, migrate.Options{Columns: columns}); err != nil {
			t.Fatalf("%s %v: %q, %v", l, columns, r.Problems, err)
		}
	}
	for _, l := range way[:4] {
		step(l, "people.ssn")
	}
	for _, l := range way[:4] {
		step(l)
	}
	w.look(t, migrate.ReadySealedOnly, want)
	for _, l := range way[4:] {
		step(l, "people.age", "people.mail", "letters.mail")
	}
	for _, l := range way[4:] {
		step(l)
	}
	w.look(t, migrate.ReadyPlain, want)
	if got := w.dump(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
}

// Steps pause, and a server that ends idle sessions ends none of theirs.
func TestIdleSessions(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 300)
	want := w.rows(t)
	mustExec(t, pg.Admin, "ALTER DATABASE "+pg.Name+" SET idle_session_timeout = '150ms'")
	db := w.open(t, people)
	for _, l := range way[:2] {
		if r, err := l.run(t.Context(), db, migrate.Options{MaxBatch: batch}); err != nil {
			t.Fatalf("%s: %q, %v", l, r.Problems, err)
		}
	}
	mustExec(t, pg.Admin, "ALTER DATABASE "+pg.Name+" RESET idle_session_timeout")
	w.look(t, migrate.ReadySealed, want)
}
