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
	SuiteDeterministic Suite = 2 // synthetic IV over HMAC-SHA-256 and AES-256-CTR: equal values give equal cells
)

const (
	// HeaderSize is the length of a cell's header in bytes.
	HeaderSize = 8

	// maxPlaintext is the length in bytes of the longest value encoding that can be sealed. Its cell is just short of
	// 1 GiB, the longest field that PostgreSQL stores.
	maxPlaintext = 1<<30 - 128

	version = 1

	nonceSize = 12 // suite 1, NIST SP 800-38D section 8.2.2
	tagSize   = 16 // suite 1
	ivSize    = 16 // suite 2
	kindSize  = 1

	// overheadRandomized and overheadDeterministic are how many bytes a cell is longer than its value's encoding.
	overheadRandomized    = HeaderSize + nonceSize + kindSize + tagSize
	overheadDeterministic = HeaderSize + ivSize + kindSize
)

// Valid reports whether s is a suite of this version.
func (s Suite) Valid() bool { return s == SuiteRandomized || s == SuiteDeterministic }

// Overhead is how many bytes a cell of s is longer than its value's encoding, and so the length of the shortest cell.
// It is 0 for an unknown suite.
func (s Suite) Overhead() int {
	switch s {
	case SuiteRandomized:
		return overheadRandomized
	case SuiteDeterministic:
		return overheadDeterministic
	}
	return 0
}

// String returns "randomized" or "deterministic".
func (s Suite) String() string {
	switch s {
	case SuiteRandomized:
		return "randomized"
	case SuiteDeterministic:
		return "deterministic"
	}
	return "suite " + strconv.Itoa(int(s))
}

// Header is the readable start of a cell. It is authenticated when the cell is opened and not before: until then it
// only says which key to try.
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

// ParseHeader reads the header of a cell of this version. It checks that the cell is long enough for its suite, and
// nothing that needs a key. The error is ErrFormat, ErrVersion or ErrSuite.
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
	return h, nil
}

// ColumnTag returns the tag of the cells of a column: the first two bytes of SHA-256 over its identity, big-endian.
func ColumnTag(identity string) uint16 {
	sum := sha256.Sum256([]byte(identity))
	return binary.BigEndian.Uint16(sum[:])
}
