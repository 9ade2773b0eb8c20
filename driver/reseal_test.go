package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// usesOf counts the cells of a column by their state.
func usesOf(uses []KeyUse, table, column string) map[CellState]int64 {
	out := map[CellState]int64{}
	for _, u := range uses {
		if u.Table == table && u.Column == column {
			out[u.State] += u.Cells
		}
	}
	return out
}

func reseal(t *testing.T, db *sql.DB, opts ResealOptions) ResealReport {
	t.Helper()
	report, err := Reseal(t.Context(), db, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// scanAll reads a query's only column as text.
func scanAll(t *testing.T, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// retireAll has every key replaced by a new one at its next use.
func retireAll(t *testing.T, plain *sql.DB) {
	t.Helper()
	mustExec(t, plain, "UPDATE colseal_keys SET retired_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE retired_at IS NULL")
}

// fillUsers writes n users, each second of them without an ssn.
func fillUsers(t *testing.T, ctx context.Context, db *sql.DB, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		var ssn any
		if i%2 == 0 {
			ssn = fmt.Sprint("ssn-", i)
		}
		if _, err := db.ExecContext(ctx, "INSERT INTO users (id, email, ssn, born, age) VALUES (?, ?, ?, ?, ?)", i, fmt.Sprint("u", i, "@x"), ssn,
			time.Unix(int64(i), 0), i); err != nil {
			t.Fatal(err)
		}
	}
}

func wantUsers(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	rows, err := db.Query("SELECT id, email, ssn, born, age FROM users ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var id, age int
		var email string
		var ssn sql.NullString
		var born time.Time
		if err := rows.Scan(&id, &email, &ssn, &born, &age); err != nil {
			t.Fatal(err)
		}
		if email != fmt.Sprint("u", id, "@x") || age != id || born.Unix() != int64(id) || ssn.Valid != (id%2 == 0) || ssn.Valid && ssn.String != fmt.Sprint("ssn-", id) {
			t.Errorf("user %d reads %q %v %v %v", id, email, ssn, born, age)
		}
		seen++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if seen != n {
		t.Errorf("%d users, want %d", seen, n)
	}
}

func TestReseal(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, liteTable)
	fillUsers(t, t.Context(), db, 1, 30)
	tenant := keyring.WithScope(t.Context(), "tenant:1")
	fillUsers(t, tenant, db, 31, 10)

	if r := reseal(t, db, ResealOptions{}); r.Rows+r.Resealed != 0 || r.Passes != 0 || r.Left() != 0 {
		t.Errorf("with nothing to do: %+v", r)
	}
	before := scanAll(t, plain, "SELECT hex(email) FROM users ORDER BY id")
	retireAll(t, plain)
	var seen []ResealProgress
	r := reseal(t, db, ResealOptions{Batch: 7, Progress: func(p ResealProgress) { seen = append(seen, p) }})
	if r.Resealed != 40*3+20 || r.Rows != 40 || r.Lost+r.Sealed+r.Unreadable+r.Left() != 0 || r.Passes != 1 {
		t.Errorf("report: %+v", r)
	}
	if len(seen) != 6 || seen[5] != (ResealProgress{Pass: 1, Table: "users", Done: 140, Total: 140}) {
		t.Errorf("progress: %+v", seen)
	}
	for _, col := range []string{"email", "ssn", "born", "age"} {
		if u := usesOf(r.Uses, "users", col); len(u) != 1 || u[CellsCurrent] == 0 {
			t.Errorf("%s: %v", col, u)
		}
	}
	if after := scanAll(t, plain, "SELECT hex(email) FROM users ORDER BY id"); slices.Equal(before, after) {
		t.Error("no cell changed")
	}
	// A cell keeps its scope.
	if got := scanAll(t, plain, "SELECT DISTINCT k.scope || k.epoch FROM users u JOIN colseal_keys k ON printf('%08X', k.key_id) = substr(hex(u.email), 9, 8) WHERE u.id > 30"); !slices.Equal(got, []string{"tenant:12"}) {
		t.Errorf("the tenant's cells are of scope and epoch %q", got)
	}
	fresh := reopen(t, db, plain)
	wantUsers(t, fresh, 40)
	if got := scanAll(t, fresh, "SELECT id FROM users WHERE email = ?", "u7@x"); !slices.Equal(got, []string{"7"}) {
		t.Errorf("a search finds %v", got)
	}
	if r := reseal(t, fresh, ResealOptions{}); r.Rows != 0 {
		t.Errorf("a second run read %d rows", r.Rows)
	}
}

// reopen opens the file again, with a cache that knows nothing, as other processes do in time.
func reopen(t *testing.T, db, plain *sql.DB) *sql.DB {
	t.Helper()
	cfg := db.Driver().(*wrapped).cfg
	file := scanAll(t, plain, "SELECT file FROM pragma_database_list WHERE name = 'main'")[0]
	cn, err := (&wrapped{cfg: cfg}).OpenConnector(file + "?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	again := sql.OpenDB(cn)
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func TestResealChosen(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, liteTable)
	fillUsers(t, t.Context(), db, 1, 4)
	data := scanAll(t, plain, "SELECT key_id FROM colseal_keys WHERE purpose = 'data'")[0]
	retireAll(t, plain)
	if r := reseal(t, db, ResealOptions{Columns: []string{"users.email"}}); r.Resealed != 4 || len(r.Uses) != 1 {
		t.Errorf("one column: %+v", r)
	}
	if r := reseal(t, db, ResealOptions{Keys: []uint32{1}}); r.Resealed != 0 || r.Left() != 10 {
		t.Errorf("another key: %+v", r)
	}
	var id uint32
	if _, err := fmt.Sscan(data, &id); err != nil {
		t.Fatal(err)
	}
	if r := reseal(t, db, ResealOptions{Columns: []string{"users"}, Keys: []uint32{id}}); r.Resealed != 10 {
		t.Errorf("that key: %+v", r)
	}
	for _, name := range []string{"users.nope", "Users", "user"} {
		if _, err := Reseal(t.Context(), db, ResealOptions{Columns: []string{"users.email", name}}); err == nil || !strings.Contains(err.Error(), "no "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantUsers(t, reopen(t, db, plain), 4)
}

func TestResealLeavesWhatItMust(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, liteTable)
	fillUsers(t, t.Context(), db, 1, 6)
	fillUsers(t, keyring.WithScope(t.Context(), "gone"), db, 7, 2)
	mustExec(t, plain, "UPDATE users SET email = CAST(substr(email, 1, 9) || x'00' || substr(email, 11) AS BLOB) WHERE id = 1") // altered
	mustExec(t, plain, "UPDATE users SET ssn = 'plaintext' WHERE id = 2")
	mustExec(t, plain, "UPDATE users SET born = (SELECT age FROM users WHERE id = 1) WHERE id = 3") // another column's
	mustExec(t, plain, "UPDATE users SET age = CAST(substr(age, 1, 4) || x'00000007' || substr(age, 9) AS BLOB) WHERE id = 4")
	mustExec(t, plain, "UPDATE colseal_keys SET destroyed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), wrapped = NULL WHERE scope = 'gone'")
	stay := func() []string {
		return scanAll(t, plain, "SELECT hex(email)||hex(ssn)||hex(born)||hex(age) FROM users WHERE id IN (7, 8) UNION ALL "+
			"SELECT hex(email) FROM users WHERE id = 1 UNION ALL SELECT ssn FROM users WHERE id = 2")
	}
	before := stay()
	retireAll(t, plain)
	r := reseal(t, db, ResealOptions{})
	if r.Unreadable != 1 || r.Destroyed != 7 || r.Left() != 1 || r.Resealed != 5+2+5+5 {
		t.Errorf("report: %+v", r)
	}
	if after := stay(); !slices.Equal(before, after) {
		t.Error("a cell was changed that had to stay")
	}
	for col, want := range map[string]map[CellState]int64{
		"email": {CellsCurrent: 5, CellsOld: 1, CellsDestroyed: 2},
		"ssn":   {CellsCurrent: 2, CellsNone: 1, CellsDestroyed: 1},
		"born":  {CellsCurrent: 5, CellsNone: 1, CellsDestroyed: 2},
		"age":   {CellsCurrent: 5, CellsUnknown: 1, CellsDestroyed: 2},
	} {
		if got := usesOf(r.Uses, "users", col); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", col, got, want)
		}
	}
	uses, err := KeyUsage(t.Context(), db)
	if err != nil || !slices.Equal(uses, r.Uses) {
		t.Errorf("KeyUsage: %v %v", uses, err)
	}
}

// The first sealing of a table that holds plaintext.
func TestResealPlaintext(t *testing.T) {
	db, plain, _ := openLite(t, func(cfg *Config) { cfg.Plaintext = AllowRead })
	mustExec(t, db, liteTable)
	fillUsers(t, t.Context(), db, 1, 3)
	for i := 4; i <= 20; i++ {
		var ssn any
		if i%2 == 0 {
			ssn = fmt.Sprint("ssn-", i)
		}
		mustExec(t, plain, "INSERT INTO users (id, email, ssn, born, age) VALUES (?, CAST(? AS BLOB), ?, CAST(? AS BLOB), CAST(? AS BLOB))", i, fmt.Sprint("u", i, "@x"), ssn,
			time.Unix(int64(i), 0).UTC().Format("2006-01-02 15:04:05+00"), fmt.Sprint(i))
	}
	if r := reseal(t, db, ResealOptions{}); r.Sealed != 0 || usesOf(r.Uses, "users", "email")[CellsNone] != 17 {
		t.Errorf("not asked for: %+v", r)
	}
	r := reseal(t, db, ResealOptions{Plaintext: true, Batch: 4})
	if r.Sealed != 17*3+9 || r.Resealed+r.Unreadable+r.Left() != 0 {
		t.Errorf("report: %+v", r)
	}
	for _, u := range r.Uses {
		if u.State != CellsCurrent {
			t.Errorf("left: %+v", u)
		}
	}
	strict := reopen(t, db, plain)
	wantUsers(t, strict, 20)
	if got := scanAll(t, strict, "SELECT id FROM users WHERE email = ?", "u9@x"); !slices.Equal(got, []string{"9"}) {
		t.Errorf("a search finds %v", got)
	}
	// What does not fit the kind stays, and the rest goes on.
	mustExec(t, plain, "UPDATE users SET age = x'6e6f' WHERE id IN (4, 5)")
	mustExec(t, plain, "UPDATE users SET email = CAST('again@x' AS BLOB) WHERE id = 6")
	if r := reseal(t, db, ResealOptions{Plaintext: true}); r.Sealed != 1 || r.Unreadable != 2 {
		t.Errorf("with values of another kind: %+v", r)
	}
}

// A writer between the reading of a cell and its replacement wins.
func TestResealLosesToWriters(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, liteTable)
	fillUsers(t, t.Context(), db, 1, 3)
	retireAll(t, plain)
	writer := reopen(t, db, plain)
	var write sync.Once
	written := false
	hook := &hookKMS{memKMS: db.Driver().(*wrapped).cfg.KMS.(*memKMS), hook: func() {
		write.Do(func() { // the first key is asked for after the batch was read
			mustExec(t, writer, "UPDATE users SET email = 'new@x', ssn = NULL WHERE id = 2")
			mustExec(t, writer, "DELETE FROM users WHERE id = 3")
			written = true
		})
	}}
	db.Driver().(*wrapped).st.cfg.KMS = hook
	r := reseal(t, db, ResealOptions{})
	if !written || r.Lost == 0 || r.Left() != 0 || r.Passes < 2 {
		t.Errorf("the writer was not in the way: %+v", r)
	}
	if got := scanAll(t, reopen(t, db, plain), "SELECT email FROM users ORDER BY id"); !slices.Equal(got, []string{"u1@x", "new@x"}) {
		t.Errorf("emails: %v", got)
	}
}

// hookKMS calls hook before a key is unwrapped, from several goroutines at once.
type hookKMS struct {
	*memKMS
	hook func()
}

func (k *hookKMS) Unwrap(ctx context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	k.hook()
	return k.memKMS.Unwrap(ctx, w, ec)
}

func TestResealDuplicates(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, "CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB UNIQUE ON CONFLICT REPLACE, ssn TEXT, born BLOB, age BLOB)")
	fillUsers(t, t.Context(), db, 1, 5)
	retireAll(t, plain)
	other := reopen(t, db, plain)
	fillUsers(t, t.Context(), other, 6, 1)
	mustExec(t, other, "UPDATE users SET email = 'u2@x' WHERE id = 6") // the index cannot tell: another key
	r := reseal(t, other, ResealOptions{})
	if r.Duplicates != 1 || r.Left() != 1 || r.Resealed != 4+5+5+2 {
		t.Errorf("report: %+v", r)
	}
	if n := scanAll(t, plain, "SELECT count(*) FROM users")[0]; n != "6" {
		t.Errorf("%s rows: one was replaced", n)
	}
}

// A column that had another mode holds cells of both until it is sealed anew.
func TestResealChangedMode(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, liteTable)
	fillUsers(t, t.Context(), db, 1, 4)
	cfg := db.Driver().(*wrapped).cfg
	cfg.Schema = schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.Randomized},
		schema.Column{Name: "ssn", Mode: schema.Deterministic}, schema.Column{Name: "born", Kind: schema.Time}, schema.Column{Name: "age", Kind: schema.Int, Mode: schema.Deterministic}))
	file := scanAll(t, plain, "SELECT file FROM pragma_database_list WHERE name = 'main'")[0]
	cn, err := (&wrapped{cfg: cfg}).OpenConnector(file + "?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	changed := sql.OpenDB(cn)
	defer changed.Close()
	if r := reseal(t, changed, ResealOptions{}); r.Resealed != 4+2+4 || r.Left() != 0 {
		t.Errorf("report: %+v", r)
	}
	wantUsers(t, changed, 4)
	if got := scanAll(t, changed, "SELECT id FROM users WHERE ssn = ? AND age = ?", "ssn-2", 2); !slices.Equal(got, []string{"2"}) {
		t.Errorf("a search finds %v", got)
	}
}

func TestResealTables(t *testing.T) {
	for name, c := range map[string]struct{ table, want string }{
		"rowid hidden":  {"CREATE TABLE users (rowid TEXT, _rowid_ TEXT, email BLOB, ssn TEXT, born BLOB, age BLOB, id INTEGER)", ""},
		"without rowid": {"CREATE TABLE users (id TEXT, b BLOB DEFAULT x'00', email BLOB, ssn TEXT, born BLOB, age BLOB, PRIMARY KEY (b, id)) WITHOUT ROWID", ""},
		"all hidden":    {"CREATE TABLE users (id TEXT, rowid, _rowid_, oid, email BLOB, ssn TEXT, born BLOB, age BLOB)", "no primary key"},
		"missing":       {"CREATE TABLE other (id INTEGER)", "no such table"},
		"no column":     {"CREATE TABLE users (id INTEGER)", "no column email"},
		"wrong type":    {"CREATE TABLE users (id INTEGER, email INTEGER, ssn TEXT, born BLOB, age BLOB)", "cannot hold cells"},
		"a key":         {"CREATE TABLE users (id TEXT, email BLOB PRIMARY KEY, ssn TEXT, born BLOB, age BLOB) WITHOUT ROWID", ""},
	} {
		t.Run(name, func(t *testing.T) {
			db, plain, _ := openLite(t)
			mustExec(t, db, c.table)
			if c.want != "" {
				if _, err := Reseal(t.Context(), db, ResealOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v", err)
				}
				return
			}
			fillUsers(t, t.Context(), db, 1, 20)
			retireAll(t, plain)
			if r := reseal(t, db, ResealOptions{Batch: 3}); r.Resealed != 70 || r.Left() != 0 || r.Passes != 1 {
				t.Errorf("report: %+v", r)
			}
			wantUsers(t, reopen(t, db, plain), 20)
		})
	}
}

func TestResealStops(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, liteTable)
	fillUsers(t, t.Context(), db, 1, 10)
	retireAll(t, plain)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Reseal(ctx, db, ResealOptions{Batch: 2, Progress: func(p ResealProgress) {
		if p.Done >= 14 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || r.Resealed != 14 {
		t.Errorf("%v after %+v", err, r)
	}
	db.Driver().(*wrapped).cfg.KMS.(*memKMS).down.Store(true)
	if _, err := Reseal(t.Context(), db, ResealOptions{}); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("without KMS: %v", err)
	}
	db.Driver().(*wrapped).cfg.KMS.(*memKMS).down.Store(false)
	if r := reseal(t, db, ResealOptions{}); r.Resealed != 21 || r.Left() != 0 {
		t.Errorf("taken up again: %+v", r)
	}
	wantUsers(t, reopen(t, db, plain), 10)
	if _, err := Reseal(t.Context(), plain, ResealOptions{}); err == nil {
		t.Error("a handle of another driver was taken")
	}
}

func TestResealPace(t *testing.T) {
	for _, c := range []struct {
		written int64
		rate    int
		gone    time.Duration
		want    time.Duration
	}{
		{100, 0, 0, 0}, {100, 50, 0, 2 * time.Second}, {100, 50, 1500 * time.Millisecond, 500 * time.Millisecond}, {100, 50, time.Minute, 0},
	} {
		if got := owed(c.written, c.rate, c.gone); got != c.want {
			t.Errorf("%d rows at %d a second after %v: wait %v, want %v", c.written, c.rate, c.gone, got, c.want)
		}
	}
	if o := (ResealOptions{RowsPerSecond: 10}).withDefaults(); o.Batch != 10 {
		t.Errorf("a batch of %d rows at 10 a second", o.Batch)
	}
}
