package snippets

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

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

// sealSome seals up to 500 rows after the given id, whatever they hold, and returns the
// last id. Sealing a sealed row again does no harm. Begin after 0, or the least id.
func sealSome(ctx context.Context, db *sql.DB, after int64) (last int64, done bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return after, false, err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT id, email, ssn FROM users WHERE id > $1 ORDER BY id LIMIT 500 FOR UPDATE", after)
	if err != nil {
		return after, false, err
	}
	defer rows.Close()
	type row struct {
		id         int64
		email, ssn sql.NullString
	}
	var some []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.email, &r.ssn); err != nil {
			return after, false, err
		}
		some = append(some, r)
	}
	if err := rows.Err(); err != nil {
		return after, false, err
	}
	last = after
	for _, r := range some {
		if _, err := tx.ExecContext(ctx, "UPDATE users SET email = $1, ssn = $2 WHERE id = $3", r.email, r.ssn, r.id); err != nil {
			return after, false, err
		}
		last = r.id
	}
	return last, len(some) == 0, tx.Commit()
}

func views() *schema.Schema {
	var tables = schema.Must(schema.Model("users", User{}), schema.View("active_users", "users"))
	return tables
}
