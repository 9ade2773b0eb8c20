package keyconns

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
)

// Times are the database's. What its clock did shows as the age of a key: one that is a little younger than the clock counts as new,
// one that is much younger as too old to seal, since nobody knows how old it is. (That a process's own clock does not matter is in
// package keycache's TestFleet, whose keyring is thirty years ahead.)
func TestClockOfTheDatabase(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		newest := func(t *testing.T, scope string) keyring.Key {
			t.Helper()
			keys, err := keyring.NewAdmin(keyring.OpenStore(pg.Admin, keyring.DialectPostgres, ""), w, keyring.AdminConfig{}).
				Keys(t.Context(), keyring.Filter{Purpose: keyring.PurposeData, Scope: &scope})
			if err != nil || len(keys) == 0 {
				t.Fatal(keys, err)
			}
			return keys[len(keys)-1]
		}
		for i, tt := range []struct {
			clock string // what becomes of it
			moved string // what that makes of the times in the keyring
			epoch int64
		}{
			{"as it was", "0 s", 1},
			{"set back by 30 seconds", "30 s", 1},
			{"set back by 80 days", "80 days", 2},
			{"set forth by 20 days", "-20 days", 1},
			{"set forth by 80 days", "-80 days", 2},
		} {
			scope := fmt.Sprint("clock:", i)
			ctx := keyring.WithScope(t.Context(), scope)
			program := func() {
				roundTrip(t, ctx, open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w, func(c *driver.Config) { c.KeyConns = 1 }))
			}
			program()
			exec(t, pg.Admin, "UPDATE colseal_keys SET created_at = created_at + $1::interval, seals_from = seals_from + $1::interval WHERE scope = $2", tt.moved, scope)
			program()
			k := newest(t, scope)
			t.Logf("%s: the key that seals has epoch %d and is %s; it is %v old", tt.clock, k.Epoch, k.State, k.Age.Round(time.Hour))
			if k.Epoch != tt.epoch || k.State != keyring.StateActive {
				t.Errorf("%s: epoch %d is %s, want that %d seals", tt.clock, k.Epoch, k.State, tt.epoch)
			}
			if tt.epoch == 2 && k.Age > time.Hour {
				t.Errorf("%s: the next key is %v old", tt.clock, k.Age)
			}
		}
		// Whatever a search key's time is, the rows under it are found.
		if n := count(t, pg.Admin, "SELECT count(*) FROM colseal_keys WHERE purpose = 'search'"); n != 5 {
			t.Errorf("%d search keys for 5 scopes", n)
		}
	})
}
