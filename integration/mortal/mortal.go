// Package mortal ends a process, for tests, with a signal that it cannot catch, at a chosen one of its steps. A step
// is a message to the database or from it, or a request to KMS or its answer.
package mortal

import (
	"context"
	"net"
	"os"
	"sync/atomic"

	"github.com/colseal/colseal/kms"
)

// A Life counts the steps of this process. It is safe for concurrent use.
type Life struct {
	dieAt atomic.Int64
	steps atomic.Int64
}

// New returns a Life that ends at the given step, counted from 1; 0 means never.
func New(dieAt int64) *Life {
	l := &Life{}
	l.dieAt.Store(dieAt)
	return l
}

// Restart forgets the steps so far and sets the one at which it ends. It returns the one set before. No step may be
// under way.
func (l *Life) Restart(dieAt int64) (before int64) {
	l.steps.Store(0)
	return l.dieAt.Swap(dieAt)
}

// Steps returns how many there were.
func (l *Life) Steps() int64 { return l.steps.Load() }

// Step is one step.
func (l *Life) Step() {
	if l.steps.Add(1) != l.dieAt.Load() {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		_ = self.Kill()
	}
	select {} // the signal comes
}

// A Dialer opens network connections.
type Dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial returns dial with steps in what it opens.
func (l *Life) Dial(dial Dialer) Dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn{c, l}, nil
	}
}

type conn struct {
	net.Conn
	life *Life
}

func (c conn) Write(b []byte) (int, error) {
	c.life.Step() // before it is sent
	n, err := c.Conn.Write(b)
	c.life.Step() // after it was, and before anybody knows what became of it
	return n, err
}

func (c conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.life.Step() // the server has done it, and we do not know
	return n, err
}

// KMS returns w with a step before and after each request.
func (l *Life) KMS(w kms.Wrapper) kms.Wrapper { return wrapper{w, l} }

type wrapper struct {
	kms  kms.Wrapper
	life *Life
}

func (w wrapper) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	w.life.Step()
	defer w.life.Step()
	return w.kms.GenerateDataKey(ctx, ec)
}

func (w wrapper) Unwrap(ctx context.Context, wrapped kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	w.life.Step()
	defer w.life.Step()
	return w.kms.Unwrap(ctx, wrapped, ec)
}

func (w wrapper) Rewrap(ctx context.Context, wrapped kms.Wrapped, from, to kms.EncryptionContext) (kms.Wrapped, error) {
	w.life.Step()
	defer w.life.Step()
	return w.kms.Rewrap(ctx, wrapped, from, to)
}

func (w wrapper) Trusts(kek string) bool {
	t, ok := w.kms.(kms.Truster)
	return ok && t.Trusts(kek)
}
