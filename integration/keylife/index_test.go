package keylife

import (
	"fmt"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
)

// TestKeysAreFoundByIndex: what a lookup costs does not grow with the keyring.
func TestKeysAreFoundByIndex(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		const scopes = 3_000
		s := keyring.OpenStore(db.Admin, keyring.DialectPostgres, "")
		if err := s.Create(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			fmt.Sprintf("INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved)"+
				" SELECT n * 2 + p, CASE p WHEN 0 THEN 'data' ELSE 'search' END, 'tenant:' || n, 1, 'kek', '\\x01', 0 FROM generate_series(1, %d) n, generate_series(0, 1) p", scopes),
			"ANALYZE colseal_keys",
		} {
			if _, err := db.Admin.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		read := func() (tuples int64) {
			t.Helper()
			db.Admin.SetMaxOpenConns(1) // statistics are a session's until it is told to give them
			if _, err := db.Admin.Exec("SELECT pg_stat_force_next_flush()"); err != nil {
				t.Fatal(err)
			}
			if err := db.Admin.QueryRow("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'colseal_keys'").Scan(&tuples); err != nil {
				t.Fatal(err)
			}
			return tuples
		}
		before := read()
		for i := range uint32(20) {
			for _, purpose := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch} {
				if ring, err := s.Ring(t.Context(), purpose, fmt.Sprint("tenant:", i+1)); err != nil || len(ring.Keys) != 1 {
					t.Fatal(ring, err)
				}
			}
			if keys, err := s.Keys(t.Context(), []uint32{2*i + 2, 2*i + 3}); err != nil || len(keys) != 2 {
				t.Fatal(keys, err)
			}
		}
		if n := read() - before; n > scopes {
			t.Errorf("60 lookups read %d rows of a table of %d in sequence", n, 2*scopes)
		}
	})
}
