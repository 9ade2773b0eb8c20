package driver

import (
	"context"
	sqldriver "database/sql/driver"
)

// scratch is memory that a connection's statements use one after another. Each takes it
// away while it uses it, so that a Valuer which comes back to the same connection finds
// none and makes its own.
type scratch struct {
	args []sqldriver.NamedValue
	keys []columnKeys
}

// maxScratchArgs bounds what a connection keeps, to some 20 KB.
const maxScratchArgs = 512

// takeArgs returns a list of n arguments to send. What pgx is given it copies before it
// returns; another driver might keep the list, so that it gets one of its own each time.
func (c *conn) takeArgs(n int) []sqldriver.NamedValue {
	args := c.scratch.args
	if c.pg == nil || n > cap(args) {
		return make([]sqldriver.NamedValue, n)
	}
	c.scratch.args = nil
	return args[:n]
}

// giveArgs takes a list of takeArgs back when the inner driver has returned, or when
// nothing is sent. It is wiped: it may hold what was not sealed yet.
func (c *conn) giveArgs(args []sqldriver.NamedValue) {
	if c.pg == nil {
		return
	}
	clear(args)
	if cap(args) > 0 && cap(args) <= maxScratchArgs {
		c.scratch.args = args[:0]
	}
}

// newSealer returns a sealer for one statement. Its done must be called.
func (c *conn) newSealer(ctx context.Context) sealer {
	s := sealer{ctx: ctx, c: c, keys: c.scratch.keys[:0]}
	c.scratch.keys = nil
	return s
}

// done gives the sealer's memory back. Keys are not kept beyond a statement: they may
// leave the cache.
func (s *sealer) done() {
	clear(s.keys)
	s.c.scratch.keys = s.keys[:0]
}
