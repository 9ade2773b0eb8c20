package keyring

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// noPool is a database that never connects.
type noPool struct{}

func (noPool) Connect(ctx context.Context) (driver.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (noPool) Driver() driver.Driver { return nil }

// lentOut is a connection that notes what is sent over it. As pgx does, it sends nothing under a context that has ended.
type lentOut struct {
	status byte
	sent   []string
}

func (c *lentOut) ExecContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c.sent = append(c.sent, query)
	switch word, _, _ := strings.Cut(query, " "); word {
	case "BEGIN":
		c.status = 'T'
	case "COMMIT":
		c.status = 'I'
	case "ROLLBACK":
		if query == "ROLLBACK" {
			c.status = 'I'
		}
	}
	return driver.ResultNoRows, nil
}

func (c *lentOut) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	return &oneRow{row: []driver.Value{"read committed", false}}, ctx.Err()
}

func (c *lentOut) TxStatus() byte          { return c.status }
func (c *lentOut) Parameter(string) string { return "UTF8" }

type oneRow struct{ row []driver.Value }

func (r *oneRow) Columns() []string { return make([]string, 2) }
func (r *oneRow) Close() error      { return nil }
func (r *oneRow) Next(dest []driver.Value) error {
	if r.row == nil {
		return io.EOF
	}
	copy(dest, r.row)
	r.row = nil
	return nil
}

// A connection that was lent is returned as it was, also if the owner's context ends meanwhile.
func TestLentConnectionIsReturned(t *testing.T) {
	for _, c := range []struct {
		status byte
		last   []string
	}{
		{'I', []string{"ROLLBACK"}},
		{'T', []string{"ROLLBACK TO SAVEPOINT colseal_keyring", "RELEASE SAVEPOINT colseal_keyring"}},
	} {
		db := sql.OpenDB(noPool{})
		defer func() { _ = db.Close() }()
		s := OpenStore(db, DialectPostgres, "")
		loans := NewLoans()
		loans.lent.Store(time.Now().UnixNano()) // so that the pool is not waited for long
		s.Borrow(loans)

		conn, done := &lentOut{status: c.status}, make(chan struct{})
		owner, leave := context.WithCancel(t.Context())
		failed := errors.New("the step failed")
		var err error
		go func() {
			defer close(done)
			err = s.onAny(t.Context(), step{run: func(context.Context, *sql.Conn) error {
				leave()
				return failed
			}})
		}()
		loans.Lend(owner, conn, done)
		<-done
		if !errors.Is(err, failed) {
			t.Fatalf("%c: %v", c.status, err)
		}
		if n := len(conn.sent) - len(c.last); conn.status != c.status || n < 0 || !slices.Equal(conn.sent[n:], c.last) {
			t.Errorf("%c: returned as %c, after %q", c.status, conn.status, conn.sent)
		}
	}
}
