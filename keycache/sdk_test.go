package keycache

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// What the other tests promise on a fake, on the real thing: awskms over the AWS
// SDK's client, and a server of the KMS protocol, in virtual time.

type sdkWorld struct {
	*kmstest.Server
	kek  string
	ring *keytest.Keyring
	open func() *Cache // one more process; it is closed at the end
}

func inSDK(t *testing.T, test func(t *testing.T, s sdkWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := sdkWorld{Server: kmstest.New(), ring: keytest.NewKeyring()}
		s.kek = s.CreateKey(kmstest.Alias("alias/app"))
		w := awskms.New(s.Client(t), "alias/app")
		var caches []*Cache
		s.open = func() *Cache {
			c := New(s.ring, w, Config{}, random, random2, deterministic)
			caches = append(caches, c)
			return c
		}
		test(t, s)
		for _, c := range caches {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		s.Close() // a goroutine that is left fails the bubble
	})
}

// expect checks the calls since the last time.
func (s sdkWorld) expect(t *testing.T, generate, decrypt int) {
	t.Helper()
	if g, d := s.Calls("GenerateDataKey"), s.Calls("Decrypt"); g != generate || d != decrypt || s.Calls() != g+d {
		t.Errorf("%d GenerateDataKey and %d Decrypt of %d calls, want %d and %d", g, d, s.Calls(), generate, decrypt)
	}
	s.Reset()
}

func TestSDKColdStampedeIsOneCall(t *testing.T) {
	inSDK(t, func(t *testing.T, s sdkWorld) {
		lift := s.Slow(500 * time.Millisecond)
		defer lift()
		together := func(do func() error) {
			var wg sync.WaitGroup
			for range 3000 {
				wg.Go(func() {
					if err := do(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		first := s.open()
		together(func() error { _, err := first.Sealer(t.Context(), random, 1); return err })
		s.expect(t, 1, 0)
		cell := sealOne(t, first, t.Context(), random)
		second := s.open()
		together(func() error { return openOne(second, t.Context(), random, cell) })
		s.expect(t, 0, 1)
		third := s.open()
		together(func() error { _, err := third.Sealer(t.Context(), random, 1); return err })
		s.expect(t, 0, 1)
	})
}

// A million seals over three hours: a call per refresh interval, which is six
// minutes at the least.
func TestSDKMillionSealsOnAWarmKey(t *testing.T) {
	inSDK(t, func(t *testing.T, s sdkWorld) {
		c := s.open()
		sealOne(t, c, t.Context(), random)
		s.expect(t, 1, 0)
		const span, rounds = 3 * time.Hour, 10_000
		for range rounds {
			for range 1_000_000 / rounds {
				if _, err := c.Sealer(t.Context(), random, 1); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(span / rounds)
		}
		calls, most := s.Calls(), int(span/(keyring.DefaultMaxAge*6/10))
		if calls > most || calls < most/2 || s.Calls("Decrypt") != calls {
			t.Errorf("%d calls in %v, want at most %d", calls, span, most)
		}
	})
}

func TestSDKHitsDoNotWaitForAHangingKMS(t *testing.T) {
	inSDK(t, func(t *testing.T, s sdkWorld) {
		c := s.open()
		cell := warm(t, c)
		for _, lift := range []func(){s.Slow(3 * time.Second), s.Break(kmstest.OutageUnanswered)} {
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() { _, _ = c.Sealer(keyring.WithScope(t.Context(), fmt.Sprint(i)), random, 1) })
			}
			use(t, c, cell, time.Millisecond, 3*time.Second)
			wg.Wait()
			lift()
		}
	})
}

// KMS is away for half an hour, then for good, then back, in each way there is.
func TestSDKOutage(t *testing.T) {
	for name, cause := range map[string]func(s sdkWorld) func(){
		"refused":    func(s sdkWorld) func() { return s.Break(kmstest.OutageRefused) },
		"failing":    func(s sdkWorld) func() { return s.Break(kmstest.OutageFailing) },
		"unanswered": func(s sdkWorld) func() { return s.Break(kmstest.OutageUnanswered) },
		"throttling": func(s sdkWorld) func() { return s.Throttle(0) },
		"internal":   func(s sdkWorld) func() { return s.Inject(kmstest.Fault{Code: "KMSInternalException", Status: 500}) },
	} {
		t.Run(name, func(t *testing.T) { inSDK(t, func(t *testing.T, s sdkWorld) { sdkOutage(t, s, cause) }) })
	}
}

func sdkOutage(t *testing.T, s sdkWorld, cause func(sdkWorld) func()) {
	c := s.open()
	cell := warm(t, c)
	use(t, c, cell, time.Second, 5*time.Minute)
	lift := cause(s)
	use(t, c, cell, time.Second, 30*time.Minute) // no failure, no wait
	lift()
	recovered(t, c, cell)

	lift = cause(s)
	time.Sleep(keyring.DefaultMaxAge + keyring.DefaultMaxStale)
	for range 60 {
		_, seal := c.Sealer(t.Context(), random, 1)
		_, search := c.SearchKeys(t.Context(), deterministic)
		for _, err := range []error{seal, search, openOne(c, t.Context(), random, cell)} {
			if !errors.Is(err, keyring.ErrKeyUnavailable) || !errors.Is(err, kms.ErrUnavailable) {
				t.Fatalf("past the hard limit: %v", err)
			}
		}
		time.Sleep(time.Second)
	}
	lift()
	time.Sleep(gate.BreakerPause + 2*failureFor)
	if err := openOne(c, t.Context(), random, cell); err != nil {
		t.Errorf("no recovery past the hard limit: %v", err)
	}
}

// recovered checks that nothing is stale one step of the back-off after an outage.
// A call that hangs does not end because the next one would not.
func recovered(t *testing.T, c *Cache, cell []byte) {
	t.Helper()
	use(t, c, cell, time.Second, gate.Tries*defaultKMSTimeout+gate.BreakerPause+renewRetryMax*3/2)
	synctest.Wait()
	before := c.Stats().StaleHits
	use(t, c, cell, time.Second, time.Minute)
	if got := c.Stats().StaleHits; got != before {
		t.Errorf("%d stale hits after recovery", got-before)
	}
}

// Once KMS refuses, every process stops within a refresh interval: one that only
// seals, one that only opens, and one that only searches; and goes on as soon as it
// agrees again.
func TestSDKRefusalStopsEveryProcess(t *testing.T) {
	for name, c := range map[string]struct {
		refuse func(s sdkWorld) (lift func())
		class  error
	}{
		"denied": {func(s sdkWorld) func() { return s.Deny(s.kek) }, kms.ErrDenied},
		"disabled": {func(s sdkWorld) func() {
			s.SetState(s.kek, kmstest.StateDisabled)
			return func() { s.SetState(s.kek, kmstest.StateEnabled) }
		}, kms.ErrKeyDisabled},
		"pending deletion": {func(s sdkWorld) func() {
			s.SetState(s.kek, kmstest.StatePendingDeletion)
			return func() { s.SetState(s.kek, kmstest.StateEnabled) }
		}, kms.ErrKeyPendingDeletion},
		"not found": {func(s sdkWorld) func() {
			return s.Inject(kmstest.Fault{Code: "NotFoundException", Status: 400})
		}, kms.ErrKeyNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			inSDK(t, func(t *testing.T, s sdkWorld) {
				cell := warm(t, s.open())
				sealer, opener, searcher := s.open(), s.open(), s.open()
				uses := map[string]func() error{
					"seal":   func() error { _, err := sealer.Sealer(t.Context(), random, 1); return err },
					"open":   func() error { return openOne(opener, t.Context(), random, cell) },
					"search": func() error { _, err := searcher.SearchKeys(t.Context(), deterministic); return err },
				}
				all := func(span time.Duration, want error) {
					t.Helper()
					for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(time.Second) {
						for what, use := range uses {
							if err := use(); !errors.Is(err, want) || errors.Is(err, keyring.ErrKeyUnavailable) {
								t.Fatalf("%s: %v, want %v", what, err, want)
							}
						}
					}
				}
				all(20*time.Minute, nil)
				lift := c.refuse(s)
				for end := time.Now().Add(keyring.DefaultMaxAge); time.Now().Before(end); time.Sleep(time.Second) {
					for _, use := range uses {
						_ = use()
					}
				}
				all(20*time.Minute, c.class)
				lift()
				time.Sleep(2 * failureFor)
				all(time.Minute, nil)
			})
		})
	}
}

// Two data keys under one KEK are two keys: neither opens the other's cells, and a
// wrapped key in another key's row does not unwrap.
func TestSDKKeysNeverMix(t *testing.T) {
	inSDK(t, func(t *testing.T, s sdkWorld) {
		c := s.open()
		cells := map[uint32][]byte{}
		for _, scope := range []string{"a", "b"} {
			cell := sealOne(t, c, keyring.WithScope(t.Context(), scope), random)
			cells[keyID(t, cell)] = cell
		}
		c2 := s.open()
		for id, cell := range cells {
			for _, c := range []*Cache{c, c2} {
				k, err := c.Opener(t.Context(), random, id)
				if err != nil {
					t.Fatal(err)
				}
				for other, theirs := range cells {
					if _, err := k.Open(nil, codec.KindText, theirs); (err == nil) != (other == id) {
						t.Errorf("key %08x on a cell of %08x: %v", id, other, err)
					}
					// With the header altered to name this key, too.
					forged := slices.Concat(cell[:codec.HeaderSize], theirs[codec.HeaderSize:])
					if _, err := k.Open(nil, codec.KindText, forged); (err == nil) != (other == id) {
						t.Errorf("key %08x on a cell of %08x under its own header: %v", id, other, err)
					}
				}
			}
		}
		ids := slices.Collect(maps.Keys(cells))
		x, y := s.ring.Row(ids[0]).Wrapped, s.ring.Row(ids[1]).Wrapped
		if x.KeyID != y.KeyID || x.KeyID != s.kek {
			t.Errorf("wrapped under %s and %s", x.KeyID, y.KeyID)
		}
		s.ring.Change(ids[0], func(r *keyring.Key) { r.Wrapped = y })
		s.ring.Change(ids[1], func(r *keyring.Key) { r.Wrapped = x })
		c3 := s.open()
		for id, cell := range cells {
			if err := openOne(c3, t.Context(), random, cell); !errors.Is(err, kms.ErrInvalidWrapped) {
				t.Errorf("key %08x in another's row: %v", id, err)
			}
		}
	})
}

// The audit trail of KMS says which key was asked for, and what for.
func TestSDKEncryptionContext(t *testing.T) {
	inSDK(t, func(t *testing.T, s sdkWorld) {
		cell := sealOne(t, s.open(), keyring.WithScope(t.Context(), "tenant:42"), random)
		if err := openOne(s.open(), t.Context(), random, cell); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"colseal:key-id": hex8(keyID(t, cell)), "colseal:purpose": "data",
			"colseal:keyring": keytest.ID, "colseal:scope": "tenant:42"}
		for _, e := range s.Events() {
			if !maps.Equal(e.EncryptionContext, want) || e.KeyID != s.kek {
				t.Errorf("%+v, want %v", e, want)
			}
		}
	})
}

// Close while every request hangs: it does not wait for them, and none is left.
func TestSDKCloseWhileKMSHangs(t *testing.T) {
	inSDK(t, func(t *testing.T, s sdkWorld) {
		c := s.open()
		cell := warm(t, c)
		s.Break(kmstest.OutageUnanswered)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if _, err := c.Sealer(keyring.WithScope(t.Context(), fmt.Sprint(i)), random, 1); !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		}
		use(t, c, cell, time.Second, 2*time.Second)
		began := time.Now()
		if err := c.Close(); err != nil || time.Since(began) > closeGrace {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		wg.Wait()
	})
}
