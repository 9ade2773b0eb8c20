package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"

	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
)

// conn wraps one connection. Like every driver connection it is used by one goroutine
// at a time.
//
// Which optional interfaces it has: database/sql treats a connection without
// SessionResetter, Pinger or ConnBeginTx exactly as one whose methods do what the ones
// here do when the inner connection lacks them, and ExecContext and QueryContext answer
// driver.ErrSkip then; so these are always there. Validator is there only if the inner
// connection has it (see validConn). NamedValueChecker is always there, because sealed
// arguments must arrive before anything converts them; it does the inner checker's
// work once the statement is known.
type conn struct {
	st    *state
	inner sqldriver.Conn
	owner *connector // closed with the connection, when it came from Driver.Open
	pg    *pgxConn   // nil unless the inner connection is pgx's
	check argChecker // what the inner connection does to arguments

	env     sqlplan.Env // reused for every Plan call
	catalog connCatalog
	session session
	scratch scratch
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

func newConn(st *state, inner sqldriver.Conn) *conn {
	c := &conn{st: st, inner: inner, pg: asPGX(inner)}
	c.session.id = st.connIDs.Add(1)
	c.catalog.c = c
	c.env.Catalog = &c.catalog
	if c.pg == nil {
		c.check.nvc, _ = inner.(sqldriver.NamedValueChecker)
	} else {
		c.check.all = true // pgx takes every value as it is
	}
	return c
}

// validConn adds Validator.
type validConn struct{ *conn }

// IsValid implements driver.Validator.
func (c validConn) IsValid() bool { return c.inner.(sqldriver.Validator).IsValid() }

// exported returns c with the interfaces of the inner connection.
func (c *conn) exported() sqldriver.Conn {
	if _, ok := c.inner.(sqldriver.Validator); ok {
		return validConn{c}
	}
	return c
}

// unwrapConn returns the *conn behind what sql.Conn.Raw hands out.
func unwrapConn(driverConn any) (*conn, bool) {
	switch c := driverConn.(type) {
	case *conn:
		return c, true
	case validConn:
		return c.conn, true
	}
	return nil, false
}

// Raw returns the inner connection behind the one that sql.Conn.Raw hands out; false
// if that is not one of this package.
//
// It is a bypass: what is written through the inner connection is not sealed and what
// is read is not opened. What this package knows of the session (its search path, the
// tables that it sees) is read again afterwards, and so are the tables' columns by every
// connection of the handle, since any of them may have been changed; but only if the inner
// connection is not kept beyond the call of sql.Conn.Raw.
func Raw(driverConn any) (sqldriver.Conn, bool) {
	c, ok := unwrapConn(driverConn)
	if !ok {
		return nil, false
	}
	c.session.note(sqlplan.ChangesSession)
	c.session.pending |= sqlplan.ChangesCatalog | sqlplan.ChangesSession
	return c.inner, true
}

// CheckNamedValue implements driver.NamedValueChecker. It takes every value as it is:
// whether one is to be sealed depends on the statement, which is not known here.
func (c *conn) CheckNamedValue(*sqldriver.NamedValue) error { return nil }

// Close implements driver.Conn.
func (c *conn) Close() error {
	err := c.inner.Close()
	if c.owner != nil {
		// The errors of a close have no reader but the log of the caller.
		err = errors.Join(err, c.owner.Close())
	}
	return err
}

// Ping implements driver.Pinger.
func (c *conn) Ping(ctx context.Context) error {
	if p, ok := c.inner.(sqldriver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// ResetSession implements driver.SessionResetter.
func (c *conn) ResetSession(ctx context.Context) error {
	c.endTx()
	r, ok := c.inner.(sqldriver.SessionResetter)
	if !ok {
		return nil
	}
	err := r.ResetSession(ctx)
	if c.pg != nil && c.st.resets && c.session.known && !c.session.reported {
		c.session.note(sqlplan.ChangesSession) // pgx may have called what sets the search path
	}
	return err
}

// Begin implements driver.Conn.
func (c *conn) Begin() (sqldriver.Tx, error) {
	return c.BeginTx(context.Background(), sqldriver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx; without it below, it does what database/sql
// does then.
func (c *conn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	c.settle()
	c.warm(ctx)
	inner, err := c.begin(ctx, opts)
	if err != nil {
		return nil, err
	}
	c.session.inTx = true
	return &tx{c: c, inner: inner}, nil
}

func (c *conn) begin(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	if b, ok := c.inner.(sqldriver.ConnBeginTx); ok {
		return b.BeginTx(ctx, opts)
	}
	if opts.Isolation != 0 {
		return nil, errors.New("sql: driver does not support non-default isolation level")
	}
	if opts.ReadOnly {
		return nil, errors.New("sql: driver does not support read-only transactions")
	}
	inner, err := c.inner.Begin() //nolint:staticcheck // for drivers that have nothing newer
	if err == nil && ctx.Err() != nil {
		_ = inner.Rollback() // the context's error is what the caller has to see
		return nil, ctx.Err()
	}
	return inner, err
}

// warm fetches the keys before a transaction on SQLite: a transaction that writes
// locks the whole database, and the keyring lives in it. A failure shows up when a key
// is needed, if one is.
func (c *conn) warm(ctx context.Context) {
	if c.st.cfg.Dialect != SQLite || (c.st.search == nil && c.st.random == nil) {
		return
	}
	keys, err := c.st.ring.keys(ctx)
	if err != nil {
		return
	}
	if c.st.search != nil {
		_ = keys.Warm(ctx, keyring.PurposeSearch)
	}
	if c.st.random != nil {
		_ = keys.Warm(ctx, keyring.PurposeData)
	}
}
