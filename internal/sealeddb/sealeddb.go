// Package sealeddb is the seam between the driver and the operator's tools: it gives a tool
// that is handed a *sql.DB what it needs of the database behind it.
package sealeddb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// DB is what a tool needs of a database that was opened through Colseal's driver, by way of
// one connection.
type DB struct {
	Schema  *schema.Schema
	Dialect dialect.Dialect

	// KeyTable is the keyring's table as the program's configuration names it. KeyTableHere says
	// that it has to be in this database already: it is not elsewhere, nor made at its first use.
	KeyTable     string
	KeyTableHere bool
	// KeyTableElsewhere says that it is in another database.
	KeyTableElsewhere bool

	// Keyring returns the durable keyring.
	Keyring func(context.Context) (*keyring.Store, error)
	// NewCache makes a cache of plaintext keys that knows nothing yet, as the program configures
	// its own. The caller closes it.
	NewCache func(*keyring.Store) *keycache.Cache

	// Counts are what the program's metrics show. Rejected counts and logs a stored value that
	// does not open.
	Counts   *telemetry.Counts
	Rejected func(context.Context, *schema.Column, error)

	// Plans are the limits of the SQL analysis. Check returns why the driver refuses, on this
	// connection, what the plan of a statement lets through.
	Plans sqlplan.Options
	Check func(ctx context.Context, p *sqlplan.Plan) error
}

// Opener is implemented by the driver's connections. Its types keep it from anybody outside
// this module.
type Opener interface {
	// SealedDB returns the database behind the connection, and the way past the analysis for
	// statements of our own. Both are good until the call of sql.Conn.Raw ends.
	SealedDB() (*DB, dbcatalog.Querier)
}

// Of returns the database behind what sql.Conn.Raw hands out; false if that is not a
// connection of Colseal's driver. It looks below wrappers.
func Of(driverConn any) (*DB, dbcatalog.Querier, bool) {
	for driverConn != nil {
		if c, ok := driverConn.(Opener); ok {
			db, q := c.SealedDB()
			return db, q, true
		}
		driverConn = Below(driverConn)
	}
	return nil, nil, false
}

// Below returns the connection that a wrapper shows by a method Raw or WrappedConn, as
// wrappers for tracing do; nil if driverConn is not one.
func Below(driverConn any) any {
	switch c := driverConn.(type) {
	case interface{ Raw() driver.Conn }:
		return c.Raw()
	case interface{ WrappedConn() driver.Conn }:
		return c.WrappedConn()
	}
	return nil
}

// ErrNotOurs says that a *sql.DB was not opened through Colseal's driver.
var ErrNotOurs = errors.New("not the *sql.DB of a driver that was registered with Colseal")

// With runs f on one connection of a *sql.DB.
func With(ctx context.Context, db *sql.DB, f func(*DB, dbcatalog.Querier) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	return conn.Raw(func(driverConn any) error {
		d, q, ok := Of(driverConn)
		if !ok {
			return ErrNotOurs
		}
		return f(d, q)
	})
}
