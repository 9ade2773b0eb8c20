package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestRecognize(t *testing.T) {
	k := benchKey(t, SuiteRandomized)
	cell, _ := k.SealValue(KindText, "a value")
	tag := k.Header().Tag
	foreign, _ := NewKey(make([]byte, 32), 1, SuiteDeterministic, "users.phone")
	foreignCell, _ := foreign.SealValue(KindText, "+49 30 1234567")
	with := func(i int, b byte) []byte { c := bytes.Clone(cell); c[i] = b; return c }
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
	} {
		h, err := Recognize(c.cell, 0, tag)
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
	cell, _ := k.SealValue(KindText, "a value")
	good := EncodeText(cell)
	if got, err := AppendDecodeText([]byte("pre"), []byte(good)); err != nil || string(got) != "pre"+string(cell) {
		t.Errorf("%q, %v", got, err)
	}
	if got := AppendText([]byte("pre"), cell); string(got) != "pre"+good {
		t.Errorf("%q", got)
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
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
		got, err := DecodeText([]byte(c.text))
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
	all := []error{ErrFormat, ErrVersion, ErrSuite, ErrNotSealed, ErrKind, ErrAuth, ErrColumnMismatch, ErrValue, ErrNull}
	parents := map[error]error{ErrVersion: ErrFormat, ErrSuite: ErrFormat, ErrNotSealed: ErrFormat, ErrColumnMismatch: ErrAuth, ErrNull: ErrValue}
	for _, err := range all {
		for _, target := range all {
			want := err == target || parents[err] == target
			if errors.Is(err, target) != want {
				t.Errorf("%q is %q: %v", err, target, !want)
			}
		}
	}
}
