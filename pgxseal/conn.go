package pgxseal

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/front"
)

// Conn is a pgx.Conn with sealed columns. It comes from [Connect], or is acquired from a [Pool].
// Like a pgx.Conn it is used by one goroutine at a time.
type Conn struct {
	c      *conn
	pooled *pgxpool.Conn // nil if it is no pool's
	db     *front.DB     // closed with the connection; nil if it is a pool's
}

// Connect opens one connection with a key cache of its own. A program with several connections uses
// a [Pool], whose connections share one. Connect ignores cfg.Driver.
func Connect(ctx context.Context, connString string, cfg driver.Config) (*Conn, error) {
	config, err := pgx.ParseConfig(connString)
	if err != nil {
		return nil, err
	}
	return ConnectConfig(ctx, config, cfg)
}

// ConnectConfig is Connect with a configuration that pgx.ParseConfig made.
func ConnectConfig(ctx context.Context, config *pgx.ConnConfig, cfg driver.Config) (*Conn, error) {
	db, err := newDB(cfg, config, hooks{})
	if err != nil {
		return nil, err
	}
	raw, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		_ = db.Close() // nothing is open yet
		return nil, err
	}
	return &Conn{c: newConn(db, raw), db: db}, nil
}

// Close closes the connection, and the keyring's.
func (c *Conn) Close(ctx context.Context) error {
	err := c.c.raw.Close(ctx)
	if c.db != nil {
		err = errors.Join(err, c.db.Close())
		c.db = nil
	}
	return err
}

// Release returns a connection to the pool that it was acquired from. Call no other method
// afterwards: it would panic, because the connection may be another goroutine's.
func (c *Conn) Release() {
	if c.pooled != nil {
		c.pooled.Release()
		c.pooled, c.c = nil, nil
	}
}

// Hijack takes the connection out of its pool. The caller closes it, before the pool, whose keys it
// uses.
func (c *Conn) Hijack() *Conn {
	c.pooled.Hijack()
	c.pooled = nil
	return c
}

// Conn returns c, for programs that take a pool's connections for ones that have a pgx.Conn.
func (c *Conn) Conn() *Conn { return c }

// Raw returns pgx's own connection. It is a bypass: it neither seals what is written nor opens what
// is read. The next statement of c reads the session again (its search path, the tables that it
// sees). Do not use the raw connection after that: later changes go unnoticed.
func (c *Conn) Raw() *pgx.Conn {
	c.c.session.Bypassed()
	return c.c.raw
}

// PgConn returns the lower layer of the connection. It is a bypass as [Conn.Raw] is.
func (c *Conn) PgConn() *pgconn.PgConn { return c.Raw().PgConn() }

// Exec executes a statement, as pgx.Conn.Exec does.
func (c *Conn) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	return c.c.exec(ctx, sql, arguments)
}

// Query sends a query, as pgx.Conn.Query does.
func (c *Conn) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return c.c.query(ctx, sql, args)
}

// QueryRow sends a query of one row, as pgx.Conn.QueryRow does.
func (c *Conn) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return c.c.queryRow(ctx, sql, args)
}

func (c *conn) queryRow(ctx context.Context, sql string, args []any) pgx.Row {
	rows, _ := c.query(ctx, sql, args) // they have the error
	return c.firstOf(rows)
}

// firstOf returns the first row of rows.
func (c *conn) firstOf(rows pgx.Rows) *row {
	r := c.rowSlab.take()
	r.rows = rows
	return r
}

// Prepare prepares a statement under a name, as pgx.Conn.Prepare does. It describes the plain
// statement.
func (c *Conn) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return c.c.prepare(ctx, name, sql)
}

// Deallocate releases a prepared statement.
func (c *Conn) Deallocate(ctx context.Context, name string) error { return c.c.deallocate(ctx, name) }

// DeallocateAll releases all prepared statements.
func (c *Conn) DeallocateAll(ctx context.Context) error { return c.c.deallocateAll(ctx) }

// Begin starts a transaction, which is a [*Tx].
func (c *Conn) Begin(ctx context.Context) (pgx.Tx, error) { return c.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx starts a transaction, which is a [*Tx].
func (c *Conn) BeginTx(ctx context.Context, txOptions pgx.TxOptions) (pgx.Tx, error) {
	tx, err := c.c.begin(ctx, txOptions)
	if err != nil {
		return nil, err
	}
	return tx, nil
}

// Ping sends an empty statement.
func (c *Conn) Ping(ctx context.Context) error { return c.c.raw.Ping(ctx) }

// WaitForNotification waits for a notification of a channel that the connection listens to.
func (c *Conn) WaitForNotification(ctx context.Context) (*pgconn.Notification, error) {
	return c.c.raw.WaitForNotification(ctx)
}

// IsClosed reports whether the connection is closed.
func (c *Conn) IsClosed() bool { return c.c.raw.IsClosed() }

// TypeMap returns the types of the connection. A program registers its own types there, for sealed
// columns too.
func (c *Conn) TypeMap() *pgtype.Map { return c.c.raw.TypeMap() }

// LoadType reads the definition of a type, as pgx.Conn.LoadType does.
func (c *Conn) LoadType(ctx context.Context, typeName string) (*pgtype.Type, error) {
	return c.c.raw.LoadType(ctx, typeName)
}

// LoadTypes reads the definitions of types, as pgx.Conn.LoadTypes does.
func (c *Conn) LoadTypes(ctx context.Context, typeNames []string) ([]*pgtype.Type, error) {
	return c.c.raw.LoadTypes(ctx, typeNames)
}

// Config returns a copy of the configuration of the connection.
func (c *Conn) Config() *pgx.ConnConfig { return c.c.raw.Config() }
