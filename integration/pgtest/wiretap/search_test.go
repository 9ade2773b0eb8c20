package wiretap

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Whatever stands around a value, and however the bytes are cut into writes, it is found once.
func TestStreamFindsAcrossWrites(t *testing.T) {
	c := Text("c", "canary-value")
	text := strings.Repeat("x", 37) + "canary-value" + strings.Repeat("y", 41)
	for size := 1; size <= len(text); size++ {
		s := newSearch([]Canary{c})
		w := s.open(Data, "file")
		for rest := []byte(text); len(rest) > 0; {
			n := min(size, len(rest))
			w.Write(rest[:n])
			rest = rest[n:]
		}
		got := s.report()
		if len(got.Findings) != 1 || got.Findings[0].Offset != 37 || got.Findings[0].Count != 1 {
			t.Fatalf("writes of %d bytes: %v", size, got.Findings)
		}
		if n := got.Searched[Data]; n != (Coverage{Items: 1, Bytes: int64(len(text))}) {
			t.Fatalf("writes of %d bytes: searched %+v", size, n)
		}
	}
}

func TestBase64IsFoundAtEveryPlaceInAnyContext(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for range 300 {
		value := noise(8 + rng.IntN(40))
		before, after := noise(rng.IntN(7)), noise(rng.IntN(7))
		all := bytes.Join([][]byte{before, value, after}, nil)
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			s := newSearch([]Canary{Bytes("c", value)})
			s.open(Log, "log").Write([]byte(e.EncodeToString(all)))
			if !s.seen("c", Log) {
				t.Fatalf("%d bytes after %d and before %d were not found", len(value), len(before), len(after))
			}
		}
	}
}

func TestCanariesThatCannotServeAreRefused(t *testing.T) {
	for _, c := range []Canary{
		Text("short", "1234567"), Text("quote", "it's a quote"), Text("double", `a "quoted" one`),
		Text("backslash", `back\slash`), Text("newline", "two\nlines"), Text("latin1", "caf\xe9 au lait"),
		Bytes("short", make([]byte, 7)), Int("small", 12345), Time("whole", time.Unix(1234567890, 0)),
	} {
		if c.fault == nil || !strings.Contains(c.fault.Error(), c.name) {
			t.Errorf("%s: fault %v", c.name, c.fault)
		}
	}
	if _, err := Search(t.Context(), nil); err == nil {
		t.Error("a search for nothing was made")
	}
	if _, err := Search(t.Context(), nil, Text("short", "1")); err == nil {
		t.Error("a search for a canary that cannot serve was made")
	}
}

// A long value is found by any of three parts of it, and no part cuts a character.
func TestLongCanaries(t *testing.T) {
	var long strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&long, "数字%d", i)
	}
	value := long.String()
	c := Text("long", value)
	for name, part := range map[string]string{
		"beginning": value[:100], "middle": value[len(value)/2-60 : len(value)/2+60], "end": value[len(value)-100:],
	} {
		s := newSearch([]Canary{c})
		s.open(Table, "t").Write([]byte(part))
		if !s.seen("long", Table) {
			t.Errorf("the %s was not found", name)
		}
	}
	for _, f := range c.forms {
		if f.encoding == "text, raw" && strings.ContainsRune(string(f.bytes), '\uFFFD') {
			t.Error("a form cuts a character")
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	var canaries []Canary
	for i := range 25 {
		canaries = append(canaries, Text("c", fmt.Sprintf("canary-%d-%d", i, rand.Uint64())))
	}
	noise := make([]byte, chunk)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	s := newSearch(canaries)
	w := s.open(Data, "noise")
	b.SetBytes(chunk)
	for b.Loop() {
		w.Write(noise)
	}
}
