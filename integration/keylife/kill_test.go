package keylife

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// A deed is what an operator is killed at.
type deed struct {
	name string
	// before makes the keyring ready for it and returns the line that tells an operator what to do.
	before func(t *testing.T, w *world) string
	// after checks what is to be once it was done again.
	after func(t *testing.T, w *world, did string)
}

var deeds = []deed{
	{"rotate data", func(t *testing.T, w *world) string { return "rotate data" },
		func(t *testing.T, w *world, _ string) {
			if s := w.states(t, keyring.PurposeData, ""); !strings.HasSuffix(s, "retired active") {
				t.Error(s)
			}
		}},
	{"rotate search", func(t *testing.T, w *world) string {
		w.oneSearchKey(t)
		return "rotate search"
	}, func(t *testing.T, w *world, _ string) {
		if s := w.states(t, keyring.PurposeSearch, ""); !strings.HasSuffix(s, "active next") {
			t.Error(s)
		}
	}},
	{"revoke data", func(t *testing.T, w *world) string {
		return fmt.Sprint("revoke ", w.newest(t, keyring.PurposeData, "").ID)
	}, func(t *testing.T, w *world, _ string) {
		if s := w.states(t, keyring.PurposeData, ""); !strings.HasSuffix(s, "revoked active") {
			t.Error(s)
		}
	}},
	{"revoke search", func(t *testing.T, w *world) string {
		w.oneSearchKey(t)
		return fmt.Sprint("revoke ", w.newest(t, keyring.PurposeSearch, "").ID)
	}, func(t *testing.T, w *world, _ string) {
		if s := w.states(t, keyring.PurposeSearch, ""); !strings.HasSuffix(s, "revoked next") {
			t.Error(s)
		}
	}},
	{"retire", func(t *testing.T, w *world) string {
		w.oneSearchKey(t)
		old := w.newest(t, keyring.PurposeSearch, "")
		must[keyring.Key](t)(w.admin(t).Rotate(t.Context(), keyring.PurposeSearch, ""))
		w.settle(t)
		w.exec(t, "TRUNCATE letters") // in the place of re-sealing them
		return fmt.Sprint("retire ", old.ID)
	}, func(t *testing.T, w *world, _ string) {
		if s := w.states(t, keyring.PurposeSearch, ""); !strings.HasSuffix(s, "retired active") {
			t.Error(s)
		}
	}},
	{"destroy", func(t *testing.T, w *world) string {
		tenants++
		scope := fmt.Sprint("tenant:", tenants)
		seal(t, w, scope)
		must[keyring.Key](t)(w.admin(t).Rotate(t.Context(), keyring.PurposeData, scope))
		return "destroy " + scope
	}, func(t *testing.T, w *world, did string) {
		scope := strings.TrimPrefix(did, "destroy ")
		if s := w.states(t, keyring.PurposeData, scope) + " " + w.states(t, keyring.PurposeSearch, scope); s != "destroyed destroyed destroyed destroyed destroyed" {
			t.Error(s)
		}
		if _, err := read(t.Context(), w.open(t), scope); !errors.Is(err, driver.ErrKeyDestroyed) {
			t.Error(err)
		}
	}},
	{"rewrap", func(t *testing.T, w *world) string {
		w.exec(t, "DELETE FROM colseal_keys; TRUNCATE letters") // few keys, or it takes long
		seal(t, w, "", "a", "b")
		w.kms.CreateKey(kmstest.Alias(alias))
		return "rewrap"
	}, func(t *testing.T, w *world, _ string) {
		keys := w.keys(t, keyring.Filter{})
		for _, k := range keys {
			if k.Wrapped.KeyID != keys[0].Wrapped.KeyID {
				t.Errorf("key %08x is under %s, others under %s", k.ID, k.Wrapped.KeyID, keys[0].Wrapped.KeyID)
			}
		}
	}},
	{"adopt", func(t *testing.T, w *world) string {
		w.exec(t, "DELETE FROM colseal_keys; TRUNCATE letters") // few keys, or it takes long
		seal(t, w, "", "a", "b")
		return "adopt"
	}, func(t *testing.T, w *world, _ string) {
		id := must[string](t)(w.store(t).ID(t.Context()))
		for _, e := range w.kms.Events() {
			if e.Operation == "Decrypt" && e.ErrorCode != "" {
				t.Errorf("a key was asked for under another id than it is wrapped with: %+v, now %s", e, id)
			}
		}
	}},
}

var tenants int

// oneSearchKey ends a change of search keys that is under way, with no rows under the older one.
func (w *world) oneSearchKey(t *testing.T) {
	t.Helper()
	w.exec(t, "TRUNCATE letters")
	w.exec(t, "DELETE FROM colseal_keys WHERE purpose = 'search' AND scope = ''")
	seal(t, w, "")
}

var everyStep = flag.Bool("keylife.every", false, "kill operators at every step, not at every fifth")

// TestKilledOperator kills an operator at each step of each deed while a program writes and reads. The program never
// fails and never misses a row; afterwards every row opens for a new program; and the deed can be done again.
func TestKilledOperator(t *testing.T) {
	stride := int64(5) // from another step in each run, so that all come to their turn
	if *everyStep {
		stride = 1
	}
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) {
		defer func() { stride *= 3 }() // on the second server fewer will do
		w := newWorld(t, pg)
		seal(t, w, "")
		for _, d := range deeds {
			t.Run(strings.ReplaceAll(d.name, " ", "_"), func(t *testing.T) {
				steps := w.operator(t, d.before(t, w), 0)
				killed, tried := 0, 0
				for at := 1 + rand.Int64N(stride); at <= steps && !t.Failed(); at += stride {
					tried++
					does := d.before(t, w)
					stop := w.load(t)
					if w.operator(t, does, at) == 0 {
						killed++
					}
					stop()
					w.holds(t, does)
					if err := doTo(t.Context(), w.admin(t), does); err != nil {
						t.Errorf("again: %v", err)
					}
					w.holds(t, does)
					if d.after(t, w, does); t.Failed() {
						t.Errorf("killed at step %d of %d", at, steps)
					}
				}
				if t.Logf("killed at %d of %d steps", killed, steps); killed < tried*3/4 {
					t.Error("too few operators were killed")
				}
			})
		}
	})
}

// load is a program that writes and reads until stop is called, with so short a MaxAge that it sees what the operator
// does. It fails the test when anything fails, or a row is not found.
func (w *world) load(t *testing.T) (stop func()) {
	t.Helper()
	db, err := openLetters(w.pg.DSN(), driver.Config{KMS: awskms.New(w.kms.Client(t), alias),
		Keys: keycache.Config{MaxAge: 20 * time.Millisecond, MaxStale: -1}}, mortal.New(0))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	if err := write(ctx, db, "", "ann", "first"); err != nil {
		t.Fatal(err)
	}
	var (
		done atomic.Bool
		wg   sync.WaitGroup
	)
	for range 2 {
		wg.Go(func() {
			for i := 0; !done.Load() || i == 0; i++ {
				if err := write(ctx, db, "", "ann", fmt.Sprint(i)); err != nil {
					t.Errorf("a program that runs meanwhile cannot write: %v", err)
					return
				}
				if err := agree(ctx, db); err != nil {
					t.Errorf("a program that runs meanwhile: %v", err)
					return
				}
			}
		})
	}
	return func() {
		done.Store(true)
		wg.Wait()
		_ = db.Close()
	}
}

// agree checks that an equality search finds as many of Ann's letters as there were.
func agree(ctx context.Context, db *sql.DB) error {
	var all int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM letters WHERE scope = ''").Scan(&all); err != nil {
		return err
	}
	if n, err := found(ctx, db, "", "ann"); err != nil || n < all {
		return fmt.Errorf("%d of at least %d letters are found: %w", n, all, err)
	}
	return nil
}

// holds checks as a program that has just started that every row opens, and is found. Of a scope that is being
// destroyed all keys are there, or none.
func (w *world) holds(t *testing.T, does string) {
	t.Helper()
	db := w.open(t)
	defer func() { _ = db.Close() }()
	n, err := read(t.Context(), db, "")
	m, err2 := found(t.Context(), db, "", "ann")
	if n != m || err != nil || err2 != nil {
		t.Errorf("%d letters are read, %v, and %d found, %v", n, err, m, err2)
	}
	if err := write(t.Context(), db, "", "ann", "after"); err != nil {
		t.Error(err)
	}
	scope, destroys := strings.CutPrefix(does, "destroy ")
	if !destroys {
		return
	}
	states := strings.Fields(w.states(t, keyring.PurposeData, scope) + " " + w.states(t, keyring.PurposeSearch, scope))
	gone := 0
	for _, s := range states {
		if s == string(keyring.StateDestroyed) {
			gone++
		}
	}
	_, err = read(t.Context(), db, scope)
	if whole := gone == 0 && err == nil || gone == len(states) && errors.Is(err, driver.ErrKeyDestroyed); !whole {
		t.Errorf("a scope that is destroyed in part: %v, %v", states, err)
	}
}
