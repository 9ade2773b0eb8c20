// Package pgxvalue is what pgx makes of a Go value for a column of a kind. What a type means is
// for pgx to say (pgtype.Map), so that a sealed column takes the values that the plain column
// takes, and holds the same ones.
package pgxvalue

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
)

// pgTypes are the type of a column of each kind, and that of an array of such values.
var pgTypes = [...]struct{ value, array uint32 }{
	codec.KindText:      {pgtype.TextOID, pgtype.TextArrayOID},
	codec.KindBytes:     {pgtype.ByteaOID, pgtype.ByteaArrayOID},
	codec.KindInt:       {pgtype.Int8OID, pgtype.Int8ArrayOID},
	codec.KindFloat:     {pgtype.Float8OID, pgtype.Float8ArrayOID},
	codec.KindBool:      {pgtype.BoolOID, pgtype.BoolArrayOID},
	codec.KindTime:      {pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID},
	codec.KindJSON:      {pgtype.JSONOID, pgtype.JSONArrayOID},
	codec.KindUUID:      {pgtype.UUIDOID, pgtype.UUIDArrayOID},
	codec.KindNumeric:   {pgtype.NumericOID, pgtype.NumericArrayOID},
	codec.KindTextArray: {pgtype.TextArrayOID, 0},
	codec.KindIntArray:  {pgtype.Int8ArrayOID, 0},
	codec.KindDate:      {pgtype.DateOID, pgtype.DateArrayOID},
	codec.KindTimestamp: {pgtype.TimestampOID, pgtype.TimestampArrayOID},
}

// Type returns the OID of the type of a column of a kind, or of an array of its values; 0 where pgx
// has none.
func Type(kind codec.Kind, array bool) uint32 {
	switch {
	case int(kind) >= len(pgTypes):
		return 0
	case array:
		return pgTypes[kind].array
	}
	return pgTypes[kind].value
}

// elementKinds are the kinds of the elements of the kinds of arrays.
var elementKinds = map[codec.Kind]codec.Kind{codec.KindTextArray: codec.KindText, codec.KindIntArray: codec.KindInt}

// Value returns what pgx sends for arg to a plain column of kind, as a value that package codec
// takes: nil for NULL, a text that the server would read as the column's type, or the value itself
// in one of codec's own Go types. It may be arg, or share its memory.
//
// m is the type map of the connection, which may hold types of the program's; only one goroutine
// may use it at a time. Value calls methods of arg, such as Value of a driver.Valuer.
//
// The error is codec.ErrValue where pgx cannot encode arg. The error of arg's own method is there
// for errors.Is and errors.As. Its text holds nothing of arg.
func Value(m *pgtype.Map, kind codec.Kind, arg any) (any, error) {
	if own(kind, arg) {
		return arg, nil
	}
	wire, format, err := encode(m, pgTypes[kind].value, arg)
	if err != nil {
		return nil, NewError(kind, arg, err)
	}
	if wire == nil {
		return nil, nil
	}
	v, err := decode(kind, format, wire)
	if err != nil {
		return nil, NewError(kind, arg, err)
	}
	return v, nil
}

// Settled returns an argument that several parameters are made of. The Value method of a program's
// type may return something else each time, so it is called here, and the parameters get the one
// result. Where it fails, arg is returned, and what takes it reports the error.
func Settled(arg any) any {
	valuer, ok := arg.(driver.Valuer)
	if !ok {
		return arg
	}
	t := reflect.TypeOf(arg)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[pgtype.Map]().PkgPath() {
		return arg // pgx does not call it, and it always returns the same
	}
	v, err := resultOf(valuer)
	if err != nil {
		return arg
	}
	return v
}

func resultOf(valuer driver.Valuer) (v any, err error) {
	defer caught(&err)
	return valuer.Value()
}

// Elements is Value for an argument that is an array of values of kind, or of elements of a kind of
// arrays. It returns the elements, nil for NULL ones, or nil if the array is NULL. It refuses
// arrays of several dimensions, or that do not begin at 1.
func Elements(m *pgtype.Map, kind codec.Kind, arg any) ([]any, error) {
	if of, ok := elementKinds[kind]; ok {
		kind = of
	}
	switch t := arg.(type) {
	case string:
		return ParseArray(t)
	case []string:
		if kind == codec.KindText {
			return boxed(t), nil
		}
	case []int64:
		if kind == codec.KindInt {
			return boxed(t), nil
		}
	case []int:
		if kind == codec.KindInt {
			return boxed(t), nil
		}
	case [][]byte:
		if kind == codec.KindBytes {
			return boxed(t), nil
		}
	}
	wire, format, err := encode(m, pgTypes[kind].array, arg)
	switch {
	case err != nil:
		return nil, NewError(kind, arg, err)
	case wire == nil:
		return nil, nil
	case format == pgtype.TextFormatCode:
		return ParseArray(string(wire))
	}
	a, err := decodeArray(kind, wire)
	if err != nil {
		return nil, NewError(kind, arg, err)
	}
	if !a.simple() {
		return nil, ErrNoArray
	}
	return a.elems, nil
}

func boxed[T any](s []T) []any {
	if s == nil {
		return nil
	}
	elems := make([]any, len(s))
	for i, e := range s {
		if v := any(e); !isNil(v) {
			elems[i] = v
		}
	}
	return elems
}

// own reports whether pgx would send just what codec makes of arg.
func own(kind codec.Kind, arg any) bool {
	switch t := arg.(type) {
	case nil, string: // pgx sends a string as the text of any type
		return true
	case []byte:
		return t != nil && (kind == codec.KindText || kind == codec.KindBytes || kind == codec.KindJSON)
	case int64, int, int32:
		return kind == codec.KindInt
	case float64:
		return kind == codec.KindFloat
	case bool:
		return kind == codec.KindBool
	case time.Time:
		return kind == codec.KindTime || kind == codec.KindDate || kind == codec.KindTimestamp
	}
	return false
}

func isNil(v any) bool {
	b, ok := v.([]byte)
	return ok && b == nil
}

// encode does what pgx does with an argument (ExtendedQueryBuilder.appendParam): the format that
// the type prefers, and the other one if that fails.
//
// It returns the panic of a method of arg as an error. pgx panics at a pointer to a nil pointer
// whose type has a Value method, while the connection is locked, which is then lost to
// database/sql.
func encode(m *pgtype.Map, oid uint32, arg any) (wire []byte, format int16, err error) {
	defer caught(&err)
	format = m.FormatCodeForOID(oid)
	if _, ok := arg.(*string); ok {
		format = pgtype.TextFormatCode
	}
	// Room, because pgx appends nothing for an empty value, which is not NULL.
	wire, err = m.Encode(oid, format, arg, make([]byte, 0, 64))
	if err == nil {
		return wire, format, nil
	}
	other := pgtype.BinaryFormatCode - format
	if wire, otherErr := m.Encode(oid, other, arg, make([]byte, 0, 64)); otherErr == nil {
		return wire, other, nil
	}
	return nil, 0, err
}

// caught makes an error of a panic.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}

var errWire = errors.New("the wire form is not one of the type")

// decode returns the value of a wire form of the type of kind.
func decode(kind codec.Kind, format int16, wire []byte) (any, error) {
	if kind == codec.KindJSON {
		return wire, nil // one form in both formats
	}
	if format == pgtype.TextFormatCode || kind == codec.KindText {
		return string(wire), nil
	}
	switch kind {
	case codec.KindBytes:
		return wire, nil
	case codec.KindNumeric:
		return decodeNumeric(wire)
	case codec.KindTextArray, codec.KindIntArray:
		a, err := decodeArray(elementKinds[kind], wire)
		if err != nil {
			return nil, err
		}
		return a.value()
	}
	size := 8
	switch kind {
	case codec.KindBool:
		size = 1
	case codec.KindUUID:
		size = 16
	case codec.KindDate:
		size = 4
	}
	if len(wire) != size {
		return nil, errWire
	}
	switch kind {
	case codec.KindInt:
		return int64(binary.BigEndian.Uint64(wire)), nil
	case codec.KindFloat:
		return math.Float64frombits(binary.BigEndian.Uint64(wire)), nil
	case codec.KindBool:
		return wire[0] != 0, nil
	case codec.KindUUID:
		return wire, nil
	case codec.KindDate:
		return decodeDate(int32(binary.BigEndian.Uint32(wire))), nil
	case codec.KindTime, codec.KindTimestamp:
		return decodeMicros(int64(binary.BigEndian.Uint64(wire)))
	}
	return nil, errWire
}

// PostgreSQL counts days and microseconds from 2000-01-01.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func decodeDate(days int32) any {
	switch days {
	case math.MaxInt32:
		return "infinity"
	case math.MinInt32:
		return "-infinity"
	}
	return epoch.AddDate(0, 0, int(days))
}

func decodeMicros(micros int64) (any, error) {
	switch micros {
	case math.MaxInt64:
		return "infinity", nil
	case math.MinInt64:
		return "-infinity", nil
	}
	sum := micros + epoch.UnixMicro()
	if sum < micros {
		return nil, errWire
	}
	return time.UnixMicro(sum).UTC(), nil
}

// encodeError says that a driver cannot encode an argument. The texts of pgx's errors, and of
// errors of a program's own methods, quote the value. So errors.Is and errors.As find the cause,
// and nothing prints it.
type encodeError struct {
	text  string
	cause error
}

// NewError returns the error of an argument that a driver cannot encode for a column of kind.
func NewError(kind codec.Kind, arg any, cause error) error {
	text := "a " + reflect.TypeOf(arg).String() + " cannot be sealed as " + kind.String()
	if _, ok := arg.(driver.Valuer); ok {
		text += ", or its Value method failed: errors.As has its error"
	}
	return &encodeError{text, cause}
}

func (e *encodeError) Error() string { return fmt.Sprintf("%v: %s", codec.ErrValue, e.text) }

// Is reports whether target is codec.ErrValue or one of the cause's errors.
func (e *encodeError) Is(target error) bool {
	return target == codec.ErrValue || errors.Is(e.cause, target)
}

// As finds an error of the cause's.
func (e *encodeError) As(target any) bool { return errors.As(e.cause, target) }

// Format keeps the cause out of every verb.
func (e *encodeError) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(e.Error())) }
