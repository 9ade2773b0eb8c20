package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"

	"github.com/colseal/colseal/driver"
)

// office lists the forms. It has the key service, and no more configuration than any other program.
func (p place) office(ctx context.Context, out io.Writer) error {
	config := p.config
	config.KMS = p.kms
	driver.Register("office", config)
	db, err := sql.Open("office", p.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT id, name, tax FROM "+table+" ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var f Form
		if err := rows.Scan(&f.ID, &f.Name, &f.Tax); err != nil {
			return err
		}
		fmt.Fprintf(out, "  %d  %s  %s\n", f.ID, f.Name, f.Tax)
	}
	return rows.Err()
}
