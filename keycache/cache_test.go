package keycache

import (
	"context"
	"errors"
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

// in runs a test in a bubble of virtual time with one cache, closed at the end;
// a goroutine that outlives Close fails the test.
func in(t *testing.T, cfg Config, test func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, k := keytest.NewKMS(), keytest.NewKeyring()
		c := New(k, w, cfg, random, random2, deterministic)
		test(t, c, w, k)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFirstUse(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		ctx := t.Context()
		cell := sealOne(t, c, ctx, random)
		other := sealOne(t, c, ctx, random2)
		if err := errors.Join(openOne(c, ctx, random, cell), openOne(c, ctx, random2, other)); err != nil {
			t.Error(err)
		}
		if keyID(t, cell) != keyID(t, other) {
			t.Error("two columns got two data keys")
		}
		keys, err := c.SearchKeys(ctx, deterministic)
		if err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		again, _ := c.SearchKeys(ctx, deterministic)
		if len(again) != 1 || again[0] != keys[0] {
			t.Error("the search key changed")
		}
		if w.Called("generate") != 2 || w.Called("unwrap") != 0 {
			t.Errorf("KMS calls: %v, want two generate", w.Called())
		}
		s := c.Stats()
		if s.Created != 2 || s.Rotations != 0 || s.Entries != 2 || s.Scopes != 2 || s.SealsTaken != 2 || s.KMSCalls != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSecondProcessUnwraps(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		ctx := t.Context()
		cell := sealOne(t, c, ctx, random)
		c2 := New(k, w, Config{})
		defer c2.Close()
		if err := openOne(c2, ctx, random, cell); err != nil {
			t.Error(err)
		}
		if id := keyID(t, sealOne(t, c2, ctx, random)); id != keyID(t, cell) {
			t.Error("the second process made a key of its own")
		}
		if w.Called("generate") != 1 || w.Called("unwrap") != 1 {
			t.Error(w.Called())
		}
	})
}

func TestScopesHaveTheirOwnKeys(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		a, b := keyring.WithScope(t.Context(), "tenant:1"), keyring.WithScope(t.Context(), "tenant:2")
		cellA, cellB := sealOne(t, c, a, random), sealOne(t, c, b, random)
		if keyID(t, cellA) == keyID(t, cellB) {
			t.Error("two scopes share a key")
		}
		if err := openOne(c, b, random, cellA); err != nil {
			t.Errorf("opening needs no scope: %v", err)
		}
		ka, _ := c.SearchKeys(a, deterministic)
		kb, _ := c.SearchKeys(b, deterministic)
		if ka[0].Header().KeyID == kb[0].Header().KeyID {
			t.Error("two scopes share a search key")
		}
	})
}

func TestWrappedKeyIsBoundToItsRow(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		ctx := t.Context()
		a := keyID(t, sealOne(t, c, keyring.WithScope(ctx, "a"), random))
		b := keyID(t, sealOne(t, c, keyring.WithScope(ctx, "b"), random))
		moved := k.Row(b).Wrapped
		k.Change(a, func(r *keyring.Key) { r.Wrapped = moved })
		c2 := New(k, w, Config{})
		defer c2.Close()
		if _, err := c2.Opener(ctx, random, a); !errors.Is(err, kms.ErrInvalidWrapped) {
			t.Errorf("a wrapped key that was moved to another row: %v", err)
		}
		if _, err := c2.Opener(ctx, random, b); err != nil {
			t.Error(err)
		}
	})
}

func TestColdStampedeIsOneCall(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := sealOne(t, c, t.Context(), random)
		c2 := New(k, w, Config{})
		defer c2.Close()
		w.Set(func(f *keytest.KMS) { f.Latency = 3 * time.Second })
		var wg sync.WaitGroup
		for range 3000 {
			wg.Go(func() {
				if err := openOne(c2, t.Context(), random, cell); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if w.Called("unwrap") != 1 {
			t.Errorf("%d unwraps, want 1", w.Called("unwrap"))
		}
	})
}

func TestFirstKeyStampede(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		w.Set(func(f *keytest.KMS) { f.Latency = time.Second })
		var wg sync.WaitGroup
		for range 3000 {
			wg.Go(func() {
				if _, err := c.Sealer(t.Context(), random, 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if w.Total() != 1 || k.Len() != 1 {
			t.Errorf("%d KMS calls, %d keys", w.Total(), k.Len())
		}
	})
}

// Thousands wait for one unwrap and then all find no seals reserved, one after
// another: they get one block, and not one each, which would use up the key.
func TestStampedeReservesOnce(t *testing.T) {
	in(t, Config{}, func(t *testing.T, maker *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := sealOne(t, maker, t.Context(), random)
		w.Set(func(f *keytest.KMS) { f.Latency = time.Second })
		k.Reset()
		c := New(k, w, Config{}, random)
		defer c.Close()
		var wg sync.WaitGroup
		for range 3000 {
			wg.Go(func() {
				_, err := c.Sealer(t.Context(), random, 1)
				if err := errors.Join(err, openOne(c, t.Context(), random, cell)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if w.Called("unwrap") != 1 || k.Called("ring") != 1 || k.Called("reserve") != 1 {
			t.Errorf("%d unwraps, %d readings of the ring, %d reservations, want one of each",
				w.Called("unwrap"), k.Called("ring"), k.Called("reserve"))
		}
	})
}

func TestManyProcessesMakeOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := keytest.NewKMS(), keytest.NewKeyring()
		w.Latency = 100 * time.Millisecond
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				c := New(k, w, Config{})
				defer c.Close()
				if _, err := c.Sealer(t.Context(), random, 1); err != nil {
					t.Error(err)
				}
				if n := c.Stats().KMSCalls; n > 2 {
					t.Errorf("%d KMS calls in one process", n)
				}
			})
		}
		wg.Wait()
		if k.Len() != 1 {
			t.Errorf("%d keys, want 1", k.Len())
		}
	})
}

func TestCancelledWaiterDoesNotCancelTheOthers(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		w.Set(func(f *keytest.KMS) { f.Latency = 2 * time.Second })
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, err := c.Sealer(impatient, random, 1)
			first <- err
		}()
		synctest.Wait()
		if _, err := c.Sealer(t.Context(), random, 1); err != nil {
			t.Error(err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Error(err)
		}
		if w.Total() != 1 {
			t.Errorf("%d KMS calls", w.Total())
		}
	})
}

func TestUnknownKeyIsRememberedBriefly(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		for range 100 {
			if _, err := c.Opener(t.Context(), random, 0xdeadbeef); !errors.Is(err, keyring.ErrKeyNotFound) {
				t.Fatal(err)
			}
		}
		if k.Called("keys") != 1 {
			t.Errorf("%d queries for a key that is not there", k.Called("keys"))
		}
		time.Sleep(2 * failureFor)
		_, _ = c.Opener(t.Context(), random, 0xdeadbeef)
		if k.Called("keys") != 2 {
			t.Error("the failure was remembered permanently")
		}
		if _, err := c.Opener(t.Context(), random, 0); !errors.Is(err, keyring.ErrKeyNotFound) {
			t.Error(err)
		}
	})
}

func TestDestroyedKeySaysSo(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		ctx := keyring.WithScope(t.Context(), "tenant:42")
		cell := sealOne(t, c, ctx, random)
		id := keyID(t, cell)
		k.Change(id, func(r *keyring.Key) { r.Destroyed, r.Wrapped.Blob = true, nil })
		c2 := New(k, w, Config{})
		defer c2.Close()
		err := openOne(c2, t.Context(), random, cell)
		if !errors.Is(err, keyring.ErrKeyDestroyed) {
			t.Error(err)
		}
		want := `keyring: get data key ` + hex8(id) + ` of scope "tenant:42": data key destroyed` + "\nhint: " + `what was sealed under it is gone for good`
		if hint.Text(err) != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
		if _, err := c2.Sealer(ctx, random, 1); !errors.Is(err, keyring.ErrKeyDestroyed) {
			t.Errorf("a destroyed scope still seals: %v", err)
		}
	})
}

func TestKeyIDCollisionTriesAnother(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		collided := false
		k.Inserts = func(rec keyring.Key) {
			if !collided {
				collided = true
				taken := rec
				taken.Scope = "somebody else's"
				taken.CreatedAt = time.Now()
				k.Put(taken)
			}
		}
		cell := sealOne(t, c, t.Context(), random)
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Error(err)
		}
		if k.Row(keyID(t, cell)).Scope != "" || w.Called("generate") != 2 {
			t.Error("the key that was taken was used")
		}
	})
}

func TestClosed(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		ctx := t.Context()
		cell := sealOne(t, c, ctx, random)
		e := c.entries.Get(keyID(t, cell))
		reserved := k.Row(keyID(t, cell)).SealsReserved
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		if !e.wiped() {
			t.Fatal("Close left a data key")
		}
		if got := k.Row(keyID(t, cell)).SealsReserved; got != 1 || reserved <= 1 {
			t.Errorf("%d seals reserved after Close, want the 1 that was used", got)
		}
		_, err1 := c.Sealer(ctx, random, 1)
		_, err2 := c.SearchKeys(ctx, deterministic)
		_, err3 := c.Opener(ctx, random, keyID(t, cell))
		for _, err := range []error{err1, err2, err3, c.Prefetch(ctx, []uint32{1})} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}

func TestCloseWhileKMSHangs(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		w.Set(func(f *keytest.KMS) { f.Hang = true })
		result := make(chan error, 1)
		go func() {
			_, err := c.Sealer(t.Context(), random, 1)
			result <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > closeGrace {
			t.Errorf("Close took %v", d)
		}
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestStatsCountLookups(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := sealOne(t, c, t.Context(), random)
		if s := c.Stats(); s.Hits != 0 || s.Misses != 1 {
			t.Errorf("after the first: %+v", s)
		}
		for range 10 {
			sealOne(t, c, t.Context(), random)
			if err := openOne(c, t.Context(), random, cell); err != nil {
				t.Error(err)
			}
		}
		if s := c.Stats(); s.Hits != 20 || s.Misses != 1 {
			t.Errorf("%+v, want 20 hits", s)
		}
	})
}

func TestScopeNames(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		for scope, good := range map[string]bool{
			"tenant:42": true, "スコープ": true, strings.Repeat("x", 256): true,
			strings.Repeat("x", 257): false, "a\x00b": false, "a\nb": false, "\xff": false,
		} {
			if _, err := c.Sealer(keyring.WithScope(t.Context(), scope), random, 1); (err == nil) != good {
				t.Errorf("%q: %v", scope, err)
			}
		}
	})
}

// A Wrapper that does not classify its errors is taken for unavailable.
func TestUnclassifiedKMSError(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		w.Set(func(f *keytest.KMS) { f.Fail = errors.New("something broke") })
		_, err := c.Sealer(t.Context(), random, 1)
		if !errors.Is(err, keyring.ErrKeyUnavailable) || !errors.Is(err, kms.ErrUnavailable) || !strings.Contains(err.Error(), "something broke") {
			t.Error(err)
		}
	})
}

func TestWrongSuite(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		if _, err := c.Sealer(t.Context(), deterministic, 1); err == nil {
			t.Error("Sealer took a deterministic column")
		}
		if _, err := c.SearchKeys(t.Context(), random); err == nil {
			t.Error("SearchKeys took a randomized column")
		}
	})
}

func TestZeroIDSaysSo(t *testing.T) {
	err := new(Cache).notFound(0)
	if !errors.Is(err, keyring.ErrKeyNotFound) || !strings.Contains(err.Error(), "00000000") {
		t.Error(err)
	}
}

// A key that is held is that of the column which is asked for, in whatever order.
func TestHeldKeys(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, _ *keytest.KMS, _ *keytest.Keyring) {
		id := keyID(t, sealOne(t, c, t.Context(), random))
		sealOne(t, c, t.Context(), random2)
		var h Held
		if !c.Hold(&h, id) {
			t.Fatal("not held")
		}
		inbox := random
		inbox.Inbox = !inbox.Inbox
		suite := random
		suite.Suite = deterministic.Suite
		copied := random
		copied.Identity = strings.Clone(copied.Identity)
		for _, first := range []Column{random, random2} {
			for range 3 {
				for _, col := range []Column{first, random, random2, copied, random2, random2} {
					want, err := c.Opener(t.Context(), col, id)
					if got := h.Key(col); err != nil || got == nil || got != want {
						t.Fatalf("%+v: another key, %v", col, err)
					}
				}
				if h.Key(inbox) != nil || h.Key(suite) != nil {
					t.Fatal("a key for a column that nobody named")
				}
			}
		}
	})
}
