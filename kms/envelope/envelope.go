// Package envelope makes a [kms.Wrapper] of a key service that encrypts and decrypts short byte
// strings.
//
// Data keys are made in this process and encrypted by the service, bound to their encryption
// context. A service with associated data binds it by that. For one without, [Config.Double] puts a
// second envelope around the data key:
//
//	[version 1][length of W, 2 bytes big-endian][W][nonce 12][ciphertext 32][tag 16]
//
// W is a random 32-byte key as the service encrypted it. The data key is encrypted with AES-256-GCM
// under that key. The associated data is the domain string, everything before the nonce, the
// encryption context as [AppendContext] encodes it, and the id of the key encryption key.
// Associated data of a service is the domain string and the context.
//
// Errors hold text of a service only through [OneLine], and of a failed request only through
// [TransportReason].
package envelope

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/colseal/colseal/kms"
)

// A Service encrypts with one key encryption key, and decrypts with that and with its earlier
// versions. Its methods are safe for concurrent use. They do not retry: callers do. They return
// errors of type [*kms.Error] with the class, the reason and the hint set. Wrapper fills in the
// rest, and handles contexts that have ended.
type Service interface {
	// KeyID names the key encryption key for people.
	KeyID() string
	// Encrypt returns the ciphertext of 32 bytes and the key version that made it. aad is nil in an
	// envelope.
	Encrypt(ctx context.Context, plaintext, aad []byte) (kms.Wrapped, error)
	// Decrypt reverses Encrypt. The caller owns the result.
	Decrypt(ctx context.Context, w kms.Wrapped, aad []byte) ([]byte, error)
	// Matches reports whether w may be of this service; true if that is not known.
	Matches(w kms.Wrapped) bool
	// Check reports whether the key encryption key exists and may be used, without using it.
	Check(ctx context.Context) error
}

// Config says how a Wrapper works.
type Config struct {
	Domain  string        // separates this service's associated data from that of others
	Timeout time.Duration // bounds each call of the service
	Double  bool          // put a second envelope around the data key
	MaxBlob int           // longer blobs are refused without asking the service
}

// Wrapper is a [kms.Wrapper] on a Service. It is safe for concurrent use.
type Wrapper struct {
	service Service
	cfg     Config
}

var (
	_ kms.Importer = (*Wrapper)(nil)
	_ kms.Checker  = (*Wrapper)(nil)
	_ kms.Matcher  = (*Wrapper)(nil)
	_ kms.Truster  = (*Wrapper)(nil)
)

// New returns a Wrapper.
func New(s Service, cfg Config) *Wrapper { return &Wrapper{s, cfg} }

// KeyID names the key encryption key.
func (w *Wrapper) KeyID() string { return w.service.KeyID() }

// Matches implements [kms.Matcher].
func (w *Wrapper) Matches(wrapped kms.Wrapped) bool { return w.service.Matches(wrapped) }

// Trusts implements [kms.Truster]: the service decrypts with its own key encryption key and no
// other.
func (w *Wrapper) Trusts(kek string) bool { return w.Matches(kms.Wrapped{KeyID: kek}) }

// Check implements [kms.Checker].
func (w *Wrapper) Check(ctx context.Context) error {
	_, err := call(ctx, w, "check key", func(ctx context.Context) (struct{}, error) { return struct{}{}, w.service.Check(ctx) })
	return err
}

// GenerateDataKey implements [kms.Wrapper].
func (w *Wrapper) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	plaintext := make([]byte, kms.DataKeySize)
	_, _ = rand.Read(plaintext) // never fails
	wrapped, err := w.wrap(ctx, "generate data key", plaintext, ec)
	if err != nil {
		clear(plaintext)
		return kms.DataKey{}, err
	}
	return kms.DataKey{Plaintext: plaintext, Wrapped: wrapped}, nil
}

// Wrap implements [kms.Importer].
func (w *Wrapper) Wrap(ctx context.Context, plaintext []byte, ec kms.EncryptionContext) (kms.Wrapped, error) {
	return w.wrap(ctx, "wrap data key", plaintext, ec)
}

// Unwrap implements [kms.Wrapper].
func (w *Wrapper) Unwrap(ctx context.Context, wrapped kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	return w.unwrap(ctx, "unwrap data key", wrapped, ec)
}

// Rewrap implements [kms.Wrapper]. The plaintext passes through this process.
func (w *Wrapper) Rewrap(ctx context.Context, wrapped kms.Wrapped, from, to kms.EncryptionContext) (kms.Wrapped, error) {
	const op = "rewrap data key"
	plaintext, err := w.unwrap(ctx, op, wrapped, from)
	if err != nil {
		return kms.Wrapped{}, err
	}
	defer clear(plaintext)
	return w.wrap(ctx, op, plaintext, to)
}

const (
	version    = 1
	lengthSize = 2
	sealedSize = 12 + kms.DataKeySize + 16
)

func (w *Wrapper) wrap(ctx context.Context, op string, plaintext []byte, ec kms.EncryptionContext) (kms.Wrapped, error) {
	if len(plaintext) != kms.DataKeySize {
		return kms.Wrapped{}, w.fail(op, kms.ErrDenied, fmt.Sprintf("%d bytes are no data key", len(plaintext)))
	}
	if !w.cfg.Double {
		return w.encrypt(ctx, op, plaintext, AppendContext([]byte(w.cfg.Domain), ec))
	}
	k := make([]byte, 32)
	defer clear(k)
	_, _ = rand.Read(k) // never fails
	inner, err := w.encrypt(ctx, op, k, nil)
	if err != nil {
		return kms.Wrapped{}, err
	}
	blob := binary.BigEndian.AppendUint16([]byte{version}, uint16(len(inner.Blob)))
	blob = append(blob, inner.Blob...)
	aead, err := newAEAD(k)
	if err != nil {
		return kms.Wrapped{}, w.fail(op, kms.ErrUnavailable, err.Error())
	}
	return kms.Wrapped{KeyID: inner.KeyID, Blob: aead.Seal(blob, nil, plaintext, w.envelopeData(blob, inner.KeyID, ec))}, nil
}

func (w *Wrapper) encrypt(ctx context.Context, op string, plaintext, aad []byte) (kms.Wrapped, error) {
	made, err := call(ctx, w, op, func(ctx context.Context) (kms.Wrapped, error) { return w.service.Encrypt(ctx, plaintext, aad) })
	if err == nil && (made.KeyID == "" || len(made.Blob) == 0 || len(made.Blob) > w.cfg.MaxBlob) {
		return kms.Wrapped{}, w.fail(op, kms.ErrUnavailable, fmt.Sprintf("the service answered with a ciphertext of %d bytes under key %q", len(made.Blob), made.KeyID))
	}
	return made, err
}

func (w *Wrapper) unwrap(ctx context.Context, op string, wrapped kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	if wrapped.KeyID == "" || len(wrapped.Blob) == 0 || !w.service.Matches(wrapped) {
		return nil, w.fail(op, kms.ErrInvalidWrapped, fmt.Sprintf("key id %q is not of this key service", wrapped.KeyID))
	}
	if !w.cfg.Double {
		return w.decrypt(ctx, op, wrapped, AppendContext([]byte(w.cfg.Domain), ec))
	}
	b := wrapped.Blob
	if len(b) < 1+lengthSize+sealedSize || b[0] != version || int(binary.BigEndian.Uint16(b[1:])) != len(b)-1-lengthSize-sealedSize {
		return nil, w.fail(op, kms.ErrInvalidWrapped, fmt.Sprintf("%d bytes are not a wrapped key of this key service", len(b)))
	}
	header := b[:len(b)-sealedSize]
	k, err := w.decrypt(ctx, op, kms.Wrapped{KeyID: wrapped.KeyID, Blob: header[1+lengthSize:]}, nil)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	aead, err := newAEAD(k)
	if err != nil {
		return nil, w.fail(op, kms.ErrUnavailable, err.Error())
	}
	plaintext, err := aead.Open(nil, nil, b[len(header):], w.envelopeData(header, wrapped.KeyID, ec))
	if err != nil {
		return nil, w.fail(op, kms.ErrInvalidWrapped, "it or its encryption context was changed since it was made")
	}
	return plaintext, nil
}

func (w *Wrapper) decrypt(ctx context.Context, op string, wrapped kms.Wrapped, aad []byte) ([]byte, error) {
	if len(wrapped.Blob) > w.cfg.MaxBlob {
		return nil, w.fail(op, kms.ErrInvalidWrapped, fmt.Sprintf("%d bytes are more than this key service makes", len(wrapped.Blob)))
	}
	plaintext, err := call(ctx, w, op, func(ctx context.Context) ([]byte, error) { return w.service.Decrypt(ctx, wrapped, aad) })
	if err == nil && len(plaintext) != kms.DataKeySize {
		clear(plaintext)
		return nil, w.fail(op, kms.ErrInvalidWrapped, fmt.Sprintf("it holds %d bytes, a data key has %d", len(plaintext), kms.DataKeySize))
	}
	return plaintext, err
}

func newAEAD(k []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// envelopeData returns the associated data of an envelope that begins with header.
func (w *Wrapper) envelopeData(header []byte, keyID string, ec kms.EncryptionContext) []byte {
	return append(AppendContext(append([]byte(w.cfg.Domain), header...), ec), keyID...)
}

// AppendContext appends the encoding of an encryption context: the number of its entries in four
// bytes, then each name and its value, sorted by name and each preceded by its length in eight
// bytes, all big-endian. No two contexts have the same encoding.
func AppendContext(b []byte, ec kms.EncryptionContext) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(ec)))
	for _, name := range slices.Sorted(maps.Keys(ec)) {
		for _, s := range []string{name, ec[name]} {
			b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	return b
}

// call calls the service within its time limit and completes its error.
func call[T any](ctx context.Context, w *Wrapper, op string, do func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := ContextError(ctx, op, w.KeyID()); err != nil {
		return zero, err
	}
	bounded, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	v, err := do(bounded)
	if err == nil {
		return v, nil
	}
	if err := ContextError(ctx, op, w.KeyID()); err != nil {
		return zero, err
	}
	var failed *kms.Error
	switch {
	case bounded.Err() != nil:
		return zero, &kms.Error{Op: op, KeyID: w.KeyID(), Class: kms.ErrTimeout, Hint: "check the network path to the key service, or allow more time"}
	case errors.As(err, &failed):
		e := *failed
		e.Op, e.KeyID = op, w.KeyID()
		// gRPC sends the deadline along, and the service may notice it before this process does.
		if asked, sent := deadlineOf(ctx), deadlineOf(bounded); errors.Is(e.Class, kms.ErrTimeout) && asked.Equal(sent) {
			e.Cause = context.DeadlineExceeded
		}
		return zero, &e
	}
	return zero, w.fail(op, kms.ErrUnavailable, fmt.Sprintf("the call failed with an error of type %T", err))
}

func deadlineOf(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}

// ContextError returns the error of a Wrapper whose caller's context has ended, and nil if it has
// not.
func ContextError(ctx context.Context, op, keyID string) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return &kms.Error{Op: op, KeyID: keyID, Class: kms.ErrTimeout, Cause: err, Reason: "the caller's deadline passed"}
	}
	return err
}

func (w *Wrapper) fail(op string, class error, reason string) error {
	e := &kms.Error{Op: op, KeyID: w.KeyID(), Class: class, Reason: reason}
	if errors.Is(class, kms.ErrInvalidWrapped) {
		e.Hint = "restore the row of the key table, or open it with the key service that wrapped it"
	}
	return e
}

// OneLine makes the text of a service fit for an error: one line, printable, at most 600 bytes.
func OneLine(s string) string {
	const limit = 600
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?' // an escape sequence, say, on its way to a terminal
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// TransportReason returns why a request got no answer. It returns the text of an error of the
// network. Of any other error it returns only the type, because errors about an answer may hold a
// part of it.
func TransportReason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return OneLine(op.Error())
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("the request failed with an error of type %T", err)
		}
		err = inner
	}
}
