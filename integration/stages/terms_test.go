package stages

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

const plainUsers = "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, note text DEFAULT 'none', ssn text); CREATE TABLE orders (id bigint PRIMARY KEY, email text);"

// rowsOfUsers fills the plain tables.
func (w *world) rowsOfUsers(t *testing.T) {
	t.Helper()
	var users, orders []string
	for i := range 200 {
		users = append(users, fmt.Sprintf("(%d, '%cna%d@X.%s', '%d')", i, "AaBb"[i%4], i, []string{"com", "org"}[i%2], 100+i))
		orders = append(orders, fmt.Sprintf("(%d, '%cna%d@X.%s')", i, "aabb"[i%4], i, []string{"com", "org"}[i%2]))
	}
	for _, q := range []string{"INSERT INTO users (id, email, ssn) VALUES " + strings.Join(users, ", "), "INSERT INTO orders VALUES " + strings.Join(orders, ", ")} {
		must(t, w.admin, q)
		if a := w.twin.run(context.Background(), q); a.err != nil {
			t.Fatal(a.err)
		}
	}
}

// look compares what programs in some stages find with what the twin has.
func (w *world) look(t *testing.T, queries []string, stages ...stage) {
	t.Helper()
	for _, s := range stages {
		db := w.open(t, w.at(s))
		p := program{run: runSQL(db, false)}
		for _, q := range queries {
			want := w.twin.run(t.Context(), q)
			if len(want.rows) == 0 {
				t.Fatalf("%s: %v finds nothing", q, want.err)
			}
			if err := same(p.run(t.Context(), q), want, false); err != nil {
				t.Errorf("in %s: %s: %v", s, q, err)
			}
		}
		if err := db.Close(); err != nil { // so that it no longer tells that it is in the stage
			t.Fatal(err)
		}
	}
}

// A plain column is sealed with terms and opened again, while programs search it. After the first step there are the function and the
// index that searches need, and a search goes by the index.
func TestThereAndBackWithTerms(t *testing.T) {
	queries := []string{"SELECT id FROM users WHERE email LIKE 'Ana%'", "SELECT id FROM users WHERE email ILIKE 'an%' AND NOT ssn LIKE '11%'", "SELECT id FROM users WHERE email LIKE '%org'",
		"SELECT id FROM users WHERE lower(email) = lower('BNA2@X.COM')", "SELECT id FROM users WHERE ssn = '150' OR ssn IN ('160', '161')",
		"SELECT u.id, o.id FROM users u JOIN orders o ON lower(o.email) = lower(u.email) AND left(u.ssn, 2) = '12'"}
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := postgresWorld(t, pg, withTerms())
		must(t, w.admin, "DROP TABLE users, orders; DROP SCHEMA colseal CASCADE; "+plainUsers)
		w.rowsOfUsers(t)
		db := w.open(t, w.config)
		way := []struct {
			ready  migrate.Ready
			stages []stage
		}{{migrate.ReadyPlain, []stage{schema.StageCopy}}, {migrate.ReadyCopy, []stage{schema.StageCopy}}, {migrate.ReadySealed, []stage{schema.StageCopy, schema.StageSealed}},
			{migrate.ReadyOnly, []stage{schema.StageSealed, schema.StageOnly}}, {migrate.ReadySealedOnly, []stage{schema.StageOnly}}}
		w.look(t, queries, way[0].stages...)
		for _, at := range way[1:] {
			if r, err := migrate.Seal(t.Context(), db, migrate.Options{For: at.ready}); err != nil {
				t.Fatalf("%s: %v, %v", at.ready, r.Problems, err)
			}
			w.look(t, queries, at.stages...)
		}
		only := w.open(t, w.at(schema.StageOnly))
		findings, err := dbcheck.Run(t.Context(), only)
		if err != nil {
			t.Fatal(err)
		}
		if err := only.Close(); err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if strings.Contains(f.Rule, "terms") || strings.Contains(f.Rule, "search") {
				t.Errorf("%+v", f)
			}
		}
		for i := len(way) - 2; i >= 0; i-- {
			if r, err := migrate.Unseal(t.Context(), db, migrate.Options{For: way[i].ready}); err != nil {
				t.Fatalf("%s: %v, %v", way[i].ready, r.Problems, err)
			}
			w.look(t, queries, way[i].stages...)
		}
		var n int
		if err := w.admin.QueryRow("SELECT count(*) FROM pg_indexes WHERE tablename IN ('users', 'orders') AND indexdef LIKE '%colseal%'").Scan(&n); err != nil || n != 0 {
			t.Errorf("%d indexes over terms are left, %v", n, err)
		}
	})
}

// On SQLite all steps are taken at once.
func TestThereAndBackWithTermsSQLite(t *testing.T) {
	queries := []string{"SELECT id FROM users WHERE email GLOB 'Ana*' AND NOT ssn GLOB '11*'", "SELECT id FROM users WHERE email GLOB '*org'", "SELECT id FROM users WHERE ssn = '150' OR ssn IN ('160', '161')"}
	w := sqliteWorld(t, withTerms())
	must(t, w.admin, "DROP TABLE users; DROP TABLE orders; "+plainUsers)
	w.rowsOfUsers(t)
	w.look(t, queries, schema.StageCopy)
	db := w.open(t, w.config)
	if r, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealedOnly, Lock: true}); err != nil {
		t.Fatalf("%v, %v", r.Problems, err)
	}
	w.look(t, queries, schema.StageOnly)
	if r, err := migrate.Unseal(t.Context(), db, migrate.Options{For: migrate.ReadyPlain, Lock: true}); err != nil {
		t.Fatalf("%v, %v", r.Problems, err)
	}
	w.look(t, queries, schema.StageCopy)
}
