package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Suite is how a cell is sealed. The zero value is no suite.
type Suite uint8

const (
	SuiteRandomized    Suite = 1 // AES-256-GCM under a random nonce: equal values give different cells
	SuiteDeterministic Suite = 2 // synthetic IV and AES-256-CTR: equal values give equal cells
	SuiteOrdered       Suite = 3 // the same behind an order term: the cells sort as the values do
	SuiteTerms         Suite = 4 // as SuiteDeterministic, behind tokens of what can be searched for
	SuiteRandomTerms   Suite = 5 // the same with a salt: equal values give equal tokens in different cells
)

// Suites is how many suites there are. They are numbered from 1.
const Suites = 5

const (
	// HeaderSize is the length of a cell's header in bytes.
	HeaderSize = 8

	// maxPlaintext is the length in bytes of the longest value encoding that can be sealed. Its
	// cell is just short of 1 GiB, the longest field that PostgreSQL stores.
	maxPlaintext = 1<<30 - 128

	version = 1

	nonceSize = 12 // suite 1, NIST SP 800-38D section 8.2.2
	tagSize   = 16 // suite 1
	ivSize    = 16 // suite 2
	kindSize  = 1

	// How many bytes a cell is longer than its value's encoding; of an ordered one, with the
	// shortest order term.
	overheadRandomized    = HeaderSize + nonceSize + kindSize + tagSize
	overheadDeterministic = HeaderSize + ivSize + kindSize
	overheadOrdered       = overheadDeterministic + 1
)

// Valid reports whether s is a suite of this version.
func (s Suite) Valid() bool { return s >= SuiteRandomized && s <= Suites }

// EqualCells reports whether equal values have equal cells under one key.
func (s Suite) EqualCells() bool { return s >= SuiteDeterministic && s <= SuiteTerms }

// Searchable reports whether something in the cells of s is equal for equal values, so that they
// are sealed under a search key, and equal values have one encoding.
func (s Suite) Searchable() bool { return s >= SuiteDeterministic && s <= SuiteRandomTerms }

// HasTerms reports whether tokens stand in the cells of s.
func (s Suite) HasTerms() bool { return s == SuiteTerms || s == SuiteRandomTerms }

// Overhead returns how many bytes a cell of s is longer than its value's encoding, at least, and so
// the length of the shortest cell. See [Layout.Overhead] for the cells of one column. It is 0 for
// an unknown suite.
func (s Suite) Overhead() int {
	switch s {
	case SuiteRandomized:
		return overheadRandomized
	case SuiteDeterministic:
		return overheadDeterministic
	case SuiteOrdered:
		return overheadOrdered
	case SuiteTerms:
		return overheadDeterministic + countSize
	case SuiteRandomTerms:
		return overheadDeterministic + countSize + saltSize
	}
	return 0
}

// String returns "randomized", "deterministic", "ordered", "deterministic-terms" or
// "randomized-terms".
func (s Suite) String() string {
	switch s {
	case SuiteRandomized:
		return "randomized"
	case SuiteDeterministic:
		return "deterministic"
	case SuiteOrdered:
		return "ordered"
	case SuiteTerms:
		return "deterministic-terms"
	case SuiteRandomTerms:
		return "randomized-terms"
	}
	return "suite " + strconv.Itoa(int(s))
}

// Layout is what the cells of one column look like.
type Layout struct {
	Suite Suite
	Order *Order // of SuiteOrdered
}

// Overhead returns how many bytes a cell is longer than its value's encoding, not counting its
// tokens.
func (l Layout) Overhead() int {
	if l.Order != nil {
		return overheadDeterministic + l.Order.Size()
	}
	return l.Suite.Overhead()
}

// bodyOffset is where, from the start of a cell, sealInPlace expects kind byte and encoding: where
// their ciphertext will stand. In FIPS mode it is where the nonce of suite 1 will: the AEAD moves
// the text when it writes its nonce before it, and refuses any other overlap.
func (l Layout) bodyOffset() int {
	switch {
	case l.Order != nil:
		return HeaderSize + l.Order.Size() + ivSize
	case l.Suite == SuiteDeterministic:
		return HeaderSize + ivSize
	case approved:
		return HeaderSize
	}
	return HeaderSize + nonceSize
}

// Header is the readable start of a cell. It is authenticated when the cell is opened and not
// before: until then it only says which key to try.
type Header struct {
	Suite Suite
	Tag   uint16 // ColumnTag of the column's identity
	KeyID uint32 // data key, as the keyring numbers it
}

// Append appends the header's eight bytes to dst.
func (h Header) Append(dst []byte) []byte {
	dst = append(dst, version, byte(h.Suite))
	dst = binary.BigEndian.AppendUint16(dst, h.Tag)
	return binary.BigEndian.AppendUint32(dst, h.KeyID)
}

// ParseHeader reads the header of a cell of this version. It checks that the cell is long enough
// for its suite, and nothing that needs a key. The error is ErrFormat, ErrVersion or ErrSuite.
func ParseHeader(cell []byte) (Header, error) {
	if len(cell) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes, shorter than a header", ErrFormat, len(cell))
	}
	if cell[0] != version {
		return Header{}, fmt.Errorf("%w: %d, want %d", ErrVersion, cell[0], version)
	}
	h := Header{
		Suite: Suite(cell[1]),
		Tag:   binary.BigEndian.Uint16(cell[2:]),
		KeyID: binary.BigEndian.Uint32(cell[4:]),
	}
	if !h.Suite.Valid() {
		return Header{}, fmt.Errorf("%w: %d", ErrSuite, cell[1])
	}
	if len(cell) < h.Suite.Overhead() {
		return Header{}, fmt.Errorf("%w: %d bytes, a %s cell has at least %d", ErrFormat, len(cell), h.Suite, h.Suite.Overhead())
	}
	if h.Suite.HasTerms() {
		if _, ok := bodyAt(cell); !ok {
			return Header{}, fmt.Errorf("%w: %d bytes, too few for its tokens", ErrFormat, len(cell))
		}
	}
	return h, nil
}

// ColumnTag returns the tag of the cells of a column: the first two bytes of SHA-256 over its
// identity, big-endian.
func ColumnTag(identity string) uint16 {
	sum := sha256.Sum256([]byte(identity))
	return binary.BigEndian.Uint16(sum[:])
}
