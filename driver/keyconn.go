package driver

import (
	sqldriver "database/sql/driver"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// direct returns a connector that opens connections as cn does, but never waits for a pool. That is
// cn itself, unless cn takes its connections from a pool of pgx (stdlib.GetPoolConnector).
// Statements that wait for a key may hold all connections of such a pool.
func direct(cn sqldriver.Connector) sqldriver.Connector {
	pool := poolOf(cn)
	if pool == nil {
		return cn
	}
	cfg := pool.Config()
	var opts []stdlib.OptionOpenDB
	if cfg.BeforeConnect != nil {
		opts = append(opts, stdlib.OptionBeforeConnect(cfg.BeforeConnect))
	}
	if cfg.AfterConnect != nil {
		opts = append(opts, stdlib.OptionAfterConnect(cfg.AfterConnect))
	}
	return stdlib.GetConnector(*cfg.ConnConfig, opts...)
}

// poolOf returns the pool from which a connector of pgx takes its connections, or nil. pgx does not
// tell, so poolOf reads the connector's field. A test holds that it is there.
func poolOf(cn sqldriver.Connector) *pgxpool.Pool {
	v := reflect.ValueOf(cn)
	if v.Type() != reflect.TypeOf(stdlib.GetConnector(pgx.ConnConfig{})) || v.Kind() != reflect.Struct {
		return nil
	}
	f := v.FieldByName("pool")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*pgxpool.Pool]() {
		return nil
	}
	return (*pgxpool.Pool)(f.UnsafePointer())
}
