package driver

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

type memKMS struct {
	kek   cipher.AEAD
	calls atomic.Int64
	down  atomic.Bool
}

func newMemKMS(t *testing.T) *memKMS {
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

func (m *memKMS) Rewrap(_ context.Context, w kms.Wrapped, _ kms.EncryptionContext) (kms.Wrapped, error) {
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

// openLite opens a wrapped SQLite file, and the same file without the wrapper.
func openLite(t *testing.T, change ...func(*Config)) (db, plain *sql.DB, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "test.db")
	cfg := Config{
		Driver: &sqlite.Driver{}, Dialect: SQLite, AutoCreateKeyTable: true, KMS: newMemKMS(t),
		Schema: schema.Must(schema.Model("users", liteUser{})),
	}
	for _, f := range change {
		f(&cfg)
	}
	cn, err := (&wrapped{cfg: cfg}).OpenConnector(file + "?_pragma=busy_timeout(5000)")
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
