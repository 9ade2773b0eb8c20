package views

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
)

// The server finds what a name means now, though queries of a transaction with an old snapshot see the catalog as it was: what they
// are told of a view, a child or a definition is no reason to send plaintext, there or on other connections.
func TestOldSnapshot(t *testing.T) {
	const made = "CREATE VIEW late AS SELECT id, email AS mail FROM users; CREATE TABLE kid (extra text) INHERITS (users)"
	cases := map[string]struct {
		before, change string
		own            []string // in the transaction, after the change
		queries        []string
	}{
		"new view":      {"", made, nil, []string{"SELECT id FROM late WHERE mail = $1", "SELECT mail FROM public.late WHERE mail = $1"}},
		"new child":     {"", made, nil, []string{"SELECT id FROM kid WHERE email = $1"}},
		"own DDL":       {"", made, []string{"CREATE TEMP TABLE mine (id int)"}, []string{"SELECT id FROM late WHERE mail = $1", "SELECT id FROM kid WHERE email = $1"}},
		"replaced view": {"CREATE VIEW late AS SELECT id, note AS mail FROM users", "DROP VIEW late; " + made, nil, []string{"SELECT id FROM late WHERE mail = $1"}},
		"redefined view": {
			"ALTER TABLE users ALTER ssn TYPE text USING NULL; CREATE VIEW late AS SELECT id, note AS mail FROM users",
			"CREATE OR REPLACE VIEW late AS SELECT id, ssn AS mail FROM users", nil, []string{"SELECT id FROM late WHERE mail = $1"},
		},
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for name, x := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, time.Millisecond)
				if x.before != "" {
					w.admin(t, x.before)
				}
				old, _ := w.conns(t)
				ask := func(query string, args ...any) (string, error) {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					return read(ctx, old, query, args...)
				}
				for _, q := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM users"} {
					if _, err := ask(q); err != nil {
						t.Fatal(err)
					}
				}
				w.admin(t, x.change)
				for range 5 { // the change is noticed
					w.play(t, w.sealed, w.twin, works("SELECT id, email FROM users ORDER BY id"))
					time.Sleep(100 * time.Millisecond)
				}
				for _, q := range append(x.own, "SAVEPOINT s") {
					if _, err := ask(q); err != nil {
						t.Errorf("%s: %v", q, err)
					}
				}
				for _, q := range x.queries {
					got, err := ask(q, canary+"1")
					t.Logf("%s: %q, %v", q, got, err)
					if err != nil && !errors.Is(err, driver.ErrRefused) {
						t.Errorf("%s: %v", q, err)
					}
					if leaks := w.tap.take(); leaks != nil {
						t.Errorf("%s: sent in plaintext: %q", q, leaks)
					}
					// What it was told is for itself alone.
					_, err = read(t.Context(), w.sealed, q, canary+"1")
					if err != nil && (name != "redefined view" || !errors.Is(err, driver.ErrRefused)) {
						t.Errorf("%s, on another connection: %v", q, err)
					}
					if leaks := w.tap.take(); leaks != nil {
						t.Errorf("%s, on another connection: sent in plaintext: %q", q, leaks)
					}
				}
				if _, err := ask("ROLLBACK"); err != nil {
					t.Error(err)
				}
			})
		}
	})
}
