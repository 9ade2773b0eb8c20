package pgxseal_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

// panicsOnce is a tracer that panics at the end of the next statement that begins so.
type panicsOnce struct {
	next string // "" for none
	now  bool
}

func (p *panicsOnce) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	p.now = p.next != "" && strings.HasPrefix(strings.ToUpper(d.SQL), p.next)
	return ctx
}

func (p *panicsOnce) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {
	if p.now {
		p.next, p.now = "", false
		panic("a tracer")
	}
}

func panics(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("it does not panic")
		}
	}()
	f()
}

// TestPanicsHideNoChange: what a statement did to the session is known though the program's own code panicked after it.
func TestPanicsHideNoChange(t *testing.T) {
	server, tracer, cfg := pgtest.New(t), &panicsOnce{}, sealConfig(t)
	exec(t, server.Admin, "CREATE TABLE users (id bigint, email bytea); CREATE SCHEMA other; CREATE TABLE other.users (id bigint, email bytea)")
	cfg.Schema = schema.Must(schema.Columns("public.users", schema.Column{Name: "email"}))
	config := poolConfig(t, server, func(c *pgxpool.Config) { c.ConnConfig.Tracer = tracer })
	const change, insert = "SET search_path = public", "INSERT INTO users (id, email) VALUES ($1, $2)"
	simple := pgx.QueryExecModeSimpleProtocol
	ways := map[string]func(c *pgxseal.Conn){
		"Exec":           func(c *pgxseal.Conn) { _, _ = c.Exec(t.Context(), change) },
		"Query":          func(c *pgxseal.Conn) { rows, _ := c.Query(t.Context(), change); rows.Close() },
		"simple Query":   func(c *pgxseal.Conn) { rows, _ := c.Query(t.Context(), change, simple); rows.Close() },
		"QueryRow":       func(c *pgxseal.Conn) { _ = c.QueryRow(t.Context(), change).Scan() },
		"BeginTx":        func(c *pgxseal.Conn) { _, _ = c.BeginTx(t.Context(), pgx.TxOptions{BeginQuery: change}) },
		"ROLLBACK TO":    func(c *pgxseal.Conn) { _, _ = c.Exec(t.Context(), "ROLLBACK TO s") },
		"Rollback":       nil, // of a savepoint
		"batch callback": nil,
	}
	for name, way := range ways {
		c, err := pgxseal.ConnectConfig(t.Context(), config.ConnConfig, cfg)
		must(t, err)
		ready := func(query string) {
			_, err := c.Exec(t.Context(), query)
			must(t, err)
		}
		ready("SET search_path = public")
		switch name {
		case "ROLLBACK TO":
			ready("BEGIN; SAVEPOINT s")
		case "Rollback":
			tx, err := c.Begin(t.Context())
			must(t, err)
			part, err := tx.Begin(t.Context())
			must(t, err)
			way = func(*pgxseal.Conn) { _ = part.Rollback(t.Context()) }
		case "batch callback":
			way = func(c *pgxseal.Conn) {
				b := &pgx.Batch{}
				b.Queue(change)
				b.Queue("SELECT 1").Query(func(pgx.Rows) error { panic("a callback") })
				results := c.SendBatch(t.Context(), b)
				defer func() { must(t, results.Close()) }()
				_ = results.Close()
			}
		}
		ready("SET search_path = other")
		_, err = c.Exec(t.Context(), insert, 1, []byte(secret)) // no registered table
		must(t, err)
		if tracer.next = "SET"; strings.HasPrefix(strings.ToUpper(name), "ROLLBACK") {
			tracer.next = "ROLLBACK"
		}
		panics(t, func() { way(c) })
		tracer.next = ""
		if _, err := c.Exec(t.Context(), insert, 2, secret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ready("COMMIT")
		must(t, c.Close(t.Context()))
		wantCells(t, server, name)
	}

	cn, err := driver.NewConnector(stdlib.GetConnector(*config.ConnConfig), cfg)
	must(t, err)
	std := sql.OpenDB(cn)
	defer std.Close()
	std.SetMaxOpenConns(1)
	run := func(query string, args ...any) {
		t.Helper()
		_, err := std.ExecContext(t.Context(), query, args...)
		must(t, err)
	}
	run("SET search_path = other")
	run(insert, 1, []byte(secret))
	tracer.next = "SET"
	panics(t, func() { _, _ = std.ExecContext(t.Context(), change) })
	run(insert, 2, secret)
	wantCells(t, server, "database/sql")
}

// wantCells empties a table that must hold one cell.
func wantCells(t *testing.T, server *pgtest.DB, name string) {
	t.Helper()
	if all, cells := count(t, server, "SELECT count(*) FROM users"), count(t, server, "SELECT count(*) FROM users WHERE get_byte(email, 0) = 1"); all != 1 || cells != 1 {
		t.Errorf("%s: %d rows, %d cells", name, all, cells)
	}
	exec(t, server.Admin, "TRUNCATE users")
}

// TestPanicKeepsTheConnection: a transaction whose commit panicked still has its connection, so that the rollback does not go to another's.
func TestPanicKeepsTheConnection(t *testing.T) {
	tracer := &panicsOnce{}
	tw := newTwins(t, pgtest.New(t), "bytea", func(c *pgxpool.Config) { c.MaxConns, c.ConnConfig.Tracer = 1, tracer })
	for _, on := range []db{tw.plain, tw.sealed} {
		tx, err := on.Begin(t.Context())
		must(t, err)
		tracer.next = "COMMIT"
		panics(t, func() { _ = tx.Commit(t.Context()) })
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, err := on.Begin(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%T: another transaction has the connection: %v", on, err)
		}
		cancel()
		_ = tx.Rollback(t.Context())
		other, err := on.Begin(t.Context())
		must(t, err)
		if err := tx.Rollback(t.Context()); !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("%T: rolled back again: %v", on, err)
		}
		must(t, other.Commit(t.Context()))
	}
}

// TestBatchGoesOnAfterAPanic: results whose callback panicked can be closed, and the connection used.
func TestBatchGoesOnAfterAPanic(t *testing.T) {
	tw := newTwins(t, pgtest.New(t), "bytea")
	plain, err := tw.plain.Acquire(t.Context())
	must(t, err)
	defer plain.Release()
	sealed, err := tw.sealed.Acquire(t.Context())
	must(t, err)
	defer sealed.Release()
	for _, c := range []db{plain.Conn(), sealed} {
		called := false
		b := &pgx.Batch{}
		b.Queue("SELECT email FROM users").Query(func(pgx.Rows) error { panic("a callback") })
		b.Queue("UPDATE users SET email = $1", "x").Exec(func(pgconn.CommandTag) error { called = true; return nil })
		results := c.SendBatch(t.Context(), b)
		panics(t, func() { _ = results.Close() })
		if err := results.Close(); err != nil || !called {
			t.Errorf("%T: closed: %v, the next callback was called: %v", c, err, called)
		}
		if _, err := c.Exec(t.Context(), "SELECT email FROM users"); err != nil {
			t.Errorf("%T: afterwards: %v", c, err)
		}
	}
}
