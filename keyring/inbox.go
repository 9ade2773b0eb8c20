package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/kms"
)

// A KEM is the public-key algorithm of an inbox.
type KEM string

// The KEMs. Both need ML-KEM-768 and an elliptic curve to be broken.
const (
	KEMX25519 KEM = "mlkem768-x25519" // the default
	KEMP256   KEM = "mlkem768-p256"   // made of algorithms that FIPS 140 approves
)

// Pin returns the pin of an inbox, for the configuration of write-only programs. It returns "" for
// other keys. It believes what the row says: use the pin of a key that [Admin.Inbox] has returned,
// or [Admin.CheckInbox] has checked.
func (k Key) Pin() string {
	if k.Purpose != PurposeInbox || k.Public == nil {
		return ""
	}
	return inbox.PinOf(k.ID, k.Scope, k.Public).String()
}

// Inbox makes the next inbox of a scope, or the first one. KMS makes and wraps its private key like
// a data key, and the row also holds its public key. A write-only program encrypts its keys to the
// newest inbox that is neither revoked nor retired, of those whose pins ([Key.Pin]) it is
// configured with. So nobody uses a new inbox until programs have its pin.
func (a *Admin) Inbox(ctx context.Context, scope string, kem KEM) (Key, error) {
	if kem == "" {
		kem = KEMX25519
	}
	if _, err := inbox.ParseKEM(string(kem)); err != nil {
		return Key{}, fmt.Errorf("keyring: %w", err)
	}
	if err := CheckScope(scope); err != nil {
		return Key{}, err
	}
	about := Key{Purpose: PurposeInbox, Scope: scope}
	for range rotateTries {
		ring, err := a.keyring.Ring(ctx, PurposeInbox, scope)
		if err != nil {
			return Key{}, Classify("make", about, err)
		}
		if tomb, destroyed := ring.Tombstone(); destroyed {
			return Key{}, ScopeDestroyed(tomb)
		}
		next := about
		next.Keyring, next.Epoch = ring.Keyring, ring.Next
		made, err := a.make(ctx, next, "inbox", kem)
		if err != nil {
			return Key{}, Classify("make", about, err)
		}
		if made.ID == 0 {
			continue
		}
		// A trigger of the keyring's owner could have put in another public key.
		k, err := a.key(ctx, made.ID)
		if err == nil && k.Pin() != made.Pin() {
			return Key{}, k.invalid("its row is not what was stored: somebody changed it, and its pin is theirs")
		}
		return k, err
	}
	return Key{}, Classify("make", about, errNoFreeID)
}

// CheckInbox returns nil if the public key of an inbox belongs to the private key that KMS unwraps.
// Any other row comes from somebody who wants to read what writers seal. It needs Decrypt at KMS.
func (a *Admin) CheckInbox(ctx context.Context, k Key) error {
	if k.Purpose != PurposeInbox || k.Destroyed {
		return refused("check", k, ErrKeyInvalid, "it is no inbox")
	}
	if k.Invalid != nil {
		return k.Invalid
	}
	seed, err := a.gate.Unwrap(ctx, k.Call(), k.Wrapped)
	if err != nil {
		return Classify("check", k, err)
	}
	defer clear(seed)
	_, err = k.Private(seed)
	return err
}

// publicOf returns the public key of an inbox's private key.
func publicOf(kem KEM, seed []byte) ([]byte, error) {
	k, err := inbox.ParseKEM(string(kem))
	if err != nil {
		return nil, err
	}
	private, err := inbox.NewPrivate(k, seed)
	if err != nil {
		return nil, err
	}
	return private.Public(), nil
}

// Private returns the private key of an inbox, made of the seed that KMS has unwrapped. It does not
// keep seed. Only this module can name its result's type.
func (k Key) Private(seed []byte) (*inbox.Private, error) {
	kem, err := inbox.KEMOf(k.Public)
	if err != nil {
		return nil, k.invalid("public: " + err.Error())
	}
	private, err := inbox.NewPrivate(kem, seed)
	if err != nil {
		return nil, k.invalid(err.Error())
	}
	if !bytes.Equal(private.Public(), k.Public) {
		return nil, k.invalid("its public key is not that of its private key")
	}
	return private, nil
}

// OpenedBy returns the plaintext of a writer's key, of the inbox to and its private key.
func (k Key) OpenedBy(to Key, private *inbox.Private) ([]byte, error) {
	if to.Purpose != PurposeInbox || to.Scope != k.Scope || to.ID != k.WrappedTo {
		return nil, k.invalid("the key that it is encrypted to is no inbox of its scope")
	}
	info, err := inbox.Info(k.ID, k.Keyring, k.Scope)
	if err != nil {
		return nil, err
	}
	plain, err := private.Open(info, k.Wrapped.Blob)
	if err == nil && len(plain) != kms.DataKeySize {
		clear(plain)
		err = errors.New("it has not the length of a key")
	}
	if err != nil {
		return nil, k.invalid(err.Error())
	}
	return plain, nil
}

// EncryptedTo returns a writer's key with its plaintext encrypted to an inbox.
func (k Key) EncryptedTo(to Key, plain []byte) (Key, error) {
	public, err := inbox.ParsePublic(to.Public)
	if err != nil {
		return k, to.invalid("public: " + err.Error())
	}
	info, err := inbox.Info(k.ID, k.Keyring, k.Scope)
	if err != nil {
		return k, err
	}
	if k.Wrapped.Blob, err = public.Seal(info, plain); err != nil {
		return k, fmt.Errorf("keyring: encrypt a writer's key: %w", err)
	}
	k.WrappedTo = to.ID
	return k, nil
}

// inboxes are private keys, of one run of an operation.
type inboxes struct {
	keys    map[uint32]Key // all of the keyring
	mu      sync.Mutex     // guards private; it is held while KMS is asked, once for each inbox
	private map[uint32]*inbox.Private
}

// open returns the plaintext of a writer's key.
func (b *inboxes) open(ctx context.Context, a *Admin, k Key) ([]byte, error) {
	to, ok := b.keys[k.WrappedTo]
	if !ok {
		return nil, k.invalid("the inbox that it is encrypted to is gone")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	private := b.private[to.ID]
	if private == nil {
		if to.Purpose != PurposeInbox || to.Destroyed || to.Invalid != nil {
			return nil, k.invalid("the key that it is encrypted to is no inbox")
		}
		seed, err := a.gate.Unwrap(ctx, to.Call(), to.Wrapped)
		if err != nil {
			return nil, err
		}
		defer clear(seed)
		if private, err = to.Private(seed); err != nil {
			return nil, err
		}
		b.private[to.ID] = private
	}
	return k.OpenedBy(to, private)
}
