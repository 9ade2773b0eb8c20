package keycache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/kms"
)

// A fleet over virtual weeks: processes start, die without closing, and seal and
// open; KMS and the keyring fail at times; an operator retires keys. The world
// checks every cell the moment it is sealed.
type world struct {
	t    *testing.T
	kms  *fakeKMS
	ring *fakeKeyring
	cfg  Config

	mu     sync.Mutex // guards the following
	used   map[uint32]uint64
	cells  map[uint32][]byte // one per key
	downAt time.Time         // since when KMS or the keyring is down; zero: up
	errs   int
	seals  int
}

const simulated = 10 * 24 * time.Hour

func TestSimulation(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func simulate(t *testing.T, rnd *rand.Rand) {
	w := &world{t: t, kms: newFakeKMS(), ring: newFakeKeyring(), used: map[uint32]uint64{}, cells: map[uint32][]byte{},
		cfg: Config{RotateEvery: 2 * 24 * time.Hour, MaxSeals: 1 << 20}}
	w.kms.latency = 50 * time.Millisecond
	end := time.Now().Add(simulated)
	var wg sync.WaitGroup
	for range 8 {
		rnd := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		wg.Go(func() {
			for time.Now().Before(end) {
				w.process(rnd, min(time.Until(end), time.Duration(rnd.ExpFloat64()*float64(5*24*time.Hour))))
			}
		})
	}
	wg.Go(func() { w.misfortunes(rnd, end) })
	wg.Wait()
	w.after()
}

// process is the life of one process. It dies half of the time: its cache is
// closed for the sake of the bubble, but what it had reserved stays lost.
func (w *world) process(rnd *rand.Rand, life time.Duration) {
	k := &mortal{fakeKeyring: w.ring, dies: rnd.IntN(2) == 0}
	c := New(k, w.kms, w.cfg)
	defer func() { _ = c.Close() }()
	for end := time.Now().Add(life); time.Now().Before(end); {
		w.seal(c, 1+rnd.IntN(200))
		w.open(c)
		time.Sleep(time.Duration(rnd.Int64N(int64(20 * time.Minute))))
	}
}

// mortal is a keyring to which a process that dies gives nothing back.
type mortal struct {
	*fakeKeyring
	dies bool
}

func (m *mortal) Release(ctx context.Context, id uint32, n uint64) error {
	if m.dies {
		return errors.New("dead")
	}
	return m.fakeKeyring.Release(ctx, id, n)
}

func (w *world) seal(c *Cache, n int) {
	began := time.Now()
	key, err := c.Sealer(w.t.Context(), random, n)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errs++
		if !errors.Is(err, ErrKeyUnavailable) || w.downAt.IsZero() && time.Since(began) > time.Minute {
			w.t.Errorf("seal: %v", err)
		}
		return
	}
	id := key.Header().KeyID
	w.seals++
	w.used[id] += uint64(n)
	if w.cells[id] == nil {
		w.cells[id], _ = key.Seal(nil, 1, []byte("plain"))
	}
	w.ring.mu.Lock()
	defer w.ring.mu.Unlock()
	rec := w.ring.recs[id]
	switch {
	case rec == nil:
		w.t.Error("a cell without a stored key")
	case w.used[id] > rec.SealsReserved || rec.SealsReserved > w.cfg.MaxSeals:
		w.t.Errorf("key %08x: %d sealed, %d reserved, %d allowed", id, w.used[id], rec.SealsReserved, w.cfg.MaxSeals)
	case began.Sub(rec.created) > w.cfg.RotateEvery:
		w.t.Errorf("key %08x seals at age %v", id, began.Sub(rec.created))
	case rec.Retired && began.Sub(rec.retired) > defaultMaxAge+defaultMaxStale:
		w.t.Errorf("key %08x seals %v after it was retired", id, began.Sub(rec.retired))
	case rec.Retired && w.downAt.IsZero() && began.Sub(rec.retired) > defaultMaxAge && !w.recovering():
		w.t.Errorf("key %08x seals %v after it was retired", id, began.Sub(rec.retired))
	}
}

// recovering: an outage ended so lately that stale knowledge may still serve.
func (w *world) recovering() bool { return time.Since(w.ring.upAt) < 2*renewRetryMax }

func (w *world) open(c *Cache) {
	w.mu.Lock()
	var cell []byte
	for _, cell = range w.cells { // any
		break
	}
	w.mu.Unlock()
	if cell == nil {
		return
	}
	if err := openOne(c, w.t.Context(), random, cell); err != nil && !errors.Is(err, ErrKeyUnavailable) {
		w.t.Errorf("open: %v", err)
	}
}

// misfortunes: outages of KMS and of the keyring, and keys retired.
func (w *world) misfortunes(rnd *rand.Rand, end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(time.Duration(rnd.Int64N(int64(24 * time.Hour))))
		switch rnd.IntN(4) {
		case 0:
			w.retireOne()
			continue
		case 1:
			w.kms.set(func(f *fakeKMS) { f.fail = kms.ErrUnavailable })
		case 2:
			w.kms.set(func(f *fakeKMS) { f.hang = true })
		case 3:
			w.ring.setFail(errors.New("connection refused"))
		}
		w.setDown(time.Now())
		time.Sleep(time.Duration(rnd.Int64N(int64(2 * time.Hour))))
		w.kms.set(func(f *fakeKMS) { f.fail, f.hang = nil, false })
		w.ring.setFail(nil)
		w.setDown(time.Time{})
	}
}

func (w *world) setDown(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.downAt = at
	w.ring.mu.Lock()
	defer w.ring.mu.Unlock()
	w.ring.upAt = time.Now()
}

func (w *world) retireOne() {
	w.ring.mu.Lock()
	defer w.ring.mu.Unlock()
	for _, r := range w.ring.recs {
		if !r.Retired {
			r.Retired, r.retired = true, time.Now()
			return
		}
	}
}

// after checks that every key that ever sealed still opens, and that the outages
// explain the failures.
func (w *world) after() {
	c := New(w.ring, w.kms, Config{})
	defer func() { _ = c.Close() }()
	for _, cell := range w.cells {
		if err := openOne(c, w.t.Context(), random, cell); err != nil {
			w.t.Errorf("after all: %v", err)
		}
	}
	if w.errs*20 > w.seals {
		w.t.Errorf("%d of %d seals failed", w.errs, w.seals)
	}
	w.t.Logf("%d keys, %d seals, %d refused in outages, KMS calls %v", len(w.ring.recs), w.seals, w.errs, w.kms.calls)
}
