package driver

import (
	sqldriver "database/sql/driver"
	"testing"
)

// tracedConn is a connection as wrappers for tracing make them.
type tracedConn struct{ sqldriver.Conn }

func (c tracedConn) Raw() sqldriver.Conn { return c.Conn }

func TestUnwrapConn(t *testing.T) {
	c := &conn{}
	tests := []struct {
		name string
		conn any
		want *conn
	}{
		{"ours", c, c},
		{"with a Validator", validConn{c}, c},
		{"traced", tracedConn{validConn{c}}, c},
		{"traced twice", tracedConn{tracedConn{c}}, c},
		{"another driver's, traced", tracedConn{&bareConn{}}, nil},
		{"a wrapper of nothing", tracedConn{}, nil},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		if got, ok := unwrapConn(tt.conn); got != tt.want || ok != (tt.want != nil) {
			t.Errorf("%s: unwrapConn = %p, %v, want %p", tt.name, got, ok, tt.want)
		}
	}
}
