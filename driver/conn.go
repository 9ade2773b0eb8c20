package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"

	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/internal/sqlplan"
)

// conn wraps one connection. Like every driver connection it is used by one goroutine at a time.
//
// Which optional interfaces it has: database/sql treats a connection without SessionResetter or Pinger exactly as one whose methods
// do what the ones here do when the underlying connection lacks them, so these are always there. Validator is there only if the
// underlying connection has it (see validConn). NamedValueChecker is always there, because sealed arguments must arrive before
// anything converts them; the underlying checker's work is done once the statement is known.
type conn struct {
	session *front.Session
	under   underlying
	owner   *connector // closed with the connection, when it came from Driver.Open
	check   argChecker // what the underlying connection does to arguments

	scratch scratch                   // for the next statement
	layouts map[*sqlplan.Plan]*layout // of results that were met before
}

// The interfaces that *conn must not lose.
var (
	_ sqldriver.ConnBeginTx        = (*conn)(nil)
	_ sqldriver.ConnPrepareContext = (*conn)(nil)
	_ sqldriver.ExecerContext      = (*conn)(nil)
	_ sqldriver.QueryerContext     = (*conn)(nil)
	_ sqldriver.NamedValueChecker  = (*conn)(nil)
	_ sqldriver.Pinger             = (*conn)(nil)
	_ sqldriver.SessionResetter    = (*conn)(nil)
	_ sqldriver.Validator          = validConn{}
)

func newConn(cn *connector, u underlying) *conn {
	c := &conn{session: cn.db.NewSession(u), under: u, check: u.checker(nil), layouts: map[*sqlplan.Plan]*layout{}}
	c.session.ResetsSession = cn.resets && u.TxStatus() != 0
	return c
}

func (c *conn) db() *front.DB { return c.session.DB() }

// validConn adds Validator.
type validConn struct{ *conn }

// IsValid implements driver.Validator.
func (c validConn) IsValid() bool { return c.under.raw().(sqldriver.Validator).IsValid() }

// exported returns c with the interfaces of the underlying connection.
func (c *conn) exported() sqldriver.Conn {
	if _, ok := c.under.raw().(sqldriver.Validator); ok {
		return validConn{c}
	}
	return c
}

// unwrapConn returns the *conn behind what sql.Conn.Raw hands out, which may be wrapped again, for tracing for example.
func unwrapConn(driverConn any) (*conn, bool) {
	for driverConn != nil {
		switch c := driverConn.(type) {
		case *conn:
			return c, true
		case validConn:
			return c.conn, true
		}
		driverConn = sealeddb.Below(driverConn)
	}
	return nil, false
}

// Raw returns the underlying connection behind the one that sql.Conn.Raw hands out; false if that is not one of this package.
//
// It is a bypass: what is written through the underlying connection is not sealed and what is read is not opened. What this
// package knows of the session (its search path, the tables that it sees) is read again afterwards, and so are the tables' columns
// by every connection of the handle, since any of them may have been changed; but only if the underlying connection is not kept
// beyond the call of sql.Conn.Raw.
func Raw(driverConn any) (sqldriver.Conn, bool) {
	c, ok := unwrapConn(driverConn)
	if !ok {
		return nil, false
	}
	c.session.Bypassed()
	return c.under.raw(), true
}

// CheckNamedValue implements driver.NamedValueChecker. It takes every value as it is: whether one is to be sealed depends on the
// statement, which is not known here.
func (c *conn) CheckNamedValue(*sqldriver.NamedValue) error { return nil }

// Close implements driver.Conn.
func (c *conn) Close() error {
	err := c.under.raw().Close()
	c.db().Opened(-1)
	if c.owner != nil {
		err = errors.Join(err, c.owner.Close())
	}
	return err
}

// Ping implements driver.Pinger.
func (c *conn) Ping(ctx context.Context) error {
	if p, ok := c.under.raw().(sqldriver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// ResetSession implements driver.SessionResetter.
func (c *conn) ResetSession(ctx context.Context) error {
	c.session.EndTx()
	r, ok := c.under.raw().(sqldriver.SessionResetter)
	if !ok {
		return nil
	}
	err := r.ResetSession(ctx)
	c.session.Reset()
	return err
}

// Begin implements driver.Conn.
func (c *conn) Begin() (sqldriver.Tx, error) {
	return c.BeginTx(context.Background(), sqldriver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx.
func (c *conn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	c.session.Sync()
	c.session.WarmTx(ctx, opts.ReadOnly)
	inner, err := c.under.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &tx{c: c, inner: inner}, nil
}

// tx wraps a transaction, to know when it ends: what its statements did to the session or the catalog may then be undone, or
// become visible to others.
type tx struct {
	c     *conn
	inner sqldriver.Tx
}

// Commit implements driver.Tx.
func (t *tx) Commit() error {
	err := t.inner.Commit()
	t.c.session.EndTx()
	return err
}

// Rollback implements driver.Tx.
func (t *tx) Rollback() error {
	err := t.inner.Rollback()
	t.c.session.EndTx()
	return err
}
