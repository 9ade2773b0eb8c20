package localkms_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/kms/localkms"
)

var ec = kms.EncryptionContext{"keyring": "app", "purpose": "data"}

func open(t *testing.T, path string, retired ...string) *localkms.Wrapper {
	t.Helper()
	w, err := localkms.Open(path, retired...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func generate(t *testing.T, w kms.Wrapper) kms.DataKey {
	t.Helper()
	k, err := w.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestConformance(t *testing.T) {
	kmstest.Conformance(t, open(t, filepath.Join(t.TempDir(), "kek")))
}

// The stored form and the derivations, fixed: a wrapped key of today opens in every
// later version.
func TestVector(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, path)
	if w.KeyID() != vectorKeyID {
		t.Errorf("key id %s, want %s", w.KeyID(), vectorKeyID)
	}
	blob, err := hex.DecodeString(vectorBlob)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Unwrap(t.Context(), kms.Wrapped{KeyID: vectorKeyID, Blob: blob}, ec)
	if err != nil || hex.EncodeToString(got) != vectorPlaintext {
		t.Errorf("Unwrap: %x, %v", got, err)
	}
}

func TestAnotherKEK(t *testing.T) {
	dir := t.TempDir()
	old := open(t, filepath.Join(dir, "old"))
	k := generate(t, old)
	w := open(t, filepath.Join(dir, "new"))
	_, err := w.Unwrap(t.Context(), k.Wrapped, ec)
	if !errors.Is(err, kms.ErrInvalidWrapped) || !strings.Contains(err.Error(), old.KeyID()) || !strings.Contains(err.Error(), w.KeyID()) {
		t.Errorf("got %v", err)
	}
	kmstest.RequireNoKey(t, err, k.Plaintext)

	both := open(t, filepath.Join(dir, "new"), filepath.Join(dir, "old"))
	re, err := both.Rewrap(t.Context(), k.Wrapped, ec, ec)
	if err != nil || re.KeyID != w.KeyID() {
		t.Fatalf("Rewrap to %s: %v", re.KeyID, err)
	}
	got, err := w.Unwrap(t.Context(), re, ec)
	if err != nil || !bytes.Equal(got, k.Plaintext) {
		t.Errorf("Unwrap after Rewrap: %v", err)
	}
	if generate(t, both).Wrapped.KeyID != w.KeyID() {
		t.Error("a retired KEK wrapped a new key")
	}
	if _, err := localkms.Open(filepath.Join(dir, "new"), filepath.Join(dir, "none")); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("a retired file that does not exist: %v", err)
	}
}

func TestKeyIDIsEnforced(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "kek"))
	k := generate(t, w)
	k.Wrapped.KeyID = "localkms:00000000000000000000000000000000"
	if _, err := w.Unwrap(t.Context(), k.Wrapped, ec); !errors.Is(err, kms.ErrInvalidWrapped) {
		t.Errorf("got %v", err)
	}
}

func TestDeadline(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "kek"))
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := w.GenerateDataKey(ctx, ec); !errors.Is(err, kms.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	w := open(t, path)
	if err := w.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte{1}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); !errors.Is(err, kms.ErrDenied) {
		t.Errorf("another KEK: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("no file: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("Check made a file")
	}
}

func TestURL(t *testing.T) {
	dir := t.TempDir()
	path := filepath.ToSlash(filepath.Join(dir, "my kek"))
	w, err := kms.Open(t.Context(), "localkms://"+strings.ReplaceAll(path, " ", "%20"))
	if err != nil {
		t.Fatal(err)
	}
	k := generate(t, w)
	w, err = kms.Open(t.Context(), "localkms://"+filepath.ToSlash(dir)+"/new?retired="+strings.ReplaceAll(path, " ", "+"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unwrap(t.Context(), k.Wrapped, ec); err != nil {
		t.Error(err)
	}
	for in, want := range map[string]string{
		"localkms://kek":            "three slashes",
		"localkms:kek":              "three slashes",
		"localkms:///":              "three slashes",
		"localkms:///x?reitred=/y":  `unknown parameter "reitred"`,
		"localkms:///x?retired=/y;": "cannot be parsed",
	} {
		if _, err := kms.Open(t.Context(), in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}
