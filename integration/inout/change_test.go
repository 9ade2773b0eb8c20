//go:build unix

package inout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/dbcheck"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/ops/reseal"
	"github.com/colseal/colseal/schema"
)

// accounts is the schema of changeDDL: options of columns that are sealed change. email was random
// and can be searched for then; age has tighter bounds, name gets beginnings. pin was text and gets
// to be a number. login has gone in before, so that its cells stand in a companion, and gets
// another identity.
func accounts() (*schema.Schema, error) {
	was, of := former()
	to := func(stored string, c schema.Column, was *schema.Column) schema.Column {
		c.Stage, c.Stored, c.Was = schema.StageCopy, stored, was
		return c
	}
	return schema.New(
		schema.Columns("accounts",
			to("email_found", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, &was[0]),
			to("age_tight", schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "150"}, &was[1]),
			to("name_found", schema.Column{Name: "name", Terms: codec.Terms{Prefix: codec.Lengths{Min: 3, Max: 3}}}, &was[2]),
			to("login_new", schema.Column{Name: "login", Mode: schema.ModeDeterministic, JoinGroup: "signin"}, &was[3]),
			to("pin_number", schema.Column{Name: "pin", Mode: schema.ModeDeterministic, Kind: schema.KindInt}, &was[4])),
		schema.Columns("visits", to("login_new", schema.Column{Name: "login", Mode: schema.ModeDeterministic, JoinGroup: "signin"}, &of)),
	)
}

// former are the columns of accounts, and the one of visits, as they were.
func former() ([]schema.Column, schema.Column) {
	return []schema.Column{
		{Name: "email"},
		{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "1000000"},
		{Name: "name"},
		{Name: "login", Mode: schema.ModeDeterministic, JoinGroup: "login", Stored: "login_sealed"},
		{Name: "pin", Mode: schema.ModeDeterministic},
	}, schema.Column{Name: "login", Mode: schema.ModeDeterministic, JoinGroup: "login", Stored: "login_sealed"}
}

func accountsBefore() (*schema.Schema, error) {
	was, of := former()
	return schema.New(schema.Columns("accounts", was...), schema.Columns("visits", of))
}

const changeDDL = `
CREATE TABLE accounts (id bigserial PRIMARY KEY, email bytea NOT NULL, age bytea, note text, name bytea, pin bytea, login text CHECK (login IS NULL), login_sealed bytea NOT NULL CONSTRAINT accounts_login UNIQUE);
CREATE INDEX accounts_age ON accounts (age);
CREATE TABLE visits (id bigserial PRIMARY KEY, login text CHECK (login IS NULL), body text, login_sealed bytea CONSTRAINT visits_to REFERENCES accounts (login_sealed) ON DELETE SET NULL);
CREATE VIEW addresses AS SELECT a.id, a.email AS address, a.age FROM accounts a WHERE a.note IS NULL AND a.email IS NOT NULL;
CREATE TABLE twin_accounts (id bigint PRIMARY KEY, email text NOT NULL, age integer, note text, name text, pin text, login text NOT NULL UNIQUE);
CREATE TABLE twin_visits (id bigint PRIMARY KEY, login text REFERENCES twin_accounts (login) ON DELETE SET NULL, body text);
CREATE VIEW twin_addresses AS SELECT id, email AS address, age FROM twin_accounts WHERE note IS NULL AND email IS NOT NULL;`

// changed describes what the server has of the tables.
func (w *world) changed(t testing.TB) string {
	t.Helper()
	return w.dumpOf(t, "accounts", "visits")
}

// user is a program with rows of its own.
type user struct {
	w     *world
	n     int
	next  int64
	mu    sync.Mutex // guards db, find and stage: a deployment waits for the statement that runs
	db    *sql.DB
	find  *sql.Stmt
	stage schema.Stage
	told  map[int]bool // statements that have failed once, as what * stands for has changed
}

func (u *user) deploy(t *testing.T, stage schema.Stage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.db != nil {
		_ = u.db.Close()
	}
	pg, err := pgx.ParseConfig(u.w.pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg := driver.Config{KMS: u.w.kms, Stages: map[string]schema.Stage{"accounts": stage, "visits": stage}}
	tables := accounts
	if stage == unaware {
		tables, cfg.Stages = accountsBefore, nil
	}
	if cfg.Schema, err = tables(); err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), cfg)
	if err != nil {
		t.Fatal(err)
	}
	u.db, u.stage, u.told = sql.OpenDB(cn), stage, map[int]bool{}
	u.db.SetMaxOpenConns(1)
	if u.find, err = u.db.Prepare("SELECT id, email, age, name, pin FROM accounts WHERE login = $1"); err != nil {
		t.Fatalf("a program in %q prepares: %v", stage, err)
	}
}

func (u *user) id(i int64) int64     { return int64(u.n)*1_000_000_000 + i }
func (u *user) login(i int64) string { return fmt.Sprintf("l%d-%d", u.n, i) }

// work does one thing to both tables, in one transaction, and compares.
func (u *user) work() (int, error) {
	ctx := context.Background()
	kind := rand.IntN(17)
	opts := &sql.TxOptions{}
	if kind >= 9 {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := u.db.BeginTx(ctx, opts)
	if err != nil {
		return kind, err
	}
	defer func() { _ = tx.Rollback() }()
	i := rand.Int64N(max(u.next, 1))
	p := &program{}
	var age any
	if a := rand.IntN(160); a <= 150 {
		age = a
	}
	pin := fmt.Sprint(1000 + i)
	insert := "INSERT INTO %saccounts (id, email, age, name, login, pin) VALUES ($1, $2, $3, $4, $5, '" + pin + "')"
	switch kind {
	case 0, 1:
		u.next++
		err = p.both(tx, insert, u.id(u.next), fmt.Sprintf("e%d-%d@x", u.n, u.next), age, fmt.Sprintf("name%d", rand.IntN(9)), u.login(u.next))
	case 2: // a login that is there, or not any more
		u.next++
		err = p.both(tx, insert, u.id(u.next), fmt.Sprintf("e%d-%d@x", u.n, u.next), age, nil, u.login(i))
	case 3:
		err = p.both(tx, "UPDATE %saccounts SET name = $1, age = $2, pin = $4 WHERE id = $3", fmt.Sprintf("name%d", rand.IntN(9)), age, u.id(i), pin)
	case 4: // the value that is there: one of its cells is another one then
		err = p.both(tx, "UPDATE %saccounts SET email = $1, note = 'again' WHERE id = $2", fmt.Sprintf("e%d-%d@x", u.n, i), u.id(i))
	case 5:
		u.next++
		err = p.both(tx, insert+" ON CONFLICT (login) DO UPDATE SET name = excluded.name, age = excluded.age", u.id(u.next), fmt.Sprintf("e%d-%d@x", u.n, u.next), age, "conflict", u.login(i))
	case 6:
		u.next++
		err = p.both(tx, "INSERT INTO %svisits (id, login, body) VALUES ($1, $2, 'b')", u.id(u.next), u.login(i))
	case 7:
		err = p.both(tx, "DELETE FROM %saccounts WHERE login = $1", u.login(i))
	case 8:
		u.next++
		err = p.both(tx, "UPDATE %saccounts SET login = $1, name = NULL WHERE id = $2", u.login(u.next), u.id(i))
	case 9:
		err = p.same(tx, "SELECT * FROM %saccounts WHERE id = $1", 7, u.id(i))
	case 10:
		err = p.same(tx, "SELECT a.id, a.login, v.id, v.login, a.age FROM %[1]saccounts a JOIN %[1]svisits v ON v.login = a.login WHERE a.id BETWEEN $1 AND $2 ORDER BY 1, 3", 5, u.id(0), u.id(1<<20))
	case 11:
		err = p.same(tx, "SELECT id, email, age, name FROM %saccounts WHERE id BETWEEN $1 AND $2 AND (age >= $3 OR pin = $4) ORDER BY id", 4, u.id(0), u.id(1<<20), rand.IntN(150), pin)
	case 12:
		var got, want []string
		if got, err = lines(tx.Stmt(u.find).Query(u.login(i)))(5); err == nil {
			if want, err = lines(tx.Query("SELECT id, email, age, name, pin FROM twin_accounts WHERE login = $1", u.login(i)))(5); err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("a kept statement finds %v, in the twin %v", got, want)
			}
		}
	case 13, 14: // what the new options allow
		query, arg := "SELECT id, email FROM %saccounts WHERE email = $1", fmt.Sprintf("e%d-%d@x", u.n, i)
		if kind == 14 {
			query, arg = "SELECT id, name FROM %saccounts WHERE name LIKE $1 ORDER BY id", "nam%"
		}
		if err = p.same(tx, query, 2, arg); u.stage <= schema.StageCopy {
			if !errors.Is(err, driver.ErrRefused) {
				return kind, fmt.Errorf("%s in %q: %v, want a refusal", query, u.stage, err)
			}
			return kind, nil
		}
	case 15:
		err = p.same(tx, "SELECT id, address, age FROM %saddresses WHERE id BETWEEN $1 AND $2 AND age >= $3 ORDER BY id", 3, u.id(0), u.id(1<<20), rand.IntN(150))
	default:
		if _, err = tx.Exec("SELECT 1 FROM twin_visits LIMIT 1"); err == nil {
			time.Sleep(rand.N(300 * time.Millisecond))
			err = p.same(tx, "SELECT id, email, age, note, name, login, pin FROM %saccounts WHERE id BETWEEN $1 AND $2 ORDER BY id", 7, u.id(0), u.id(1<<20))
		}
	}
	if err != nil {
		return kind, err
	}
	return kind, tx.Commit()
}

// Options of sealed columns change, and change back, while programs read and write, deployed one by
// one, the commands killed. What they find is what a twin of plain values has.
func TestChangeUnderLoad(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, changeDDL)
	w.tables = accounts
	before := w.open(t, accountsBefore)
	for i := range 600 {
		for _, prefix := range []string{"", "twin_"} {
			args := []any{i + 1, fmt.Sprintf("m%d@x", i), i % 100, fmt.Sprintf("nam%d", i), fmt.Sprintf("old%d", i), fmt.Sprint(i * i)}
			mustExec(t, before, fmt.Sprintf("INSERT INTO %saccounts (id, email, age, name, login, pin) VALUES ($1, $2, $3, $4, $5, $6)", prefix), args...)
			mustExec(t, before, fmt.Sprintf("INSERT INTO %svisits (id, login) VALUES ($1, $2)", prefix), i+1, args[4])
		}
	}
	dump := w.changed(t)
	db := w.open(t, accounts)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var ops, known atomic.Int64
	var users []*user
	defer running.Wait()
	defer cancel()
	var phase atomic.Value
	phase.Store("before")
	for n := range min(*loadPrograms, 12) {
		u := &user{w: w, n: n + 1}
		u.deploy(t, unaware)
		users = append(users, u)
		running.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				u.mu.Lock()
				kind, err := u.work()
				ops.Add(1)
				var pe *pgconn.PgError
				switch {
				case errors.As(err, &pe) && (pe.Code == "0A000" || pe.Code == "42703") && u.stage == unaware && !u.told[kind]: // * has, or had, companions in it
					u.told[kind] = true
					known.Add(1)
				case err != nil && ctx.Err() == nil:
					t.Errorf("%s: a program in %q, statement %d: %v", phase.Load(), u.stage, kind, err)
				}
				u.mu.Unlock()
				time.Sleep(*loadThink/2 + rand.N(*loadThink))
			}
		})
	}
	deploy := func(stage schema.Stage, some []*user) {
		for _, u := range some {
			u.deploy(t, stage)
		}
	}
	step := func(i int) {
		t.Helper()
		phase.Store(way[i].String())
		for at, n := 1+rand.Int64N(2*stride), 0; n < *loadKills && !t.Failed(); n++ {
			if w.killed(t, i, at) > 0 {
				break
			}
			at += rand.Int64N(6 * stride)
		}
		if t.Failed() {
			t.FailNow()
		}
		r, err := way[i].run(ctx, db, migrate.Options{MaxBatch: batch, Notice: func(s string) { t.Log(s) }})
		for errors.Is(err, migrate.ErrPrograms) && ctx.Err() == nil { // one could not say that it ended, and counts until its lease ends
			t.Log(err)
			time.Sleep(10 * time.Second)
			r, err = way[i].run(ctx, db, migrate.Options{MaxBatch: batch})
		}
		if err != nil {
			t.Fatalf("%s: %v", way[i], err)
		}
		t.Logf("%s: sealed %d, opened %d, cleared %d; %d transactions", way[i], r.Sealed, r.Opened, r.Cleared, ops.Load())
	}
	half, rest := users[:len(users)/2], users[len(users)/2:]
	deploy(schema.StageCopy, half)
	step(0)
	deploy(schema.StageCopy, rest)
	deploy(schema.StageCopy, half)
	step(1)
	mustExec(t, pg.Admin, "CREATE UNIQUE INDEX CONCURRENTLY accounts_email ON accounts (email_found)")
	deploy(schema.StageSealed, half)
	for _, u := range []*user{half[0], rest[0]} { // each program writes what is unique now
		u.mu.Lock()
		_, err := u.db.Exec("INSERT INTO accounts (id, email, login) VALUES (999999999, 'm7@x', $1)", u.login(1<<40))
		u.mu.Unlock()
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "23505" {
			t.Errorf("a second account of one address in %q: %v", u.stage, err)
		}
	}
	deploy(schema.StageSealed, rest)
	step(2)
	deploy(schema.StageOnly, users)
	step(3)
	time.Sleep(time.Second)
	if got := all(t, pg.Admin, "SELECT attname FROM pg_attribute WHERE attrelid = 'accounts'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"); !slices.Equal(got,
		[]string{"id", "email", "age", "note", "name", "pin", "login", "email_found", "age_tight", "name_found", "login_new", "pin_number"}) {
		t.Errorf("columns when all is done: %v", got)
	}
	step(4)
	deploy(schema.StageSealed, users)
	step(5)
	deploy(schema.StageCopy, users)
	step(6)
	deploy(unaware, users)
	step(7)
	time.Sleep(time.Second)
	cancel()
	running.Wait()
	for _, q := range []string{"SELECT id, email, age, note, name, login, pin FROM %saccounts ORDER BY id", "SELECT id, login, body FROM %svisits ORDER BY id"} {
		tx, err := before.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := (&program{}).same(tx, q, 3, nil...); err != nil {
			t.Errorf("in the end: %v", err)
		}
		_ = tx.Rollback()
	}
	if got := w.changed(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
	t.Logf("%d transactions; %d statements of programs with the options that were failed once (0A000, 42703)", ops.Load(), known.Load())
	for _, u := range users {
		_ = u.db.Close()
	}
}

// While both columns hold cells, programs with the options that were read, and what they write
// alone is noticed; keys change in both columns; each value stays in the scope that it is in; and
// the audit has nothing against it.
func TestBesideAChange(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, changeDDL)
	before, db := w.open(t, accountsBefore), w.open(t, accounts)
	scoped := keyring.WithScope(t.Context(), "tenant")
	for i, ctx := range []context.Context{t.Context(), scoped} {
		if _, err := before.ExecContext(ctx, "INSERT INTO accounts (id, email, age, name, login) VALUES ($1, $2, 30, 'name', $3)", i+1, fmt.Sprintf("e%d@x", i+1), fmt.Sprintf("l%d", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(i int) {
		t.Helper()
		if r, err := way[i].run(t.Context(), db, migrate.Options{}); err != nil || r.Unfit > 0 {
			t.Fatalf("%s: %+v, %v", way[i], r, err)
		}
	}
	unsealed := func() (n int64) {
		t.Helper()
		status, err := migrate.Status(t.Context(), db, "accounts.email")
		if err != nil || !status[0].Changes {
			t.Fatal(status, err)
		}
		return status[0].Unsealed
	}
	run(0)
	mustExec(t, before, "UPDATE accounts SET email = 'changed@x' WHERE id = 1") // the companion is behind
	if n := unsealed(); n != 1 {
		t.Errorf("%d rows without a companion, want 1", n)
	}
	run(0)
	copies := w.open(t, accounts)
	mustExec(t, copies, "UPDATE accounts SET email = 'changed@x' WHERE id = 1") // the same value: one of its cells is the same
	if n := unsealed(); n != 0 {
		t.Errorf("%d rows without a companion, want none", n)
	}
	run(1)
	var pe *pgconn.PgError
	if _, err := before.Exec("UPDATE accounts SET email = 'alone@x' WHERE id = 1"); !errors.As(err, &pe) || pe.Code != "23514" {
		t.Errorf("a program with the options that were writes alone: %v", err)
	}
	mustExec(t, before, "UPDATE accounts SET note = 'n' WHERE id = 1")
	admin := keyring.NewAdmin(keyring.OpenStore(pg.Admin, keyring.DialectPostgres, ""), w.kms, keyring.AdminConfig{})
	for _, p := range []keyring.Purpose{keyring.PurposeData, keyring.PurposeSearch} {
		for _, scope := range []string{"", "tenant"} {
			if _, err := admin.Rotate(t.Context(), p, scope); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustExec(t, pg.Admin, "UPDATE colseal_keys SET created_at = created_at - interval '90 days', seals_from = seals_from - interval '90 days' WHERE purpose <> 'keyring'")
	both := w.open(t, accounts)
	cells := "SELECT count(*)::text FROM accounts a JOIN saved s USING (id) WHERE a.email <> s.email AND a.email_found <> s.email_found AND a.login_sealed <> s.login_sealed AND a.login_new <> s.login_new AND a.name_found <> s.name_found"
	mustExec(t, pg.Admin, "CREATE TABLE saved AS SELECT * FROM accounts")
	r, err := reseal.Run(t.Context(), both, reseal.Options{})
	if err != nil || r.Left() > 0 || r.Unreadable > 0 || r.Lost > 0 {
		t.Fatalf("reseal: %+v, %v", r, err)
	}
	if got := all(t, pg.Admin, cells); got[0] != "2" {
		t.Errorf("both cells are under new keys in %s rows, want 2", got[0])
	}
	for i, want := range []string{"changed@x", "e2@x"} {
		for _, d := range []*sql.DB{before, both} {
			var email string
			if err := d.QueryRow("SELECT email FROM accounts WHERE id = $1", i+1).Scan(&email); err != nil || email != want {
				t.Errorf("row %d: %q, %v", i+1, email, err)
			}
		}
	}
	sealed := w.opened(t, schema.StageSealed)
	for i, ctx := range []context.Context{t.Context(), scoped} {
		var id int
		if err := sealed.QueryRowContext(ctx, "SELECT id FROM accounts WHERE email IN ('changed@x', 'e2@x')").Scan(&id); err != nil || id != i+1 {
			t.Errorf("in its scope: row %d, %v, want %d", id, err, i+1)
		}
	}
	found, err := dbcheck.Run(t.Context(), sealed)
	if err != nil {
		t.Fatal(err)
	}
	var unchecked []string
	for _, f := range found {
		if f.Rule == "no-check" {
			unchecked = append(unchecked, f.Table+"."+f.Column)
		}
	}
	// Both columns hold cells to be relied on. Those that were have none in this test.
	if want := []string{"accounts.age", "accounts.email", "accounts.login_sealed", "accounts.name", "accounts.pin", "visits.login_sealed"}; !slices.Equal(unchecked, want) {
		t.Errorf("the audit misses CHECKs of %v, want %v", unchecked, want)
	}
	refused, err := explain.Query(t.Context(), w.opened(t, schema.StageCopy), "SELECT id FROM accounts WHERE email = $1")
	if err != nil || len(refused.Refused) == 0 || !strings.Contains(refused.String(), "accounts.email") {
		t.Errorf("in copy, explain says: %v, %v", refused, err)
	}
	ahead, err := explain.Query(t.Context(), w.opened(t, schema.StageCopy), "SELECT id FROM visits JOIN accounts USING (id) WHERE accounts.age > 200 OR accounts.email IS NULL")
	if err != nil || len(ahead.Refused) > 0 || !strings.Contains(ahead.String(), "ordered") {
		t.Errorf("in copy, explain says: %v, %v", ahead, err)
	}
}

// All steps are taken at once while programs stand still.
func TestChangeLocked(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, changeDDL)
	before, db := w.open(t, accountsBefore), w.open(t, accounts)
	for i := range 300 {
		mustExec(t, before, "INSERT INTO accounts (id, email, age, name, login) VALUES ($1, $2, 30, 'name', $3)", i+1, fmt.Sprintf("e%d@x", i+1), fmt.Sprintf("l%d", i+1))
	}
	_ = before.Close()
	dump := w.changed(t)
	count := func(db *sql.DB, query string) (n int) {
		t.Helper()
		if err := db.QueryRow(query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if r, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealedOnly, Lock: true}); err != nil || r.Sealed != 1200 {
		t.Fatalf("%+v, %v", r, err)
	}
	only := w.opened(t, schema.StageOnly)
	if n := count(only, "SELECT count(*) FROM accounts WHERE email = 'e7@x' AND name LIKE 'nam%' AND login = 'l7' AND age >= 30"); n != 1 {
		t.Errorf("%d rows found, want 1", n)
	}
	_ = only.Close()
	if r, err := migrate.Unseal(t.Context(), db, migrate.Options{For: migrate.ReadyPlain, Lock: true}); err != nil || r.Opened != 1200 {
		t.Fatalf("%+v, %v", r, err)
	}
	if n := count(w.open(t, accountsBefore), "SELECT count(email) FROM accounts WHERE login = 'l7' AND age >= 30"); n != 1 {
		t.Errorf("%d rows found, want 1", n)
	}
	if got := w.changed(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
}

// opened opens the database as a program of a stage.
func (w *world) opened(t *testing.T, stage schema.Stage) *sql.DB {
	t.Helper()
	u := &user{w: w}
	u.deploy(t, stage)
	t.Cleanup(func() { _ = u.db.Close() })
	return u.db
}
