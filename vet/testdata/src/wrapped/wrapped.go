// Package wrapped gives texts to functions of its own, which pass them on.
package wrapped

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
)

type store struct {
	db *sql.DB
	x  *sqlx.DB
}

func (s *store) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return s.db.QueryContext(ctx, text, args...)
}

func (s *store) deeper(text string) (*sql.Rows, error) { return s.query(context.Background(), text) }

func (s *store) named(what string, text string, arg any) error {
	_, err := s.x.NamedExec(text, arg)
	return err
}

func (s *store) changed(text string) error {
	text += " ORDER BY id"
	_, err := s.db.Exec(text)
	return err
}

// Open is for other packages, too.
func (s *store) Open(text string) error { // want Open:"passes on"
	_, err := s.db.Exec(text)
	return err
}

func recursive(db *sql.DB, text string, n int) error {
	if n > 0 {
		return recursive(db, text, n-1)
	}
	_, err := db.Exec(text)
	return err
}

func native(ctx context.Context, c *pgx.Conn, text string) error {
	_, err := c.Exec(ctx, text)
	return err
}

func both[T any](db *sql.DB, text string) (v T, err error) {
	return v, db.QueryRow(text).Scan(&v)
}

func calls(ctx context.Context, s *store, c *pgx.Conn) {
	s.query(ctx, "SELECT id FROM users WHERE ssn = $1", 1) // want `users.ssn`
	s.query(ctx, "SELECT id FROM users WHERE email = $1", 1)
	s.deeper("SELECT id FROM users ORDER BY born")                                           // want `users.born`
	s.named("SELECT ssn FROM users ORDER BY ssn", "UPDATE users SET ssn = upper(:ssn)", nil) // want `the function upper.*: users.ssn`
	s.changed("SELECT id FROM users ORDER BY born")                                          // want `cannot be analysed`
	s.Open("UPDATE users SET note = ssn")                                                    // want `users.ssn`
	recursive(s.db, "SELECT id FROM users WHERE born > now()", 3)                            // want `function now` `operator >`
	native(ctx, c, "DELETE FROM users WHERE email = 'x'")                                    // want `users.email goes to the server in plaintext`
	both[int](s.db, "SELECT max(ssn) FROM users")                                            // want `users.ssn`
}
