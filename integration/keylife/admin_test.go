package keylife

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/ops/reseal"
)

// states are the states of a ring's keys, oldest first.
func (w *world) states(t *testing.T, purpose keyring.Purpose, scope string) string {
	t.Helper()
	var all []string
	for _, k := range w.keys(t, keyring.Filter{Purpose: purpose, Scope: &scope}) {
		all = append(all, string(k.State))
	}
	return strings.Join(all, " ")
}

func (w *world) keys(t *testing.T, f keyring.Filter) []keyring.Key {
	t.Helper()
	return must[[]keyring.Key](t)(w.admin(t).Keys(t.Context(), f))
}

// newest is the newest key of a ring.
func (w *world) newest(t *testing.T, purpose keyring.Purpose, scope string) keyring.Key {
	t.Helper()
	keys := w.keys(t, keyring.Filter{Purpose: purpose, Scope: &scope})
	return keys[len(keys)-1]
}

// settle lets the time pass that a search key needs. No program may be running that has not read the keyring since.
func (w *world) settle(t *testing.T) {
	t.Helper()
	w.exec(t, "UPDATE colseal_keys SET seals_from = seals_from - interval '1 day', created_at = created_at - interval '1 day' WHERE purpose = 'search'")
}

// TestLifeOfKeys goes through all that docs/keys.md tells, by one operator, with a program before and after each step.
func TestLifeOfKeys(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx, a, written := t.Context(), w.admin(t), 0
		step := func(data, search string) {
			t.Helper()
			db := w.open(t)
			defer func() { _ = db.Close() }()
			if err := write(ctx, db, "", "ann", fmt.Sprint(written)); err != nil {
				t.Fatal(err)
			}
			written++
			n, err := read(ctx, db, "")
			m, err2 := found(ctx, db, "", "ann")
			if n != written || m != written || err != nil || err2 != nil {
				t.Fatalf("%d read, %v, and %d found, %v, of %d", n, err, m, err2, written)
			}
			if got := w.states(t, keyring.PurposeData, ""); got != data {
				t.Fatalf("data keys: %s, want %s", got, data)
			}
			if got := w.states(t, keyring.PurposeSearch, ""); got != search {
				t.Fatalf("search keys: %s, want %s", got, search)
			}
		}
		step("active", "active")
		must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeData, ""))
		step("retired active", "active")
		must[keyring.Key](t)(a.Revoke(ctx, w.newest(t, keyring.PurposeData, "").ID, "leaked"))
		step("retired revoked active", "active")

		old := w.newest(t, keyring.PurposeSearch, "")
		next := must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, ""))
		step("retired revoked active", "active next")
		if _, err := a.Retire(ctx, old.ID, ""); !errors.Is(err, keyring.ErrKeyInUse) {
			t.Fatalf("retired: %v", err)
		}
		w.exec(t, "UPDATE colseal_keys SET seals_from = now(), created_at = now() - interval '2 hours' WHERE key_id = $1", int64(next.ID))
		step("retired revoked active", "searched active")
		if _, err := a.Retire(ctx, old.ID, ""); !errors.Is(err, keyring.ErrKeyInUse) {
			t.Fatalf("retired: %v", err)
		}
		w.settle(t)
		db := w.open(t)
		if r := must[reseal.Report](t)(reseal.Run(ctx, db, reseal.Options{})); r.Left() != 0 {
			t.Fatalf("%+v", r)
		}
		_ = db.Close()
		must[keyring.Key](t)(a.Retire(ctx, old.ID, "changed"))
		step("retired revoked active", "retired active")

		kek := w.kms.CreateKey(kmstest.Alias(alias))
		r := must[keyring.RewrapReport](t)(a.Rewrap(ctx, keyring.RewrapOptions{}))
		if r.KEK != kek || r.Rewrapped != 5 || r.Total != 5 {
			t.Fatalf("%+v", r)
		}
		step("retired revoked active", "retired active")
	})
}

// TestColumnsAreMissed: a key table without the columns of operators says so, and the statements of its error add them.
func TestColumnsAreMissed(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		w.exec(t, "ALTER TABLE colseal_keys DROP COLUMN revoked_at, DROP COLUMN changed_by")
		err := w.store(t).Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no column revoked_at, changed_by") {
			t.Fatal(err)
		}
		lacks, ok := errors.AsType[*keyring.TableError](err)
		if !ok {
			t.Fatalf("%v is no TableError", err)
		}
		w.exec(t, lacks.DDL())
		if err := w.store(t).Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestOperatorsRace has several operators do everything at once, beside programs that make keys of their own.
func TestOperatorsRace(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		seal(t, w, "", "tenant:1")
		first := w.newest(t, keyring.PurposeData, "").ID
		var wg sync.WaitGroup
		for range 3 {
			a := w.admin(t)
			wg.Go(func() {
				for range 3 {
					k, err := a.Rotate(ctx, keyring.PurposeData, "")
					if err == nil {
						_, err = a.Revoke(ctx, k.ID, "race")
					}
					if _, err2 := a.Rotate(ctx, keyring.PurposeSearch, ""); err != nil || err2 != nil {
						t.Error(err, err2)
					}
					if _, err := a.Revoke(ctx, first, "race"); err != nil {
						t.Error(err)
					}
					if _, err := a.Rewrap(ctx, keyring.RewrapOptions{Force: true}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		data := w.states(t, keyring.PurposeData, "")
		if !strings.HasSuffix(data, " active") || strings.Count(data, "active") != 1 || strings.Count(data, "revoked") < 4 {
			t.Errorf("data keys: %s", data)
		}
		if got := w.states(t, keyring.PurposeSearch, ""); got != "active next" {
			t.Errorf("search keys: %s", got)
		}
		seal(t, w, "", "tenant:1")
	})
}

// seal writes a letter in each scope and reads all of them, as a program that has just started.
func seal(t *testing.T, w *world, scopes ...string) {
	t.Helper()
	db := w.open(t)
	defer func() { _ = db.Close() }()
	for _, scope := range scopes {
		if err := write(t.Context(), db, scope, "ann", "hello"); err != nil {
			t.Fatal(err)
		}
		n, err := read(t.Context(), db, scope)
		if m, err2 := found(t.Context(), db, scope, "ann"); err != nil || err2 != nil || n != m || n == 0 {
			t.Fatalf("scope %q: %d read, %v, %d found, %v", scope, n, err, m, err2)
		}
	}
}

// TestDestroyRacesPrograms destroys scopes while programs make keys in them.
func TestDestroyRacesPrograms(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		for i := range 4 {
			scope := fmt.Sprint("tenant:", i)
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range 4 {
				a := w.admin(t) // which adds keys as a program does, but more of them
				wg.Go(func() {
					<-start
					for {
						if _, err := a.Rotate(ctx, keyring.PurposeData, scope); errors.Is(err, keyring.ErrKeyDestroyed) {
							return
						} else if err != nil && !strings.Contains(err.Error(), "no free key id") {
							t.Error(err)
							return
						}
					}
				})
			}
			for range 2 {
				a := w.admin(t)
				wg.Go(func() {
					<-start
					for {
						_, err := a.Destroy(ctx, scope, "gdpr")
						if err == nil {
							return
						}
						if !errors.Is(err, keyring.ErrKeyNotFound) {
							t.Error(err)
							return
						}
					}
				})
			}
			close(start)
			wg.Wait()
			for _, k := range w.keys(t, keyring.Filter{Scope: &scope}) {
				if k.State != keyring.StateDestroyed || k.Wrapped.Blob != nil || k.ChangedWhy != "gdpr" {
					t.Errorf("%+v outlived its scope", k)
				}
			}
			if n := len(w.keys(t, keyring.Filter{Scope: &scope, Purpose: keyring.PurposeSearch})); n != 1 {
				t.Errorf("%d tombstones for a purpose that had no keys", n)
			}
		}
	})
}

// TestDestroyedScopeReads: every way to use a destroyed scope says so, and names it.
func TestDestroyedScopeReads(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		seal(t, w, "", "tenant:1", "tenant:2")
		must[[]keyring.Key](t)(w.admin(t).Destroy(ctx, "tenant:1", "gdpr"))
		db := w.open(t)
		_, reading := read(ctx, db, "tenant:1")
		_, finding := found(ctx, db, "tenant:1", "ann")
		writing := write(ctx, db, "tenant:1", "ann", "again")
		for op, err := range map[string]error{"read": reading, "find": finding, "write": writing} {
			if !errors.Is(err, driver.ErrKeyDestroyed) || !strings.Contains(err.Error(), `"tenant:1"`) {
				t.Errorf("%s: %v", op, err)
			}
		}
		seal(t, w, "", "tenant:2")
	})
}

// TestGrants holds docs/keyring.md to what it says about roles.
func TestGrants(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		ctx := t.Context()
		app, operator := w.role(t, "app"), w.role(t, "operator")
		w.exec(t, "GRANT SELECT, INSERT ON letters TO "+app.name)
		w.exec(t, "GRANT USAGE ON SEQUENCE letters_id_seq TO "+app.name)
		w.exec(t, w.store(t).Grants(app.name, w.role(t, "writer").name, operator.name, w.role(t, "auditor").name))

		program := must[*sql.DB](t)(openLetters(app.dsn, driver.Config{KMS: awskms.New(w.kms.Client(t), alias),
			Keys: keycache.Config{MaxSeals: 200}}, mortal.New(0)))
		defer func() { _ = program.Close() }()
		for i := range 250 { // reserves many blocks, and rotates: no key may seal so many
			if err := write(ctx, program, "", "ann", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.keys(t, keyring.Filter{Purpose: keyring.PurposeData})); n < 2 {
			t.Errorf("%d data keys: the program did not rotate", n)
		}

		as := func(r role) *keyring.Admin {
			db := must[*sql.DB](t)(sql.Open("pgx", r.dsn))
			t.Cleanup(func() { _ = db.Close() })
			return keyring.NewAdmin(keyring.OpenStore(db, keyring.DialectPostgres, ""), awskms.New(w.kms.Client(t), alias), keyring.AdminConfig{})
		}
		id := w.newest(t, keyring.PurposeData, "").ID
		everything := func(a *keyring.Admin) []error {
			_, revoke := a.Revoke(ctx, id, "")
			_, rewrap := a.Rewrap(ctx, keyring.RewrapOptions{Force: true})
			_, destroy := a.DestroyDefault(ctx, "")
			return []error{revoke, rewrap, destroy}
		}
		for i, err := range everything(as(app)) {
			if err == nil {
				t.Errorf("the application's role can do %d of revoke, rewrap, destroy", i)
			}
		}
		if _, err := read(ctx, w.open(t), ""); err != nil {
			t.Fatal(err)
		}
		if errs := everything(as(operator)); errors.Join(errs...) != nil {
			t.Errorf("the operator's role: %v", errs)
		}
	})
}

type role struct{ name, dsn string }

// role makes a role for the test's database that may log in and nothing else.
func (w *world) role(t *testing.T, name string) role {
	t.Helper()
	r := role{name: strings.ToLower(w.pg.Name + "_" + name)}
	if len(r.name) > 63 {
		r.name = r.name[len(r.name)-63:]
	}
	const password = "only-for-this-test"
	w.exec(t, fmt.Sprintf("CREATE ROLE %q LOGIN PASSWORD '%s'", r.name, password))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, q := range []string{"DROP OWNED BY %q CASCADE", "DROP ROLE %q"} {
			if _, err := w.pg.Admin.ExecContext(ctx, fmt.Sprintf(q, r.name)); err != nil {
				t.Error(err)
			}
		}
	})
	u, err := url.Parse(w.pg.DSN())
	if err != nil || !slices.Contains([]string{"postgres", "postgresql"}, u.Scheme) {
		t.Skip("the server's address is no URL")
	}
	u.User = url.UserPassword(r.name, password)
	r.dsn = u.String()
	return r
}
