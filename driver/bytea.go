package driver

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/schema"
)

// unwrapValue and unwrapArray are the functions of these names, but for text that is given
// for a column of bytes: on PostgreSQL it is the text of a bytea, as it would be if the column
// were not sealed, so that '\x0102' is two bytes.

func (s *sealer) unwrapValue(kind codec.Kind, v any) (any, error) {
	v, err := unwrapValue(kind, v)
	if err != nil {
		return nil, err
	}
	return s.bytesOf(kind, v)
}

func (s *sealer) unwrapArray(kind codec.Kind, v any) ([]any, error) {
	elems, err := unwrapArray(kind, v)
	if err != nil || kind != schema.Bytes {
		return elems, err
	}
	for i := range elems { // a slice that unwrapArray made, never the caller's
		if elems[i], err = s.bytesOf(kind, elems[i]); err != nil {
			return nil, err
		}
	}
	return elems, nil
}

func (s *sealer) bytesOf(kind codec.Kind, v any) (any, error) {
	if kind != schema.Bytes || v == nil || s.c.st.cfg.Dialect != Postgres {
		return v, nil
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.String {
		return parseBytea(rv.String())
	}
	return v, nil
}

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
