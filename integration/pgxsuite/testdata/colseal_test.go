// This file joins pgx's stdlib tests in the copy that pgxsuite makes: it is where their connections are wrapped.

package stdlib_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// wrapped counts what went through the wrapper; unwrapped, connections that did not.
var wrapped, unwrapped atomic.Int64

func TestMain(m *testing.M) {
	config := colsealConfig()
	config.Driver = stdlib.GetDefaultDriver()
	driver.Register("pgx-colseal", config)
	driver.Register("pgx/v5-colseal", config)
	code := m.Run()
	fmt.Printf("colseal: %d wrapped, %d unwrapped\n", wrapped.Load(), unwrapped.Load())
	if wrapped.Load() == 0 || unwrapped.Load() != 0 {
		code = 1
	}
	os.Exit(code)
}

// colsealConfig seals nothing that the tests touch.
func colsealConfig() driver.Config {
	config := driver.Config{KMS: noKMS{}, Schema: schema.Must()}
	if os.Getenv("COLSEAL_PGXSUITE_TAGGED") != "" {
		config.Schema = schema.Must(schema.Columns("colseal_elsewhere", schema.Column{Name: "secret"}))
	}
	return config
}

func colsealOpenDB(connector func(pgx.ConnConfig, ...stdlib.OptionOpenDB) sqldriver.Connector,
	config pgx.ConnConfig, opts ...stdlib.OptionOpenDB) *sql.DB {
	c, err := driver.NewConnector(connector(config, opts...), colsealConfig())
	if err != nil {
		panic(err)
	}
	wrapped.Add(1)
	return sql.OpenDB(c)
}

func colsealOpenDBFromPool(connector func(*pgxpool.Pool, ...stdlib.OptionOpenDB) sqldriver.Connector,
	pool *pgxpool.Pool, opts ...stdlib.OptionOpenDB) *sql.DB {
	c, err := driver.NewConnector(connector(pool, opts...), colsealConfig())
	if err != nil {
		panic(err)
	}
	wrapped.Add(1)
	db := sql.OpenDB(c)
	db.SetMaxIdleConns(0)
	return db
}

// colsealInner is pgx's connection inside the wrapper's.
func colsealInner(driverConn any) any {
	if _, bare := driverConn.(*stdlib.Conn); bare {
		unwrapped.Add(1)
		return driverConn
	}
	inner, ok := driver.Raw(driverConn)
	if !ok {
		unwrapped.Add(1)
	}
	return inner
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
