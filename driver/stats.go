package driver

import (
	"context"
	"database/sql"
	"errors"

	"github.com/colseal/colseal/keycache"
)

// Stats returns the key cache's counters of a *sql.DB: all its connections
// together, and no other handle's. Before the first use of a key all counters are zero.
//
// Where db's driver is a wrapper above this package's, for tracing for example, Stats takes a
// connection from the pool and follows the wrapper's method Raw. The error is that of getting the
// connection, or says that db was not opened through this package.
func Stats(ctx context.Context, db *sql.DB) (keycache.Stats, error) {
	if w, ok := db.Driver().(*wrapped); ok && w.db != nil {
		return w.db.KeyStats(), nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return keycache.Stats{}, err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	var stats keycache.Stats
	err = conn.Raw(func(driverConn any) error {
		c, ok := unwrapConn(driverConn)
		if !ok {
			return errors.New("colseal: Stats: the connection is not one of a driver that was registered with this package")
		}
		stats = c.db().KeyStats()
		return nil
	})
	return stats, err
}
