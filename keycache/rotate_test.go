package keycache

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

func TestRotationByAge(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cells := map[uint32][]byte{}
		w.Set(func(f *keytest.KMS) { f.Latency = 3 * time.Second })
		cell := warm(t, c)
		for range 45 * 24 {
			use(t, c, cell, 5*time.Minute, time.Hour)
			cell = sealOne(t, c, t.Context(), random)
			id := keyID(t, cell)
			cells[id] = cell
			if age := time.Since(k.Row(id).CreatedAt); age > defaultRotateEvery {
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
	in(t, Config{RotateEvery: 5 * time.Minute}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		first := keyID(t, sealOne(t, c, t.Context(), random))
		time.Sleep(5*time.Minute + time.Millisecond)
		if second := keyID(t, sealOne(t, c, t.Context(), random)); second == first {
			t.Error("sealed under a key past its term")
		}
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		time.Sleep(5*time.Minute + time.Millisecond)
		if _, err := c.Sealer(t.Context(), random, 1); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Errorf("past its term and KMS down: %v", err)
		}
	})
}

func TestOneRotationForAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keytest.NewKMS(), keytest.NewKeyring()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				c := New(k, w, Config{})
				defer c.Close()
				for end := time.Now().Add(70 * 24 * time.Hour); time.Now().Before(end); time.Sleep(3 * time.Hour) {
					if id := keyID(t, sealOne(t, c, t.Context(), random)); time.Since(k.Row(id).CreatedAt) > defaultRotateEvery {
						t.Error("sealed past the term")
					}
				}
			})
		}
		wg.Wait()
		if k.Len() != 3 {
			t.Errorf("%d keys in 70 days, want 3", k.Len())
		}
	})
}

func TestBudgetIsFleetWide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxSeals = 10_000
		w, k := keytest.NewKMS(), keytest.NewKeyring()
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
			if r := k.Row(id); n > r.SealsReserved || r.SealsReserved > maxSeals {
				t.Errorf("key %08x: used %d, reserved %d, may seal %d", id, n, r.SealsReserved, maxSeals)
			}
		}
		if least := int(sum / maxSeals); len(used) < least || len(used) > 4*least {
			t.Errorf("%d keys for %d seals", len(used), sum)
		}
	})
}

func TestRotationAtHalfTheSealsIsAhead(t *testing.T) {
	in(t, Config{MaxSeals: 1000}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		first := keyID(t, sealOne(t, c, t.Context(), random))
		w.Set(func(f *keytest.KMS) { f.Latency = 3 * time.Second })
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
	in(t, Config{MaxSeals: 1000}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		if _, err := c.Sealer(t.Context(), random, 501); !errors.Is(err, keyring.ErrBudget) || !strings.Contains(hint.Of(err), "500") {
			t.Error(err)
		}
		for range 5 {
			if _, err := c.Sealer(t.Context(), random, 500); err != nil {
				t.Error(err)
			}
		}
	})
}

// Where nothing may serve stale, nothing is sealed that was not reserved.
func TestNoReservationNoSeal(t *testing.T) {
	in(t, Config{MaxStale: -1}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		sealOne(t, c, t.Context(), random)
		k.SetFail(errors.New("read-only"))
		sealed := 1
		for range 2 * minBlock {
			if _, err := c.Sealer(t.Context(), random, 1); err != nil {
				if !errors.Is(err, keyring.ErrKeyUnavailable) || !strings.Contains(err.Error(), "reserve seals of data key") {
					t.Error(err)
				}
				break
			}
			sealed++
		}
		if sealed != minBlock {
			t.Errorf("sealed %d of %d reserved", sealed, minBlock)
		}
		k.SetFail(nil)
		time.Sleep(2 * failureFor)
		sealOne(t, c, t.Context(), random)
	})
}

func TestManySealsOnAWarmKey(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		for range 1_000_000 {
			if _, err := c.Sealer(t.Context(), random, 1); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if w.Total() != 1 || k.Called("reserve") > 20 {
			t.Errorf("%d KMS calls, %d reservations", w.Total(), k.Called("reserve"))
		}
	})
}

func TestRetiredKeyStopsSealing(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		first := keyID(t, cell)
		k.Change(first, func(r *keyring.Key) { r.Retired = true })
		use(t, c, cell, time.Second, keyring.DefaultMaxAge)
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
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		ids := func() string {
			keys, err := c.SearchKeys(t.Context(), deterministic)
			if err != nil {
				t.Fatal(err)
			}
			var epochs []int64
			for _, key := range keys {
				epochs = append(epochs, k.Row(key.Header().KeyID).Epoch)
			}
			return fmt.Sprint(epochs)
		}
		step := func(want string) {
			t.Helper()
			use(t, c, cell, time.Second, keyring.DefaultMaxAge)
			if got := ids(); got != want {
				t.Errorf("search keys %s, want %s", got, want)
			}
		}
		rec := keyring.Key{ID: 77, Keyring: keytest.ID, Purpose: keyring.PurposeSearch, Epoch: 2, SealsFor: -time.Hour}
		dk, _ := w.GenerateDataKey(t.Context(), rec.Call().EncryptionContext())
		rec.Wrapped = dk.Wrapped
		if ok, err := k.Insert(t.Context(), rec); !ok || err != nil {
			t.Fatal(err)
		}
		step("[1 2]")
		time.Sleep(time.Hour)
		_ = ids()
		step("[2 1]")
		for id, r := range k.All() {
			if r.Purpose == keyring.PurposeSearch && r.Epoch == 1 {
				k.Change(id, func(r *keyring.Key) { r.Retired = true })
			}
		}
		step("[2]")
	})
}
