package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// adminOn returns an Admin for whom running processes have no time at all: what
// it does to search keys is settled a moment later.
func adminOn(s *store, w kms.Wrapper) *keyring.Admin {
	return keyring.NewAdmin(s, w, keyring.AdminConfig{By: "ann"})
}

// age moves the times of a key into the past.
func age(t *testing.T, s *store, id uint32, d time.Duration) {
	t.Helper()
	for _, col := range []string{"created_at", "seals_from"} {
		expr := fmt.Sprintf("strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', %s, '%d seconds')", col, -int(d.Seconds()))
		if _, err := s.db.Exec("UPDATE "+table+" SET "+col+" = "+expr+" WHERE key_id = $1", int64(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func states(t *testing.T, a *keyring.Admin, purpose keyring.Purpose, scope string) string {
	t.Helper()
	keys, err := a.Keys(t.Context(), keyring.Filter{Purpose: purpose, Scope: &scope})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%d:%s ", k.Epoch, k.State)
	}
	return strings.TrimSpace(b.String())
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAdminRotatesDataKeys(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	a := adminOn(s, w)
	first := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeData, "tenant:1"))
	if first.State != keyring.StateActive || first.Epoch != 1 || first.ChangedBy != "ann" || first.Wrapped.KeyID != "kek" ||
		time.Since(first.CreatedAt).Abs() > time.Minute || !first.RetiredAt.IsZero() {
		t.Errorf("%+v", first)
	}
	second := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeData, "tenant:1"))
	if got := states(t, a, keyring.PurposeData, "tenant:1"); got != "1:retired 2:active" {
		t.Error(got)
	}
	c := keycache.New(s, w, keycache.Config{})
	defer c.Close()
	if id := keyID(t, sealOne(t, c, keyring.WithScope(t.Context(), "tenant:1"), random)); id != second.ID {
		t.Errorf("sealed under %08x, want the newest, %08x", id, second.ID)
	}
	keys := must[[]keyring.Key](t)(a.Keys(t.Context(), keyring.Filter{IDs: []uint32{first.ID, 77}}))
	if len(keys) != 1 || keys[0].RetiredAt.Before(keys[0].CreatedAt) {
		t.Errorf("%+v", keys)
	}
	for _, bad := range []func() (keyring.Key, error){
		func() (keyring.Key, error) { return a.Rotate(t.Context(), "other", "") },
		func() (keyring.Key, error) { return a.Rotate(t.Context(), keyring.PurposeData, "a\x00b") },
	} {
		if _, err := bad(); err == nil {
			t.Error("no error")
		}
	}
}

func TestAdminRevokesDataKeys(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	a := adminOn(s, w)
	c := keycache.New(s, w, keycache.Config{})
	defer c.Close()
	cell := sealOne(t, c, t.Context(), random)
	id := keyID(t, cell)
	k := must[keyring.Key](t)(a.Revoke(t.Context(), id, "laptop lost"))
	if k.State != keyring.StateRevoked || k.ChangedWhy != "laptop lost" || k.RevokedAt.IsZero() || k.RetiredAt.IsZero() {
		t.Errorf("%+v", k)
	}
	if got := states(t, a, keyring.PurposeData, ""); got != "1:revoked 2:active" {
		t.Error(got)
	}
	again := must[keyring.Key](t)(a.Revoke(t.Context(), id, "another cause"))
	if again.ChangedWhy != "laptop lost" || !again.RevokedAt.Equal(k.RevokedAt) {
		t.Errorf("revoked twice: %+v", again)
	}
	if got := states(t, a, keyring.PurposeData, ""); got != "1:revoked 2:active" {
		t.Error(got)
	}
	c2 := keycache.New(s, w, keycache.Config{})
	defer c2.Close()
	if keyID(t, sealOne(t, c2, t.Context(), random)) == id {
		t.Error("a revoked key seals")
	}
	if err := openOne(c2, t.Context(), random, cell); err != nil {
		t.Errorf("a revoked key must open: %v", err)
	}
	// One that was followed long ago can still be revoked.
	old := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeData, ""))
	must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeData, ""))
	must[keyring.Key](t)(a.Revoke(t.Context(), old.ID, "late"))
	if got := states(t, a, keyring.PurposeData, ""); got != "1:revoked 2:retired 3:revoked 4:active" {
		t.Error(got)
	}
	if _, err := a.Revoke(t.Context(), 99, ""); !errors.Is(err, keyring.ErrKeyNotFound) {
		t.Error(err)
	}
}

func TestAdminChangesSearchKeys(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	a := adminOn(s, w)
	ctx := t.Context()
	first := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, ""))
	step := func(want string, epochs ...int64) {
		t.Helper()
		if got := states(t, a, keyring.PurposeSearch, ""); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		c := keycache.New(s, w, keycache.Config{})
		defer c.Close()
		var got []int64
		for _, k := range must[[]keyring.Key](t)(a.Keys(ctx, keyring.Filter{IDs: idsOf(t, c)})) {
			got = append(got, k.Epoch)
		}
		if slices.Sort(got); !slices.Equal(got, epochs) {
			t.Fatalf("searched for %v, want %v", got, epochs)
		}
	}
	step("1:active", 1)
	if _, err := a.Retire(ctx, first.ID, ""); !errors.Is(err, keyring.ErrKeyInUse) {
		t.Errorf("retired the only search key: %v", err)
	}
	second := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, ""))
	if d := second.SealsFrom.Sub(second.CreatedAt); d < keyring.DefaultMaxAge+keyring.DefaultMaxStale {
		t.Errorf("the second key seals after %v", d)
	}
	if d := second.SettledFrom.Sub(second.SealsFrom); d < keyring.DefaultMaxAge+keyring.DefaultMaxStale {
		t.Errorf("settled %v after it began to seal", d)
	}
	step("1:active 2:next", 1, 2)
	if again := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, "")); again.ID != second.ID {
		t.Errorf("a third search key: %+v", again)
	}
	if _, err := a.Retire(ctx, first.ID, ""); !errors.Is(err, keyring.ErrKeyInUse) {
		t.Errorf("retired the key that seals: %v", err)
	}
	age(t, s, second.ID, 2*time.Hour)
	step("1:searched 2:active", 1, 2)
	if _, err := a.Retire(ctx, first.ID, ""); !errors.Is(err, keyring.ErrKeyInUse) || !strings.Contains(fmt.Sprintf("%+v", err), "until 20") {
		t.Errorf("retired a key that a process may seal under: %v", err)
	}
	if _, err := a.Rotate(ctx, keyring.PurposeSearch, ""); !errors.Is(err, keyring.ErrKeyInUse) {
		t.Errorf("a third search key: %v", err)
	}
	if _, err := a.Revoke(ctx, second.ID, ""); !errors.Is(err, keyring.ErrKeyInUse) {
		t.Errorf("revoked the newer of two: %v", err)
	}
	age(t, s, second.ID, 2*time.Hour)
	must[keyring.Key](t)(a.Retire(ctx, first.ID, "re-sealed"))
	must[keyring.Key](t)(a.Retire(ctx, first.ID, "again"))
	step("1:retired 2:active", 2)
}

func idsOf(t *testing.T, c *keycache.Cache) (ids []uint32) {
	t.Helper()
	keys, err := c.SearchKeys(t.Context(), deterministic)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		ids = append(ids, k.Header().KeyID)
	}
	return ids
}

func TestAdminRevokesSearchKeys(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	a := adminOn(s, w)
	ctx := t.Context()
	first := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, ""))
	must[keyring.Key](t)(a.Revoke(ctx, first.ID, "leaked"))
	if got := states(t, a, keyring.PurposeSearch, ""); got != "1:revoked 2:next" {
		t.Fatal(got)
	}
	sealing := func() uint32 {
		c := keycache.New(s, w, keycache.Config{})
		defer c.Close()
		return idsOf(t, c)[0]
	}
	if sealing() != first.ID {
		t.Error("sealed under a key that not every process searches for")
	}
	// The next one is no good either: it never sealed, so it goes at once.
	second := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, ""))
	if _, err := a.Revoke(ctx, second.ID, ""); !errors.Is(err, keyring.ErrKeyInUse) {
		t.Errorf("revoked the successor of a revoked key: %v", err)
	}
	age(t, s, second.ID, 2*time.Hour)
	if sealing() != second.ID {
		t.Error("a revoked search key seals")
	}
	age(t, s, second.ID, 2*time.Hour)
	must[keyring.Key](t)(a.Retire(ctx, first.ID, ""))
	third := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, ""))
	must[keyring.Key](t)(a.Revoke(ctx, third.ID, "typo"))
	if got := states(t, a, keyring.PurposeSearch, ""); got != "1:revoked 2:active 3:revoked" {
		t.Error(got)
	}
	// However often: the one that is live stays in sight.
	for range 2 * 16 {
		k := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, ""))
		must[keyring.Key](t)(a.Revoke(ctx, k.ID, ""))
	}
	if sealing() != second.ID {
		t.Error("the live search key was lost sight of")
	}
}

func TestAdminDestroysScopes(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	var log bytes.Buffer
	a := keyring.NewAdmin(s, w, keyring.AdminConfig{By: "ann", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := keycache.New(s, w, keycache.Config{})
	defer c.Close()
	gone, other := keyring.WithScope(t.Context(), "tenant:1"), keyring.WithScope(t.Context(), "tenant:2")
	cell, kept := sealOne(t, c, gone, random), sealOne(t, c, other, random)
	must[keyring.Key](t)(a.Rotate(gone, keyring.PurposeData, "tenant:1"))
	for _, scope := range []string{"", "tenant:9"} {
		if _, err := a.Destroy(t.Context(), scope, "gdpr"); err == nil {
			t.Errorf("destroyed %q", scope)
		}
	}
	for range 2 { // the second time changes nothing
		keys := must[[]keyring.Key](t)(a.Destroy(t.Context(), "tenant:1", "gdpr"))
		if len(keys) != 5 { // two keys, and a tombstone for each of the three purposes that KMS makes keys for
			t.Errorf("%+v", keys)
		}
		for _, k := range keys {
			if k.State != keyring.StateDestroyed || k.Wrapped.Blob != nil || k.ChangedBy != "ann" || k.ChangedWhy != "gdpr" {
				t.Errorf("%+v", k)
			}
		}
	}
	if n := strings.Count(log.String(), "colseal.key.destroyed"); n != 2 {
		t.Errorf("%d records of 2 keys destroyed:\n%s", n, &log)
	}
	c2 := keycache.New(s, w, keycache.Config{})
	defer c2.Close()
	_, seal := c2.Sealer(gone, random, 1)
	_, search := c2.SearchKeys(gone, deterministic)
	_, rotate := a.Rotate(t.Context(), keyring.PurposeSearch, "tenant:1")
	_, revoke := a.Revoke(t.Context(), keyID(t, cell), "")
	_, retire := a.Retire(t.Context(), keyID(t, cell), "")
	for op, err := range map[string]error{"open": openOne(c2, t.Context(), random, cell), "seal": seal, "search": search,
		"rotate": rotate, "revoke": revoke, "retire": retire} {
		if !errors.Is(err, keyring.ErrKeyDestroyed) || !strings.Contains(err.Error(), `scope "tenant:1"`) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if err := openOne(c2, t.Context(), random, kept); err != nil {
		t.Error(err)
	}
	_ = sealOne(t, c2, other, random)
	_ = sealOne(t, c2, t.Context(), random)
	if keys := must[[]keyring.Key](t)(a.DestroyDefault(t.Context(), "end")); len(keys) != 4 {
		t.Errorf("%+v", keys)
	}
}

func TestAdminRewraps(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	a := adminOn(s, w)
	ctx := t.Context()
	c := keycache.New(s, w, keycache.Config{})
	defer c.Close()
	var cells [][]byte
	for i := range 10 {
		cells = append(cells, sealOne(t, c, keyring.WithScope(ctx, fmt.Sprint(i)), random))
	}
	must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeData, "0"))
	must[keyring.Key](t)(a.Revoke(ctx, keyID(t, cells[1]), ""))
	must[[]keyring.Key](t)(a.Destroy(ctx, "9", ""))
	const keys = 11

	run := func(opts keyring.RewrapOptions, want string) keyring.RewrapReport {
		t.Helper()
		last := 0
		opts.Progress = func(done, total int) {
			if done != last+1 || total != keys {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		}
		r, err := a.Rewrap(ctx, opts)
		if (err != nil) != (len(r.Failed) > 0) {
			t.Errorf("%v, %+v", err, r)
		}
		if got := fmt.Sprintln(r.KEK, r.Total, r.Rewrapped, r.Current, r.Destroyed, len(r.Failed)); strings.TrimSpace(got) != want || last != keys {
			t.Errorf("got %s after %d, want %s", got, last, want)
		}
		return r
	}
	ours := []string{"kek", "kek2", "kek3"}
	w.Set(func(w *keytest.KMS) { w.KEK = "kek2" })
	run(keyring.RewrapOptions{From: ours, DryRun: true}, "kek2 11 11 0 0 0")
	if w.Called("rewrap") != 1 {
		t.Errorf("a dry run made %d calls", w.Called("rewrap"))
	}
	for _, k := range must[[]keyring.Key](t)(a.Keys(ctx, keyring.Filter{})) {
		if k.Wrapped.KeyID == "kek2" {
			t.Error("a dry run wrote")
		}
	}
	rec := must[[]keyring.Key](t)(s.Keys(ctx, []uint32{keyID(t, cells[3])}))[0]
	w.Set(func(w *keytest.KMS) { w.Deny = map[string]bool{string(rec.Wrapped.Blob): true} })
	r := run(keyring.RewrapOptions{From: ours}, "kek2 11 10 0 0 1")
	if err := r.Failed[rec.ID]; !errors.Is(err, kms.ErrDenied) {
		t.Error(err)
	}
	w.Set(func(w *keytest.KMS) { w.Deny = nil })
	before := w.Called("rewrap")
	run(keyring.RewrapOptions{From: ours}, "kek2 11 1 10 0 0")
	if n := w.Called("rewrap") - before; n > 2 {
		t.Errorf("%d calls to rewrap what was left, want one, and one to learn the KEK", n)
	}
	run(keyring.RewrapOptions{From: ours}, "kek2 11 0 11 0 0")
	run(keyring.RewrapOptions{From: ours, Force: true, Parallel: 1}, "kek2 11 11 0 0 0")
	c2 := keycache.New(s, w, keycache.Config{})
	defer c2.Close()
	for i, cell := range cells[:9] {
		if err := openOne(c2, ctx, random, cell); err != nil {
			t.Errorf("cell %d: %v", i, err)
		}
	}
}

func TestCheckNamesMissingColumns(t *testing.T) {
	s := sqliteStore(t)
	if _, err := s.db.Exec("ALTER TABLE " + table + " DROP COLUMN changed_why; ALTER TABLE " + table + " DROP COLUMN changed_by"); err != nil {
		t.Fatal(err)
	}
	err := s.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no column changed_by, changed_why") {
		t.Fatal(err)
	}
	lacks, ok := errors.AsType[*keyring.TableError](err)
	if !ok {
		t.Fatalf("%v is no TableError", err)
	}
	if _, err := s.db.Exec(lacks.DDL()); err != nil {
		t.Fatalf("%s: %v", lacks.DDL(), err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// Two operators who revoke the last two search keys at the same moment can leave the older one alone,
// on PostgreSQL: to revoke it again makes the successor that it lacks.
func TestAdminRevokesALonelySearchKey(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	a := adminOn(s, w)
	first := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeSearch, ""))
	if _, err := s.db.Exec("UPDATE " + table + " SET revoked_at = created_at WHERE key_id <> 0"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if k := must[keyring.Key](t)(a.Revoke(t.Context(), first.ID, "leaked")); k.State != keyring.StateRevoked {
			t.Errorf("%+v", k)
		}
		if got := states(t, a, keyring.PurposeSearch, ""); got != "1:revoked 2:next" {
			t.Fatal(got)
		}
	}
}

// A search key that is about to seal cannot be revoked as one that never will: a program that reads the ring before
// that is committed would seal rows that nobody finds.
func TestAdminDoesNotRevokeAtTheLastMoment(t *testing.T) {
	s, w := sqliteStore(t), keytest.NewKMS()
	a := adminOn(s, w)
	_ = must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeSearch, ""))
	second := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeSearch, ""))
	age(t, s, second.ID, settle-settleMargin/2)
	if _, err := a.Revoke(t.Context(), second.ID, "typo"); !errors.Is(err, keyring.ErrKeyInUse) {
		t.Errorf("revoked half a minute before it seals: %v", err)
	}
	if ok, err := s.End(t.Context(), second.ID, keyring.Ending{Kind: keyring.EndRevokeNext, Settled: settleMargin}); ok || err != nil {
		t.Errorf("the step itself: %t, %v", ok, err)
	}
	age(t, s, second.ID, -settleMargin)
	_ = must[keyring.Key](t)(a.Revoke(t.Context(), second.ID, "typo"))
	if got := states(t, a, keyring.PurposeSearch, ""); got != "1:active 2:revoked" {
		t.Error(got)
	}
}

// boundLedger tells how long an insert may take.
type boundLedger struct {
	keyring.Ledger
	bound time.Duration
}

func (l *boundLedger) Insert(ctx context.Context, rec keyring.Key) (bool, error) {
	if end, ok := ctx.Deadline(); ok {
		l.bound = time.Until(end)
	}
	return l.Ledger.Insert(ctx, rec)
}

// A second search key that is stored late would seal before every program had the time to read of it.
func TestAdminStoresInTime(t *testing.T) {
	l := &boundLedger{Ledger: sqliteStore(t)}
	a := keyring.NewAdmin(l, keytest.NewKMS(), keyring.AdminConfig{})
	_ = must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeSearch, ""))
	if l.bound <= 0 || l.bound >= settleMargin {
		t.Errorf("it may take %v", l.bound)
	}
}
