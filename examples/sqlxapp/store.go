// Command sqlxapp is a sample application on sqlx, for docs/adopt-sqlx.md: it keeps patients.
package main

import (
	"context"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/colseal/colseal/schema"
)

// Patient is a row of patients.
type Patient struct {
	ID    int64     `db:"id"`
	Name  string    `db:"name"  seal:"random,stage=copy"`
	Email string    `db:"email" seal:"deterministic,stage=copy"`
	Born  time.Time `db:"born"  seal:"random,kind=date,stage=copy"`
	Ward  string    `db:"ward"`
}

var tables = schema.Must(schema.Model("patients", Patient{}))

// Store is the application's only way to the database.
type Store struct{ db *sqlx.DB }

const insert = `INSERT INTO patients (name, email, born, ward) VALUES ($1, $2, $3, $4) RETURNING id`

// Add stores a patient and returns the id.
func (s Store) Add(ctx context.Context, p Patient) (id int64, err error) {
	err = s.db.GetContext(ctx, &id, insert, p.Name, p.Email, p.Born, p.Ward)
	return id, err
}

// ByEmail finds a patient by the e-mail address.
func (s Store) ByEmail(ctx context.Context, email string) (p Patient, err error) {
	err = s.db.GetContext(ctx, &p, `SELECT id, name, email, born, ward FROM patients WHERE email = $1`, email)
	return p, err
}

// OfWard lists the patients of a ward.
func (s Store) OfWard(ctx context.Context, ward string) (all []Patient, err error) {
	err = s.db.SelectContext(ctx, &all, `SELECT id, name, email, born, ward FROM patients WHERE ward = $1 ORDER BY id`, ward)
	return all, err
}

// Rename changes a patient's name.
func (s Store) Rename(ctx context.Context, email, name string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE patients SET name = $1 WHERE email = $2`, name, email)
	return err
}

// Find lists the patients of a ward whose name contains a text. The names are compared here, where
// they are in plaintext.
func (s Store) Find(ctx context.Context, ward, part string) (found []Patient, err error) {
	all, err := s.OfWard(ctx, ward)
	for _, p := range all {
		if strings.Contains(strings.ToLower(p.Name), strings.ToLower(part)) {
			found = append(found, p)
		}
	}
	return found, err
}
