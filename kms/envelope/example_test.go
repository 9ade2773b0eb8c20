package envelope_test

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
	"github.com/colseal/colseal/kms/kmstest"
)

// box is a key service that has its key in memory.
type box struct{ key cipher.AEAD }

func (box) KeyID() string               { return "box" }
func (box) Matches(kms.Wrapped) bool    { return true }
func (box) Check(context.Context) error { return nil }

func (b box) Encrypt(_ context.Context, plaintext, aad []byte) (kms.Wrapped, error) {
	return kms.Wrapped{KeyID: "box", Blob: b.key.Seal(nil, nil, plaintext, aad)}, nil
}

func (b box) Decrypt(_ context.Context, w kms.Wrapped, aad []byte) ([]byte, error) {
	plaintext, err := b.key.Open(nil, nil, w.Blob, aad)
	if err != nil {
		return nil, &kms.Error{Class: kms.ErrInvalidWrapped, Reason: "it was not made by this key"}
	}
	return plaintext, nil
}

func newWrapper() *envelope.Wrapper {
	return envelope.New(box{kmstest.NewAEAD()}, envelope.Config{Domain: "example", Timeout: time.Second, MaxBlob: 1024})
}

func ExampleNew() {
	ctx := context.Background()
	w := newWrapper()
	row := kms.EncryptionContext{"keyring": "app"}
	k, err := w.GenerateDataKey(ctx, row)
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := w.Unwrap(ctx, k.Wrapped, row)
	fmt.Println(bytes.Equal(plaintext, k.Plaintext), err)
	// Output: true <nil>
}

// A wrapped key that was moved to another row of the keyring does not open there.
func ExampleWrapper_Unwrap() {
	ctx := context.Background()
	w := newWrapper()
	k, err := w.GenerateDataKey(ctx, kms.EncryptionContext{"scope": "tenant:1"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = w.Unwrap(ctx, k.Wrapped, kms.EncryptionContext{"scope": "tenant:2"})
	fmt.Println(errors.Is(err, kms.ErrInvalidWrapped))
	// Output: true
}
