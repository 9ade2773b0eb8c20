package pgxvalue

import (
	"encoding/binary"
	"strconv"
)

// decodeNumeric returns the text of the binary form of a numeric, as PostgreSQL writes it, with as
// many digits behind the point as the value has. The form is: how many digits of base 10000, the
// weight of the first, the sign, the digits behind the point.
func decodeNumeric(wire []byte) (string, error) {
	if len(wire) < 8 {
		return "", errWire
	}
	at := func(i int) int { return int(binary.BigEndian.Uint16(wire[2*i:])) }
	n, weight, sign, scale := at(0), int(int16(at(1))), at(2), at(3)
	switch sign {
	case 0xC000:
		return "NaN", nil
	case 0xD000:
		return "Infinity", nil
	case 0xF000:
		return "-Infinity", nil
	case 0, 0x4000:
	default:
		return "", errWire
	}
	if len(wire) != 8+2*n || weight > maxWeight || scale > maxScale {
		return "", errWire
	}
	digit := func(i int) int { // i counts from the first
		if i < 0 || i >= n {
			return 0
		}
		return at(4 + i)
	}
	var out []byte
	if sign == 0x4000 {
		out = append(out, '-')
	}
	if weight < 0 {
		out = append(out, '0')
	}
	for i := range weight + 1 {
		if i == 0 {
			out = strconv.AppendInt(out, int64(digit(0)), 10)
			continue
		}
		out = appendFour(out, digit(i))
	}
	if scale == 0 {
		return string(out), nil
	}
	out = append(out, '.')
	point := len(out)
	for i := weight + 1; len(out)-point < scale; i++ {
		out = appendFour(out, digit(i))
	}
	return string(out[:point+scale]), nil
}

// The greatest weight of a numeric with 131072 digits before the point, and the greatest scale that
// the form has room for.
const (
	maxWeight = 131072/4 - 1
	maxScale  = 0x3FFF
)

func appendFour(dst []byte, digit int) []byte {
	return append(dst, byte('0'+digit/1000%10), byte('0'+digit/100%10), byte('0'+digit/10%10), byte('0'+digit%10))
}
