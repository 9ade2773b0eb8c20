package keycache

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

func TestPrefetch(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		var ids []uint32
		for i := range 160 {
			ids = append(ids, keyID(t, sealOne(t, c, keyring.WithScope(t.Context(), fmt.Sprint(i)), random)))
		}
		c2 := New(k, w, Config{}, random)
		defer c2.Close()
		w.Set(func(f *keytest.KMS) { f.Latency = time.Second })
		k.Reset()
		began := time.Now()
		if err := c2.Prefetch(t.Context(), append(ids, append(ids, 0)...)); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("160 keys, 16 at once, a second each: took %v", d)
		}
		if w.Called("unwrap") != 160 || w.Most() != defaultKMSParallel || k.Called("keys") != 1 {
			t.Errorf("%v, %d at once, %d queries", w.Called(), w.Most(), k.Called("keys"))
		}
		for _, id := range ids {
			if _, err := c2.Opener(t.Context(), random, id); err != nil {
				t.Error(err)
			}
		}
		if err := c2.Prefetch(t.Context(), ids); err != nil || w.Called("unwrap") != 160 {
			t.Error("prefetched what was there", err)
		}
		if err := c2.Prefetch(t.Context(), []uint32{ids[0], 99}); !errors.Is(err, keyring.ErrKeyNotFound) {
			t.Error(err)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	in(t, Config{MaxEntries: 8}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		ctx := t.Context()
		hot := sealOne(t, c, ctx, random)
		var wiped []*entry
		for i := range 100 {
			id := keyID(t, sealOne(t, c, keyring.WithScope(ctx, fmt.Sprint(i)), random))
			wiped = append(wiped, c.entries.Get(id))
			if err := openOne(c, ctx, random, hot); err != nil {
				t.Fatal(err)
			}
			if s := c.Stats(); s.Entries > 8 || s.Scopes > 8 {
				t.Fatalf("%+v", s)
			}
		}
		if w.Unwraps(keyID(t, hot)) != 0 {
			t.Error("the key in use was evicted")
		}
		time.Sleep(2 * evictionGrace)
		synctest.Wait()
		for _, e := range wiped[:80] {
			if !e.wiped() {
				t.Error("an evicted key was not wiped")
			}
		}
		if err := c.Prefetch(ctx, []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}); !errors.Is(err, keyring.ErrKeyNotFound) {
			t.Error(err)
		}
	})
}

// More keys in use than the cache holds: slow, but right.
func TestTooSmall(t *testing.T) {
	in(t, Config{MaxEntries: 1}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		for range 3 {
			for i := range 4 {
				ctx := keyring.WithScope(t.Context(), fmt.Sprint(i))
				if err := openOne(c, ctx, random, sealOne(t, c, ctx, random)); err != nil {
					t.Error(err)
				}
				if _, err := c.SearchKeys(ctx, deterministic); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestHitsDoNotWaitForAHangingKMS(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		w.Set(func(f *keytest.KMS) { f.Latency = 3 * time.Second })
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { _, _ = c.Sealer(keyring.WithScope(t.Context(), fmt.Sprint(i)), random, 1) })
		}
		use(t, c, cell, time.Millisecond, 3*time.Second)
		wg.Wait()
	})
}

// 64 goroutines over real time, rotation and eviction: for the race detector.
func TestRace(t *testing.T) {
	w, k := keytest.NewKMS(), keytest.NewKeyring()
	c := New(k, w, Config{MaxEntries: 6, RotateEvery: 200 * time.Millisecond, MaxAge: 40 * time.Millisecond, MaxSeals: 2000})
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			ctx := keyring.WithScope(t.Context(), fmt.Sprint(g%4))
			for i := range 1000 {
				k1, err := c.Sealer(ctx, random, 1+i%3)
				if err != nil {
					t.Error(err)
					return
				}
				cell, err := k1.Seal(nil, 1, []byte("plain"))
				if err != nil {
					t.Error(err)
					return
				}
				if err := openOne(c, ctx, random, cell); err != nil {
					t.Error(err)
				}
				if _, err := c.SearchKeys(ctx, deterministic); err != nil {
					t.Error(err)
				}
				if err := c.Prefetch(ctx, []uint32{k1.Header().KeyID}); err != nil && !errors.Is(err, kms.ErrDenied) {
					t.Error(err)
				}
				_ = c.Stats()
			}
		})
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
