package store

import (
	"context"
	"database/sql"
)

// The queries of this file cannot work on sealed columns, and are refused before anything is sent.
// They are what `colseal explain` is shown with. Nothing calls them.

// Search looks for a part of an address: refused, cells have no parts.
func (s Store) Search(ctx context.Context, part string) (*sql.Rows, error) {
	return s.DB.QueryContext(ctx, "SELECT id, email FROM customers WHERE email LIKE '%' || $1 || '%'", part)
}

// BySSN looks a customer up by a randomized column: refused, equal values have different cells.
func (s Store) BySSN(ctx context.Context, ssn string) *sql.Row {
	return s.DB.QueryRowContext(ctx, "SELECT id FROM customers WHERE ssn = $1", ssn)
}

// Oldest sorts by a sealed column: refused, cells have no order.
func (s Store) Oldest(ctx context.Context) *sql.Row {
	return s.DB.QueryRowContext(ctx, "SELECT id FROM customers ORDER BY born LIMIT 1")
}

// Publish copies a sealed column into a plain one: refused.
func (s Store) Publish(ctx context.Context) error {
	_, err := s.DB.ExecContext(ctx, "UPDATE customers SET country = ssn")
	return err
}
