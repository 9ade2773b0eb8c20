// Package litetap hears what is sent to SQLite.
package litetap

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"strings"
	"sync"

	"modernc.org/sqlite"
)

// A Connector connects to a SQLite file; its tap, if there is one, hears everything that is sent.
type Connector struct {
	DSN string
	Tap *Tap
}

// Connect connects.
func (c Connector) Connect(context.Context) (sqldriver.Conn, error) {
	conn, err := c.Driver().Open(c.DSN)
	if err != nil || c.Tap == nil {
		return conn, err
	}
	return tapped{conn.(sqliteConn), c.Tap}, nil
}

// Driver is the one without a tap.
func (Connector) Driver() sqldriver.Driver { return new(sqlite.Driver) }

// sqliteConn is what a connection of the driver below can do.
type sqliteConn interface {
	sqldriver.Conn
	sqldriver.ConnPrepareContext
	sqldriver.ConnBeginTx
	sqldriver.ExecerContext
	sqldriver.QueryerContext
	sqldriver.Pinger
	sqldriver.SessionResetter
	sqldriver.Validator
}

type tapped struct {
	sqliteConn
	tap *Tap
}

func (c tapped) PrepareContext(ctx context.Context, query string) (sqldriver.Stmt, error) {
	c.tap.hear(query, nil)
	st, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return tappedStmt{st.(sqliteStmt), c.tap}, nil
}

func (c tapped) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	c.tap.hear(query, args)
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c tapped) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	c.tap.hear(query, args)
	return c.sqliteConn.QueryContext(ctx, query, args)
}

type sqliteStmt interface {
	sqldriver.Stmt
	sqldriver.StmtExecContext
	sqldriver.StmtQueryContext
}

type tappedStmt struct {
	sqliteStmt
	tap *Tap
}

func (s tappedStmt) ExecContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	s.tap.hear("", args)
	return s.sqliteStmt.ExecContext(ctx, args)
}

func (s tappedStmt) QueryContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	s.tap.hear("", args)
	return s.sqliteStmt.QueryContext(ctx, args)
}

// A Tap keeps what was sent. It is safe for concurrent use.
type Tap struct {
	mu   sync.Mutex // guards sent
	sent strings.Builder
}

func (t *Tap) hear(query string, args []sqldriver.NamedValue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent.WriteString(query)
	for _, a := range args {
		if b, ok := a.Value.([]byte); ok {
			a.Value = string(b)
		}
		fmt.Fprintf(&t.sent, " %v", a.Value)
	}
	t.sent.WriteByte('\n')
}

// Take returns what was sent since it was last called.
func (t *Tap) Take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sent.String()
	t.sent.Reset()
	return s
}
