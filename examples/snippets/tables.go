package snippets

import (
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

type account struct {
	ID    int64
	Email string `db:"email" seal:"deterministic,stage=copy,stored=email_found" was:"random"`
}

var accounts = schema.Must(schema.Model("accounts", account{}))
