//go:build cgo

package pkcs11_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	miekg "github.com/miekg/pkcs11"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/kms/pkcs11"
	"github.com/colseal/colseal/kms/pkcs11/softhsm"
)

func TestMain(m *testing.M) { os.Exit(softhsm.Main(m)) }

func open(t *testing.T, cfg pkcs11.Config) *pkcs11.Wrapper {
	t.Helper()
	w, err := pkcs11.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestConformance(t *testing.T) {
	h := softhsm.Operate(t)
	key := h.MakeKey("conformance", 1)
	w := open(t, softhsm.Config("conformance"))
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	kmstest.Conformance(t, w)
	kmstest.Conditions(t, w, func(c kmstest.Condition) bool {
		switch c {
		case kmstest.ConditionHealthy, kmstest.ConditionKeyDisabled:
			h.Must(h.SetAttributeValue(h.Session, key, []*miekg.Attribute{
				miekg.NewAttribute(miekg.CKA_ENCRYPT, c == kmstest.ConditionHealthy), miekg.NewAttribute(miekg.CKA_DECRYPT, c == kmstest.ConditionHealthy)}))
			return true
		}
		return false
	})
}

// A key is replaced by one of the same label and another id: the old one still unwraps.
func TestRotation(t *testing.T) {
	h := softhsm.Operate(t)
	h.MakeKey("rotated", 1)
	k, err := open(t, softhsm.Config("rotated")).GenerateDataKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.MakeKey("rotated", 2)
	if _, err := pkcs11.Open(softhsm.Config("rotated")); err == nil {
		t.Error("Open takes one of two keys by itself")
	}
	cfg := softhsm.Config("rotated")
	cfg.ID = []byte{2}
	w := open(t, cfg)
	re, err := w.Rewrap(t.Context(), k.Wrapped, nil, nil)
	if err != nil || re.KeyID == k.Wrapped.KeyID {
		t.Fatalf("Rewrap: key id %q, %v", re.KeyID, err)
	}
	for _, wrapped := range []kms.Wrapped{k.Wrapped, re} {
		if _, err := w.Unwrap(t.Context(), wrapped, nil); err != nil {
			t.Error(err)
		}
	}
}

// A program goes on after its user was logged out, and says so when its key is gone.
func TestLoggedOutAndDestroyed(t *testing.T) {
	h := softhsm.Operate(t)
	h.MakeKey("short-lived", 1)
	w := open(t, softhsm.Config("short-lived"))
	k, err := w.GenerateDataKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Must(h.Logout(h.Session)) // of the process, in all its sessions
	if _, err := w.Unwrap(t.Context(), k.Wrapped, nil); err != nil {
		t.Errorf("Unwrap after a logout: %v", err)
	}
	h.Must(h.DestroyObject(h.Session, h.Find("short-lived"))) // its handle is another since
	if _, err := w.Unwrap(t.Context(), k.Wrapped, nil); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("Unwrap with a destroyed key: %v, want ErrKeyNotFound", err)
	}
}

// What is wrapped after a log-out, at the second attempt, is what was given.
func TestWrapAfterLogOut(t *testing.T) {
	h := softhsm.Operate(t)
	h.MakeKey("logged-out", 1)
	w := open(t, softhsm.Config("logged-out"))
	h.Must(h.Logout(h.Session))
	k, err := w.GenerateDataKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Unwrap(t.Context(), k.Wrapped, nil)
	if err != nil || !bytes.Equal(got, k.Plaintext) {
		t.Errorf("unwrapped %x, want the data key that was made: %v", got, err)
	}
}

func TestOpen(t *testing.T) {
	h := softhsm.Operate(t)
	h.MakeKey("by uri", 7)
	t.Setenv("PKCS11_PIN", softhsm.PIN)
	file := filepath.Join(t.TempDir(), "pin")
	h.Must(os.WriteFile(file, []byte(softhsm.PIN+"\n"), 0o600))
	for _, uri := range []string{
		"pkcs11:token=colseal%20test;object=by%20uri?module-path=" + softhsm.Module,
		"pkcs11:token=colseal%20test;object=by%20uri;type=secret-key;id=%07?module-path=" + softhsm.Module + "&pin-source=file:" + file,
	} {
		w, err := kms.Open(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.GenerateDataKey(t.Context(), nil); err != nil {
			t.Error(err)
		}
		w.(*pkcs11.Wrapper).Close()
	}
	for _, bad := range []string{
		"pkcs11:token=colseal%20test;object=by%20uri", "pkcs11:object=by%20uri?module-path=" + softhsm.Module,
		"pkcs11:token=none;object=by%20uri?module-path=" + softhsm.Module, "pkcs11:token=colseal%20test;object=none?module-path=" + softhsm.Module,
		"pkcs11:token=colseal%20test;object=by%20uri?module-path=/none", "pkcs11:token=colseal%20test;x=y?module-path=" + softhsm.Module,
		"pkcs11:token=colseal%20test;object=by%20uri?module-path=" + softhsm.Module + "&pin-value=" + softhsm.PIN,
	} {
		if w, err := kms.Open(t.Context(), bad); err == nil || strings.Contains(err.Error(), softhsm.PIN) {
			t.Errorf("Open(%q) = %v, %v", bad, w, err)
		}
	}
}
