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
// It always has SessionResetter and Pinger. If the underlying connection lacks them, the methods do
// what database/sql does without them. It always has NamedValueChecker, because sealed arguments
// must arrive before anything converts them. The underlying checker runs once the statement is
// known. It has Validator only if the underlying connection has it (see validConn).
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

// unwrapConn returns the *conn behind what sql.Conn.Raw hands out. Others may have wrapped it, for
// tracing for example.
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

// Raw returns the underlying connection behind the one that sql.Conn.Raw hands out. It returns
// false if that is no connection of this package.
//
// Raw is a bypass: the underlying connection neither seals what is written nor opens what is read.
// Afterwards this package reads the session again (its search path, the tables that it sees), and
// every connection of the *sql.DB reads the tables' columns again, since any of them may have
// changed. Do not keep the underlying connection beyond the call of sql.Conn.Raw: later changes go
// unnoticed.
func Raw(driverConn any) (sqldriver.Conn, bool) {
	c, ok := unwrapConn(driverConn)
	if !ok {
		return nil, false
	}
	c.session.Bypassed()
	return c.under.raw(), true
}

// CheckNamedValue implements driver.NamedValueChecker. It accepts every value as it is: whether one
// is sealed depends on the statement, which is not known here.
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

// tx wraps a transaction to notice its end. What its statements did to the session or the catalog
// is then undone, or visible to others.
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
