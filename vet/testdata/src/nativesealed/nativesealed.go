// Package nativesealed uses native pgx through pgxseal, and past it.
package nativesealed

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/colseal/colseal/pgxseal"
)

// dbtx is what sqlc writes.
type dbtx interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
}

func sealed(ctx context.Context, p *pgxseal.Pool, src pgx.CopyFromSource) {
	p.Exec(ctx, "INSERT INTO users (id, email) VALUES ($1, $2)", 1, "a")
	p.Query(ctx, "SELECT ssn FROM users")
	p.QueryRow(ctx, "SELECT id FROM users ORDER BY born")                          // want `refused by Colseal: .*: users.born`
	p.Exec(ctx, "SELECT 1 FROM users WHERE ssn = @ssn", pgx.NamedArgs{"ssn": "a"}) // want `refused by Colseal: .*: users.ssn`
	p.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "email"}, src)
}

func generated(ctx context.Context, db dbtx, src pgx.CopyFromSource) {
	db.Exec(ctx, "INSERT INTO users (id, email) VALUES ($1, $2)", 1, "a")
	db.QueryRow(ctx, "SELECT id FROM users ORDER BY born") // want `refused by Colseal: .*: users.born`
	db.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "email"}, src)
	var b pgx.Batch
	b.Queue("DELETE FROM users WHERE email = $1", "a")
	b.Queue("DELETE FROM users WHERE ssn = $1", "a") // want `refused by Colseal: .*: users.ssn`
}

func past(ctx context.Context, c *pgx.Conn, src pgx.CopyFromSource) {
	c.Exec(ctx, "INSERT INTO users (id, email) VALUES ($1, $2)", 1, "a")   // want `native pgx sends this past Colseal: the value for users.email goes to the server in plaintext; run it through pgxseal`
	c.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "email"}, src) // want `values for users.email go to the server in plaintext; use pgxseal's CopyFrom`
}
