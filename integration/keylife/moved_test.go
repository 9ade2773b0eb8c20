package keylife

import (
	"errors"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
)

// TestWrappedKeysDoNotMove: two data keys under one KEK never stand in for each other, whoever writes the keyring.
func TestWrappedKeysDoNotMove(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		seal(t, w, "a", "b")
		refused := func(change, undo string) {
			t.Helper()
			w.exec(t, change)
			db := w.open(t)
			for _, scope := range []string{"a", "b"} {
				if n, err := read(t.Context(), db, scope); !errors.Is(err, kms.ErrInvalidWrapped) {
					t.Errorf("%s\n%d letters of scope %q are read: %v", change, n, scope, err)
				}
			}
			_ = db.Close()
			w.exec(t, undo)
		}
		const swap = `UPDATE colseal_keys k SET wrapped = o.wrapped FROM colseal_keys o
			WHERE o.purpose = k.purpose AND o.scope = CASE k.scope WHEN 'a' THEN 'b' ELSE 'a' END`
		refused(swap, swap)
		const purposes = `UPDATE colseal_keys k SET wrapped = o.wrapped FROM colseal_keys o WHERE o.purpose <> k.purpose AND o.scope = k.scope`
		refused(purposes, purposes)
		// The rows themselves, into another scope.
		refused("UPDATE colseal_keys SET scope = 'of ' || scope", "UPDATE colseal_keys SET scope = right(scope, 1)")
		seal(t, w, "a", "b")
	})
}
