package codec

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every cell has a nonce of its own, whether it was drawn with others or alone, and whatever is
// left is never used.
func TestNoncesAreUsedOnce(t *testing.T) {
	was := rand.Reader
	rand.Reader = zeros{} // a program's own, which nonces do not come from
	defer func() { rand.Reader = was }()
	k := benchKey(t, SuiteRandomized)
	seen := map[string]bool{}
	var nonces Nonces
	for statement := range 100 {
		nonces.Draw(statement%7, statement%11)
		for range 5 {
			cell, err := Session{}.AppendUnsealed(nil, Layout{Suite: SuiteRandomized}, KindText, "the same")
			if err != nil {
				t.Fatal(err)
			}
			k.SealInPlace(cell, &nonces)
			if got, err := k.Open(nil, KindText, cell); err != nil || string(got) != "the same" {
				t.Fatalf("%q, %v", got, err)
			}
			nonce := string(cell[HeaderSize : HeaderSize+nonceSize])
			if seen[nonce] || nonce == strings.Repeat("\x00", nonceSize) {
				t.Fatalf("nonce %x is used again", nonce)
			}
			seen[nonce] = true
		}
		left := bytes.Clone(nonces.drawn)
		nonces.Forget()
		for ; len(left) > 0; left = left[nonceSize:] {
			seen[string(left[:nonceSize])] = true
		}
	}
	salted, err := NewKey(make([]byte, dataKeySize), 1, SuiteRandomTerms, "users.email#equal")
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := salted.Seal(nil, KindText, []byte("the same"))
	two, err2 := salted.Seal(nil, KindText, []byte("the same"))
	if err1 != nil || err2 != nil || bytes.Equal(one, two) {
		t.Errorf("a salt is used again: %x, %v, %v", one, err1, err2)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// The fast look at a text agrees with the slow one, wherever in a word something stands.
func TestValidText(t *testing.T) {
	for n := range 40 {
		for at := range n {
			for _, put := range []string{"\x00", "\x01", "\x7f", "\x80", "\xff", "é", "\xc3", "€", "😀", "\xed\xa0\x80", "a\x00é"} {
				s := strings.Repeat("a", at) + put + strings.Repeat("z", n-at)
				want := utf8.ValidString(s) && !strings.Contains(s, "\x00")
				if validTextString(s) != want || validText([]byte(s)) != want {
					t.Fatalf("validText(%q) = %t", s, !want)
				}
			}
		}
	}
	if !validText(nil) || !validTextString("") {
		t.Error("empty text is not valid")
	}
}
