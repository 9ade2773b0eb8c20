package kms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/colseal/colseal/internal/hint"
)

// An Opener makes a Wrapper from a URL whose scheme it was registered for.
type Opener func(ctx context.Context, u *url.URL) (Wrapper, error)

var registry struct {
	mu      sync.RWMutex // guards openers
	openers map[string]Opener
}

// shipped are the implementations that come with Colseal, so that Open can name
// the import that is missing.
var shipped = map[string]string{
	"agekms":   "github.com/colseal/colseal/kms/agekms",
	"awskms":   "github.com/colseal/colseal/kms/awskms",
	"azurekv":  "github.com/colseal/colseal/kms/azurekv",
	"gcpkms":   "github.com/colseal/colseal/kms/gcpkms",
	"localkms": "github.com/colseal/colseal/kms/localkms",
	"pkcs11":   "github.com/colseal/colseal/kms/pkcs11",
	"transit":  "github.com/colseal/colseal/kms/transit",
}

// Register makes an implementation available to [Open] under a URL scheme. An
// implementation calls it from an init function, so that importing it is enough.
// It panics when open is nil, when the scheme is not a lower-case URL scheme, or
// when it is taken. It is safe for concurrent use.
func Register(scheme string, open Opener) {
	if open == nil {
		panic("kms: Register with a nil opener for scheme " + scheme)
	}
	if u, err := url.Parse(scheme + ":///"); err != nil || u.Scheme != scheme || scheme == "" {
		panic(fmt.Sprintf("kms: Register with %q, which is not a lower-case URL scheme", scheme))
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if _, dup := registry.openers[scheme]; dup {
		panic("kms: Register called twice for scheme " + scheme)
	}
	if registry.openers == nil {
		registry.openers = make(map[string]Opener)
	}
	registry.openers[scheme] = open
}

// Schemes returns the sorted URL schemes that [Open] knows.
func Schemes() []string {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return slices.Sorted(maps.Keys(registry.openers))
}

// Open makes a Wrapper from a URL such as "awskms:///alias/app?region=eu-west-1"
// or "localkms:///var/lib/app/kek". The scheme's implementation must have been
// imported. Errors do not repeat the URL's user information or query. An error
// of Open itself, for a URL that cannot be used, is in no class.
func Open(ctx context.Context, rawURL string) (Wrapper, error) {
	if rawURL == "" {
		return nil, errors.New("kms: the KMS URL is empty; write it as awskms:///alias/NAME or localkms:///PATH")
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		// url.Error repeats the whole text, and what it wraps a part of it: a credential, where
		// it takes one for a port.
		return nil, errors.New("kms: the KMS URL cannot be parsed; write it as awskms:///alias/NAME or localkms:///PATH")
	}
	if u.Scheme == "" {
		return nil, errors.New("kms: the KMS URL has no scheme; write it as awskms:///alias/NAME or localkms:///PATH")
	}
	registry.mu.RLock()
	open := registry.openers[u.Scheme]
	registry.mu.RUnlock()
	if open == nil {
		return nil, unknownScheme(u.Scheme)
	}
	return open(ctx, u)
}

func unknownScheme(scheme string) error {
	if path, ok := shipped[scheme]; ok {
		return hint.With(fmt.Errorf("kms: scheme %q is not registered", scheme), fmt.Sprintf("add the import _ %q", path))
	}
	known := strings.Join(Schemes(), ", ")
	if known == "" {
		known = "none"
	}
	return fmt.Errorf("kms: scheme %q is not registered (registered: %s); import the package that implements it: Colseal has %s",
		scheme, known, strings.Join(slices.Sorted(maps.Keys(shipped)), ", "))
}
