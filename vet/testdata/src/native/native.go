// Package native uses pgx without database/sql.
package native

import (
	"context"

	"github.com/jackc/pgx/v5"
)

func calls(ctx context.Context, c *pgx.Conn, src pgx.CopyFromSource) {
	c.Exec(ctx, "INSERT INTO users (id, email) VALUES ($1, $2)", 1, "a") // want `native pgx sends this past Colseal: the value for users.email goes to the server in plaintext`
	c.Query(ctx, "SELECT ssn FROM users")                                // want `users.ssn comes back as ciphertext`
	c.QueryRow(ctx, "SELECT id FROM users ORDER BY born")                // want `past Colseal, which would refuse it: .*: users.born`
	c.Query(ctx, "SELECT id FROM users WHERE note = $1", "x")
	c.Exec(ctx, "CREATE INDEX by_note ON users (note)")
	c.Exec(ctx, "SELECT 1 FROM users WHERE email = @mail", pgx.NamedArgs{"mail": "a"}) // want `users.email goes`
	c.Prepare(ctx, "add", "INSERT INTO users (email) VALUES ($1)")                     // want `users.email goes`
	var b pgx.Batch
	b.Queue("DELETE FROM users WHERE email = $1", "a")                     // want `users.email goes`
	c.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "email"}, src) // want `values for users.email go to the server in plaintext; use pgxseal's CopyFrom, or driver.CopyFrom`
	c.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "note"}, src)
	c.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id"}, src)
}
