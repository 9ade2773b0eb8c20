package keycache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/audit/audittest"
	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// watched is what a KMSObserver saw.
type watched struct {
	mu    sync.Mutex
	calls []string
}

func (w *watched) observe(ctx context.Context, call kms.Call) (context.Context, func(kms.Answer)) {
	begun := time.Now()
	return ctx, func(a kms.Answer) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls = append(w.calls, fmt.Sprintf("%s %s %s/%s epoch %d, %q then %q, %v %s", call.Op, call.Keyring,
			call.Purpose, call.Scope, call.Epoch, call.KEK, a.KEK, time.Since(begun), kms.ErrorClass(a.Err)))
	}
}

func (w *watched) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

func TestObserveKMS(t *testing.T) {
	var seen watched
	in(t, Config{ObserveKMS: seen.observe}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		ctx := keyring.WithScope(t.Context(), "tenant:1")
		w.Set(func(f *keytest.KMS) { f.Latency = 20 * time.Millisecond })
		cell := sealOne(t, c, ctx, random)
		want := []string{`generate ` + keytest.ID + ` data/tenant:1 epoch 1, "" then "kek", 20ms `}
		if got := seen.take(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		// Every try is a call of its own.
		other := New(k, w, Config{ObserveKMS: seen.observe})
		defer func() { _ = other.Close() }()
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrThrottled })
		if err := openOne(other, t.Context(), random, cell); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Error(err)
		}
		want = slices.Repeat([]string{`unwrap ` + keytest.ID + ` data/tenant:1 epoch 1, "kek" then "kek", 20ms throttled`}, gate.Tries)
		if got := seen.take(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		s := other.Stats()
		if s.KMSCalls != gate.Tries || s.KMSErrors != gate.Tries || s.KMSErrorClasses["throttled"] != gate.Tries ||
			s.KMSTime != gate.Tries*20*time.Millisecond {
			t.Errorf("%+v", s)
		}
	})
}

func TestStatsOfSealingKeys(t *testing.T) {
	in(t, Config{MaxSeals: 1000, RotateEvery: 100 * time.Hour}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		if s := c.Stats(); s.DataKeyAge != 0 || s.SearchKeyAge != 0 || s.BudgetLeft != 1 {
			t.Errorf("empty: %+v", s)
		}
		cell := warm(t, c)
		if left := c.Stats().BudgetLeft; left != 0.999 {
			t.Errorf("after one cell of 1,000 the budget is %v", left)
		}
		use(t, c, cell, 5*time.Minute, time.Hour) // seals 12, often enough that nothing falls due
		s := c.Stats()
		if s.DataKeyAge != time.Hour || s.SearchKeyAge != time.Hour || s.BudgetLeft != 0.987 {
			t.Errorf("an hour later: %+v", s)
		}
		// Another scope's younger key is not what matters; another process's use of it is.
		young := keyring.WithScope(t.Context(), "young")
		other := New(k, w, c.cfg)
		for range 100 {
			sealOne(t, other, young, random)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		sealOne(t, c, young, random)
		s = c.Stats()
		if s.DataKeyAge != time.Hour || s.BudgetLeft < 0.898 || s.BudgetLeft > 0.9 {
			t.Errorf("with another scope: %+v", s)
		}
		use(t, c, cell, time.Minute, 100*time.Hour)
		if s = c.Stats(); s.DataKeyAge >= 100*time.Hour || s.SearchKeyAge < 100*time.Hour {
			t.Errorf("after rotation: %+v", s)
		}
	})
}

func TestAuditOfRotation(t *testing.T) {
	rec, logger := audittest.New(t)
	in(t, Config{Logger: logger, RotateEvery: time.Hour}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		id := hex8(keyID(t, cell))
		want := "key_id=" + id + " purpose=data scope= epoch=1 kek=kek"
		if got := rec.Take(audit.KeyCreated); len(got) != 2 || got[0] != want {
			t.Errorf("%q, want %q and a search key's", got, want)
		}
		use(t, c, cell, time.Minute, 58*time.Minute)
		if got := rec.Take(audit.KeyRotated); len(got) != 1 || !strings.HasSuffix(got[0], "purpose=data scope= epoch=2 kek=kek") {
			t.Errorf("%q", got)
		}
		if names := rec.Names(); len(names) != 0 {
			t.Errorf("also: %q", names)
		}
	})
}

func TestAuditOfRefusal(t *testing.T) {
	rec, logger := audittest.New(t)
	in(t, Config{Logger: logger}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		id := hex8(keyID(t, cell))
		w.Set(func(f *keytest.KMS) {
			f.Fail = &kms.Error{Op: "unwrap data key", Class: kms.ErrKeyDisabled, Cause: errors.New("secret")}
		})
		for range 60 {
			_ = openOne(c, t.Context(), random, cell)
			time.Sleep(10 * time.Second)
		}
		why := "error_class=key_disabled error=kms: unwrap data key: key encryption key is disabled"
		want := "key_id=" + id + " purpose=data scope= epoch=1 kek=kek " + why
		if got := rec.Take(audit.KeyDropped); len(got) != 1 || got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
		got := rec.Take(audit.KMSRefused)
		if len(got) < 2 || len(got) > 10 || got[0] != "op=unwrap "+want || !strings.Contains(got[1], " suppressed=") {
			t.Errorf("%q, want first %q, and then one a minute", got, "op=unwrap "+want)
		}
	})
}

func TestAuditOfDestruction(t *testing.T) {
	rec, logger := audittest.New(t)
	in(t, Config{Logger: logger}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		rec.Take(audit.KeyCreated)
		k.Change(keyID(t, cell), func(r *keyring.Key) { r.Destroyed, r.Wrapped.Blob = true, nil })
		for range 60 {
			_ = openOne(c, t.Context(), random, cell)
			time.Sleep(10 * time.Second)
		}
		got := rec.Take(audit.KeyDropped)
		if len(got) != 1 || !strings.Contains(got[0], " error_class=key_destroyed error=keyring: get data key") {
			t.Errorf("%q", got)
		}
	})
}

func TestAuditOfOutage(t *testing.T) {
	rec, logger := audittest.New(t)
	in(t, Config{Logger: logger}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		use(t, c, cell, time.Second, 9*time.Minute)
		rec.Take(audit.KeyCreated)
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		use(t, c, cell, time.Second, 11*time.Minute) // both keys are due by then, whenever they were renewed
		if got := rec.Take(audit.KMSPaused); len(got) != 1 {
			t.Errorf("%d times it was told that calls pause", len(got))
		}
		use(t, c, cell, time.Second, 20*time.Minute)
		w.Set(func(f *keytest.KMS) { f.Fail = nil })
		use(t, c, cell, time.Second, 2*time.Minute)
		if got := rec.Take(audit.KMSResumed); len(got) != 1 {
			t.Errorf("%d times it was told that calls go on", len(got))
		}
		stale := rec.Take(audit.KeyStale)
		if len(stale) < 10 || len(stale) > 60 || !strings.Contains(stale[0], "error_class=unavailable") {
			t.Errorf("%d times it was told that keys are stale: %q", len(stale), stale)
		}
		if names := rec.Names(); len(names) != 0 {
			t.Errorf("also: %q", names)
		}
		synctest.Wait()
	})
}
