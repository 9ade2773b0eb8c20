package keycache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// fleet is a keyring, its operator and some running processes.
type fleet struct {
	kms   *keytest.KMS
	ring  *keytest.Keyring
	admin *keyring.Admin
	procs []*Cache
}

func inFleet(t *testing.T, processes int, test func(*testing.T, *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{kms: keytest.NewKMS(), ring: keytest.NewKeyring()}
		f.admin = keyring.NewAdmin(f.ring, f.kms, keyring.AdminConfig{By: "ann"})
		for range processes {
			c := New(f.ring, f.kms, Config{}, random, random2, deterministic)
			defer c.Close()
			f.procs = append(f.procs, c)
		}
		test(t, f)
	})
}

// every calls do at each step for d.
func every(step, d time.Duration, do func()) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(step) {
		do()
	}
}

// A revoked key stops sealing within MaxAge, in a process that does nothing but
// seal too, and every seal that was reserved and not used goes back.
func TestRevokedKeyStopsSealingEverywhere(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		used := map[uint32]uint64{}
		seal := func() {
			for _, c := range f.procs {
				used[keyID(t, sealOne(t, c, t.Context(), random))]++
			}
		}
		seal()
		old := keyID(t, sealOne(t, f.procs[0], t.Context(), random))
		used[old]++
		every(7*time.Second, time.Hour, seal)
		must[keyring.Key](t)(f.admin.Revoke(t.Context(), old, "leaked"))
		every(7*time.Second, keyring.DefaultMaxAge, seal)
		before := used[old]
		every(7*time.Second, time.Hour, seal)
		if n := used[old] - before; n > 0 {
			t.Errorf("a revoked key sealed %d cells after MaxAge", n)
		}
		synctest.Wait()
		if got := f.ring.Row(old).SealsReserved; got != used[old] {
			t.Errorf("%d seals reserved of the revoked key, %d used", got, used[old])
		}
	})
}

// KMS fails just when the successor of a revoked key is to be unwrapped: better no
// sealing than under the revoked one.
func TestRevokedKeyDoesNotSealStale(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.procs[0]
		cell := warm(t, c)
		every(time.Second, 5*time.Minute, func() { sealOne(t, c, t.Context(), random) })
		must[keyring.Key](t)(f.admin.Revoke(t.Context(), keyID(t, cell), "leaked"))
		f.kms.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		every(time.Second, keyring.DefaultMaxAge, func() { _, _ = c.Sealer(t.Context(), random, 1) })
		if _, err := c.Sealer(t.Context(), random, 1); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Errorf("the revoked key seals on: %v", err)
		}
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Errorf("it must open on: %v", err)
		}
		f.kms.Set(func(f *keytest.KMS) { f.Fail = nil })
		time.Sleep(gate.BreakerPause + 2*failureFor)
		if keyID(t, sealOne(t, c, t.Context(), random)) == keyID(t, cell) {
			t.Error("the revoked key seals again")
		}
	})
}

// Whatever is sealed under a search key in one process is found by every other one,
// from the moment it is sealed until the key is retired, while search keys change,
// processes sleep, and KMS and the keyring fail.
func TestSearchKeyChangeLosesNoRow(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inFleet(t, 4, func(t *testing.T, f *fleet) { searchWhileKeysChange(t, f, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func searchWhileKeysChange(t *testing.T, f *fleet, rnd *rand.Rand) {
	end := time.Now().Add(4 * 24 * time.Hour)
	var (
		mu   sync.Mutex // guards rows
		rows = map[uint32]bool{}
		wg   sync.WaitGroup
	)
	for _, c := range f.procs {
		rnd := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		wg.Go(func() {
			for time.Now().Before(end) {
				if keys, err := c.SearchKeys(t.Context(), deterministic); err == nil {
					mu.Lock()
					var ids []uint32
					for _, k := range keys {
						ids = append(ids, k.Header().KeyID)
					}
					for id := range rows {
						if !slices.Contains(ids, id) {
							t.Errorf("a process searches for %08x and misses rows under %08x", ids, id)
						}
					}
					rows[ids[0]] = true // and writes one
					mu.Unlock()
				} else if !errors.Is(err, keyring.ErrKeyUnavailable) {
					t.Error(err)
				}
				time.Sleep(time.Duration(rnd.Int64N(int64(10 * time.Minute))))
			}
		})
	}
	wg.Go(func() { // outages
		for time.Now().Before(end) {
			time.Sleep(time.Duration(rnd.Int64N(int64(4 * time.Hour))))
			if rnd.IntN(2) == 0 {
				f.kms.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
			} else {
				f.ring.SetFail(errors.New("connection refused"))
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(2 * time.Hour))))
			f.kms.Set(func(f *keytest.KMS) { f.Fail = nil })
			f.ring.SetFail(nil)
		}
	})
	changes := 0
	wg.Go(func() { // the operator
		for time.Now().Before(end) {
			time.Sleep(10 * time.Minute)
			scope := ""
			keys, err := f.admin.Keys(t.Context(), keyring.Filter{Purpose: keyring.PurposeSearch, Scope: &scope})
			if err != nil || len(keys) == 0 {
				continue
			}
			newest := keys[len(keys)-1]
			if len(keys) == 1 || !keys[len(keys)-2].Searched() {
				_, _ = f.admin.Rotate(t.Context(), keyring.PurposeSearch, "")
				continue
			}
			if time.Now().Before(newest.SettledFrom) {
				if _, err := f.admin.Retire(t.Context(), keys[len(keys)-2].ID, ""); err == nil {
					t.Error("retired a key before its rows could be re-sealed")
				}
				continue
			}
			// What is re-sealed now stays so: nobody writes under the older one.
			mu.Lock()
			delete(rows, keys[len(keys)-2].ID)
			mu.Unlock()
			if _, err := f.admin.Retire(t.Context(), keys[len(keys)-2].ID, ""); err == nil {
				changes++
			}
		}
	})
	wg.Wait()
	if changes < 5 {
		t.Errorf("search keys changed %d times", changes)
	}
}

// A scope that is destroyed is gone in every process within MaxAge, and stays so,
// however many processes were about to make a key in it.
func TestDestroyedScope(t *testing.T) {
	inFleet(t, 4, func(t *testing.T, f *fleet) {
		ctx := keyring.WithScope(t.Context(), "tenant:1")
		cell := sealOne(t, f.procs[0], ctx, random)
		use := func() (ok int) {
			for i, c := range f.procs {
				_, search := c.SearchKeys(ctx, deterministic)
				_, seal := c.Sealer(ctx, random, 1)
				for op, err := range map[string]error{"seal": seal, "open": openOne(c, t.Context(), random, cell), "search": search} {
					switch {
					case err == nil:
						ok++
					case !errors.Is(err, keyring.ErrKeyDestroyed) || !strings.Contains(err.Error(), `scope "tenant:1"`):
						t.Errorf("process %d: %s: %v", i, op, err)
					}
				}
			}
			return ok
		}
		every(time.Second, time.Minute, func() { use() })
		if ok := use(); ok != 12 {
			t.Fatalf("%d of 12 lookups", ok)
		}
		must[[]keyring.Key](t)(f.admin.Destroy(ctx, "tenant:1", "gdpr"))
		keys := f.ring.Len()
		every(7*time.Second, keyring.DefaultMaxAge, func() { use() })
		if ok := use(); ok > 0 {
			t.Errorf("%d lookups in a destroyed scope after MaxAge", ok)
		}
		for _, c := range f.procs {
			if n := c.Stats().Entries; n > 0 {
				t.Errorf("%d keys of the destroyed scope in memory", n)
			}
		}
		every(time.Hour, 40*24*time.Hour, func() { use() })
		if n := f.ring.Len(); n != keys {
			t.Errorf("%d keys were made in a destroyed scope", n-keys)
		}
	})
}

// A process generates a key for a scope; before it inserts it the scope is destroyed.
func TestDestroyedWhileAKeyIsMade(t *testing.T) {
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		ctx := keyring.WithScope(t.Context(), "tenant:1")
		sealOne(t, f.procs[0], ctx, random)
		done := false
		f.ring.Inserts = func(rec keyring.Key) {
			if !done && rec.Purpose == keyring.PurposeData {
				done = true
				must[[]keyring.Key](t)(f.admin.Destroy(ctx, "tenant:1", ""))
			}
		}
		time.Sleep(defaultRotateEvery)
		if _, err := f.procs[1].Sealer(ctx, random, 1); !errors.Is(err, keyring.ErrKeyDestroyed) {
			t.Errorf("sealed in a scope that was destroyed meanwhile: %v", err)
		}
		for id, r := range f.ring.All() {
			if !r.Destroyed {
				t.Errorf("key %08x of epoch %d outlived its scope", id, r.Epoch)
			}
		}
	})
}

// Whoever can write the keyring moves the row of scope A's key, which is in memory,
// into scope B.
func TestMovedRowDoesNotSealForAnotherScope(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.procs[0]
		id := keyID(t, sealOne(t, c, keyring.WithScope(t.Context(), "A"), random))
		f.ring.Change(id, func(r *keyring.Key) { r.Scope = "B" })
		if cell := sealOne(t, c, keyring.WithScope(t.Context(), "B"), random); keyID(t, cell) == id {
			t.Error("scope B seals under scope A's key")
		}
		if _, err := c.SearchKeys(keyring.WithScope(t.Context(), "B"), deterministic); err != nil {
			t.Errorf("its search key is another one: %v", err)
		}
		f.ring.Change(id, func(r *keyring.Key) { r.Scope, r.Purpose = "A", keyring.PurposeSearch })
		time.Sleep(2 * failureFor)
		if _, err := c.SearchKeys(keyring.WithScope(t.Context(), "A"), deterministic); !errors.Is(err, keyring.ErrKeyInvalid) {
			t.Errorf("a data key is searched for: %v", err)
		}
	})
}

// Two data keys under one KEK: a wrapped key in the other's row does not unwrap.
func TestSwappedWrappedKeys(t *testing.T) {
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		a, b := keyring.WithScope(t.Context(), "A"), keyring.WithScope(t.Context(), "B")
		cellA, cellB := sealOne(t, f.procs[0], a, random), sealOne(t, f.procs[0], b, random)
		blobA, blobB := f.ring.Row(keyID(t, cellA)).Wrapped, f.ring.Row(keyID(t, cellB)).Wrapped
		f.ring.Change(keyID(t, cellA), func(r *keyring.Key) { r.Wrapped = blobB })
		f.ring.Change(keyID(t, cellB), func(r *keyring.Key) { r.Wrapped = blobA })
		for _, cell := range [][]byte{cellA, cellB} {
			if err := openOne(f.procs[1], t.Context(), random, cell); !errors.Is(err, kms.ErrInvalidWrapped) {
				t.Error(err)
			}
		}
	})
}

// A KEK that is denied stops every process within MaxAge, whatever it does.
func TestDeniedKEKStopsEveryProcess(t *testing.T) {
	for _, class := range []error{kms.ErrDenied, kms.ErrKeyDisabled} {
		t.Run(kms.ErrorClass(class), func(t *testing.T) {
			inFleet(t, 5, func(t *testing.T, f *fleet) {
				cell := sealOne(t, f.procs[4], t.Context(), random)
				works := []func(*Cache) error{
					func(c *Cache) error { _, err := c.Sealer(t.Context(), random, 1); return err },
					func(c *Cache) error { return openOne(c, t.Context(), random, cell) },
					func(c *Cache) error { _, err := c.SearchKeys(t.Context(), deterministic); return err },
					func(c *Cache) error { _, err := c.Sealer(t.Context(), random, 1000); return err },
				}
				work := func(want error) (wrong int) {
					for i, do := range works {
						if err := do(f.procs[i]); !errors.Is(err, want) {
							wrong++
						}
					}
					return wrong
				}
				every(11*time.Second, time.Hour, func() {
					if n := work(nil); n > 0 {
						t.Fatalf("%d of the processes fail", n)
					}
				})
				f.kms.Set(func(f *keytest.KMS) { f.Fail = class })
				every(11*time.Second, keyring.DefaultMaxAge, func() { work(class) })
				every(11*time.Second, time.Hour, func() {
					if n := work(class); n > 0 {
						t.Errorf("%d of the processes go on", n)
					}
				})
			})
		})
	}
}

// A KMS that does not heed its context keeps Close for a bounded time, and what it
// answers afterwards is not kept.
func TestCloseWithADeafKMS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := &deafKMS{KMS: keytest.NewKMS(), wake: make(chan struct{})}
		c := New(keytest.NewKeyring(), deaf, Config{}, random)
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
		if d := time.Since(began); d > 2*closeGrace {
			t.Errorf("Close took %v", d)
		}
		close(deaf.wake)
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		synctest.Wait()
		if n := c.Stats().Entries; n > 0 {
			t.Errorf("%d keys in memory after Close", n)
		}
	})
}
