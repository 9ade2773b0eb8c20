package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
)

// NewConnector wraps a connector, for sql.OpenDB. It opens no connection: the keyring
// is first read when a key is first needed. Closing the *sql.DB closes what the
// connector opened, and the inner connector if that is an io.Closer.
func NewConnector(inner sqldriver.Connector, cfg Config) (sqldriver.Connector, error) {
	if inner == nil {
		return nil, errors.New("colseal: NewConnector: the inner connector is nil")
	}
	cfg.Driver = inner.Driver()
	return newConnector(inner, cfg)
}

func newConnector(inner sqldriver.Connector, cfg Config) (*connector, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &connector{inner: inner, st: newState(inner, cfg)}, nil
}

// connector makes wrapped connections, which share one state.
type connector struct {
	inner sqldriver.Connector
	st    *state
}

// Connect implements driver.Connector. Errors are the inner driver's, as they are.
func (cn *connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	c, err := cn.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.exported(), nil
}

func (cn *connector) connect(ctx context.Context) (*conn, error) {
	inner, err := cn.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(cn.st, inner), nil
}

// Driver implements driver.Connector. The driver that it returns belongs to this
// connector, so that Stats finds the way back without a global table.
func (cn *connector) Driver() sqldriver.Driver {
	return &wrapped{cfg: cn.st.cfg, st: cn.st}
}

// Close implements io.Closer, which sql.DB.Close calls.
func (cn *connector) Close() error {
	err := cn.st.close()
	if cl, ok := cn.inner.(io.Closer); ok {
		err = errors.Join(err, cl.Close())
	}
	return err
}

// unclosed hides that a connector is an io.Closer: the keyring's own pool must not
// close what belongs to the application's.
type unclosed struct{ inner sqldriver.Connector }

func (u unclosed) Connect(ctx context.Context) (sqldriver.Conn, error) { return u.inner.Connect(ctx) }
func (u unclosed) Driver() sqldriver.Driver                            { return u.inner.Driver() }
