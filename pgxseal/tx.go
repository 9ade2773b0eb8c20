package pgxseal

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/sqlplan"
)

// Tx is a transaction with sealed columns, or a nested one behind a savepoint. It implements
// pgx.Tx.
type Tx struct {
	c      *conn
	raw    pgx.Tx
	root   *Tx // the transaction that a savepoint is in; nil for one
	closed bool
	commit *sqlplan.Plan // of the statement that commits; nil for COMMIT
	pooled *pgxpool.Conn // released when the transaction ends; nil for none
}

var _ pgx.Tx = (*Tx)(nil)

// begin starts a transaction. Statements of the program's own that begin or end it are analysed as
// others are.
func (c *conn) begin(ctx context.Context, o pgx.TxOptions) (*Tx, error) {
	begin, err := c.planControl(ctx, o.BeginQuery)
	if err != nil {
		return nil, err
	}
	commit, err := c.planControl(ctx, o.CommitQuery)
	if err != nil {
		return nil, err
	}
	c.session.WarmTx(ctx, o.AccessMode == pgx.ReadOnly)
	raw, err := c.beginBy(ctx, o, begin)
	if err != nil {
		return nil, err
	}
	return &Tx{c: c, raw: raw, commit: commit}, nil
}

func (c *conn) beginBy(ctx context.Context, o pgx.TxOptions, begin *sqlplan.Plan) (_ pgx.Tx, err error) {
	if begin != nil {
		defer func() { c.session.Executed(begin, err) }() // also if a tracer of the program's panics
	}
	return c.raw.BeginTx(ctx, o)
}

// planControl plans a statement of pgx.TxOptions; nil: there is none.
func (c *conn) planControl(ctx context.Context, query string) (*sqlplan.Plan, error) {
	if query == "" {
		return nil, nil
	}
	p, err := c.session.Plan(ctx, query)
	if err == nil && (p.Sealed || p.Text(query) != query) {
		err = &driver.QueryError{
			Class:  colseal.ClassUnsupported,
			Reason: "a statement that begins or commits a transaction and touches a sealed table",
			Hint:   "execute it within the transaction",
		}
	}
	if err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	return p, nil
}

// ended is the plan of a statement that ends a part of a transaction.
var ended = &sqlplan.Plan{Effects: sqlplan.EndsTransaction}

func (t *Tx) isClosed() bool { return t.closed || t.root != nil && t.root.closed }

// Begin starts a part of the transaction that a savepoint begins.
func (t *Tx) Begin(ctx context.Context) (pgx.Tx, error) {
	raw, err := t.raw.Begin(ctx)
	if err != nil {
		return nil, err
	}
	root := t.root
	if root == nil {
		root = t
	}
	return &Tx{c: t.c, raw: raw, root: root}, nil
}

// Commit commits the transaction, or releases the savepoint.
func (t *Tx) Commit(ctx context.Context) error { return t.end(ctx, t.raw.Commit, t.commit) }

// Rollback rolls the transaction back, or what followed the savepoint.
func (t *Tx) Rollback(ctx context.Context) error { return t.end(ctx, t.raw.Rollback, ended) }

// end has pgx end the transaction by a statement of plan p; nil: one without effects. If a tracer
// of the program's panics, the transaction keeps its connection, as a pgxpool.Tx does. So it may be
// rolled back.
func (t *Tx) end(ctx context.Context, by func(context.Context) error, p *sqlplan.Plan) error {
	err := t.executed(ctx, by, p)
	t.closed = true
	t.release()
	return err
}

func (t *Tx) executed(ctx context.Context, by func(context.Context) error, p *sqlplan.Plan) (err error) {
	if p != nil && !t.isClosed() {
		defer func() { t.c.session.Executed(p, err) }()
	}
	return by(ctx)
}

// release gives the connection back to its pool.
func (t *Tx) release() {
	if t.pooled != nil {
		t.pooled.Release()
		t.pooled = nil
	}
}

// Exec executes a statement.
func (t *Tx) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	if t.isClosed() {
		return pgconn.CommandTag{}, pgx.ErrTxClosed
	}
	return t.c.exec(ctx, sql, arguments)
}

// Query sends a query.
func (t *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if t.isClosed() {
		return errRows{pgx.ErrTxClosed}, pgx.ErrTxClosed
	}
	return t.c.query(ctx, sql, args)
}

// QueryRow sends a query of one row.
func (t *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if t.isClosed() { // the connection may be another goroutine's
		return &row{err: pgx.ErrTxClosed}
	}
	return t.c.queryRow(ctx, sql, args)
}

// Prepare prepares a statement under a name.
func (t *Tx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if t.isClosed() {
		return nil, pgx.ErrTxClosed
	}
	return t.c.prepare(ctx, name, sql)
}

// SendBatch sends a batch: see [Conn.SendBatch].
func (t *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if t.isClosed() {
		return pgx.FailedBatchResults(b, pgx.ErrTxClosed)
	}
	return t.c.sendBatch(ctx, b, t.raw.SendBatch)
}

// CopyFrom copies rows: see [Conn.CopyFrom].
func (t *Tx) CopyFrom(ctx context.Context, tableName pgx.Identifier, columnNames []string, rowSrc pgx.CopyFromSource) (int64, error) {
	if t.isClosed() {
		return 0, pgx.ErrTxClosed
	}
	return t.c.copyFrom(ctx, tableName, columnNames, rowSrc)
}

// LargeObjects returns the large objects, which are no columns and are not sealed.
func (t *Tx) LargeObjects() pgx.LargeObjects { return t.raw.LargeObjects() }

// Conn returns the connection of pgx's. It is a bypass as [Conn.Raw] is.
func (t *Tx) Conn() *pgx.Conn {
	t.c.session.Bypassed()
	return t.raw.Conn()
}
