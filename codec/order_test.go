package codec

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var orderPairs = flag.Int("order.pairs", 2_000, "how many pairs of values of each kind to compare by their cells")

// orderedKind is a column and how its values are drawn and compared without the package.
type orderedKind struct {
	name                  string
	kind                  Kind
	least, greatest, step string
	draw                  func(r *rand.Rand) any
	compare               func(a, b any) int
}

// adversarial returns a number near a power of two, or near another number, or any.
func adversarial(r *rand.Rand, width int) int64 {
	n := int64(r.Uint64()) >> (64 - width)
	switch r.IntN(3) {
	case 0:
		return int64(1)<<r.IntN(width-1) + int64(r.IntN(3)) - 1
	case 1:
		return -(int64(1) << r.IntN(width-1)) + int64(r.IntN(3)) - 1
	}
	return n
}

func compareInts(a, b any) int { return cmp.Compare(a.(int64), b.(int64)) }

func compareFloats(a, b any) int {
	x, y := a.(float64), b.(float64)
	switch {
	case x != x && y != y:
		return 0
	case x != x:
		return 1
	case y != y:
		return -1
	}
	return cmp.Compare(x, y)
}

func compareDecimals(a, b any) int {
	rank := map[string]int{"-Infinity": -1, "Infinity": 1, "NaN": 2}
	if x, y := rank[a.(string)], rank[b.(string)]; x != 0 || y != 0 {
		return cmp.Compare(x, y)
	}
	x, _ := new(big.Rat).SetString(a.(string))
	y, _ := new(big.Rat).SetString(b.(string))
	return x.Cmp(y)
}

func compareTimes(a, b any) int { return a.(time.Time).Compare(b.(time.Time)) }

func drawFloat(r *rand.Rand) any {
	special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 1, -1}
	switch r.IntN(3) {
	case 0:
		return special[r.IntN(len(special))]
	case 1:
		return math.Nextafter(special[5+r.IntN(6)], float64(r.IntN(3)-1))
	}
	return math.Float64frombits(r.Uint64())
}

func orderedKinds() []orderedKind {
	ints := func(width int) func(r *rand.Rand) any {
		return func(r *rand.Rand) any { return adversarial(r, width) }
	}
	days := func(span int64) func(r *rand.Rand) any {
		return func(r *rand.Rand) any { return time.Unix(r.Int64N(2*span)-span, 0).UTC().Truncate(24 * time.Hour) }
	}
	moments := func(span int64) func(r *rand.Rand) any {
		return func(r *rand.Rand) any {
			t := time.UnixMicro(r.Int64N(2*span) - span).UTC()
			return t.Truncate([]time.Duration{1, time.Second, time.Hour}[r.IntN(3)])
		}
	}
	decimals := func(r *rand.Rand) any {
		switch r.IntN(20) {
		case 0:
			return []string{"NaN", "Infinity", "-Infinity", "1e200", "-1e200", "100.00", "-100", "100.001", "-100.001", "99.995"}[r.IntN(10)]
		case 1, 2, 3:
			return fmt.Sprintf("%d.%03d", r.IntN(240)-120, r.IntN(1000))
		case 4, 5, 6:
			return fmt.Sprintf("%d.%03d", r.IntN(240)-120, r.IntN(8)*125)
		}
		return fmt.Sprintf("%d.%02d", r.IntN(240)-120, r.IntN(100))
	}
	return []orderedKind{
		{"int", KindInt, "", "", "", ints(64), compareInts},
		{"int bounds", KindInt, "-100", "155", "", ints(10), compareInts},
		{"int one bit", KindInt, "0", "1", "", ints(3), compareInts},
		{"int steps", KindInt, "-999", "1001", "8", ints(12), compareInts},
		{"int all", KindInt, "-9223372036854775808", "9223372036854775807", "", ints(64), compareInts},
		{"float", KindFloat, "", "", "", drawFloat, compareFloats},
		{"float bounds", KindFloat, "-1", "1e300", "", drawFloat, compareFloats},
		{"date", KindDate, "", "", "", days(1 << 37), compareTimes},
		{"date bounds", KindDate, "1900-01-01", "2069-12-31", "", days(1 << 32), compareTimes},
		{"time", KindTime, "", "", "", moments(1 << 57), compareTimes},
		{"time steps", KindTime, "1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z", "1s", moments(100_000_000_000), compareTimes},
		{"timestamp", KindTimestamp, "", "", "", moments(1 << 57), compareTimes},
		{"timestamp steps", KindTimestamp, "1969-12-31 00:00", "1970-01-02 00:00", "1h", moments(100_000_000_000), compareTimes},
		{"numeric", KindNumeric, "-100", "100", "0.01", decimals, compareDecimals},
		{"numeric odd step", KindNumeric, "-100.5", "99.5", "0.125", decimals, compareDecimals},
	}
}

// TestRankOfCells: of each two values the cells compare as the values do. One of the two is stored
// if the column can hold it; the other one is compared with it, whether the column can hold it or
// not.
func TestRankOfCells(t *testing.T) {
	for _, c := range orderedKinds() {
		t.Run(c.name, func(t *testing.T) {
			o, err := ParseOrder(c.kind, c.least, c.greatest, c.step)
			if err != nil {
				t.Fatal(err)
			}
			k, err := NewKey(vectorBytes("data key", 32), 0x0000ffff, SuiteOrdered, "users.x"+o.Suffix())
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, uint64(len(c.name))))
			stored, refused := 0, 0
			for range *orderPairs {
				a, b := c.draw(r), c.draw(r)
				if r.IntN(10) == 0 {
					b = a
				}
				want := c.compare(a, b)
				cell, err := sealValue(k, c.kind, a)
				if err != nil {
					if !errors.Is(err, ErrValue) || strings.Contains(err.Error(), fmt.Sprint(a)) && c.kind != KindInt {
						t.Fatalf("%v: %v", a, err)
					}
					refused++
					continue
				}
				stored++
				other, err := Session{}.AppendCompared(nil, k.layout, c.kind, b)
				if err != nil {
					t.Fatalf("%v: %v", b, err)
				}
				k.SealInPlace(other, nil)
				if got := bytes.Compare(cell, other); got != want && !(got == 0 && want == 0) {
					t.Fatalf("%v and %v: cells compare as %d, the values as %d\n%x\n%x", a, b, got, want, cell, other)
				}
				least, greatest := AppendBound(nil, false), AppendBound(nil, true)
				k.SealInPlace(least, nil)
				k.SealInPlace(greatest, nil)
				if bytes.Compare(least, cell) >= 0 || bytes.Compare(cell, greatest) >= 0 {
					t.Fatalf("%v is not between the bounds", a)
				}
			}
			if stored < *orderPairs/20 || c.least != "" && c.name != "int all" && refused == 0 {
				t.Fatalf("of %d values %d were stored and %d refused", *orderPairs, stored, refused)
			}
		})
	}
}

// TestBoundsCarry: what is greater than all cells of a key is less than those of the next key, also
// where the key id overflows.
func TestBoundsCarry(t *testing.T) {
	for id, want := range map[uint32]string{0x01ffffff: "02000000", 0xffffffff: "00000000"} {
		k, err := NewKey(vectorBytes("data key", 32), id, SuiteOrdered, "users.age#ord:int")
		if err != nil {
			t.Fatal(err)
		}
		bound := AppendBound(nil, true)
		k.SealInPlace(bound, nil)
		if got := fmt.Sprintf("%x", bound[4:]); got != want || bytes.Compare(bound, k.headerRaw[:]) <= 0 {
			t.Errorf("key %08x: %x", id, bound)
		}
	}
}

// TestOrderSuffix: a suffix says all that the declaration says, and nothing else makes a key.
func TestOrderSuffix(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range orderedKinds() {
		o, err := ParseOrder(c.kind, c.least, c.greatest, c.step)
		if err != nil {
			t.Fatal(err)
		}
		again, err := orderOf("a#ord:x" + o.Suffix())
		if err != nil || again.Suffix() != o.Suffix() || again.Size() != o.Size() || seen[o.Suffix()] {
			t.Errorf("%s: %s, %v", c.name, o.Suffix(), err)
		}
		seen[o.Suffix()] = true
		if before, ok := CutOrder("users.x" + o.Suffix()); before != "users.x" || !ok {
			t.Errorf("%s is cut to %s", o.Suffix(), before)
		}
	}
	for _, identity := range []string{"users.x", "#ord:", "#ord:text", "#ord:int:0", "#ord:int:0:1:0", "#ord:int:1:0:1", "#ord:int:0:1:01", "#ord:int:+0:1:1", "#ord:numeric",
		"#ord:numeric:0:1.0:0.1", "#ord:float:0:1:1", "#ord:date:0:4294967296:1", "#ord:int:0:9:2", "#ord:int:0:9:1:1", "#ord:float:7ff8000000000000:0000000000000000:1"} {
		if _, err := orderOf(identity); err == nil {
			t.Errorf("%s makes a key", identity)
		}
	}
}

func TestParseOrderRefuses(t *testing.T) {
	for _, c := range []struct {
		kind                        Kind
		least, greatest, step, want string
	}{
		{KindText, "", "", "", "collation"},
		{KindBool, "", "", "", "two values"},
		{KindUUID, "", "", "", "deterministic,cursor"},
		{KindJSON, "", "", "", "cannot be ordered"},
		{KindIntArray, "", "", "", "cannot be ordered"},
		{KindInt, "1", "", "", "together"},
		{KindInt, "", "", "2", "needs min="},
		{KindInt, "7", "7", "", "not less"},
		{KindInt, "7", "6", "", "not less"},
		{KindInt, "0", "9", "2", "whole number of steps"},
		{KindInt, "0", "9", "0", "positive"},
		{KindInt, "0", "x", "", "no value"},
		{KindNumeric, "", "", "", "give min="},
		{KindNumeric, "0", "1", "", "needs step="},
		{KindNumeric, "0", "1", "0.3", "whole number of steps"},
		{KindNumeric, "0", "1", "-0.1", "not positive"},
		{KindNumeric, "0", "NaN", "1", "no decimal"},
		{KindNumeric, "0", "1e40", "1", "2^64"},
		{KindNumeric, "1", "1", "1", "not less"},
		{KindFloat, "0", "1", "0.5", "no step="},
		{KindFloat, "0", "Inf", "", "infinite"},
		{KindDate, "-infinity", "2020-01-01", "", "infinite"},
		{KindTime, "2020-01-01", "2021-01-01", "", "zone"},
		{KindTimestamp, "2020-01-01", "2021-01-01", "1ns", "whole microseconds"},
		{KindTimestamp, "2020-01-01", "2021-01-01", "day", "whole microseconds"},
	} {
		if _, err := ParseOrder(c.kind, c.least, c.greatest, c.step); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s,min=%s,max=%s,step=%s: %v", c.kind, c.least, c.greatest, c.step, err)
		}
	}
}
