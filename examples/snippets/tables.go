package snippets

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/ops/reseal"
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

// sealRows seals what the table still holds in plaintext, beside the programs that use it.
func sealRows(ctx context.Context, db *sql.DB) error {
	report, err := reseal.Run(ctx, db, reseal.Options{
		Columns:       []string{"users"},
		Plaintext:     true,
		RowsPerSecond: 5000, // default: as many as there are
	})
	if err != nil {
		return err // what is done is done: call it again
	}
	for _, use := range report.Uses {
		if use.State == reseal.StateNotCell {
			return fmt.Errorf("%s.%s: %d values do not fit the column's kind", use.Table, use.Column, use.Cells)
		}
	}
	return nil
}

// openSome stores up to 500 e-mail addresses after the given id in a plain column, and
// returns the last id. Begin after 0, or the least id.
func openSome(ctx context.Context, db *sql.DB, after int64) (last int64, done bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return after, false, err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT id, email FROM users WHERE id > $1 ORDER BY id LIMIT 500 FOR UPDATE", after)
	if err != nil {
		return after, false, err
	}
	defer rows.Close()
	emails := map[int64]sql.NullString{}
	last = after
	for rows.Next() {
		var email sql.NullString
		if err := rows.Scan(&last, &email); err != nil {
			return after, false, err
		}
		emails[last] = email
	}
	if err := rows.Err(); err != nil {
		return after, false, err
	}
	for id, email := range emails {
		if _, err := tx.ExecContext(ctx, "UPDATE users SET plain_email = $1 WHERE id = $2", email, id); err != nil {
			return after, false, err
		}
	}
	return last, len(emails) == 0, tx.Commit()
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
