package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

func appendText(dst []byte, kind Kind, in *input) ([]byte, error) {
	n := len(dst)
	switch in.form {
	case formString:
		dst = append(dst, in.s...)
	case formBytes:
		dst = append(dst, in.raw...)
	default:
		return nil, refuse(kind, "neither a string nor bytes")
	}
	if !validText(dst[n:]) {
		return nil, errBadText(kind)
	}
	return dst, nil
}

func errBadText(kind Kind) error {
	return refuse(kind, "not valid UTF-8 without NUL, as PostgreSQL's text is")
}

func appendBytes(dst []byte, in *input) ([]byte, error) {
	switch in.form {
	case formString:
		return append(dst, in.s...), nil
	case formBytes:
		return append(dst, in.raw...), nil
	}
	return nil, refuse(KindBytes, "neither bytes nor a string")
}

func appendFloat(dst []byte, suite Suite, in *input) ([]byte, error) {
	f, err := in.toFloat()
	if err != nil {
		return nil, err
	}
	bits := math.Float64bits(f)
	switch {
	case f != f:
		bits = canonicalNaN
	case f == 0 && suite.Searchable():
		bits = 0 // -0 = 0
	}
	return binary.BigEndian.AppendUint64(dst, bits), nil
}

func (in *input) toFloat() (float64, error) {
	switch in.form {
	case formFloat:
		return in.f, nil
	case formInt:
		// MaxInt64 rounds to 2^63, which does not convert back.
		if f := float64(in.i); f < -math.MinInt64 && int64(f) == in.i {
			return f, nil
		}
		return 0, refuse(KindFloat, "a whole number that float64 cannot hold exactly")
	case formUint:
		return 0, refuse(KindFloat, "a whole number beyond int64")
	}
	s, ok := in.text()
	if !ok {
		return 0, refuse(KindFloat, "neither a number nor its text")
	}
	s = trimSpace(s)
	// ParseFloat reads hexadecimal too, which PostgreSQL does not.
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.ContainsAny(s, "xXpP_") || f == 0 && underflow(s) {
		return 0, refuse(KindFloat, "not the decimal text of a float64 in range")
	}
	return f, nil
}

// underflow reports whether s, the text of a float that was read as zero, is that of another
// number.
func underflow(s string) bool {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		s = s[:i]
	}
	return strings.ContainsAny(s, "123456789")
}

var errUUIDText = refuse(KindUUID, "not the text of a UUID")

// appendUUID accepts 16 raw bytes and the texts that PostgreSQL reads: 32 hexadecimal digits, a
// hyphen allowed after every fourth, braces around them.
func appendUUID(dst []byte, in *input) ([]byte, error) {
	if in.form == formBytes && len(in.raw) == 16 {
		return append(dst, in.raw...), nil
	}
	s, ok := in.text()
	if !ok {
		return nil, refuse(KindUUID, "neither 16 bytes nor a text")
	}
	if len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' {
		s = s[1 : len(s)-1]
	}
	var digits [32]byte
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '-' && n > 0 && n < 32 && n%4 == 0 && s[i-1] != '-' {
			continue
		}
		if n == len(digits) {
			return nil, errUUIDText
		}
		digits[n] = s[i]
		n++
	}
	var id [16]byte
	if n != len(digits) {
		return nil, errUUIDText
	}
	if _, err := hex.Decode(id[:], digits[:]); err != nil {
		return nil, errUUIDText
	}
	return append(dst, id[:]...), nil
}

func formatUUID(id [16]byte) string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// appendJSON keeps a JSON text as it is, or compacted for the deterministic suite. That is equality
// of texts: the order of members and the spelling of numbers still count, as they do in
// PostgreSQL's json and do not in jsonb.
func appendJSON(dst []byte, suite Suite, v any) ([]byte, error) {
	text, err := jsonText(v)
	if err != nil {
		return nil, err
	}
	n := len(dst)
	switch v := text.(type) {
	case string:
		dst = append(dst, v...)
	case []byte:
		dst = append(dst, v...)
	}
	if !utf8.Valid(dst[n:]) || !json.Valid(dst[n:]) {
		return nil, refuse(KindJSON, "not valid JSON in UTF-8")
	}
	if !suite.Searchable() {
		return dst, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, dst[n:]); err != nil {
		return nil, refuse(KindJSON, "not valid JSON in UTF-8")
	}
	return append(dst[:n], compact.Bytes()...), nil
}

// jsonText returns the JSON text of v as a string or []byte. What is made of a string or of bytes
// is JSON already, a number or bool is one whatever its methods, and other values are marshalled.
func jsonText(v any) (any, error) {
	held, whole, err := follow(KindJSON, v)
	if err != nil {
		return nil, err
	}
	switch rv := reflect.ValueOf(held); rv.Kind() {
	case reflect.String:
		return rv.String(), nil
	case reflect.Slice:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			return rv.Bytes(), nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		whole = rv.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		whole = rv.Uint()
	case reflect.Float32, reflect.Float64:
		whole = rv.Float()
	case reflect.Bool:
		whole = rv.Bool()
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, &valueError{kind: KindJSON, reason: "cannot be marshalled", cause: err}
	}
	return text, nil
}
