package keycache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// What is true in the simulated world, whatever its processes believe: the
// keyring's rows, which keys KMS wrapped, what was sealed, and who can be reached.

// truth is the database of the fleet.
type truth struct {
	mu    sync.Mutex // guards everything below
	clock time.Duration
	rings map[ringID][]*truthRow // oldest first
	byID  map[uint32]*truthRow
	used  map[uint32]uint64 // seals that the processes took
	cells map[uint32][]byte // one for each data key that sealed
	found map[uint32]bool   // search keys that sealed: every search must match them
	away  trouble           // the keyring
	lost  losses
}

// A truthRow is a row of the keyring. created and sealsFrom are by the keyring's
// clock, the others by the world's.
type truthRow struct {
	keyring.Key
	stored       time.Time
	mostReserved uint64
}

// The keyring's clock is a generation ahead of the processes', which must not
// matter, and is set forth and back by up to clockStep, which may by as much.
const (
	clockAhead = 30 * 365 * 24 * time.Hour
	clockStep  = 5 * time.Second
)

// now is the keyring's clock. The caller holds mu, as for all methods in lower
// case.
func (d *truth) now() time.Time { return time.Now().Add(clockAhead + d.clock) }

func (d *truth) read(r *truthRow) keyring.Key {
	rec := r.Key
	rec.Age, rec.SealsFor = max(d.now().Sub(r.CreatedAt), 0), d.now().Sub(r.SealsFrom)
	return rec
}

func (d *truth) newest(id ringID) *truthRow {
	if rows := d.rings[id]; len(rows) > 0 {
		return rows[len(rows)-1]
	}
	return nil
}

func (d *truth) insert(rec keyring.Key) bool {
	id := ringID{rec.Purpose, rec.Scope}
	taken := slices.ContainsFunc(d.rings[id], func(r *truthRow) bool { return r.Epoch == rec.Epoch })
	if taken || d.byID[rec.ID] != nil {
		return false
	}
	rec.CreatedAt, rec.SealsFrom = d.now(), d.now().Add(-min(rec.SealsFor, 0))
	row := &truthRow{Key: rec,
		mostReserved: rec.SealsReserved, stored: time.Now()}
	if gone := d.lost.missing[rec.ID]; gone != nil {
		delete(d.lost.missing, rec.ID)
		d.lost.again++
		d.lost.last[id] = time.Now()
	}
	d.rings[id], d.byID[rec.ID] = append(d.rings[id], row), row
	return true
}

func (d *truth) reserve(id uint32, n, limit uint64) (uint64, bool) {
	r := d.byID[id]
	if r == nil || r.Retired || r.Destroyed || r.SealsReserved+n > limit {
		return 0, false
	}
	r.SealsReserved += n
	r.mostReserved = max(r.mostReserved, r.SealsReserved)
	return r.SealsReserved, true
}

// destroy shreds a scope: no wrapped key stays, and a tombstone stands where the
// next epoch would, so that a process which is making that one does not win it.
func (d *truth) destroy(scope string) (wiped []uint32) {
	for _, p := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch} {
		id := ringID{p, scope}
		last := int64(0)
		for _, r := range d.rings[id] {
			if r.Destroyed {
				return nil // it was destroyed before
			}
			wiped = append(wiped, r.ID)
			r.Destroyed, r.Wrapped.Blob, r.DestroyedAt, last = true, nil, time.Now(), r.Epoch
		}
		tomb := keyring.Key{ID: keyring.NewID(), Purpose: p, Scope: scope, Epoch: last + 1, Destroyed: true}
		if d.insert(tomb) {
			d.byID[tomb.ID].DestroyedAt = time.Now()
		}
	}
	return wiped
}

// trouble is a time in which something cannot be had, and a while after it, in
// which a process may not have noticed that it is over.
type trouble struct {
	on   bool
	over time.Time // when it ended, or will
}

// recovery is how long after the end of an outage a process may still serve what
// it had, or refuse what it has not: calls that hang, retries, the breaker's
// pause, and one step of the back-off with its jitter.
const recovery = gate.Tries*defaultKMSTimeout + gate.BreakerPause + 3*renewRetryMax/2 + 10*time.Second

// since reports whether there was trouble after t, or too little before it.
func (o *trouble) since(t time.Time) bool { return o.on || o.over.Add(recovery).After(t) }

func (o *trouble) set(on bool) {
	o.on, o.over = on, time.Now()
}

// simKMS is the fleet's KMS.
type simKMS struct {
	name    string     // all of its KEKs begin with it
	mu      sync.Mutex // guards everything below
	wrapped map[string]wrappedKey
	kek     string
	fault   kmsFault
	away    trouble
	denied  trouble
	noNew   trouble
	partly  trouble // one service of two fails
	calls   map[string]int
	second  int64 // the present one, since the start,
	inThis  int   // the calls in it,
	cold    int   // the most in any of the first minute, when all start at once,
	peak    int   // and the most in any later one
	began   time.Time
}

func newSimKMS(name string) *simKMS {
	return &simKMS{name: name, kek: name, wrapped: map[string]wrappedKey{}, calls: map[string]int{}, began: time.Now()}
}

type wrappedKey struct {
	plain [kms.DataKeySize]byte
	ec    string
}

type kmsFault uint8

const (
	kmsWell kmsFault = iota
	kmsUnavailable
	kmsHangs
	kmsThrottles  // every other call
	kmsRefusesNew // data keys are not made, but unwrapped
	kmsDenies
	kmsDisabled
)

func (k *simKMS) set(f kmsFault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = f
	if refuses := f == kmsDenies || f == kmsDisabled; refuses || k.denied.on {
		k.denied.set(refuses)
	}
	if f == kmsRefusesNew || k.noNew.on {
		k.noNew.set(f == kmsRefusesNew)
	}
	if gone := f == kmsUnavailable || f == kmsHangs || f == kmsThrottles; gone || k.away.on {
		k.away.set(gone)
	}
}

func (k *simKMS) setPartly(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.partly.set(on)
}

func (k *simKMS) setKEK(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kek = fmt.Sprint(k.name, "-", n)
}

func (k *simKMS) enter(ctx context.Context, op string, latency time.Duration) error {
	k.mu.Lock()
	k.calls[op]++
	if op != "operator" {
		k.tally()
	}
	fault, n := k.fault, k.calls[op]
	k.mu.Unlock()
	if fault == kmsHangs {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", kms.ErrTimeout, ctx.Err())
	}
	time.Sleep(latency)
	switch {
	case fault == kmsUnavailable:
		return kms.ErrUnavailable
	case fault == kmsThrottles && n%2 == 0:
		return kms.ErrThrottled
	case fault == kmsDenies, fault == kmsRefusesNew && op == "generate":
		return kms.ErrDenied
	case fault == kmsDisabled:
		return kms.ErrKeyDisabled
	}
	return nil
}

// tally counts the calls of one second. The caller holds mu.
func (k *simKMS) tally() {
	if now := int64(time.Since(k.began) / time.Second); now != k.second {
		k.second, k.inThis = now, 0
	}
	if k.inThis++; k.second < 60 {
		k.cold = max(k.cold, k.inThis)
	} else {
		k.peak = max(k.peak, k.inThis)
	}
}

func contextText(ec kms.EncryptionContext) string {
	return ec["colseal:key-id"] + "|" + ec["colseal:purpose"] + "|" + ec["colseal:keyring"] + "|" + ec["colseal:scope"]
}

func (k *simKMS) generate(ec kms.EncryptionContext) kms.DataKey {
	var plain [kms.DataKeySize]byte
	_, _ = rand.Read(plain[:])
	return kms.DataKey{Plaintext: plain[:], Wrapped: k.wrap(plain[:], ec)}
}

func (k *simKMS) wrap(plain []byte, ec kms.EncryptionContext) kms.Wrapped {
	ref := make([]byte, 16)
	_, _ = rand.Read(ref)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrapped[string(ref)] = wrappedKey{[kms.DataKeySize]byte(plain), contextText(ec)}
	return kms.Wrapped{KeyID: k.kek, Blob: ref}
}

func (k *simKMS) unwrap(w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.wrapped[string(w.Blob)]
	if !ok || key.ec != contextText(ec) {
		return nil, kms.ErrInvalidWrapped
	}
	return slices.Clone(key.plain[:]), nil
}

// rewrap wraps the same key under the present KEK. KMS knows both.
func (k *simKMS) rewrap(w kms.Wrapped, from, to kms.EncryptionContext) (kms.Wrapped, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.wrapped[string(w.Blob)]
	if !ok || key.ec != contextText(from) {
		return kms.Wrapped{}, kms.ErrInvalidWrapped
	}
	key.ec = contextText(to)
	ref := make([]byte, 16)
	_, _ = rand.Read(ref)
	k.wrapped[string(ref)] = key
	return kms.Wrapped{KeyID: k.kek, Blob: ref}, nil
}

// unreachable reports whether the keyring was out of some process's reach before. The caller
// holds the truth's lock.
func (f *world) unreachable(d *truth) bool {
	return f.count.cuts.Load() > 0 || !d.away.over.IsZero() || d.away.on
}

var errRefusedConn = errors.New("connection refused")
