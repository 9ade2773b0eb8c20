package keyconns

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/pgxseal"
)

// Rows whose keys are not in memory, where the connection that they are read from is the only one: the rest of them is read ahead.
func TestReadAhead(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		const rows, scopes = 500, 5
		w := prepare(t, pg)
		seed := open(t, direct(t, pg.DSN(), pgx.QueryExecModeExec), w)
		for i := range rows {
			ctx := keyring.WithScope(t.Context(), fmt.Sprint("s", i*scopes/rows))
			if _, err := seed.ExecContext(ctx, "INSERT INTO users (email, ssn, note) VALUES ($1, $2, $3)",
				fmt.Sprintf("%d@x", i), fmt.Sprintf("ssn %d", i), fmt.Sprintf("note %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		// A cell of the row at which reading ahead begins has a backslash: decoded twice, it is no text of a bytea.
		for count(t, pg.Admin, `SELECT count(*) FROM users WHERE id = 1 AND position('\x5c'::bytea IN ssn) > 0`) == 0 {
			if _, err := seed.ExecContext(keyring.WithScope(t.Context(), "s0"), "UPDATE users SET ssn = $1 WHERE id = 1", "ssn 0"); err != nil {
				t.Fatal(err)
			}
		}
		dsn := oneConnection(t, pg)
		const query = "SELECT note, ssn, email, id - 1 FROM users ORDER BY id"
		check := func(t *testing.T, i int, note, ssn, email string, id int64) {
			t.Helper()
			if note != fmt.Sprintf("note %d", i) || ssn != fmt.Sprintf("ssn %d", i) || email != fmt.Sprintf("%d@x", i) || id != int64(i) {
				t.Fatalf("row %d: %q, %q, %q, %d", i, note, ssn, email, id)
			}
		}
		read := func(t *testing.T, db interface {
			QueryContext(context.Context, string, ...any) (*sql.Rows, error)
		}) {
			t.Helper()
			got, err := db.QueryContext(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			n := 0
			for ; got.Next(); n++ {
				var note, ssn, email string
				var id int64
				if err := got.Scan(&note, &ssn, &email, &id); err != nil {
					t.Fatal(err)
				}
				check(t, n, note, ssn, email, id)
				if n == 1 {
					types, err := got.ColumnTypes()
					if err != nil || types[0].DatabaseTypeName() != "TEXT" || types[1].DatabaseTypeName() != "TEXT" || types[3].DatabaseTypeName() != "INT8" {
						t.Fatalf("%v, %v", types, err)
					}
				}
			}
			if err := got.Err(); err != nil || n != rows {
				t.Fatalf("%d rows, %v", n, err)
			}
		}
		t.Run("database/sql", func(t *testing.T) {
			for _, inTx := range []bool{false, true} {
				db := open(t, direct(t, dsn, pgx.QueryExecModeExec), w)
				db.SetMaxOpenConns(1)
				if inTx {
					tx, err := db.BeginTx(t.Context(), nil)
					if err != nil {
						t.Fatal(err)
					}
					read(t, tx)
					read(t, tx)
					if err := tx.Commit(); err != nil {
						t.Fatal(err)
					}
				} else {
					read(t, db)
				}
				roundTrip(t, keyring.WithScope(t.Context(), "s0"), db)
				exec(t, pg.Admin, "DELETE FROM users WHERE note IS NULL")
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				waitGone(t, pg)
			}
		})
		t.Run("pgx", func(t *testing.T) {
			for _, inTx := range []bool{false, true} {
				conn, err := pgxseal.Connect(t.Context(), dsn, driver.Config{Schema: users, KMS: w})
				if err != nil {
					t.Fatal(err)
				}
				var q interface {
					Query(context.Context, string, ...any) (pgx.Rows, error)
				} = conn
				if inTx {
					tx, err := conn.Begin(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					q = tx
				}
				got, err := q.Query(t.Context(), query)
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for ; got.Next(); n++ {
					var note, ssn, email string
					var id int64
					if err := got.Scan(&note, &ssn, &email, &id); err != nil {
						t.Fatal(err)
					}
					check(t, n, note, ssn, email, id)
				}
				if err := got.Err(); err != nil || n != rows {
					t.Fatalf("%d rows, %v", n, err)
				}
				if err := conn.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				waitGone(t, pg)
			}
		})
		t.Run("too large", func(t *testing.T) {
			exec(t, pg.Admin, "UPDATE users SET note = repeat('x', 100000)")
			db := open(t, direct(t, dsn, pgx.QueryExecModeExec), w)
			db.SetMaxOpenConns(1)
			got, err := db.QueryContext(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for got.Next() {
			}
			if err := got.Err(); err == nil || errors.Is(err, driver.ErrKeyNotFound) {
				t.Errorf("got %v", err)
			}
			got.Close()
			exec(t, db, "SELECT 1")
		})
	})
}

// waitGone waits until the server has ended the sessions of the roles that may have one.
func waitGone(t *testing.T, pg *pgtest.DB) {
	t.Helper()
	for count(t, pg.Admin, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'one_%'") > 0 {
	}
}
