package driver_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// What IN with 16,000 values takes with one live search key, and with two, when each value is sent as two cells.
func BenchmarkIn(b *testing.B) {
	const values, rows = 16_000, 20_000
	pg := pgtest.New(b)
	exec := func(db *sql.DB, query string, args ...any) {
		b.Helper()
		if _, err := db.ExecContext(b.Context(), query, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec(pg.Admin, "CREATE TABLE users (id int PRIMARY KEY, email bytea); CREATE INDEX ON users (email)")
	w := newMemKMS(b)
	open := func() *sql.DB {
		db := openPG(b, pg, w, pgx.QueryExecModeCacheStatement, schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}))
		db.SetMaxOpenConns(1)
		return db
	}
	one := open()
	for first := 0; first < rows; first += 1000 {
		texts, args := make([]string, 1000), make([]any, 1000)
		for i := range texts {
			texts[i], args[i] = fmt.Sprintf("(%d, $%d)", first+i, i+1), fmt.Sprintf("someone-%d@example.com", first+i)
		}
		exec(one, "INSERT INTO users VALUES "+strings.Join(texts, ", "), args...)
	}
	exec(pg.Admin, "VACUUM ANALYZE users")
	texts, args := make([]string, values), make([]any, values)
	for i := range texts {
		texts[i], args[i] = fmt.Sprintf("$%d", i+1), fmt.Sprintf("someone-%d@example.com", i)
	}
	query := "SELECT count(*) FROM users WHERE email IN (" + strings.Join(texts, ", ") + ")"
	find := func(b *testing.B, db *sql.DB) {
		n := 0
		if err := db.QueryRowContext(b.Context(), query, args...).Scan(&n); err != nil || n != values {
			b.Fatal(n, err)
		}
	}
	time := func(name string, db *sql.DB) {
		b.Run(name, func(b *testing.B) {
			find(b, db) // the first one reads the catalog, and makes the plan
			for b.Loop() {
				find(b, db)
			}
		})
	}
	time("1 key", one)
	if _, err := keyring.NewAdmin(keyring.OpenStore(pg.Admin, keyring.DialectPostgres, ""), w, keyring.AdminConfig{}).Rotate(b.Context(), keyring.PurposeSearch, ""); err != nil {
		b.Fatal(err)
	}
	time("2 keys", open())
}
