package keycache

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// stranger is a process that has just started.
func stranger(t *testing.T, s *keytest.Keyring, w *keytest.KMS) *Cache {
	c := New(s, w, Config{}, random, deterministic)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// searchCell is a cell of a deterministic column.
func searchCell(t *testing.T, c *Cache) []byte {
	t.Helper()
	keys := must[[]*codec.Key](t)(c.SearchKeys(t.Context(), deterministic))
	return must[[]byte](t)(keys[0].Seal(nil, codec.KindText, []byte("plain")))
}

// TestLostRows: every way in which a process may notice that rows were lost has it store them
// again, before anything more is sealed under them, or before it ends.
func TestLostRows(t *testing.T) {
	for name, notice := range map[string]func(t *testing.T, c *Cache){
		"another server": func(t *testing.T, c *Cache) {
			if err := c.Connected(t.Context(), "b"); err != nil || !c.Knows("b") {
				t.Error(err)
			}
		},
		"renewal": func(t *testing.T, c *Cache) {
			time.Sleep(2*keyring.DefaultMaxAge + 10*time.Second)
			sealOne(t, c, t.Context(), random)
			searchCell(t, c)
		},
		"rings read again": func(t *testing.T, c *Cache) {
			for _, p := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch} {
				if err := c.rereadRing(t.Context(), ringID{purpose: p}); err != nil {
					t.Error(err)
				}
			}
		},
		"a new reservation": func(t *testing.T, c *Cache) {
			for range minBlock + 1 {
				sealOne(t, c, t.Context(), random)
			}
			if err := c.rereadRing(t.Context(), ringID{purpose: keyring.PurposeSearch}); err != nil {
				t.Error(err)
			}
		},
		"close": func(t *testing.T, c *Cache) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
				var log bytes.Buffer
				c.log = audit.New(slog.New(slog.NewTextHandler(&log, nil)))
				data, search := sealOne(t, c, t.Context(), random), searchCell(t, c)
				if err := c.Connected(t.Context(), "a"); err != nil || c.Knows("b") {
					t.Fatal(err)
				}
				s.Delete()
				notice(t, c)
				other := stranger(t, s, w)
				if err := openOne(other, t.Context(), random, data); err != nil {
					t.Error("a data key is lost:", err)
				}
				if err := openOne(other, t.Context(), deterministic, search); err != nil {
					t.Error("a search key is lost:", err)
				}
				if !bytes.Equal(searchCell(t, other), search) {
					t.Error("what was sealed is not found any more")
				}
				if id := keyID(t, sealOne(t, other, t.Context(), random)); id == keyID(t, data) {
					t.Error("a key that was lost seals: nobody knows how often it did")
				}
				synctest.Wait() // what stores the other key again may not have told of it yet
				if n := strings.Count(log.String(), "level=ERROR msg=colseal.key.recovered"); n != 2 || c.Stats().Recovered != 2 {
					t.Errorf("%d events, %d counted, want 2:\n%s", n, c.Stats().Recovered, &log)
				}
			})
		})
	}
}

// TestOneLostRowShowsTheOthers: a process that finds one row gone stores all that it holds again, at once.
func TestOneLostRowShowsTheOthers(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		for _, scope := range []string{"", "a", "b"} {
			sealOne(t, c, keyring.WithScope(t.Context(), scope), random)
		}
		s.Delete()
		if err := c.rereadRing(t.Context(), ringID{purpose: keyring.PurposeData}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := c.Stats().Recovered; n != 3 {
			t.Errorf("%d of 3 keys were stored again", n)
		}
	})
}

// TestLostRowOfAKeyThatLeft: the wrapped form outlives the plaintext.
func TestLostRowOfAKeyThatLeft(t *testing.T) {
	in(t, Config{MaxEntries: 2}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		var cells [][]byte
		for _, scope := range []string{"a", "b", "c", "d", "e", "f"} {
			cells = append(cells, sealOne(t, c, keyring.WithScope(t.Context(), scope), random))
		}
		time.Sleep(time.Second)
		s.Delete()
		for _, cell := range cells {
			if err := openOne(c, t.Context(), random, cell); err != nil {
				t.Error(err)
			}
		}
		if n := c.Stats().Recovered; n != 6 {
			t.Errorf("%d keys were stored again, want 6", n)
		}
	})
}

// TestLostSearchKeyThatWasReplaced: by the time that a process notices, another has made a search
// key. There is one that seals; the lost one opens.
func TestLostSearchKeyThatWasReplaced(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		search := searchCell(t, c)
		s.Delete()
		other := stranger(t, s, w)
		next := searchCell(t, other)
		if err := c.Connected(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if err := c.rereadRing(t.Context(), ringID{purpose: keyring.PurposeSearch}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(searchCell(t, c), next) || len(idsOf(t, c)) != 1 {
			t.Error("two processes seal under two search keys")
		}
		if row := s.Row(keyID(t, search)); !row.Recovered || row.Epoch != 2 {
			t.Errorf("%+v", row)
		}
		if err := openOne(other, t.Context(), deterministic, search); err != nil {
			t.Error(err)
		}
	})
}

// TestLostRowsStayLost where they must: of a scope that was destroyed, and of a program that only reads.
func TestLostRowsStayLost(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		ctx := keyring.WithScope(t.Context(), "tenant")
		cell := sealOne(t, c, ctx, random)
		row := s.Row(keyID(t, cell))
		s.Delete()
		s.Put(keyring.Key{ID: 9, Purpose: keyring.PurposeData, Scope: "tenant", Epoch: 1, Destroyed: true})
		if err := c.Connected(ctx, "b"); err != nil {
			t.Error(err)
		}
		if err := c.rereadRing(ctx, ringID{keyring.PurposeData, "tenant"}); !errors.Is(err, keyring.ErrKeyDestroyed) {
			t.Error(err)
		}
		time.Sleep(2*keyring.DefaultMaxAge + keyring.DefaultMaxStale)
		if err := openOne(c, ctx, random, cell); !errors.Is(err, keyring.ErrKeyNotFound) && !errors.Is(err, keyring.ErrKeyDestroyed) {
			t.Error(err)
		}
		if _, ok := c.custody.held.Peek(row.ID); ok || s.Len() != 1 {
			t.Error("a destroyed key comes back")
		}
	})
	in(t, Config{ReadOnly: true}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		cell := sealOne(t, stranger(t, s, w), t.Context(), random)
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Fatal(err)
		}
		s.Delete()
		s.Reset()
		time.Sleep(2*keyring.DefaultMaxAge + 10*time.Second)
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Error("a key does not serve on, stale:", err)
		}
		if err := c.Connected(t.Context(), "b"); err != nil {
			t.Error(err)
		}
		if n := s.Called("insert"); n > 0 {
			t.Errorf("%d inserts", n)
		}
	})
}

// TestLostRowThatCannotBeStored: nothing more is sealed under the key, it opens on, and the row is
// stored as soon as it can be.
func TestLostRowThatCannotBeStored(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		data := sealOne(t, c, t.Context(), random)
		s.Delete()
		s.SetFailOf("insert", errors.New("cannot execute INSERT in a read-only transaction"))
		if err := c.Connected(t.Context(), "b"); err == nil || c.Knows("b") {
			t.Error("the server counts as known")
		}
		if err := c.rereadRing(t.Context(), ringID{purpose: keyring.PurposeData}); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Error(err)
		}
		if _, err := c.Sealer(t.Context(), random, 1); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Error("sealed what nobody may be able to open:", err)
		}
		if err := openOne(c, t.Context(), random, data); err != nil {
			t.Error(err)
		}
		time.Sleep(3 * keyring.DefaultMaxStale) // longer than any plaintext key may serve
		s.SetFailOf("insert", nil)
		time.Sleep(time.Minute)
		if err := openOne(stranger(t, s, w), t.Context(), random, data); err != nil {
			t.Error(err)
		}
		sealOne(t, c, t.Context(), random)
	})
}

// TestLostKeySealsOnWhileThereIsNoOther: its row is back, so its cells are safe.
func TestLostKeySealsOnWhileThereIsNoOther(t *testing.T) {
	in(t, Config{}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		sealOne(t, c, t.Context(), random)
		s.Delete()
		w.Set(func(f *keytest.KMS) { f.Fail = kms.ErrUnavailable })
		if err := c.rereadRing(t.Context(), ringID{purpose: keyring.PurposeData}); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Fatal(err)
		}
		cell := sealOne(t, c, t.Context(), random)
		w.Set(func(f *keytest.KMS) { f.Fail = nil })
		time.Sleep(keyring.DefaultMaxAge)
		if err := openOne(stranger(t, s, w), t.Context(), random, cell); err != nil {
			t.Error(err)
		}
		if id := keyID(t, sealOne(t, c, t.Context(), random)); id == keyID(t, cell) {
			t.Error("it seals on though KMS answers")
		}
	})
}

// TestLookupMakesNoKey: a search in a scope without keys finds nothing, asks KMS nothing, and finds
// what is there as soon as another process has sealed it.
func TestLookupMakesNoKey(t *testing.T) {
	for name, cfg := range map[string]Config{"makes keys": {}, "read-only": {ReadOnly: true}} {
		t.Run(name, func(t *testing.T) {
			in(t, cfg, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
				for range 3 {
					keys := must[[]*codec.Key](t)(c.LookupKeys(t.Context(), deterministic))
					if len(keys) != 1 || keys[0].Header().KeyID != 0 {
						t.Fatalf("%v", keys)
					}
					cell := must[[]byte](t)(keys[0].Seal(nil, codec.KindText, []byte("plain")))
					if err := openOne(c, t.Context(), deterministic, cell); err != nil {
						t.Error("what was looked up does not come back:", err)
					}
				}
				if n, stored, rings := w.Total(), s.Len(), c.Stats().Scopes; n != 0 || stored != 0 || rings != 0 {
					t.Errorf("%d calls to KMS, %d keys, %d rings held", n, stored, rings)
				}
				cell := searchCell(t, stranger(t, s, w))
				keys := must[[]*codec.Key](t)(c.LookupKeys(t.Context(), deterministic))
				if got := must[[]byte](t)(keys[0].Seal(nil, codec.KindText, []byte("plain"))); !bytes.Equal(got, cell) {
					t.Error("what another process sealed is not found")
				}
			})
		})
	}
}

// TestReadOnly: what would write the keyring fails, and says why.
func TestReadOnly(t *testing.T) {
	in(t, Config{ReadOnly: true}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		for range 2 {
			if _, err := c.Sealer(t.Context(), random, 1); !errors.Is(err, keyring.ErrReadOnly) {
				t.Error(err)
			}
			if _, err := c.SearchKeys(t.Context(), deterministic); !errors.Is(err, keyring.ErrReadOnly) {
				t.Error(err)
			}
			if err := c.Warm(t.Context(), keyring.PurposeData, keyring.PurposeSearch); err != nil {
				t.Error(err)
			}
			other := stranger(t, s, w)
			sealOne(t, other, t.Context(), random)
			searchCell(t, other)
			if !bytes.Equal(searchCell(t, c), searchCell(t, other)) {
				t.Error("other cells")
			}
			s.Delete()
			c.rings.Drain()
			c.home[0].Store(nil)
			c.home[1].Store(nil)
		}
		if n := w.Called("generate"); n != 4 {
			t.Errorf("%d keys were made, want the other's 4", n)
		}
	})
}

// TestSealsOnCredit: while the keyring does not answer, a process seals more than it has
// reserved, within a bound, and reserves it afterwards.
func TestSealsOnCredit(t *testing.T) {
	const most = 1 << 20
	in(t, Config{MaxSeals: most}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		id := keyID(t, sealOne(t, c, t.Context(), random))
		s.SetFail(errors.New("does not answer"))
		sealed := 1
		for ; ; sealed++ {
			began := time.Now()
			if _, err := c.Sealer(t.Context(), random, 1); err != nil {
				if !errors.Is(err, keyring.ErrKeyUnavailable) {
					t.Error(err)
				}
				break
			}
			if d := time.Since(began); d > defaultStaleWait {
				t.Fatalf("a seal took %v", d)
			}
		}
		if want := minBlock + most/blocksPerKey; sealed != want {
			t.Errorf("%d cells were sealed, want %d", sealed, want)
		}
		s.SetFail(nil)
		time.Sleep(2 * failureFor)
		sealOne(t, c, t.Context(), random)
		if row := s.Row(id); row.SealsReserved < uint64(sealed) {
			t.Errorf("%d seals are reserved, and %d made", row.SealsReserved, sealed)
		}
	})
}

// TestDebtIsBookedAtTheEnd: a process that ends reserves what it took on credit.
func TestDebtIsBookedAtTheEnd(t *testing.T) {
	in(t, Config{MaxSeals: 1 << 20}, func(t *testing.T, c *Cache, w *keytest.KMS, s *keytest.Keyring) {
		id := keyID(t, sealOne(t, c, t.Context(), random))
		s.SetFail(errors.New("does not answer"))
		for range minBlock + 10 {
			sealOne(t, c, t.Context(), random)
		}
		s.SetFail(nil)
		_ = c.Close()
		if row := s.Row(id); row.SealsReserved != minBlock+11 {
			t.Errorf("%d seals are reserved, want %d", row.SealsReserved, minBlock+11)
		}
	})
}
