package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// seedCells are the cells of the vectors, with their kinds. Fuzzing without seeds finds nothing
// behind a header, so no seeds is an error and not an empty run.
func seedCells(tb testing.TB) (cells [][]byte) {
	tb.Helper()
	for _, v := range readVectors(tb) {
		cells = append(cells, v.hex(tb, "cell"))
	}
	return cells
}

// seedValues are the texts of values that some kind accepts or nearly does.
var seedValues = []string{
	"", "alice@example.com", "-0", "+7", "-9223372036854775808", "1.50e1", "-0.00", "1e131071", "NaN", "-Infinity", "tr", "off",
	"2024-02-29T12:34:56.789012+05:30", "0044-03-15 00:00:00+00 BC", "2024-02-29 24:00", "2024-02-29 23:59:59.9999995-15:59:59", "2024-02-29 23:59:60", "5874897-12-31", "-INFINITY", "12024-01-02 00:00Z", "2024-02-29", "infinity", `{"a":[1,2.50]}`, ` [1 , "é"] `,
	"{F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6}", `{a,"NULL",NULL,"","b \"c\" \\ d","e,f"}`, `{ a\ , \"b\\ }`, "{ +1, NULL ,-20}", "{}", "a\x00", "\xff",
}

func TestSeedsNotEmpty(t *testing.T) {
	if n := len(seedCells(t)); n < 80 {
		t.Errorf("%d seed cells", n)
	}
	accepted := map[Kind]int{}
	for _, s := range seedValues {
		for kind := KindText; kind.Valid(); kind++ {
			if _, err := AppendValue(nil, kind, SuiteRandomized, s); err == nil {
				accepted[kind]++
			}
		}
	}
	for kind := KindText; kind.Valid(); kind++ {
		if accepted[kind] == 0 {
			t.Errorf("no seed value is accepted as %s", kind)
		}
	}
}

// FuzzHeader: parsing and writing a header are inverse.
func FuzzHeader(f *testing.F) {
	for _, cell := range seedCells(f) {
		f.Add(cell)
	}
	f.Fuzz(func(t *testing.T, cell []byte) {
		h, err := ParseHeader(cell)
		if err != nil {
			if !errors.Is(err, ErrFormat) || h != (Header{}) {
				t.Fatalf("%+v, %v", h, err)
			}
			if _, err := Recognize(cell, 0xd920); err == nil {
				t.Fatal("Recognize accepts what ParseHeader refuses")
			}
			return
		}
		if again := h.Append(nil); !bytes.Equal(again, cell[:HeaderSize]) {
			t.Fatalf("%x became %x", cell[:HeaderSize], again)
		}
		if got, err := Recognize(cell, h.Tag); err != nil || got != h {
			t.Fatalf("Recognize: %+v, %v", got, err)
		}
	})
}

// FuzzMutation: no cell opens that differs from a sealed one in any way.
func FuzzMutation(f *testing.F) {
	for _, s := range seedValues {
		f.Add([]byte(s), uint8(1), uint(3), byte(1), []byte(nil))
		f.Add([]byte(s), uint8(2), uint(20), byte(0), []byte("tail"))
	}
	f.Fuzz(func(t *testing.T, plaintext []byte, suite uint8, pos uint, xor byte, tail []byte) {
		k, other := benchKey(t, suites[suite%2]), benchKey(t, suites[(suite+1)%2])
		cell, err := k.Seal(nil, KindBytes, plaintext)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Open(nil, KindBytes, cell); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("not a round trip: %v", err)
		}
		mutated := append(bytes.Clone(cell), tail...)
		mutated[pos%uint(len(cell))] ^= xor
		for _, try := range []struct {
			key  *Key
			cell []byte
		}{{k, mutated}, {k, mutated[:pos%uint(len(mutated))]}, {other, mutated}} {
			if try.key == k && bytes.Equal(try.cell, cell) {
				continue
			}
			got, err := try.key.Open(nil, KindBytes, try.cell)
			if err == nil || got != nil || !errors.Is(err, ErrAuth) && !errors.Is(err, ErrFormat) {
				t.Fatalf("%x, from %x, opens: %x, %v", try.cell, cell, got, err)
			}
			if v, err := try.key.OpenValue(KindBytes, bytes.Clone(try.cell), true); err == nil || v != nil {
				t.Fatalf("%x, from %x, opens in place", try.cell, cell)
			}
		}
	})
}

// FuzzOpen: no bytes from elsewhere open, and none panic.
func FuzzOpen(f *testing.F) {
	for _, cell := range seedCells(f) {
		f.Add(cell)
	}
	f.Fuzz(func(t *testing.T, cell []byte) {
		for _, suite := range suites {
			k := benchKey(t, suite)
			// A header that fits, so that the body is reached.
			for _, c := range [][]byte{cell, append(k.Header().Append(nil), cell...)} {
				if got, err := k.Open(nil, KindText, c); err == nil || got != nil {
					t.Fatalf("%x opens: %x", c, got)
				}
			}
		}
	})
}

// FuzzText: a cell has one textual form.
func FuzzText(f *testing.F) {
	for _, cell := range seedCells(f) {
		f.Add([]byte(EncodeText(cell)))
	}
	f.Add([]byte("cs1:AB"))
	f.Add([]byte("cs2:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cell, err := DecodeText(text)
		if err != nil {
			if !errors.Is(err, ErrFormat) || cell != nil {
				t.Fatalf("%x, %v", cell, err)
			}
			return
		}
		if again := EncodeText(cell); again != string(text) {
			t.Fatalf("%q became %q", text, again)
		}
	})
}

// FuzzDecodeValue: a canonical encoding decodes, in place or not, to a value with the same
// encoding; whatever else decodes is of the right length. JSON is not parsed again when it is
// decoded.
func FuzzDecodeValue(f *testing.F) {
	for _, v := range readVectors(f) {
		if _, kind := v.key(f); v.fields["layer"] == "none" {
			f.Add(byte(kind), v.hex(f, "encoding"))
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		v, err := DecodeValue(Kind(kind), b)
		if err != nil && (!errors.Is(err, ErrFormat) || v != nil) {
			t.Fatalf("%#v, %v", v, err)
		}
		if inPlace, err2 := decodeInPlace(Kind(kind), b); (err == nil) != (err2 == nil) || fmt.Sprintf("%#v", inPlace) != fmt.Sprintf("%#v", v) {
			t.Fatalf("in place %#v, %v; else %#v, %v", inPlace, err2, v, err)
		}
		for _, suite := range suites {
			if !canonical(Kind(kind), suite, b) {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %x is canonical and does not decode: %v", Kind(kind), b, err)
			}
			again, err := AppendValue(nil, Kind(kind), suite, v)
			if Kind(kind) == KindTime && !canonicalMicros(int64(binary.BigEndian.Uint64(b))) {
				continue // opens, and is not sealed any more
			}
			if Kind(kind) != KindJSON && (err != nil || !bytes.Equal(again, b)) {
				t.Fatalf("%s, %s: %x became %x, %v", Kind(kind), suite, b, again, err)
			}
		}
	})
}

// FuzzAppendValue: what is accepted decodes, and encoding what was decoded changes nothing, in
// either suite. Equality in suite 2 must not depend on how often a value went through the database.
func FuzzAppendValue(f *testing.F) {
	for _, s := range seedValues {
		for kind := KindText; kind.Valid(); kind++ {
			f.Add(byte(kind), s)
		}
	}
	f.Fuzz(func(t *testing.T, k byte, s string) {
		kind := Kind(k)
		for _, suite := range suites {
			b, err := AppendValue(nil, kind, suite, s)
			if err != nil {
				if !errors.Is(err, ErrValue) || b != nil {
					t.Fatalf("%x, %v", b, err)
				}
				continue
			}
			v, err := DecodeValue(kind, b)
			if err != nil || !canonical(kind, suite, b) {
				t.Fatalf("%s %q: encoded %x, which does not decode or is not canonical: %v", kind, s, b, err)
			}
			again, err := AppendValue(nil, kind, suite, v)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%s %q: encoded %x, and again %x, %v", kind, s, b, again, err)
			}
			if !bytes.Equal(appendOrNil(kind, SuiteDeterministic, s), appendOrNil(kind, SuiteDeterministic, v)) {
				t.Fatalf("%s %q: not equal to what it decodes to in suite %s", kind, s, suite)
			}
		}
	})
}

func appendOrNil(kind Kind, suite Suite, v any) []byte {
	b, _ := AppendValue(nil, kind, suite, v)
	return b
}
