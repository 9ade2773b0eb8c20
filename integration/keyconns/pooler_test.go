package keyconns

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/jackc/pgx/v5/stdlib"
)

// Programs whose transactions hold all connections of a pooler, when they need keys that are not in memory.
func TestPooledTransactions(t *testing.T) {
	const conns = 2
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		dsn := pg.Pooled(t, conns)
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			cold := func(t *testing.T, f func(ctx context.Context, tx *sql.Tx, i int) error, scope func(i int) string) {
				t.Helper()
				for round := range *rounds {
					db := open(t, direct(t, dsn, mode), w)
					inside := newBarrier(conns)
					together(t, conns, func(ctx context.Context, i int) error {
						ctx = keyring.WithScope(ctx, scope(round*conns+i))
						tx, err := db.BeginTx(ctx, nil)
						if err != nil {
							inside.wait(ctx)
							return err
						}
						defer func() { _ = tx.Rollback() }()
						_, err = tx.ExecContext(ctx, "UPDATE users SET note = 'x' WHERE id = -1")
						inside.wait(ctx)
						if err == nil {
							err = f(ctx, tx, i)
						}
						if err != nil {
							return err
						}
						return tx.Commit()
					})
					_ = db.Close()
				}
			}
			name := strings.ReplaceAll(mode.String(), " ", "_")
			none := func(int) string { return "" }
			insert := func(ctx context.Context, tx *sql.Tx, i int) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO users (email, ssn) VALUES ($1, $2)", fmt.Sprintf("%d@x", i), "1")
				return err
			}
			t.Run(name+"/seal", func(t *testing.T) { cold(t, insert, none) })
			t.Run(name+"/tenants", func(t *testing.T) {
				cold(t, insert, func(i int) string { return fmt.Sprintf("%s:%d", name, i) })
			})
			t.Run(name+"/read", func(t *testing.T) { // what was sealed under keys that no beginning knows of
				seed := open(t, direct(t, pg.DSN(), mode), w)
				for i := range 2 {
					ctx := keyring.WithScope(t.Context(), fmt.Sprintf("old:%s:%d", name, i))
					if _, err := seed.ExecContext(ctx, "INSERT INTO users (ssn) VALUES ('old')"); err != nil {
						t.Fatal(err)
					}
				}
				cold(t, func(ctx context.Context, tx *sql.Tx, _ int) error {
					rows, err := tx.QueryContext(ctx, "SELECT ssn FROM users WHERE email IS NULL")
					if err != nil {
						return err
					}
					defer rows.Close()
					n := 0
					for ; rows.Next(); n++ {
						var ssn string
						if err := rows.Scan(&ssn); err != nil || ssn != "old" {
							return fmt.Errorf("%q, %w", ssn, err)
						}
					}
					if n < 2 && rows.Err() == nil {
						return fmt.Errorf("%d rows", n)
					}
					return rows.Err()
				}, none)
			})
			t.Run(name+"/search", func(t *testing.T) {
				cold(t, func(ctx context.Context, tx *sql.Tx, i int) error {
					var id int
					return tx.QueryRowContext(ctx, "SELECT id FROM users WHERE email = $1 LIMIT 1", fmt.Sprintf("%d@x", i)).Scan(&id)
				}, none)
			})
		}
	})
}

// barrier holds n callers until all are there.
type barrier struct {
	mu   sync.Mutex
	left int
	all  chan struct{}
}

func newBarrier(n int) *barrier { return &barrier{left: n, all: make(chan struct{})} }

func (b *barrier) wait(ctx context.Context) {
	b.mu.Lock()
	if b.left--; b.left == 0 {
		close(b.all)
	}
	b.mu.Unlock()
	select {
	case <-b.all:
	case <-ctx.Done():
	}
}

// A pool of pgx below: all of its connections may be held by callers that wait for keys.
func TestPool(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		for name, scope := range map[string]func(int) string{
			"one scope": func(int) string { return "" },
			"tenants":   func(i int) string { return fmt.Sprintf("tenant:%d", i%20) },
		} {
			t.Run(name, func(t *testing.T) {
				db := open(t, stdlib.GetPoolConnector(newPool(t, pg.DSN(), 4)), w)
				db.SetMaxIdleConns(0)
				together(t, 200, func(ctx context.Context, i int) error {
					ctx = keyring.WithScope(ctx, scope(i))
					email := fmt.Sprintf("%d@x", i)
					if _, err := db.ExecContext(ctx, "INSERT INTO users (email, ssn) VALUES ($1, $2)", email, "1"); err != nil {
						return err
					}
					var ssn string
					return db.QueryRowContext(ctx, "SELECT ssn FROM users WHERE email = $1 LIMIT 1", email).Scan(&ssn)
				})
			})
		}
	})
}
