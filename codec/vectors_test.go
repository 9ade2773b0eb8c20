package codec

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/vectors from the reference implementation")

const vectorDir = "testdata/vectors"

// layerErrors is what opening must return for a vector whose named layer fails: is it, and is none
// of the others.
var layerErrors = map[string]struct{ is, not []error }{
	"none":    {},
	"format":  {is: []error{ErrFormat}, not: []error{ErrVersion, ErrSuite, ErrKind, ErrAuth}},
	"version": {is: []error{ErrVersion, ErrFormat}, not: []error{ErrSuite, ErrKind, ErrAuth}},
	"suite":   {is: []error{ErrSuite, ErrFormat}, not: []error{ErrVersion, ErrKind, ErrAuth}},
	"column":  {is: []error{ErrColumnMismatch, ErrAuth}, not: []error{ErrFormat}},
	"key":     {is: []error{ErrAuth}, not: []error{ErrColumnMismatch, ErrFormat}},
	"tag":     {is: []error{ErrAuth}, not: []error{ErrColumnMismatch, ErrFormat}},
	"kind":    {is: []error{ErrKind}, not: []error{ErrFormat, ErrAuth}},
}

// vector is one file of testdata/vectors: "name: value" lines after a comment. SPEC.md describes
// them for other implementations.
type vector struct {
	name   string
	fields map[string]string
}

func readVectors(tb testing.TB) []vector {
	tb.Helper()
	files, err := filepath.Glob(vectorDir + "/*.txt")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no vectors in %s (%v)", vectorDir, err)
	}
	var vectors []vector
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		v := vector{strings.TrimSuffix(filepath.Base(file), ".txt"), map[string]string{}}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			line := lines.Text()
			if strings.HasPrefix(line, "#") || line == "" {
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				tb.Fatalf("%s: %q is no field", file, line)
			}
			v.fields[name] = strings.TrimSpace(value)
		}
		vectors = append(vectors, v)
	}
	return vectors
}

func (v vector) hex(tb testing.TB, field string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(v.fields[field])
	if err != nil {
		tb.Fatalf("%s: %s: %v", v.name, field, err)
	}
	return b
}

// key returns the key and the declared kind that the vector's cell is to be opened with.
func (v vector) key(tb testing.TB) (*Key, Kind) {
	tb.Helper()
	id, err := strconv.ParseUint(v.fields["key id"], 16, 32)
	if err != nil {
		tb.Fatalf("%s: key id: %v", v.name, err)
	}
	suite := SuiteRandomized
	for suite.String() != v.fields["suite"] {
		if suite++; !suite.Valid() {
			tb.Fatalf("%s: unknown suite", v.name)
		}
	}
	k, err := NewKey(v.hex(tb, "data key"), uint32(id), suite, v.fields["identity"])
	if err != nil {
		tb.Fatalf("%s: %v", v.name, err)
	}
	kind, err := ParseKind(v.fields["kind"])
	if err != nil {
		tb.Fatalf("%s: %v", v.name, err)
	}
	return k, kind
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	seen := map[string]int{}
	for _, v := range readVectors(t) {
		seen[v.fields["layer"]]++
		t.Run(v.name, func(t *testing.T) {
			k, kind := v.key(t)
			cell := v.hex(t, "cell")
			for _, inPlace := range []bool{false, true} {
				got, err := k.OpenValue(kind, bytes.Clone(cell), inPlace)
				checkLayer(t, v.fields["layer"], got, err)
				if err == nil {
					checkOpened(t, v, k, kind, cell, got)
				}
			}
		})
	}
	for layer := range layerErrors {
		if seen[layer] == 0 {
			t.Errorf("no vector for layer %q", layer)
		}
	}
}

func checkLayer(t *testing.T, layer string, got any, err error) {
	t.Helper()
	want, ok := layerErrors[layer]
	switch {
	case !ok:
		t.Fatalf("unknown layer %q", layer)
	case layer == "none" && err != nil:
		t.Fatalf("does not open: %v", err)
	case layer != "none" && err == nil:
		t.Fatalf("opens, but layer %s must fail", layer)
	case err != nil && got != nil:
		t.Fatal("a value beside an error")
	}
	for _, e := range want.is {
		if !errors.Is(err, e) {
			t.Errorf("layer %s: got %q, want it to be %q", layer, err, e)
		}
	}
	for _, e := range want.not {
		if errors.Is(err, e) {
			t.Errorf("layer %s: got %q, which must not be %q", layer, err, e)
		}
	}
}

func checkOpened(t *testing.T, v vector, k *Key, kind Kind, cell []byte, got any) {
	t.Helper()
	value := fmt.Sprintf("%#v", got)
	if t, ok := got.(time.Time); ok {
		value = fmt.Sprint(t.UTC())
	}
	if value != v.fields["value"] {
		t.Errorf("value %s, want %s", value, v.fields["value"])
	}
	encoding, err := AppendValue(nil, kind, k.Header().Suite, got)
	if err != nil || !bytes.Equal(encoding, v.hex(t, "encoding")) {
		t.Errorf("encoded again %x (%v), want %s", encoding, err, v.fields["encoding"])
	}
	if h, err := Recognize(cell, ColumnTag(v.fields["identity"])); err != nil || h != k.Header() {
		t.Errorf("Recognize: %+v, %v", h, err)
	}
	if text, err := DecodeText([]byte(v.fields["text"])); err != nil || !bytes.Equal(text, cell) || EncodeText(cell) != v.fields["text"] {
		t.Errorf("textual form: %x, %v", text, err)
	}
	if k.Header().Suite.EqualCells() {
		if again, err := sealValue(k, kind, got); err != nil || !bytes.Equal(again, cell) {
			t.Errorf("sealed again %x (%v)", again, err)
		}
	}
	if k.Header().Suite == SuiteOrdered {
		checkBounds(t, v, k)
	}
}

// checkBounds checks what a cell of suite 3 is compared with.
func checkBounds(t *testing.T, v vector, k *Key) {
	t.Helper()
	for name, greater := range map[string]bool{"least": false, "greatest": true} {
		bound := AppendBound(nil, greater)
		if k.SealInPlace(bound, nil); !bytes.Equal(bound, v.hex(t, name)) {
			t.Errorf("%s: %x, want %s", name, bound, v.fields[name])
		}
	}
	number, err := strconv.ParseUint(v.fields["number"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	behind := make([]byte, HeaderSize+k.layout.Order.Size()+betweenTail)
	binary.BigEndian.PutUint64(behind[HeaderSize:], number)
	if k.SealInPlace(behind, nil); !bytes.Equal(behind, v.hex(t, "behind")) {
		t.Errorf("behind: %x, want %s", behind, v.fields["behind"])
	}
}

// TestVectorsFollowReference makes every vector again and compares the bytes, so the files cannot
// drift from the reference.
func TestVectorsFollowReference(t *testing.T) {
	onDisk := map[string]bool{}
	for _, v := range readVectors(t) {
		onDisk[v.name] = true
	}
	for _, c := range vectorCases(t) {
		text, err := os.ReadFile(filepath.Join(vectorDir, c.name+".txt"))
		if err != nil {
			t.Error(err)
		} else if string(text) != c.file() {
			t.Errorf("%s differs from the reference; run with -update and read the diff", c.name)
		}
		delete(onDisk, c.name)
	}
	for name := range onDisk {
		t.Errorf("%s is made by nothing", name)
	}
}

func writeVectors(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(vectorDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range vectorCases(t) {
		if err := os.WriteFile(filepath.Join(vectorDir, c.name+".txt"), []byte(c.file()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// sameValue is reflect.DeepEqual, but of two times only the instant counts, and NaN is equal to
// itself.
func sameValue(got, want any) bool {
	if f, ok := got.(float64); ok && f != f {
		f, ok = want.(float64)
		return ok && f != f
	}
	a, ok1 := got.(time.Time)
	b, ok2 := want.(time.Time)
	if !ok1 || !ok2 {
		return reflect.DeepEqual(got, want)
	}
	return a.Equal(b)
}

// TestSealedByReference: what one implementation seals the other opens, and for suite 2 they agree
// to the byte.
func TestSealedByReference(t *testing.T) {
	for _, c := range vectorCases(t) {
		if c.layer != "none" {
			continue
		}
		k, err := NewKey(c.ref.DataKey, c.ref.KeyID, c.ref.Suite, c.ref.Identity)
		if err != nil {
			t.Fatal(err)
		}
		kind, encoding := Kind(c.ref.Plaintext[0]), c.ref.Plaintext[1:]
		want := append(bytes.Clone(k.aad), c.ref.Term...)
		if k.terms != nil {
			want = append(want, c.ref.Cell[HeaderSize:HeaderSize+countSize+len(c.ref.Tokens)+len(c.ref.Salt)]...)
		}
		if !bytes.Equal(want, c.ref.AAD) {
			t.Errorf("%s: AAD %x, want %x", c.name, k.aad, c.ref.AAD)
		}
		cell, err := k.Seal(nil, kind, encoding)
		if err != nil {
			t.Fatal(err)
		}
		if k.Header().Suite == SuiteRandomized {
			again := *c.ref
			again.Nonce = cell[8:20]
			again.seal(t)
			if !bytes.Equal(again.Cell, cell) {
				t.Errorf("%s: sealed %x, the reference under its nonce %x", c.name, cell, again.Cell)
			}
		} else if k.Header().Suite == SuiteRandomTerms {
			again := *c.ref
			again.Salt = cell[termsAt+len(c.ref.Tokens):][:saltSize]
			if again.seal(t); !bytes.Equal(again.Cell, cell) || bytes.Equal(again.Salt, c.ref.Salt) {
				t.Errorf("%s: sealed %x, the reference with its salt %x", c.name, cell, again.Cell)
			}
		} else if !bytes.Equal(cell, c.ref.Cell) {
			t.Errorf("%s: sealed %x, the reference %x", c.name, cell, c.ref.Cell)
		}
		if v, err := k.OpenValue(kind, c.ref.Cell, false); err != nil || !sameValue(v, c.value) {
			t.Errorf("%s: opened %#v, %v; want %#v", c.name, v, err, c.value)
		}
	}
}
