package stages

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// A program refuses to start while another one is two stages away, and starts when that one has ended.
func TestForbiddenPairs(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := postgresWorld(t, pg, plain)
		all := []stage{schema.StageCopy, schema.StageSealed, schema.StageOnly}
		const query = "SELECT count(*) FROM users"
		for _, first := range all {
			for _, second := range all {
				a := w.open(t, w.at(first))
				if err := a.PingContext(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := a.ExecContext(t.Context(), query); err != nil {
					t.Fatalf("%s alone: %v", first, err)
				}
				b := w.open(t, w.at(second))
				_, err := b.ExecContext(t.Context(), query)
				if forbidden := max(first, second)-min(first, second) > 1; errors.Is(err, driver.ErrRefused) != forbidden || !forbidden && err != nil {
					t.Errorf("%s beside %s: %v", second, first, err)
				}
				if err != nil && !strings.Contains(err.Error(), "in the stage "+second.String()) {
					t.Errorf("%s beside %s: %v", second, first, err)
				}
				if _, err := a.ExecContext(t.Context(), query); err != nil {
					t.Errorf("%s, when %s was refused: %v", first, second, err)
				}
				if err := errors.Join(a.Close(), b.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}
		left, err := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "").Stages(t.Context())
		if err != nil || len(left) > 0 {
			t.Errorf("programs that ended still tell their stages: %v, %v", left, err)
		}
	})
}

// Programs in copy are deployed before the companion is there. They write it when it is, by statements that were prepared before, and
// tell so; and what other programs prepared goes on when the plain column is dropped.
func TestCompanionComesAndPlainColumnGoes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for _, f := range fronts {
			t.Run(f.name, func(t *testing.T) {
				w := postgresWorld(t, pgtest.Twin(t, pg), plain)
				ctx := t.Context()
				must(t, w.admin, "ALTER TABLE users DROP COLUMN email_sealed, DROP COLUMN ssn_sealed")
				p := f.open(t, w, schema.StageCopy)
				do := func(p program, query string, args ...any) answer {
					t.Helper()
					a := p.run(ctx, query, args...)
					if a.err != nil {
						t.Fatalf("%s: %v", query, a.err)
					}
					return a
				}
				insert, update, star := "INSERT INTO users VALUES ($1, $2, $3, $4)", "UPDATE users SET email = $1 WHERE id = $2", "SELECT * FROM users WHERE id = $1"
				do(p, insert, 1, "a@x", "n", "s")
				do(p, update, "b@x", 1)
				if a := do(p, star, 1); fmt.Sprint(a.rows) != "[[1 b@x n s]]" {
					t.Errorf("without a companion: %v", a.rows)
				}
				if _, err := p.copy(ctx, "users", []string{"id", "email"}, [][]any{{2, "c@x"}}); err != nil {
					t.Error(err)
				}
				must(t, w.admin, "ALTER TABLE users ADD email_sealed bytea UNIQUE, ADD ssn_sealed bytea")

				store := keyring.OpenStore(w.admin, keyring.DialectPostgres, "")
				for n, told := 10, false; !told; n++ {
					do(p, insert, n, fmt.Sprint("n", n), "n", "s")
					if told = true; n > 2000 {
						t.Fatal("the program does not see the companions")
					}
					seen, err := store.Stages(ctx)
					if err != nil {
						t.Fatal(err)
					}
					for _, s := range seen {
						told = told && s.Writes
					}
					time.Sleep(5 * time.Millisecond)
				}
				do(p, insert, 5000, "late@x", "n", "s")
				do(p, update, "later@x", 1)
				if a := do(p, star, 1); fmt.Sprint(a.labels, a.rows) != "[id email note ssn] [[1 later@x n s]]" {
					t.Errorf("with a companion: %v", a)
				}
				var n int
				if err := w.admin.QueryRow("SELECT count(*) FROM users WHERE id IN (1, 5000) AND email_sealed IS NOT NULL").Scan(&n); err != nil || n != 2 {
					t.Errorf("%d companions of two were written, %v", n, err)
				}

				// The other end: everything is in the companions, and the plain columns go.
				must(t, w.admin, "DELETE FROM users; DELETE FROM colseal_keys_stages")
				only := f.open(t, w, schema.StageOnly)
				do(only, "INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3)", 1, "a@x", "s")
				do(only, star, 1)
				must(t, w.admin, "ALTER TABLE users DROP COLUMN email, DROP COLUMN ssn")
				do(only, "INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3)", 2, "b@x", "s")
				do(only, update, "c@x", 1)
				if a := do(only, star, 1); fmt.Sprint(a.labels, a.rows) != "[id email note ssn] [[1 c@x none s]]" && fmt.Sprint(a.labels) != "[id note email ssn]" {
					t.Errorf("without a plain column: %v", a)
				}
			})
		}
	})
}

// A program that ends takes back what it told, also when it has just seen that it has to tell something else.
func TestProgramEndsAfterAChange(t *testing.T) {
	pg := pgtest.New(t)
	w := postgresWorld(t, pg, plain)
	must(t, w.admin, "ALTER TABLE users DROP COLUMN email_sealed, DROP COLUMN ssn_sealed")
	db := w.open(t, w.at(schema.StageCopy))
	const query = "SELECT count(*) FROM users"
	store := keyring.OpenStore(w.admin, keyring.DialectPostgres, "")
	stages := func() []keyring.ProgramStage {
		t.Helper()
		told, err := store.Stages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	must(t, db, query)
	if len(stages()) == 0 {
		t.Fatal("the program tells nothing")
	}
	must(t, w.admin, "ALTER TABLE users ADD email_sealed bytea UNIQUE, ADD ssn_sealed bytea")
	time.Sleep(3 * w.config.CatalogMaxAge)
	must(t, db, query) // it is looked up in the background
	time.Sleep(300 * time.Millisecond)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if told := stages(); len(told) > 0 {
		t.Errorf("a program that ended still tells %v", told)
	}
}

// Nothing is refused in copy: not for want of a key, nor for a value that does not fit.
func TestCopyWithoutKeys(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for _, f := range fronts {
			t.Run(f.name, func(t *testing.T) {
				w := postgresWorld(t, pgtest.Twin(t, pg), plain)
				w.config.AutoCreateKeyTable = false // there is no keyring
				w.config.Schema = schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageCopy},
					schema.Column{Name: "ssn", Kind: schema.KindInt, Stage: schema.StageCopy}), schema.Columns("orders", schema.Column{Name: "email", Stage: schema.StageCopy}))
				p := f.open(t, w, schema.StageCopy)
				for _, query := range []string{"INSERT INTO users (id, email, ssn) VALUES (1, $1, $2)", "UPDATE users SET email = $1, ssn = $2 WHERE email = $1"} {
					if a := p.run(t.Context(), query, "a@x", "no number"); a.err != nil || a.n != 1 {
						t.Errorf("%s: %d, %v", query, a.n, a.err)
					}
				}
				if n, err := p.copy(t.Context(), "users", []string{"id", "email", "ssn"}, [][]any{{2, "b@x", "none"}}); err != nil || n != 1 {
					t.Errorf("CopyFrom: %d, %v", n, err)
				}
				log := w.log.take()
				for _, want := range []string{"class=key", "class=value", "class=storage"} {
					if !strings.Contains(log, "colseal.observed "+want) {
						t.Errorf("no event of %s in\n%s", want, log)
					}
				}
				var n int
				if err := w.admin.QueryRow("SELECT count(*) FROM users WHERE email IS NOT NULL AND email_sealed IS NULL AND ssn_sealed IS NULL").Scan(&n); err != nil || n != 2 {
					t.Errorf("%d rows, %v", n, err)
				}
			})
		}
	})
}
