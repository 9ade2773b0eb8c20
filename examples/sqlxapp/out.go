package main

import (
	"context"

	"github.com/jmoiron/sqlx"
)

// copyOut writes the sealed values to the plain columns.
func copyOut(ctx context.Context, db *sqlx.DB) error {
	var all []Patient
	if err := db.SelectContext(ctx, &all, `SELECT id, name, email, born, ward FROM patients`); err != nil {
		return err
	}
	for _, p := range all {
		if _, err := db.ExecContext(ctx, `UPDATE patients SET plain_name = $1, plain_email = $2, plain_born = $3 WHERE id = $4`,
			p.Name, p.Email, p.Born, p.ID); err != nil {
			return err
		}
	}
	return nil
}

var _ = copyOut
