package pgxseal

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/keycache"
)

// Pool is a pgxpool.Pool with sealed columns. It is safe for concurrent use.
type Pool struct {
	raw    *pgxpool.Pool
	db     *front.DB
	resets atomic.Bool // code of the program's may change a connection's search path between two uses
}

// New returns a pool for a configuration of pgxpool.ParseConfig. It ignores cfg.Driver.
//
// The hooks of the configuration get pgx's own connections. They may set a session up and register
// types. They must not prepare a statement that touches a sealed table: the pool refuses to execute
// it. If a hook runs whenever a connection is acquired or released, each use of a connection costs
// a query that reads the search path again, unless the server is PostgreSQL 18.
func New(ctx context.Context, config *pgxpool.Config, cfg driver.Config) (*Pool, error) {
	raw, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	p, err := Wrap(raw, cfg)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return p, nil
}

// Wrap returns a pool that uses the connections of another one. That one is a bypass: see
// [Pool.Raw]. Closing the new pool closes both. Wrap ignores cfg.Driver.
func Wrap(pool *pgxpool.Pool, cfg driver.Config) (*Pool, error) {
	config := pool.Config()
	db, err := newDB(cfg, config.ConnConfig, hooks{config.BeforeConnect, config.AfterConnect})
	if err != nil {
		return nil, err
	}
	p := &Pool{raw: pool, db: db}
	p.resets.Store(config.PrepareConn != nil || config.BeforeAcquire != nil || config.AfterRelease != nil) //nolint:staticcheck // it is deprecated, and called
	return p, nil
}

// Raw returns pgx's own pool. It is a bypass: it neither seals what is written nor opens what is
// read. From then on every connection that is acquired reads the search path again, unless the
// server is PostgreSQL 18, which reports changes.
func (p *Pool) Raw() *pgxpool.Pool {
	p.resets.Store(true)
	return p.raw
}

// Close closes the pool, and the keyring's connections.
func (p *Pool) Close() {
	p.raw.Close()
	_ = p.db.Close() // nobody could do anything about its error
}

// connKey is where a connection of pgx's keeps what is known of it.
const connKey = "github.com/colseal/colseal/pgxseal"

// of returns what is known of an acquired connection.
func (p *Pool) of(pooled *pgxpool.Conn) *conn {
	raw := pooled.Conn()
	data := raw.PgConn().CustomData()
	c, ok := data[connKey].(*conn)
	if !ok || c.db() != p.db { // or it was used through another Pool meanwhile
		c = newConn(p.db, raw)
		data[connKey] = c
	}
	if p.resets.Load() {
		c.session.ResetsSession = true
		c.session.Reset()
	}
	return c
}

func (p *Pool) acquire(ctx context.Context) (*conn, *pgxpool.Conn, error) {
	pooled, err := p.raw.Acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	return p.of(pooled), pooled, nil
}

// Acquire takes a connection from the pool. Its Release must be called.
func (p *Pool) Acquire(ctx context.Context) (*Conn, error) {
	c, pooled, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{c: c, pooled: pooled}, nil
}

// AcquireFunc calls f with a connection that it acquires and releases.
func (p *Pool) AcquireFunc(ctx context.Context, f func(*Conn) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return f(c)
}

// AcquireAllIdle acquires all idle connections.
func (p *Pool) AcquireAllIdle(ctx context.Context) []*Conn {
	all := p.raw.AcquireAllIdle(ctx)
	conns := make([]*Conn, len(all))
	for i, pooled := range all {
		conns[i] = &Conn{c: p.of(pooled), pooled: pooled}
	}
	return conns
}

// Exec executes a statement on a connection of the pool.
func (p *Pool) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	c, pooled, err := p.acquire(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer pooled.Release()
	return c.exec(ctx, sql, arguments)
}

// Query sends a query on a connection of the pool, which gets it back when the rows are closed.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c, pooled, rows, err := p.query(ctx, sql, args)
	if err != nil {
		return errRows{err}, err
	}
	r := c.pooledSlab.take()
	r.Rows, r.pooled = rows, pooled
	return r, nil
}

// QueryRow sends a query of one row on a connection of the pool. Scanning the row releases the
// connection.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c, pooled, rows, err := p.query(ctx, sql, args)
	if err != nil {
		return &row{err: err}
	}
	r := c.firstOf(rows)
	r.pooled = pooled
	return r
}

// query leaves it to the caller to release the connection, unless there is an error.
func (p *Pool) query(ctx context.Context, sql string, args []any) (*conn, *pgxpool.Conn, pgx.Rows, error) {
	c, pooled, err := p.acquire(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	rows, err := c.query(ctx, sql, args)
	if err != nil {
		pooled.Release()
	}
	return c, pooled, rows, err
}

// slab makes values in the memory of several at once.
type slab[T any] struct{ free []T }

func (s *slab[T]) take() *T {
	if len(s.free) == 0 {
		s.free = make([]T, 32)
	}
	v := &s.free[0]
	s.free = s.free[1:]
	return v
}

// poolRows are the rows of a pool.
type poolRows struct {
	pgx.Rows
	pooled *pgxpool.Conn
}

// Close implements pgx.Rows.
func (r *poolRows) Close() {
	r.Rows.Close()
	if r.pooled != nil {
		r.pooled.Release()
		r.pooled = nil
	}
}

// Next implements pgx.Rows.
func (r *poolRows) Next() bool {
	ok := r.Rows.Next()
	if !ok {
		r.Close()
	}
	return ok
}

// Scan implements pgx.Rows.
func (r *poolRows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

// Values implements pgx.Rows.
func (r *poolRows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err != nil {
		r.Close()
	}
	return values, err
}

// SendBatch sends a batch on a connection of the pool, as [Conn.SendBatch] does. Closing the
// results releases the connection. If the batch began a transaction, its end does.
func (p *Pool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	c, pooled, err := p.acquire(ctx)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	br := c.sendBatch(ctx, b, c.raw.SendBatch)
	if tx, ok := br.Tx().(*Tx); ok {
		tx.pooled = pooled
		return br
	}
	return &poolBatchResults{BatchResults: br, pooled: pooled}
}

// poolBatchResults are the results of a batch of a pool.
type poolBatchResults struct {
	pgx.BatchResults
	pooled *pgxpool.Conn
}

// Close implements pgx.BatchResults.
func (r *poolBatchResults) Close() error {
	err := r.BatchResults.Close()
	if r.pooled != nil {
		r.pooled.Release()
		r.pooled = nil
	}
	return err
}

// CopyFrom copies rows on a connection of the pool: see [Conn.CopyFrom].
func (p *Pool) CopyFrom(ctx context.Context, tableName pgx.Identifier, columnNames []string, rowSrc pgx.CopyFromSource) (int64, error) {
	c, pooled, err := p.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer pooled.Release()
	return c.copyFrom(ctx, tableName, columnNames, rowSrc)
}

// Begin starts a transaction, a [*Tx], on a connection of the pool. The end of the transaction
// releases the connection.
func (p *Pool) Begin(ctx context.Context) (pgx.Tx, error) { return p.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx is Begin with options.
func (p *Pool) BeginTx(ctx context.Context, txOptions pgx.TxOptions) (pgx.Tx, error) {
	c, pooled, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := c.begin(ctx, txOptions)
	if err != nil {
		pooled.Release()
		return nil, err
	}
	tx.pooled = pooled
	return tx, nil
}

// Ping sends an empty statement on a connection of the pool.
func (p *Pool) Ping(ctx context.Context) error { return p.raw.Ping(ctx) }

// Reset closes all connections, those in use when they are released.
func (p *Pool) Reset() { p.raw.Reset() }

// Stat returns what the pool of pgx's counts.
func (p *Pool) Stat() *pgxpool.Stat { return p.raw.Stat() }

// KeyStats returns the key cache's counters, which are zero before the first use of a key.
func (p *Pool) KeyStats() keycache.Stats { return p.db.KeyStats() }

// Config returns a copy of the pool's configuration.
func (p *Pool) Config() *pgxpool.Config { return p.raw.Config() }
