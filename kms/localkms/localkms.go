// Package localkms wraps data keys under a key encryption key (KEK) in a file.
//
// It is for development, tests and the quickstart only. The KEK lies in clear text
// on a disk, so whoever can read the file and the database can read everything;
// nobody records its use, and it cannot be revoked. Use kms/awskms, or another
// service that keeps the KEK, in production.
//
// # The KEK file
//
// The file holds 32 random bytes and nothing else. It is made on first use, with
// permissions 0600, completely or not at all, and of several processes that start
// together one makes it and the others use that one. A file with looser permissions
// or of another size is refused. Losing it loses every key under it, and with them
// the data.
//
// # The wrapped key
//
//	[version 1][KEK id 16][nonce 12][ciphertext 32][tag 16]
//
// AES-256-GCM with a random nonce; authenticated with it are a domain string, the
// version, the KEK id and the encryption context, sorted by name and
// length-prefixed. The KEK id is derived from the KEK by HKDF-SHA256, as is the key
// that wraps.
package localkms

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

const (
	version    = 1
	idSize     = 16
	headerSize = 1 + idSize
	blobSize   = headerSize + 12 + kms.DataKeySize + 16
	domain     = "colseal localkms v1"
)

// Wrapper is a [kms.Wrapper] and a [kms.Checker] on a KEK in a file. It is made by
// [Open] and safe for concurrent use.
type Wrapper struct {
	current *kek
	all     []*kek // current and retired
}

// kek is a key encryption key, ready for use.
type kek struct {
	path string
	id   [idSize]byte
	aead cipher.AEAD
}

var (
	_ kms.Importer = (*Wrapper)(nil)
	_ kms.Checker  = (*Wrapper)(nil)
	_ kms.Matcher  = (*Wrapper)(nil)
	_ kms.Truster  = (*Wrapper)(nil)
)

func init() {
	kms.Register("localkms", func(_ context.Context, u *url.URL) (kms.Wrapper, error) { return openURL(u) })
}

// Open reads the KEK from a file, and makes it first if there is none; its directory
// must exist. The retired files are KEKs of earlier times: they must exist, only
// unwrap, and Rewrap leads away from them.
//
// With kms.Open the URL is "localkms:///var/lib/app/kek", or
// "localkms:///var/lib/app/kek?retired=/var/lib/app/old-kek", where retired may be
// repeated. The path is absolute.
func Open(path string, retired ...string) (*Wrapper, error) {
	current, err := loadKEK(path, true)
	if err != nil {
		return nil, err
	}
	w := &Wrapper{current: current, all: []*kek{current}}
	for _, p := range retired {
		k, err := loadKEK(p, false)
		if err != nil {
			return nil, err
		}
		w.all = append(w.all, k)
	}
	return w, nil
}

func openURL(u *url.URL) (kms.Wrapper, error) {
	if u.Opaque != "" || u.Host != "" || u.User != nil || u.Fragment != "" || u.Path == "" || u.Path == "/" {
		return nil, errors.New("localkms: the URL must be written localkms:///PATH with three slashes, PATH being absolute")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("localkms: the URL's parameters cannot be parsed: %w", err)
	}
	for name := range query {
		if name != "retired" {
			return nil, fmt.Errorf("localkms: the URL has an unknown parameter %q; known is retired", name)
		}
	}
	return Open(filepath.FromSlash(u.Path), query["retired"]...)
}

func loadKEK(path string, create bool) (*kek, error) {
	secret, err := readKEK(path, create)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	id, err1 := hkdf.Key(sha256.New, secret, nil, domain+" id", idSize)
	wrapKey, err2 := hkdf.Key(sha256.New, secret, nil, domain+" wrap", 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("localkms: %w", err)
	}
	defer clear(wrapKey)
	block, err := aes.NewCipher(wrapKey)
	if err != nil {
		return nil, fmt.Errorf("localkms: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("localkms: %w", err)
	}
	return &kek{path: path, id: [idSize]byte(id), aead: aead}, nil
}

// KeyID returns the id of the current KEK as it stands in Wrapped.KeyID:
// "localkms:" and 32 hexadecimal digits. It is not secret.
func (w *Wrapper) KeyID() string { return w.current.name() }

func (k *kek) name() string { return "localkms:" + hex.EncodeToString(k.id[:]) }

// GenerateDataKey implements [kms.Wrapper].
func (w *Wrapper) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	if err := envelope.ContextError(ctx, "generate data key", w.current.path); err != nil {
		return kms.DataKey{}, err
	}
	plaintext := make([]byte, kms.DataKeySize)
	_, _ = rand.Read(plaintext) // never fails
	return kms.DataKey{Plaintext: plaintext, Wrapped: w.current.wrap(plaintext, ec)}, nil
}

// Wrap implements [kms.Importer].
func (w *Wrapper) Wrap(ctx context.Context, plaintext []byte, ec kms.EncryptionContext) (kms.Wrapped, error) {
	const op = "wrap data key"
	if err := envelope.ContextError(ctx, op, w.current.path); err != nil {
		return kms.Wrapped{}, err
	}
	if len(plaintext) != kms.DataKeySize {
		return kms.Wrapped{}, fail(op, w.current.path, kms.ErrDenied, nil, fmt.Sprintf("%d bytes are no data key", len(plaintext)), "")
	}
	return w.current.wrap(plaintext, ec), nil
}

// Matches implements [kms.Matcher].
func (w *Wrapper) Matches(wrapped kms.Wrapped) bool {
	return slices.ContainsFunc(w.all, func(k *kek) bool { return k.name() == wrapped.KeyID })
}

// Trusts implements [kms.Truster]: the KEKs of its files are the program's own.
func (w *Wrapper) Trusts(kek string) bool { return w.Matches(kms.Wrapped{KeyID: kek}) }

// Unwrap implements [kms.Wrapper].
func (w *Wrapper) Unwrap(ctx context.Context, wrapped kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	return w.unwrap(ctx, "unwrap data key", wrapped, ec)
}

// Rewrap implements [kms.Wrapper].
func (w *Wrapper) Rewrap(ctx context.Context, wrapped kms.Wrapped, from, to kms.EncryptionContext) (kms.Wrapped, error) {
	plaintext, err := w.unwrap(ctx, "rewrap data key", wrapped, from)
	if err != nil {
		return kms.Wrapped{}, err
	}
	defer clear(plaintext)
	return w.current.wrap(plaintext, to), nil
}

// Check reports whether the KEK file still is what Open read: there, with tight
// permissions, and with the same KEK.
func (w *Wrapper) Check(ctx context.Context) error {
	if err := envelope.ContextError(ctx, "check key", w.current.path); err != nil {
		return err
	}
	k, err := loadKEK(w.current.path, false)
	if err != nil {
		return err
	}
	if k.id != w.current.id {
		return fail("check key", k.path, kms.ErrDenied, nil, "the file holds another KEK than when it was opened", "restart the process, or restore the file")
	}
	return nil
}

func (w *Wrapper) unwrap(ctx context.Context, op string, wrapped kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	if err := envelope.ContextError(ctx, op, w.current.path); err != nil {
		return nil, err
	}
	invalid := func(reason, hint string) error {
		return fail(op, w.current.path, kms.ErrInvalidWrapped, nil, reason, hint)
	}
	if len(wrapped.Blob) != blobSize || wrapped.Blob[0] != version {
		return nil, invalid(fmt.Sprintf("%d bytes that are not a wrapped key of localkms", len(wrapped.Blob)), "open it with the KMS that wrapped it")
	}
	id := wrapped.Blob[1:headerSize]
	for _, k := range w.all {
		if [idSize]byte(id) != k.id {
			continue
		}
		if wrapped.KeyID != k.name() {
			return nil, invalid(fmt.Sprintf("its key id is %q, but %s wrapped it", wrapped.KeyID, k.name()), "restore the row of the key table")
		}
		plaintext, err := k.aead.Open(nil, nil, wrapped.Blob[headerSize:], aad(wrapped.Blob[:headerSize], ec))
		if err != nil {
			return nil, invalid("it or its encryption context was changed since it was made", "restore the row of the key table")
		}
		return plaintext, nil
	}
	return nil, invalid(fmt.Sprintf("it was wrapped under localkms:%x, and this file holds %s", id, w.current.name()),
		"restore the KEK file, or give it as a retired one")
}

func (k *kek) wrap(plaintext []byte, ec kms.EncryptionContext) kms.Wrapped {
	blob := make([]byte, 0, blobSize)
	blob = append(blob, version)
	blob = append(blob, k.id[:]...)
	blob = k.aead.Seal(blob, nil, plaintext, aad(blob, ec))
	return kms.Wrapped{KeyID: k.name(), Blob: blob}
}

// aad returns what is authenticated with a data key.
func aad(header []byte, ec kms.EncryptionContext) []byte {
	return envelope.AppendContext(append([]byte(domain), header...), ec)
}

func fail(op, path string, class, cause error, reason, hint string) error {
	return &kms.Error{Op: op, KeyID: path, Class: class, Cause: cause, Reason: reason, Hint: hint}
}
