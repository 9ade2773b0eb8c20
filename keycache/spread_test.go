package keycache

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/kms"
)

// timedKMS notes when it was called.
type timedKMS struct {
	*keytest.KMS
	mu sync.Mutex // guards at
	at []time.Time
}

func (f *timedKMS) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	f.mu.Lock()
	f.at = append(f.at, time.Now())
	f.mu.Unlock()
	return f.KMS.Unwrap(ctx, w, ec)
}

// take returns the gaps between the calls since the last time.
func (f *timedKMS) take() (at []time.Time, gaps []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, f.at = f.at, nil
	for i := range at {
		if i > 0 {
			gaps = append(gaps, at[i].Sub(at[i-1]))
		}
	}
	return at, gaps
}

// most returns the most calls within any second.
func most(at []time.Time) (n int) {
	for i := range at {
		j, _ := slices.BinarySearchFunc(at, at[i].Add(time.Second), time.Time.Compare)
		n = max(n, j-i)
	}
	return n
}

// A failing lookup is tried again after 100 ms and more, each time by chance
// between half and half as much again; then its failure is remembered.
func TestRetriesBackOffWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, k := &timedKMS{KMS: keytest.NewKMS()}, keytest.NewKeyring()
		maker := New(k, w, Config{})
		cell := sealOne(t, maker, t.Context(), random)
		_ = maker.Close()
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		seen := map[time.Duration]bool{}
		for range 50 {
			c := New(k, w, Config{})
			for range 100 {
				_ = openOne(c, t.Context(), random, cell)
			}
			_, gaps := w.take()
			if len(gaps) != gate.Tries-1 {
				t.Fatalf("a hundred lookups made %d calls, want %d", len(gaps)+1, gate.Tries)
			}
			for i, gap := range gaps {
				mean := gate.RetryMin << i
				if gap < mean/2-mean/4 || gap > 2*mean {
					t.Errorf("try %d came after %v, want about %v", i+2, gap, mean)
				}
				seen[gap] = true
			}
			_ = c.Close()
		}
		if len(seen) < 50 {
			t.Errorf("only %d different waits: no jitter", len(seen))
		}
	})
}

// Two hundred processes that start in one moment do not renew in one moment, nor
// try again together while KMS is away, nor all ask when it is back.
func TestProcessesThatStartTogetherSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const processes = 200
		w, k := &timedKMS{KMS: keytest.NewKMS()}, keytest.NewKeyring()
		maker := New(k, w, Config{})
		cell := sealOne(t, maker, t.Context(), random)
		var caches []*Cache
		for range processes {
			caches = append(caches, New(k, w, Config{}, random))
		}
		work := func(span time.Duration) {
			for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(5 * time.Second) {
				for _, c := range caches {
					if err := openOne(c, t.Context(), random, cell); err != nil {
						t.Error(err)
					}
				}
			}
		}
		work(time.Minute)
		w.take()
		work(9 * time.Minute)
		at, _ := w.take()
		if n := most(at); len(at) < processes || n > processes/10 {
			t.Errorf("%d renewals, %d in one second", len(at), n)
		}
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		work(30 * time.Minute)
		at, _ = w.take()
		// Each may probe every half minute, give or take its jitter.
		if n := most(at); n > processes/4 {
			t.Errorf("%d tries in an outage, %d in one second", len(at), n)
		}
		w.Set(func(f *keytest.KMS) { f.Fail = nil })
		work(2 * time.Minute)
		at, _ = w.take()
		if n := most(at); len(at) < processes || len(at) > processes*3/2 || n > processes/4 {
			t.Errorf("%d calls after the outage, %d in one second", len(at), n)
		}
		for _, c := range append(caches, maker) {
			_ = c.Close()
		}
	})
}
