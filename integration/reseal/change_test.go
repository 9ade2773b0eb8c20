package reseal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/reseal"
)

// The change of a search key, from its beginning to its end, beside programs that search and write all along. What
// they find is compared with a twin of the table that holds plaintext, in the same snapshot.
func TestChangeUnderLoad(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, people, "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bytea); CREATE INDEX ON people (mail); "+
			"CREATE TABLE twin (n bigint PRIMARY KEY, mail text, age bigint)")
		l := &load{t: t}
		for range 4 {
			l.programs = append(l.programs, w.open(t, func(cfg *driver.Config) { cfg.Keys = keycache.Config{MaxAge: refresh, MaxStale: -1} }))
		}
		for n := range 300 {
			l.write(l.programs[0], n)
		}
		l.start()
		l.during("with one key", func(db *sql.DB) bool { return l.searches.Load() > 50 && l.group(db) == nil })

		next, err := w.admin.Rotate(t.Context(), keyring.PurposeSearch, "")
		if err != nil {
			t.Fatal(err)
		}
		// The programs of this test know a change sooner than those that Rotate reckons with.
		sealsFrom := func(from string) {
			mustExec(t, pg.Admin, "UPDATE colseal_keys SET seals_from = clock_timestamp() + $1::interval, created_at = clock_timestamp() + $1::interval - interval '2 hours' WHERE key_id = $2", from, int64(next.ID))
		}
		sealsFrom("10 minutes")
		l.during("with two keys, of which the old one seals", func(db *sql.DB) bool { return errors.Is(l.group(db), driver.ErrRefused) })
		if r := w.reseal(t, reseal.Options{}); r.Resealed != 0 || r.Pending == 0 {
			t.Errorf("re-sealed before the new key seals: %+v", r)
		}

		sealsFrom("0")
		var resealed int64
		reseal := func() int64 {
			r := w.reseal(t, reseal.Options{Batch: 20, RowsPerSecond: 400})
			if resealed += r.Resealed; r.Unreadable+r.Duplicates+r.Orphans+r.Destroyed != 0 {
				t.Fatalf("%+v", r)
			}
			return r.Left()
		}
		l.phase.Store("while rows are re-sealed")
		reseal()
		l.during("when every program seals under the new key", func(db *sql.DB) bool { return l.sealsUnder(db, pg.Admin) == next.ID })
		for reseal() > 0 && !t.Failed() {
		}

		sealsFrom("-3 hours")
		w.retire(t)
		l.during("retired", func(db *sql.DB) bool { return l.group(db) == nil })
		searches := l.searches.Load()
		l.during("after the change", func(*sql.DB) bool { return l.searches.Load() > searches+100 })
		l.stop()
		t.Logf("%d cells re-sealed beside %d searches, %d writes; %d were told to run again", resealed, l.searches.Load(), l.writes.Load(), l.again.Load())
		if resealed < 300 || l.searches.Load() < 200 || l.writes.Load() < 350 {
			t.Error("there was not much load")
		}
		l.compare(w.open(t, nil), "SELECT n FROM people WHERE mail = $1", "SELECT n FROM twin WHERE mail = $1", "v1")
	})
}

// refresh is how long a program of the test goes on without looking at the keyring.
const refresh = 300 * time.Millisecond

// load is programs that search and write.
type load struct {
	t        *testing.T
	programs []*sql.DB
	phase    atomic.Value
	next     atomic.Int64

	searches, writes, again atomic.Int64
	end                     context.CancelFunc
	running                 sync.WaitGroup
}

const values = 25 // that the column holds

func (l *load) start() {
	ctx, cancel := context.WithCancel(l.t.Context())
	l.end = cancel
	l.t.Cleanup(l.stop)
	l.next.Store(1000)
	for i, db := range l.programs {
		l.running.Go(func() {
			for ctx.Err() == nil && !l.t.Failed() {
				if i%2 == 0 {
					l.search(db)
				} else {
					l.write(db, int(rand.Int64N(l.next.Add(1))))
				}
			}
		})
	}
}

func (l *load) stop() {
	l.end()
	l.running.Wait()
}

// during names what goes on, and lets it go on until all programs have come to it.
func (l *load) during(what string, come func(*sql.DB) bool) {
	l.phase.Store(what)
	deadline := time.Now().Add(time.Minute)
	for _, db := range l.programs {
		for !come(db) && !l.t.Failed() {
			if time.Now().After(deadline) {
				l.t.Fatalf("%s: a program does not come to it", what)
			}
			l.search(db)
		}
	}
}

// sealsUnder returns the key under which a program seals.
func (l *load) sealsUnder(db, admin *sql.DB) (id uint32) {
	const probe = -1
	if err := l.retry(func() error {
		_, err := db.Exec("INSERT INTO people (n, mail) VALUES ($1, 'probe') ON CONFLICT (n) DO UPDATE SET mail = EXCLUDED.mail", probe)
		return err
	}); err != nil {
		l.t.Error(err)
	}
	if err := admin.QueryRow("DELETE FROM people WHERE n = $1 RETURNING ('x' || encode(substr(mail, 5, 4), 'hex'))::bit(32)::bigint", probe).Scan(&id); err != nil {
		l.t.Error(err)
	}
	return id
}

func (l *load) search(db *sql.DB) {
	l.searches.Add(1)
	v := func() any { return fmt.Sprint("v", rand.IntN(values)) }
	switch rand.IntN(5) {
	case 0:
		l.compare(db, "SELECT n FROM people WHERE mail = $1", "SELECT n FROM twin WHERE mail = $1", v())
	case 1:
		l.compare(db, "SELECT n FROM people WHERE mail IN ($1, $2) OR age = $3", "SELECT n FROM twin WHERE mail IN ($1, $2) OR age = $3", v(), v(), rand.IntN(10))
	case 2:
		l.compare(db, "SELECT n FROM people WHERE n >= 0 AND mail <> $1 AND age = $2", "SELECT n FROM twin WHERE mail <> $1 AND age = $2", v(), rand.IntN(10))
	case 3:
		l.compare(db, "SELECT n FROM people WHERE mail = ANY($1)", "SELECT n FROM twin WHERE mail = ANY($1)", []string{v().(string), v().(string)})
	case 4:
		l.compare(db, "SELECT n FROM people WHERE mail IS NOT DISTINCT FROM $1", "SELECT n FROM twin WHERE mail IS NOT DISTINCT FROM $1", v())
	}
}

// retry runs f again as long as its error says so.
func (l *load) retry(f func() error) error {
	for {
		err := f()
		if err == nil || l.t.Context().Err() != nil {
			return nil
		}
		if !errors.Is(err, driver.ErrKeyUnavailable) || colseal.Hint(err) != "run it again" {
			return err
		}
		l.again.Add(1)
	}
}

// compare runs two queries in one snapshot.
func (l *load) compare(db *sql.DB, sealed, twin string, args ...any) {
	err := l.retry(func() error {
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		got, err := numbers(tx, sealed, args...)
		if err != nil {
			return err
		}
		want, err := numbers(tx, twin, args...)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			l.t.Errorf("%s: %s finds %v, the twin %v", l.phase.Load(), sealed, got, want)
		}
		return nil
	})
	if err != nil {
		l.t.Errorf("%s: %v", l.phase.Load(), err)
	}
}

// write inserts, changes or deletes a row in both tables.
func (l *load) write(db *sql.DB, n int) {
	l.writes.Add(1)
	mail, age := fmt.Sprint("v", rand.IntN(values)), rand.IntN(10)
	del := n%10 == 0 && n > 300
	err := l.retry(func() error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		// The twin first: its lock keeps the tables together.
		for _, table := range []string{"twin", "people"} {
			q, args := "INSERT INTO "+table+" (n, mail, age) VALUES ($1, $2, $3) ON CONFLICT (n) DO UPDATE SET mail = EXCLUDED.mail, age = EXCLUDED.age", []any{n, mail, age}
			if del {
				q, args = "DELETE FROM "+table+" WHERE n = $1", args[:1]
			}
			if _, err := tx.Exec(q, args...); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
	if err != nil {
		l.t.Errorf("write: %v", err)
	}
}

// group runs a statement that compares cells with each other.
func (l *load) group(db *sql.DB) error {
	return l.retry(func() error {
		_, err := numbers(db, "SELECT count(*) FROM people GROUP BY mail HAVING count(*) > 0")
		return err
	})
}

func numbers(db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) ([]int64, error) {
	rows, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, rows.Err()
}
