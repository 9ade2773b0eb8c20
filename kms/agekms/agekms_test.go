package agekms_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/agekms"
	"github.com/colseal/colseal/kms/kmstest"
)

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestConformance(t *testing.T) {
	first, second := identity(t), identity(t)
	w, err := agekms.New([]string{"# people", first.Recipient().String(), second.Recipient().String()}, second)
	if err != nil {
		t.Fatal(err)
	}
	kmstest.Conformance(t, w)
}

func TestHybridRecipient(t *testing.T) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	w, err := agekms.New([]string{id.Recipient().String()}, id)
	if err != nil {
		t.Fatal(err)
	}
	k, err := w.GenerateDataKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Unwrap(t.Context(), k.Wrapped, nil); err != nil || !bytes.Equal(got, k.Plaintext) {
		t.Errorf("Unwrap: same key %v, %v", bytes.Equal(got, k.Plaintext), err)
	}
}

// A program that has only recipients wraps; beside another KEK it opens with that one; whoever has the identity opens
// without the other.
func TestBreakGlass(t *testing.T) {
	safe := identity(t)
	recipients := []string{safe.Recipient().String()}
	program, err := agekms.New(recipients)
	if err != nil {
		t.Fatal(err)
	}
	rescue, err := agekms.New(recipients, safe)
	if err != nil {
		t.Fatal(err)
	}
	k, err := program.GenerateDataKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := program.Unwrap(t.Context(), k.Wrapped, nil); !errors.Is(err, kms.ErrInvalidWrapped) {
		t.Errorf("Unwrap without an identity: %v", err)
	}
	if got, err := rescue.Unwrap(t.Context(), k.Wrapped, nil); err != nil || !bytes.Equal(got, k.Plaintext) {
		t.Errorf("Unwrap with the identity: same key %v, %v", bytes.Equal(got, k.Plaintext), err)
	}
	other := identity(t)
	stranger, err := agekms.New(recipients, other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Unwrap(t.Context(), k.Wrapped, nil); !errors.Is(err, kms.ErrInvalidWrapped) {
		t.Errorf("Unwrap with another identity: %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir, id := t.TempDir(), identity(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	recipients := write("recipients.txt", "# safe\n"+id.Recipient().String()+"\n")
	identities := write("identity.txt", "# secret\n"+id.String()+"\n")
	w, err := kms.Open(t.Context(), "agekms://"+recipients+"?identities="+identities)
	if err != nil {
		t.Fatal(err)
	}
	k, err := w.GenerateDataKey(t.Context(), kms.EncryptionContext{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unwrap(t.Context(), k.Wrapped, kms.EncryptionContext{"a": "b"}); err != nil {
		t.Error(err)
	}
	bad := write("bad.txt", strings.ToLower(id.String()[:40])+"\n")
	for _, url := range []string{
		"agekms:///", "agekms://host" + recipients, "agekms://" + recipients + "?x=1",
		"agekms://" + dir + "/none", "agekms://" + bad, "agekms://" + recipients + "?identities=" + bad, "agekms://" + recipients + "?identities=" + dir + "/none",
	} {
		if w, err := kms.Open(t.Context(), url); err == nil || strings.Contains(strings.ToLower(err.Error()), strings.ToLower(id.String()[:40])) {
			t.Errorf("Open(%q) = %v, %v", url, w, err)
		}
	}
}
