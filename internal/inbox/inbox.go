// Package inbox is the cryptography of keys that a program can make and seal under, and that only
// others can read: a data key is encrypted to an inbox's public key by HPKE. docs/formats.md is the
// authority.
package inbox

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// SeedSize is the length of an inbox's private key, which is wrapped by KMS as data keys are.
const SeedSize = 32

// A KEM is the public-key algorithm of an inbox: ML-KEM-768 together with an elliptic curve, so
// that both have to be broken. Its number is HPKE's.
type KEM uint16

// The KEMs. P256 is made of algorithms that FIPS 140 approves.
const (
	X25519 KEM = 0x647a // MLKEM768-X25519
	P256   KEM = 0x0050 // MLKEM768-P256
)

// String returns the KEM's name, as ParseKEM takes it.
func (k KEM) String() string {
	switch k {
	case X25519:
		return "mlkem768-x25519"
	case P256:
		return "mlkem768-p256"
	}
	return fmt.Sprintf("KEM(%#04x)", uint16(k))
}

// ParseKEM returns the KEM of a name.
func ParseKEM(name string) (KEM, error) {
	for _, k := range []KEM{X25519, P256} {
		if name == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown KEM %q: write %s or %s", name, X25519, P256)
}

func (k KEM) hpke() (hpke.KEM, error) {
	switch k {
	case X25519:
		return hpke.MLKEM768X25519(), nil
	case P256:
		return hpke.MLKEM768P256(), nil
	}
	return nil, errPublic
}

var (
	errPublic  = errors.New("the public key is not one of an inbox")
	errWrapped = errors.New("the key was not encrypted to this inbox for its id, scope and keyring")
)

// A Public is an inbox's public key.
type Public struct{ key hpke.PublicKey }

// KEMOf returns the KEM of a public key as the keyring has it.
func KEMOf(public []byte) (KEM, error) {
	if len(public) < 2 {
		return 0, errPublic
	}
	k := KEM(binary.BigEndian.Uint16(public))
	_, err := k.hpke()
	return k, err
}

// ParsePublic reads a public key as the keyring has it: the KEM's number, then the key.
func ParsePublic(b []byte) (*Public, error) {
	k, err := KEMOf(b)
	if err != nil {
		return nil, err
	}
	kem, err := k.hpke()
	if err != nil {
		return nil, err
	}
	key, err := kem.NewPublicKey(b[2:])
	if err != nil {
		return nil, errPublic
	}
	return &Public{key}, nil
}

// Seal encrypts a data key to the inbox. Only what has the same info opens it.
func (p *Public) Seal(info, dataKey []byte) ([]byte, error) {
	return hpke.Seal(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, dataKey)
}

// A Private is an inbox's private key.
type Private struct{ key hpke.PrivateKey }

// NewPrivate returns the private key of a seed, which it does not keep.
func NewPrivate(k KEM, seed []byte) (*Private, error) {
	kem, err := k.hpke()
	if err != nil {
		return nil, err
	}
	if len(seed) != SeedSize {
		return nil, fmt.Errorf("the private key of an inbox has %d bytes", SeedSize)
	}
	key, err := kem.NewPrivateKey(append([]byte(nil), seed...))
	if err != nil {
		return nil, err
	}
	return &Private{key}, nil
}

// Public returns the public key as the keyring has it.
func (p *Private) Public() []byte {
	return append(binary.BigEndian.AppendUint16(nil, p.key.KEM().ID()), p.key.PublicKey().Bytes()...)
}

// Open returns the data key that was encrypted to the inbox with info.
func (p *Private) Open(info, wrapped []byte) ([]byte, error) {
	dataKey, err := hpke.Open(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, wrapped)
	if err != nil {
		return nil, errWrapped
	}
	return dataKey, nil
}

// Info returns what a writer's data key is bound to: its id, its scope, and the id of its keyring.
func Info(keyID uint32, keyring, scope string) ([]byte, error) {
	id, err := hex.DecodeString(keyring)
	if err != nil || len(id) != 16 {
		return nil, errors.New("the id of a keyring has 32 hexadecimal digits")
	}
	info := binary.BigEndian.AppendUint32([]byte("colseal writer v1"), keyID)
	return appendScope(append(info, id...), scope), nil
}

// A Pin names an inbox: its row in the keyring, and the row's content. A program that has the pin
// accepts no other. The row counts as much as the public key does: whoever may insert into the
// keyring could put the same public key into another row, beside a wrong private key, and nobody
// could open what is encrypted to that.
type Pin struct {
	KeyID uint32
	Hash  [sha256.Size]byte
}

// PinOf returns the pin of an inbox.
func PinOf(keyID uint32, scope string, public []byte) Pin {
	return Pin{keyID, sha256.Sum256(append(appendScope([]byte("colseal inbox v1"), scope), public...))}
}

// String returns the pin in hexadecimal digits: the row's id, a hyphen, the hash.
func (p Pin) String() string { return fmt.Sprintf("%08x-%x", p.KeyID, p.Hash) }

// ParsePin reads what String returns.
func ParsePin(s string) (Pin, error) {
	var p Pin
	id, hash, _ := strings.Cut(s, "-")
	raw, err := hex.DecodeString(id + hash)
	if err != nil || len(id) != 8 || len(raw) != 4+len(p.Hash) || s != strings.ToLower(s) {
		return Pin{}, errors.New("the pin of an inbox has 8 hexadecimal digits, a hyphen and 64 more: `colseal keys inbox` prints it")
	}
	p.KeyID = binary.BigEndian.Uint32(raw)
	copy(p.Hash[:], raw[4:])
	return p, nil
}

func appendScope(dst []byte, scope string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(scope))), scope...) //nolint:gosec // a scope has 256 bytes at most
}
