package codec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRecognize(t *testing.T) {
	k := benchKey(t, SuiteRandomized)
	cell, _ := sealValue(k, KindText, "a value")
	tag := k.Header().Tag
	foreign, _ := NewKey(make([]byte, 32), 1, SuiteDeterministic, "users.phone")
	foreignCell, _ := sealValue(foreign, KindText, "+49 30 1234567")
	with2 := func(cell []byte, i int, b byte) []byte { c := bytes.Clone(cell); c[i] = b; return c }
	with := func(i int, b byte) []byte { return with2(cell, i, b) }
	for _, c := range []struct {
		name string
		cell []byte
		want error
		not  []error
	}{
		{"a cell", cell, nil, nil},
		{"a cell of another key", with(7, 9), nil, nil},
		{"a cell of another column", foreignCell, ErrColumnMismatch, []error{ErrFormat}},
		{"a damaged tag", with(2, cell[2]^1), ErrColumnMismatch, []error{ErrFormat}},
		{"a damaged version", with(0, 0x41), ErrVersion, []error{ErrNotSealed}},
		{"a damaged suite", with(1, 0x41), ErrSuite, []error{ErrNotSealed}},
		{"a cut cell", cell[:36], ErrFormat, []error{ErrNotSealed, ErrVersion}},
		{"a cut header", cell[:5], ErrFormat, []error{ErrNotSealed, ErrVersion}},
		{"hardly anything", cell[:3], ErrNotSealed, nil},
		{"nothing", nil, ErrNotSealed, nil},
		{"text", []byte("alice@example.com, who has a longer address than a header"), ErrNotSealed, nil},
		{"zeros", make([]byte, 50), ErrNotSealed, nil},
		{"short bytes with a version", []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, ErrNotSealed, nil},
		{"version and suite damaged", with2(with(0, 0x41), 1, 0x41), ErrVersion, []error{ErrNotSealed}},
		{"a bit of version, suite and tag each", with2(with2(with(0, 0), 1, cell[1]^0x80), 3, cell[3]^4), ErrVersion, []error{ErrNotSealed}},
		{"a bit of version and tag, cut", with2(with(0, 0), 2, cell[2]^4)[:20], ErrVersion, []error{ErrNotSealed}},
		{"the textual form", []byte(EncodeText(cell)), ErrFormat, []error{ErrNotSealed, ErrVersion}},
		{"the textual form after a blank", []byte(" " + EncodeText(cell)), ErrFormat, []error{ErrNotSealed, ErrVersion}},
		{"hexadecimal text", fmt.Appendf(nil, `\x%x`, cell), ErrHexText, []error{ErrNotSealed}},
		{"a word in hexadecimal", []byte(`\x616c696365406578616d706c652e636f6d616c696365406578616d706c652e636f6d`), ErrNotSealed, nil},
	} {
		h, err := Recognize(c.cell, 0xbeef, tag)
		switch {
		case c.want == nil && err != nil, c.want != nil && !errors.Is(err, c.want):
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		case err != nil && h != (Header{}):
			t.Errorf("%s: a header beside an error", c.name)
		}
		for _, not := range c.not {
			if errors.Is(err, not) {
				t.Errorf("%s: %v is %v", c.name, err, not)
			}
		}
	}
	if h, err := Recognize(foreignCell); err != nil || h != foreign.Header() {
		t.Errorf("without tags every tag will do: %v", err)
	}
}

func TestTextForm(t *testing.T) {
	k := benchKey(t, SuiteDeterministic)
	cell, _ := sealValue(k, KindText, "a value")
	good := EncodeText(cell)
	if got, err := DecodeText([]byte(good)); err != nil || !bytes.Equal(got, cell) {
		t.Errorf("%q, %v", got, err)
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"lower case", strings.ToLower(good), ErrFormat},
		{"upper case", strings.ToUpper(good), ErrFormat},
		{"a leading blank", " " + good, ErrFormat},
		{"a leading line end", "\r\n" + good, ErrFormat},
		{"a byte order mark", "\ufeff" + good, ErrFormat},
		{"quotes", `"` + good + `"`, ErrFormat},
		{"cut to the prefix", good[:4], ErrFormat},
		{"cut in the header", good[:10], ErrFormat},
		{"cut after the header", good[:20], ErrFormat},
		{"another header", good[:4] + "B" + good[5:], ErrVersion},
		{"plaintext with the prefix", "cs1:hello", ErrFormat},
		{"no prefix", good[4:], ErrFormat},
		{"half a prefix and the rest", good[2:], ErrFormat},
		{"a longer prefix", "x" + good, ErrFormat},
		{"base64 of PostgreSQL", base64.StdEncoding.EncodeToString(cell), ErrFormat},
		{"hexadecimal", fmt.Sprintf(`\x%x`, cell), ErrHexText},
		{"hexadecimal, cut", fmt.Sprintf(`\x%x`, cell[:6]), ErrHexText},
		{"hexadecimal of a CSV file", fmt.Sprintf(`"\\x%X"`, cell), ErrHexText},
		{"hexadecimal without a prefix", fmt.Sprintf("%x", cell), ErrHexText},
		{"the bytes themselves", string(cell), ErrFormat},
		{"a digest in hexadecimal", "0101e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852", ErrNotSealed},
		{"a number", "0102030405", ErrNotSealed},
		{"empty", "", ErrNotSealed},
		{"plaintext", "alice@example.com", ErrNotSealed},
		{"near the prefix, but plaintext", "cs2:hello", ErrNotSealed},
		{"half a prefix", "cs1", ErrNotSealed},
		{"damaged prefix", "Cs1:" + good[4:], ErrFormat},
		{"later version", "cs2:" + good[4:], ErrFormat},
		{"padded", good + "=", ErrFormat},
		{"standard alphabet", good[:8] + "+" + good[9:], ErrFormat},
		{"line end", good[:8] + "\n" + good[8:], ErrFormat},
		{"trailing bits", "cs1:AB", ErrFormat},
		{"space", good + " ", ErrFormat},
	} {
		got, err := DecodeText([]byte(c.text), k.Header().Tag)
		if !errors.Is(err, c.want) || got != nil || errors.Is(err, ErrNotSealed) != (c.want == ErrNotSealed) {
			t.Errorf("%s: %x, %v; want %v", c.name, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), good[8:]) {
			t.Errorf("%s: the error quotes the text", c.name)
		}
	}
}

// TestErrorClasses holds the tree that errors.go draws.
func TestErrorClasses(t *testing.T) {
	all := []error{ErrFormat, ErrVersion, ErrSuite, ErrNotSealed, ErrHexText, ErrKind, ErrAuth, ErrColumnMismatch, ErrValue, ErrTooLong, ErrNull}
	parents := map[error]error{ErrVersion: ErrFormat, ErrSuite: ErrFormat, ErrNotSealed: ErrFormat, ErrHexText: ErrFormat, ErrColumnMismatch: ErrAuth, ErrTooLong: ErrValue, ErrNull: ErrValue}
	for _, err := range all {
		for _, target := range all {
			want := err == target || parents[err] == target
			if errors.Is(err, target) != want {
				t.Errorf("%q is %q: %v", err, target, !want)
			}
		}
	}
}
