package front

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/schema"
)

// panicking is a connection on which a tracer of the program's panics.
type panicking struct{ statusConn }

func (panicking) Query(context.Context, string, ...driver.Value) ([]dbcatalog.Row, error) {
	panic("a tracer")
}

// TestPanicsInSurvey: a panic of the program's own code while the catalog is read keeps no other session waiting, and ends no process
// where nobody can catch it.
func TestPanicsInSurvey(t *testing.T) {
	var connect func() (Conn, func() error, error)
	db := New(Config{Schema: schema.Must(schema.Columns("users", schema.Column{Name: "email"})), Dialect: dialect.Postgres, KMS: keytest.NewKMS(),
		KeyTable: "colseal_keys", Connect: func(context.Context) (Conn, func() error, error) { return connect() }})
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		func() {
			defer func() {
				if thrown := recover(); thrown != "a tracer" {
					t.Errorf("%v", thrown)
				}
			}()
			t.Error(db.NewSession(panicking{'I'}).surveyShared(ctx))
		}()
	}
	for _, connect = range []func() (Conn, func() error, error){
		func() (Conn, func() error, error) { panic("a hook") },
		func() (Conn, func() error, error) { return nil, nil, fmt.Errorf("no server: %w", driver.ErrBadConn) },
	} {
		if _, err := db.lookAfresh(ctx); err == nil || errors.Is(err, driver.ErrBadConn) {
			t.Errorf("%v", err)
		}
	}
}

// hanging is a connection to a server that does not answer any more.
type hanging struct{ statusConn }

func (hanging) Query(ctx context.Context, _ string, _ ...driver.Value) ([]dbcatalog.Row, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSurveyHangs: a connection that is dead, and whose statement has no deadline, keeps the others waiting for a while only.
func TestSurveyHangs(t *testing.T) {
	for status, want := range map[byte]time.Duration{'I': surveyPatience, 'T': surveyPatienceTx} {
		synctest.Test(t, func(t *testing.T) {
			db := New(Config{Schema: schema.Must(schema.Columns("users", schema.Column{Name: "email"})), Dialect: dialect.Postgres, KMS: keytest.NewKMS(),
				KeyTable: "colseal_keys"})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _ = db.NewSession(hanging{'I'}).surveyShared(ctx) }()
			synctest.Wait()
			began := time.Now()
			err := db.NewSession(statusConn(status)).surveyShared(t.Context())
			if took := time.Since(began); took != want || !errors.Is(err, io.EOF) {
				t.Errorf("status %q: after %v: %v", status, took, err)
			}
			cancel()
			synctest.Wait()
			_ = db.Close()
		})
	}
}
