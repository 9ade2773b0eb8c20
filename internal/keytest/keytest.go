// Package keytest has a keyring and a key management service in memory, on the clock of
// package time, so that they run in real time and in a testing/synctest bubble alike.
// Nothing in it is secret or secure.
package keytest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// KMS is a [kms.Wrapper] whose wrapped keys are only references: what they were wrapped
// with is looked up, so that a wrong encryption context is noticed.
type KMS struct {
	mu       sync.Mutex              // guards all below; Set changes what is exported
	Fail     error                   // if not nil, what every call gives
	Latency  time.Duration           // of every call
	Hang     bool                    // calls wait until their context ends
	KEK      string                  // names the KEK that wraps; "kek" at first
	Deny     map[string]bool         // blobs that are not rewrapped
	Refuse   func(kms.Wrapped) error // if not nil, why a key is not unwrapped
	wrapped  map[string]wrapping     // by blob
	calls    map[string]int          // by operation
	byKey    map[string]int          // unwraps by colseal:key-id
	active   int
	parallel int // most calls at once
}

var _ keyring.Ledger = (*Keyring)(nil)

type wrapping struct {
	plain []byte
	ec    kms.EncryptionContext
}

// NewKMS returns a KMS that answers at once.
func NewKMS() *KMS {
	return &KMS{KEK: "kek", wrapped: map[string]wrapping{}, calls: map[string]int{}, byKey: map[string]int{}}
}

// Set changes the fake: its exported fields.
func (f *KMS) Set(change func(*KMS)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// The readings below take the lock: a cache works on in the background, so a test
// that reads the fields themselves is a data race.

// Total returns the calls that make or unwrap keys.
func (f *KMS) Total() int { return f.Called("generate", "unwrap") }

// Called returns how often the operations were called, or any if none is given.
func (f *KMS) Called(ops ...string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for op, calls := range f.calls {
		if len(ops) == 0 || slices.Contains(ops, op) {
			n += calls
		}
	}
	return n
}

// Unwraps returns how often a key was unwrapped.
func (f *KMS) Unwraps(id uint32) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byKey[fmt.Sprintf("%08x", id)]
}

// Most returns the most calls that were under way at once.
func (f *KMS) Most() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parallel
}

func (f *KMS) enter(ctx context.Context, op string, ec kms.EncryptionContext) error {
	f.mu.Lock()
	f.calls[op]++
	if op == "unwrap" {
		f.byKey[ec["colseal:key-id"]]++
	}
	f.active++
	f.parallel = max(f.parallel, f.active)
	latency, hang := f.Latency, f.Hang
	f.mu.Unlock()
	defer f.Set(func(f *KMS) { f.active-- })
	if hang {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", kms.ErrTimeout, ctx.Err())
	}
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Fail
}

// GenerateDataKey implements [kms.Wrapper].
func (f *KMS) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	if err := f.enter(ctx, "generate", ec); err != nil {
		return kms.DataKey{}, err
	}
	plain, ref := make([]byte, kms.DataKeySize), newRef()
	_, _ = rand.Read(plain) // never fails
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrapped[string(ref)] = wrapping{bytes.Clone(plain), ec.Clone()}
	return kms.DataKey{Plaintext: plain, Wrapped: kms.Wrapped{KeyID: f.KEK, Blob: ref}}, nil
}

// Unwrap implements [kms.Wrapper].
func (f *KMS) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	if err := f.enter(ctx, "unwrap", ec); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Refuse != nil {
		if err := f.Refuse(w); err != nil {
			return nil, err
		}
	}
	k, ok := f.wrapped[string(w.Blob)]
	if !ok || fmt.Sprint(k.ec) != fmt.Sprint(ec) {
		return nil, kms.ErrInvalidWrapped
	}
	return bytes.Clone(k.plain), nil
}

// Rewrap implements [kms.Wrapper].
func (f *KMS) Rewrap(ctx context.Context, w kms.Wrapped, from, to kms.EncryptionContext) (kms.Wrapped, error) {
	if err := f.enter(ctx, "rewrap", from); err != nil {
		return kms.Wrapped{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.wrapped[string(w.Blob)]
	if f.Deny[string(w.Blob)] {
		return kms.Wrapped{}, kms.ErrDenied
	}
	if !ok || fmt.Sprint(k.ec) != fmt.Sprint(from) {
		return kms.Wrapped{}, kms.ErrInvalidWrapped
	}
	ref := newRef()
	f.wrapped[string(ref)] = wrapping{k.plain, to.Clone()}
	return kms.Wrapped{KeyID: f.KEK, Blob: ref}, nil
}

func newRef() []byte {
	ref := make([]byte, 16)
	_, _ = rand.Read(ref) // never fails
	return ref
}

// Keyring is a keyring in memory: a keycache.Keyring and a [keyring.Ledger].
type Keyring struct {
	mu      sync.Mutex
	id      string
	rows    map[uint32]*keyring.Key // guarded by mu, as all below
	Fail    error
	failOf  map[string]error // by operation
	calls   map[string]int
	places  map[place]bool    // of the rows; nil when it is to be found out again, as destroyed is
	gone    map[string]bool   // scopes that were destroyed
	Inserts func(keyring.Key) // called before each insert, without mu
}

// place is what no two rows have.
type place struct {
	purpose keyring.Purpose
	scope   string
	epoch   int64
}

func placeOf(k *keyring.Key) place { return place{k.Purpose, k.Scope, k.Epoch} }

// look finds out which places are taken, and which scopes were destroyed. The caller holds mu.
func (f *Keyring) look() {
	if f.places != nil {
		return
	}
	f.places, f.gone = map[place]bool{}, map[string]bool{}
	for _, r := range f.rows {
		f.places[placeOf(r)] = true
		if r.Destroyed {
			f.gone[r.Scope] = true
		}
	}
}

// NewKeyring returns an empty keyring.
func NewKeyring() *Keyring {
	return &Keyring{id: ID, rows: map[uint32]*keyring.Key{}, calls: map[string]int{}, failOf: map[string]error{}}
}

// Change changes a row.
func (f *Keyring) Change(id uint32, change func(*keyring.Key)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.places = nil
	change(f.rows[id])
}

// Row returns a copy of a row; the zero one if there is none.
func (f *Keyring) Row(id uint32) keyring.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.rows[id]; r != nil {
		return *r
	}
	return keyring.Key{}
}

// Put adds a row, or puts it in the place of another of its id.
func (f *Keyring) Put(k keyring.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.places = nil
	f.rows[k.ID] = &k
}

// Delete deletes every row.
func (f *Keyring) Delete() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.places = nil
	clear(f.rows)
}

// All returns a copy of the rows.
func (f *Keyring) All() map[uint32]keyring.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make(map[uint32]keyring.Key, len(f.rows))
	for id, r := range f.rows {
		all[id] = *r
	}
	return all
}

// Len returns the number of rows.
func (f *Keyring) Len() int { return len(f.All()) }

// Called returns how often an operation was called: "ring", "keys", "insert", …
func (f *Keyring) Called(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Reset forgets the calls.
func (f *Keyring) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.calls)
}

// SetFail has every call fail with err, or none if it is nil.
func (f *Keyring) SetFail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Fail = err
}

// SetFailOf has every call of one operation fail with err, or none if it is nil.
func (f *Keyring) SetFailOf(op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failOf[op] = err
}

// ID is the id of a new Keyring.
const ID = "6b657974657374206b657974657374ff"

// Identify implements [keyring.Ledger].
func (f *Keyring) Identify(context.Context, string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id, f.enter("identify")
}

func (f *Keyring) enter(op string) error {
	f.calls[op]++
	switch op {
	case "end", "destroy", "adopt", "swap", "delete":
		f.places = nil
	}
	return cmp.Or(f.failOf[op], f.Fail)
}

// read returns a key as it is read now. The caller holds mu.
func (f *Keyring) read(k *keyring.Key) keyring.Key {
	now := *k
	now.Keyring = f.id
	now.Age, now.SealsFor = time.Since(k.CreatedAt), time.Since(k.SealsFrom)
	now.Retired = now.Retired || now.Recovered || now.Revoked && k.Purpose != keyring.PurposeSearch
	f.look()
	now.Destroyed = now.Destroyed || f.gone[k.Scope]
	return now
}

// Ring implements [keyring.Ledger].
func (f *Keyring) Ring(_ context.Context, purpose keyring.Purpose, scope string) (keyring.Ring, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("ring"); err != nil {
		return keyring.Ring{}, err
	}
	var keys []keyring.Key
	for _, k := range f.rows {
		if k.Purpose == purpose && k.Scope == scope {
			keys = append(keys, f.read(k))
		}
	}
	ring := RingOf(keys)
	ring.Keyring = f.id
	return ring, nil
}

// RingOf returns the ring that keys of one purpose and scope are.
func RingOf(keys []keyring.Key) keyring.Ring {
	ring := keyring.Ring{Keyring: ID, Keys: keys, Next: 1}
	for _, k := range keys {
		if k.Stray == nil {
			ring.Next = max(ring.Next, k.Epoch+1)
		}
	}
	slices.SortFunc(ring.Keys, func(a, b keyring.Key) int { return cmp.Compare(b.Epoch, a.Epoch) })
	return ring
}

// Keys implements [keyring.Ledger].
func (f *Keyring) Keys(_ context.Context, ids []uint32) ([]keyring.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("keys"); err != nil {
		return nil, err
	}
	var recs []keyring.Key
	for _, id := range ids {
		if r := f.rows[id]; r != nil {
			recs = append(recs, f.read(r))
		}
	}
	return recs, nil
}

// Insert implements [keyring.Ledger].
func (f *Keyring) Insert(_ context.Context, rec keyring.Key) (bool, error) {
	if f.Inserts != nil {
		f.Inserts(rec)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("insert"); err != nil {
		return false, err
	}
	if rec.Keyring != f.id {
		return false, nil
	}
	if f.look(); f.rows[rec.ID] != nil || f.places[placeOf(&rec)] {
		return false, nil
	}
	now := time.Now()
	rec.CreatedAt, rec.SealsFrom = now, now.Add(-min(rec.SealsFor, 0))
	f.rows[rec.ID], f.places[placeOf(&rec)] = &rec, true
	return true, nil
}

// Reserve implements keycache.Keyring.
func (f *Keyring) Reserve(_ context.Context, id uint32, n, limit uint64) (uint64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("reserve"); err != nil {
		return 0, false, err
	}
	r := f.rows[id]
	if r == nil || r.Retired || r.Recovered || r.Destroyed || r.SealsReserved+n > limit {
		return 0, false, nil
	}
	r.SealsReserved += n
	return r.SealsReserved, true, nil
}

// Release implements keycache.Keyring.
func (f *Keyring) Release(_ context.Context, id uint32, n uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("release"); err != nil {
		return err
	}
	if k := f.rows[id]; k != nil {
		k.SealsReserved -= n
	}
	return nil
}

// Rings implements [keyring.Ledger].
func (f *Keyring) Rings(_ context.Context, filter keyring.Filter) ([]keyring.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("rings"); err != nil {
		return nil, err
	}
	type ring struct {
		purpose keyring.Purpose
		scope   string
	}
	picked := map[ring]bool{}
	for _, r := range f.rows {
		if (filter.Purpose == "" || filter.Purpose == r.Purpose) && (filter.Scope == nil || *filter.Scope == r.Scope) &&
			(filter.IDs == nil || slices.Contains(filter.IDs, r.ID)) {
			picked[ring{r.Purpose, r.Scope}] = true
		}
	}
	var keys []keyring.Key
	for _, r := range f.rows {
		if picked[ring{r.Purpose, r.Scope}] {
			keys = append(keys, f.read(r))
		}
	}
	slices.SortFunc(keys, func(a, b keyring.Key) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Epoch, b.Epoch))
	})
	return keys, nil
}

// others returns the other keys of r's ring. The caller holds mu.
func (f *Keyring) others(r *keyring.Key) (others []*keyring.Key) {
	for _, o := range f.rows {
		if o != r && o.Purpose == r.Purpose && o.Scope == r.Scope {
			others = append(others, o)
		}
	}
	return others
}

// End implements [keyring.Ledger].
func (f *Keyring) End(_ context.Context, id uint32, how keyring.Ending) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("end"); err != nil {
		return false, err
	}
	r, now := f.rows[id], time.Now()
	if r == nil || r.Destroyed || how.Kind != keyring.EndRetire && r.Revoked || how.Kind >= keyring.EndRevokeNext && r.Retired {
		return false, nil
	}
	if how.Kind != keyring.EndRevokeStray && !slices.ContainsFunc(f.others(r), func(o *keyring.Key) bool {
		switch {
		case o.Retired || o.Recovered || o.Destroyed:
			return false
		case how.Kind == keyring.EndRevokeNext:
			return o.Epoch < r.Epoch && !o.Revoked && now.Before(r.SealsFrom.Add(-how.Settled))
		case how.Kind == keyring.EndRetire:
			return o.Epoch > r.Epoch && now.Sub(o.SealsFrom) >= how.Settled
		}
		return o.Epoch > r.Epoch || r.Purpose == keyring.PurposeInbox
	}) {
		return false, nil
	}
	r.Revoked = how.Kind != keyring.EndRetire
	if how.Kind != keyring.EndRevokeSearch && !r.Retired {
		r.Retired, r.RetiredAt = true, now
	}
	return true, nil
}

// Destroy implements [keyring.Ledger].
func (f *Keyring) Destroy(_ context.Context, scope, _, _ string) (wiped []uint32, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("destroy"); err != nil {
		return nil, err
	}
	newest := map[keyring.Purpose]*keyring.Key{}
	for id, r := range f.rows {
		if r.Scope != scope {
			continue
		}
		if n := newest[r.Purpose]; n == nil || n.Epoch < r.Epoch {
			newest[r.Purpose] = r
		}
		if !r.Destroyed {
			r.Destroyed, r.Wrapped.Blob = true, nil
			wiped = append(wiped, id)
		}
	}
	for _, p := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch, keyring.PurposeInbox} {
		tomb := &keyring.Key{ID: keyring.NewID(), Purpose: p, Scope: scope, Epoch: 1, Destroyed: true}
		if n := newest[p]; n != nil {
			tomb.Epoch = n.Epoch + 1
		}
		f.rows[tomb.ID] = tomb
	}
	return wiped, nil
}

// Adopt implements [keyring.Ledger].
func (f *Keyring) Adopt(_ context.Context, a keyring.Adoption) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("adopt"); err != nil {
		return false, err
	}
	next := map[uint32]keyring.Adopted{}
	for _, k := range a.Keys {
		next[k.ID] = k
	}
	for id, r := range f.rows {
		k, ok := next[id]
		if r.Wrapped.Blob != nil && !slices.Contains(a.Left, id) && !(ok && bytes.Equal(k.Old, r.Wrapped.Blob)) {
			return false, nil
		}
	}
	if f.id != a.Old {
		return false, nil
	}
	f.id = a.New
	for id, k := range next {
		f.rows[id].Wrapped = k.Next
	}
	return true, nil
}

// Swap implements [keyring.Ledger].
func (f *Keyring) Swap(_ context.Context, id uint32, old []byte, next kms.Wrapped) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("swap"); err != nil {
		return false, err
	}
	r := f.rows[id]
	if r == nil || r.Destroyed || !bytes.Equal(r.Wrapped.Blob, old) {
		return false, nil
	}
	r.Wrapped = next
	return true, nil
}

// DeleteWriters implements [keyring.Ledger].
func (f *Keyring) DeleteWriters(_ context.Context, ids []uint32, age time.Duration) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("delete"); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if r := f.rows[id]; r != nil && r.Purpose == keyring.PurposeWriter && time.Since(r.CreatedAt) >= age {
			delete(f.rows, id)
			n++
		}
	}
	return n, nil
}
