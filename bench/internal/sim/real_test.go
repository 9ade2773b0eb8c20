package sim

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// What the model is held to: the real cache on a virtual clock, with a keyring and a KMS in memory, and lookups one by one.
// A lookup that misses takes it a hundred microseconds, which is why a month is not simulated like that.

type realRun struct {
	cfg    Config
	begin  time.Time
	warmUp time.Duration
	kms    realKMS
	rows   realKeyring
	scopes []context.Context
	ended  []context.Context // cancelled ones
	random *mrand.Rand
	sums   []float64 // of the tenants' shares

	mu     sync.Mutex // guards the following
	result run        // its counters
}

// runReal simulates cfg by the real cache.
func runReal(t *testing.T, cfg Config) *Result {
	t.Helper()
	var result *Result
	synctest.Test(t, func(*testing.T) { result = realRunOf(&cfg).play() })
	return result
}

func realRunOf(cfg *Config) *realRun {
	model := newRun(cfg) // its keys and their ages
	r := &realRun{cfg: *cfg, begin: time.Now(), warmUp: 2*model.maxAge + model.maxStale, random: mrand.New(mrand.NewPCG(cfg.Seed, 1))}
	r.result.cfg, r.result.weight = cfg, 1
	r.kms = realKMS{latency: cfg.KMS, outages: cfg.Outages, from: r.begin.Add(r.warmUp)}
	r.rows = realKeyring{latency: cfg.KeyringLatency, byID: map[uint32]*row{}, rings: map[string][]*row{}}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	sum := 0.0
	for scope, share := range model.shares {
		name := fmt.Sprintf("tenant:%d", scope)
		r.scopes = append(r.scopes, keyring.WithScope(context.Background(), name))
		r.ended = append(r.ended, keyring.WithScope(done, name))
		for epoch, key := range model.scopes[scope] {
			r.rows.add(keyring.Key{ID: uint32(key) + 1, Purpose: keyring.PurposeData, Scope: name, Epoch: int64(epoch) + 1, Wrapped: wrap()},
				r.begin.Add(model.keys[key].born))
		}
		sum += share
		r.sums = append(r.sums, sum)
	}
	return r
}

func (r *realRun) play() *Result {
	caches := make([]*keycache.Cache, r.cfg.Processes)
	var busy sync.WaitGroup
	for i := range caches {
		caches[i] = keycache.New(&r.rows, &r.kms, r.cfg.Cache)
		busy.Go(func() { r.workload(caches[i], i) })
		if r.cfg.ScanEvery > 0 {
			busy.Go(func() { r.scan(caches[i]) })
		}
	}
	time.Sleep(r.warmUp)
	calls, before := r.kms.calls.Load(), r.stats(caches)
	for range 500 {
		for _, c := range caches {
			r.result.live = append(r.result.live, c.Stats().Entries)
		}
		time.Sleep(r.cfg.Duration / 500)
	}
	busy.Wait()
	after := r.stats(caches)
	r.result.kmsCalls = float64(r.kms.calls.Load() - calls)
	r.result.kmsErrors = float64(after.KMSErrors - before.KMSErrors)
	r.result.refreshes, r.result.staleHits = float64(after.Refreshes-before.Refreshes), float64(after.StaleHits-before.StaleHits)
	r.result.evictions, r.result.rotations = float64(after.Evictions-before.Evictions), float64(after.Rotations-before.Rotations)
	r.result.keys = make([]dataKey, len(r.rows.byID))
	for _, c := range caches {
		_ = c.Close()
	}
	return r.result.result()
}

func (r *realRun) stats(caches []*keycache.Cache) (sum keycache.Stats) {
	for _, c := range caches {
		s := c.Stats()
		sum.Refreshes += s.Refreshes
		sum.StaleHits += s.StaleHits
		sum.Evictions += s.Evictions
		sum.Rotations += s.Rotations
		sum.KMSErrors += s.KMSErrors
	}
	return sum
}

// A realOp is one lookup: sealing for a tenant, or opening a cell of a key.
type realOp struct {
	at    time.Duration
	seals bool
	scope int
	key   uint32
}

var column = keycache.Column{Identity: "simulated.column", Suite: codec.SuiteRandomized}

func (o *realOp) do(c *keycache.Cache, contexts []context.Context) error {
	ctx := contexts[o.scope]
	return o.doWith(ctx, c)
}

func (o *realOp) doWith(ctx context.Context, c *keycache.Cache) (err error) {
	if o.seals {
		_, err = c.Sealer(ctx, column, 1)
	} else {
		_, err = c.Opener(ctx, column, o.key)
	}
	return err
}

// workload does the lookups of one process.
func (r *realRun) workload(c *keycache.Cache, process int) {
	random, at := mrand.New(mrand.NewPCG(r.cfg.Seed, uint64(process)+2)), time.Duration(0)
	replay := r.cfg.replay(process)
	var busy sync.WaitGroup
	for {
		var o realOp
		if len(r.cfg.Trace) > 0 {
			a, _ := replay()
			o = realOp{at: a.At, scope: a.Key, key: uint32(a.Key) + 1}
		} else {
			rate := r.cfg.Rate / float64(r.cfg.Processes)
			if r.cfg.BurstEvery > 0 && at%r.cfg.BurstEvery < r.cfg.BurstFor {
				rate *= r.cfg.BurstFactor
			}
			at += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
			o = r.draw(random, at)
		}
		if o.at >= r.warmUp+r.cfg.Duration {
			break
		}
		time.Sleep(o.at - time.Since(r.begin))
		if o.do(c, r.ended) == nil { // from memory: this context waits for nothing
			r.count(o.at, 0, nil)
			continue
		}
		busy.Go(func() { r.wait(c, o) })
	}
	busy.Wait()
}

func (r *realRun) draw(random *mrand.Rand, at time.Duration) realOp {
	scope, _ := slices.BinarySearch(r.sums, random.Float64())
	o := realOp{at: at, scope: min(scope, len(r.sums)-1), seals: random.Float64() < r.cfg.Writes}
	if !o.seals {
		ids := r.rows.ids(keyring.ScopeOf(r.scopes[o.scope]))
		newest := len(ids) - 1
		if newest > 0 && random.Float64() < r.cfg.Old {
			newest = random.IntN(newest)
		}
		o.key = ids[newest]
	}
	return o
}

func (r *realRun) wait(c *keycache.Cache, o realOp) {
	ctx, cancel := context.WithTimeout(r.scopes[o.scope], r.cfg.Patience)
	defer cancel()
	start := time.Now()
	err := o.doWith(ctx, c)
	r.count(o.at, time.Since(start), err)
}

func (r *realRun) count(at, took time.Duration, err error) {
	if at < r.warmUp {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.ops++
	if took > 0 {
		r.result.waits.add(took, 1)
	}
	if err != nil {
		r.result.failed++
		if took == 0 {
			r.result.failedAtOnce++
		}
	}
}

func (r *realRun) scan(c *keycache.Cache) {
	for {
		time.Sleep(r.cfg.ScanEvery)
		for _, id := range r.rows.all() {
			o := realOp{at: time.Since(r.begin), key: id}
			if o.at >= r.warmUp+r.cfg.Duration {
				return
			}
			if o.do(c, r.ended) == nil {
				r.count(o.at, 0, nil)
			} else {
				r.wait(c, o)
			}
			time.Sleep(time.Duration(float64(time.Second) / r.cfg.ScanRate))
		}
	}
}

// A realKeyring is a keyring in memory.
type realKeyring struct {
	latency time.Duration

	mu    sync.Mutex // guards the following
	byID  map[uint32]*row
	rings map[string][]*row // data keys by scope, newest first
}

type row struct {
	keyring.Key
	created time.Time
}

func (k *realKeyring) add(rec keyring.Key, created time.Time) {
	r := &row{rec, created}
	k.byID[rec.ID] = r
	k.rings[rec.Scope] = slices.Insert(k.rings[rec.Scope], 0, r)
}

func (r *row) read() keyring.Key {
	rec := r.Key
	rec.Age = time.Since(r.created)
	rec.SealsFor = rec.Age
	return rec
}

// ids returns the data keys of a scope, the newest last.
func (k *realKeyring) ids(scope string) (ids []uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range slices.Backward(k.rings[scope]) {
		ids = append(ids, r.ID)
	}
	return ids
}

func (k *realKeyring) all() (ids []uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	rows := slices.SortedFunc(func(yield func(*row) bool) {
		for _, r := range k.byID {
			if !yield(r) {
				return
			}
		}
	}, func(a, b *row) int { return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Epoch, b.Epoch)) })
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// simulatedID is the keyring's id.
const simulatedID = "73696d756c6174656420737461746573"

func (k *realKeyring) Identify(context.Context, string) (string, error) { return simulatedID, nil }

func (k *realKeyring) Ring(_ context.Context, _ keyring.Purpose, scope string) (ring keyring.Ring, _ error) {
	time.Sleep(k.latency)
	k.mu.Lock()
	defer k.mu.Unlock()
	ring.Keyring, ring.Next = simulatedID, 1
	for _, r := range k.rings[scope] {
		ring.Keys, ring.Next = append(ring.Keys, r.read()), max(ring.Next, r.Epoch+1)
	}
	return ring, nil
}

func (k *realKeyring) Keys(_ context.Context, ids []uint32) (recs []keyring.Key, _ error) {
	time.Sleep(k.latency)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		if r := k.byID[id]; r != nil {
			recs = append(recs, r.read())
		}
	}
	return recs, nil
}

func (k *realKeyring) Insert(_ context.Context, rec keyring.Key) (bool, error) {
	time.Sleep(k.latency)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID[rec.ID] != nil || slices.ContainsFunc(k.rings[rec.Scope], func(r *row) bool { return r.Epoch == rec.Epoch }) {
		return false, nil
	}
	k.add(rec, time.Now())
	return true, nil
}

func (k *realKeyring) Reserve(_ context.Context, id uint32, n, limit uint64) (uint64, bool, error) {
	time.Sleep(k.latency)
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.byID[id]
	if r == nil || r.SealsReserved+n > limit {
		return 0, false, nil
	}
	r.SealsReserved += n
	return r.SealsReserved, true, nil
}

func (k *realKeyring) Release(_ context.Context, id uint32, n uint64) error {
	time.Sleep(k.latency)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID[id].SealsReserved -= n
	return nil
}

// A realKMS takes its time and is away now and then. A data key is the hash of its wrapped form.
type realKMS struct {
	latency Latency
	outages []Outage
	from    time.Time // the outages count from then
	calls   atomic.Uint64
}

func (k *realKMS) answer(ctx context.Context) error {
	k.calls.Add(1)
	at := time.Since(k.from)
	for _, o := range k.outages {
		if at >= o.Start && at < o.Start+o.For {
			if o.Hang {
				<-ctx.Done()
				return fmt.Errorf("%w: %w", kms.ErrTimeout, ctx.Err())
			}
			return kms.ErrUnavailable
		}
	}
	time.Sleep(k.latency.draw(mrand.New(mrand.NewPCG(mrand.Uint64(), 0))))
	return nil
}

func wrap() kms.Wrapped {
	blob := make([]byte, 16)
	_, _ = rand.Read(blob)
	return kms.Wrapped{KeyID: "simulated", Blob: blob}
}

func unwrap(w kms.Wrapped) []byte {
	plain := sha256.Sum256(w.Blob)
	return plain[:]
}

func (k *realKMS) GenerateDataKey(ctx context.Context, _ kms.EncryptionContext) (kms.DataKey, error) {
	if err := k.answer(ctx); err != nil {
		return kms.DataKey{}, err
	}
	w := wrap()
	return kms.DataKey{Plaintext: unwrap(w), Wrapped: w}, nil
}

func (k *realKMS) Unwrap(ctx context.Context, w kms.Wrapped, _ kms.EncryptionContext) ([]byte, error) {
	if err := k.answer(ctx); err != nil {
		return nil, err
	}
	return unwrap(w), nil
}

func (*realKMS) Rewrap(context.Context, kms.Wrapped, kms.EncryptionContext, kms.EncryptionContext) (kms.Wrapped, error) {
	return kms.Wrapped{}, errors.New("not here")
}
