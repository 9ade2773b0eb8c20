// Package queries has what package shapes sends: texts and helpers.
package queries

import (
	"context"
	"database/sql"
)

// ByAge is used, Unused is not.
const (
	ByAge  = "SELECT id FROM users ORDER BY born"
	Unused = "SELECT id FROM users ORDER BY ssn"
)

// Names is a variable that nobody assigns to.
var Names = `SELECT id FROM users WHERE email LIKE 'x%'` // want Names:"holds"

// Good is a function that only returns a text.
func Good() string { return "SELECT id FROM users WHERE email = $1" } // want Good:"holds"

// Store has helpers.
type Store struct{ DB *sql.DB }

// Run sends a text as it is.
func (s *Store) Run(ctx context.Context, text string, args ...any) error { // want Run:"passes on"
	_, err := s.DB.ExecContext(ctx, text, args...)
	return err
}

// Sorted puts a text around its parameters.
func Sorted(ctx context.Context, db *sql.DB, columns, by string) error { // want Sorted:"passes on"
	q := "SELECT " + columns + " FROM users"
	if by != "" {
		q += " ORDER BY " + by
	}
	return twice(ctx, db, q)
}

// twice is a helper of a helper.
func twice(ctx context.Context, db *sql.DB, q string) error {
	_, err := db.QueryContext(ctx, q+" LIMIT 10")
	return err
}

// Nobody calls Lonely.
func Lonely(db *sql.DB, where string) { db.Query("SELECT id FROM users WHERE " + where) } // want Lonely:"passes on"
