package keycache

import (
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/keyring"
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
	Recovered  uint64 // data keys whose rows were lost, and that this process stored again
	Rotations  uint64 // those of them that followed an earlier one
	KMSCalls   uint64 // calls to KMS, retries included
	KMSErrors  uint64 // those that failed
	KMSOpen    bool   // now: the circuit breaker keeps calls from KMS
	Entries    int    // now: plaintext data keys held
	Scopes     int    // now: pairs of purpose and scope held
	SealsTaken uint64 // cells that Sealer handed out a key for

	KMSTime         time.Duration     // spent in calls to KMS, all together
	KMSErrorClasses map[string]uint64 // KMSErrors by kms.ErrorClass; nil when there are none

	// Of the keys that seal, in the scopes held. By what the keyring said when it
	// was last asked.
	DataKeyAge   time.Duration // now: of the oldest data key; 0 when there is none
	SearchKeyAge time.Duration // now: of the oldest search key; 0 when there is none
	BudgetLeft   float64       // now: the least share of MaxSeals that a data key has left; 1 when there is none
}

type counters struct {
	misses, refreshes, staleHits, evictions atomic.Uint64
	created, rotations, recovered           atomic.Uint64
}

// Stats returns the counts. It is safe to call at any time, after Close too.
func (c *Cache) Stats() Stats {
	calls := c.gate.Stats()
	s := Stats{
		Hits:       c.hits.Load(),
		SealsTaken: c.seals.Load(),
		Misses:     c.count.misses.Load(),
		Refreshes:  c.count.refreshes.Load(),
		StaleHits:  c.count.staleHits.Load(),
		Evictions:  c.count.evictions.Load(),
		Created:    c.count.created.Load(),
		Recovered:  c.count.recovered.Load(),
		Rotations:  c.count.rotations.Load(),
		KMSCalls:   calls.Calls,
		KMSOpen:    calls.Open,
		KMSTime:    calls.Elapsed,
		Entries:    c.entries.Len() + c.inboxes.Len(),
		Scopes:     c.rings.Len(),
	}
	s.KMSErrorClasses = calls.Errors
	for _, n := range calls.Errors {
		s.KMSErrors += n
	}
	c.readRings(&s)
	return s
}

// readRings looks at every ring held: microseconds for a thousand of them.
func (c *Cache) readRings(s *Stats) {
	s.BudgetLeft = 1
	for id, r := range c.rings.All() {
		state := r.current.Load()
		if state == nil {
			continue
		}
		k := state.keys[0]
		age := time.Since(k.born)
		if id.purpose == keyring.PurposeSearch {
			s.SearchKeyAge = max(s.SearchKeyAge, age)
			continue
		}
		s.DataKeyAge = max(s.DataKeyAge, age)
		s.BudgetLeft = min(s.BudgetLeft, k.share(c.cfg.MaxSeals))
	}
}

// share returns what is left of a key's seals, in [0,1]: those that nobody has reserved,
// and those that this process has.
func (k *liveKey) share(most uint64) float64 {
	used := float64(k.reserved.Load()) - float64(k.budget.left.Load())
	return min(max(1-used/float64(most), 0), 1)
}
