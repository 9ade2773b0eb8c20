package gcpkms_test

import (
	"errors"
	"testing"
	"time"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
	"github.com/colseal/colseal/kms/gcpkms"
	"github.com/colseal/colseal/kms/gcpkms/gcptest"
	"github.com/colseal/colseal/kms/kmstest"
)

func start(t *testing.T) (*gcptest.Server, *envelope.Wrapper) {
	t.Helper()
	srv, err := gcptest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	client, err := srv.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	w, err := gcpkms.New(client, gcpkms.Config{Key: gcptest.Key, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return srv, w
}

func TestConformance(t *testing.T) {
	srv, w := start(t)
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	kmstest.Conformance(t, w)
	kmstest.Conditions(t, w, srv.Set)
}

func TestAnswerOfOtherKey(t *testing.T) {
	srv, w := start(t)
	srv.Set(kmstest.ConditionAnswerOfOtherKey)
	if k, err := w.GenerateDataKey(t.Context(), nil); !errors.Is(err, kms.ErrUnavailable) || k.Plaintext != nil {
		t.Errorf("GenerateDataKey: %d bytes, %v", len(k.Plaintext), err)
	}
}

func TestNewRefuses(t *testing.T) {
	srv, err := gcptest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	client, err := srv.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for _, key := range []string{"", "app", gcptest.Key + "/cryptoKeyVersions/1", "projects/test/locations/here/keyRings/ring/cryptoKeys/"} {
		if w, err := gcpkms.New(client, gcpkms.Config{Key: key}); err == nil {
			t.Errorf("New of key %q = %v, want an error", key, w)
		}
	}
	if w, err := gcpkms.New(nil, gcpkms.Config{Key: gcptest.Key}); err == nil {
		t.Errorf("New without a client = %v, want an error", w)
	}
	for _, bad := range []string{"gcpkms:///app", "gcpkms://" + gcptest.Key, "gcpkms:///" + gcptest.Key + "?x=1", "gcpkms:///" + gcptest.Key + "?timeout=x"} {
		if w, err := kms.Open(t.Context(), bad); err == nil {
			t.Errorf("Open(%q) = %v", bad, w)
		}
	}
}
