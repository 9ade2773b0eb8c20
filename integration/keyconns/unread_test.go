package keyconns

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
)

// A program that cannot tell whether there are cells gives an empty or missing keyring no new identity: it refuses, and says what to
// do. Where it can tell, and where somebody made the keyring on purpose, it goes on.
func TestKeyringLostUnseen(t *testing.T) {
	const unknown = "could not be found out whether the sealed columns hold cells"
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		roundTrip(t, t.Context(), open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w))
		role, dsn := programRole(t, pg)
		exec(t, pg.Admin, "GRANT CREATE ON SCHEMA public TO "+role)
		store := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "")
		insert := func() error {
			_, err := open(t, direct(t, dsn+"&lock_timeout=300", pgx.QueryExecModeExec), w, autoCreate).Exec("INSERT INTO users (email) VALUES ('new@x')")
			return err
		}
		refused := func(what, is string) {
			t.Helper()
			err := insert()
			if !errors.Is(err, driver.ErrNoKeyTable) || !strings.Contains(err.Error(), is+", and it "+unknown) || !strings.Contains(colseal.Hint(err), "colseal keys init") {
				t.Errorf("%s: %v; hint: %s", what, err, colseal.Hint(err))
			}
			if id, err := store.ID(t.Context()); is == "holds no keys" && (id != "" || err != nil) {
				t.Errorf("%s: the keyring has the id %q, %v", what, id, err)
			}
		}

		exec(t, pg.Admin, "ALTER TABLE colseal_keys RENAME TO lost")
		for _, is := range []string{"does not exist", "holds no keys"} {
			if is == "holds no keys" {
				exec(t, pg.Admin, store.DDL())
				grants, _, _ := strings.Cut(store.Grants(role, role, role, role), ";")
				exec(t, pg.Admin, grants)
			}
			exec(t, pg.Admin, "REVOKE SELECT ON users FROM "+role)
			refused("a role without SELECT", is)
			exec(t, pg.Admin, "GRANT SELECT (id, email) ON users TO "+role)
			exec(t, pg.Admin, "UPDATE users SET email = NULL")
			refused("a role without SELECT on a column", is)
			exec(t, pg.Admin, "GRANT SELECT ON users TO "+role)
			exec(t, pg.Admin, "ALTER TABLE users ENABLE ROW LEVEL SECURITY")
			refused("a row-level policy", is)
			exec(t, pg.Admin, "ALTER TABLE users DISABLE ROW LEVEL SECURITY")
			lock, err := pg.Admin.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			exec(t, lock, "LOCK TABLE users")
			refused("a locked table", is)
			if err := lock.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := insert(); !errors.Is(err, driver.ErrNoKeyTable) || !strings.Contains(err.Error(), is+`, but "public"."users"."ssn" holds cells`) {
				t.Errorf("a role that sees the cells: %v", err)
			}
		}

		// A table without rows needs no SELECT.
		exec(t, pg.Admin, "REVOKE SELECT ON users FROM "+role+"; TRUNCATE users")
		if err := insert(); err != nil {
			t.Errorf("over an empty table: %v", err)
		}
		exec(t, pg.Admin, "TRUNCATE colseal_keys")
		refused("the keyring is lost again", "holds no keys")
		if _, err := store.Identify(t.Context(), ""); err != nil { // as colseal keys init does
			t.Fatal(err)
		}
		if err := insert(); err != nil {
			t.Errorf("a keyring that was made on purpose: %v", err)
		}
	})
}
