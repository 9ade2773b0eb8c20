package hot

import (
	"sync/atomic"
	"unsafe"
)

// A Counter is one that many goroutines may add to at once without sharing a
// cache line: a single word would cost more than the lookup that it counts. The zero
// value is ready to use.
type Counter [32]struct {
	n atomic.Uint64
	_ [56]byte
}

// Add adds n.
func (c *Counter) Add(n uint64) {
	// The address of a local variable tells goroutines apart for free, since
	// every goroutine has its own stack. It is only ever used as a number, and
	// any number is right: it picks the line, the sum is over all of them.
	var here byte
	mix := uint64(uintptr(unsafe.Pointer(&here))>>9) * 0x9E3779B97F4A7C15 //nolint:gosec // never a pointer again
	c[mix>>59].n.Add(n)
}

// Load returns the sum. Adding that goes on meanwhile may count or not.
func (c *Counter) Load() uint64 {
	var sum uint64
	for i := range c {
		sum += c[i].n.Load()
	}
	return sum
}
