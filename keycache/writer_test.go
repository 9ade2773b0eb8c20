package keycache

import (
	"context"
	"errors"
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
)

var writers = flag.Int("writers", 60, "how many short-lived writers TestManyWriters has; 10000 take a minute")

var inboxed = Column{Identity: "forms.tax", Suite: codec.SuiteRandomized, Inbox: true}

// newInbox makes an inbox, as an operator does.
func newInbox(t *testing.T, kr *keytest.Keyring, w *keytest.KMS, scope string) keyring.Key {
	t.Helper()
	k, err := keyring.NewAdmin(kr, w, keyring.AdminConfig{}).Inbox(t.Context(), scope, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestManyWriters: the rows of the keyring are writers times hours, a reader calls KMS once for each inbox, and compacting leaves as
// many rows as keys that cells are under.
func TestManyWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, w := keytest.NewKeyring(), keytest.NewKMS()
		scopes := []string{"", "tenant:1", "tenant:2"}
		var pins []string
		for _, scope := range scopes {
			pins = append(pins, newInbox(t, kr, w, scope).Pin())
		}
		const hours = 3
		made := w.Total()
		var cells [][]byte
		for i := range *writers {
			c := NewWriter(kr, pins, Config{}, inboxed)
			ctx := keyring.WithScope(t.Context(), scopes[i%len(scopes)])
			for range hours {
				for range 4 { // several in one hour
					cells = append(cells, sealOne(t, c, ctx, inboxed))
					time.Sleep(15 * time.Minute)
				}
				time.Sleep(time.Minute)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := kr.Len()-len(scopes), *writers*hours; got != want {
			t.Errorf("%d rows of writers' keys, want %d: writers times hours", got, want)
		}
		if n := w.Total() - made; n != 0 {
			t.Errorf("the writers called KMS %d times", n)
		}

		reader := New(kr, w, Config{MaxEntries: 16}, inboxed) // far fewer than there are keys
		defer func() { _ = reader.Close() }()
		for _, cell := range cells {
			if err := openOne(reader, t.Context(), inboxed, cell); err != nil {
				t.Fatal(err)
			}
		}
		if n := w.Total() - made; n != len(scopes) {
			t.Errorf("the reader called KMS %d times, want %d: once for each inbox", n, len(scopes))
		}

		// Of each writer the cells of one hour are left.
		used := map[uint32]bool{}
		kept := cells[:0]
		for i, cell := range cells {
			if i/4%hours == i/(4*hours)%hours {
				h, err := codec.ParseHeader(cell)
				if err != nil {
					t.Fatal(err)
				}
				used[h.KeyID] = true
				kept = append(kept, cell)
			}
		}
		time.Sleep(keyring.WriterAge + keyring.DefaultMaxAge + keyring.DefaultMaxStale + time.Minute)
		admin := keyring.NewAdmin(kr, w, keyring.AdminConfig{})
		opts := keyring.CompactOptions{InUse: func(context.Context) (map[uint32]bool, error) { return used, nil }}
		report, err := admin.Compact(t.Context(), opts)
		if want := (keyring.CompactReport{Keys: *writers * hours, InUse: *writers, Deleted: *writers * (hours - 1)}); err != nil || report != want {
			t.Errorf("Compact = %+v, %v, want %+v", report, err, want)
		}
		if got := kr.Len() - len(scopes); got != len(used) {
			t.Errorf("%d rows of writers' keys are left, want %d: those that cells are under", got, len(used))
		}
		fresh := New(kr, w, Config{}, inboxed)
		defer func() { _ = fresh.Close() }()
		for _, cell := range kept {
			if err := openOne(fresh, t.Context(), inboxed, cell); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestCompactKeepsTheYoung: a key that may seal, or whose cells may not be committed yet, stays, and so does every other key.
func TestCompactKeepsTheYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, w := keytest.NewKeyring(), keytest.NewKMS()
		pin := newInbox(t, kr, w, "").Pin()
		data := New(kr, w, Config{}, inboxed)
		defer func() { _ = data.Close() }()
		if _, err := data.Sealer(t.Context(), inboxed, 1); err != nil {
			t.Fatal(err)
		}
		c := NewWriter(kr, []string{pin}, Config{}, inboxed)
		defer func() { _ = c.Close() }()
		sealOne(t, c, t.Context(), inboxed)
		admin := keyring.NewAdmin(kr, w, keyring.AdminConfig{})
		none := func(context.Context) (map[uint32]bool, error) { return nil, nil }
		time.Sleep(2 * time.Hour)
		if r, err := admin.Compact(t.Context(), keyring.CompactOptions{InUse: none}); err != nil || r.Deleted != 0 || r.Young != 1 {
			t.Errorf("after two hours: %+v, %v", r, err)
		}
		time.Sleep(time.Hour)
		if r, err := admin.Compact(t.Context(), keyring.CompactOptions{InUse: none, OlderThan: 24 * time.Hour}); err != nil || r.Deleted != 0 {
			t.Errorf("older than a day: %+v, %v", r, err)
		}
		refuse := errors.New("no")
		if _, err := admin.Compact(t.Context(), keyring.CompactOptions{InUse: none, Confirm: func(int) error { return refuse }}); !errors.Is(err, refuse) {
			t.Errorf("not confirmed: %v", err)
		}
		if r, err := admin.Compact(t.Context(), keyring.CompactOptions{InUse: none, DryRun: true}); err != nil || r.Deleted != 1 || kr.Len() != 3 {
			t.Errorf("dry run: %+v, %v, %d rows", r, err, kr.Len())
		}
		if r, err := admin.Compact(t.Context(), keyring.CompactOptions{InUse: none}); err != nil || r.Deleted != 1 || kr.Len() != 2 {
			t.Errorf("after three hours: %+v, %v, %d rows", r, err, kr.Len())
		}
	})
}

// TestWriterForgets: a writer holds the key that it seals under, for an hour, and opens nothing else.
func TestWriterForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, w := keytest.NewKeyring(), keytest.NewKMS()
		pin := newInbox(t, kr, w, "").Pin()
		c := NewWriter(kr, []string{pin}, Config{MaxSeals: 8}, inboxed)
		defer func() { _ = c.Close() }()
		first := sealOne(t, c, t.Context(), inboxed)
		if err := openOne(c, t.Context(), inboxed, first); err != nil {
			t.Errorf("its own cell: %v", err)
		}
		time.Sleep(59 * time.Minute)
		if second := sealOne(t, c, t.Context(), inboxed); keyID(t, second) != keyID(t, first) {
			t.Error("another key within the hour")
		}
		time.Sleep(2 * time.Minute)
		third := sealOne(t, c, t.Context(), inboxed)
		if keyID(t, third) == keyID(t, first) {
			t.Error("the same key after an hour")
		}
		if err := openOne(c, t.Context(), inboxed, first); !errors.Is(err, keyring.ErrWriteOnly) {
			t.Errorf("a cell of the hour before: %v, want ErrWriteOnly", err)
		}
		if n := c.Stats().Entries; n != 1 {
			t.Errorf("%d keys in memory, want 1", n)
		}
		for range 7 { // the rest of the seals of a key
			if k := keyID(t, sealOne(t, c, t.Context(), inboxed)); k != keyID(t, third) {
				t.Error("another key before its seals were spent")
			}
		}
		if k := keyID(t, sealOne(t, c, t.Context(), inboxed)); k == keyID(t, third) {
			t.Error("more seals than the key has")
		}
		if err := openOne(c, t.Context(), inboxed, third); !errors.Is(err, keyring.ErrWriteOnly) {
			t.Errorf("a cell of the key before: %v, want ErrWriteOnly", err)
		}
		time.Sleep(2 * time.Hour) // idle
		if n := c.Stats().Entries; n != 0 {
			t.Errorf("%d keys in memory of an idle writer, want none", n)
		}
		if n := w.Called("unwrap"); n != 0 {
			t.Errorf("KMS was asked %d times", n)
		}
	})
}

// TestWriterRefuses: a writer has no key of other columns, nor of deterministic ones, and opens no other program's cells.
func TestWriterRefuses(t *testing.T) {
	kr, w := keytest.NewKeyring(), keytest.NewKMS()
	pin := newInbox(t, kr, w, "").Pin()
	ordinary := New(kr, w, Config{}, inboxed)
	defer func() { _ = ordinary.Close() }()
	cell := sealOne(t, ordinary, t.Context(), inboxed)
	c := NewWriter(kr, []string{pin}, Config{}, inboxed, random, deterministic)
	defer func() { _ = c.Close() }()
	sealOne(t, c, t.Context(), inboxed)
	ctx := t.Context()
	for name, err := range map[string]error{
		"seal without inbox": func() error { _, err := c.Sealer(ctx, random, 1); return err }(),
		"search":             func() error { _, err := c.SearchKeys(ctx, deterministic); return err }(),
		"look up":            func() error { _, err := c.LookupKeys(ctx, deterministic); return err }(),
		"warm":               c.Warm(ctx, keyring.PurposeSearch),
		"open":               openOne(c, ctx, inboxed, cell),
		"prefetch":           c.Prefetch(ctx, []uint32{keyID(t, cell)}),
	} {
		if !errors.Is(err, keyring.ErrWriteOnly) {
			t.Errorf("%s: %v, want ErrWriteOnly", name, err)
		}
	}
	if err := c.Warm(ctx, keyring.PurposeData); err != nil {
		t.Errorf("warm: %v", err)
	}
	if n := kr.Len(); n != 3 {
		t.Errorf("%d rows, want the inbox, the ordinary key and the writer's", n)
	}
}

// TestWriterFollowsItsInbox: a writer stops when its inbox is revoked or destroyed, takes the newer one that it has the pin of, and
// makes another key when its own is revoked.
func TestWriterFollowsItsInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, w := keytest.NewKeyring(), keytest.NewKMS()
		admin := keyring.NewAdmin(kr, w, keyring.AdminConfig{})
		first := newInbox(t, kr, w, "")
		next := newInbox(t, kr, w, "")
		newInbox(t, kr, w, "") // of nobody
		one := NewWriter(kr, []string{first.Pin()}, Config{}, inboxed)
		defer func() { _ = one.Close() }()
		both := NewWriter(kr, []string{first.Pin(), next.Pin()}, Config{}, inboxed)
		defer func() { _ = both.Close() }()
		to := func(c *Cache) uint32 { return kr.Row(keyID(t, sealOne(t, c, t.Context(), inboxed))).WrappedTo }
		if a, b := to(one), to(both); a != first.ID || b != next.ID {
			t.Errorf("encrypted to %08x and %08x, want %08x and %08x", a, b, first.ID, next.ID)
		}
		own := keyID(t, sealOne(t, both, t.Context(), inboxed))
		if _, err := admin.Revoke(t.Context(), own, "why"); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Revoke(t.Context(), first.ID, "why"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keyring.DefaultMaxAge + time.Second)
		if _, err := one.Sealer(t.Context(), inboxed, 1); !errors.Is(err, keyring.ErrNoInbox) {
			t.Errorf("a revoked inbox: %v, want ErrNoInbox", err)
		}
		if k := keyID(t, sealOne(t, both, t.Context(), inboxed)); k == own {
			t.Error("seals under a revoked key")
		}
		if _, err := admin.DestroyDefault(t.Context(), "why"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keyring.DefaultMaxAge + time.Second)
		if _, err := both.Sealer(t.Context(), inboxed, 1); !errors.Is(err, keyring.ErrKeyDestroyed) {
			t.Errorf("a destroyed scope: %v, want ErrKeyDestroyed", err)
		}
	})
}

// TestReaderLosesTheInbox: a writer's key serves no longer than its inbox may.
func TestReaderLosesTheInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, w := keytest.NewKeyring(), keytest.NewKMS()
		c := NewWriter(kr, []string{newInbox(t, kr, w, "").Pin()}, Config{}, inboxed)
		defer func() { _ = c.Close() }()
		cell := sealOne(t, c, t.Context(), inboxed)
		reader := New(kr, w, Config{}, inboxed)
		defer func() { _ = reader.Close() }()
		if err := openOne(reader, t.Context(), inboxed, cell); err != nil {
			t.Fatal(err)
		}
		w.Set(func(f *keytest.KMS) { f.Fail = errors.New("away") })
		end := time.Now().Add(keyring.DefaultMaxAge + keyring.DefaultMaxStale)
		for time.Now().Before(end.Add(-time.Minute)) {
			if err := openOne(reader, t.Context(), inboxed, cell); err != nil {
				t.Fatalf("%v before its end: %v", time.Until(end), err)
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(2 * time.Minute)
		if err := openOne(reader, t.Context(), inboxed, cell); !errors.Is(err, keyring.ErrKeyUnavailable) {
			t.Errorf("past its end: %v, want ErrKeyUnavailable", err)
		}
	})
}

// TestWriterRowLost: a writer stores its key again if the row is gone, and seals under another one.
func TestWriterRowLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, w := keytest.NewKeyring(), keytest.NewKMS()
		inbox := newInbox(t, kr, w, "")
		c := NewWriter(kr, []string{inbox.Pin()}, Config{}, inboxed)
		defer func() { _ = c.Close() }()
		cell := sealOne(t, c, t.Context(), inboxed)
		kr.Delete()
		kr.Put(inbox)
		time.Sleep(keyring.DefaultMaxAge + time.Second)
		if k := keyID(t, sealOne(t, c, t.Context(), inboxed)); k == keyID(t, cell) {
			t.Error("seals on under a key that was lost")
		}
		reader := New(kr, w, Config{}, inboxed)
		defer func() { _ = reader.Close() }()
		if err := openOne(reader, t.Context(), inboxed, cell); err != nil {
			t.Errorf("a cell of the lost key: %v", err)
		}
	})
}

// TestWrongInbox: a writer's key that is encrypted to itself, to another such key, to a data key, or to nothing is an error at once.
// Nobody waits for himself, and what else is in memory stays.
func TestWrongInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kr, w := keytest.NewKeyring(), keytest.NewKMS()
		inbox := newInbox(t, kr, w, "")
		reader := New(kr, w, Config{}, inboxed)
		defer func() { _ = reader.Close() }()
		data := sealOne(t, reader, t.Context(), inboxed)
		c := NewWriter(kr, []string{inbox.Pin()}, Config{}, inboxed)
		defer func() { _ = c.Close() }()
		cell := sealOne(t, c, t.Context(), inboxed)
		own := kr.Row(keyID(t, cell))
		for i, to := range []uint32{100, 102, 101, keyID(t, data), 99} {
			forged := own
			forged.ID, forged.WrappedTo = uint32(100+i), to //nolint:gosec // it is small
			forged.Epoch = int64(forged.ID)
			kr.Put(forged)
		}
		w.Set(func(f *keytest.KMS) { f.Fail = errors.New("away") })
		time.Sleep(keyring.DefaultMaxAge + time.Minute) // the data key is due, and serves stale
		if err := openOne(reader, t.Context(), inboxed, data); err != nil {
			t.Fatal(err)
		}
		for id := uint32(100); id < 105; id++ {
			want := keyring.ErrKeyInvalid
			if id == 104 {
				want = keyring.ErrKeyNotFound
			}
			began := time.Now()
			for range 2 {
				if _, err := reader.Opener(t.Context(), inboxed, id); !errors.Is(err, want) {
					t.Errorf("key %d: %v, want %v", id, err, want)
				}
			}
			if waited := time.Since(began); waited > 0 {
				t.Errorf("key %d: the answer took %v", id, waited)
			}
		}
		if err := reader.Prefetch(t.Context(), []uint32{100, 101, 102}); !errors.Is(err, keyring.ErrKeyInvalid) {
			t.Errorf("prefetch: %v, want ErrKeyInvalid", err)
		}
		if err := openOne(reader, t.Context(), inboxed, data); err != nil {
			t.Errorf("the data key in memory: %v", err)
		}
	})
}

// TestDecoyInbox: whoever may insert rows puts in the public key of the inbox a second time, beside what is not its private key, and
// newer ones of their own. Writers take the inbox that they have the pin of.
func TestDecoyInbox(t *testing.T) {
	kr, w := keytest.NewKeyring(), keytest.NewKMS()
	inbox := newInbox(t, kr, w, "")
	for i := range 3 {
		decoy := inbox
		decoy.ID, decoy.Epoch, decoy.Wrapped.Blob = uint32(100+i), int64(2+i), []byte("theirs") //nolint:gosec // it is small
		kr.Put(decoy)
	}
	c := NewWriter(kr, []string{inbox.Pin()}, Config{}, inboxed)
	defer func() { _ = c.Close() }()
	cell := sealOne(t, c, t.Context(), inboxed)
	if to := kr.Row(keyID(t, cell)).WrappedTo; to != inbox.ID {
		t.Errorf("encrypted to %08x, want %08x", to, inbox.ID)
	}
	reader := New(kr, w, Config{}, inboxed)
	defer func() { _ = reader.Close() }()
	if err := openOne(reader, t.Context(), inboxed, cell); err != nil {
		t.Error(err)
	}
	if n := kr.Called("ring"); n > 1 {
		t.Errorf("the ring of inboxes was read %d times: whoever fills it would stop the writers", n)
	}
}
