package views

import (
	"context"
	"database/sql"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
)

// counter counts what is sent.
type counter struct{ n atomic.Int64 }

// TraceQueryStart implements pgx.QueryTracer.
func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A program that makes a temporary table in each request asks for it and for the sealed tables that it uses afterwards, once. Other
// sessions ask nothing again.
func TestTemporaryTables(t *testing.T) {
	const (
		create = "CREATE TEMP TABLE ids (id bigint) ON COMMIT DROP"
		fill   = "INSERT INTO ids VALUES (1), (2)"
		join   = "SELECT u.email FROM users u JOIN ids USING (id) WHERE u.email = 'canary-1'"
		read1  = "SELECT email FROM users WHERE id = 1"
		read2  = "SELECT ssn FROM users WHERE id = 1"
	)
	requests := []struct {
		name  string
		steps []string
		more  int // statements of our own
	}{
		{"none", []string{read1, read2}, 0},
		{"not beside a sealed table", []string{create, fill, "SELECT count(*) FROM ids"}, 0},
		{"before one", []string{create, fill, read1, read2}, 2},
		{"beside one", []string{create, fill, join, read1, read2}, 3},
		{"made of one", []string{"CREATE TEMP TABLE ids ON COMMIT DROP AS SELECT id FROM users WHERE email = 'canary-1'", join, read1}, 4},
		{"named as one", []string{"CREATE TEMP TABLE users (id bigint, email text, ssn text) ON COMMIT DROP", "INSERT INTO users VALUES (1, 'plain')", read1, read2}, 2},
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		w := newWorld(t, db, 0)
		sent := &counter{}
		cfg, err := pgx.ParseConfig(w.dsn)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Tracer = sent
		cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: sealedTables, KMS: w.kms})
		if err != nil {
			t.Fatal(err)
		}
		w.sealed = sql.OpenDB(cn)
		t.Cleanup(func() { _ = w.sealed.Close() })
		a, at := w.conns(t)
		b, bt := w.conns(t)
		ask := func(q querier, steps []string) time.Duration {
			began := time.Now()
			for _, s := range append(append([]string{"BEGIN"}, steps...), "COMMIT") {
				if _, err := read(t.Context(), q, s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
			return time.Since(began)
		}
		for _, r := range requests {
			var took [2]time.Duration
			own, others := int64(0), int64(0)
			const warm, n = 3, 20
			for i := range warm + n {
				before := sent.n.Load()
				sealed := ask(a, r.steps)
				between := sent.n.Load()
				ask(b, requests[0].steps)
				if after := sent.n.Load(); i >= warm {
					own += between - before - int64(len(r.steps)) - 2
					others += after - between - int64(len(requests[0].steps)) - 2
				}
				plain := ask(at, r.steps)
				ask(bt, requests[0].steps)
				if i >= warm {
					took[0] += sealed
					took[1] += plain
				}
			}
			t.Logf("%s: %v more statements; %v, on the twin %v", r.name, float64(own)/n, took[0]/n, took[1]/n)
			if own != int64(r.more)*n {
				t.Errorf("%s: %d more statements in %d requests, want %d for each", r.name, own, n, r.more)
			}
			if others != 0 {
				t.Errorf("%s: other sessions sent %d statements more", r.name, others)
			}
		}
	})
}
