package keyring

import (
	"context"
	"database/sql"
)

// A Standby is a server that receives the changes of the keyring's.
type Standby struct {
	Name string // its application_name, or the slot that waits for it
	Has  bool   // what was committed before the question is on its disk
}

// Standbys returns the physical standbys of the keyring's server, and whether they have what was
// committed up to lsn, or up to this call if lsn is "". known is false if the role may not see
// that: it needs pg_monitor. A slot without a connection counts as a standby that lacks it. SQLite
// has no standbys.
func (s *Store) Standbys(ctx context.Context, lsn string) (standbys []Standby, at string, known bool, err error) {
	if s.dialect == DialectSQLite {
		return nil, "", true, nil
	}
	known = true
	err = s.withConn(ctx, opRead, func(ctx context.Context, conn *sql.Conn) error {
		if lsn == "" {
			if err := conn.QueryRowContext(ctx, "SELECT pg_catalog.pg_current_wal_lsn()::pg_catalog.text").Scan(&lsn); err != nil {
				return err
			}
		}
		rows, err := conn.QueryContext(ctx, "SELECT COALESCE(application_name, ''), flush_lsn IS NOT NULL, COALESCE(flush_lsn >= CAST(CAST($1 AS pg_catalog.text) AS pg_catalog.pg_lsn), false)"+
			" FROM pg_catalog.pg_stat_replication UNION ALL SELECT slot_name::pg_catalog.text, true, false FROM pg_catalog.pg_replication_slots"+
			" WHERE slot_type = 'physical' AND NOT active ORDER BY 1", lsn)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // its error is rows.Err's
		standbys = nil
		for rows.Next() {
			var one Standby
			var seen bool
			if err := rows.Scan(&one.Name, &seen, &one.Has); err != nil {
				return err
			}
			one.Name = printable(one.Name)
			known = known && seen
			standbys = append(standbys, one)
		}
		return rows.Err()
	})
	return standbys, lsn, known, err
}
