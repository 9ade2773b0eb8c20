package keyring_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "modernc.org/sqlite"
)

func sqliteDB(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// store is a Store with its database.
type store struct {
	*keyring.Store
	db *sql.DB
}

// table is the keyring of every store here.
const table = keyring.DefaultTable

func openStore(t testing.TB, path string) *store {
	t.Helper()
	db := sqliteDB(t, path)
	return &store{keyring.OpenStore(db, keyring.DialectSQLite, ""), db}
}

func sqliteStore(t testing.TB) *store {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "app.db"))
	if err := s.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// ddlOf returns the statements that an error about the key table has.
func ddlOf(err error) string {
	if e, ok := errors.AsType[*keyring.TableError](err); ok {
		return e.DDL()
	}
	return ""
}

func TestNoKeyTableHasItsDDL(t *testing.T) {
	s := keyring.OpenStore(sqliteDB(t, filepath.Join(t.TempDir(), "app.db")), keyring.DialectSQLite, "")
	ctx := t.Context()
	_, insert := s.Insert(ctx, keyring.Key{ID: 1, Keyring: keytest.ID, Wrapped: kms.Wrapped{KeyID: "kek", Blob: []byte{1}}})
	_, ring := s.Ring(ctx, keyring.PurposeData, "")
	_, _, reserve := s.Reserve(ctx, 1, 1, 10)
	for _, err := range []error{s.Check(ctx), insert, ring, reserve} {
		if !errors.Is(err, keyring.ErrNoKeyTable) || ddlOf(err) != s.DDL()+";" {
			t.Errorf("got %v", err)
		}
	}
	c := keycache.New(s, keytest.NewKMS(), keycache.Config{})
	defer c.Close()
	if _, err := c.Sealer(ctx, random, 1); !errors.Is(err, keyring.ErrNoKeyTable) {
		t.Error(err)
	}
	// The user creates it and goes on, without having to wait.
	for range 2 {
		if err := s.Create(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Sealer(ctx, random, 1); err != nil {
		t.Error(err)
	}
}

func TestTableOfAnotherShape(t *testing.T) {
	db := sqliteDB(t, filepath.Join(t.TempDir(), "app.db"))
	if _, err := db.Exec(`CREATE TABLE colseal_keys (key_id integer)`); err != nil {
		t.Fatal(err)
	}
	err := keyring.OpenStore(db, keyring.DialectSQLite, "").Check(t.Context())
	if err == nil || errors.Is(err, keyring.ErrNoKeyTable) || !strings.Contains(err.Error(), "purpose") {
		t.Errorf("got %v, want an error that names the missing column", err)
	}
}

func TestStore(t *testing.T) { testStore(t, sqliteStore(t)) }

// testStore is what every Keyring on a database must do.
func testStore(t *testing.T, s *store) {
	ctx := t.Context()
	id, err := s.ID(ctx)
	if again, err2 := s.Identify(ctx, keytest.ID); err != nil || err2 != nil || again != id || keyring.CheckID(id) != nil {
		t.Fatalf("keyring %q, then %q: %v, %v", id, again, err, err2)
	}
	foreign := keyring.Key{ID: 7, Keyring: keytest.ID, Purpose: keyring.PurposeData, Epoch: 1, Wrapped: kms.Wrapped{KeyID: "arn", Blob: []byte{1}}}
	if ok, err := s.Insert(ctx, foreign); ok || err != nil {
		t.Errorf("a key that was wrapped for another keyring: %v, %v", ok, err)
	}
	rec := keyring.Key{ID: 0xffffffff, Keyring: id, Purpose: keyring.PurposeData, Scope: "tenant:42", Epoch: 1,
		Wrapped: kms.Wrapped{KeyID: "arn", Blob: []byte{0, 1, 0xff}}, SealsReserved: 7}
	insert := func(r keyring.Key, want bool) {
		t.Helper()
		if ok, err := s.Insert(ctx, r); err != nil || ok != want {
			t.Fatalf("insert %+v: %v, %v", r, ok, err)
		}
	}
	insert(rec, true)
	insert(rec, false)
	sameID, sameEpoch, next := rec, rec, rec
	sameID.Scope = "other"
	sameEpoch.ID = 5
	next.ID, next.Epoch, next.SealsFor = 6, 2, -time.Hour
	insert(sameID, false)
	insert(sameEpoch, false)
	insert(next, true)

	ring, err := s.Ring(ctx, keyring.PurposeData, "tenant:42")
	recs := ring.Keys
	if err != nil || len(recs) != 2 || recs[0].ID != 6 || recs[1].ID != 0xffffffff {
		t.Fatalf("%+v, %v", recs, err)
	}
	got := recs[1]
	if string(got.Wrapped.Blob) != "\x00\x01\xff" || got.Wrapped.KeyID != "arn" || got.SealsReserved != 7 ||
		got.Epoch != 1 || got.Purpose != keyring.PurposeData || got.Retired || got.Destroyed || got.Age > time.Minute || got.SealsFor < 0 {
		t.Errorf("%+v", got)
	}
	if d := recs[0].SealsFor; d > -59*time.Minute || d < -61*time.Minute {
		t.Errorf("seals for %v, want about -1h", d)
	}
	if ring, err := s.Ring(ctx, keyring.PurposeSearch, "tenant:42"); err != nil || len(ring.Keys) != 0 || ring.Next != 1 {
		t.Errorf("%+v, %v", ring, err)
	}
	if recs, err := s.Keys(ctx, []uint32{6, 99, 0xffffffff}); err != nil || len(recs) != 2 {
		t.Errorf("%+v, %v", recs, err)
	}
	many := make([]uint32, 3*512)
	for i := range many {
		many[i] = uint32(i)
	}
	if recs, err := s.Keys(ctx, many); err != nil || len(recs) != 1 {
		t.Errorf("%d of many, %v", len(recs), err)
	}
	testReserve(t, s, rec.ID)
	testEnds(t, s)
}

func testReserve(t *testing.T, s *store, id uint32) {
	ctx := t.Context()
	for _, step := range []struct {
		n, limit, sum uint64
		ok            bool
	}{
		{10, 20, 17, true}, {4, 20, 0, false}, {3, 20, 20, true}, {1, 20, 0, false},
		{21, 20, 0, false}, {1<<32 - 20, 1 << 32, 1 << 32, true}, {1, 1 << 32, 0, false},
	} {
		if sum, ok, err := s.Reserve(ctx, id, step.n, step.limit); err != nil || ok != step.ok || sum != step.sum {
			t.Errorf("%+v: %d, %v, %v", step, sum, ok, err)
		}
	}
	if err := s.Release(ctx, id, 1<<32-20); err != nil {
		t.Error(err)
	}
	if sum, ok, err := s.Reserve(ctx, id, 1, 100); sum != 21 || !ok || err != nil {
		t.Error(sum, ok, err)
	}
	if _, ok, err := s.Reserve(ctx, 12345, 1, 100); ok || err != nil {
		t.Error("reserved of a key that is not there", err)
	}
}

// testEnds retires one key and then destroys another, as an operator's tool would.
func testEnds(t *testing.T, s *store) {
	ctx := t.Context()
	exec := func(q string) {
		t.Helper()
		if _, err := s.db.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	ring := func() []keyring.Key {
		t.Helper()
		return must[keyring.Ring](t)(s.Ring(ctx, keyring.PurposeData, "tenant:42")).Keys
	}
	exec("UPDATE " + table + " SET retired_at = CURRENT_TIMESTAMP WHERE key_id = 6")
	if keys := ring(); !keys[0].Retired || keys[0].Destroyed {
		t.Errorf("%+v", keys[0])
	}
	if _, err := s.db.ExecContext(ctx, "UPDATE "+table+" SET wrapped = NULL WHERE key_id = 6"); err == nil {
		t.Error("a wrapped key was removed without its tombstone")
	}
	exec("UPDATE " + table + " SET destroyed_at = CURRENT_TIMESTAMP, wrapped = NULL WHERE key_id = 4294967295")
	// All keys of a scope are destroyed together.
	if keys := ring(); !keys[0].Destroyed || !keys[1].Destroyed || keys[1].Wrapped.Blob != nil {
		t.Errorf("%+v", keys)
	}
	for _, id := range []uint32{6, 0xffffffff} {
		if _, ok, err := s.Reserve(ctx, id, 1, 1<<32); ok || err != nil {
			t.Errorf("reserved of %d: %v, %v", id, ok, err)
		}
	}
}

// Two caches on one file, each with a *sql.DB of its own, as two
// processes have them, start together.
func TestTwoCachesMakeOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	testTogether(t, func() *keyring.Store { return keyring.OpenStore(sqliteDB(t, path), keyring.DialectSQLite, "") })
}

func testTogether(t *testing.T, open func() *keyring.Store) {
	const processes = 6
	w := keytest.NewKMS()
	var (
		wg    sync.WaitGroup
		start = make(chan struct{})
		cells [processes][]byte
		calls [processes]uint64
		last  *keyring.Store
	)
	for i := range processes {
		s := open()
		last = s
		wg.Go(func() {
			<-start
			c := keycache.New(s, w, keycache.Config{})
			defer c.Close()
			if err := s.Create(context.Background()); err != nil {
				t.Error(err)
				return
			}
			k, err := c.Sealer(context.Background(), random, 1)
			if err != nil {
				t.Error(err)
				return
			}
			cells[i], _ = k.Seal(nil, 1, []byte("plain"))
			if _, err := c.SearchKeys(context.Background(), deterministic); err != nil {
				t.Error(err)
			}
			calls[i] = c.Stats().KMSCalls
		})
	}
	close(start)
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, cell := range cells {
		if keyID(t, cell) != keyID(t, cells[0]) {
			t.Error("two keys were made")
		}
		if calls[i] > 4 {
			t.Errorf("process %d called KMS %d times for two purposes", i, calls[i])
		}
	}
	ring, err := last.Ring(t.Context(), keyring.PurposeData, "")
	recs := ring.Keys
	if err != nil || len(recs) != 1 || recs[0].SealsReserved != processes {
		t.Errorf("%+v, %v: want one key, with as many seals reserved as were used", recs, err)
	}
}

// A SQLite transaction that writes locks the keyring out. What was warmed before
// it serves within it; what was not says what to do.
func TestSQLiteWriteTransaction(t *testing.T) {
	s := sqliteStore(t)
	c := keycache.New(s, keytest.NewKMS(), keycache.Config{})
	defer c.Close()
	if err := c.Warm(t.Context(), keyring.PurposeData, keyring.PurposeSearch); err != nil {
		t.Fatal(err)
	}
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(`CREATE TABLE t (a integer)`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sealer(t.Context(), random, 1_000_000); err != nil {
		t.Error(err)
	}
	if _, err := c.SearchKeys(t.Context(), deterministic); err != nil {
		t.Error(err)
	}
	cold := keyring.WithScope(t.Context(), "cold")
	if _, err := c.Sealer(cold, random, 1); !errors.Is(err, keyring.ErrKeyUnavailable) || !strings.Contains(fmt.Sprintf("%+v", err), "let a statement find its keys before it begins") {
		t.Error(err)
	}
}

// A table of the keyring's name that is another's is told apart from one of a former version.
func TestAnotherTable(t *testing.T) {
	s := openStore(t, t.TempDir()+"/app.db")
	if _, err := s.db.Exec("CREATE TABLE colseal_keys (id INTEGER PRIMARY KEY, key_id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"read":  func() error { _, err := s.Ring(t.Context(), keyring.PurposeData, ""); return err }(),
		"check": s.Check(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), `"colseal_keys" is not a key table but another one: it has no column purpose`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s = sqliteStore(t)
	if _, err := s.db.Exec("ALTER TABLE " + table + " DROP COLUMN changed_why"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ring(t.Context(), keyring.PurposeData, ""); err != nil && !strings.Contains(ddlOf(err), "ADD COLUMN changed_why") {
		t.Error(err)
	}
}

// TestKeyringID on SQLite: pinning, adoption, and a default scope that is destroyed.
func TestKeyringID(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	ctx, a := t.Context(), adminOn(s, w)
	for _, scope := range []string{"", "a"} {
		must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeData, scope))
	}
	id := must[string](t)(s.ID(ctx))
	report := must[keyring.AdoptReport](t)(a.Adopt(ctx, "copy", keyring.AdoptOptions{}))
	if report.Old != id || report.Keys != 2 || report.New != must[string](t)(s.ID(ctx)) || report.New == id {
		t.Errorf("%+v", report)
	}
	c := keycache.New(s, w, keycache.Config{})
	defer c.Close()
	sealOne(t, c, keyring.WithScope(ctx, "a"), random)
	pinned := keyring.OpenStore(s.db, keyring.DialectSQLite, "")
	pinned.Pin(id)
	if _, err := pinned.Ring(ctx, keyring.PurposeData, "a"); !errors.Is(err, keyring.ErrOtherKeyring) {
		t.Error(err)
	}
	must[[]keyring.Key](t)(a.DestroyDefault(ctx, "gone"))
	if got := must[string](t)(s.ID(ctx)); got != report.New {
		t.Errorf("the default scope was destroyed, and with it the id: %q", got)
	}
	if ok := must[bool](t)(s.Adopt(ctx, keyring.Adoption{Old: id, New: keytest.ID})); ok {
		t.Error("adopted from an id that it does not have")
	}
	if ok := must[bool](t)(s.Adopt(ctx, keyring.Adoption{Old: report.New, New: keytest.ID})); ok {
		t.Error("adopted without a key that there is")
	}
	if got := must[string](t)(s.ID(ctx)); got != report.New {
		t.Errorf("half adopted: %q", got)
	}
}
