package front

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/colseal/colseal/codec"
)

var errBytea = fmt.Errorf("%w: not the text of a bytea: give it as []byte, or as hexadecimal digits after \\x", codec.ErrValue)

// parseBytea reads the text of a bytea as PostgreSQL does (byteain): hexadecimal digits after
// "\x", white space between the bytes allowed, or bytes as they are with \\ and \ooo.
func parseBytea(s string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(s, `\x`); ok {
		return parseHex(digits)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		rest := s[i+1:]
		switch {
		case strings.HasPrefix(rest, `\`):
			out = append(out, '\\')
			i++
		case len(rest) >= 3 && rest[0] >= '0' && rest[0] <= '3' && octal(rest[1]) && octal(rest[2]):
			out = append(out, (rest[0]-'0')<<6|(rest[1]-'0')<<3|(rest[2]-'0'))
			i += 3
		default:
			return nil, errBytea
		}
	}
	return out, nil
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

func parseHex(s string) ([]byte, error) {
	out := make([]byte, 0, len(s)/2)
	for len(s) > 0 {
		if strings.IndexByte(" \n\t\r", s[0]) >= 0 {
			s = s[1:]
			continue
		}
		if len(s) < 2 {
			return nil, errBytea
		}
		var b [1]byte
		if _, err := hex.Decode(b[:], []byte(s[:2])); err != nil {
			return nil, errBytea
		}
		out, s = append(out, b[0]), s[2:]
	}
	return out, nil
}
