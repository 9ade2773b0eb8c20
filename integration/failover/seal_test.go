package failover

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// While a replica is behind, seal waits, and goes on when it is not: a replica that the server knows, and one that it is not told of.
func TestSealWaitsForReplicas(t *testing.T) {
	p := start(t)
	p.replica(t)
	p.psql(t, 0, "CREATE TABLE notes (id bigint PRIMARY KEY, body text)")
	p.psql(t, 0, "INSERT INTO notes SELECT g, 'body ' || g FROM generate_series(1, 10000) g")
	w, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	db := p.openAs(t, driver.Config{KMS: w, AutoCreateKeyTable: true, Schema: schema.Must(schema.Columns("notes", schema.Column{Name: "body", Stage: schema.StageCopy}))})
	for _, replica := range []bool{false, true} {
		t.Run(fmt.Sprintf("replica=%v", replica), func(t *testing.T) {
			var waited, done atomic.Int64
			opts := migrate.Options{MaxBatch: time.Millisecond, MaxLag: 500 * time.Millisecond,
				Progress: func(p migrate.Progress) { done.Store(p.Done) },
				Notice: func(s string) {
					if strings.HasPrefix(s, "waiting for a replica") {
						waited.Add(1)
					}
				}}
			if replica { // the server does not know of it: it has no connection
				p.psql(t, 1, "ALTER SYSTEM SET primary_conninfo = ''")
				p.psql(t, 1, "SELECT pg_reload_conf()")
				p.await(t, 0, "SELECT count(*) = 0 FROM pg_stat_replication")
				if opts.Replica, err = sql.Open("pgx", fmt.Sprintf("host=localhost port=%d user=postgres dbname=postgres sslmode=disable", p.ports[1])); err != nil {
					t.Fatal(err)
				}
				defer opts.Replica.Close()
			} else {
				p.psql(t, 1, "SELECT pg_wal_replay_pause()")
			}
			sealed := make(chan error, 1)
			go func() {
				r, err := migrate.Seal(t.Context(), db, opts)
				if err == nil && r.Sealed != 10000 {
					err = fmt.Errorf("%d values were sealed", r.Sealed)
				}
				sealed <- err
			}()
			deadline := time.Now().Add(time.Minute)
			for waited.Load() < 3 && len(sealed) == 0 && time.Now().Before(deadline) {
				time.Sleep(100 * time.Millisecond)
			}
			before := done.Load()
			time.Sleep(3 * time.Second)
			if after := done.Load(); waited.Load() < 3 || after != before || after >= 10000 {
				t.Errorf("%d times it waited, with %d rows and then %d", waited.Load(), before, after)
			}
			if replica {
				p.psql(t, 1, fmt.Sprintf("ALTER SYSTEM SET primary_conninfo = 'host=/tmp port=%d user=postgres'", 5433))
				p.psql(t, 1, "SELECT pg_reload_conf()")
			} else {
				p.psql(t, 1, "SELECT pg_wal_replay_resume()")
			}
			if err := <-sealed; err != nil {
				t.Fatal(err)
			}
			p.await(t, 0, "SELECT count(*) = 1 FROM pg_stat_replication")
			if _, err := migrate.Unseal(t.Context(), db, migrate.Options{For: migrate.ReadyPlain}); err != nil {
				t.Fatal(err)
			}
		})
	}
	none, err := sql.Open("pgx", fmt.Sprintf("host=localhost port=%d user=postgres dbname=postgres sslmode=disable", p.ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if _, err := migrate.Seal(t.Context(), db, migrate.Options{MaxLag: time.Second, Replica: none}); err == nil || errors.Is(err, migrate.ErrProblems) || !strings.Contains(err.Error(), "replays nothing") {
		t.Errorf("the primary in the place of a replica: %v", err)
	}
}
