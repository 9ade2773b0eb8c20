package keyconns

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// slowKMS takes its time, or hangs, and counts.
type slowKMS struct {
	kms.Wrapper
	latency              time.Duration
	hangs                atomic.Bool
	generated, unwrapped atomic.Int64
}

func (s *slowKMS) wait(ctx context.Context) error {
	answer := time.After(s.latency)
	if s.hangs.Load() {
		answer = nil
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", kms.ErrTimeout, ctx.Err())
	}
}

func (s *slowKMS) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	s.generated.Add(1)
	if err := s.wait(ctx); err != nil {
		return kms.DataKey{}, err
	}
	return s.Wrapper.GenerateDataKey(ctx, ec)
}

func (s *slowKMS) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	s.unwrapped.Add(1)
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Wrapper.Unwrap(ctx, w, ec)
}

var coldPrograms = flag.Int("keyconns.programs", 40, "programs in TestColdPrograms; a hundred take a minute")

// Many programs start at once on a database that has no keyring yet. Each asks KMS for a key of each purpose and scope once at
// most, all agree on one of them, and each finds what the others wrote.
func TestColdPrograms(t *testing.T) {
	const scopes = 5
	programs := *coldPrograms
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		exec(t, pg.Admin, layout)
		w := &slowKMS{Wrapper: newKMS(t), latency: 30 * time.Millisecond}
		dbs := make([]*sql.DB, programs)
		for i := range dbs {
			dbs[i] = open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w, autoCreate, func(c *driver.Config) { c.KeyConns = 1 })
			dbs[i].SetMaxOpenConns(1)
			if programs > 60 { // the server has 200 connections
				dbs[i].SetMaxIdleConns(-1)
			}
		}
		scope := func(i int) string { return fmt.Sprint("tenant:", i%scopes) }
		together(t, programs, func(ctx context.Context, i int) error {
			_, err := dbs[i].ExecContext(keyring.WithScope(ctx, scope(i)), "INSERT INTO users (email, ssn, note) VALUES ('all@x', $1, $2)", fmt.Sprint("secret ", i), scope(i))
			return err
		})
		together(t, programs, func(ctx context.Context, i int) error {
			var n int
			if err := dbs[i].QueryRowContext(keyring.WithScope(ctx, scope(i)), "SELECT count(*) FROM users WHERE email = 'all@x'").Scan(&n); err != nil || n != programs/scopes {
				return fmt.Errorf("%d rows are found, want %d: %w", n, programs/scopes, cmp.Or(err, errors.New("keys differ")))
			}
			return nil
		})
		kept := count(t, pg.Admin, "SELECT count(*) FROM colseal_keys WHERE purpose <> 'keyring'")
		t.Logf("%d programs made %d data keys for %d that are kept, and had %d unwrapped", programs, w.generated.Load(), kept, w.unwrapped.Load())
		if kept != 2*scopes {
			t.Errorf("%d keys are kept, want %d", kept, 2*scopes)
		}
		if n := int(w.generated.Load()); n > 2*programs {
			t.Errorf("%d data keys were made for %d programs, each of which needs two", n, programs)
		}
	})
}

// KMS hangs while keys are past MaxAge, and may serve stale: no statement waits for it.
func TestKMSHangs(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := &slowKMS{Wrapper: prepare(t, pg)}
		db := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w, func(c *driver.Config) { c.Keys = keycache.Config{MaxAge: 400 * time.Millisecond} })
		roundTrip(t, t.Context(), db)
		w.hangs.Store(true)
		var worst time.Duration
		statements := 0
		// Idle past MaxAge, and then in use; the renewals in the background hang as well.
		for range 3 {
			time.Sleep(600 * time.Millisecond)
			for range 200 {
				for _, query := range []string{
					"INSERT INTO users (email, ssn) VALUES ('ann@x', 'secret')",
					"SELECT ssn FROM users WHERE email = 'ann@x' LIMIT 1",
					"UPDATE users SET ssn = 'secret' WHERE email = 'ann@x' AND id < 3",
				} {
					began := time.Now()
					if _, err := db.ExecContext(t.Context(), query); err != nil {
						t.Fatalf("%s: %v", query, err)
					}
					worst = max(worst, time.Since(began))
					statements++
				}
			}
		}
		t.Logf("%d statements while KMS hangs, of which the slowest took %v", statements, worst.Round(time.Millisecond))
		// Without the race detector, which makes everything several times slower.
		if worst >= 500*time.Millisecond && !pgtest.Race {
			t.Errorf("a statement took %v", worst)
		}
		if stats, err := driver.Stats(t.Context(), db); err != nil || stats.StaleHits == 0 {
			t.Errorf("no key served stale: %+v, %v", stats, err)
		}
	})
}

// Programs that start while something locks the keyring wait for it, with their statements on sealed columns only.
func TestStartUnderALock(t *testing.T) {
	const locked = 4 * time.Second // longer than the keyring waits for one of its statements
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		roundTrip(t, t.Context(), open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w))
		lock, err := pg.Admin.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, lock, "LOCK TABLE colseal_keys")
		time.AfterFunc(locked, func() { _ = lock.Rollback() })
		began := time.Now()
		db := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w)
		exec(t, db, "INSERT INTO users (note) VALUES ('plain')")
		plain := time.Since(began)
		together(t, 8, func(ctx context.Context, i int) error {
			_, err := db.ExecContext(ctx, "INSERT INTO users (email, ssn) VALUES ($1, 'secret')", fmt.Sprint(i, "@x"))
			return err
		})
		sealed := time.Since(began)
		t.Logf("under a lock of %v a plain statement took %v, and 8 that seal had an answer after %v", locked, plain.Round(time.Millisecond), sealed.Round(time.Millisecond))
		if plain > locked/2 {
			t.Errorf("a plain statement waited %v", plain)
		}
		if sealed < locked {
			t.Errorf("sealed after %v: the lock was not in the way", sealed)
		}
	})
}

// syncBuffer is a log.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Somebody empties the keyring beside a running program: it notices within MaxAge, says so, and stores what it holds again,
// under the same id, so that other programs open the rows. A program that starts in between makes no other keyring over the cells.
func TestTruncatedKeyring(t *testing.T) {
	const maxAge = 4 * time.Second // the program that starts cold is quicker
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		var log syncBuffer
		db := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w, func(c *driver.Config) {
			c.Keys.MaxAge, c.Logger = maxAge, slog.New(slog.NewTextHandler(&log, nil))
		})
		ctx := keyring.WithScope(t.Context(), "tenant:1")
		roundTrip(t, t.Context(), db)
		roundTrip(t, ctx, db)
		const id = "SELECT encode(wrapped, 'hex') FROM colseal_keys WHERE key_id = 0"
		var before, after string
		if err := pg.Admin.QueryRow(id).Scan(&before); err != nil {
			t.Fatal(err)
		}
		exec(t, pg.Admin, "TRUNCATE colseal_keys")
		_, cold := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w, autoCreate).Exec("INSERT INTO users (email) VALUES ('cold@x')")
		if !errors.Is(cold, driver.ErrNoKeyTable) || !strings.Contains(cold.Error(), "holds no keys, but") {
			t.Errorf("a program that starts on the empty keyring: %v", cold)
		}
		began := time.Now()
		for stats := (keycache.Stats{}); stats.Recovered < 4; stats, _ = driver.Stats(t.Context(), db) {
			if time.Since(began) > limit {
				t.Fatalf("after %v: %+v\n%s", limit, stats, log.String())
			}
			_, err := db.ExecContext(t.Context(), "SELECT ssn FROM users WHERE email = 'x'")
			_, scoped := db.ExecContext(ctx, "SELECT ssn FROM users WHERE email = 'x'")
			if err := errors.Join(err, scoped); err != nil {
				t.Errorf("while the keyring is empty: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("4 keys were stored again within %v", time.Since(began).Round(time.Millisecond))
		if n := strings.Count(log.String(), "level=ERROR"); n < 4 {
			t.Errorf("%d events of level ERROR, want one for each key\n%s", n, log.String())
		}
		if err := pg.Admin.QueryRow(id).Scan(&after); err != nil || after != before {
			t.Errorf("the keyring's id was %s and is %s, %v", before, after, err)
		}
		other := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w)
		rows, err := other.Query("SELECT ssn FROM users")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var ssn sql.NullString
			if err := rows.Scan(&ssn); err != nil {
				t.Error(err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
		roundTrip(t, t.Context(), other)
		roundTrip(t, ctx, other)
	})
}
