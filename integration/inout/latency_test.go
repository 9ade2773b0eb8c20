//go:build unix

package inout

import (
	"database/sql"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
)

// The sample times nothing. For what the page says, on a quiet machine: -inout.latency -inout.latencyrows 50000.
var (
	latency     = flag.Bool("inout.latency", false, "fail where the readers' 99th percentile is twice as long beside a step")
	latencyRows = flag.Int("inout.latencyrows", 200, "rows of the table beside readers")
)

// readers ask for rows, as programs without Colseal.
type readers struct {
	mu    sync.Mutex
	times []time.Duration
}

// take returns the number, the median and the 99th percentile of the answers since it was called last.
func (r *readers) take() (n int, p50, p99 time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := r.times
	r.times = nil
	slices.Sort(times)
	if n = len(times); n == 0 {
		return 0, 0, 0
	}
	return n, times[n/2], times[n*99/100]
}

// read asks for one row after the other until stop is closed.
func (r *readers) read(t *testing.T, db *sql.DB, stop <-chan struct{}) {
	find, err := db.Prepare("SELECT id, note FROM people WHERE id = $1")
	if err != nil {
		t.Error(err)
		return
	}
	for {
		select {
		case <-stop:
			return
		case <-time.After(rand.N(10 * time.Millisecond)):
		}
		var id int
		var note string
		want := 1 + rand.IntN(*latencyRows)
		began := time.Now()
		if err := find.QueryRow(want).Scan(&id, &note); err != nil || id != want || note != "n" {
			t.Errorf("row %d is %d, %q, %v", want, id, note, err)
			return
		}
		took := time.Since(began)
		r.mu.Lock()
		r.times = append(r.times, took)
		r.mu.Unlock()
	}
}

// Readers find what they ask for beside the steps that write rows, and with --max-batch 20ms do not wait much longer.
func TestReadersBeside(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, *latencyRows)
	mustExec(t, pg.Admin, "VACUUM ANALYZE")
	cfg, err := pgx.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	r, stop := &readers{}, make(chan struct{})
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() { r.read(t, db, stop) })
	}
	defer reading.Wait()
	defer close(stop)
	for _, l := range way {
		r.take()
		if *latency {
			time.Sleep(10 * time.Second)
		} else {
			time.Sleep(100 * time.Millisecond)
		}
		_, _, alone := r.take()
		began := time.Now()
		report, err := l.run(t.Context(), w.db, migrate.Options{MaxBatch: 20 * time.Millisecond})
		took := time.Since(began)
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		n, p50, beside := r.take()
		rows := report.Sealed + report.Opened + report.Cleared
		t.Logf("%s: %d values or rows in %s; 99th percentile of readers %s alone, %s beside (%.2fx; %d answers, median %s)", l, rows, took.Round(time.Millisecond), alone, beside, float64(beside)/float64(alone), n, p50)
		if *latency && rows > 1000 && beside >= 2*alone {
			t.Error("the readers wait twice as long")
		}
	}
}
