// Package agekms wraps data keys for recipients of age (https://age-encryption.org/v1), such as a
// break-glass key whose identity lies in a safe.
//
// A Wrapper with recipients alone can wrap and not unwrap. Beside another key service in a
// [kms.Multi], it gives every data key a second way to be opened when the first is lost.
//
// An identity in a file can be read by whoever reads the file, its use is not recorded, and it
// cannot be revoked. Give programs recipients, and identities only to the people who recover.
//
// Data keys are bound to their encryption context by a second envelope (docs/formats.md), because
// age has no associated data.
package agekms

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

// maxFile is the longest age file that is opened: some hundred recipients.
const maxFile = 32 << 10

func init() { kms.Register("agekms", openURL) }

// New returns a Wrapper that wraps for all recipients and unwraps with any of the identities.
// Recipients are lines as in a recipients file of age, such as "age1…". It needs at least one;
// without identities it cannot unwrap.
func New(recipients []string, identities ...age.Identity) (*envelope.Wrapper, error) {
	parsed, err := age.ParseRecipients(strings.NewReader(strings.Join(recipients, "\n")))
	if err != nil {
		// The parser's error may repeat what was given, such as an identity.
		return nil, errors.New("agekms: a recipient cannot be read; give lines as in a recipients file of age")
	}
	var names []string
	for _, line := range recipients {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(names), "\n")))
	s := &service{recipients: parsed, identities: slices.Clone(identities), keyID: prefix + hex.EncodeToString(sum[:16])}
	return envelope.New(s, envelope.Config{Domain: "colseal agekms v1", Timeout: time.Minute, Double: true, MaxBlob: maxFile}), nil
}

// openURL opens agekms:///PATH/recipients.txt, where identities=PATH may name files of identities.
func openURL(_ context.Context, u *url.URL) (kms.Wrapper, error) {
	if u.Opaque != "" || u.Host != "" || u.User != nil || u.Fragment != "" || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("agekms: the URL must be written agekms:///PATH with three slashes, PATH being that of a recipients file")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("agekms: the URL's parameters cannot be parsed")
	}
	for name := range query {
		if name != "identities" {
			return nil, fmt.Errorf("agekms: the URL has an unknown parameter %q; known is identities", name)
		}
	}
	recipients, err := os.ReadFile(filepath.FromSlash(u.Path))
	if err != nil {
		return nil, fmt.Errorf("agekms: %w", err)
	}
	var identities []age.Identity
	for _, path := range query["identities"] {
		secret, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			return nil, fmt.Errorf("agekms: %w", err)
		}
		some, err := age.ParseIdentities(bytes.NewReader(secret))
		clear(secret)
		if err != nil {
			// The parser's error may repeat a line of the file.
			return nil, fmt.Errorf("agekms: %s is no file of age identities", path)
		}
		identities = append(identities, some...)
	}
	w, err := New(strings.Split(string(recipients), "\n"), identities...)
	if err != nil {
		return nil, err
	}
	return w, nil
}

const prefix = "age:"

type service struct {
	recipients []age.Recipient
	identities []age.Identity
	keyID      string
}

// KeyID implements [envelope.Service].
func (s *service) KeyID() string { return s.keyID }

// Matches implements [envelope.Service]. Without an identity nothing can be unwrapped.
func (s *service) Matches(w kms.Wrapped) bool {
	return len(s.identities) > 0 && strings.HasPrefix(w.KeyID, prefix)
}

// Check implements [envelope.Service].
func (s *service) Check(context.Context) error { return nil }

// Encrypt implements [envelope.Service].
func (s *service) Encrypt(_ context.Context, plaintext, _ []byte) (kms.Wrapped, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, s.recipients...)
	if err == nil {
		_, err = w.Write(plaintext)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return kms.Wrapped{}, &kms.Error{Class: kms.ErrDenied, Reason: envelope.OneLine(err.Error()), Hint: "check the recipients"}
	}
	return kms.Wrapped{KeyID: s.keyID, Blob: b.Bytes()}, nil
}

// Decrypt implements [envelope.Service].
func (s *service) Decrypt(_ context.Context, w kms.Wrapped, _ []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(w.Blob), s.identities...)
	if err != nil {
		return nil, &kms.Error{Class: kms.ErrInvalidWrapped, Reason: "no identity opens it, or it was changed", Hint: "give the identity of one of the recipients that it was wrapped for"}
	}
	plaintext, err := io.ReadAll(io.LimitReader(r, kms.DataKeySize+1))
	if err != nil {
		clear(plaintext)
		return nil, &kms.Error{Class: kms.ErrInvalidWrapped, Reason: "it was changed since it was made"}
	}
	return plaintext, nil
}
