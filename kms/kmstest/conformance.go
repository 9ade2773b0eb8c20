package kmstest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/colseal/colseal/kms"
)

// Conformance checks what every [kms.Wrapper] promises, whatever KMS it uses. w must
// be usable, and is called some hundred times.
func Conformance(t *testing.T, w kms.Wrapper) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, kms.Wrapper)
	}{
		{"round trip", conformRoundTrip},
		{"keys are distinct", conformDistinct},
		{"wrong context", conformContext},
		{"tampered blob", conformTampered},
		{"foreign blob", conformForeign},
		{"rewrap", conformRewrap},
		{"import", conformImport},
		{"arguments are left alone", conformArguments},
		{"cancelled context", conformCancelled},
		{"concurrent use", conformConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, w) })
	}
}

var conformEC = kms.EncryptionContext{"colseal:key": "7", "colseal:purpose": "data", "scope": "tenant:42", "ünïcode": ""}

func conformNew(t *testing.T, w kms.Wrapper, ec kms.EncryptionContext) kms.DataKey {
	t.Helper()
	k, err := w.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatalf("GenerateDataKey: %v", err)
	}
	return k
}

func conformRoundTrip(t *testing.T, w kms.Wrapper) {
	for _, ec := range []kms.EncryptionContext{conformEC, {}, nil, {"a": "b"}} {
		k := conformNew(t, w, ec)
		if len(k.Plaintext) != kms.DataKeySize || k.Wrapped.KeyID == "" || len(k.Wrapped.Blob) == 0 {
			t.Fatalf("GenerateDataKey: plaintext of %d bytes, key id %q, blob of %d bytes", len(k.Plaintext), k.Wrapped.KeyID, len(k.Wrapped.Blob))
		}
		if bytes.Contains(k.Wrapped.Blob, k.Plaintext) {
			t.Fatal("the wrapped key holds the plaintext")
		}
		for range 2 {
			got, err := w.Unwrap(t.Context(), k.Wrapped, ec.Clone())
			if err != nil {
				t.Fatalf("Unwrap: %v", err)
			}
			if !bytes.Equal(got, k.Plaintext) {
				t.Fatal("Unwrap gave another key than GenerateDataKey")
			}
			clear(got) // the caller owns it: the next Unwrap must not see this
		}
	}
	// Nil and empty contexts are the same.
	k := conformNew(t, w, nil)
	if _, err := w.Unwrap(t.Context(), k.Wrapped, kms.EncryptionContext{}); err != nil {
		t.Fatalf("Unwrap with an empty context of a key made with nil: %v", err)
	}
}

func conformDistinct(t *testing.T, w kms.Wrapper) {
	seen := map[string]bool{}
	for range 20 {
		k := conformNew(t, w, conformEC)
		for _, b := range [][]byte{k.Plaintext, k.Wrapped.Blob} {
			if seen[string(b)] {
				t.Fatal("a key or wrapped key came twice")
			}
			seen[string(b)] = true
		}
	}
}

// conformRefused checks that neither Unwrap nor Rewrap opens a wrapped key, that
// the class is ErrInvalidWrapped, and that the errors hold no key.
func conformRefused(t *testing.T, w kms.Wrapper, wrapped kms.Wrapped, ec kms.EncryptionContext, plaintext []byte) {
	t.Helper()
	got, err := w.Unwrap(t.Context(), wrapped, ec)
	if got != nil || !errors.Is(err, kms.ErrInvalidWrapped) {
		t.Errorf("Unwrap: %d bytes, %v; want ErrInvalidWrapped", len(got), err)
	}
	re, rerr := w.Rewrap(t.Context(), wrapped, ec, ec)
	if re.Blob != nil || !errors.Is(rerr, kms.ErrInvalidWrapped) {
		t.Errorf("Rewrap: %d bytes, %v; want ErrInvalidWrapped", len(re.Blob), rerr)
	}
	for _, err := range []error{err, rerr} {
		RequireNoKey(t, err, plaintext)
		if errors.Is(err, kms.ErrDenied) || errors.Is(err, kms.ErrUnavailable) {
			t.Errorf("%v is in a second class", err)
		}
	}
}

// RequireNoKey fails the test when an error, or anything it leads to, prints a
// plaintext key in any usual encoding.
func RequireNoKey(t testing.TB, err error, plaintext []byte) {
	t.Helper()
	if err == nil || len(plaintext) == 0 {
		return
	}
	text := strings.ToLower(err.Error() + fmt.Sprintf(" %+v %#v", err, err))
	std := strings.TrimRight(base64.StdEncoding.EncodeToString(plaintext), "=")
	url := strings.TrimRight(base64.URLEncoding.EncodeToString(plaintext), "=")
	decimal := strings.Trim(fmt.Sprint(plaintext), "[]")
	for _, needle := range []string{string(plaintext), hex.EncodeToString(plaintext), std, url, decimal} {
		if strings.Contains(text, strings.ToLower(needle)) {
			t.Errorf("an error of type %T holds a plaintext key", err)
		}
	}
}

func conformContext(t *testing.T, w kms.Wrapper) {
	k := conformNew(t, w, conformEC)
	changed := func(change func(kms.EncryptionContext)) kms.EncryptionContext {
		ec := conformEC.Clone()
		change(ec)
		return ec
	}
	for name, ec := range map[string]kms.EncryptionContext{
		"nil":          nil,
		"one less":     changed(func(ec kms.EncryptionContext) { delete(ec, "scope") }),
		"one more":     changed(func(ec kms.EncryptionContext) { ec["x"] = "y" }),
		"other value":  changed(func(ec kms.EncryptionContext) { ec["scope"] = "tenant:43" }),
		"case":         changed(func(ec kms.EncryptionContext) { ec["scope"] = "Tenant:42" }),
		"moved border": changed(func(ec kms.EncryptionContext) { delete(ec, "scope"); ec["scop"] = "etenant:42" }),
	} {
		t.Run(name, func(t *testing.T) { conformRefused(t, w, k.Wrapped, ec, k.Plaintext) })
	}
}

func conformTampered(t *testing.T, w kms.Wrapper) {
	k := conformNew(t, w, conformEC)
	for i := range k.Wrapped.Blob {
		bad := kms.Wrapped{KeyID: k.Wrapped.KeyID, Blob: slices.Clone(k.Wrapped.Blob)}
		bad.Blob[i] ^= 0x20
		conformRefused(t, w, bad, conformEC, k.Plaintext)
		if t.Failed() {
			t.Fatalf("with byte %d changed", i)
		}
	}
	for n := range k.Wrapped.Blob {
		conformRefused(t, w, kms.Wrapped{KeyID: k.Wrapped.KeyID, Blob: k.Wrapped.Blob[:n]}, conformEC, k.Plaintext)
	}
	longer := kms.Wrapped{KeyID: k.Wrapped.KeyID, Blob: append(slices.Clone(k.Wrapped.Blob), 0)}
	conformRefused(t, w, longer, conformEC, k.Plaintext)
}

func conformForeign(t *testing.T, w kms.Wrapper) {
	k := conformNew(t, w, conformEC)
	for name, bad := range map[string]kms.Wrapped{
		"zero":      {},
		"no key id": {Blob: k.Wrapped.Blob},
		"huge":      {KeyID: k.Wrapped.KeyID, Blob: make([]byte, 1<<16)},
		"text":      {KeyID: k.Wrapped.KeyID, Blob: []byte("not a wrapped key")},
	} {
		t.Run(name, func(t *testing.T) { conformRefused(t, w, bad, conformEC, k.Plaintext) })
	}
	// A service may answer that there is no such key.
	other := kms.Wrapped{KeyID: k.Wrapped.KeyID + "0", Blob: k.Wrapped.Blob}
	if got, err := w.Unwrap(t.Context(), other, conformEC); err == nil {
		t.Errorf("Unwrap under the name of another key: %d bytes", len(got))
	}
	if _, err := w.Rewrap(t.Context(), other, conformEC, conformEC); err == nil {
		t.Error("Rewrap under the name of another key")
	}
}

func conformRewrap(t *testing.T, w kms.Wrapper) {
	k := conformNew(t, w, conformEC)
	re, err := w.Rewrap(t.Context(), k.Wrapped, conformEC, conformEC)
	if err != nil {
		t.Fatalf("Rewrap: %v", err)
	}
	if bytes.Equal(re.Blob, k.Wrapped.Blob) {
		t.Error("Rewrap gave the same ciphertext")
	}
	for _, wrapped := range []kms.Wrapped{re, k.Wrapped} {
		got, err := w.Unwrap(t.Context(), wrapped, conformEC)
		if err != nil || !bytes.Equal(got, k.Plaintext) {
			t.Errorf("Unwrap after Rewrap: same key %v, %v", bytes.Equal(got, k.Plaintext), err)
		}
	}
	conformRefused(t, w, re, kms.EncryptionContext{"other": "context"}, k.Plaintext)
}

// conformImport is for those that are a [kms.Importer].
func conformImport(t *testing.T, w kms.Wrapper) {
	i, ok := w.(kms.Importer)
	if !ok {
		t.Skip("it is no kms.Importer")
	}
	plaintext := bytes.Repeat([]byte{7, 1, 9, 4}, kms.DataKeySize/4)
	given := slices.Clone(plaintext)
	wrapped, err := i.Wrap(t.Context(), given, conformEC)
	if err != nil || wrapped.KeyID == "" {
		t.Fatalf("Wrap: key id %q, %v", wrapped.KeyID, err)
	}
	if !bytes.Equal(given, plaintext) || bytes.Contains(wrapped.Blob, plaintext) {
		t.Error("Wrap changed the plaintext, or left it as it is")
	}
	if got, err := w.Unwrap(t.Context(), wrapped, conformEC); err != nil || !bytes.Equal(got, plaintext) {
		t.Errorf("Unwrap after Wrap: same key %v, %v", bytes.Equal(got, plaintext), err)
	}
	conformRefused(t, w, wrapped, nil, plaintext)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Wrap(ctx, plaintext, conformEC); !errors.Is(err, context.Canceled) {
		t.Errorf("Wrap with a cancelled context: %v", err)
	}
	if m, ok := w.(kms.Matcher); ok && !m.Matches(wrapped) {
		t.Error("Matches does not know what Wrap made")
	}
}

func conformArguments(t *testing.T, w kms.Wrapper) {
	ec := conformEC.Clone()
	k := conformNew(t, w, ec)
	blob := slices.Clone(k.Wrapped.Blob)
	if _, err := w.Unwrap(t.Context(), k.Wrapped, ec); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Rewrap(t.Context(), k.Wrapped, ec, ec); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(ec, conformEC) || !bytes.Equal(blob, k.Wrapped.Blob) {
		t.Error("an argument was changed")
	}
}

func conformCancelled(t *testing.T, w kms.Wrapper) {
	k := conformNew(t, w, conformEC)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err1 := w.GenerateDataKey(ctx, conformEC)
	_, err2 := w.Unwrap(ctx, k.Wrapped, conformEC)
	_, err3 := w.Rewrap(ctx, k.Wrapped, conformEC, conformEC)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if c := kms.ErrorClass(err); c != "canceled" {
			t.Errorf("%v has class %q", err, c)
		}
	}
}

func conformConcurrent(t *testing.T, w kms.Wrapper) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				k, err := w.GenerateDataKey(t.Context(), conformEC)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := w.Unwrap(t.Context(), k.Wrapped, conformEC)
				if err != nil || !bytes.Equal(got, k.Plaintext) {
					t.Errorf("same key %v, %v", bytes.Equal(got, k.Plaintext), err)
				}
			}
		})
	}
	wg.Wait()
}
