package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"time"
)

// sideBySide prints the rows of the two customers with one name as the program reads them and as
// the database holds them.
func sideBySide(ctx context.Context, out io.Writer, db *sql.DB, p *place) error {
	plain, err := sql.Open(p.plain, p.dsn) // a second connection, which knows nothing of Colseal
	if err != nil {
		return err
	}
	defer plain.Close()

	rows, err := db.QueryContext(ctx, "SELECT id, name, email, born, city FROM "+table+" WHERE id <> 2 ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	fmt.Fprintf(out, "\n%-2s %-6s %-21s %s\n", "id", "column", "the program reads", "the database holds")
	for rows.Next() {
		var c Customer
		if err := rows.Scan(&c.ID, &c.Name, &c.Email, &c.Born, &c.City); err != nil {
			return err
		}
		var name, email, born []byte
		var city string
		held := plain.QueryRowContext(ctx, "SELECT name, email, born, city FROM "+table+" WHERE id = $1", c.ID)
		if err := held.Scan(&name, &email, &born, &city); err != nil {
			return err
		}
		for _, line := range [][3]string{
			{"name", c.Name, cell(name)},
			{"email", c.Email, cell(email)},
			{"born", c.Born.Format(time.DateOnly), cell(born)},
			{"city", c.City, city},
		} {
			fmt.Fprintf(out, "%-2d %-6s %-21s %s\n", c.ID, line[0], line[1], line[2])
		}
	}
	return rows.Err()
}

// cell shortens ciphertext: its header (version, suite, column, key) and a few bytes.
func cell(b []byte) string {
	if len(b) < 16 {
		return fmt.Sprintf("not a cell: %q", b)
	}
	return fmt.Sprintf("%x %x… (%d bytes)", b[:8], b[8:16], len(b))
}
