package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// foldHash is that of SPEC.md: SHA-256 over u32(code point) ‖ u32(lower case) of each that has
// another one.
const foldHash = "67e6f4cf32b2ac9bc64ca1f6ed03890d4400538511b42e3d8339a534cb94c3ae"

func TestFoldIsFrozen(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(spec, []byte(foldHash)) {
		t.Error("SPEC.md has another hash of the fold")
	}
	sum := sha256.New()
	for r := range unicode.MaxRune + 1 {
		lower := foldRune(r)
		if lower != r {
			sum.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(r)), uint32(lower)))
		}
		if unicode.Version == "15.0.0" && lower != unicode.ToLower(r) {
			t.Errorf("%U: %U, want %U", r, lower, unicode.ToLower(r))
		}
		if foldRune(lower) != lower {
			t.Errorf("%U: the lower case %U has another one", r, lower)
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != foldHash {
		t.Errorf("hash %s, want %s", got, foldHash)
	}
}

func termsKey(t testing.TB, terms string) *Key { return termsKeyOf(t, SuiteTerms, terms) }

func termsKeyOf(t testing.TB, suite Suite, terms string) *Key {
	t.Helper()
	k, err := NewKey(vectorBytes("data key", 32), 7, suite, "users.name#"+terms)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTermsEveryByte: no altered byte of a cell is survived, its tokens included, and none that is
// cut.
func TestTermsEveryByte(t *testing.T) {
	for _, suite := range []Suite{SuiteTerms, SuiteRandomTerms} {
		t.Run(suite.String(), func(t *testing.T) { termsEveryByte(t, termsKeyOf(t, suite, "fold,prefix=3-5")) })
	}
}

func termsEveryByte(t *testing.T, k *Key) {
	cell, err := k.Seal(nil, KindText, []byte("Alice Liddell"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range cell {
		for _, bit := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(cell)
			bad[i] ^= bit
			if got, err := k.Open(nil, KindText, bad); !errors.Is(err, ErrAuth) && !errors.Is(err, ErrFormat) || got != nil {
				t.Errorf("byte %d ^ %#x: %x, %v", i, bit, got, err)
			}
			if got, err := k.OpenInPlace(KindText, bad); !errors.Is(err, ErrAuth) && !errors.Is(err, ErrFormat) || got != nil {
				t.Errorf("byte %d ^ %#x in place: %x, %v", i, bit, got, err)
			}
		}
		if _, err := k.Open(nil, KindText, cell[:i]); err == nil {
			t.Errorf("opens when cut to %d bytes", i)
		}
		if _, err := ParseHeader(cell[:i]); i < len(cell)-13 && err == nil { // 13: the text
			t.Errorf("has a header when cut to %d bytes", i)
		}
	}
	if got, err := k.Open([]byte("pre"), KindText, cell); err != nil || string(got) != "preAlice Liddell" {
		t.Errorf("Open = %q, %v", got, err)
	}
	again, err := k.Seal([]byte("pre"), KindText, []byte("Alice Liddell"))
	if err != nil || bytes.Equal(again[3:], cell) != k.Header().Suite.EqualCells() {
		t.Errorf("sealed again: %x, %v; before %x", again, err, cell)
	}
	if tokens := termsAt + 7*(tokenSize+1) - 1; !bytes.Equal(again[3:][:tokens], cell[:tokens]) {
		t.Errorf("sealed again: %x, before %x: the tokens differ", again, cell)
	}
}

func TestParseTerms(t *testing.T) {
	for _, s := range []string{"fold", "equal,fold,elements,prefix=3-8,suffix=12-12", "prefix=1-1", "suffix=2-5461"} {
		if got, err := ParseTerms(s); err != nil || got.String() != s {
			t.Errorf("ParseTerms(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "fold,equal", "fold,fold", "prefix", "prefix=", "prefix=0", "prefix=8-3", "prefix=3", "prefix=03-8",
		"prefix=1-5462", "prefix=-3", "prefix=3-8,prefix=3-8", "else", "fold,", "fold ", "prefix=3-8-9"} {
		if got, err := ParseTerms(s); err == nil {
			t.Errorf("ParseTerms(%q) = %v", s, got)
		}
	}
}

// TestTermsNeedThem: a key for cells with terms needs an identity that names them, as a cell does
// whose suite was altered.
func TestTermsNeedThem(t *testing.T) {
	for _, identity := range []string{"users.name", "users.name#", "fold", "users.name#fold#", "users.name#x"} {
		for _, suite := range []Suite{SuiteTerms, SuiteRandomTerms} {
			if _, err := NewKey(make([]byte, 32), 1, suite, identity); !errors.Is(err, ErrSuite) {
				t.Errorf("%s, %s: %v", suite, identity, err)
			}
		}
	}
}

func TestTooManyTerms(t *testing.T) {
	k := termsKey(t, "elements")
	array := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ",%d", i)
		}
		return []byte("{" + b.String()[1:] + "}")
	}
	cell, err := k.Seal(nil, KindIntArray, array(MaxTokens))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Open(nil, KindIntArray, cell); err != nil || !bytes.Equal(got, array(MaxTokens)) {
		t.Errorf("Open: %v", err)
	}
	if _, err := k.Seal(nil, KindIntArray, array(MaxTokens+1)); !errors.Is(err, ErrValue) {
		t.Errorf("Seal: %v", err)
	}
}

// TestFolded: what is compared instead of lower(value) is what stands in the cell.
func TestFolded(t *testing.T) {
	k := termsKey(t, "fold,prefix=3-3")
	cell, err := k.Seal(nil, KindText, []byte("Ärger"))
	if err != nil {
		t.Fatal(err)
	}
	stored := append(bytes.Clone(cell[:8]), cell[10:21]...)
	for _, s := range []string{"Ärger", "ärger", "ÄRGER"} {
		if got := k.AppendFolded(nil, s); !bytes.Equal(got, stored) {
			t.Errorf("AppendFolded(%q) = %q, want %q", s, got, stored)
		}
	}
	if got := k.AppendFolded(nil, "Arger"); bytes.Equal(got, stored) {
		t.Error("another value is equal")
	}
	if got := k.AppendUnmatched(nil); bytes.Equal(got, stored) || len(got) != len(stored) {
		t.Errorf("AppendUnmatched = %q", got)
	}
}

func FuzzFold(f *testing.F) {
	f.Add("Straße İΣ")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		folded := Fold(s)
		if utf8.RuneCountInString(folded) != utf8.RuneCountInString(s) || Fold(folded) != folded {
			t.Errorf("Fold(%q) = %q", s, folded)
		}
	})
}
