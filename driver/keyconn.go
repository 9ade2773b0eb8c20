package driver

import (
	sqldriver "database/sql/driver"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// direct returns a connector that opens connections of its own, as cn's are made: cn itself, unless that takes them from a pool of pgx's
// (stdlib.GetPoolConnector). All connections of such a pool may be held by those that wait for a key, so none of them may have to
// wait for the pool.
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

// poolOf returns the pool that a connector of pgx's takes its connections from, or nil. pgx does not tell, so the connector's field is
// read. A test holds that it is there.
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
