package azurekv_test

import (
	"context"
	"errors"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/azurekv"
	"github.com/colseal/colseal/kms/azurekv/azuretest"
	"github.com/colseal/colseal/kms/kmstest"
)

func TestConformance(t *testing.T) {
	srv := azuretest.New()
	t.Cleanup(srv.Close)
	w, err := azurekv.New(srv.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	kmstest.Conformance(t, w)
	kmstest.Conditions(t, w, srv.Set)
}

type noToken struct{}

func (noToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errors.New("no identity")
}

// A program that gets no token does not take that for a refusal of the key.
func TestNoToken(t *testing.T) {
	srv := azuretest.New()
	t.Cleanup(srv.Close)
	cfg := srv.Config()
	cfg.Credential = noToken{}
	w, err := azurekv.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.GenerateDataKey(t.Context(), nil); !errors.Is(err, kms.ErrUnavailable) {
		t.Errorf("GenerateDataKey: %v, want ErrUnavailable", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]azurekv.Config{
		"no URL":        {Key: "app", Credential: noToken{}},
		"no TLS":        {VaultURL: "http://app.vault.azure.net", Key: "app", Credential: noToken{}},
		"a path":        {VaultURL: "https://app.vault.azure.net/keys/app", Key: "app", Credential: noToken{}},
		"no key":        {VaultURL: "https://app.vault.azure.net", Credential: noToken{}},
		"a path as key": {VaultURL: "https://app.vault.azure.net", Key: "app/v1", Credential: noToken{}},
		"no credential": {VaultURL: "https://app.vault.azure.net", Key: "app"},
		"PKCS 1":        {VaultURL: "https://app.vault.azure.net", Key: "app", Credential: noToken{}, Algorithm: "RSA1_5"},
	} {
		if w, err := azurekv.New(cfg); err == nil {
			t.Errorf("%s: %v, want an error", name, w)
		}
	}
}

func TestOpen(t *testing.T) {
	w, err := kms.Open(t.Context(), "azurekv://app.vault.azure.net/app?algorithm=A256KW&timeout=2s")
	if err != nil {
		t.Fatal(err)
	}
	id := "https://app.vault.azure.net/keys/app/0123456789abcdef0123456789abcdef"
	if m := w.(kms.Matcher); !m.Matches(kms.Wrapped{KeyID: id}) || m.Matches(kms.Wrapped{KeyID: id + "/x"}) || m.Matches(kms.Wrapped{KeyID: "https://other.vault.azure.net/keys/app/0"}) {
		t.Error("the wrong keys match")
	}
	for _, bad := range []string{"azurekv:///app", "azurekv://app.vault.azure.net", "azurekv://app.vault.azure.net/app/v1",
		"azurekv://app.vault.azure.net/app?x=1", "azurekv://app.vault.azure.net/app?timeout=x", "azurekv://u@app.vault.azure.net/app"} {
		if w, err := kms.Open(t.Context(), bad); err == nil {
			t.Errorf("Open(%q) = %v", bad, w)
		}
	}
}
