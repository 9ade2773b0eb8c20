// Package colsealed is a part of the copy of pgx that pgxsuite makes: the tests of pgx and pgxpool get their connections here, with sealed
// columns.
package colsealed

import (
	"context"
	"errors"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

type (
	Conn = pgxseal.Conn
	Pool = pgxseal.Pool
	Tx   = pgxseal.Tx
)

// Config seals nothing that the tests touch.
func Config() driver.Config {
	config := driver.Config{KMS: noKMS{}, Schema: schema.Must()}
	if os.Getenv("COLSEAL_PGXSUITE_TAGGED") != "" {
		config.Schema = schema.Must(schema.Columns("colseal_elsewhere", schema.Column{Name: "secret"}))
	}
	return config
}

func Connect(ctx context.Context, connString string) (*Conn, error) {
	return pgxseal.Connect(ctx, connString, Config())
}

func ConnectConfig(ctx context.Context, config *pgx.ConnConfig) (*Conn, error) {
	return pgxseal.ConnectConfig(ctx, config, Config())
}

func New(ctx context.Context, connString string) (*Pool, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, err
	}
	return NewWithConfig(ctx, config)
}

func NewWithConfig(ctx context.Context, config *pgxpool.Config) (*Pool, error) {
	return pgxseal.New(ctx, config, Config())
}

// noKMS is not to be called: with nothing sealed, no key is needed.
type noKMS struct{}

var errNoKMS = errors.New("a key was asked for, though nothing is sealed")

func (noKMS) GenerateDataKey(context.Context, kms.EncryptionContext) (kms.DataKey, error) {
	return kms.DataKey{}, errNoKMS
}

func (noKMS) Unwrap(context.Context, kms.Wrapped, kms.EncryptionContext) ([]byte, error) {
	return nil, errNoKMS
}

func (noKMS) Rewrap(context.Context, kms.Wrapped, kms.EncryptionContext, kms.EncryptionContext) (kms.Wrapped, error) {
	return kms.Wrapped{}, errNoKMS
}
