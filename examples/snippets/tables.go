package snippets

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/schema"
)

// checks returns a CHECK constraint for each sealed bytea column. With it PostgreSQL
// refuses what does not begin as a cell of that column: version 1, the column's tag.
func checks(s *schema.Schema) string {
	var b strings.Builder
	for _, t := range s.Tables() {
		if t.ViewOf != "" {
			continue
		}
		for _, c := range t.Columns() {
			column := pgx.Identifier{c.Name}.Sanitize()
			fmt.Fprintf(&b, "ALTER TABLE %s ADD CHECK (substring(%s from 1 for 4) = '\\x01%02x%04x');\n",
				t, column, byte(c.Suite()), c.Tag())
		}
	}
	return b.String()
}

// copyUsers copies all rows from one of the tables users and users_plain to the other.
func copyUsers(ctx context.Context, db *sql.DB, from, to string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT id, email, ssn FROM "+from)
	if err != nil {
		return err
	}
	defer rows.Close()
	var all []User
	for rows.Next() {
		var u User
		if err := rows.Scan(&u.ID, &u.Email, &u.SSN); err != nil {
			return err
		}
		all = append(all, u)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, u := range all {
		if _, err := tx.ExecContext(ctx, "INSERT INTO "+to+" (id, email, ssn) VALUES ($1, $2, $3)", u.ID, u.Email, u.SSN); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func views() *schema.Schema {
	var tables = schema.Must(schema.Model("users", User{}), schema.View("active_users", "users"))
	return tables
}

var renamed = []schema.Source{
	schema.Model("users", User{}),
	schema.View("mails", "users", schema.Renamed{Column: "email", As: "mail"}),
}

// appointment has the three kinds that a time.Time can be.
type appointment struct {
	Born  time.Time `seal:"random,kind=date"`      // the date in the value's own Location
	Meets time.Time `seal:"random,kind=timestamp"` // what a clock shows there
	Seen  time.Time `seal:"random"`                // the instant, wherever the clock is
}

var appointments = schema.Must(schema.Model("appointments", appointment{}))
