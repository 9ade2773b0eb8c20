package keyring

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/kms"
)

// slow is a database whose connections, or statements, take a while.
type slow struct {
	connect, statement time.Duration
	statements         atomic.Int64
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slow) Driver() driver.Driver { return nil }
func (s *slow) Connect(ctx context.Context) (driver.Conn, error) {
	return slowConn{s}, wait(ctx, s.connect)
}

type slowConn struct{ *slow }

func (c slowConn) Prepare(string) (driver.Stmt, error) { return nil, io.EOF }
func (c slowConn) Begin() (driver.Tx, error)           { return nil, io.EOF }
func (c slowConn) Close() error                        { return nil }
func (c slowConn) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	c.statements.Add(1)
	return driver.RowsAffected(1), wait(ctx, c.statement)
}

func (c slowConn) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	c.statements.Add(1)
	return noRows{}, wait(ctx, c.statement)
}

type noRows struct{}

func (noRows) Columns() []string         { return nil }
func (noRows) Close() error              { return nil }
func (noRows) Next([]driver.Value) error { return io.EOF }

const never = time.Hour

// TestPatience: a step is tried again while the keyring does not answer, for as long as its caller's context allows and half a
// minute at most, or two seconds while something is in a hurry.
func TestPatience(t *testing.T) {
	keys := func(s *Store, ctx context.Context) error {
		_, err := s.Keys(ctx, []uint32{1})
		return err
	}
	for _, tt := range []struct {
		name    string
		dialect dialect.Dialect
		db      *slow
		step    func(*Store, context.Context) error // nil: keys
		context time.Duration                       // 0: none
		hurry   time.Duration                       // from when on; never: not
		want    time.Duration
		err     string // "" for success
		tries   int64  // statements
	}{
		{"at once", DialectPostgres, &slow{}, nil, 0, 0, 0, "", 1},
		{"within the first try", DialectPostgres, &slow{statement: time.Second}, nil, 0, 0, time.Second, "", 1},
		{"a busy server", DialectPostgres, &slow{statement: 3 * time.Second}, nil, 0, never, 5 * time.Second, "", 2},
		{"a very busy server", DialectPostgres, &slow{statement: 10 * time.Second}, nil, 0, never, 24 * time.Second, "", 4},
		{"connections take long", DialectPostgres, &slow{connect: 3 * time.Second}, nil, 0, never, 5 * time.Second, "", 1},
		{"SQLite", DialectSQLite, &slow{statement: 6 * time.Second}, nil, 0, never, 19 * time.Second, "", 4}, // with two pragmas
		{"no answer", DialectPostgres, &slow{statement: never}, nil, 0, never, 30 * time.Second, "no answer within 30s", 4},
		{"the caller's context", DialectPostgres, &slow{statement: never}, nil, 9 * time.Second, never, 9 * time.Second, "deadline exceeded", 3},
		{"in a hurry", DialectPostgres, &slow{statement: never}, nil, 0, 0, 2 * time.Second, "no answer within 2s", 1},
		{"in a hurry later", DialectPostgres, &slow{statement: never}, nil, 0, 9 * time.Second, 10 * time.Second, "no answer within 10s", 3},
		{"check", DialectPostgres, &slow{statement: 3 * time.Second}, (*Store).Check, 0, never, 5 * time.Second, "", 2},
		{"reserve", DialectPostgres, &slow{statement: 3 * time.Second}, func(s *Store, ctx context.Context) error {
			_, _, err := s.Reserve(ctx, 1, 1, 2)
			return err
		}, 0, never, 5 * time.Second, "", 2},
		{"insert", DialectPostgres, &slow{statement: 3 * time.Second}, func(s *Store, ctx context.Context) error {
			_, err := s.Insert(ctx, Key{ID: 1, Keyring: strings.Repeat("ab", idSize), Wrapped: kms.Wrapped{KeyID: "kek", Blob: []byte{1}}})
			if errors.Is(err, ErrKeyInvalid) { // there is no such row
				return nil
			}
			return err
		}, 0, never, 10 * time.Second, "", 4},
		// Made twice it would release twice what was reserved.
		{"release", DialectPostgres, &slow{statement: 3 * time.Second}, func(s *Store, ctx context.Context) error {
			return s.Release(ctx, 1, 1)
		}, 0, never, 2 * time.Second, "deadline exceeded", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := sql.OpenDB(tt.db)
				defer func() { _ = db.Close() }()
				s := OpenStore(db, tt.dialect, "")
				began := time.Now()
				s.HurryWhen(func() bool { return time.Since(began) >= tt.hurry })
				ctx := t.Context()
				if tt.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.context)
					defer cancel()
				}
				if tt.step == nil {
					tt.step = keys
				}
				err := tt.step(s, ctx)
				if took := time.Since(began); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
				if (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || !errors.Is(err, context.DeadlineExceeded)) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				if n := tt.db.statements.Load(); n != tt.tries {
					t.Errorf("%d statements, want %d", n, tt.tries)
				}
			})
		})
	}
}
