package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
)

const (
	domain = "colseal/v1"

	dataKeySize = 32
)

// The usage byte of the HKDF info: what a derived key is for. Part of the format.
const (
	usageAEAD  = 1 // suite 1: AES-256-GCM
	usageMAC   = 2 // suites 2 to 5: HMAC-SHA-256
	usageCTR   = 3 // suites 2 to 5: AES-256-CTR
	usageTerm  = 4 // suite 3: AES-256, for the order term
	usageToken = 5 // suites 4 and 5: HMAC-SHA-256, for the tokens
)

// Key seals and opens the cells of one column under one data key. Making one costs some ten times
// what sealing a value does, so it is made once and kept. It is safe for concurrent use.
//
// A randomized Key must not seal more than 2^32 values, counted over all processes that hold the
// data key. Key does not count; its owner does.
type Key struct {
	header    Header
	headerRaw [HeaderSize]byte
	layout    Layout
	aad       []byte // of suite 3, all that stands before the order term

	// Suite 1. In FIPS mode random, which draws its nonces inside the crypto module; else plain,
	// which works in place without moving the text. The other is nil.
	random cipher.AEAD
	plain  cipher.AEAD

	// Suites 2 to 5.
	block     cipher.Block
	macStates sync.Pool // of *macState, keyed and reset

	// Suite 3.
	orderBlock cipher.Block

	terms *termKey // suites 4 and 5
}

// NewKey expands dataKey (32 bytes, as a key service makes them) for the cells of one column:
// identity is the column's cryptographic identity, 1 to 65535 bytes; of an ordered column it ends
// in [Order.Suffix], of one with terms in # and these. dataKey is not retained and may be wiped
// afterwards.
func NewKey(dataKey []byte, keyID uint32, suite Suite, identity string) (*Key, error) {
	if len(dataKey) != dataKeySize {
		return nil, fmt.Errorf("codec: data key of %d bytes, want %d", len(dataKey), dataKeySize)
	}
	if !suite.Valid() {
		return nil, fmt.Errorf("%w: %d", ErrSuite, uint8(suite))
	}
	if identity == "" || len(identity) > math.MaxUint16 {
		return nil, fmt.Errorf("codec: column identity of %d bytes, want 1 to %d", len(identity), math.MaxUint16)
	}
	k := &Key{header: Header{Suite: suite, Tag: ColumnTag(identity), KeyID: keyID}}
	copy(k.headerRaw[:], k.header.Append(nil))
	k.aad = appendAAD(nil, k.header, identity)
	k.layout.Suite = suite
	switch suite {
	case SuiteRandomized:
		return k, k.initRandomized(dataKey, identity)
	case SuiteOrdered:
		if err := k.initOrder(dataKey, identity); err != nil {
			return nil, err
		}
	case SuiteTerms, SuiteRandomTerms:
		var err error
		if k.terms, err = newTermKey(dataKey, suite, identity); err != nil {
			return nil, err
		}
	}
	return k, k.initDeterministic(dataKey, identity)
}

// Header returns the header of every cell that the key seals, and the only one that it opens.
func (k *Key) Header() Header { return k.header }

// appendAAD appends the associated data of a cell: domain ‖ header ‖ length of the identity ‖
// identity. It does not depend on the value, so it is made once per Key.
func appendAAD(dst []byte, h Header, identity string) []byte {
	dst = append(dst, domain...)
	dst = h.Append(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(identity)))
	return append(dst, identity...)
}

// derive returns the 32-byte key for one usage. The salt is empty: a data key is uniformly random
// already (RFC 5869, section 3.1).
func derive(dataKey []byte, suite Suite, usage byte, identity string) ([]byte, error) {
	info := append([]byte(domain), version, byte(suite), usage)
	info = binary.BigEndian.AppendUint16(info, uint16(len(identity)))
	info = append(info, identity...)
	key, err := hkdf.Key(sha256.New, dataKey, nil, string(info), 32)
	if err != nil {
		return nil, errors.New("codec: cannot derive a key from the data key")
	}
	return key, nil
}

func (k *Key) initRandomized(dataKey []byte, identity string) error {
	key, err := derive(dataKey, SuiteRandomized, usageAEAD, identity)
	if err != nil {
		return err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	if approved {
		k.random, err = cipher.NewGCMWithRandomNonce(block)
	} else {
		k.plain, err = cipher.NewGCM(block)
	}
	return err
}

func (k *Key) initDeterministic(dataKey []byte, identity string) error {
	macKey, err := derive(dataKey, k.header.Suite, usageMAC, identity)
	if err != nil {
		return err
	}
	encKey, err := derive(dataKey, k.header.Suite, usageCTR, identity)
	if err != nil {
		return err
	}
	defer clear(encKey)
	if k.block, err = aes.NewCipher(encKey); err != nil {
		return err
	}
	k.macStates.New = func() any { return newMACState(macKey, k.aad, k.termSize()) }
	return nil
}

// initOrder reads the order out of the identity, and makes what order terms need.
func (k *Key) initOrder(dataKey []byte, identity string) error {
	order, err := orderOf(identity)
	if err != nil {
		return err
	}
	k.layout.Order = order
	k.aad = binary.BigEndian.AppendUint16(k.aad, uint16(order.Size())) //nolint:gosec // at most 64
	key, err := derive(dataKey, SuiteOrdered, usageTerm, identity)
	if err != nil {
		return err
	}
	defer clear(key)
	k.orderBlock, err = aes.NewCipher(key)
	return err
}

// termSize returns the length in bytes of what stands between the header and the synthetic IV.
func (k *Key) termSize() int {
	if k.layout.Order == nil {
		return 0
	}
	return k.layout.Order.Size()
}
