// Package before has what the application did before Colseal, and cannot do with it.
package before

import (
	"context"

	"github.com/jmoiron/sqlx"
)

// Find lists the ids of the patients of a ward whose name contains a text.
func Find(ctx context.Context, db *sqlx.DB, ward, part string) (ids []int64, err error) {
	err = db.SelectContext(ctx, &ids, `SELECT id FROM patients WHERE ward = $1 AND name ILIKE '%' || $2 || '%'`, ward, part)
	return ids, err
}
