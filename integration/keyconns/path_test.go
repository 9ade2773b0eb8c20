package keyconns

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
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

// What may be the name of a sealed table may be that of the keyring.
func TestKeyTableNames(t *testing.T) {
	long := strings.Repeat("k", 63)
	names := []string{"keys", `"Keys"`, "app.keys", `"App"."key table"`, `app."Schlüssel ""x"""`, "ключи", `"a.b"`, `app."a.b"`, `"select"`, "k$1", long, "app." + long,
		`"` + strings.Repeat("ü", 31) + `"`, `"%s"`, `"$1"`}
	try := func(t *testing.T, under sqldriver.Connector, name string, change func(*driver.Config)) {
		t.Helper()
		w := newKMS(t)
		if _, err := schema.New(schema.Columns(name, schema.Column{Name: "x"})); err != nil {
			t.Fatalf("%s is no sealed table's name: %v", name, err)
		}
		for range 2 { // the second program finds the table
			db := open(t, under, w, autoCreate, change, func(c *driver.Config) { c.KeyTable = name })
			roundTrip(t, t.Context(), db)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		exec(t, pg.Admin, layout+`; CREATE SCHEMA app; CREATE SCHEMA "App"`)
		for _, name := range names {
			exec(t, pg.Admin, "TRUNCATE users") // of cells under another keyring
			try(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), name, func(*driver.Config) {})
			store := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, name)
			if err := store.CreateStages(t.Context()); err != nil {
				t.Errorf("%s: the table of stages: %v", name, err)
			}
			if _, err := store.Stages(t.Context()); err != nil {
				t.Errorf("%s: the table of stages: %v", name, err)
			}
		}
		if n, want := count(t, pg.Admin, "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'seals_reserved'"), len(names); n != want {
			t.Errorf("%d key tables, want %d", n, want)
		}
	})
	for _, name := range names {
		if strings.Contains(name, ".") && !strings.Contains(name, `"a.b"`) || strings.HasPrefix(name, "app.") {
			continue // SQLite has no schemas of that kind
		}
		file := filepath.Join(t.TempDir(), "app.db")
		plain := sql.OpenDB(liteConnector(file))
		exec(t, plain, "CREATE TABLE users (id integer PRIMARY KEY, email BLOB, ssn BLOB, note TEXT)")
		if err := plain.Close(); err != nil {
			t.Fatal(err)
		}
		try(t, liteConnector(file), name, func(c *driver.Config) { c.Dialect = driver.DialectSQLite })
	}
}
