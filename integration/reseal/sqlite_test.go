package reseal

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/reseal"
	"github.com/colseal/colseal/schema"
)

// lite is a SQLite file with the table users.
type lite struct {
	file   string
	kms    *hookKMS
	tables *schema.Schema
	db     *sql.DB // through Colseal
	plain  *sql.DB
}

func newLite(t *testing.T, table string) *lite {
	t.Helper()
	w, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	l := &lite{
		file: filepath.Join(t.TempDir(), "test.db"), kms: &hookKMS{Wrapper: w},
		tables: schema.Must(schema.Columns("users",
			schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"},
			schema.Column{Name: "born", Kind: schema.KindTime}, schema.Column{Name: "age", Kind: schema.KindInt})),
	}
	l.plain = sql.OpenDB(liteConnector(l.file))
	t.Cleanup(func() { _ = l.plain.Close() })
	l.db = l.reopen(t)
	mustExec(t, l.db, table)
	return l
}

// reopen opens the file again, with a cache that knows nothing, as other processes do in time.
func (l *lite) reopen(t *testing.T) *sql.DB {
	t.Helper()
	cn, err := driver.NewConnector(liteConnector(l.file), driver.Config{
		Schema: l.tables, KMS: l.kms, Dialect: driver.DialectSQLite, AutoCreateKeyTable: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func (l *lite) reseal(t *testing.T, opts reseal.Options) reseal.Report {
	t.Helper()
	return run(t, l.db, opts)
}

// retireAll has every key replaced by a new one at its next use.
func (l *lite) retireAll(t *testing.T) {
	t.Helper()
	mustExec(t, l.plain, "UPDATE colseal_keys SET retired_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE retired_at IS NULL")
}

// liteConnector opens a SQLite file.
type liteConnector string

func (c liteConnector) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func (c liteConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return c.Driver().Open(string(c) + "?_pragma=busy_timeout(5000)")
}

const liteTable = `CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB, ssn TEXT, born BLOB, age BLOB, note TEXT)`

// usesOf counts the cells of a column by their state.
func usesOf(uses []reseal.KeyUse, table, column string) map[reseal.State]int64 {
	out := map[reseal.State]int64{}
	for _, u := range uses {
		if u.Table == table && u.Column == column {
			out[u.State] += u.Cells
		}
	}
	return out
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

func TestSQLiteReseal(t *testing.T) {
	l := newLite(t, liteTable)
	fillUsers(t, t.Context(), l.db, 1, 30)
	tenant := keyring.WithScope(t.Context(), "tenant:1")
	fillUsers(t, tenant, l.db, 31, 10)

	if r := l.reseal(t, reseal.Options{}); r.Rows+r.Resealed != 0 || r.Passes != 0 || r.Left() != 0 {
		t.Errorf("with nothing to do: %+v", r)
	}
	before := all(t, l.plain, "SELECT hex(email) FROM users ORDER BY id")
	l.retireAll(t)
	var seen []reseal.Progress
	r := l.reseal(t, reseal.Options{Batch: 7, Progress: func(p reseal.Progress) { seen = append(seen, p) }})
	if r.Resealed != 40*3+20 || r.Rows != 40 || r.Lost+r.Unreadable+r.Left() != 0 || r.Passes != 1 {
		t.Errorf("report: %+v", r)
	}
	if len(seen) != 6 || seen[5] != (reseal.Progress{Pass: 1, Table: "users", Done: 140, Total: 140}) {
		t.Errorf("progress: %+v", seen)
	}
	for _, col := range []string{"email", "ssn", "born", "age"} {
		if u := usesOf(r.Uses, "users", col); len(u) != 1 || u[reseal.StateCurrent] == 0 {
			t.Errorf("%s: %v", col, u)
		}
	}
	if after := all(t, l.plain, "SELECT hex(email) FROM users ORDER BY id"); slices.Equal(before, after) {
		t.Error("no cell changed")
	}
	// A cell keeps its scope.
	if got := all(t, l.plain, "SELECT DISTINCT k.scope || k.epoch FROM users u JOIN colseal_keys k ON printf('%08X', k.key_id) = substr(hex(u.email), 9, 8) WHERE u.id > 30"); !slices.Equal(got, []string{"tenant:12"}) {
		t.Errorf("the tenant's cells are of scope and epoch %q", got)
	}
	fresh := l.reopen(t)
	wantUsers(t, fresh, 40)
	if got := all(t, fresh, "SELECT id FROM users WHERE email = ?", "u7@x"); !slices.Equal(got, []string{"7"}) {
		t.Errorf("a search finds %v", got)
	}
	if r := run(t, fresh, reseal.Options{}); r.Rows != 0 {
		t.Errorf("a second run read %d rows", r.Rows)
	}
}

func TestSQLiteChosen(t *testing.T) {
	l := newLite(t, liteTable)
	fillUsers(t, t.Context(), l.db, 1, 4)
	data := all(t, l.plain, "SELECT key_id FROM colseal_keys WHERE purpose = 'data'")[0]
	l.retireAll(t)
	if r := l.reseal(t, reseal.Options{Columns: []string{"users.email"}}); r.Resealed != 4 || len(r.Uses) != 1 {
		t.Errorf("one column: %+v", r)
	}
	if r := l.reseal(t, reseal.Options{Keys: []uint32{1}}); r.Resealed != 0 || r.Left() != 10 {
		t.Errorf("another key: %+v", r)
	}
	var id uint32
	if _, err := fmt.Sscan(data, &id); err != nil {
		t.Fatal(err)
	}
	if r := l.reseal(t, reseal.Options{Columns: []string{"users"}, Keys: []uint32{id}}); r.Resealed != 10 {
		t.Errorf("that key: %+v", r)
	}
	for _, name := range []string{"users.nope", "Users", "user"} {
		if _, err := reseal.Run(t.Context(), l.db, reseal.Options{Columns: []string{"users.email", name}}); err == nil || !strings.Contains(err.Error(), "unknown sealed columns "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantUsers(t, l.reopen(t), 4)
}

func TestSQLiteLeavesWhatItMust(t *testing.T) {
	l := newLite(t, liteTable)
	fillUsers(t, t.Context(), l.db, 1, 6)
	fillUsers(t, keyring.WithScope(t.Context(), "gone"), l.db, 7, 2)
	mustExec(t, l.plain, "UPDATE users SET email = CAST(substr(email, 1, 9) || CASE substr(email, 10, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(email, 11) AS BLOB) WHERE id = 1") // altered
	mustExec(t, l.plain, "UPDATE users SET ssn = 'plaintext' WHERE id = 2")
	mustExec(t, l.plain, "UPDATE users SET born = (SELECT age FROM users WHERE id = 1) WHERE id = 3") // another column's
	mustExec(t, l.plain, "UPDATE users SET age = CAST(substr(age, 1, 4) || x'00000007' || substr(age, 9) AS BLOB) WHERE id = 4")
	mustExec(t, l.plain, "UPDATE colseal_keys SET destroyed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), wrapped = NULL WHERE scope = 'gone'")
	stay := func() []string {
		return all(t, l.plain, "SELECT hex(email)||hex(ssn)||hex(born)||hex(age) FROM users WHERE id IN (7, 8) UNION ALL "+
			"SELECT hex(email) FROM users WHERE id = 1 UNION ALL SELECT ssn FROM users WHERE id = 2")
	}
	before := stay()
	l.retireAll(t)
	r := l.reseal(t, reseal.Options{})
	if r.Unreadable != 1 || r.Destroyed != 7 || r.Left() != 1 || r.Resealed != 5+2+5+5 {
		t.Errorf("report: %+v", r)
	}
	if after := stay(); !slices.Equal(before, after) {
		t.Error("a cell was changed that had to stay")
	}
	for col, want := range map[string]map[reseal.State]int64{
		"email": {reseal.StateCurrent: 5, reseal.StateOld: 1, reseal.StateDestroyed: 2},
		"ssn":   {reseal.StateCurrent: 2, reseal.StateNotCell: 1, reseal.StateDestroyed: 1},
		"born":  {reseal.StateCurrent: 5, reseal.StateNotCell: 1, reseal.StateDestroyed: 2},
		"age":   {reseal.StateCurrent: 5, reseal.StateUnknown: 1, reseal.StateDestroyed: 2},
	} {
		if got := usesOf(r.Uses, "users", col); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", col, got, want)
		}
	}
	uses, err := reseal.Usage(t.Context(), l.db)
	if err != nil || !slices.Equal(uses, r.Uses) {
		t.Errorf("Usage: %v %v", uses, err)
	}
}

// The kinds of columns are changed, of one together with its mode, and one cell does not convert.
func TestSQLiteKindChanged(t *testing.T) {
	l := newLite(t, liteTable)
	fillUsers(t, t.Context(), l.db, 1, 4)
	fillUsers(t, keyring.WithScope(t.Context(), "tenant"), l.db, 5, 2)
	mustExec(t, l.db, "UPDATE users SET ssn = '12' WHERE id = 2")
	l.tables = schema.Must(schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn", Kind: schema.KindInt},
		schema.Column{Name: "born", Kind: schema.KindDate}, schema.Column{Name: "age", Kind: schema.KindText, Mode: schema.ModeDeterministic}))
	l.db = l.reopen(t)
	for _, column := range []string{"ssn", "born", "age"} {
		if err := l.db.QueryRow("SELECT " + column + " FROM users WHERE id = 2").Scan(new(any)); !errors.Is(err, driver.ErrKind) {
			t.Errorf("%s before: %v", column, err)
		}
	}
	if r := l.reseal(t, reseal.Options{}); r.Resealed != 0 || r.Unreadable != 6 {
		t.Errorf("without FromKind: %+v", r)
	}
	if _, err := reseal.Run(t.Context(), l.db, reseal.Options{FromKind: schema.KindInt}); err == nil || !strings.Contains(err.Error(), "Columns is not") {
		t.Errorf("without Columns: %v", err)
	}

	// ssn-4 and ssn-6 are no numbers, and stay.
	if r := l.reseal(t, reseal.Options{Columns: []string{"users.ssn"}, FromKind: schema.KindText}); r.Resealed != 1 || r.Unreadable != 2 {
		t.Errorf("text to int: %+v", r)
	}
	if r := l.reseal(t, reseal.Options{Columns: []string{"users.age"}, FromKind: schema.KindInt}); r.Resealed != 6 || r.Unreadable != 0 || r.Left() != 0 {
		t.Errorf("int to text: %+v", r)
	}
	if r := l.reseal(t, reseal.Options{Columns: []string{"users.born"}, FromKind: schema.KindTime}); r.Resealed != 0 || r.Unreadable != 6 {
		t.Errorf("time to date without a time zone: %+v", r)
	}
	kolkata := time.FixedZone("", 5*3600+1800)
	if r := l.reseal(t, reseal.Options{Columns: []string{"users.born"}, FromKind: schema.KindTime, TimeZone: kolkata}); r.Resealed != 6 || r.Unreadable != 0 {
		t.Errorf("time to date: %+v", r)
	}
	if r := l.reseal(t, reseal.Options{Columns: []string{"users.born", "users.age"}, FromKind: schema.KindTime}); r.Resealed != 0 || r.Unreadable != 0 {
		t.Errorf("again: %+v", r)
	}

	var ssn int64
	var born time.Time
	var age string
	if err := l.reopen(t).QueryRow("SELECT ssn, born, age FROM users WHERE age = '2'").Scan(&ssn, &born, &age); err != nil {
		t.Fatal(err)
	}
	if ssn != 12 || age != "2" || !born.Equal(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("user 2 is %v, %v, %v", ssn, born, age)
	}
	ctx := keyring.WithScope(t.Context(), "tenant")
	if err := l.db.QueryRowContext(ctx, "SELECT age FROM users WHERE age = '6'").Scan(&age); err != nil {
		t.Errorf("a converted cell keeps its scope: %v", err)
	}
}

// A writer between the reading of a cell and its replacement wins.
func TestSQLiteLosesToWriters(t *testing.T) {
	l := newLite(t, liteTable)
	fillUsers(t, t.Context(), l.db, 1, 3)
	l.retireAll(t)
	writer := l.reopen(t)
	var write sync.Once
	written := false
	l.kms.hook = func() {
		write.Do(func() { // the first key is asked for after the batch was read
			mustExec(t, writer, "UPDATE users SET email = 'new@x', ssn = NULL WHERE id = 2")
			mustExec(t, writer, "DELETE FROM users WHERE id = 3")
			written = true
		})
	}
	r := l.reseal(t, reseal.Options{})
	if !written || r.Lost == 0 || r.Left() != 0 || r.Passes < 2 {
		t.Errorf("the writer was not in the way: %+v", r)
	}
	if got := all(t, l.reopen(t), "SELECT email FROM users ORDER BY id"); !slices.Equal(got, []string{"u1@x", "new@x"}) {
		t.Errorf("emails: %v", got)
	}
}

func TestSQLiteDuplicates(t *testing.T) {
	l := newLite(t, "CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB UNIQUE ON CONFLICT REPLACE, ssn TEXT, born BLOB, age BLOB)")
	fillUsers(t, t.Context(), l.db, 1, 5)
	l.retireAll(t)
	other := l.reopen(t)
	fillUsers(t, t.Context(), other, 6, 1)
	mustExec(t, other, "UPDATE users SET email = 'u2@x' WHERE id = 6") // the index cannot tell: another key
	r := run(t, other, reseal.Options{})
	if r.Duplicates != 1 || r.Left() != 1 || r.Resealed != 4+5+5+2 {
		t.Errorf("report: %+v", r)
	}
	if n := all(t, l.plain, "SELECT count(*) FROM users")[0]; n != "6" {
		t.Errorf("%s rows: one was replaced", n)
	}
}

// A column that had another mode holds cells of both until it is re-sealed.
func TestSQLiteChangedMode(t *testing.T) {
	l := newLite(t, liteTable)
	fillUsers(t, t.Context(), l.db, 1, 4)
	l.tables = schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeRandomized},
		schema.Column{Name: "ssn", Mode: schema.ModeDeterministic}, schema.Column{Name: "born", Kind: schema.KindTime}, schema.Column{Name: "age", Kind: schema.KindInt, Mode: schema.ModeDeterministic}))
	changed := l.reopen(t)
	if r := run(t, changed, reseal.Options{}); r.Resealed != 4+2+4 || r.Left() != 0 {
		t.Errorf("report: %+v", r)
	}
	wantUsers(t, changed, 4)
	if got := all(t, changed, "SELECT id FROM users WHERE ssn = ? AND age = ?", "ssn-2", 2); !slices.Equal(got, []string{"2"}) {
		t.Errorf("a search finds %v", got)
	}
}

func TestSQLiteTables(t *testing.T) {
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
			l := newLite(t, c.table)
			if c.want != "" {
				if _, err := reseal.Run(t.Context(), l.db, reseal.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v", err)
				}
				return
			}
			fillUsers(t, t.Context(), l.db, 1, 20)
			l.retireAll(t)
			if r := l.reseal(t, reseal.Options{Batch: 3}); r.Resealed != 70 || r.Left() != 0 || r.Passes != 1 {
				t.Errorf("report: %+v", r)
			}
			wantUsers(t, l.reopen(t), 20)
		})
	}
}

func TestSQLiteStops(t *testing.T) {
	l := newLite(t, liteTable)
	fillUsers(t, t.Context(), l.db, 1, 10)
	l.retireAll(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := reseal.Run(ctx, l.db, reseal.Options{Batch: 2, Progress: func(p reseal.Progress) {
		if p.Done >= 14 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || r.Resealed != 14 {
		t.Errorf("%v after %+v", err, r)
	}
	l.kms.down.Store(true)
	if _, err := reseal.Run(t.Context(), l.db, reseal.Options{}); !errors.Is(err, driver.ErrKeyUnavailable) {
		t.Errorf("without KMS: %v", err)
	}
	l.kms.down.Store(false)
	if r := l.reseal(t, reseal.Options{}); r.Resealed != 21 || r.Left() != 0 {
		t.Errorf("taken up again: %+v", r)
	}
	wantUsers(t, l.reopen(t), 10)
	if _, err := reseal.Run(t.Context(), l.plain, reseal.Options{}); err == nil {
		t.Error("a handle of another driver was taken")
	}
}
