// Package store has the queries of the sample application. They are written as for plaintext.
package store

import (
	"context"
	"database/sql"

	"github.com/colseal/colseal/examples/sampleapp/models"
)

// Store reads and writes customers over any *sql.DB. It is safe for concurrent use.
type Store struct{ DB *sql.DB }

// Add stores a customer and returns its id.
func (s Store) Add(ctx context.Context, c models.Customer) (id int64, err error) {
	err = s.DB.QueryRowContext(ctx, `INSERT INTO customers (email, ssn, born, country) VALUES ($1, $2, $3, $4)
		ON CONFLICT (email) DO UPDATE SET ssn = excluded.ssn, born = excluded.born RETURNING id`,
		c.Email, c.SSN, c.Born, c.Country).Scan(&id)
	return id, err
}

// ByEmail finds a customer.
func (s Store) ByEmail(ctx context.Context, email string) (c models.Customer, err error) {
	err = s.DB.QueryRowContext(ctx, "SELECT id, email, ssn, born, country FROM customers WHERE email = $1", email).
		Scan(&c.ID, &c.Email, &c.SSN, &c.Born, &c.Country)
	return c, err
}

// Subscribe adds an address to the newsletter.
func (s Store) Subscribe(ctx context.Context, email string) error {
	_, err := s.DB.ExecContext(ctx, "INSERT INTO subscribers (email) VALUES ($1)", email)
	return err
}

// Subscribed lists the addresses of customers of a country who get the newsletter.
func (s Store) Subscribed(ctx context.Context, country string) ([]string, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT c.email FROM customers AS c JOIN subscribers AS s ON s.email = c.email
		WHERE c.country = $1 ORDER BY c.id`, country)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is rows.Err's
	var emails []string
	for rows.Next() {
		var email string
		if err := rows.Scan(&email); err != nil {
			return nil, err
		}
		emails = append(emails, email)
	}
	return emails, rows.Err()
}
