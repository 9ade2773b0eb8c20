package keycache

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/audit/audittest"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// garbage is a row that somebody inserted, and that KMS does not unwrap.
func garbage(id uint32, p keyring.Purpose, epoch int64) keyring.Key {
	return keyring.Key{ID: id, Purpose: p, Epoch: epoch, Wrapped: kms.Wrapped{KeyID: "kek", Blob: []byte("x")},
		CreatedAt: time.Now(), SealsFrom: time.Now()}
}

func TestNewestKeyThatDoesNotUnwrapIsPassedOver(t *testing.T) {
	rec, logger := audittest.New(t)
	in(t, Config{Logger: logger}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		first := sealOne(t, c, t.Context(), random)
		k.Put(garbage(1, keyring.PurposeData, 2))
		c2 := New(k, w, Config{})
		defer c2.Close()
		time.Sleep(keyring.DefaultMaxAge + time.Hour)
		a, b := sealOne(t, c, t.Context(), random), sealOne(t, c2, t.Context(), random)
		if keyID(t, a) != keyID(t, b) || keyID(t, a) == keyID(t, first) || k.Row(keyID(t, a)).Epoch != 3 {
			t.Errorf("sealed under epochs %d and %d, want 3", k.Row(keyID(t, a)).Epoch, k.Row(keyID(t, b)).Epoch)
		}
		if n := k.Len(); n != 3 {
			t.Errorf("%d rows", n)
		}
		if got := rec.Take(audit.KeyInvalid); len(got) != 1 || !strings.Contains(got[0], "key_id=00000001 ") || !strings.Contains(got[0], "error_class=key_invalid") {
			t.Errorf("%q", got)
		}
	})
}

// Whoever inserts a row in the place of each key that is made stops the scope, and does
// not have keys made without end.
func TestPassingOverIsBounded(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		k.Inserts = func(rec keyring.Key) { k.Put(garbage(keyring.NewID(), rec.Purpose, rec.Epoch)) }
		_, err := c.Sealer(t.Context(), random, 1)
		if !errors.Is(err, keyring.ErrKeyInvalid) || errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Error(err)
		}
		if n := w.Called(); n > 3*keyring.IDTries {
			t.Errorf("%d calls of KMS", n)
		}
		k.Inserts = nil
		time.Sleep(3 * failureFor)
		_ = sealOne(t, c, t.Context(), random)
	})
}

// A program that may make keys and not unwrap them makes none in the place of others'.
func TestDeniedKeyIsNotPassedOver(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		_ = sealOne(t, c, t.Context(), random)
		w.Set(func(w *keytest.KMS) { w.Refuse = func(kms.Wrapped) error { return kms.ErrDenied } })
		c2 := New(k, w, Config{})
		defer c2.Close()
		if _, err := c2.Sealer(t.Context(), random, 1); !errors.Is(err, kms.ErrDenied) {
			t.Error(err)
		}
		if n := k.Len(); n != 1 {
			t.Errorf("%d keys", n)
		}
	})
}

func TestKeyOfAForeignKEKIsPassedOver(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		foreign := garbage(1, keyring.PurposeData, 1)
		foreign.Wrapped.KeyID = "theirs"
		k.Put(foreign)
		w.Set(func(w *keytest.KMS) {
			w.Refuse = func(wrapped kms.Wrapped) error {
				if wrapped.KeyID == "theirs" {
					return kms.ErrDenied
				}
				return nil
			}
		})
		if cell := sealOne(t, c, t.Context(), random); keyID(t, cell) == 1 {
			t.Error("sealed under it")
		}
	})
}

// A search key that does not unwrap may have sealed cells, which no search would find
// without it: only an operator can say that it is nothing.
func TestSearchKeyThatDoesNotUnwrap(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		k.Put(garbage(1, keyring.PurposeSearch, 1))
		if _, err := c.SearchKeys(t.Context(), deterministic); !errors.Is(err, keyring.ErrKeyInvalid) {
			t.Error(err)
		}
		if k.Len() != 1 {
			t.Error("another search key was made")
		}
		if _, err := keyring.NewAdmin(k, w, keyring.AdminConfig{}).Revoke(t.Context(), 1, "no key of ours"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * failureFor)
		keys, err := c.SearchKeys(t.Context(), deterministic)
		if err != nil || len(keys) != 1 || keys[0].Header().KeyID == 1 {
			t.Error(keys, err)
		}
	})
}

func TestStraysAreTold(t *testing.T) {
	rec, logger := audittest.New(t)
	in(t, Config{Logger: logger}, func(t *testing.T, c *Cache, _ *keytest.KMS, k *keytest.Keyring) {
		stray := garbage(1, keyring.PurposeData, 9)
		stray.Stray = errors.New("beyond a gap")
		k.Put(stray)
		if cell := sealOne(t, c, t.Context(), random); k.Row(keyID(t, cell)).Epoch != 1 {
			t.Error("sealed under a stray's successor")
		}
		if got := rec.Take(audit.KeyInvalid); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// panicking is a keyring that panics when it is told to.
type panicking struct {
	*keytest.Keyring
	on atomic.Bool
}

func (p *panicking) Ring(ctx context.Context, purpose keyring.Purpose, scope string) (keyring.Ring, error) {
	if p.on.Load() {
		var none []int
		_ = none[len(scope)] // as a fault of Colseal's would
	}
	return p.Keyring.Ring(ctx, purpose, scope)
}

func (p *panicking) Keys(ctx context.Context, ids []uint32) ([]keyring.Key, error) {
	if p.on.Load() {
		panic("with a secret")
	}
	return p.Keyring.Keys(ctx, ids)
}

// A panic behind a lookup is the lookup's error; one of a renewal is told, and the key
// serves on as if KMS were away.
func TestPanicsEndNothing(t *testing.T) {
	rec, logger := audittest.New(t)
	synctest.Test(t, func(t *testing.T) {
		w, k := keytest.NewKMS(), &panicking{Keyring: keytest.NewKeyring()}
		c := New(k, w, Config{Logger: logger}, random, deterministic)
		defer c.Close()
		cell := sealOne(t, c, t.Context(), random)
		k.on.Store(true)
		for range 30 {
			time.Sleep(time.Minute)
			_ = sealOne(t, c, t.Context(), random)
			if err := openOne(c, t.Context(), random, cell); err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Sealer(keyring.WithScope(t.Context(), "new"), random, 1)
		if err == nil || errors.Is(err, keyring.ErrKeyUnavailable) || !strings.Contains(err.Error(), "index out of range") {
			t.Error(err)
		}
		told := strings.Join(rec.Take(audit.Panicked), "\n")
		if told == "" || strings.Contains(told, "secret") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q", told)
		}
		if err := c.Prefetch(t.Context(), []uint32{1, 2, 3}); err == nil {
			t.Error("prefetched")
		}
		k.on.Store(false)
		time.Sleep(renewRetryMax)
		_ = sealOne(t, c, keyring.WithScope(t.Context(), "new"), random)
	})
}

// panickingKMS is a Wrapper that panics.
type panickingKMS struct{ *keytest.KMS }

func (panickingKMS) Unwrap(context.Context, kms.Wrapped, kms.EncryptionContext) ([]byte, error) {
	panic("with a secret")
}

func TestPanicOfAWrapperIsUnavailable(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := sealOne(t, c, t.Context(), random)
		c2 := New(k, panickingKMS{w}, Config{})
		defer c2.Close()
		if err := openOne(c2, t.Context(), random, cell); !errors.Is(err, keyring.ErrKeyUnavailable) || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	})
}
