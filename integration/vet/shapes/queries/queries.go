// Package queries has texts and helpers that package shapes sends SQL by.
package queries

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
)

// ByNote and BySSN are constants of another package.
const (
	ByNote = "SELECT id FROM vet_people WHERE note = $1"
	BySSN  = "SELECT id FROM vet_people WHERE ssn = $1"
)

// Longest is a file of another package.
//
//go:embed sql/longest.sql
var Longest string

// Oldest is a function that only returns a text.
func Oldest() string { return "SELECT id FROM vet_people ORDER BY email" }

// Run sends a text as it is.
func Run(ctx context.Context, db *sql.DB, text string, args ...any) error {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return errors.Join(rows.Err(), rows.Close())
}

// Sorted puts a text around its parameters.
func Sorted(ctx context.Context, db *sql.DB, columns, by string) error {
	q := "SELECT " + columns + " FROM vet_people"
	if by != "" {
		q += " ORDER BY " + by
	}
	return Run(ctx, db, q+" LIMIT 10")
}
