package front

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/schema"
)

// The keyring holds no connection to a server while it is idle, and keeps its only one to SQLite, whose database may be in memory.
func TestIdleConnections(t *testing.T) {
	for d, want := range map[dialect.Dialect]int64{dialect.Postgres: 0, dialect.SQLite: 1} {
		synctest.Test(t, func(t *testing.T) {
			cn := &counting{}
			db := New(Config{Schema: schema.Must(schema.Columns("users", schema.Column{Name: "email"})), Dialect: d, KMS: keytest.NewKMS(),
				Connector: cn, KeyTable: "colseal_keys"})
			defer func() { _ = db.Close() }()
			store, err := db.Keyring(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := store.Keys(t.Context(), []uint32{1}); err != nil {
					t.Fatal(err)
				}
				if n := cn.open.Load(); n != 1 {
					t.Errorf("dialect %v: %d connections in use, want 1", d, n)
				}
				time.Sleep(3 * keyringIdleTime)
				synctest.Wait()
				if n := cn.open.Load(); n != want {
					t.Errorf("dialect %v: %d connections when idle, want %d", d, n, want)
				}
			}
			if d == dialect.SQLite && cn.opened.Load() != 1 {
				t.Errorf("%d connections were opened", cn.opened.Load())
			}
		})
	}
}

// A transaction does not wait long for a keyring that does not answer: it may hold the connection that the keyring waits for.
func TestHurryInTransaction(t *testing.T) {
	for status, want := range map[byte]time.Duration{'I': 30 * time.Second, 'T': 2 * time.Second, 0: 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			db := New(Config{Schema: schema.Must(schema.Columns("users", schema.Column{Name: "email"})), Dialect: dialect.Postgres, KMS: keytest.NewKMS(),
				Connector: &counting{hangs: true}, KeyTable: "colseal_keys"})
			defer func() { _ = db.Close() }()
			began := time.Now()
			_, err := db.NewSession(statusConn(status)).openedKeys(t.Context())
			if took := time.Since(began); err == nil || took != want {
				t.Errorf("transaction status %q: %v after %v, want an error after %v", status, err, took, want)
			}
			if n := db.keys.held.Load(); n != 0 {
				t.Errorf("%d sessions are still held", n)
			}
		})
	}
}

// A connection that comes back within a transaction of the keyring's is not used. One whose own transaction failed meanwhile, as the
// rest of a result was read, is: what failed is what the program is to be told.
func TestReturnedStatus(t *testing.T) {
	for statuses, want := range map[[2]byte]error{{'I', 'I'}: nil, {'I', 'T'}: errNotReturned, {'T', 'T'}: nil, {'T', 'E'}: nil} {
		db := New(Config{Dialect: dialect.Postgres})
		conn := &lentConn{statusConn: statusConn(statuses[0]), lent: make(chan struct{})}
		err := db.NewSession(conn).waiting(t.Context(), nil, func() error {
			<-conn.lent
			conn.statusConn = statusConn(statuses[1])
			return nil
		})
		if !errors.Is(err, want) {
			t.Errorf("from %q to %q: %v, want %v", statuses[0], statuses[1], err, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// lentConn tells when it is lent.
type lentConn struct {
	statusConn
	lent chan struct{}
}

func (c *lentConn) Parameter(name string) string {
	if name == "client_encoding" { // in a foreign one nothing is lent
		close(c.lent)
	}
	return ""
}

func (*lentConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, io.EOF
}

func (*lentConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, io.EOF
}

// statusConn is a connection with a transaction status.
type statusConn byte

func (c statusConn) TxStatus() byte        { return byte(c) }
func (statusConn) Parameter(string) string { return "" }
func (statusConn) Query(context.Context, string, ...driver.Value) ([]dbcatalog.Row, error) {
	return nil, io.EOF
}
func (statusConn) Exec(context.Context, string, ...driver.Value) (int64, error) { return 0, io.EOF }

// counting opens connections to nothing, and counts them.
type counting struct {
	open, opened atomic.Int64
	hangs        bool
}

func (c *counting) Driver() driver.Driver { return nil }

func (c *counting) Connect(context.Context) (driver.Conn, error) {
	c.open.Add(1)
	c.opened.Add(1)
	return &countedConn{c}, nil
}

type countedConn struct{ of *counting }

func (c *countedConn) Close() error {
	c.of.open.Add(-1)
	return nil
}

func (c *countedConn) Begin() (driver.Tx, error) { return nil, io.EOF }
func (c *countedConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return nil, io.EOF
}
func (c *countedConn) Prepare(string) (driver.Stmt, error) { return nil, io.EOF }
func (c *countedConn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return nil, io.EOF
}
func (c *countedConn) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	if c.of.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return driver.RowsAffected(0), nil
}

func (c *countedConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if strings.Contains(query, "to_regclass") {
		return &listed{columns: 3, rows: [][]driver.Value{{"public", "r", "p"}}}, nil
	}
	return &listed{}, nil
}

type listed struct {
	columns int
	rows    [][]driver.Value
}

func (l *listed) Columns() []string { return make([]string, l.columns) }
func (l *listed) Close() error      { return nil }

func (l *listed) Next(dest []driver.Value) error {
	if len(l.rows) == 0 {
		return io.EOF
	}
	copy(dest, l.rows[0])
	l.rows = l.rows[1:]
	return nil
}
