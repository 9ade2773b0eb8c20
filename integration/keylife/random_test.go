package keylife

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

var hostileStatements = flag.Int("keylife.hostile", 600, "random statements of TestRandomKeyring")

// randomWorld is programs that work on while somebody with a program's role writes
// whatever comes to mind into the keyring.
type randomWorld struct {
	*world
	own, foreign string // ARNs of KEKs; programs trust the first
	inserted     sync.Map
	statements   atomic.Int64
	refused      atomic.Int64
	disturbed    atomic.Int64 // operations in attacked scopes that failed
	outrun       atomic.Int64 // of these, those without a row at fault
	worked       atomic.Int64
}

var (
	attackedScopes = []string{"", "evil:1", "evil:2", "evil:3"}
	calmScopes     = []string{"calm:1", "calm:2"}
)

// randomAge is the programs' MaxAge.
const randomAge = time.Second

// TestRandomKeyring: no panic, no cell sealed under a revoked or a foreign key, other
// scopes undisturbed. The full run is -keylife.hostile=10000.
func TestRandomKeyring(t *testing.T) {
	pg := pgtest.New(t)
	w := &randomWorld{world: newWorld(t, pg)}
	w.own = w.kms.CreateKey(kmstest.Alias("alias/own"))
	w.foreign = w.kms.CreateKey(kmstest.Alias("alias/foreign"))
	w.program(t) // makes the roles
	programs := []*sql.DB{w.trusting(t), w.trusting(t), w.trusting(t)}
	for _, scope := range calmScopes {
		if err := write(t.Context(), programs[0], scope, "ann", "0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var attackers, others sync.WaitGroup
	for range 2 {
		attackers.Go(func() { w.attack(t, *hostileStatements/2) })
	}
	for _, db := range programs {
		others.Go(func() { w.work(ctx, t, db) })
	}
	others.Go(func() { w.operate(ctx, t) })
	attackers.Wait()
	cancel()
	others.Wait()
	w.judge(t, w.trusting(t))
	t.Logf("%d statements, %d refused; %d operations in attacked scopes, %d failed, of these %d outrun by the attackers; %d rows of the keyring",
		w.statements.Load(), w.refused.Load(), w.worked.Load(), w.disturbed.Load(), w.outrun.Load(), len(w.keys(t, keyring.Filter{})))
	if w.statements.Load() == w.refused.Load() || w.worked.Load() == 0 {
		t.Error("nothing was tried")
	}
	if w.outrun.Load() > 2+w.worked.Load()/20 {
		t.Error("what is left to luck fails too often")
	}
}

// trusting is a program that trusts its own KEK and no other.
func (w *randomWorld) trusting(t *testing.T) *sql.DB {
	db := must[*sql.DB](t)(openLetters(w.app.dsn, driver.Config{
		KMS:  awskms.New(w.kms.Client(t), "alias/own", awskms.WithTrustedKeys(w.own)),
		Keys: keycache.Config{MaxAge: randomAge, MaxStale: -1}}, mortal.New(0)))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func oneOf[T any](of ...T) T { return of[rand.IntN(len(of))] }

func (w *randomWorld) attack(t *testing.T, n int) {
	db, err := sql.Open("pgx", w.app.dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = db.Close() }()
	for range n {
		w.statements.Add(1)
		query, args := w.statement(t)
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			w.refused.Add(1)
			var state interface{ SQLState() string }
			if !errors.As(err, &state) {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
}

// statement is a random statement on the rows of the attacked scopes.
func (w *randomWorld) statement(t *testing.T) (query string, args []any) {
	scope := oneOf(attackedScopes...)
	if rand.IntN(5) == 0 {
		return "UPDATE colseal_keys SET seals_reserved = $1 WHERE scope = $2",
			[]any{oneOf(0, rand.Int64N(1<<32), 1<<32, -1, math.MaxInt64), scope}
	}
	k := keyring.Key{ID: oneOf(rand.Uint32(), rand.Uint32(), rand.Uint32(), rand.Uint32(), rand.Uint32(), rand.Uint32(), 0), Purpose: oneOf(keyring.PurposeData, keyring.PurposeData, keyring.PurposeData, keyring.PurposeSearch, keyring.PurposeSearch, "x"), Scope: scope}
	w.inserted.Store(k.ID, true)
	k.Keyring = must[string](t)(w.store(t).ID(t.Context()))
	k.Wrapped = kms.Wrapped{KeyID: oneOf(w.own, w.foreign, "x", "\x1b[2J", ""), Blob: make([]byte, 1+rand.IntN(300))}
	if rand.IntN(3) == 0 { // a true key of theirs, of this row
		dk, err := awskms.New(w.kms.Client(t), "alias/foreign").GenerateDataKey(t.Context(), k.Call().EncryptionContext())
		if err != nil {
			t.Error(err)
		}
		k.Wrapped = dk.Wrapped
	}
	args = []any{int64(k.ID), string(k.Purpose), oneOf(scope, scope, scope, scope, "\x1b[2J"), k.Wrapped.KeyID, k.Wrapped.Blob,
		oneOf(0, 0, 0, rand.Int64N(1<<32), 1<<32, -1)}
	wrapped := oneOf("$5", "$5", "COALESCE((SELECT wrapped FROM colseal_keys ORDER BY random() LIMIT 1), $5)")
	epoch := oneOf("1", "7", "9223372036854775807", "0", "-1", fmt.Sprint(rand.Int64()),
		"(SELECT COALESCE(max(epoch), 0) + 1 FROM colseal_keys WHERE purpose = $2 AND scope = $3 AND epoch < 100000)",
		"(SELECT COALESCE(max(epoch), 0) + 1 FROM colseal_keys WHERE purpose = $2 AND scope = $3 AND epoch < 100000)",
		"(SELECT COALESCE(max(epoch), 0) + 2 FROM colseal_keys WHERE purpose = $2 AND scope = $3 AND epoch < 100000)")
	more, value := "", ""
	if rand.IntN(10) == 0 {
		more = oneOf("created_at", "seals_from", "retired_at", "revoked_at", "destroyed_at")
		more, value = ", "+more, ", "+oneOf("now()", "'infinity'", "NULL")
	}
	return "INSERT INTO colseal_keys (key_id, purpose, scope, kek_id, wrapped, seals_reserved, epoch" + more + ")" +
		" VALUES ($1, $2, $3, $4, " + wrapped + ", $6, " + epoch + value + ")", args
}

// work writes, reads and searches in every scope. What it writes is when it began to.
func (w *randomWorld) work(ctx context.Context, t *testing.T, db *sql.DB) {
	for ctx.Err() == nil {
		for _, scope := range calmScopes {
			if err := w.use(t.Context(), db, scope); err != nil {
				t.Errorf("in a scope that nobody attacks: %v", err)
				return
			}
		}
		for _, scope := range attackedScopes {
			w.worked.Add(1)
			err := w.use(t.Context(), db, scope)
			if err == nil {
				continue
			}
			w.disturbed.Add(1)
			switch {
			case errors.Is(err, keyring.ErrKeyInvalid), errors.Is(err, kms.ErrDenied):
			case errors.Is(err, keyring.ErrKeyUnavailable):
				// The attackers took each epoch that the program tried, or held the rows for longer than it waits.
				w.outrun.Add(1)
			default:
				t.Errorf("in an attacked scope: %v", err)
				return
			}
		}
	}
}

func (w *randomWorld) use(ctx context.Context, db *sql.DB, scope string) error {
	wrote := write(ctx, db, scope, "ann", strconv.FormatInt(time.Now().UnixMilli(), 10))
	_, opened := read(ctx, db, scope)
	_, searched := found(ctx, db, scope, "ann")
	return errors.Join(wrote, opened, searched)
}

// operate rotates and revokes keys of the attacked scopes.
func (w *randomWorld) operate(ctx context.Context, t *testing.T) {
	a := keyring.NewAdmin(w.store(t), awskms.New(w.kms.Client(t), "alias/own"), keyring.AdminConfig{By: "ann"})
	for ctx.Err() == nil {
		time.Sleep(randomAge / 4)
		scope := oneOf(attackedScopes...)
		k, err := a.Rotate(t.Context(), keyring.PurposeData, scope)
		if err == nil && rand.IntN(2) == 0 {
			_, err = a.Revoke(t.Context(), k.ID, "test")
		}
		if err != nil {
			t.Errorf("operator: %v", err)
			return
		}
	}
}

// judge looks at every cell that was written.
func (w *randomWorld) judge(t *testing.T, db *sql.DB) {
	keys := map[uint32]keyring.Key{}
	for _, k := range w.keys(t, keyring.Filter{}) {
		keys[k.ID] = k
	}
	rows, err := w.pg.Admin.QueryContext(t.Context(), "SELECT id, body FROM letters")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	cells := 0
	for rows.Next() {
		var (
			id    int64
			cell  []byte
			began string
		)
		if err := rows.Scan(&id, &cell); err != nil {
			t.Fatal(err)
		}
		h, err := codec.ParseHeader(cell)
		if err != nil {
			t.Fatal(err)
		}
		if _, hostile := w.inserted.Load(h.KeyID); hostile || keys[h.KeyID].Wrapped.KeyID != w.own {
			t.Errorf("letter %d is sealed under a foreign key: %+v", id, keys[h.KeyID])
		}
		if err := db.QueryRowContext(t.Context(), "SELECT body FROM letters WHERE id = $1", id).Scan(&began); err != nil {
			t.Fatal(err)
		}
		at := must[int64](t)(strconv.ParseInt(began, 10, 64))
		if k := keys[h.KeyID]; k.Revoked && at > k.RevokedAt.Add(randomAge+3*time.Second).UnixMilli() {
			t.Errorf("letter %d is sealed under key %08x, %v after it was revoked", id, k.ID, time.UnixMilli(at).Sub(k.RevokedAt))
		}
		cells++
	}
	if cells == 0 || rows.Err() != nil {
		t.Error(cells, rows.Err())
	}
}
