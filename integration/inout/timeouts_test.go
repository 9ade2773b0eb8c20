package inout

import (
	"database/sql"
	"testing"
	"time"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
)

// A lock_timeout that the role or the database has ends no step: what waits for others waits as long as they need.
func TestLockTimeout(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, tablesDDL)
		w.fill(t, 50)
		want := w.rows(t)
		mustExec(t, pg.Admin, "ALTER DATABASE "+pg.Name+" SET lock_timeout = '50ms'")
		holding := func(opts *sql.TxOptions, statement string, l leg) {
			t.Helper()
			tx, err := pg.Admin.BeginTx(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			mustExec(t, tx, statement)
			db, done := w.open(t, people), make(chan error, 1)
			go func() {
				_, err := l.run(t.Context(), db, migrate.Options{})
				done <- err
			}()
			select {
			case err = <-done:
				t.Errorf("%s, beside %s: %v", l, statement, err)
			case <-time.After(2 * time.Second):
			}
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
			if err == nil {
				err = <-done
			}
			if err != nil {
				t.Fatalf("%s, after %s: %v", l, statement, err)
			}
		}
		holding(nil, "LOCK TABLE people IN ACCESS EXCLUSIVE MODE", way[0])
		holding(&sql.TxOptions{Isolation: sql.LevelRepeatableRead}, "SELECT 1 FROM letters", way[1])
		w.look(t, migrate.ReadySealed, want)
	})
}
