// Package kms says what Colseal asks of a key management service: to make data keys, and to wrap
// and unwrap them under a key encryption key (KEK) that never leaves the service.
//
// An implementation of [Wrapper] does the work:
//
//   - kms/awskms on AWS KMS;
//   - kms/localkms on a KEK in a file, for development;
//   - kms/gcpkms, kms/azurekv, kms/transit (Vault, OpenBao), kms/pkcs11 and kms/agekms on other
//     services;
//   - any other, by the methods of Wrapper, or of the smaller Service of kms/envelope.
//
// Every implementation sorts its failures into three classes, because a cache of data keys does
// something different in each of them: [ErrUnavailable] (no answer; ask again later), [ErrDenied]
// (a definite no; stop using what is cached) and [ErrInvalidWrapped] (this wrapped key cannot be
// opened by this KEK under this encryption context).
//
// No error, log line or formatted value of this package or of its implementations holds a plaintext
// key.
package kms

import (
	"context"
	"fmt"
	"io"
	"maps"
)

// DataKeySize is the length in bytes of every plaintext data key: 256 bits.
const DataKeySize = 32

// A Wrapper makes, wraps and unwraps data keys under a key encryption key.
//
// The encryption context is authenticated but not secret: what was given when a
// key was wrapped must be given again, exactly, to unwrap or rewrap it. Services
// record it in clear text in their audit log. An empty or nil context is valid.
//
// All methods are safe for concurrent use, keep no reference to their arguments
// and do not modify them. A cancelled context gives an error for which
// errors.Is(err, context.Canceled) holds and which is in none of the error
// classes; every other failure is in exactly one class.
type Wrapper interface {
	// GenerateDataKey makes a new random data key of DataKeySize bytes and
	// returns it in plaintext and wrapped under the current KEK. The caller
	// wipes the plaintext when it is done with it.
	GenerateDataKey(ctx context.Context, ec EncryptionContext) (DataKey, error)

	// Unwrap returns the plaintext of w, DataKeySize bytes, in a slice that the
	// caller owns and wipes.
	Unwrap(ctx context.Context, w Wrapped, ec EncryptionContext) (plaintext []byte, err error)

	// Rewrap wraps the same data key, which was wrapped with the context from, under
	// the current KEK with the context to. Where the service can, the plaintext does
	// not leave it. Rewrapping a key that already is under the current KEK is valid.
	Rewrap(ctx context.Context, w Wrapped, from, to EncryptionContext) (Wrapped, error)
}

// A Checker is a Wrapper that can tell, without making a data key, whether its
// KEK exists and may be used: for a start-up check. Errors are in the classes of
// Wrapper's.
type Checker interface {
	Check(ctx context.Context) error
}

// A Truster is a Wrapper that was told which KEKs are the program's own. Keys under
// others are not rewrapped unless their KEK is named.
type Truster interface {
	// Trusts reports whether the Wrapper was told that a KEK, named as in
	// [Wrapped.KeyID], is the program's own.
	Trusts(kek string) bool
}

// KEKs returns the names of the KEKs under which a key is wrapped: one, or several if
// a [Multi] wrapped it.
func KEKs(w Wrapped) []string {
	wraps, _, err := unpack(w)
	if err != nil {
		return []string{w.KeyID}
	}
	names := make([]string, len(wraps))
	for i, one := range wraps {
		names[i] = one.KeyID
	}
	return names
}

// An EncryptionContext is a set of names and values that a wrapped key is bound
// to. It is not secret: never put a value from a sealed column into it.
type EncryptionContext map[string]string

// Clone returns a copy that shares nothing with ec; nil stays nil.
func (ec EncryptionContext) Clone() EncryptionContext { return maps.Clone(ec) }

// Wrapped is a data key encrypted under a KEK. It is safe to store beside the
// data that it protects.
type Wrapped struct {
	// KeyID names the KEK that wraps the key, as the implementation that made
	// it will want to see it again (for AWS the ARN of the key, never an alias).
	KeyID string
	// Blob is the ciphertext of the data key, in the implementation's format.
	Blob []byte
}

// A DataKey is a new data key in both forms.
//
// It is printed, logged and marshalled without its plaintext.
type DataKey struct {
	Plaintext []byte // DataKeySize bytes, owned by the receiver; see Wipe
	Wrapped   Wrapped
}

// Wipe overwrites the plaintext with zeros and drops it. Copies of the slice's
// contents made elsewhere are not reached. Wiping twice, or wiping a zero
// DataKey, does nothing.
func (k *DataKey) Wipe() {
	clear(k.Plaintext)
	k.Plaintext = nil
}

// Format implements [fmt.Formatter] so that no verb prints the plaintext.
func (k DataKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, k.redacted())
}

// MarshalText implements [encoding.TextMarshaler] so that no encoder, JSON and
// log/slog's included, writes the plaintext.
func (k DataKey) MarshalText() ([]byte, error) { return []byte(k.redacted()), nil }

func (k DataKey) redacted() string {
	return fmt.Sprintf("kms.DataKey{KeyID: %q, Plaintext: redacted}", k.Wrapped.KeyID)
}
