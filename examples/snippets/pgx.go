package snippets

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/pgxseal"
)

func openPool(ctx context.Context, dsn string) (*pgxseal.Pool, error) {
	key, err := kms.Open(ctx, "awskms:///alias/app?region=eu-west-1")
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return pgxseal.New(ctx, config, driver.Config{Schema: tables, KMS: key})
}

var _ = openPool
