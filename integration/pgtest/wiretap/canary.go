package wiretap

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Canary is a value whose plaintext must be nowhere on the database's side.
type Canary struct {
	name  string
	forms []form
	fault error // why it cannot serve; Search returns it
}

// form is one sequence of bytes that gives the canary away.
type form struct {
	encoding string
	bytes    []byte
}

// minLength keeps canaries from being found by chance, in bytes.
const minLength = 8

// window is how much of a long canary one form holds, in bytes: its beginning, its middle and its
// end are looked for instead of the whole, of which a page of a data file may hold but a part.
const window = 64

// Text is a canary of text, at least 8 bytes of UTF-8. It must not hold quotes, backslashes or
// control characters, which the log and a dump write differently.
func Text(name, value string) Canary {
	c := Canary{name: name}
	switch {
	case len(value) < minLength:
		c.fault = fmt.Errorf("canary %s has fewer than %d bytes", name, minLength)
	case !utf8.ValidString(value):
		c.fault = fmt.Errorf("canary %s is not UTF-8", name)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '\'' || r == '"' || r == '\\' }):
		c.fault = fmt.Errorf("canary %s holds a quote, a backslash or a control character", name)
	default:
		for _, part := range textWindows(value) {
			c.addText("text", part)
		}
	}
	return c
}

// Bytes is a canary of at least 8 bytes.
func Bytes(name string, value []byte) Canary {
	c := Canary{name: name}
	if len(value) < minLength {
		c.fault = fmt.Errorf("canary %s has fewer than %d bytes", name, minLength)
		return c
	}
	for _, part := range windows(value) {
		c.addBytes("bytes", part)
	}
	return c
}

// Int is a canary of a number of at least 2^40: as decimal text, and as 8 bytes in either order.
func Int(name string, value int64) Canary {
	c := Canary{name: name}
	if value < 1<<40 && value > -1<<40 {
		c.fault = fmt.Errorf("canary %s is a number under 2^40, which would be found by chance", name)
		return c
	}
	c.addText("decimal", strconv.FormatInt(value, 10))
	c.addInt64("int64", value)
	return c
}

// Time is a canary of an instant whose microseconds are not whole seconds: as PostgreSQL and as Go
// write it in UTC, and as microseconds since 2000 (PostgreSQL) and since 1970 in 8 bytes in either
// order.
func Time(name string, value time.Time) Canary {
	c := Canary{name: name}
	value = value.UTC().Truncate(time.Microsecond)
	if value.Nanosecond() == 0 {
		c.fault = fmt.Errorf("canary %s is a time of whole seconds, which might be found by chance", name)
		return c
	}
	c.addText("timestamp", value.Format("2006-01-02 15:04:05.999999"))
	c.addText("RFC 3339 timestamp", value.Format("2006-01-02T15:04:05.999999"))
	c.addInt64("microseconds since 2000", value.UnixMicro()-time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	c.addInt64("microseconds since 1970", value.UnixMicro())
	return c
}

// UUID is a canary of 16 bytes: as they are, and as text with hyphens.
func UUID(name string, value [16]byte) Canary {
	c := Canary{name: name}
	c.addBytes("UUID bytes", value[:])
	h := hex.EncodeToString(value[:])
	c.addText("UUID text", strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"))
	return c
}

func (c *Canary) add(encoding string, b []byte) {
	for _, f := range c.forms {
		if bytes.Equal(f.bytes, b) {
			return
		}
	}
	c.forms = append(c.forms, form{encoding: encoding, bytes: b})
}

func (c *Canary) addInt64(what string, value int64) {
	c.addBytes(what+", big endian", binary.BigEndian.AppendUint64(nil, uint64(value)))
	c.addBytes(what+", little endian", binary.LittleEndian.AppendUint64(nil, uint64(value)))
}

// addText adds text raw, in UTF-16, and where it is not ASCII with JSON's escapes; each of them in
// hex and base64 too.
func (c *Canary) addText(what, s string) {
	c.addBytes(what, []byte(s))
	units := utf16.Encode([]rune(s))
	var le, be []byte
	var escaped, escapedUpper strings.Builder
	for _, u := range units {
		le = binary.LittleEndian.AppendUint16(le, u)
		be = binary.BigEndian.AppendUint16(be, u)
		if u < utf8.RuneSelf {
			escaped.WriteByte(byte(u))
			escapedUpper.WriteByte(byte(u))
			continue
		}
		fmt.Fprintf(&escaped, `\u%04x`, u)
		fmt.Fprintf(&escapedUpper, `\u%04X`, u)
	}
	c.addBytes(what+" in UTF-16LE", le)
	c.addBytes(what+" in UTF-16BE", be)
	if escaped.Len() != len(s) {
		c.add(what+" with JSON escapes", []byte(escaped.String()))
		c.add(what+" with JSON escapes", []byte(escapedUpper.String()))
		// PostgreSQL's text form of COPY doubles each backslash.
		c.add(what+" with JSON escapes, dumped", []byte(strings.ReplaceAll(escaped.String(), `\`, `\\`)))
		c.add(what+" with JSON escapes, dumped", []byte(strings.ReplaceAll(escapedUpper.String(), `\`, `\\`)))
	}
}

// addBytes adds b raw, in hex in both cases, and in both alphabets of base64 at each of the three
// places it can have in a group.
func (c *Canary) addBytes(what string, b []byte) {
	c.add(what+", raw", b)
	h := hex.EncodeToString(b)
	c.add(what+", hex", []byte(h))
	c.add(what+", hex in capitals", []byte(strings.ToUpper(h)))
	for shift := range 3 {
		c.add(fmt.Sprintf("%s, base64, shifted by %d", what, shift), shifted(base64.RawStdEncoding, b, shift))
		c.add(fmt.Sprintf("%s, base64url, shifted by %d", what, shift), shifted(base64.RawURLEncoding, b, shift))
	}
}

// shifted returns the characters of a base64 text that b alone determines, when b begins at the
// shift-th byte of a group of three.
func shifted(e *base64.Encoding, b []byte, shift int) []byte {
	text := e.AppendEncode(nil, append(make([]byte, shift), b...))
	first := (shift*8 + 5) / 6       // a character that also holds bits of what stands before is not b's alone
	last := (shift*8 + len(b)*8) / 6 // neither is one with bits of what stands after
	return text[first:last]
}

// windows returns b, or for a long b three parts of it.
func windows(b []byte) [][]byte {
	if len(b) <= 2*window {
		return [][]byte{b}
	}
	mid := len(b)/2 - window/2
	return [][]byte{b[:window], b[mid : mid+window], b[len(b)-window:]}
}

// textWindows is windows for UTF-8, never cutting a character.
func textWindows(s string) []string {
	var parts []string
	for _, w := range windows([]byte(s)) {
		parts = append(parts, trimToRunes(string(w)))
	}
	return parts
}

func trimToRunes(s string) string {
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}
