package keycache

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/kms"
)

var (
	random        = Column{"users.ssn", codec.SuiteRandomized}
	random2       = Column{"users.note", codec.SuiteRandomized}
	deterministic = Column{"users.email", codec.SuiteDeterministic}
)

// fakeKMS is a kms.Wrapper whose wrapped keys are only references: what they
// were wrapped with is looked up, so that a wrong encryption context is noticed.
type fakeKMS struct {
	mu       sync.Mutex
	wrapped  map[string]fakeWrapped // guarded by mu, as all below
	fail     error
	latency  time.Duration
	hang     bool
	calls    map[string]int // "generate", "unwrap"
	byKey    map[string]int // unwraps by colseal:key-id
	active   int
	parallel int // most calls at once
}

type fakeWrapped struct {
	plain []byte
	ec    kms.EncryptionContext
}

func newFakeKMS() *fakeKMS {
	return &fakeKMS{wrapped: map[string]fakeWrapped{}, calls: map[string]int{}, byKey: map[string]int{}}
}

func (f *fakeKMS) set(change func(*fakeKMS)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// The readings below take the lock: a cache works on in the background, so a test
// that reads the fields themselves is a data race.

func (f *fakeKMS) total() int { return f.called("generate", "unwrap") }

// called returns how often the operations were called, or any if none is given.
func (f *fakeKMS) called(ops ...string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for op, calls := range f.calls {
		if len(ops) == 0 || slices.Contains(ops, op) {
			n += calls
		}
	}
	return n
}

func (f *fakeKMS) unwraps(id uint32) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byKey[hex8(id)]
}

func (f *fakeKMS) most() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parallel
}

func (f *fakeKMS) enter(ctx context.Context, op string, ec kms.EncryptionContext) error {
	f.mu.Lock()
	f.calls[op]++
	if op == "unwrap" {
		f.byKey[ec["colseal:key-id"]]++
	}
	f.active++
	f.parallel = max(f.parallel, f.active)
	latency, hang := f.latency, f.hang
	f.mu.Unlock()
	defer f.set(func(f *fakeKMS) { f.active-- })
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
	return f.fail
}

func (f *fakeKMS) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	if err := f.enter(ctx, "generate", ec); err != nil {
		return kms.DataKey{}, err
	}
	plain, ref := make([]byte, kms.DataKeySize), make([]byte, 16)
	_, _ = rand.Read(plain)
	_, _ = rand.Read(ref)
	f.set(func(f *fakeKMS) { f.wrapped[string(ref)] = fakeWrapped{bytes.Clone(plain), ec.Clone()} })
	return kms.DataKey{Plaintext: plain, Wrapped: kms.Wrapped{KeyID: "kek", Blob: ref}}, nil
}

func (f *fakeKMS) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	if err := f.enter(ctx, "unwrap", ec); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.wrapped[string(w.Blob)]
	if !ok || fmt.Sprint(k.ec) != fmt.Sprint(ec) {
		return nil, kms.ErrInvalidWrapped
	}
	return bytes.Clone(k.plain), nil
}

func (f *fakeKMS) Rewrap(context.Context, kms.Wrapped, kms.EncryptionContext) (kms.Wrapped, error) {
	return kms.Wrapped{}, errors.New("not used here")
}

// fakeKeyring is a Keyring in memory, on the clock of the test.
type fakeKeyring struct {
	mu      sync.Mutex
	recs    map[uint32]*fakeRecord // guarded by mu, as all below
	fail    error
	calls   map[string]int
	inserts func(Record) // called before each insert, without mu
}

type fakeRecord struct {
	Record
	created, sealsFrom, retired time.Time
}

func newFakeKeyring() *fakeKeyring {
	return &fakeKeyring{recs: map[uint32]*fakeRecord{}, calls: map[string]int{}}
}

func (f *fakeKeyring) change(id uint32, change func(*fakeRecord)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.recs[id])
}

// rec returns a copy of a record; the zero one if there is none.
func (f *fakeKeyring) rec(id uint32) fakeRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.recs[id]; r != nil {
		return *r
	}
	return fakeRecord{}
}

func (f *fakeKeyring) all() map[uint32]fakeRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make(map[uint32]fakeRecord, len(f.recs))
	for id, r := range f.recs {
		all[id] = *r
	}
	return all
}

func (f *fakeKeyring) len() int { return len(f.all()) }

func (f *fakeKeyring) called(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *fakeKeyring) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.calls)
}

func (f *fakeKeyring) setFail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func (f *fakeKeyring) Name() string { return "test_keys" }

func (f *fakeKeyring) enter(op string) error {
	f.calls[op]++
	return f.fail
}

func (r *fakeRecord) read() Record {
	rec := r.Record
	rec.Age, rec.SealsFor = time.Since(r.created), time.Since(r.sealsFrom)
	return rec
}

func (f *fakeKeyring) Ring(_ context.Context, purpose Purpose, scope string) ([]Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("ring"); err != nil {
		return nil, err
	}
	var recs []Record
	for _, r := range f.recs {
		if r.Purpose == purpose && r.Scope == scope {
			recs = append(recs, r.read())
		}
	}
	slices.SortFunc(recs, func(a, b Record) int { return int(b.Epoch - a.Epoch) })
	return recs, nil
}

func (f *fakeKeyring) Keys(_ context.Context, ids []uint32) ([]Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("keys"); err != nil {
		return nil, err
	}
	var recs []Record
	for _, id := range ids {
		if r := f.recs[id]; r != nil {
			recs = append(recs, r.read())
		}
	}
	return recs, nil
}

func (f *fakeKeyring) Insert(_ context.Context, rec Record) (bool, error) {
	if f.inserts != nil {
		f.inserts(rec)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("insert"); err != nil {
		return false, err
	}
	for _, r := range f.recs {
		if r.ID == rec.ID || r.Purpose == rec.Purpose && r.Scope == rec.Scope && r.Epoch == rec.Epoch {
			return false, nil
		}
	}
	now := time.Now()
	f.recs[rec.ID] = &fakeRecord{Record: rec, created: now, sealsFrom: now.Add(-min(rec.SealsFor, 0))}
	return true, nil
}

func (f *fakeKeyring) Reserve(_ context.Context, id uint32, n, limit uint64) (uint64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("reserve"); err != nil {
		return 0, false, err
	}
	r := f.recs[id]
	if r == nil || r.Retired || r.Destroyed || r.SealsReserved+n > limit {
		return 0, false, nil
	}
	r.SealsReserved += n
	return r.SealsReserved, true, nil
}

func (f *fakeKeyring) Release(_ context.Context, id uint32, n uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("release"); err != nil {
		return err
	}
	f.recs[id].SealsReserved -= n
	return nil
}

// sealOne seals one cell and returns it.
func sealOne(t testing.TB, c *Cache, ctx context.Context, col Column) []byte {
	t.Helper()
	k, err := c.Sealer(ctx, col, 1)
	if err != nil {
		t.Fatal(err)
	}
	cell, err := k.Seal(nil, codec.KindText, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	return cell
}

// openOne opens a cell as a reader would.
func openOne(c *Cache, ctx context.Context, col Column, cell []byte) error {
	h, err := codec.ParseHeader(cell)
	if err != nil {
		return err
	}
	k, err := c.Opener(ctx, col, h.KeyID)
	if err != nil {
		return err
	}
	plain, err := k.Open(nil, codec.KindText, cell)
	if err == nil && string(plain) != "plain" {
		return errors.New("wrong plaintext")
	}
	return err
}

func keyID(t testing.TB, cell []byte) uint32 {
	t.Helper()
	h, err := codec.ParseHeader(cell)
	if err != nil {
		t.Fatal(err)
	}
	return h.KeyID
}

func hex8(id uint32) string { return fmt.Sprintf("%08x", id) }
