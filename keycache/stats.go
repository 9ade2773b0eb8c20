package keycache

import (
	"sync/atomic"
	"unsafe"
)

// Stats are counts since the Cache was made, but for those that say "now". They
// are read one by one, so they need not fit together exactly.
type Stats struct {
	Hits       uint64 // lookups answered from memory
	Misses     uint64 // lookups that had to wait for the keyring or KMS
	Refreshes  uint64 // plaintext keys unwrapped again ahead of MaxAge
	StaleHits  uint64 // lookups answered past MaxAge because KMS or the keyring was unavailable
	Evictions  uint64 // plaintext keys dropped: for space, age, or because KMS refused
	Created    uint64 // data keys that this process made and won
	Rotations  uint64 // those of them that followed an earlier one
	KMSCalls   uint64 // calls to KMS, retries included
	KMSErrors  uint64 // those that failed
	KMSOpen    bool   // now: the circuit breaker keeps calls from KMS
	Entries    int    // now: plaintext data keys held
	Scopes     int    // now: pairs of purpose and scope held
	SealsTaken uint64 // cells that Sealer handed out a key for
}

type counters struct {
	misses, refreshes, staleHits, evictions   atomic.Uint64
	created, rotations, kmsCalls, kmsFailures atomic.Uint64
}

// spread is a counter that many goroutines may add to at once without sharing a
// cache line: a single one would cost more than the lookup it counts.
type spread [32]struct {
	n atomic.Uint64
	_ [56]byte
}

func (s *spread) add(n uint64) {
	// The address of a local variable tells goroutines apart for free, since
	// every goroutine has its own stack. It is only ever used as a number, and
	// any number is right: it picks the line, the sum is over all of them.
	var here byte
	mix := uint64(uintptr(unsafe.Pointer(&here))>>9) * 0x9E3779B97F4A7C15 //nolint:gosec // never a pointer again
	s[mix>>59].n.Add(n)
}

func (s *spread) load() uint64 {
	var sum uint64
	for i := range s {
		sum += s[i].n.Load()
	}
	return sum
}

// Stats returns the counts. It is safe to call at any time, after Close too.
func (c *Cache) Stats() Stats {
	return Stats{
		Hits:       c.hits.load(),
		SealsTaken: c.seals.load(),
		Misses:     c.count.misses.Load(),
		Refreshes:  c.count.refreshes.Load(),
		StaleHits:  c.count.staleHits.Load(),
		Evictions:  c.count.evictions.Load(),
		Created:    c.count.created.Load(),
		Rotations:  c.count.rotations.Load(),
		KMSCalls:   c.count.kmsCalls.Load(),
		KMSErrors:  c.count.kmsFailures.Load(),
		KMSOpen:    c.gate.open(),
		Entries:    c.entries.len(),
		Scopes:     c.rings.len(),
	}
}
