package snippets

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/colseal/colseal"
)

func looks(ctx context.Context, db *sql.DB) (id int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT id FROM users WHERE email = $1", "ana@example.com").Scan(&id)
	return id, err
}

func refused(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "DELETE FROM users WHERE email LIKE $1", "%@example.com")
	fmt.Printf("%+v\n", err)       // the error, and on a second line what to do about it
	fmt.Println(colseal.Hint(err)) // what to do, alone
	return err
}
