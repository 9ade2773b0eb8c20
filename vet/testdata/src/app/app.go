// Package app uses database/sql, and what has its methods.
package app

import (
	"context"
	"database/sql"
	"fmt"
)

const (
	table  = "users"
	bySSN  = "SELECT id FROM " + table + " WHERE ssn = $1" // want `refused by Colseal: = needs a deterministic column: users.ssn; `
	byMail = "SELECT id FROM users WHERE email = $1"
)

// queries are assigned once, and stay.
var (
	oldest  = `SELECT id FROM users ORDER BY born LIMIT 1` // want `ORDER BY .*: users.born`
	changed = `SELECT id FROM users ORDER BY born LIMIT 2`
	Shared  = `SELECT id FROM users ORDER BY born LIMIT 3` // want Shared:"holds" `users.born`
)

// execer is what tools write for themselves.
type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

type notSQL struct{}

func (notSQL) Query(string) string { return "" }

func calls(ctx context.Context, db *sql.DB, tx *sql.Tx, conn *sql.Conn, x execer, part string) {
	db.Query(byMail, "a")
	db.QueryRow(bySSN, "b")
	db.QueryRowContext(ctx, bySSN, "b") // reported once
	tx.QueryRow(oldest)
	tx.QueryRow(changed)
	tx.QueryRow(Shared)
	changed = ""
	conn.PrepareContext(ctx, "SELECT lower(email) FROM users")       // want `function lower.*: users.email`
	x.ExecContext(ctx, "UPDATE users SET note = ssn")                // want `copied into a plain one: users.ssn`
	x.QueryRowContext(ctx, "SELECT to_jsonb(u.*) FROM users AS u")   // want `whole row`
	db.Exec(("SELECT 1 FROM users " + "WHERE email LIKE 'x%'"))      // want `LIKE cannot work on a sealed column: users.email; the database holds only ciphertext`
	db.Exec("SELECT 1 FROM other WHERE email LIKE 'x%'")             // not sealed
	notSQL{}.Query("SELECT 1 FROM users WHERE email LIKE 'x%'")      // no query
	db.Query(fmt.Sprintf("SELECT ssn FROM users ORDER BY %s", part)) // not constant

	query := "SELECT id FROM users WHERE length(ssn) > 3" // want `length.*: users.ssn`
	db.Query(query)

	sorted := "SELECT id FROM users"
	if part != "" {
		sorted += " ORDER BY born" // want `users.born`
	}
	db.Query(sorted)

	pointed := "SELECT id FROM users ORDER BY born"
	fill(&pointed)
	db.Query(pointed)

	for _, each := range []string{"SELECT id FROM users ORDER BY born"} {
		db.Query(each)
	}
	db.Exec("SELEC ssn FROM users") // want `names a sealed table and cannot be analysed`
}

// staged are about columns in the stage copy: what works will be refused in sealed.
func staged(ctx context.Context, db *sql.DB, part string) {
	db.Query("SELECT id FROM guests WHERE email = $1 AND note LIKE 'x%'", "a")
	db.Query("SELECT id FROM guests WHERE email LIKE 'x%' AND ssn = $1", "a") // want `refused by Colseal in the stage sealed: LIKE.*: guests.email` `in the stage sealed: = needs.*: guests.ssn`
	db.Exec("UPDATE guests SET email = lower($1)", "a")                       // want `refused by Colseal in the stage sealed: .*: guests.email`
	db.Query("SELECT id FROM guests WHERE lower(email) = $1 LIMIT " + part)   // want `refused by Colseal in the stage sealed, whatever stands for the parts that are not constant: .*: guests.email`
	db.Exec("INSERT INTO guests VALUES (1, lower($1))", "x")
}

// undecided hang on the catalog.
func undecided(db *sql.DB) {
	db.Exec("INSERT INTO users VALUES (1, lower($1))", "x")
	db.Query("SELECT * FROM users UNION SELECT * FROM leads")
	db.Query("SELECT a.*, b.* FROM users AS a, leads AS b")
	db.Query("SELECT 1 FROM users AS u WHERE EXISTS (SELECT 1 FROM orders WHERE lower(email) = 'x')")
	db.Query("SELECT 1 FROM users NATURAL JOIN leads")
	db.Query("SELECT * FROM users ORDER BY 1")
	db.Query("SELECT * FROM users UNION ALL SELECT a, b FROM orders")
}

func fill(*string) {}

func ignored(db *sql.DB) {
	//colseal:ignore the report of an error is tested
	db.Exec("SELECT 1 FROM users ORDER BY born")
	db.Exec("SELECT 2 FROM users ORDER BY born") //colseal:ignore this too
	db.Exec("SELECT 3 FROM users ORDER BY born") // want `ORDER BY`
	/* want `needs a reason` */                  //colseal:ignore
	db.Exec("SELECT 4 FROM users ORDER BY born") // want `ORDER BY`
}
