//go:build cgo

package services_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/agekms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/azurekv"
	"github.com/colseal/colseal/kms/azurekv/azuretest"
	"github.com/colseal/colseal/kms/gcpkms"
	"github.com/colseal/colseal/kms/gcpkms/gcptest"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/kms/pkcs11/softhsm"
	"github.com/colseal/colseal/kms/transit"
	"github.com/colseal/colseal/kms/transit/transittest"
)

func TestMain(m *testing.M) { os.Exit(softhsm.Main(m)) }

// services returns a key encryption key of each kind of service.
func services(t *testing.T) map[string]kms.Importer {
	t.Helper()
	must := func(w kms.Importer, err error) kms.Importer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	all := map[string]kms.Importer{}

	aws := kmstest.New()
	t.Cleanup(aws.Close)
	all["awskms"] = awskms.New(aws.Client(t), aws.CreateKey())

	all["localkms"] = must(localkms.Open(filepath.Join(t.TempDir(), "kek")))

	gcp, err := gcptest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gcp.Close)
	client, err := gcp.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	all["gcpkms"] = must(gcpkms.New(client, gcpkms.Config{Key: gcptest.Key}))

	azure := azuretest.New()
	t.Cleanup(azure.Close)
	all["azurekv"] = must(azurekv.New(azure.Config()))

	vault := transittest.New()
	t.Cleanup(vault.Close)
	all["transit"] = must(transit.New(transit.Config{Address: vault.URL, Key: "app", Token: transittest.GiveToken}))

	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	all["agekms"] = must(agekms.New([]string{id.Recipient().String()}, id))

	all["pkcs11"] = softhsm.Open(t)
	return all
}

var ec = kms.EncryptionContext{"colseal:key-id": "00000007", "scope": "tenant:42"}

// A data key moves from any service to any other: the two together rewrap it, and then either opens it alone.
func TestRewrapFromAnyToAny(t *testing.T) {
	all := services(t)
	names := slices.Sorted(maps.Keys(all))
	if len(names) != 7 {
		t.Fatalf("%d services", len(names))
	}
	for _, from := range names {
		for _, to := range names {
			if from == to {
				continue
			}
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				k, err := all[from].GenerateDataKey(t.Context(), ec)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := all[to].Unwrap(t.Context(), k.Wrapped, ec); !errors.Is(err, kms.ErrInvalidWrapped) && !errors.Is(err, kms.ErrDenied) {
					t.Errorf("%s opens a key of %s: %v", to, from, err)
				}
				moved := rewrap(t, k.Wrapped, all[to], all[from])
				for _, alone := range []string{from, to} {
					requireOpens(t, moved, k.Plaintext, all[alone])
				}
				requireOpens(t, rewrap(t, moved, all[to]), k.Plaintext, all[to])
			})
		}
	}
}

func multi(t *testing.T, keks ...kms.Importer) *kms.Multi {
	t.Helper()
	m, err := kms.NewMulti(kms.MultiConfig{}, keks...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func rewrap(t *testing.T, w kms.Wrapped, keks ...kms.Importer) kms.Wrapped {
	t.Helper()
	moved, err := multi(t, keks...).Rewrap(t.Context(), w, ec, ec)
	if err != nil {
		t.Fatalf("Rewrap: %v", err)
	}
	return moved
}

func requireOpens(t *testing.T, w kms.Wrapped, want []byte, kek kms.Importer) {
	t.Helper()
	m := multi(t, kek)
	if got, err := m.Unwrap(t.Context(), w, ec); err != nil || !bytes.Equal(got, want) {
		t.Errorf("Unwrap: same key %v, %v", bytes.Equal(got, want), err)
	}
	if got, err := m.Unwrap(t.Context(), w, kms.EncryptionContext{"scope": "tenant:43"}); err == nil {
		t.Errorf("Unwrap under another context: %d bytes", len(got))
	}
}

// All services together wrap one key, and each opens it when the others are gone.
func TestAllTogether(t *testing.T) {
	all := services(t)
	together := multi(t, slices.Collect(maps.Values(all))...)
	kmstest.Conformance(t, together)
	k, err := together.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, kek := range all {
		t.Run(name, func(t *testing.T) { requireOpens(t, k.Wrapped, k.Plaintext, kek) })
	}
}
