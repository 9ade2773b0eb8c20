package sealeddb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
)

type conn struct {
	driver.Conn
	db *DB
}

func (c conn) SealedDB() (*DB, dbcatalog.Querier) { return c.db, nil }

type raw struct {
	driver.Conn
	below driver.Conn
}

func (c raw) Raw() driver.Conn { return c.below }

type wrapped struct {
	driver.Conn
	below driver.Conn
}

func (c wrapped) WrappedConn() driver.Conn { return c.below }

func TestOf(t *testing.T) {
	ours := conn{db: &DB{}}
	var plain struct{ driver.Conn }
	tests := []struct {
		name string
		conn any
		ok   bool
	}{
		{"ours", ours, true},
		{"below a wrapper with Raw", raw{below: ours}, true},
		{"below a wrapper with WrappedConn", wrapped{below: ours}, true},
		{"below two", raw{below: wrapped{below: ours}}, true},
		{"another driver's", plain, false},
		{"another driver's below a wrapper", raw{below: plain}, false},
		{"a wrapper of nothing", raw{}, false},
		{"nothing", nil, false},
	}
	for _, tt := range tests {
		db, _, ok := Of(tt.conn)
		if ok != tt.ok || ok && db != ours.db {
			t.Errorf("%s: Of = %v, %v, want %v", tt.name, db, ok, tt.ok)
		}
	}
}

type connector struct{ conn driver.Conn }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.conn, nil }
func (c connector) Driver() driver.Driver                        { return nil }

func (c conn) Close() error { return nil }
func (c raw) Close() error  { return nil }

func TestWith(t *testing.T) {
	ours := conn{db: &DB{}}
	for _, tt := range []struct {
		conn driver.Conn
		want error
	}{{raw{below: ours}, nil}, {raw{}, ErrNotOurs}} {
		db := sql.OpenDB(connector{tt.conn})
		called := false
		err := With(t.Context(), db, func(d *DB, _ dbcatalog.Querier) error {
			called = d == ours.db
			return nil
		})
		if err != tt.want || called != (err == nil) {
			t.Errorf("With on %T = %v, called %v, want %v", tt.conn, err, called, tt.want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
