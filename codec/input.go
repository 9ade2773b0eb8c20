package codec

import (
	"database/sql/driver"
	"encoding"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/pgarray"
)

// form is which field of an input is set.
type form uint8

const (
	formInt form = iota + 1
	formUint
	formFloat
	formBool
	formString
	formBytes
	formTime
)

// input is a value given by the caller, reduced to one of a few forms. A plain struct, because an
// interface per step would allocate.
type input struct {
	form form
	i    int64
	u    uint64
	f    float64
	b    bool
	s    string
	raw  []byte
	t    time.Time
}

// maxIndirect bounds pointers to pointers and Valuers that yield Valuers; a cyclic type would never
// end.
const maxIndirect = 8

// read reduces v. What it does with a type mirrors database/sql: a Valuer speaks for itself,
// pointers are followed, named types count as what they are made of. Only what is made of nothing
// that can be sealed counts as what it prints as.
func read(kind Kind, v any) (in input, err error) {
	if !in.readPlain(v) {
		held, whole, err := follow(kind, v)
		if err != nil {
			return input{}, err
		}
		if !in.readPlain(held) {
			if in, err = readNamed(kind, reflect.ValueOf(held)); err != nil {
				return readPrinted(kind, whole, err)
			}
		}
	}
	if in.form == formBytes && in.raw == nil {
		return input{}, ErrNull
	}
	return in, nil
}

// follow returns what v holds, and that or the pointer to it, which has the methods of both. The
// error is ErrNull if it holds nothing.
func follow(kind Kind, v any) (held, whole any, err error) {
	whole = v
	for range maxIndirect {
		if valuer, ok := v.(driver.Valuer); ok && !isNilValuer(v) {
			if v, err = valuer.Value(); err != nil {
				return nil, nil, &valueError{kind: kind, reason: "its Value method failed", cause: err}
			}
			whole = v
			continue
		}
		if isNil(v) {
			return nil, nil, ErrNull
		}
		rv := reflect.ValueOf(v)
		if rv.Kind() != reflect.Pointer {
			return v, whole, nil
		}
		v, whole = rv.Elem().Interface(), v
	}
	return nil, nil, refuse(kind, "pointers or Value methods nested too deep")
}

// isNilValuer reports whether v is a nil pointer to a type whose Value method does not take a
// pointer.
func isNilValuer(v any) bool {
	rv := reflect.ValueOf(v)
	return rv.Kind() == reflect.Pointer && rv.IsNil() && rv.Type().Elem().Implements(reflect.TypeFor[driver.Valuer]())
}

// readPrinted reads the text of a value that cannot be sealed otherwise, because of err.
func readPrinted(kind Kind, v any, err error) (input, error) {
	m, ok := v.(encoding.TextMarshaler)
	if !ok {
		return input{}, err
	}
	text, err := m.MarshalText()
	if err != nil {
		return input{}, &valueError{kind: kind, reason: "its MarshalText method failed", cause: err}
	}
	return input{form: formString, s: string(text)}, nil
}

func (in *input) readPlain(v any) bool {
	switch v := v.(type) {
	case string:
		in.form, in.s = formString, v
	case []byte:
		in.form, in.raw = formBytes, v
	case int64:
		in.form, in.i = formInt, v
	case int:
		in.form, in.i = formInt, int64(v)
	case int32:
		in.form, in.i = formInt, int64(v)
	case float64:
		in.form, in.f = formFloat, v
	case bool:
		in.form, in.b = formBool, v
	case time.Time:
		in.form, in.t = formTime, v
	case [16]byte:
		in.form, in.raw = formBytes, v[:]
	default:
		return false
	}
	return true
}

func readNamed(kind Kind, rv reflect.Value) (input, error) {
	switch rv.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return input{form: formInt, i: rv.Int()}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if u := rv.Uint(); u > math.MaxInt64 {
			return input{form: formUint, u: u}, nil
		}
		return input{form: formInt, i: int64(rv.Uint())}, nil
	case reflect.Float32, reflect.Float64:
		return input{form: formFloat, f: rv.Float()}, nil
	case reflect.Bool:
		return input{form: formBool, b: rv.Bool()}, nil
	case reflect.String:
		return input{form: formString, s: rv.String()}, nil
	case reflect.Slice:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			return input{form: formBytes, raw: rv.Bytes()}, nil
		}
	case reflect.Array:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			raw := make([]byte, rv.Len())
			reflect.Copy(reflect.ValueOf(raw), rv)
			return input{form: formBytes, raw: raw}, nil
		}
	case reflect.Struct:
		if t := reflect.TypeFor[time.Time](); rv.CanConvert(t) {
			return input{form: formTime, t: rv.Convert(t).Interface().(time.Time)}, nil
		}
	}
	return input{}, refuse(kind, "a "+rv.Type().String()+" cannot be sealed as it")
}

// isNil reports whether v is what a program means by NULL: database/sql and pgx take nil pointers,
// slices and maps so.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return rv.IsNil()
	}
	return false
}

// text returns the text of a string or of bytes.
func (in *input) text() (string, bool) {
	switch in.form {
	case formString:
		return in.s, true
	case formBytes:
		return string(in.raw), true
	}
	return "", false
}

// trimSpace removes what PostgreSQL's scalar input functions skip around a value.
func trimSpace(s string) string { return pgarray.Trim(s) }

func (in *input) toInt(kind Kind) (int64, error) {
	switch in.form {
	case formInt:
		return in.i, nil
	case formUint:
		return 0, refuse(kind, "out of the range of int64")
	case formFloat:
		// -2^63 is a float64 and 2^63 is the first that does not fit.
		if in.f != math.Trunc(in.f) || in.f < math.MinInt64 || in.f >= -math.MinInt64 {
			return 0, refuse(kind, "a float that is no whole number in the range of int64")
		}
		return int64(in.f), nil
	}
	if s, ok := in.text(); ok {
		i, err := strconv.ParseInt(trimSpace(s), 10, 64)
		if err != nil {
			return 0, refuse(kind, "not the decimal text of an int64")
		}
		return i, nil
	}
	return 0, refuse(kind, "neither a whole number nor its decimal text")
}

func (in *input) toBool() (bool, error) {
	if in.form == formBool {
		return in.b, nil
	}
	if in.form == formInt && (in.i == 0 || in.i == 1) {
		return in.i == 1, nil
	}
	s, ok := in.text()
	if !ok {
		return false, refuse(KindBool, "neither a bool, 0, 1, nor PostgreSQL's text of one")
	}
	s = strings.ToLower(trimSpace(s))
	// PostgreSQL accepts every prefix of these words that leaves no doubt ("o" could be on or off).
	prefixOf := func(word string, shortest int) bool { return len(s) >= shortest && strings.HasPrefix(word, s) }
	switch {
	case s == "1" || prefixOf("true", 1) || prefixOf("yes", 1) || s == "on":
		return true, nil
	case s == "0" || prefixOf("false", 1) || prefixOf("no", 1) || prefixOf("off", 2):
		return false, nil
	}
	return false, refuse(KindBool, "not PostgreSQL's text of a bool")
}
