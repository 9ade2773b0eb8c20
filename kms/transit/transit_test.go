package transit_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/kms/transit"
	"github.com/colseal/colseal/kms/transit/transittest"
)

func newWrapper(t *testing.T, address string) *envelope.Wrapper {
	t.Helper()
	w, err := transit.New(transit.Config{Address: address, Key: "app", Token: transittest.GiveToken, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestConformance(t *testing.T) {
	srv := transittest.New()
	t.Cleanup(srv.Close)
	w := newWrapper(t, srv.URL)
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	kmstest.Conformance(t, w)
	kmstest.Conditions(t, w, srv.Set)
}

// The environment of Vault's and OpenBao's own commands is enough.
func TestOpen(t *testing.T) {
	srv := transittest.New()
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(transittest.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]map[string]string{
		"vault":   {"VAULT_ADDR": srv.URL, "VAULT_TOKEN": transittest.Token},
		"openbao": {"BAO_ADDR": srv.URL, "BAO_TOKEN_FILE": file},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range set {
				t.Setenv(k, v)
			}
			w, err := kms.Open(t.Context(), "transit:///transit/app?timeout=2s")
			if err != nil {
				t.Fatal(err)
			}
			if err := w.(kms.Checker).Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Setenv("VAULT_ADDR", "")
	t.Setenv("BAO_ADDR", "")
	for _, bad := range []string{
		"transit:///transit/app", "transit://vault.example", "transit://vault.example/app", "transit://vault.example/transit/",
		"transit://user:secret@vault.example/transit/app", "transit://vault.example/transit/app?x=1",
		"transit://vault.example/transit/app?timeout=3", "transit:transit/app", "transit://vault.example/transit/app#x",
	} {
		if w, err := kms.Open(t.Context(), bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q) = %v, %v", bad, w, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]transit.Config{
		"no address":    {Key: "app", Token: transittest.GiveToken},
		"no encryption": {Address: "http://vault.example:8200", Key: "app", Token: transittest.GiveToken},
		"no key":        {Address: "https://vault.example", Token: transittest.GiveToken},
		"a path as key": {Address: "https://vault.example", Key: "../app", Token: transittest.GiveToken},
		"no token":      {Address: "https://vault.example", Key: "app"},
	} {
		if w, err := transit.New(cfg); err == nil {
			t.Errorf("%s: %v, want an error", name, w)
		}
	}
}

// A token never goes to a host that an answer names.
func TestRedirectIsNotFollowed(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(other.Close)
	standby := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(standby.Close)
	_, err := newWrapper(t, standby.URL).GenerateDataKey(t.Context(), nil)
	if !errors.Is(err, kms.ErrUnavailable) || asked.Load() != 0 {
		t.Errorf("%v, and the other host was asked %d times", err, asked.Load())
	}
}

// What a server says reaches no terminal as it is, and no answer is taken for one of the engine's that is not.
func TestHostileAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"escapes":      {http.StatusInternalServerError, `{"errors":["\u001b[31mred\n\n"]}`, kms.ErrUnavailable},
		"empty":        {http.StatusOK, ``, kms.ErrUnavailable},
		"no data":      {http.StatusOK, `{"data":null}`, kms.ErrUnavailable},
		"no base64":    {http.StatusOK, `{"data":{"ciphertext":"vault:v1:&"}}`, kms.ErrUnavailable},
		"no version":   {http.StatusOK, `{"data":{"ciphertext":"vault:vx:AAAA"}}`, kms.ErrUnavailable},
		"other prefix": {http.StatusOK, `{"data":{"ciphertext":"other:v1:AAAA"}}`, kms.ErrUnavailable},
		"a page":       {http.StatusOK, `<html>login</html>`, kms.ErrUnavailable},
		"gone":         {http.StatusNotFound, `{"errors":[]}`, kms.ErrKeyNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			t.Cleanup(srv.Close)
			_, err := newWrapper(t, srv.URL).GenerateDataKey(t.Context(), nil)
			if !errors.Is(err, tt.want) || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%q, want class %v", err, tt.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for body, want := range map[string]error{
		`{"data":{"supports_encryption":true,"supports_decryption":true}}`:                nil,
		`{"data":{"supports_encryption":true,"supports_decryption":true,"derived":true}}`: kms.ErrDenied,
		`{"data":{"supports_encryption":false,"supports_decryption":false}}`:              kms.ErrDenied,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		t.Cleanup(srv.Close)
		if err := newWrapper(t, srv.URL).Check(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
}
