package keylife

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// insertKey inserts a row as far as a program's role can.
const insertKey = "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved) "

// refusedAttacks are statements that PostgreSQL does not let a program's role execute, by
// its grants or by the table's constraints.
var refusedAttacks = map[string]string{
	"a wrapped key of 1 MB": insertKey + "VALUES (ID, 'data', 'SCOPE', 2, 'x', convert_to(repeat('x', 1048576), 'UTF8'), 0)",
	"an empty wrapped key":  insertKey + "VALUES (ID, 'data', 'SCOPE', 2, 'x', '', 0)",
	"a long KEK":            insertKey + "VALUES (ID, 'data', 'SCOPE', 2, repeat('x', 10000), 'x', 0)",
	"a long scope":          insertKey + "VALUES (ID, 'data', repeat('x', 1000), 2, 'x', 'x', 0)",
	"epoch 0":               insertKey + "VALUES (ID, 'data', 'SCOPE', 0, 'x', 'x', 0)",
	"no key id":             insertKey + "VALUES (0, 'data', 'SCOPE', 2, 'x', 'x', 0)",
	"a purpose of nobody's": insertKey + "VALUES (ID, 'x', 'SCOPE', 2, 'x', 'x', 0)",
	"an inserted tombstone": "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, seals_reserved, destroyed_at)" +
		" VALUES (ID, 'data', 'SCOPE', 2, '', 0, now())",
	"an inserted end": "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved, retired_at)" +
		" VALUES (ID, 'data', 'SCOPE', 9223372036854775807, 'x', 'x', 0, now())",
	"an inserted time": "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved, created_at)" +
		" VALUES (ID, 'data', 'SCOPE', 2, 'x', 'x', 0, 'infinity')",
	"an inserted beginning": "INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved, seals_from)" +
		" VALUES (ID, 'search', 'SCOPE', 2, 'x', 'x', 0, now() + interval '1 hour')",
	"less than no seal reserved": "UPDATE colseal_keys SET seals_reserved = -1",
	"a changed time":             "UPDATE colseal_keys SET created_at = now()",
	"a changed KEK":              "UPDATE colseal_keys SET kek_id = 'x'",
}

// attacks write into the keyring what nobody should: SCOPE and OTHER stand for scopes that
// have keys, and ID for a number below which a thousand key ids are free.
var attacks = []struct {
	name, sql string
	owner     bool // of the table, which has no constraints; otherwise a program's role
	// data and search say what SCOPE does for a program then: it seals and opens, and it
	// searches. "": as if nothing had happened. "invalid": an error of that class.
	// "destroyed": likewise. "opens not": what was sealed before is "invalid", and a next
	// key seals.
	data, search string
	invalid      int // rows that an operator is told of
}{
	{name: "the last epoch", sql: insertKey + "VALUES (ID, 'data', 'SCOPE', 9223372036854775807, 'x', 'x', 0)", invalid: 1},
	{name: "the last epoch, full", sql: insertKey + "VALUES (ID, 'data', 'SCOPE', 9223372036854775807, 'x', 'x', 4294967296)", invalid: 1},
	{name: "the last epoch of the search keys", sql: insertKey + "VALUES (ID, 'search', 'SCOPE', 9223372036854775807, 'x', 'x', 0)", invalid: 1},
	{name: "beyond a gap", sql: insertKey + "SELECT ID + n, 'data', 'SCOPE', n + 7, 'x', 'x', 0 FROM generate_series(1, 9) n", invalid: 9},
	{name: "the next epoch", sql: insertKey + "VALUES (ID, 'data', 'SCOPE', 2, 'x', 'x', 0)"},
	{name: "the next epoch, full", sql: insertKey + "VALUES (ID, 'data', 'SCOPE', 2, 'x', 'x', 4294967296)"},
	{name: "many epochs", sql: insertKey + "SELECT ID + n, 'data', 'SCOPE', n, 'x', 'x', 0 FROM generate_series(2, 40) n"},
	{name: "the next epoch, a copy of this one", sql: insertKey +
		"SELECT ID, purpose, scope, epoch + 1, kek_id, wrapped, 0 FROM colseal_keys WHERE scope = 'SCOPE' AND purpose = 'data'"},
	{name: "the next epoch, a copy of another scope's", sql: insertKey +
		"SELECT ID, purpose, 'SCOPE', 2, kek_id, wrapped, 0 FROM colseal_keys WHERE scope = 'OTHER' AND purpose = 'data'"},
	{name: "a second search key", sql: insertKey + "VALUES (ID, 'search', 'SCOPE', 2, 'x', 'x', 0)", invalid: 1},
	{name: "many search keys", sql: insertKey + "SELECT ID + n, 'search', 'SCOPE', n, 'x', 'x', 0 FROM generate_series(2, 40) n", invalid: 39},
	{name: "an escape sequence", sql: insertKey + `VALUES (ID, 'data', 'SCOPE', 2, E'\x1b]0;owned\x07', 'x', 0)`, invalid: 1},
	{name: "a scope of no program", sql: insertKey + `VALUES (ID, 'data', E'SCOPE\x1b[2J', 1, 'x', 'x', 0)`, invalid: 1},
	{name: "a wrapped key of 128 KB", sql: insertKey + "VALUES (ID, 'data', 'SCOPE', 2, 'x', convert_to(repeat('x', 131072), 'UTF8'), 0)"},
	{name: "every seal reserved", sql: "UPDATE colseal_keys SET seals_reserved = 4294967296"},
	{name: "no seal reserved", sql: "UPDATE colseal_keys SET seals_reserved = 0"},

	{owner: true, name: "made at the end of time", sql: "UPDATE colseal_keys SET created_at = 'infinity' WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "made before time", sql: "UPDATE colseal_keys SET created_at = '-infinity' WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "made 4,000 years ago", sql: "UPDATE colseal_keys SET created_at = '2000-01-01 BC' WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "made in 200,000 years", sql: "UPDATE colseal_keys SET created_at = '202000-01-01' WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "a search key that seals at the end of time", sql: "UPDATE colseal_keys SET seals_from = 'infinity' WHERE scope = 'SCOPE' AND purpose = 'search'", data: "opens not", search: "invalid", invalid: 1},
	{owner: true, name: "retired at the end of time", sql: "UPDATE colseal_keys SET retired_at = 'infinity' WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "below no seal", sql: "UPDATE colseal_keys SET seals_reserved = -5 WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "epoch below 1", sql: "UPDATE colseal_keys SET epoch = -3 WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "no wrapped key", sql: "UPDATE colseal_keys SET wrapped = NULL WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "too large a wrapped key", sql: "UPDATE colseal_keys SET wrapped = convert_to(repeat('x', 50000000), 'UTF8') WHERE scope = 'SCOPE' AND purpose = 'data'", data: "opens not", invalid: 1},
	{owner: true, name: "words of 50 MB, with escapes", sql: "UPDATE colseal_keys SET changed_why = repeat(E'\\x1b[2J', 10000000) WHERE scope = 'SCOPE'"},
	{owner: true, name: "one key destroyed", sql: "UPDATE colseal_keys SET wrapped = NULL, destroyed_at = now() WHERE scope = 'SCOPE' AND purpose = 'data'", data: "destroyed", search: "destroyed"},
}

// TestHostileKeyring holds programs and operators to it that no row of the keyring stops
// them, or reaches another scope than its own.
func TestHostileKeyring(t *testing.T) {
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		running := w.program(t)
		attacker := must[*sql.DB](t)(sql.Open("pgx", w.app.dsn))
		defer func() { _ = attacker.Close() }()
		fill := func(s string, i int) string {
			return strings.NewReplacer("SCOPE", scopeOf(i), "OTHER", otherOf(i), "ID", fmt.Sprint(i*1000+1)).Replace(s)
		}
		if err := write(t.Context(), running, scopeOf(0), "ann", "before"); err != nil {
			t.Fatal(err)
		}
		for name, sql := range refusedAttacks {
			var state interface{ SQLState() string }
			_, err := attacker.ExecContext(t.Context(), fill(sql, 0))
			if !errors.As(err, &state) || state.SQLState() != "42501" && state.SQLState() != "23514" {
				t.Errorf("%s: want permission denied, or a constraint that is violated: %v", name, err)
			}
		}
		constrained := true
		for i, tt := range attacks {
			i++
			for _, scope := range []string{scopeOf(i), otherOf(i)} {
				if err := write(t.Context(), running, scope, "ann", "before"); err != nil {
					t.Fatal(err)
				}
			}
			told := w.countInvalid(t)
			if tt.owner && constrained {
				w.dropConstraints(t)
				constrained = false
			}
			db := attacker
			if tt.owner {
				db = pg.Admin
			}
			if _, err := db.ExecContext(t.Context(), fill(tt.sql, i)); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			t.Run(tt.name, func(t *testing.T) {
				starting := w.program(t)
				time.Sleep(2 * hostileAge) // the running one reads its keys again
				for _, db := range []*sql.DB{running, starting} {
					w.survives(t, db, scopeOf(i), otherOf(i), tt.data, tt.search)
				}
				if n := w.countInvalid(t) - told; n != tt.invalid {
					t.Errorf("the operator is told of %d rows, want %d", n, tt.invalid)
				}
				w.operates(t, scopeOf(i), otherOf(i))
			})
		}
	})
}

// hostileAge is the programs' MaxAge in the tests of a hostile keyring.
const hostileAge = 300 * time.Millisecond

func scopeOf(i int) string { return fmt.Sprint("tenant:", i) }
func otherOf(i int) string { return fmt.Sprint("other:", i) }

// program is a program that has just started, as the role that docs/keyring.md gives it.
func (w *world) program(t *testing.T) *sql.DB {
	t.Helper()
	if w.app.name == "" {
		w.app = w.role(t, "app")
		w.exec(t, "GRANT SELECT, INSERT ON letters TO "+w.app.name)
		w.exec(t, "GRANT USAGE ON SEQUENCE letters_id_seq TO "+w.app.name)
		w.exec(t, w.store(t).Grants(w.app.name, w.role(t, "writer").name, w.role(t, "operator").name, w.role(t, "auditor").name))
	}
	db := must[*sql.DB](t)(openLetters(w.app.dsn, driver.Config{KMS: awskms.New(w.kms.Client(t), alias),
		Keys: keycache.Config{MaxAge: hostileAge, MaxStale: -1}}, mortal.New(0)))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *world) dropConstraints(t *testing.T) {
	t.Helper()
	rows, err := w.pg.Admin.QueryContext(t.Context(), "SELECT conname FROM pg_constraint WHERE conrelid = 'colseal_keys'::regclass AND contype = 'c'")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if len(names) < 5 || rows.Err() != nil {
		t.Fatal(names, rows.Err())
	}
	for _, name := range names {
		w.exec(t, fmt.Sprintf("ALTER TABLE colseal_keys DROP CONSTRAINT %q", name))
	}
}

// countInvalid counts the rows that the operator's list calls invalid, and looks at what
// it would print.
func (w *world) countInvalid(t *testing.T) (n int) {
	t.Helper()
	for _, k := range w.keys(t, keyring.Filter{}) {
		fault := k.Invalid != nil || k.Stray != nil
		if k.State == keyring.StateInvalid {
			n++
		}
		if (k.State == keyring.StateInvalid) != (fault && !k.Revoked && !k.Destroyed) {
			t.Errorf("%+v", k)
		}
		for _, text := range []string{k.Scope, k.Wrapped.KeyID, k.ChangedWhy, fmt.Sprint(k.Invalid), fmt.Sprint(k.Stray)} {
			if strings.ContainsRune(text, '\x1b') || len(text) > 10000 {
				t.Errorf("a terminal is given %.100q, of %d bytes", text, len(text))
			}
		}
	}
	return n
}

// survives holds a program to what an attack may do to it: nothing in another scope, and
// in the attacked one no more than an error that says what is wrong.
func (w *world) survives(t *testing.T, db *sql.DB, attacked, undisturbed, data, search string) {
	t.Helper()
	ctx := t.Context()
	want := func(what, kind string, err error) {
		t.Helper()
		class := map[string]error{"invalid": driver.ErrKeyInvalid, "destroyed": driver.ErrKeyDestroyed}[kind]
		switch {
		case class == nil && err != nil, class != nil && !errors.Is(err, class),
			errors.Is(err, driver.ErrKeyUnavailable), err != nil && strings.Contains(err.Error(), "tried again"):
			t.Errorf("%s: want %q: %v", what, kind, err)
		}
	}
	want("write elsewhere", "", write(ctx, db, undisturbed, "ann", "after"))
	_, err := read(ctx, db, undisturbed)
	want("read elsewhere", "", err)
	_, err = found(ctx, db, undisturbed, "ann")
	want("search elsewhere", "", err)

	opens, seals := data, data
	if data == "opens not" {
		opens, seals = "invalid", ""
	}
	_, err = read(ctx, db, attacked)
	want("read", opens, err)
	n, err := found(ctx, db, attacked, "ann")
	want("search", search, err)
	if search == "" {
		if n == 0 {
			t.Error("the row is not found")
		}
		want("write", seals, write(ctx, db, attacked, "ann", "after"))
	}
}

// operates does all that an operator may have to do.
func (w *world) operates(t *testing.T, attacked, undisturbed string) {
	t.Helper()
	ctx, a := t.Context(), w.admin(t)
	for _, scope := range []string{attacked, undisturbed} {
		k, err := a.Rotate(ctx, keyring.PurposeData, scope)
		if errors.Is(err, keyring.ErrKeyDestroyed) && scope == attacked {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		must[keyring.Key](t)(a.Revoke(ctx, k.ID, "test"))
		must[keyring.Key](t)(a.Rotate(ctx, keyring.PurposeSearch, scope))
	}
	all := len(w.keys(t, keyring.Filter{}))
	r, err := a.Rewrap(ctx, keyring.RewrapOptions{Force: true})
	if r.Rewrapped < 4 || r.Total > all || r.Total != r.Rewrapped+r.Current+r.Destroyed+len(r.Failed) {
		t.Errorf("rewrapped: %+v, %v", r, err)
	}
	must[[]keyring.Key](t)(a.Destroy(ctx, attacked, "test"))
	program := w.program(t)
	if err := write(ctx, program, attacked, "ann", "too late"); !errors.Is(err, driver.ErrKeyDestroyed) {
		t.Errorf("wrote into a destroyed scope: %v", err)
	}
	if err := write(ctx, program, undisturbed, "ann", "after"); err != nil {
		t.Error(err)
	}
}

// TestDestroyedStaysDestroyed tries to open a destroyed scope again.
func TestDestroyedStaysDestroyed(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		const attacked = "tenant:1"
		w := newWorld(t, pg)
		ctx, a, program := t.Context(), w.admin(t), w.program(t)
		if err := write(ctx, program, attacked, "ann", "before"); err != nil {
			t.Fatal(err)
		}
		data, search := w.newest(t, keyring.PurposeData, attacked), w.newest(t, keyring.PurposeSearch, attacked)
		must[[]keyring.Key](t)(a.Destroy(ctx, attacked, "gdpr"))
		closed := func(what string) {
			t.Helper()
			time.Sleep(2 * hostileAge)
			for _, db := range []*sql.DB{program, w.program(t)} {
				_, opened := read(ctx, db, attacked)
				_, searched := found(ctx, db, attacked, "ann")
				for op, err := range map[string]error{"read": opened, "search": searched, "write": write(ctx, db, attacked, "ann", "after")} {
					if !errors.Is(err, driver.ErrKeyDestroyed) {
						t.Errorf("%s: %s: %v", what, op, err)
					}
				}
			}
		}
		closed("destroyed")
		// By whoever can insert: keys beyond the tombstones, of the same wrapping even.
		foreign := w.kms.CreateKey(kmstest.Alias("alias/foreign"))
		for i, p := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch} {
			for epoch := range int64(3) {
				k := keyring.Key{ID: uint32(100 + 10*i + int(epoch)), Keyring: data.Keyring, Purpose: p, Scope: attacked, Epoch: 3 + epoch}
				dk, err := awskms.New(w.kms.Client(t), []string{alias, foreign}[epoch%2]).GenerateDataKey(ctx, k.Call().EncryptionContext())
				if err != nil {
					t.Fatal(err)
				}
				k.Wrapped = dk.Wrapped
				app := must[*sql.DB](t)(sql.Open("pgx", w.app.dsn))
				if _, err := keyring.OpenStore(app, keyring.DialectPostgres, "").Insert(ctx, k); !errors.Is(err, keyring.ErrKeyDestroyed) { // the row is stored all the same
					t.Fatal(err)
				}
				_ = app.Close()
			}
		}
		closed("keys were inserted")
		// By whoever can update, from a dump: the wrapped keys are put back. Both, since a row that is read has cells under both.
		for _, k := range []keyring.Key{data, search} {
			w.exec(t, "UPDATE colseal_keys SET wrapped = $1, destroyed_at = NULL WHERE key_id = $2", k.Wrapped.Blob, int64(k.ID))
			closed("the " + string(k.Purpose) + " key was put back")
		}
		if n := len(must[[]keyring.Key](t)(a.Destroy(ctx, attacked, "again"))); n < 4 {
			t.Errorf("%d keys", n)
		}
		for _, k := range w.keys(t, keyring.Filter{}) {
			if k.Scope == attacked && k.Wrapped.Blob != nil {
				t.Errorf("a wrapped key is left: %+v", k)
			}
		}
	})
}

// TestDeadKeyringConnections: connections of the keyring's that the server closed while they
// were idle are nobody's error.
func TestDeadKeyringConnections(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		db := must[*sql.DB](t)(sql.Open("pgx", pg.DSN()))
		defer func() { _ = db.Close() }()
		store := keyring.OpenStore(db, keyring.DialectPostgres, "")
		a := keyring.NewAdmin(store, awskms.New(w.kms.Client(t), alias), keyring.AdminConfig{})
		id := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeData, "")).ID
		for name, step := range map[string]func() error{
			"ring": func() error { _, err := store.Ring(t.Context(), keyring.PurposeData, ""); return err },
			"keys": func() error { _, err := store.Keys(t.Context(), []uint32{id}); return err },
			"list": func() error { _, err := a.Keys(t.Context(), keyring.Filter{}); return err },
			"reserve": func() error {
				_, ok, err := store.Reserve(t.Context(), id, 1, 1000)
				if !ok && err == nil {
					err = errors.New("nothing was reserved")
				}
				return err
			},
			"insert": func() error {
				_, err := store.Insert(t.Context(), keyring.Key{Keyring: w.id(t, ""), ID: 9, Purpose: keyring.PurposeData, Scope: "x", Epoch: 1,
					Wrapped: kms.Wrapped{KeyID: "x", Blob: []byte("x")}})
				return err
			},
		} {
			// Two idle connections, as many as a pool keeps.
			one, two := must[*sql.Conn](t)(db.Conn(t.Context())), must[*sql.Conn](t)(db.Conn(t.Context()))
			if err := errors.Join(one.PingContext(t.Context()), two.PingContext(t.Context()), one.Close(), two.Close()); err != nil {
				t.Fatal(err)
			}
			var killed int
			if err := pg.Admin.QueryRow("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity" +
				" WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle'").Scan(&killed); err != nil || killed < 2 {
				t.Fatal(killed, err)
			}
			if err := step(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
