package front

import (
	"context"
	"time"

	"github.com/colseal/colseal/internal/dialect"
)

// serverQuery names the server behind a connection. The name differs between servers, and changes
// when a server is restarted, restored or promoted.
const serverQuery = "SELECT pg_catalog.concat_ws(' ', (SELECT system_identifier FROM pg_catalog.pg_control_system())," +
	" EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()), CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby'" +
	" ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END)"

// lookTime bounds the wait for a look at the rows of the keys in memory.
const lookTime = 2 * time.Second

// lookAtServer is called before the first values that a connection seals. A server that the key
// cache does not know may have taken over from another without the last commits, or have been
// restored. So the cache looks at the rows of the keys in memory before more is sealed under them.
// If that fails, the statement goes on and the cache tries on.
func (s *Session) lookAtServer(ctx context.Context, keys *openKeys) {
	if keys.cache == nil || s.db.cfg.Dialect != dialect.Postgres {
		s.serverKnown = true
		return
	}
	if s.busy { // in another goroutine
		return
	}
	status, name := s.conn.TxStatus(), ""
	if status == 'E' {
		return
	}
	// The server may not let everybody ask, and an error ends a transaction that is open.
	if status == 'I' || s.db.namesServer.Load() {
		rows, err := s.conn.Query(ctx, serverQuery)
		if err == nil && len(rows) == 1 && len(rows[0]) == 1 {
			name = rows[0].Text(0)
		}
		s.db.namesServer.Store(name != "")
	}
	s.serverKnown = true
	if keys.cache.Knows(name) {
		return
	}
	// The keyring's idle connections may be to the server that was there before.
	keys.pool.SetMaxIdleConns(0)
	if !keys.store.Scarce() {
		keys.pool.SetMaxIdleConns(keyringMaxIdle)
	}
	bounded, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	_ = s.waiting(ctx, nil, func() error { return keys.cache.Connected(bounded, name) })
}
