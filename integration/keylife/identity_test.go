package keylife

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// copyTable is the keyring of a copied database: another schema stands for it.
const copyTable = "staging.colseal_keys"

// copyKeyring restores a dump of the keyring into another database.
func (w *world) copyKeyring(t *testing.T) {
	t.Helper()
	w.exec(t, `CREATE SCHEMA staging; CREATE TABLE staging.colseal_keys (LIKE colseal_keys INCLUDING ALL);
		INSERT INTO staging.colseal_keys SELECT * FROM colseal_keys`)
}

// openAt is a program on a keyring, which may be pinned.
func (w *world) openAt(t *testing.T, table, pin string) *sql.DB {
	t.Helper()
	db := must[*sql.DB](t)(openLetters(w.pg.DSN(), driver.Config{KMS: awskms.New(w.kms.Client(t), alias), KeyTable: table, KeyringID: pin}, mortal.New(0)))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *world) adminAt(t *testing.T, table string) *keyring.Admin {
	t.Helper()
	return keyring.NewAdmin(keyring.OpenStore(w.pg.Admin, keyring.DialectPostgres, table), awskms.New(w.kms.Client(t), alias), keyring.AdminConfig{By: "ann"})
}

func (w *world) id(t *testing.T, table string) string {
	t.Helper()
	id := must[string](t)(keyring.OpenStore(w.pg.Admin, keyring.DialectPostgres, table).ID(t.Context()))
	if err := keyring.CheckID(id); err != nil {
		t.Fatalf("keyring %s: %q: %v", table, id, err)
	}
	return id
}

// TestCopiedKeysDoNotOpen: rows of one keyring are of no use in another one of the same name, under the same KEK.
func TestCopiedKeysDoNotOpen(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		seal(t, w, "a")
		w.exec(t, "CREATE SCHEMA staging")
		must[any](t)(nil, keyring.OpenStore(pg.Admin, keyring.DialectPostgres, copyTable).Create(t.Context()))
		w.exec(t, "INSERT INTO staging.colseal_keys SELECT * FROM colseal_keys WHERE key_id <> 0")
		db := w.openAt(t, copyTable, "")
		if n, err := read(t.Context(), db, "a"); !errors.Is(err, kms.ErrInvalidWrapped) {
			t.Errorf("%d letters were read: %v", n, err)
		}
		// New keys of the other keyring take the place of those that were copied.
		if err := write(t.Context(), db, "a", "bob", "hello"); !errors.Is(err, driver.ErrKeyInvalid) {
			t.Errorf("a search key that was copied in: %v", err)
		}
		if err := write(t.Context(), db, "b", "bob", "hello"); err != nil {
			t.Error(err)
		}
	})
}

// TestRestoredDumpOpens, unless a program is pinned to another keyring.
func TestRestoredDumpOpens(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		seal(t, w, "a")
		w.copyKeyring(t)
		id := w.id(t, "")
		if w.id(t, copyTable) != id {
			t.Error("the copy has another id")
		}
		for _, pin := range []string{"", id} {
			db := w.openAt(t, copyTable, pin)
			n, err := read(ctx, db, "a")
			if err2 := write(ctx, db, "a", "ann", "more"); n == 0 || err != nil || err2 != nil {
				t.Errorf("pinned to %q: %d, %v, %v", pin, n, err, err2)
			}
		}
		w.kms.Reset()
		other := strings.Repeat("0", 32)
		db := w.openAt(t, copyTable, other)
		_, opened := read(ctx, db, "a")
		_, searched := found(ctx, db, "a", "ann")
		for op, err := range map[string]error{"read": opened, "search": searched, "write": write(ctx, db, "new", "ann", "x")} {
			if !errors.Is(err, driver.ErrOtherKeyring) || errors.Is(err, driver.ErrKeyUnavailable) || !strings.Contains(fmt.Sprint(err), id) {
				t.Errorf("%s: %v", op, err)
			}
		}
		if e := w.kms.Events(); len(e) > 0 {
			t.Errorf("KMS was asked: %+v", e)
		}
		// A pinned program makes no keyring in the place of one that was lost.
		w.exec(t, "DROP TABLE staging.colseal_keys; TRUNCATE letters")
		auto := must[*sql.DB](t)(openLetters(pg.DSN(), driver.Config{KMS: awskms.New(w.kms.Client(t), alias), KeyTable: copyTable, KeyringID: id, AutoCreateKeyTable: true}, mortal.New(0)))
		defer func() { _ = auto.Close() }()
		if err := write(ctx, auto, "a", "ann", "x"); !errors.Is(err, driver.ErrOtherKeyring) {
			t.Error(err)
		}
		w.exec(t, keyring.OpenStore(pg.Admin, keyring.DialectPostgres, copyTable).DDL())
		if err := write(ctx, w.openAt(t, copyTable, id), "a", "ann", "x"); !errors.Is(err, driver.ErrOtherKeyring) {
			t.Error(err)
		}
	})
}

// TestAdoptedCopy opens under its own id, and its rows and those of the original do not mix.
func TestAdoptedCopy(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		seal(t, w, "", "a", "b")
		must[[]keyring.Key](t)(w.admin(t).Destroy(ctx, "b", "gone"))
		w.copyKeyring(t)
		original := w.id(t, "")
		pinned := w.openAt(t, copyTable, original)
		must[int](t)(read(ctx, pinned, "a"))
		report := must[keyring.AdoptReport](t)(w.adminAt(t, copyTable).Adopt(ctx, "a copy", keyring.AdoptOptions{}))
		if report.Old != original || report.New != w.id(t, copyTable) || report.New == original || report.Keys != 4 {
			t.Fatalf("%+v", report)
		}
		db := w.openAt(t, copyTable, report.New)
		for _, scope := range []string{"", "a"} {
			n, err := read(ctx, db, scope)
			m, err2 := found(ctx, db, scope, "ann")
			if n == 0 || n != m || err != nil || err2 != nil {
				t.Errorf("scope %q: %d read, %v, %d found, %v", scope, n, err, m, err2)
			}
		}
		if _, err := read(ctx, db, "b"); !errors.Is(err, driver.ErrKeyDestroyed) {
			t.Error(err)
		}
		if _, err := read(ctx, w.openAt(t, copyTable, original), "a"); !errors.Is(err, driver.ErrOtherKeyring) {
			t.Error(err)
		}
		seal(t, w, "", "a") // the original is as it was
		// Rows of the original, into the copy.
		w.exec(t, `UPDATE staging.colseal_keys c SET wrapped = o.wrapped FROM colseal_keys o WHERE o.key_id = c.key_id AND o.wrapped IS NOT NULL AND o.key_id <> 0`)
		if n, err := read(ctx, w.openAt(t, copyTable, ""), "a"); !errors.Is(err, kms.ErrInvalidWrapped) {
			t.Errorf("%d, %v", n, err)
		}
		// Rows that are no keys must be named. Until then nothing changes.
		a := w.adminAt(t, copyTable)
		report, err := a.Adopt(ctx, "again", keyring.AdoptOptions{})
		if len(report.Failed) != 4 || report.New != "" || err == nil || w.id(t, copyTable) == original {
			t.Fatalf("%+v, %v", report, err)
		}
		var leave []uint32
		for id, err := range report.Failed {
			if leave = append(leave, id); !errors.Is(err, kms.ErrInvalidWrapped) {
				t.Error(err)
			}
		}
		if report, err = a.Adopt(ctx, "again", keyring.AdoptOptions{Leave: leave}); err != nil || report.Keys != 0 || report.New != w.id(t, copyTable) {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// TestIdentityAgainstInserts: who may insert rows makes no second id, changes none, and stops nobody by trying.
func TestIdentityAgainstInserts(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		seal(t, w, "", "a")
		id := w.id(t, "")
		app := w.role(t, "app")
		w.exec(t, strings.SplitAfter(w.store(t).Grants(app.name, app.name, app.name, app.name), ";")[0])
		hostile := must[*sql.DB](t)(sql.Open("pgx", app.dsn))
		defer func() { _ = hostile.Close() }()
		const row = "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved) VALUES "
		other := `'\x00000000000000000000000000000000'`
		for _, attack := range []string{
			row + "(0, 'keyring', '', 1, '', " + other + ", 0)",
			row + "(0, 'keyring', '', 1, '', " + other + ", 0) ON CONFLICT DO NOTHING",
			row + "(0, 'keyring', '', 1, '', " + other + ", 0) ON CONFLICT (key_id) DO UPDATE SET wrapped = EXCLUDED.wrapped",
			row + "(0, 'keyring', '', 2, '', " + other + ", 0) ON CONFLICT (key_id) DO UPDATE SET seals_reserved = 5",
			row + "(1, 'keyring', '', 2, '', " + other + ", 0)",
			row + "(2, 'keyring', 'x', 1, 'kek', " + other + ", 0)",
			row + "(-1, 'keyring', '', 3, '', " + other + ", 0)",
			"UPDATE colseal_keys SET wrapped = " + other + " WHERE key_id = 0",
			"UPDATE colseal_keys SET key_id = 7 WHERE key_id = 0",
			"UPDATE colseal_keys SET seals_reserved = 4294967296 WHERE key_id = 0",
			"DELETE FROM colseal_keys WHERE key_id = 0",
			"TRUNCATE colseal_keys",
			"INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved, destroyed_at) VALUES (0, 'keyring', '', 1, '', NULL, 0, now())",
		} {
			_, err := hostile.ExecContext(ctx, attack)
			t.Logf("%s: %v", attack, err)
			if got := w.id(t, ""); got != id {
				t.Fatalf("%s\nthe id is %s", attack, got)
			}
		}
		if n := 0; pg.Admin.QueryRowContext(ctx, "SELECT count(*) FROM colseal_keys WHERE purpose = 'keyring'").Scan(&n) != nil || n != 1 {
			t.Errorf("%d ids", n)
		}
		seal(t, w, "", "a", "b")
		must[[]keyring.Key](t)(w.admin(t).Keys(ctx, keyring.Filter{}))
		must[keyring.AdoptReport](t)(w.admin(t).Adopt(ctx, "still possible", keyring.AdoptOptions{}))
		// The operator's own deeds leave it: it is in the default scope, as no key is.
		must[[]keyring.Key](t)(w.admin(t).DestroyDefault(ctx, "gone"))
		seal(t, w, "a", "b", "c")
		id = w.id(t, "")
		// A keyring that lost its id gets no other one, under which nothing would open.
		w.exec(t, "CREATE TABLE kept AS SELECT * FROM colseal_keys WHERE key_id = 0; DELETE FROM colseal_keys WHERE key_id = 0")
		for _, scope := range []string{"a", "new"} {
			if err := write(ctx, w.open(t), scope, "ann", "x"); !errors.Is(err, driver.ErrOtherKeyring) {
				t.Error(err)
			}
		}
		if _, err := w.store(t).Identify(ctx, ""); !errors.Is(err, keyring.ErrOtherKeyring) {
			t.Error(err)
		}
		w.exec(t, "INSERT INTO colseal_keys SELECT * FROM kept")
		seal(t, w, "a", "new")
		if w.id(t, "") != id {
			t.Error("it came back with another id")
		}
	})
}

// TestRewrapOfForeignKeys: a key that somebody wrapped under a KEK of theirs, as who may insert can, does not become the program's own.
func TestRewrapOfForeignKeys(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		seal(t, w, "a")
		old := w.newest(t, keyring.PurposeData, "a").Wrapped.KeyID
		theirs := w.kms.CreateKey(kmstest.Alias("alias/theirs"))
		k := keyring.Key{ID: 7, Keyring: w.id(t, ""), Purpose: keyring.PurposeData, Scope: "a", Epoch: 2}
		dk := must[kms.DataKey](t)(awskms.New(w.kms.Client(t), "alias/theirs").GenerateDataKey(ctx, k.Call().EncryptionContext()))
		k.Wrapped = dk.Wrapped
		must[bool](t)(w.store(t).Insert(ctx, k))
		next := w.kms.CreateKey(kmstest.Alias(alias))
		for _, opts := range []keyring.RewrapOptions{{DryRun: true}, {}, {Force: true}, {From: []string{old}}} {
			r, err := w.adminAt(t, "").Rewrap(ctx, opts)
			if failed := r.Failed[7]; err == nil || !errors.Is(failed, keyring.ErrForeignKEK) || !strings.Contains(fmt.Sprintf("%+v", failed), theirs) {
				t.Errorf("%+v: %+v, %v", opts, r, err)
			}
			if named := opts.From != nil; (len(r.Failed) == 1) != named || named && r.Rewrapped != 2 {
				t.Errorf("%+v: %+v", opts, r)
			}
			if _, err := w.adminAt(t, "").Adopt(ctx, "", keyring.AdoptOptions{}); err == nil {
				t.Error("it was adopted")
			}
		}
		for _, got := range w.keys(t, keyring.Filter{}) {
			if want := map[bool]string{true: theirs, false: next}[got.ID == 7]; got.Wrapped.KeyID != want {
				t.Errorf("key %08x is under %s, want %s", got.ID, got.Wrapped.KeyID, want)
			}
		}
		r, err := w.adminAt(t, "").Rewrap(ctx, keyring.RewrapOptions{From: []string{theirs}})
		if err != nil || r.Rewrapped != 1 || r.Current != 2 {
			t.Errorf("named: %+v, %v", r, err)
		}
	})
}
