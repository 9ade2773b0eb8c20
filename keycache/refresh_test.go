package keycache

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// use seals and opens once every step for d, and fails the test if either fails
// or waits.
func use(t *testing.T, c *Cache, cell []byte, step, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(step) {
		began := time.Now()
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Fatalf("open: %v", err)
		}
		if _, err := c.Sealer(t.Context(), random, 1); err != nil {
			t.Fatalf("seal: %v", err)
		}
		if _, err := c.SearchKeys(t.Context(), deterministic); err != nil {
			t.Fatalf("search: %v", err)
		}
		if waited := time.Since(began); waited > 0 {
			t.Fatalf("a warm lookup waited %v", waited)
		}
	}
}

func warm(t *testing.T, c *Cache) []byte {
	t.Helper()
	cell := sealOne(t, c, t.Context(), random)
	if _, err := c.SearchKeys(t.Context(), deterministic); err != nil {
		t.Fatal(err)
	}
	return cell
}

func TestWarmKeysNeverWaitOnKMS(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		w.Set(func(f *keytest.KMS) { f.Latency = 3 * time.Second })
		use(t, c, cell, 7*time.Second, 24*time.Hour)
		s := c.Stats()
		// A renewal comes at 60 % of MaxAge at the earliest.
		if most := uint64(2 * 24 * time.Hour / (6 * time.Minute)); s.Refreshes > most || s.Refreshes < most/2 {
			t.Errorf("%d refreshes of two keys in a day, want at most %d", s.Refreshes, most)
		}
		if s.StaleHits != 0 || s.Evictions != 0 || s.Created != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestIdleKeysAreLeftAlone(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		e := c.entries.Get(keyID(t, cell))
		time.Sleep(keyring.DefaultMaxAge + keyring.DefaultMaxStale + time.Second)
		synctest.Wait()
		if w.Total() != 2 {
			t.Errorf("%d KMS calls for keys that nobody used", w.Total())
		}
		if s := c.Stats(); s.Entries != 0 || s.Scopes != 0 || !e.wiped() {
			t.Errorf("an idle plaintext key outlived its hard limit: %+v", s)
		}
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Error(err)
		}
	})
}

// A key that comes into use late in its term is renewed in time all the same.
func TestLateUseIsRenewedInTime(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		time.Sleep(9 * time.Minute)
		w.Set(func(f *keytest.KMS) { f.Latency = 3 * time.Second })
		use(t, c, cell, time.Second, 5*time.Minute)
	})
}

func TestOutage(t *testing.T) {
	for name, break_ := range map[string]func(w *keytest.KMS, k *keytest.Keyring, down bool){
		"KMS answers with errors": func(w *keytest.KMS, _ *keytest.Keyring, down bool) {
			w.Set(func(f *keytest.KMS) {
				f.Fail = nil
				if down {
					f.Fail = kms.ErrThrottled
				}
			})
		},
		"KMS hangs": func(w *keytest.KMS, _ *keytest.Keyring, down bool) { w.Set(func(f *keytest.KMS) { f.Hang = down }) },
		"keyring down": func(_ *keytest.KMS, k *keytest.Keyring, down bool) {
			k.SetFail(nil)
			if down {
				k.SetFail(errors.New("connection refused"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
				cell := warm(t, c)
				use(t, c, cell, time.Second, 5*time.Minute)
				break_(w, k, true)
				use(t, c, cell, time.Second, 30*time.Minute) // no failure, no waiting
				if c.Stats().StaleHits == 0 {
					t.Error("stale hits were not counted")
				}
				break_(w, k, false)
				// One backoff step with its jitter, after what is still under way has given up:
				// a call that hangs does not end because the next one would not.
				time.Sleep(gate.Tries*defaultKMSTimeout + gate.BreakerPause + renewRetryMax + renewRetryMax/2)
				synctest.Wait()
				before := c.Stats().StaleHits
				use(t, c, cell, time.Second, time.Minute)
				if got := c.Stats().StaleHits; got != before {
					t.Errorf("%d stale hits after recovery", got-before)
				}
			})
		})
	}
}

func TestHardLimit(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		use(t, c, cell, time.Second, keyring.DefaultMaxAge+keyring.DefaultMaxStale-time.Second)
		time.Sleep(2 * time.Second)
		for range 100 {
			if err := openOne(c, t.Context(), random, cell); !errors.Is(err, keyring.ErrKeyUnavailable) || !errors.Is(err, kms.ErrUnavailable) {
				t.Fatalf("past the hard limit: %v", err)
			}
			if _, err := c.Sealer(t.Context(), random, 1); !errors.Is(err, keyring.ErrKeyUnavailable) {
				t.Fatalf("past the hard limit: %v", err)
			}
			time.Sleep(time.Minute)
		}
		w.Set(func(f *keytest.KMS) { f.Fail = nil })
		time.Sleep(gate.BreakerPause + 2*failureFor)
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Errorf("no recovery: %v", err)
		}
	})
}

func TestNoStale(t *testing.T) {
	in(t, Config{MaxStale: -1}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		use(t, c, cell, time.Second, keyring.DefaultMaxAge-time.Second)
		time.Sleep(2 * time.Second)
		if err := openOne(c, t.Context(), random, cell); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Error(err)
		}
		if c.Stats().StaleHits != 0 {
			t.Error("stale hits")
		}
	})
}

// An idle key that is past MaxAge waits for KMS a moment only, and serves stale when
// there is no answer.
func TestIdleKeyServesStaleWhenKMSHangs(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		cell := warm(t, c)
		time.Sleep(20 * time.Minute)
		w.Set(func(f *keytest.KMS) { f.Hang = true })
		began := time.Now()
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > defaultStaleWait {
			t.Errorf("waited %v", d)
		}
		began = time.Now()
		_ = sealOne(t, c, t.Context(), random)
		_ = idsOf(t, c)
		if d := time.Since(began); d > 10*time.Millisecond { // the wait for one key is over
			t.Errorf("waited %v to seal and search", d)
		}
		time.Sleep(20 * time.Minute)
		began = time.Now()
		_, _ = sealOne(t, c, t.Context(), random), idsOf(t, c)
		if d := time.Since(began); d > defaultStaleWait+10*time.Millisecond {
			t.Errorf("waited %v to seal and search: more than once", d)
		}
		use(t, c, cell, time.Second, 0)
	})
}

// slowKeyring answers lookups late.
type slowKeyring struct {
	*keytest.Keyring
	late time.Duration
}

func (s *slowKeyring) Ring(ctx context.Context, p keyring.Purpose, scope string) (keyring.Ring, error) {
	time.Sleep(s.late)
	return s.Keyring.Ring(ctx, p, scope)
}

func (s *slowKeyring) Keys(ctx context.Context, ids []uint32) ([]keyring.Key, error) {
	time.Sleep(s.late)
	return s.Keyring.Keys(ctx, ids)
}

// What leaves memory while a lookup waits for its renewal cannot serve stale: the lookup waits on, as
// it would have had it come a moment later.
func TestDroppedWhileALookupWaits(t *testing.T) {
	open := func(t *testing.T, c *Cache, cell []byte) error { return openOne(c, t.Context(), random, cell) }
	seal := func(t *testing.T, c *Cache, _ []byte) error {
		_, err := c.Sealer(t.Context(), random, 1)
		return err
	}
	for name, tt := range map[string]struct {
		drop func(c *Cache, id uint32)
		use  func(t *testing.T, c *Cache, cell []byte) error
	}{
		"a key, at once":       {func(c *Cache, id uint32) { c.evict(c.entries.Get(id)) }, open},
		"a key, for space":     {func(c *Cache, id uint32) { e := c.entries.Get(id); c.entries.Remove(id, e); c.outlive(e) }, open},
		"a ring, for space":    {func(c *Cache, _ uint32) { c.dropRing(c.rings.Drain()[0]) }, seal},
		"what a ring's key is": {func(c *Cache, _ uint32) { c.stop(c.ring(ringID{keyring.PurposeData, ""}), true) }, seal},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &slowKeyring{Keyring: keytest.NewKeyring()}
				c := New(k, keytest.NewKMS(), Config{}, random)
				defer c.Close()
				cell := sealOne(t, c, t.Context(), random)
				time.Sleep(keyring.DefaultMaxAge + time.Minute)
				k.late = 3 * defaultStaleWait
				go func() {
					time.Sleep(defaultStaleWait / 2)
					tt.drop(c, keyID(t, cell))
				}()
				began := time.Now()
				if err := tt.use(t, c, cell); err != nil {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if d := time.Since(began); d < k.late {
					t.Errorf("waited %v: it served what was dropped", d)
				}
			})
		})
	}
}

func TestRefusalStopsAtOnce(t *testing.T) {
	for _, class := range []error{kms.ErrDenied, kms.ErrKeyDisabled, kms.ErrKeyPendingDeletion, kms.ErrKeyNotFound, kms.ErrInvalidWrapped} {
		t.Run(kms.ErrorClass(class), func(t *testing.T) {
			in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
				cell := warm(t, c)
				sealOnly, openOnly := New(k, w, Config{}), New(k, w, Config{})
				defer sealOnly.Close()
				defer openOnly.Close()
				w.Set(func(f *keytest.KMS) { f.Fail = class })
				w.Set(func(f *keytest.KMS) { f.Fail = nil })
				_ = sealOne(t, sealOnly, t.Context(), random)
				if err := openOne(openOnly, t.Context(), random, cell); err != nil {
					t.Fatal(err)
				}
				w.Set(func(f *keytest.KMS) { f.Fail = class })
				for end := time.Now().Add(keyring.DefaultMaxAge); time.Now().Before(end); time.Sleep(time.Second) {
					_, _ = sealOnly.Sealer(t.Context(), random, 1)
					_ = openOne(openOnly, t.Context(), random, cell)
				}
				for range 20 {
					if _, err := sealOnly.Sealer(t.Context(), random, 1); !errors.Is(err, class) || errors.Is(err, keyring.ErrKeyUnavailable) {
						t.Errorf("seal: %v", err)
					}
					if err := openOne(openOnly, t.Context(), random, cell); !errors.Is(err, class) {
						t.Errorf("open: %v", err)
					}
					time.Sleep(time.Second)
				}
				w.Set(func(f *keytest.KMS) { f.Fail = nil })
				time.Sleep(2 * failureFor)
				if err := openOne(openOnly, t.Context(), random, cell); err != nil {
					t.Errorf("KMS agrees again, but %v", err)
				}
			})
		})
	}
}

func TestBreakerSparesKMS(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, k *keytest.Keyring) {
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		for range 600 { // ten minutes
			if _, err := c.Sealer(t.Context(), random, 1); !errors.Is(err, keyring.ErrKeyUnavailable) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if most := int(10*time.Minute/gate.BreakerPause) + gate.BreakerTrips; w.Total() > most {
			t.Errorf("%d calls to a KMS that is down for ten minutes, want at most %d", w.Total(), most)
		}
	})
}
