package snippets

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/awskms" // kms.Open knows awskms:// by this import
	"github.com/colseal/colseal/schema"
)

type User struct {
	ID    int64
	Email string    `db:"email" seal:"deterministic"` // equality search works
	SSN   *string   `db:"ssn"   seal:"random"`        // strongest; no search
	Born  time.Time `db:"born"  seal:"random,kind=date"`
}

var tables = schema.Must(schema.Model("users", User{}))

func open(ctx context.Context, dsn string) (*sql.DB, error) {
	key, err := kms.Open(ctx, "awskms:///alias/app?region=eu-west-1")
	if err != nil {
		return nil, err
	}
	driver.Register("pgx-colseal", driver.Config{
		Driver: stdlib.GetDefaultDriver(),
		Schema: tables,
		KMS:    key,
	})
	return sql.Open("pgx-colseal", dsn)
}
