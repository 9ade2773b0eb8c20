package driver_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"modernc.org/sqlite"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

const canary = "canary-7d1f"

// memKMS is a key service in memory.
type memKMS struct {
	kek   cipher.AEAD
	calls atomic.Int64
	down  atomic.Bool
}

func newMemKMS(t testing.TB) *memKMS {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	kek, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return &memKMS{kek: kek}
}

func (m *memKMS) GenerateDataKey(_ context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	m.calls.Add(1)
	if m.down.Load() {
		return kms.DataKey{}, kms.ErrUnavailable
	}
	plain := make([]byte, 32)
	_, _ = rand.Read(plain)
	blob := m.kek.Seal(nil, nil, plain, fmt.Append(nil, ec))
	return kms.DataKey{Plaintext: plain, Wrapped: kms.Wrapped{KeyID: "mem", Blob: blob}}, nil
}

func (m *memKMS) Unwrap(_ context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	m.calls.Add(1)
	if m.down.Load() {
		return nil, kms.ErrUnavailable
	}
	plain, err := m.kek.Open(nil, nil, w.Blob, fmt.Append(nil, ec))
	if err != nil {
		return nil, kms.ErrInvalidWrapped
	}
	return plain, nil
}

func (m *memKMS) Rewrap(_ context.Context, w kms.Wrapped, _, _ kms.EncryptionContext) (kms.Wrapped, error) {
	return w, nil
}

type liteUser struct {
	ID    int64     `db:"id"`
	Email string    `db:"email" seal:"deterministic"`
	SSN   *string   `db:"ssn" seal:"random"`
	Born  time.Time `db:"born" seal:"random"`
	Age   int       `db:"age" seal:"random"`
	Note  string    `db:"note"`
}

const liteTable = `CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB, ssn TEXT, born BLOB, age BLOB, note TEXT)`

// liteConnector opens a SQLite file.
type liteConnector string

func (c liteConnector) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func (c liteConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return c.Driver().Open(string(c) + "?_pragma=busy_timeout(5000)")
}

// openLite opens a wrapped SQLite file, and the same file without the wrapper.
func openLite(t *testing.T, change ...func(*driver.Config)) (db, plain *sql.DB, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "test.db")
	cfg := driver.Config{
		Dialect: driver.DialectSQLite, AutoCreateKeyTable: true, KMS: newMemKMS(t),
		Schema: schema.Must(schema.Model("users", liteUser{})),
	}
	for _, f := range change {
		f(&cfg)
	}
	cn, err := driver.NewConnector(liteConnector(file), cfg)
	if err != nil {
		t.Fatal(err)
	}
	db = sql.OpenDB(cn)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if plain, err = sql.Open("sqlite", file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Close() })
	return db, plain, file
}

func mustExec(t *testing.T, db interface {
	Exec(string, ...any) (sql.Result, error)
}, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// TestTooLongToSeal: a value that no cell can hold is refused before it is copied, with what to do.
func TestTooLongToSeal(t *testing.T) {
	db, _, _ := openLite(t)
	mustExec(t, db, liteTable)
	mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (1, 'a', 'b')")
	long := make([]byte, 1<<30) // nobody touches it, so that it costs no memory
	for _, v := range []any{long, unsafe.String(&long[0], len(long))} {
		for _, column := range []string{"email", "ssn"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := db.Exec("UPDATE users SET "+column+" = ?", v)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, driver.ErrValue) || got > 16<<20 || !strings.Contains(colseal.Hint(err), "1 GiB") {
				t.Errorf("%s, %T: %+v, and %d bytes of memory", column, v, err, got)
			}
		}
	}
}

func TestSQLiteRoundTrip(t *testing.T) {
	db, plain, file := openLite(t)
	mustExec(t, db, liteTable)
	born := time.Date(1990, 1, 2, 3, 4, 5, 0, time.UTC)
	ssn := canary + "-ssn"
	insert := "INSERT INTO users (id, email, ssn, born, age, note) VALUES (?, ?, ?, ?, ?, ?)"
	mustExec(t, db, insert, 1, canary+"@x", &ssn, born, 33, "plain")
	mustExec(t, db, insert, 2, "", nil, born, int8(-1), nil)
	mustExec(t, db, "INSERT INTO users (id, email, note) VALUES ($1, $2, $2)", 3, "both@x")
	mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (:id, :mail, :ssn)", sql.Named("ssn", "named"), sql.Named("id", 4), sql.Named("mail", "n@x"))
	mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (5, '"+canary+"@x', 'lit')")

	st, err := db.Prepare("SELECT id, email, ssn, born, age, note FROM users WHERE email = ? ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rows, err := st.Query(canary + "@x")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for rows.Next() {
		var u liteUser
		var at sql.NullTime
		var age sql.NullInt64
		var note sql.NullString
		if err := rows.Scan(&u.ID, &u.Email, &u.SSN, &at, &age, &note); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
		if u.ID == 1 && (u.Email != canary+"@x" || *u.SSN != ssn || !at.Time.Equal(born) || age.Int64 != 33 || note.String != "plain") {
			t.Errorf("read %+v %v %v %v", u, at, age, note)
		}
	}
	if rows.Err() != nil || !slices.Equal(ids, []int64{1, 5}) {
		t.Errorf("found %v, %v", ids, rows.Err())
	}

	var e, note string
	if err := db.QueryRow("SELECT email, note FROM users WHERE id = 3").Scan(&e, &note); err != nil || e != "both@x" || note != "both@x" {
		t.Error(e, note, err)
	}
	if err := db.QueryRow("SELECT ssn FROM users WHERE id = ?1 AND email IN (?2, 'n@x')", 4, "zz").Scan(&e); err != nil || e != "named" {
		t.Error(e, err)
	}
	var null *string
	if err := db.QueryRow("SELECT email, ssn FROM users WHERE id = 2").Scan(&e, &null); err != nil || e != "" || null != nil {
		t.Error(e, null, err)
	}

	// What is stored.
	var stored, kind string
	if err := plain.QueryRow("SELECT ssn, typeof(email) FROM users WHERE id = 1").Scan(&stored, &kind); err != nil || !strings.HasPrefix(stored, "cs1:") || kind != "blob" {
		t.Error(stored, kind, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), canary) {
		t.Error("plaintext in the file")
	}
}

func TestSQLiteRefusals(t *testing.T) {
	db, _, _ := openLite(t)
	mustExec(t, db, liteTable)
	for _, q := range []string{
		"SELECT id FROM users WHERE email LIKE '" + canary + "%'", "SELECT lower(email) FROM users", "SELECT id FROM users WHERE ssn = ?",
		"UPDATE users SET note = email", "INSERT INTO users (email) VALUES (upper(?))", "SELECT id FROM users ORDER BY email",
	} {
		_, err := db.Query(q, []any{canary}[:strings.Count(q, "?")]...)
		var qe *driver.QueryError
		if !errors.As(err, &qe) || !errors.Is(err, driver.ErrRefused) || strings.Contains(err.Error()+qe.Query, canary) {
			t.Errorf("%s: %v", q, err)
		}
	}
}

func TestSQLiteTransactions(t *testing.T) {
	db, _, _ := openLite(t)
	mustExec(t, db, liteTable)
	// The first seal of all within a transaction that has written.
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO users (id, note) VALUES (1, 'x')")
	mustExec(t, tx, "UPDATE users SET email = ?, ssn = ? WHERE id = 1", "a@x", "s")
	var e string
	if err := tx.QueryRow("SELECT email FROM users").Scan(&e); err != nil || e != "a@x" {
		t.Error(e, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM users WHERE email = ?", "a@x").Scan(&n); err != nil || n != 0 {
		t.Error(n, err)
	}
}

// DDL under an open handle, temporary tables that shadow, and DDL that is rolled back.
func TestSQLiteCatalogChanges(t *testing.T) {
	db, _, _ := openLite(t)
	mustExec(t, db, liteTable)
	insert, star := "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)", "SELECT * FROM users"
	mustExec(t, db, insert, 1, "a@x", "s", time.Now(), 1, "n")
	columns := func(q interface {
		Query(string, ...any) (*sql.Rows, error)
	}) string {
		t.Helper()
		rows, err := q.Query(star)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		cols, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			dest := make([]any, len(cols))
			for i := range dest {
				dest[i] = new(any)
			}
			if err := rows.Scan(dest...); err != nil {
				t.Fatal(err)
			}
			for i, c := range cols {
				if v := *dest[i].(*any); c == "email" && v != "a@x" {
					t.Errorf("email is %v", v)
				}
			}
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
		return strings.Join(cols, ",")
	}
	if got := columns(db); got != "id,email,ssn,born,age,note" {
		t.Error(got)
	}
	mustExec(t, db, "ALTER TABLE users ADD COLUMN extra TEXT")
	if got := columns(db); got != "id,email,ssn,born,age,note,extra" {
		t.Error(got)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "ALTER TABLE users ADD COLUMN more TEXT")
	if got := columns(tx); got != "id,email,ssn,born,age,note,extra,more" {
		t.Error(got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := columns(db); got != "id,email,ssn,born,age,note,extra" {
		t.Error(got)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "CREATE TEMP TABLE other (x)"); err != nil {
		t.Fatal(err)
	}
	var s string
	if err := conn.QueryRowContext(t.Context(), "SELECT ssn FROM users").Scan(&s); err != nil || s != "s" {
		t.Error(s, err)
	}
}

// A table changed behind our back is noticed by the result.
func TestSQLiteChangedElsewhere(t *testing.T) {
	db, plain, _ := openLite(t)
	mustExec(t, db, liteTable)
	mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, 'a@x')")
	var id int
	var e string
	var x any
	if err := db.QueryRow("SELECT * FROM users").Scan(&id, &e, &x, &x, &x, &x); err != nil || e != "a@x" {
		t.Fatal(e, err)
	}
	mustExec(t, plain, "ALTER TABLE users ADD COLUMN extra TEXT DEFAULT 'z'")
	if err := db.QueryRow("SELECT * FROM users").Scan(&id, &e, &x, &x, &x, &x, &x); err != nil || e != "a@x" || x != "z" {
		t.Error(e, x, err)
	}
}

// A refusal that what is remembered of a table led to is looked into, but not each time.
func TestSQLiteColumnAddedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch()
		db, plain, _ := openLite(t, w.configure)
		mustExec(t, db, liteTable)
		mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, 'a@x')")
		mustExec(t, db, "UPDATE users SET note = 'n' WHERE email = 'a@x'") // from now on the table is known
		mustExec(t, plain, "ALTER TABLE users ADD COLUMN extra TEXT")
		known := "UPDATE users SET extra = 'y' WHERE id = 1 AND email = 'a@x'"
		mustExec(t, db, known)
		var x string
		if err := db.QueryRow("SELECT extra FROM users WHERE extra = 'y'").Scan(&x); err != nil || x != "y" {
			t.Error(x, err)
		}
		update := "UPDATE users SET late = 'y' WHERE id = 1"
		refuse := func() {
			t.Helper()
			if _, err := db.Exec(update); !errors.Is(err, driver.ErrRefused) {
				t.Fatal(err)
			}
		}
		mustExec(t, db, known)
		hits := w.counts(t)["colseal.plan_cache.hits"]
		for range 3 {
			refuse()
		}
		mustExec(t, db, known)
		if got := w.counts(t)["colseal.plan_cache.hits"]; got <= hits {
			t.Errorf("after a refusal the plans of other statements are forgotten: %d hits, before it %d", got, hits)
		}
		mustExec(t, plain, "ALTER TABLE users ADD COLUMN late TEXT")
		refuse() // the table is not asked for at every refusal
		time.Sleep(6 * time.Second)
		mustExec(t, db, update)
	})
}

func TestSQLiteWithoutKeyTable(t *testing.T) {
	db, _, _ := openLite(t, func(c *driver.Config) { c.AutoCreateKeyTable = false; c.KeyTable = "ring" })
	mustExec(t, db, liteTable)
	_, err := db.Exec("INSERT INTO users (id, email) VALUES (1, ?)", canary)
	missing, ok := errors.AsType[*keyring.TableError](err)
	if !ok || !errors.Is(err, driver.ErrNoKeyTable) || !strings.HasPrefix(missing.DDL(), "CREATE TABLE") || !strings.Contains(err.Error(), "ring") || strings.Contains(err.Error(), canary) {
		t.Errorf("%v", err)
	}
}

func TestSQLiteKMSDown(t *testing.T) {
	var service *memKMS
	db, _, _ := openLite(t, func(c *driver.Config) { service = c.KMS.(*memKMS) })
	mustExec(t, db, liteTable)
	service.down.Store(true)
	// A NULL for a randomized column needs no key; for others the number of search keys counts.
	if _, err := db.Exec("INSERT INTO users (id, email) VALUES (1, ?)", canary); !errors.Is(err, driver.ErrKeyUnavailable) || strings.Contains(err.Error(), canary) {
		t.Errorf("%v", err)
	}
	mustExec(t, db, "INSERT INTO users (id, ssn, note) VALUES (1, ?, 'n')", nil)
}

// Many goroutines over one handle; for the race detector.
func TestSQLiteConcurrency(t *testing.T) {
	db, _, _ := openLite(t)
	db.SetMaxOpenConns(4)
	mustExec(t, db, liteTable)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 10 {
				id := g*100 + i
				if _, err := db.Exec("INSERT INTO users (id, email, ssn) VALUES (?, ?, ?)", id, fmt.Sprint(id), "s"); err != nil {
					t.Error(err)
					return
				}
				var e, s string
				if err := db.QueryRow("SELECT email, ssn FROM users WHERE email = ?", fmt.Sprint(id)).Scan(&e, &s); err != nil || e != fmt.Sprint(id) || s != "s" {
					t.Error(e, s, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	if stats, err := driver.Stats(t.Context(), db); err != nil || stats.Entries == 0 || stats.KMSCalls > 4 {
		t.Errorf("%+v, %v", stats, err)
	}
}
