package pgxseal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/pgxvalue"
	"github.com/colseal/colseal/schema"
)

// typeOf returns the type of the plain column in a result, or of an array of its values.
func typeOf(kind codec.Kind, array bool) uint32 {
	switch {
	case kind == schema.KindJSON && array:
		return pgtype.JSONBArrayOID
	case kind == schema.KindJSON:
		return pgtype.JSONBOID
	case kind == schema.KindTextArray || kind == schema.KindIntArray:
		array = false // an array of arrays has the type of its elements
	}
	if oid := pgxvalue.Type(kind, array); oid != 0 {
		return oid
	}
	return pgtype.UnknownOID
}

// relabel makes the description of a column of cells that of the plain column.
func relabel(fd *pgconn.FieldDescription, oid uint32) {
	fd.DataTypeOID, fd.TypeModifier = oid, -1
	fd.DataTypeSize = -1
	switch oid {
	case pgtype.Int8OID, pgtype.Float8OID, pgtype.TimestamptzOID, pgtype.TimestampOID:
		fd.DataTypeSize = 8
	case pgtype.DateOID:
		fd.DataTypeSize = 4
	case pgtype.BoolOID:
		fd.DataTypeSize = 1
	case pgtype.UUIDOID:
		fd.DataTypeSize = 16
	}
}

// formats are the formats in which a call asks for results.
type formats struct {
	text    bool // its mode asks for text
	byIndex pgx.QueryResultFormats
	byOID   pgx.QueryResultFormatsByOID
}

// usual reports whether the call leaves the formats to its mode.
func (f *formats) usual() bool { return f.byIndex == nil && f.byOID == nil }

// of returns the format of result column i of a type: what pgx would ask the server for.
func (f *formats) of(m *pgtype.Map, i int, oid uint32) int16 {
	switch {
	case f.text:
		return pgx.TextFormatCode
	case f.byOID != nil:
		return f.byOID[oid]
	case len(f.byIndex) == 1:
		return f.byIndex[0]
	case i < len(f.byIndex):
		return f.byIndex[i]
	case len(f.byIndex) > 0:
		return pgx.TextFormatCode
	}
	return m.FormatCodeForOID(oid)
}

// encodingFormat returns the format that the canonical encoding of a kind has, or has but for an
// epoch.
func encodingFormat(kind codec.Kind) int16 {
	switch kind {
	case schema.KindJSON, schema.KindNumeric, schema.KindTextArray, schema.KindIntArray:
		return pgx.TextFormatCode
	}
	return pgx.BinaryFormatCode
}

// PostgreSQL counts from 2000-01-01, canonical encodings from 1970-01-01.
const (
	epochDays   = 10957
	epochMicros = epochDays * 24 * 60 * 60 * 1_000_000
)

var errForm = errors.New("not a value of this type")

// wire returns the form that the server would send for the plain value with encoding enc, whose
// memory it may use.
func wire(m *pgtype.Map, kind codec.Kind, format int16, enc []byte) ([]byte, error) {
	if kind == schema.KindText || format == encodingFormat(kind) {
		return sinceEpoch(kind, enc)
	}
	if format == pgx.BinaryFormatCode {
		return binaryOf(m, typeOf(kind, false), enc)
	}
	v, err := codec.DecodeValue(kind, enc)
	if err != nil {
		return nil, err
	}
	switch t := v.(type) {
	case string: // a UUID, or infinity
		return []byte(t), nil
	case []byte:
		return hex.AppendEncode([]byte(`\x`), t), nil
	case int64:
		return strconv.AppendInt(nil, t, 10), nil
	case float64:
		return appendFloat(nil, t), nil
	case bool:
		if t {
			return []byte("t"), nil
		}
		return []byte("f"), nil
	case time.Time:
		return codec.AppendTime(nil, kind, t), nil
	}
	return nil, fmt.Errorf("%w: %s as text", codec.ErrFormat, kind)
}

// sinceEpoch turns the encoding of a date or time, in place, into PostgreSQL's binary form. Others
// have that form.
func sinceEpoch(kind codec.Kind, enc []byte) ([]byte, error) {
	switch kind {
	case schema.KindTime, schema.KindTimestamp:
		if len(enc) != 8 {
			return nil, errForm
		}
		if n := int64(binary.BigEndian.Uint64(enc)); n != math.MaxInt64 && n != math.MinInt64 {
			binary.BigEndian.PutUint64(enc, uint64(n-epochMicros))
		}
	case schema.KindDate:
		if len(enc) != 4 {
			return nil, errForm
		}
		if n := int32(binary.BigEndian.Uint32(enc)); n != math.MaxInt32 && n != math.MinInt32 {
			binary.BigEndian.PutUint32(enc, uint32(n-epochDays))
		}
	}
	return enc, nil
}

// binaryOf turns the text of a value into the binary form.
func binaryOf(m *pgtype.Map, oid uint32, text []byte) ([]byte, error) {
	var v any
	switch oid {
	case pgtype.JSONBOID:
		return append([]byte{1}, text...), nil
	case pgtype.NumericOID:
		v = new(pgtype.Numeric)
	default:
		v = new(pgtype.Array[any])
	}
	if err := m.Scan(oid, pgx.TextFormatCode, text, v); err != nil {
		return nil, errForm
	}
	out, err := m.Encode(oid, pgx.BinaryFormatCode, v, make([]byte, 0, len(text)+16))
	if err != nil {
		return nil, errForm
	}
	switch oid {
	case pgtype.NumericOID:
		out = appendNumeric(out[:0], out)
	case pgtype.NumericArrayOID:
		out = appendNumerics(out[:0], out)
	}
	return out, nil
}

// appendNumeric appends the binary form of a numeric as the server writes it, with no digits of
// zero at its ends. pgx writes some, and reads 0.00 otherwise with them. dst may be the beginning
// of wire. The form is that which pgxvalue decodes.
func appendNumeric(dst, wire []byte) []byte {
	head, digits := [8]byte(wire), wire[8:]
	weight := int16(binary.BigEndian.Uint16(head[2:]))
	for len(digits) > 0 && digits[0]|digits[1] == 0 {
		digits = digits[2:]
		weight--
	}
	for len(digits) > 0 && digits[len(digits)-1]|digits[len(digits)-2] == 0 {
		digits = digits[:len(digits)-2]
	}
	if len(digits) == 0 {
		weight = 0
	}
	binary.BigEndian.PutUint16(head[:], uint16(len(digits)/2))
	binary.BigEndian.PutUint16(head[2:], uint16(weight))
	return append(append(dst, head[:]...), digits...)
}

// appendNumerics is appendNumeric for an array, which has a header, three words and two for each
// dimension, and elements behind their lengths; that of NULL is -1.
func appendNumerics(dst, wire []byte) []byte {
	word := func(b []byte) int { return int(int32(binary.BigEndian.Uint32(b))) }
	head := 12 + 8*word(wire)
	dst, wire = append(dst, wire[:head]...), wire[head:]
	for len(wire) > 0 {
		n, at := word(wire), len(dst)
		dst = append(dst, wire[:4]...)
		if wire = wire[4:]; n >= 0 {
			dst = appendNumeric(dst, wire[:n])
			binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
			wire = wire[n:]
		}
	}
	return dst
}

// appendFloat writes a float8 as PostgreSQL does.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e15) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}
