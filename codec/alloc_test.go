//go:build !race

package codec

import (
	"crypto/fips140"
	"strings"
	"testing"
	"time"
)

// TestAllocations holds the allocation counts that the driver's speed rests on. The race detector
// empties pools at random, so it is left out there; FIPS mode costs suite 2 one more (see
// shortCTR).
func TestAllocations(t *testing.T) {
	if fips140.Enabled() {
		t.Skip("in FIPS mode suite 2 allocates a cipher.Stream")
	}
	text := []byte(strings.Repeat("x", 64))
	eachSuite(t, func(t *testing.T, k *Key) {
		prepared := make([]byte, 0, 200)
		cell, _ := k.Seal(nil, KindText, text)
		buf := make([]byte, len(cell))
		values := map[Kind]any{KindText: string(text), KindBytes: text, KindInt: int64(1 << 40), KindTime: time.Unix(1e9, 0),
			KindUUID: [16]byte{1}, KindFloat: 0.5, KindBool: true, KindNumeric: "12.50", KindTextArray: "{a,b}"}
		check := func(name string, want float64, f func()) {
			t.Helper()
			if got := testing.AllocsPerRun(200, f); got > want {
				t.Errorf("%s: %v allocations, want at most %v", name, got, want)
			}
		}
		check("Seal", 1, func() { k.Seal(nil, KindText, text) })
		check("Seal, prepared", 0, func() { k.Seal(prepared, KindText, text) })
		check("Open", 1, func() { k.Open(nil, KindText, cell) })
		check("Open, prepared", 0, func() { k.Open(prepared, KindText, cell) })
		check("OpenInPlace", 0, func() { copy(buf, cell); k.OpenInPlace(KindText, buf) })
		for kind, v := range values {
			sealed, err := sealValue(k, kind, v)
			if err != nil {
				t.Fatal(err)
			}
			sealBudget, openBudget := 1.0, 1.0
			switch kind {
			case KindText, KindBytes:
				openBudget = 2 // the bytes, and the interface that carries them
			case KindUUID:
				sealBudget, openBudget = 2, 2
			case KindNumeric, KindTextArray:
				sealBudget, openBudget = 3, 5
			}
			check("SealInPlace "+kind.String(), sealBudget, func() { sealValue(k, kind, v) })
			check("OpenValue "+kind.String(), openBudget, func() { k.OpenValue(kind, sealed, false) })
		}
		mine := make([]byte, len(cell))
		check("OpenValue text in place", 1, func() { copy(mine, cell); k.OpenValue(KindText, mine, true) })
	})
}
