package keycache

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// keptKMS keeps the very slices of plaintext that it handed out.
type keptKMS struct {
	*keytest.KMS
	mu    sync.Mutex // guards given
	given [][]byte
}

func (f *keptKMS) keep(plain []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.given = append(f.given, plain)
}

func (f *keptKMS) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	dk, err := f.KMS.GenerateDataKey(ctx, ec)
	if err == nil {
		f.keep(dk.Plaintext)
	}
	return dk, err
}

func (f *keptKMS) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	plain, err := f.KMS.Unwrap(ctx, w, ec)
	if err == nil {
		f.keep(plain)
	}
	return plain, err
}

// expect fails the test unless n plaintexts were handed out and all are zero now.
func (f *keptKMS) expect(t *testing.T, n int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.given) != n {
		t.Errorf("%d plaintext keys were handed out, want %d", len(f.given), n)
	}
	for i, plain := range f.given {
		if !bytes.Equal(plain, make([]byte, kms.DataKeySize)) {
			t.Errorf("plaintext key %d of %d was not wiped", i+1, len(f.given))
		}
	}
}

// The plaintext of a data key is wiped by the time that its first user has it:
// when it is made, unwrapped, renewed, prefetched, or made for nothing.
func TestPlaintextIsWipedOnceExpanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := &keptKMS{KMS: keytest.NewKMS()}, keytest.NewKeyring()
		ctx := t.Context()
		c := New(k, w, Config{}, random, random2, deterministic)
		defer c.Close()
		cell := warm(t, c)
		w.expect(t, 2)
		if err := openOne(c, ctx, random2, sealOne(t, c, ctx, random2)); err != nil {
			t.Error(err)
		}
		w.expect(t, 2) // a second column needs nothing new
		use(t, c, cell, time.Second, keyring.DefaultMaxAge)
		synctest.Wait()
		if c.Stats().Refreshes == 0 {
			t.Error("nothing was renewed")
		}
		w.expect(t, w.Total())

		c2 := New(k, w, Config{}, random)
		defer c2.Close()
		if err := c2.Prefetch(ctx, []uint32{keyID(t, cell)}); err != nil {
			t.Error(err)
		}
		w.expect(t, w.Total())
	})
}

func TestKeyMadeForNothingIsWiped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := &keptKMS{KMS: keytest.NewKMS()}, keytest.NewKeyring()
		k.Inserts = func(rec keyring.Key) {
			k.Inserts = nil // another process is quicker, once
			other := rec
			other.ID++
			dk, _ := w.KMS.GenerateDataKey(t.Context(), other.Call().EncryptionContext())
			other.Wrapped = dk.Wrapped
			if ok, err := k.Insert(t.Context(), other); !ok || err != nil {
				t.Error(ok, err)
			}
		}
		c := New(k, w, Config{}, random)
		defer c.Close()
		sealOne(t, c, t.Context(), random)
		w.expect(t, 2) // its own, and the other's unwrapped
	})
}

// A column that New was not told of costs one more unwrap of each key in memory,
// however many ask for it, and none for keys that come later.
func TestUnknownColumnUnwrapsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := &keptKMS{KMS: keytest.NewKMS()}, keytest.NewKeyring()
		c := New(k, w, Config{}, random)
		defer c.Close()
		ctx := t.Context()
		id := keyID(t, sealOne(t, c, ctx, random))
		w.Set(func(f *keytest.KMS) { f.Latency = time.Second })
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := c.Opener(ctx, random2, id); err != nil {
					t.Error(err)
				}
				if _, err := c.Opener(ctx, random, id); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w.expect(t, 2)
		other := keyring.WithScope(ctx, "later")
		_, _ = sealOne(t, c, other, random), sealOne(t, c, other, random2)
		w.expect(t, 3)
		if s := c.Stats(); s.KMSCalls != 3 || s.Entries != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// KMS is away, and a warm key is asked for a column that it was not expanded for.
func TestUnknownColumnNeedsKMS(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		if _, err := c.Opener(t.Context(), Column{Identity: "users.new", Suite: codec.SuiteRandomized}, keyID(t, cell)); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Error(err)
		}
		use(t, c, cell, time.Second, time.Minute)
	})
}

// A column that no key can be expanded for spoils nothing, nor does a cell whose
// header was changed to the other suite: its key was never made for that.
func TestColumnsThatCannotBe(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		id := keyID(t, warm(t, c))
		for _, col := range []Column{{Suite: codec.SuiteRandomized}, {Identity: "users.ssn", Suite: 77}} {
			if _, err := c.Opener(t.Context(), col, id); err == nil {
				t.Errorf("%+v has a key", col)
			}
		}
		if _, err := c.Opener(t.Context(), deterministic, id); !errors.Is(err, codec.ErrAuth) || errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Errorf("a data key for a deterministic column: %v", err)
		}
		sealOne(t, c, keyring.WithScope(t.Context(), "next"), random)
		if w.Total() != 3 {
			t.Errorf("%d KMS calls", w.Total())
		}
	})
}
