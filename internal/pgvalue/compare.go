package pgvalue

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strings"

	"github.com/colseal/colseal/codec"
)

// Comparable reports whether two values of a kind are equal to a server exactly if their
// deterministic encodings are. JSON has an equality of its own.
func Comparable(kind codec.Kind) bool { return kind != codec.KindJSON }

// Ordered reports whether [Compare] knows the order of a kind. That of text is a matter of
// collations.
func Ordered(kind codec.Kind) bool {
	switch kind {
	case codec.KindInt, codec.KindFloat, codec.KindNumeric, codec.KindBool, codec.KindTime, codec.KindTimestamp, codec.KindDate,
		codec.KindUUID, codec.KindBytes:
		return true
	}
	return false
}

// Compare compares the deterministic encodings of two values of an ordered kind, as cmp.Compare
// does.
func Compare(kind codec.Kind, a, b []byte) int {
	switch kind {
	case codec.KindInt, codec.KindTime, codec.KindTimestamp:
		return cmp.Compare(int64(binary.BigEndian.Uint64(a)), int64(binary.BigEndian.Uint64(b)))
	case codec.KindDate:
		return cmp.Compare(int32(binary.BigEndian.Uint32(a)), int32(binary.BigEndian.Uint32(b)))
	case codec.KindFloat:
		return compareFloats(math.Float64frombits(binary.BigEndian.Uint64(a)), math.Float64frombits(binary.BigEndian.Uint64(b)))
	case codec.KindNumeric:
		return compareNumerics(string(a), string(b))
	}
	return bytes.Compare(a, b)
}

// compareFloats has NaN as the greatest, as PostgreSQL does.
func compareFloats(a, b float64) int {
	switch {
	case a != a && b != b:
		return 0
	case a != a:
		return 1
	case b != b:
		return -1
	}
	return cmp.Compare(a, b)
}

// numericRank orders what is not finite.
func numericRank(s string) int {
	switch s {
	case "NaN":
		return 2
	case "Infinity":
		return 1
	case "-Infinity":
		return -1
	}
	return 0
}

// compareNumerics compares canonical texts, which have no needless zeros.
func compareNumerics(a, b string) int {
	if ra, rb := numericRank(a), numericRank(b); ra != 0 || rb != 0 {
		return cmp.Compare(ra, rb)
	}
	a, negativeA := strings.CutPrefix(a, "-")
	b, negativeB := strings.CutPrefix(b, "-")
	switch {
	case negativeA && !negativeB:
		return -1
	case negativeB && !negativeA:
		return 1
	case negativeA:
		a, b = b, a
	}
	wholeA, fractionA, _ := strings.Cut(a, ".")
	wholeB, fractionB, _ := strings.Cut(b, ".")
	return cmp.Or(cmp.Compare(len(wholeA), len(wholeB)), cmp.Compare(wholeA, wholeB), cmp.Compare(fractionA, fractionB))
}
