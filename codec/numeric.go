package codec

import (
	"strconv"
	"strings"
)

// The limits of PostgreSQL's numeric, and of the exponent that is looked at.
const (
	maxNumericInteger  = 131072
	maxNumericFraction = 16383
	maxNumericExponent = 200000
)

var errNumericText = refuse(KindNumeric, "not the decimal text of a number")

// appendNumeric writes what PostgreSQL writes for the same input: no exponent, no leading zeros or
// plus, a fraction of the given scale. The deterministic suite drops trailing zeros of the
// fraction, since 1.50 = 1.5.
func appendNumeric(dst []byte, suite Suite, in *input) ([]byte, error) {
	switch in.form {
	case formInt:
		return strconv.AppendInt(dst, in.i, 10), nil
	case formUint:
		return strconv.AppendUint(dst, in.u, 10), nil
	case formFloat:
		in.s = strconv.FormatFloat(in.f, 'g', -1, 64)
	default:
		s, ok := in.text()
		if !ok {
			return nil, refuse(KindNumeric, "neither a number nor its text")
		}
		in.s = trimSpace(s)
	}
	return appendNumericText(dst, suite, in.s)
}

func appendNumericText(dst []byte, suite Suite, s string) ([]byte, error) {
	negative, signed := false, false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, signed = s[0] == '-', true
		s = s[1:]
	}
	switch {
	case !signed && strings.EqualFold(s, "nan"):
		return append(dst, "NaN"...), nil
	case strings.EqualFold(s, "inf"), strings.EqualFold(s, "infinity"):
		if negative {
			dst = append(dst, '-')
		}
		return append(dst, "Infinity"...), nil
	}
	mantissa, exponent, ok := cutExponent(s)
	if !ok {
		return nil, errNumericText
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return nil, errNumericText
	}
	// From here the number is 0.digits × 10^point.
	digits, point := whole+fraction, len(whole)+exponent
	scale := max(0, len(fraction)-exponent)
	for digits != "" && digits[0] == '0' {
		digits, point = digits[1:], point-1
	}
	zero := digits == ""
	if !zero && point > maxNumericInteger || scale > maxNumericFraction {
		return nil, refuse(KindNumeric, "more digits than PostgreSQL's numeric holds")
	}
	if suite.Searchable() {
		digits = strings.TrimRight(digits, "0")
		scale = max(0, len(digits)-point)
		if zero {
			scale = 0
		}
	}
	if negative && !zero {
		dst = append(dst, '-')
	}
	return appendPlain(dst, digits, point, scale, zero), nil
}

// appendPlain writes 0.digits × 10^point without an exponent, with scale digits after the point.
func appendPlain(dst []byte, digits string, point, scale int, zero bool) []byte {
	at := func(i int) byte {
		if i >= 0 && i < len(digits) {
			return digits[i]
		}
		return '0'
	}
	if zero || point <= 0 {
		dst = append(dst, '0')
	} else {
		for i := range point {
			dst = append(dst, at(i))
		}
	}
	if scale > 0 {
		dst = append(dst, '.')
		for i := range scale {
			dst = append(dst, at(point+i))
		}
	}
	return dst
}

func cutExponent(s string) (mantissa string, exponent int, ok bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, 0, true
	}
	exponent, err := strconv.Atoi(s[i+1:])
	return s[:i], exponent, err == nil && exponent <= maxNumericExponent && exponent >= -maxNumericExponent
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// canonicalNumeric reports whether s is what appendNumeric writes in suite.
func canonicalNumeric(suite Suite, s string) bool {
	switch s {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	s, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(s, ".")
	switch {
	case whole == "" || len(whole) > maxNumericInteger || !allDigits(whole) || whole[0] == '0' && whole != "0":
		return false
	case point && fraction == "" || len(fraction) > maxNumericFraction || !allDigits(fraction):
		return false
	case point && suite.Searchable() && fraction[len(fraction)-1] == '0':
		return false
	}
	return !negative || strings.Trim(s, "0.") != ""
}
