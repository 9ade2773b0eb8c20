package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"io"

	"github.com/colseal/colseal/internal/front"
)

// Register makes the wrapped driver available to sql.Open under name. Like sql.Register, it panics
// if the driver is nil or the name is taken. sql.Open reports whatever else is wrong with cfg.
func Register(name string, cfg Config) {
	if cfg.Driver == nil {
		panic("colseal: Register driver is nil")
	}
	sql.Register(name, &wrapped{cfg: cfg})
}

// NewConnector wraps a connector, for sql.OpenDB. It opens no connection: the first use of a key
// reads the keyring. Closing the *sql.DB closes what the connector opened, and the underlying
// connector if that is an io.Closer.
func NewConnector(underlying sqldriver.Connector, cfg Config) (sqldriver.Connector, error) {
	if underlying == nil {
		return nil, errors.New("colseal: NewConnector: the underlying connector is nil")
	}
	cfg.Driver = underlying.Driver()
	return newConnector(underlying, cfg)
}

// wrapped is a wrapped driver. sql.Open finds one, and the Driver method of a *sql.DB returns one
// that knows what the connections of the *sql.DB share.
type wrapped struct {
	cfg Config
	db  *front.DB // nil for the registered one
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
		return nil, errors.Join(err, own.Close())
	}
	c.owner = own
	return c.exported(), nil
}

// OpenConnector implements driver.DriverContext. It opens no connection.
func (d *wrapped) OpenConnector(dsn string) (sqldriver.Connector, error) {
	var underlying sqldriver.Connector = dsnConnector{dsn: dsn, driver: d.cfg.Driver}
	if dc, ok := d.cfg.Driver.(sqldriver.DriverContext); ok {
		cn, err := dc.OpenConnector(dsn)
		if err != nil {
			return nil, err
		}
		underlying = cn
	}
	return newConnector(underlying, d.cfg)
}

// dsnConnector is what database/sql makes of a driver without OpenConnector.
type dsnConnector struct {
	dsn    string
	driver sqldriver.Driver
}

func (c dsnConnector) Connect(context.Context) (sqldriver.Conn, error) { return c.driver.Open(c.dsn) }
func (c dsnConnector) Driver() sqldriver.Driver                        { return c.driver }

// connector makes wrapped connections, which share one front.DB.
type connector struct {
	underlying sqldriver.Connector
	cfg        Config
	db         *front.DB
	resets     bool // see resetsSession
}

func newConnector(underlying sqldriver.Connector, cfg Config) (*connector, error) {
	shared, err := cfg.Front()
	if err != nil {
		return nil, err
	}
	cn := &connector{underlying: underlying, cfg: cfg, resets: resetsSession(underlying)}
	shared.Connector = direct(underlying)
	if shared.KeyConnector != nil {
		shared.KeyConnector = direct(shared.KeyConnector)
	}
	shared.Connect = func(ctx context.Context) (front.Conn, func() error, error) {
		u, err := cn.dial(ctx, shared.Connector)
		if err != nil {
			return nil, nil, err
		}
		return u, u.raw().Close, nil
	}
	cn.db = front.New(shared)
	return cn, nil
}

// dial opens an underlying connection.
func (cn *connector) dial(ctx context.Context, by sqldriver.Connector) (underlying, error) {
	raw, err := by.Connect(ctx)
	if err != nil {
		return nil, err
	}
	u, err := newUnderlying(raw, cn.cfg.Dialect)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return u, nil
}

// Connect implements driver.Connector. Errors are the underlying driver's, as they are.
func (cn *connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	c, err := cn.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.exported(), nil
}

func (cn *connector) connect(ctx context.Context) (*conn, error) {
	u, err := cn.dial(ctx, cn.underlying)
	if err != nil {
		return nil, err
	}
	cn.db.Opened(1)
	return newConn(cn, u), nil
}

// Driver implements driver.Connector. The driver that it returns belongs to this connector, so that
// Stats finds it without a global table.
func (cn *connector) Driver() sqldriver.Driver { return &wrapped{cfg: cn.cfg, db: cn.db} }

// Close implements io.Closer, which sql.DB.Close calls.
func (cn *connector) Close() error {
	err := cn.db.Close()
	if cl, ok := cn.underlying.(io.Closer); ok {
		err = errors.Join(err, cl.Close())
	}
	return err
}
