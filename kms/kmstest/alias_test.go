package kmstest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// New keys are wrapped under the key that an alias points to now; those of before still open.
func TestMovedAlias(t *testing.T) {
	s := kmstest.Start(t, kmstest.WithAccount("444455556666"))
	old, next := s.CreateKey(kmstest.Alias("alias/app")), s.CreateKey()
	w := awskms.New(s.Client(t), "alias/app")
	ec := kms.EncryptionContext{"colseal:keyring": "k"}
	before, err := w.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatal(err)
	}
	s.SetAlias("alias/app", next)
	after, err := w.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatal(err)
	}
	if before.Wrapped.KeyID != old || after.Wrapped.KeyID != next || old == next {
		t.Errorf("wrapped under %s and then %s; want %s and %s", before.Wrapped.KeyID, after.Wrapped.KeyID, old, next)
	}
	if got, err := w.Unwrap(t.Context(), before.Wrapped, ec); err != nil || !bytes.Equal(got, before.Plaintext) {
		t.Errorf("the key of before the move: %v", err)
	}
	if far := s.CreateKey(kmstest.InRegion("us-east-2")); !strings.HasPrefix(far, "arn:aws:kms:us-east-2:444455556666:key/") {
		t.Error(far)
	}
}
