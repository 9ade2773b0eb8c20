// Package world is what the bench program's caches live in: a keyring and a KMS in
// memory, on the clock of package time, so that they run in real time and in a
// testing/synctest bubble alike. Nothing in it is secret or secure.
package world

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/colseal/colseal/keyring"
)

// A Keyring is a [keycache.Keyring] in memory. It is safe for concurrent use.
type Keyring struct {
	latency  time.Duration
	inserted func(scope string, id uint32)

	mu    sync.Mutex // guards the following
	byID  map[uint32]*row
	rings map[ring][]*row // newest first
}

type ring struct {
	purpose keyring.Purpose
	scope   string
}

type row struct {
	keyring.Key
	created, sealsFrom time.Time
}

// NewKeyring returns an empty keyring that answers after latency. inserted, if not
// nil, is told of every data key that is added, Seed's too; it must not block.
func NewKeyring(latency time.Duration, inserted func(scope string, id uint32)) *Keyring {
	if inserted == nil {
		inserted = func(string, uint32) {}
	}
	return &Keyring{latency: latency, inserted: inserted, byID: map[uint32]*row{}, rings: map[ring][]*row{}}
}

// Seed adds a data key of a certain age, at once. Keys of one scope are added
// oldest first.
func (k *Keyring) Seed(id uint32, scope string, age time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := ring{keyring.PurposeData, scope}
	created := time.Now().Add(-age)
	r := &row{created: created, sealsFrom: created, Key: keyring.Key{
		ID: id, Purpose: at.purpose, Scope: scope, Epoch: int64(len(k.rings[at]) + 1), Wrapped: wrap(),
	}}
	k.byID[id] = r
	k.rings[at] = slices.Insert(k.rings[at], 0, r)
	k.inserted(scope, id)
}

// Len returns the number of keys.
func (k *Keyring) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.byID)
}

func (r *row) read() keyring.Key {
	rec := r.Key
	rec.Age, rec.SealsFor = time.Since(r.created), time.Since(r.sealsFrom)
	return rec
}

func (k *Keyring) wait() {
	if k.latency > 0 {
		time.Sleep(k.latency)
	}
}

// Name implements [keycache.Keyring].
func (k *Keyring) Name() string { return "bench_keys" }

// Ring implements [keycache.Keyring]: the newest eight, as a store would bound it.
func (k *Keyring) Ring(_ context.Context, purpose keyring.Purpose, scope string) (keyring.Ring, error) {
	k.wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	rows := k.rings[ring{purpose, scope}]
	read := keyring.Ring{Keys: make([]keyring.Key, 0, min(len(rows), 8)), Next: 1}
	for _, r := range rows[:min(len(rows), 8)] {
		read.Keys = append(read.Keys, r.read())
		read.Next = max(read.Next, r.Epoch+1)
	}
	return read, nil
}

// Keys implements [keycache.Keyring].
func (k *Keyring) Keys(_ context.Context, ids []uint32) ([]keyring.Key, error) {
	k.wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	var recs []keyring.Key
	for _, id := range ids {
		if r := k.byID[id]; r != nil {
			recs = append(recs, r.read())
		}
	}
	return recs, nil
}

// Insert implements [keycache.Keyring].
func (k *Keyring) Insert(_ context.Context, rec keyring.Key) (bool, error) {
	k.wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	at := ring{rec.Purpose, rec.Scope}
	if k.byID[rec.ID] != nil || slices.ContainsFunc(k.rings[at], func(r *row) bool { return r.Epoch == rec.Epoch }) {
		return false, nil
	}
	now := time.Now()
	r := &row{Key: rec, created: now, sealsFrom: now.Add(-min(rec.SealsFor, 0))}
	k.byID[rec.ID] = r
	k.rings[at] = append(k.rings[at], r)
	slices.SortFunc(k.rings[at], func(a, b *row) int { return cmp.Compare(b.Epoch, a.Epoch) })
	if rec.Purpose == keyring.PurposeData {
		k.inserted(rec.Scope, rec.ID)
	}
	return true, nil
}

// Reserve implements [keycache.Keyring].
func (k *Keyring) Reserve(_ context.Context, id uint32, n, limit uint64) (uint64, bool, error) {
	k.wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.byID[id]
	if r == nil || r.Retired || r.Destroyed || r.SealsReserved+n > limit {
		return 0, false, nil
	}
	r.SealsReserved += n
	return r.SealsReserved, true, nil
}

// Release implements [keycache.Keyring].
func (k *Keyring) Release(_ context.Context, id uint32, n uint64) error {
	k.wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.byID[id]; r != nil {
		r.SealsReserved -= n
	}
	return nil
}
