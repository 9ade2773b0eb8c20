package keyconns

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

func autoCreate(c *driver.Config) { c.AutoCreateKeyTable = true }

// A keyring that is missing is not made where there are cells: they came without it.
func TestKeyringLost(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for name, types := range map[string][2]string{"bytea": {"bytea", "bytea"}, "text": {"text", "varchar(200)"}} {
			t.Run(name, func(t *testing.T) {
				exec(t, pg.Admin, "DROP TABLE IF EXISTS users, colseal_keys")
				exec(t, pg.Admin, "CREATE TABLE users (id int, email "+types[0]+", ssn "+types[1]+", note text)")
				if name == "text" { // of a table that is being migrated
					exec(t, pg.Admin, "INSERT INTO users VALUES (1, 'plain@x', 'plain', '')")
				}
				w := newKMS(t)
				under := direct(t, pg.DSN(), pgx.QueryExecModeExec)
				roundTrip(t, t.Context(), open(t, under, w, autoCreate))
				exec(t, pg.Admin, "ALTER TABLE colseal_keys RENAME TO lost")
				for what, query := range map[string]string{
					"search": "SELECT ssn FROM users WHERE email = $1", "insert": "INSERT INTO users (email) VALUES ($1)",
				} {
					_, err := open(t, under, w, autoCreate).Exec(query, "a@x")
					if !errors.Is(err, driver.ErrNoKeyTable) || !strings.Contains(err.Error(), `"users"."email" holds cells`) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if n := count(t, pg.Admin, "SELECT count(*) FROM pg_class WHERE relname = 'colseal_keys'"); n > 0 {
					t.Error("a keyring was made")
				}
				exec(t, pg.Admin, "ALTER TABLE lost RENAME TO colseal_keys")
				roundTrip(t, t.Context(), open(t, under, w, autoCreate))
			})
		}
	})
}

func TestKeyringLostSQLite(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "app.db")
	w := newKMS(t)
	lite := func(c *driver.Config) { c.Dialect, c.AutoCreateKeyTable = driver.DialectSQLite, true }
	db := open(t, liteConnector(dsn), w, lite)
	exec(t, db, "CREATE TABLE users (id integer PRIMARY KEY, email BLOB, ssn BLOB, note TEXT)")
	roundTrip(t, t.Context(), db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	exec(t, plain, "ALTER TABLE colseal_keys RENAME TO lost")
	_, err = open(t, liteConnector(dsn), w, lite).Exec("SELECT ssn FROM users WHERE email = 'x'")
	if !errors.Is(err, driver.ErrNoKeyTable) || !strings.Contains(err.Error(), "holds cells") {
		t.Error(err)
	}
}

// A database in memory is its connection's: the keyring's stays open.
func TestMemory(t *testing.T) {
	cfg := driver.Config{Driver: &sqlite.Driver{}, Dialect: driver.DialectSQLite, AutoCreateKeyTable: true, KMS: newKMS(t),
		Schema: schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}))}
	driver.Register("keyconns-memory", cfg)
	db, err := sql.Open("keyconns-memory", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec(t, db, "CREATE TABLE users (id integer PRIMARY KEY, email BLOB, ssn BLOB, note TEXT)")
	roundTrip(t, t.Context(), db)
	// What becomes of it when it is idle for longer is in package front's tests.
	for range 20 {
		together(t, 20, func(ctx context.Context, i int) error {
			_, err := db.ExecContext(keyring.WithScope(ctx, fmt.Sprint("t", i)), "INSERT INTO users (email, ssn) VALUES ('x', 'y')")
			return err
		})
	}
}

// liteConnector opens a SQLite file, to which the keyring may be writing.
type liteConnector string

func (c liteConnector) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func (c liteConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return (&sqlite.Driver{}).Open(string(c) + "?_pragma=busy_timeout(10000)")
}

// Connections of the keyring's that the server closed while they were idle are nobody's error.
func TestClosedWhileIdle(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := prepare(t, pg)
		dsn := pg.DSN() + "&application_name=keyring"
		if !strings.Contains(pg.DSN(), "?") {
			dsn = pg.DSN() + " application_name=keyring"
		}
		db := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w, func(c *driver.Config) {
			c.KeyConnector = direct(t, dsn, pgx.QueryExecModeExec)
			c.KeyConns = 4
		})
		for round := range 2 {
			together(t, 8, func(ctx context.Context, i int) error {
				_, err := db.ExecContext(keyring.WithScope(ctx, fmt.Sprint(round, ".", i)), "INSERT INTO users (email, ssn) VALUES ('x', 'y')")
				return err
			})
			n := count(t, pg.Admin, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'keyring' AND datname = current_database()")
			if n == 0 {
				t.Error("the keyring had no connection")
			}
			if n > 4 {
				t.Errorf("the keyring had %d connections of 4", n)
			}
		}
	})
}
