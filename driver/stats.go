package driver

import (
	"database/sql"

	"github.com/colseal/colseal/keycache"
)

// Stats returns the key cache's counters of a database handle: all its connections
// together, and no other handle's. It is false if db was not opened through this
// package. Before the first use of a key all counters are zero.
func Stats(db *sql.DB) (keycache.Stats, bool) {
	w, ok := db.Driver().(*wrapped)
	if !ok || w.db == nil {
		return keycache.Stats{}, false
	}
	return w.db.KeyStats(), true
}
