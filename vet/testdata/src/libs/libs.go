// Package libs uses libraries that rewrite the text.
package libs

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"gorm.io/gorm"
)

type user struct{ Email, SSN string }

func withSQLX(ctx context.Context, db *sqlx.DB, u user) {
	db.Get(&u, "SELECT id FROM users WHERE email = $1", u.Email)
	db.Get(&u, "SELECT id FROM users WHERE ssn = $1", u.SSN)        // want `users.ssn`
	db.SelectContext(ctx, &u, "SELECT id FROM users ORDER BY born") // want `users.born`
	db.Queryx("SELECT id FROM users ORDER BY email")                // want `users.email`
	db.MustExec("UPDATE users SET ssn = upper($1)", u.SSN)          // want `users.ssn`
	db.Exec("UPDATE users SET ssn = upper($1)", u.SSN)              // want `users.ssn`
	db.NamedExec("INSERT INTO users (email, ssn) VALUES (:email, :ssn)", u)
	db.NamedExec("INSERT INTO users (email, ssn) VALUES (:email, lower(:ssn))", u) // want `users.ssn`
	db.NamedQuery("SELECT id FROM users WHERE email = :email::::text", u)
	db.NamedQuery("SELECT id FROM users WHERE email = :email::text", u) // sqlx makes an error of it
	db.Get(&u, db.Rebind("SELECT id FROM users WHERE email = ?"), u.Email)
	db.Get(&u, db.Rebind("SELECT id FROM users WHERE email > ?"), u.Email) // want `users.email`
	sqlx.Select(db, &u, "SELECT id FROM users WHERE ssn = $1", u.SSN)      // want `users.ssn`
	q, args, _ := sqlx.In("SELECT id FROM users WHERE email IN (?)", []string{"a"})
	db.Queryx(q, args...)
	sqlx.In("SELECT id FROM users WHERE ssn IN (?)", []string{"a"})     // want `users.ssn`
	stmt, _ := db.PrepareNamed("SELECT id FROM users WHERE ssn = :ssn") // want `users.ssn`
	stmt.Get(&u, "SELECT id FROM users WHERE ssn = 'no text of a statement'")
}

func withGORM(db *gorm.DB, u user, when time.Time, more []any, anything any) {
	db.Raw("SELECT id FROM users WHERE email = ?", u.Email).Scan(&u)
	db.Raw("SELECT id FROM users WHERE email IN ?", []string{"a", "b"}).Scan(&u)
	db.Raw("SELECT id FROM users WHERE email IN (?)", []string{"a", "b"}).Scan(&u)
	db.Raw("SELECT id FROM users WHERE ssn IN ?", []string{"a", "b"}).Scan(&u)      // want `users.ssn`
	db.Raw("SELECT id FROM users WHERE born > ?", when).Scan(&u)                    // want `users.born`
	db.Raw("SELECT id FROM users WHERE ssn = @ssn", sql.Named("ssn", "1")).Scan(&u) // want `users.ssn`
	db.Exec("UPDATE users SET ssn = lower(?)", u.SSN)                               // want `users.ssn`
	db.Exec("UPDATE users SET ssn = ?", anything)
	db.Exec("UPDATE users SET ssn = lower(?)", anything) // an expression could come here
	db.Exec("UPDATE users SET ssn = lower(?)", more...)
}

func withBun(ctx context.Context, db *bun.DB, u user) {
	db.NewRaw("SELECT id FROM users WHERE email = ?", u.Email)
	db.NewRaw("SELECT id FROM users WHERE ssn = ?", u.SSN) // want `users.ssn`
	db.NewRaw("SELECT id FROM users ORDER BY ?", bun.Ident("born"))
	db.NewRaw("SELECT id FROM users WHERE ssn = ?0", u.SSN)
	db.ExecContext(ctx, "UPDATE users SET ssn = lower(?)", u.SSN) // want `users.ssn`
}

func withNamedArgs(db *sql.DB) {
	db.Exec("UPDATE users SET ssn = @ssn WHERE email = @mail", pgx.NamedArgs{"ssn": "1"})
	db.Exec("UPDATE users SET note = '@ssn', ssn = lower(@ssn)", pgx.NamedArgs{"ssn": "1"}) // want `users.ssn`
	arg := any(pgx.NamedArgs{"ssn": "1"})
	db.Exec("UPDATE users SET ssn = @ssn WHERE email = @mail", arg)
	db.Exec("UPDATE users SET ssn = @ssn WHERE email = @mail", []any{arg}...)
	db.Exec("UPDATE users SET ssn = lower($1)", arg) // want `users.ssn`
	db.Exec("the second text of users", rewriter{})
	run(db, "UPDATE users SET ssn = @ssn WHERE email = @mail", pgx.NamedArgs{"ssn": "1"})
	run(db, "UPDATE users SET ssn = lower(@ssn) WHERE email = @mail", pgx.NamedArgs{"ssn": "1"}) // want `users.ssn`
}

func run(db *sql.DB, text string, args ...any) { db.Exec(text, args...) }

type rewriter struct{}

func (rewriter) RewriteQuery() {}
