package codec

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// textPrefix starts a cell in a column of type text. The digit is the version of this outer form.
const textPrefix = "cs1:"

// Strict: a cell has one textual form only, so that no altered text opens.
var textEncoding = base64.RawURLEncoding.Strict()

// EncodeText returns the form in which a cell is stored in a text column: "cs1:" and unpadded base64url.
func EncodeText(cell []byte) string {
	return string(AppendText(make([]byte, 0, len(textPrefix)+textEncoding.EncodedLen(len(cell))), cell))
}

// AppendText appends what EncodeText returns to dst.
func AppendText(dst, cell []byte) []byte {
	return textEncoding.AppendEncode(append(dst, textPrefix...), cell)
}

// DecodeText returns the cell of a text column's value, in new memory. The error is ErrNotSealed if it is not the textual form of a
// cell, and ErrFormat if it is a damaged one. The bytes it returns are judged by [Recognize].
func DecodeText(s []byte) ([]byte, error) {
	return AppendDecodeText(nil, s)
}

// AppendDecodeText is DecodeText into dst's spare capacity, which must not overlap s.
func AppendDecodeText(dst, s []byte) ([]byte, error) {
	if !bytes.HasPrefix(s, []byte(textPrefix)) {
		if nearText(s) {
			return nil, fmt.Errorf("%w: damaged %q prefix", ErrFormat, textPrefix)
		}
		return nil, fmt.Errorf("%w: no %q prefix", ErrNotSealed, textPrefix)
	}
	s = s[len(textPrefix):]
	// encoding/base64 skips line ends.
	if bytes.IndexByte(s, '\n') >= 0 || bytes.IndexByte(s, '\r') >= 0 {
		return nil, fmt.Errorf("%w: line end in base64url", ErrFormat)
	}
	n := len(dst)
	size := textEncoding.DecodedLen(len(s))
	dst = grow(dst, size)[:n+size]
	m, err := textEncoding.Decode(dst[n:], s)
	if err != nil {
		return nil, fmt.Errorf("%w: not unpadded base64url", ErrFormat)
	}
	return dst[:n+m], nil
}

// nearText reports whether s is a cell's textual form but for one byte of the prefix: damage, which a table that is being
// migrated must not take for plaintext.
func nearText(s []byte) bool {
	if len(s) < len(textPrefix) {
		return false
	}
	differ := 0
	for i := range len(textPrefix) {
		if s[i] != textPrefix[i] {
			differ++
		}
	}
	if differ != 1 {
		return false
	}
	cell, err := textEncoding.AppendDecode(nil, s[len(textPrefix):])
	if err != nil {
		return false
	}
	_, err = ParseHeader(cell)
	return err == nil
}
