package keyconns

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
)

type tenantKey struct{}

// Each tenant has a schema, which a callback puts into the search path for each request. There is one keyring.
func TestSchemaPerTenant(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		const tenants = 4
		w := newKMS(t)
		for i := range tenants {
			exec(t, pg.Admin, fmt.Sprintf("CREATE SCHEMA t%d; SET search_path = t%[1]d; %s; RESET search_path", i, layout))
		}
		reset := stdlib.OptionResetSession(func(ctx context.Context, c *pgx.Conn) error {
			path := "public"
			if tenant, ok := ctx.Value(tenantKey{}).(int); ok {
				path = fmt.Sprintf("t%d, public", tenant)
			}
			_, err := c.Exec(ctx, "SELECT set_config('search_path', $1, false)", path)
			return err
		})
		for program := range 2 {
			db := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec, reset), w, func(c *driver.Config) { c.AutoCreateKeyTable = true })
			db.SetMaxOpenConns(1)
			exec(t, db, "SELECT 1") // the callback is for connections that were used before
			for i := range tenants {
				tenant := (i + program) % tenants
				ctx := context.WithValue(t.Context(), tenantKey{}, tenant)
				email := fmt.Sprintf("%d@x", tenant)
				if program == 0 {
					if _, err := db.ExecContext(ctx, "INSERT INTO users (email, ssn) VALUES ($1, 'secret')", email); err != nil {
						t.Fatal(err)
					}
				}
				var ssn string
				if err := db.QueryRowContext(ctx, "SELECT ssn FROM users WHERE email = $1", email).Scan(&ssn); err != nil || ssn != "secret" {
					t.Errorf("program %d, tenant %d: %q, %v", program, tenant, ssn, err)
				}
			}
		}
		if n := count(t, pg.Admin, "SELECT count(*) FROM pg_class WHERE relname = 'colseal_keys'"); n != 1 {
			t.Errorf("%d keyrings", n)
		}
	})
}
