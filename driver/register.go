package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
)

// Register makes the wrapped driver available to sql.Open under name. As sql.Register
// does, it panics if the driver is nil or the name is taken. Whatever else is wrong
// with cfg is reported by sql.Open.
func Register(name string, cfg Config) {
	if cfg.Driver == nil {
		panic("colseal: Register driver is nil")
	}
	sql.Register(name, &wrapped{cfg: cfg})
}

// wrapped is a wrapped driver: the one that sql.Open finds, and the one that a
// database handle's Driver method returns, which knows the handle's state.
type wrapped struct {
	cfg Config
	st  *state // nil for the registered one
}

// Open implements driver.Driver. The connection owns all that was opened with it.
func (d *wrapped) Open(dsn string) (sqldriver.Conn, error) {
	cn, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	own := cn.(*connector)
	c, err := own.connect(context.Background())
	if err != nil {
		own.Close()
		return nil, err
	}
	c.owner = own
	return c.exported(), nil
}

// OpenConnector implements driver.DriverContext. It opens no connection.
func (d *wrapped) OpenConnector(dsn string) (sqldriver.Connector, error) {
	var inner sqldriver.Connector = dsnConnector{dsn: dsn, driver: d.cfg.Driver}
	if dc, ok := d.cfg.Driver.(sqldriver.DriverContext); ok {
		cn, err := dc.OpenConnector(dsn)
		if err != nil {
			return nil, err
		}
		inner = cn
	}
	return newConnector(inner, d.cfg)
}

// dsnConnector is what database/sql makes of a driver without OpenConnector.
type dsnConnector struct {
	dsn    string
	driver sqldriver.Driver
}

func (c dsnConnector) Connect(context.Context) (sqldriver.Conn, error) { return c.driver.Open(c.dsn) }
func (c dsnConnector) Driver() sqldriver.Driver                        { return c.driver }
