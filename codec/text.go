package codec

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// TextPrefix begins the textual form of every cell, which is how a column of type text stores it.
// The digit is the version of this form.
const TextPrefix = "cs1:"

// Strict: a cell has one textual form only, so that no altered text opens.
var textEncoding = base64.RawURLEncoding.Strict()

// EncodeText returns the form in which a cell is stored in a text column: "cs1:" and unpadded
// base64url.
func EncodeText(cell []byte) string {
	b := make([]byte, 0, len(TextPrefix)+textEncoding.EncodedLen(len(cell)))
	return string(textEncoding.AppendEncode(append(b, TextPrefix...), cell))
}

// DecodeText returns the cell of a text column's value, in new memory; tags are those of the
// column's cells, as in [Recognize]. The error is ErrNotSealed if the value is not the textual form
// of a cell, and otherwise as that of Recognize: with it DecodeText refuses what begins like one.
func DecodeText(s []byte, tags ...uint16) ([]byte, error) {
	if !bytes.HasPrefix(s, []byte(TextPrefix)) {
		if err := likeText(s, tags); err != nil {
			return nil, err
		}
		if likeHeader(s, tags) {
			return nil, fmt.Errorf("%w: a cell in a text column that is not in the textual form", ErrFormat)
		}
		return nil, fmt.Errorf("%w: no %q prefix", ErrNotSealed, TextPrefix)
	}
	s = s[len(TextPrefix):]
	// encoding/base64 skips line ends.
	if bytes.IndexByte(s, '\n') >= 0 || bytes.IndexByte(s, '\r') >= 0 {
		return nil, fmt.Errorf("%w: line end in base64url", ErrFormat)
	}
	cell := make([]byte, textEncoding.DecodedLen(len(s)))
	if _, err := textEncoding.Decode(cell, s); err != nil {
		return nil, fmt.Errorf("%w: not unpadded base64url", ErrFormat)
	}
	// Nothing with the prefix is plaintext, whatever it holds.
	if _, err := ParseHeader(cell); err != nil {
		return nil, err
	}
	return cell, nil
}
