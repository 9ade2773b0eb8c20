package pgxseal_test

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
)

// TestExecuteOfAPreparedStatement: SQL does not execute a statement of a sealed table that was prepared over the protocol. It would send
// its values as they are, and return cells.
func TestExecuteOfAPreparedStatement(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		exec(t, server.Admin, tables("bytea"))
		ctx, cfg := t.Context(), sealConfig(t)
		pool := newPool(t, server, cfg)
		c, err := pool.Acquire(ctx)
		must(t, err)
		defer c.Release()
		for name, query := range map[string]string{
			"add": "INSERT INTO users (id, email) VALUES ($1, $2)", "Get me": "SELECT email FROM users", "plain": "SELECT note FROM plain",
		} {
			_, err := c.Prepare(ctx, name, query)
			must(t, err)
		}
		_, err = c.Exec(ctx, "add", 1, secret)
		must(t, err)
		for _, query := range []string{
			"EXECUTE add(2, '" + secret + "')", "execute ADD (2, '" + secret + "')", "SELECT 1; EXECUTE \"add\"(2, '" + secret + "')", `EXECUTE "Get me"`,
			`EXECUTE U&"G\0065t me"`, `EXPLAIN ANALYZE EXECUTE "Get me"`, `CREATE TABLE made AS EXECUTE "Get me"`, `CREATE TEMP TABLE made AS EXECUTE "Get me"`,
		} {
			_, err := c.Exec(ctx, query)
			wantRefused(t, query, err)
		}
		for _, query := range []string{"EXECUTE plain", "PREPARE own AS SELECT count(*) FROM users", "EXECUTE own", "DEALLOCATE add"} {
			if _, err := c.Exec(ctx, query); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		if _, err := c.Exec(ctx, "EXECUTE add(2, 'x')"); errText(err) != "26000" {
			t.Errorf("a statement that is gone: %v", err)
		}
		// The names that pgx gives.
		cn, err := driver.NewConnector(stdlib.GetConnector(*poolConfig(t, server).ConnConfig), cfg)
		must(t, err)
		std := sql.OpenDB(cn)
		defer std.Close()
		std.SetMaxOpenConns(1)
		for _, prepare := range []bool{false, true} {
			if prepare {
				stmt, err := std.PrepareContext(ctx, "SELECT ssn FROM users WHERE email = $1")
				must(t, err)
				defer stmt.Close()
			} else {
				must(t, std.QueryRowContext(ctx, "SELECT email FROM users WHERE email = $1", secret).Scan(new(string)))
			}
			var name string
			must(t, std.QueryRowContext(ctx, "SELECT name FROM pg_prepared_statements WHERE NOT from_sql AND statement LIKE '%users%' AND statement NOT LIKE '%pg_prepared%' ORDER BY prepare_time DESC LIMIT 1").Scan(&name))
			_, err := std.ExecContext(ctx, "EXECUTE "+name+"('"+secret+"')")
			wantRefused(t, name, err)
		}
		// One that is prepared after the EXECUTE was.
		add := func() (name string, done func() error) {
			t.Helper()
			stmt, err := std.PrepareContext(ctx, "INSERT INTO users (id, email) VALUES (3, $1)")
			must(t, err)
			must(t, std.QueryRowContext(ctx, "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'").Scan(&name))
			return name, stmt.Close
		}
		name, done := add()
		must(t, done())
		stmt, err := std.PrepareContext(ctx, "EXECUTE "+name+"('"+secret+"')")
		must(t, err)
		defer stmt.Close()
		_, done = add()
		defer func() { _ = done() }()
		_, err = stmt.ExecContext(ctx)
		wantRefused(t, "an EXECUTE that was prepared before", err)
		if n := count(t, server, "SELECT count(*) FROM users"); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}
