package kms

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

var packed = func() Wrapped {
	w, err := pack([]Wrapped{{"a", []byte{1, 2}}, {"key/b", []byte{3}}}, bytes.Repeat([]byte{7}, DataKeySize))
	if err != nil {
		panic(err)
	}
	return w
}()

// The stored form is fixed: keys in databases have it.
func TestPackVector(t *testing.T) {
	const want = "43534d4b" + "01" + "02" + "0001" + "61" + "0002" + "0102" + "0005" + "6b65792f62" + "0001" + "03" +
		"254103a4fa922aa36452e3440fd645ebf9327b6c430288919c2a3f323d360a22"
	if got := hex.EncodeToString(packed.Blob); got != want || packed.KeyID != "a, key/b" {
		t.Errorf("%q\n%s, want\n%s", packed.KeyID, got, want)
	}
}

func TestUnpack(t *testing.T) {
	wraps, tag, err := unpack(packed)
	if err != nil || len(wraps) != 2 || wraps[1].KeyID != "key/b" || !bytes.Equal(wraps[1].Blob, []byte{3}) || len(tag) != 32 {
		t.Fatalf("%v %x %v", wraps, tag, err)
	}
	plain := Wrapped{KeyID: "a", Blob: []byte{1, 2}}
	if wraps, tag, err := unpack(plain); err != nil || len(wraps) != 1 || wraps[0].KeyID != "a" || tag != nil {
		t.Errorf("a single wrap: %v %x %v", wraps, tag, err)
	}
	change := func(f func(b []byte) []byte) Wrapped {
		return Wrapped{KeyID: packed.KeyID, Blob: f(slices.Clone(packed.Blob))}
	}
	for name, w := range map[string]Wrapped{
		"empty":              {},
		"no blob":            {KeyID: "a"},
		"no id":              {Blob: []byte{1}},
		"list without magic": {KeyID: packed.KeyID, Blob: []byte{1}},
		"other ids":          {KeyID: "key/b, a", Blob: packed.Blob},
		"fewer ids":          {KeyID: "a", Blob: packed.Blob},
		"version":            change(func(b []byte) []byte { b[4] = 2; return b }),
		"no wraps":           change(func(b []byte) []byte { return slices.Concat(b[:5], []byte{0}, b[len(b)-32:]) }),
		"fewer wraps":        change(func(b []byte) []byte { b[5] = 1; return b }),
		"more wraps":         change(func(b []byte) []byte { b[5] = 3; return b }),
		"cut":                change(func(b []byte) []byte { return b[:len(b)-1] }),
		"header only":        change(func(b []byte) []byte { return b[:6] }),
		"empty id":           change(func(b []byte) []byte { b[7] = 0; return b }),
		"long":               change(func(b []byte) []byte { b[6] = 0xff; return b }),
	} {
		if wraps, _, err := unpack(w); err == nil || wraps != nil {
			t.Errorf("%s: %v, %v", name, wraps, err)
		}
	}
	many := make([]Wrapped, maxMembers+1)
	for i := range many {
		many[i] = Wrapped{"a", []byte{1}}
	}
	if w, err := pack(many, []byte{1}); err != nil {
		t.Error(err)
	} else if _, _, err := unpack(w); err == nil {
		t.Error("too many wraps")
	}
	for _, w := range []Wrapped{{}, {KeyID: "a"}, {Blob: []byte{1}}, {strings.Repeat("a", maxPart+1), []byte{1}}, {"a", make([]byte, maxPart+1)}} {
		if _, err := pack([]Wrapped{w}, []byte{1}); err == nil {
			t.Errorf("packed an id of %d bytes and a blob of %d", len(w.KeyID), len(w.Blob))
		}
	}
}

// Whatever the bytes are, there is an answer; and what unpacks packs to the same bytes.
func FuzzUnpack(f *testing.F) {
	f.Add(packed.KeyID, packed.Blob)
	f.Add("a", []byte{1, 2})
	f.Add("a", packed.Blob[:20])
	f.Fuzz(func(t *testing.T, id string, blob []byte) {
		wraps, tag, err := unpack(Wrapped{id, blob})
		if (err == nil) != (len(wraps) > 0) {
			t.Fatalf("%d wraps, %v", len(wraps), err)
		}
		if err != nil || tag == nil {
			return
		}
		again, err := pack(wraps, []byte("a key"))
		if err != nil || again.KeyID != id || !bytes.Equal(again.Blob[:len(again.Blob)-32], blob[:len(blob)-32]) {
			t.Errorf("%x packs to %x, %v", blob, again.Blob, err)
		}
	})
}
