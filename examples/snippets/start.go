package snippets

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

func withoutAName(ctx context.Context, dsn string, key kms.Wrapper) (*sql.DB, error) {
	inner, err := stdlib.GetDefaultDriver().(*stdlib.Driver).OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	sealed, err := driver.NewConnector(inner, driver.Config{Schema: tables, KMS: key})
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(sealed), nil
}

func check(ctx context.Context, key kms.Wrapper) error {
	if c, ok := key.(kms.Checker); ok {
		return c.Check(ctx) // awskms: does the key exist, is it enabled, is it symmetric
	}
	return nil
}

func search(ctx context.Context, db *sql.DB, part string) error {
	_, err := db.QueryContext(ctx, "SELECT id FROM users WHERE email LIKE $1", part)
	var refused *driver.QueryError
	if errors.As(err, &refused) { // errors.Is(err, driver.ErrRefused) holds, too
		line, column := refused.Position()
		fmt.Println(refused.Table, refused.Column, line, column, refused.Reason, refused.Hint)
	}
	return err
}

func status(err error) int {
	switch {
	case errors.Is(err, driver.ErrRefused):
		return http.StatusInternalServerError // a bug in the program: the statement was not sent
	case errors.Is(err, driver.ErrKeyUnavailable):
		return http.StatusServiceUnavailable // KMS or the keyring cannot be reached: try again
	case errors.Is(err, driver.ErrKeyDestroyed):
		return http.StatusGone
	}
	return http.StatusInternalServerError
}

func tenants(ctx context.Context, db *sql.DB, ssn, id any) error {
	ctx = keyring.WithScope(ctx, "tenant:42")
	_, err := db.ExecContext(ctx, "UPDATE users SET ssn = $1 WHERE id = $2", ssn, id)
	return err
}

func keys() driver.Config {
	cfg := driver.Config{Schema: tables}
	cfg.Keys = keycache.Config{
		RotateEvery: 7 * 24 * time.Hour, // default 30 days
		MaxAge:      5 * time.Minute,    // default 10 minutes
		MaxStale:    -1,                 // no service past MaxAge while KMS is away; default 1 hour
	}
	return cfg
}

func reader() driver.Config {
	cfg := driver.Config{Schema: tables}
	cfg.Keys.ReadOnly = true // sealing needs a key that is there; nothing is reserved, made, or stored again
	return cfg
}

func operator(ctx context.Context, db *sql.DB, key kms.Wrapper) (keyring.Key, error) {
	admin := keyring.NewAdmin(keyring.OpenStore(db, keyring.DialectPostgres, ""), key, keyring.AdminConfig{By: "ann"})
	next, err := admin.Rotate(ctx, keyring.PurposeData, "tenant:42")
	return next, err
}

func swap(key kms.Wrapper, dsn string) error {
	driver.Register("pgx-colseal", driver.Config{Driver: stdlib.GetDefaultDriver(), Schema: tables, KMS: key})
	db, err := sql.Open("pgx-colseal", dsn)
	if err != nil {
		return err
	}
	return db.Close()
}
