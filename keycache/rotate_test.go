package keycache

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/kms"
)

func TestRotationByAge(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		cells := map[uint32][]byte{}
		w.set(func(f *fakeKMS) { f.latency = 3 * time.Second })
		cell := warm(t, c)
		for range 45 * 24 {
			use(t, c, cell, 5*time.Minute, time.Hour)
			cell = sealOne(t, c, t.Context(), random)
			id := keyID(t, cell)
			cells[id] = cell
			if age := time.Since(k.rec(id).created); age > defaultRotateEvery {
				t.Fatalf("sealed under a key of age %v", age)
			}
		}
		if len(cells) != 2 {
			t.Errorf("%d data keys in 45 days", len(cells))
		}
		for _, cell := range cells {
			if err := openOne(c, t.Context(), random, cell); err != nil {
				t.Errorf("an old key does not open: %v", err)
			}
		}
		if s := c.Stats(); s.Rotations != uint64(len(cells)-1) {
			t.Errorf("%+v", s)
		}
	})
}

// A process that slept past the end of its key's term must not seal with it.
func TestOldKeyNeverSeals(t *testing.T) {
	in(t, Config{RotateEvery: 5 * time.Minute}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		first := keyID(t, sealOne(t, c, t.Context(), random))
		time.Sleep(5*time.Minute + time.Millisecond)
		if second := keyID(t, sealOne(t, c, t.Context(), random)); second == first {
			t.Error("sealed under a key past its term")
		}
		w.set(func(f *fakeKMS) { f.fail = kms.ErrUnavailable })
		time.Sleep(5*time.Minute + time.Millisecond)
		if _, err := c.Sealer(t.Context(), random, 1); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("past its term and KMS down: %v", err)
		}
	})
}

func TestOneRotationForAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := newFakeKMS(), newFakeKeyring()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				c := New(k, w, Config{})
				defer c.Close()
				for end := time.Now().Add(70 * 24 * time.Hour); time.Now().Before(end); time.Sleep(3 * time.Hour) {
					if id := keyID(t, sealOne(t, c, t.Context(), random)); time.Since(k.rec(id).created) > defaultRotateEvery {
						t.Error("sealed past the term")
					}
				}
			})
		}
		wg.Wait()
		if k.len() != 3 {
			t.Errorf("%d keys in 70 days, want 3", k.len())
		}
	})
}

func TestBudgetIsFleetWide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxSeals = 10_000
		w, k := newFakeKMS(), newFakeKeyring()
		used := map[uint32]uint64{}
		var (
			mu sync.Mutex // guards used
			wg sync.WaitGroup
		)
		for p := range 8 {
			c := New(k, w, Config{MaxSeals: maxSeals})
			defer c.Close()
			for range 4 {
				wg.Go(func() {
					for i := range 1000 {
						n := 1 + (i+p)%13
						key, err := c.Sealer(t.Context(), random, n)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						used[key.Header().KeyID] += uint64(n)
						mu.Unlock()
					}
				})
			}
		}
		wg.Wait()
		synctest.Wait() // what the caches still reserve in the background
		var sum uint64
		for id, n := range used {
			sum += n
			if r := k.rec(id); n > r.SealsReserved || r.SealsReserved > maxSeals {
				t.Errorf("key %08x: used %d, reserved %d, may seal %d", id, n, r.SealsReserved, maxSeals)
			}
		}
		if least := int(sum / maxSeals); len(used) < least || len(used) > 4*least {
			t.Errorf("%d keys for %d seals", len(used), sum)
		}
	})
}

func TestRotationAtHalfTheSealsIsAhead(t *testing.T) {
	in(t, Config{MaxSeals: 1000}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		first := keyID(t, sealOne(t, c, t.Context(), random))
		w.set(func(f *fakeKMS) { f.latency = 3 * time.Second })
		for i := range 2000 {
			began := time.Now()
			if keyID(t, sealOne(t, c, t.Context(), random)) != first {
				if i < 400 || i > 600 {
					t.Errorf("rotated after %d seals", i)
				}
				return
			}
			if waited := time.Since(began); waited > 0 {
				t.Fatalf("seal %d waited %v", i, waited)
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error("never rotated")
	})
}

func TestMoreThanAKeyMaySeal(t *testing.T) {
	in(t, Config{MaxSeals: 1000}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		if _, err := c.Sealer(t.Context(), random, 501); !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), "500") {
			t.Error(err)
		}
		for range 5 {
			if _, err := c.Sealer(t.Context(), random, 500); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestNoReservationNoSeal(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		sealOne(t, c, t.Context(), random)
		k.setFail(errors.New("read-only"))
		sealed := 1
		for range 2 * minBlock {
			if _, err := c.Sealer(t.Context(), random, 1); err != nil {
				if !errors.Is(err, ErrKeyUnavailable) || !strings.Contains(err.Error(), "reserve seals of data key") {
					t.Error(err)
				}
				break
			}
			sealed++
		}
		if sealed != minBlock {
			t.Errorf("sealed %d of %d reserved", sealed, minBlock)
		}
		k.setFail(nil)
		time.Sleep(2 * failureFor)
		sealOne(t, c, t.Context(), random)
	})
}

func TestManySealsOnAWarmKey(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		for range 1_000_000 {
			if _, err := c.Sealer(t.Context(), random, 1); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if w.total() != 1 || k.called("reserve") > 20 {
			t.Errorf("%d KMS calls, %d reservations", w.total(), k.called("reserve"))
		}
	})
}

func TestRetiredKeyStopsSealing(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		cell := warm(t, c)
		first := keyID(t, cell)
		k.change(first, func(r *fakeRecord) { r.Retired = true })
		use(t, c, cell, time.Second, defaultMaxAge)
		if keyID(t, sealOne(t, c, t.Context(), random)) == first {
			t.Error("a retired key seals after a refresh interval")
		}
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Errorf("a retired key must open: %v", err)
		}
	})
}

// A second search key is searched for at once, seals when its time has come,
// and stays alone when the first is retired.
func TestSearchKeyChange(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *fakeKMS, k *fakeKeyring) {
		cell := warm(t, c)
		ids := func() string {
			keys, err := c.SearchKeys(t.Context(), deterministic)
			if err != nil {
				t.Fatal(err)
			}
			var epochs []int64
			for _, key := range keys {
				epochs = append(epochs, k.rec(key.Header().KeyID).Epoch)
			}
			return fmt.Sprint(epochs)
		}
		step := func(want string) {
			t.Helper()
			use(t, c, cell, time.Second, defaultMaxAge)
			if got := ids(); got != want {
				t.Errorf("search keys %s, want %s", got, want)
			}
		}
		rec := Record{ID: 77, Purpose: PurposeSearch, Epoch: 2, SealsFor: -time.Hour}
		dk, _ := w.GenerateDataKey(t.Context(), encryptionContext(k.Name(), rec))
		rec.Wrapped = dk.Wrapped
		if ok, err := k.Insert(t.Context(), rec); !ok || err != nil {
			t.Fatal(err)
		}
		step("[1 2]")
		time.Sleep(time.Hour)
		_ = ids()
		step("[2 1]")
		for id, r := range k.all() {
			if r.Purpose == PurposeSearch && r.Epoch == 1 {
				k.change(id, func(r *fakeRecord) { r.Retired = true })
			}
		}
		step("[2]")
	})
}
