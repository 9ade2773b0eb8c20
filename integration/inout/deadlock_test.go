package inout

import (
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/ops/migrate"
)

// Readers that have one of the tables, or the view, and wait for the other behind a step are ended by no deadlock: the step gives
// all of it up before the server looks for one.
func TestNoReaderInADeadlock(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL+twinDDL)
	w.fill(t, 10)
	watchLocks(t, pg)
	for i, l := range way {
		ended := make(chan struct{})
		var readers sync.WaitGroup
		met := 0
		readers.Go(func() {
			for goes := true; goes && met < 7; { // the step waits longer each time, and goes on in the end
				switch i {
				case 2:
					met += meet(t, pg.Admin, "letters", "SELECT 1 FROM people LIMIT 1", "SELECT 1 FROM letters LIMIT 1")
				case 6:
					met += meet(t, pg.Admin, "people", "SELECT 1", "SELECT 1 FROM adults LIMIT 1")
				}
				select {
				case <-ended:
					goes = false
				case <-time.After(time.Millisecond):
				}
			}
		})
		_, err := l.run(t.Context(), w.db, migrate.Options{})
		close(ended)
		readers.Wait()
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		if met < 5 && (i == 2 || i == 6) { // at the fifth time it waits for 300 ms
			t.Errorf("%s: readers waited behind it %d times", l, met)
		}
	}
}

// meet plays a reader that waits behind a step, while another one holds a table that the step waits for, almost for as long as it
// does. It returns 1 if the step came.
func meet(t *testing.T, db *sql.DB, table, first, second string) int {
	begin := func(query string) *sql.Tx {
		tx, err := db.BeginTx(t.Context(), nil)
		if err == nil {
			_, err = tx.ExecContext(t.Context(), query)
		}
		if err != nil {
			t.Error(err)
		}
		return tx
	}
	holder, reader := begin("LOCK TABLE "+table+" IN ACCESS SHARE MODE"), begin(first)
	defer func() { _ = reader.Rollback() }()
	comes := false
	for n := 0; n < 200 && !comes; n++ {
		time.Sleep(2 * time.Millisecond)
		if err := db.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = $1::regclass AND mode = 'AccessExclusiveLock')", table).Scan(&comes); err != nil {
			t.Error(err)
		}
	}
	if !comes {
		_ = holder.Rollback()
		return 0
	}
	released := time.AfterFunc(280*time.Millisecond, func() { _ = holder.Rollback() })
	defer released.Stop()
	if _, err := reader.ExecContext(t.Context(), second); dbcatalog.SQLState(err) == "40P01" {
		t.Errorf("%s; %s: %v", first, second, err)
	}
	_ = holder.Rollback()
	return 1
}
