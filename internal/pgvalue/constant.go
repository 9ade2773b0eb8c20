package pgvalue

import (
	"math"
	"strconv"
	"strings"

	"github.com/colseal/colseal/codec"
)

// Number is a numeric constant that is no int64, as decimal text.
type Number string

// A Constant is a constant of a statement, with its casts.
type Constant struct {
	Value any    // a string, an int64, a bool or a Number
	Casts []Cast // the innermost first; of an array, those of its elements
	// Assigned: the column is assigned just this, and not something that it is a part of.
	// Only then are numbers rounded.
	Assigned bool
	// Part: some of the casts are of something that it is only a part of.
	Part bool
	// NullWords: see codec.Session.
	NullWords bool
}

// As returns what PostgreSQL would store of the constant in a column of a kind, or compare
// with one: a value that codec takes for the kind.
func (c Constant) As(kind codec.Kind, suite codec.Suite) (any, *Error) {
	v, err := constant(c.Value)
	if err == nil && c.Part && kind == codec.KindText && v.t != Unknown {
		// What it is a part of may be a number of another type, with another text.
		return nil, notConverted()
	}
	for _, k := range c.Casts {
		if err != nil {
			return nil, err
		}
		var t Type
		if t, err = k.typeOf(); err == nil {
			v, err = v.cast(t)
		}
	}
	if err != nil {
		return nil, err
	}
	out, err := v.as(kind, c.Assigned)
	if err != nil {
		return nil, err
	}
	return sealable(out, kind, suite)
}

func sealable(v any, kind codec.Kind, suite codec.Suite) (any, *Error) {
	if _, err := codec.AppendValue(nil, kind, suite, v); err != nil {
		return nil, unfit(kind)
	}
	return v, nil
}

func unfit(kind codec.Kind) *Error {
	hint := "write a literal of that kind, or use a parameter"
	if kind == codec.KindTime {
		hint = "write it with its zone, as '2006-01-02 15:04:05+00', or use a parameter"
	}
	return &Error{"the literal does not fit the column's kind, " + kind.String(), hint}
}

// value is a constant on its way: a number as an int64, as the decimal text of a numeric or
// as a float64; anything else as a string, or a bool.
type value struct {
	t Type
	i int64
	f float64
	s string
	b bool
}

func constant(v any) (value, *Error) {
	switch v := v.(type) {
	case string:
		return value{t: Unknown, s: v}, nil
	case bool:
		return value{t: Bool, b: v}, nil
	case int64:
		if v == int64(int32(v)) {
			return value{t: Int4, i: v}, nil
		}
		return value{t: Int8, i: v}, nil
	case Number:
		return parse(Numeric, string(v))
	}
	return value{}, &Error{"a constant of this type is not sealed", "use a parameter"}
}

func outOfRange() *Error {
	return &Error{"the number is out of the range of its type", "write a number in range"}
}

func (t Type) integer() bool { return t == Int2 || t == Int4 || t == Int8 }
func (t Type) float() bool   { return t == Float4 || t == Float8 }

// cast converts as a cast that is written does.
func (v value) cast(t Type) (value, *Error) {
	switch {
	case v.t == Unknown || v.t == Text && t != Text:
		return parse(t, v.s)
	case v.t == t:
		return v, nil
	case t == Text:
		return v.text()
	case t.integer():
		return v.integer(t)
	case t.float():
		return v.float(t)
	case t == Numeric && v.t.integer():
		return value{t: t, s: strconv.FormatInt(v.i, 10)}, nil
	}
	// Floats become numerics of 6 or 15 digits, and the rest is rare.
	return value{}, notConverted()
}

func notConverted() *Error {
	return &Error{"this cast of a literal is not computed here", "write the value that it yields, or use a parameter"}
}

// parse reads the text of a type as its input function does, or refuses it.
func parse(t Type, s string) (value, *Error) {
	trimmed := strings.Trim(s, " \t\n\r\v\f")
	switch t {
	case Int2, Int4, Int8:
		i, err := strconv.ParseInt(trimmed, 10, bits(t))
		if err != nil {
			return value{}, unread(t)
		}
		return value{t: t, i: i}, nil
	case Numeric:
		digits, err := codec.AppendValue(nil, codec.KindNumeric, codec.SuiteRandomized, s)
		if err != nil {
			return value{}, unread(t)
		}
		return value{t: t, s: string(digits)}, nil
	case Float4, Float8:
		return parseFloat(t, trimmed)
	case Bool:
		b, err := codec.AppendValue(nil, codec.KindBool, codec.SuiteRandomized, s)
		if err != nil {
			return value{}, unread(t)
		}
		return value{t: t, b: b[0] == 1}, nil
	}
	return value{t: t, s: s}, nil // Text; as looks at the others
}

func unread(t Type) *Error {
	what := "a bool"
	switch {
	case t.integer():
		what = "a whole number in range"
	case t == Numeric || t.float():
		what = "a number in range"
	}
	return &Error{"the literal is not the text of " + what, "write it in decimal digits, or use a parameter"}
}

func bits(t Type) int {
	switch t {
	case Int2:
		return 16
	case Int4, Float4:
		return 32
	}
	return 64
}

// parseFloat reads decimal text. A number that is too small is out of range, as one that
// is too large is.
func parseFloat(t Type, s string) (value, *Error) {
	f, err := strconv.ParseFloat(s, bits(t))
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	if err != nil || strings.ContainsAny(s, "xXpP_") || f == 0 && strings.ContainsAny(mantissa, "123456789") {
		return value{}, unread(t)
	}
	return value{t: t, f: f}, nil
}

// text converts to text, but for floats, of which the session's extra_float_digits says
// how.
func (v value) text() (value, *Error) {
	switch {
	case v.t.integer():
		return value{t: Text, s: strconv.FormatInt(v.i, 10)}, nil
	case v.t == Numeric:
		return value{t: Text, s: v.s}, nil
	case v.t == Bool:
		return value{t: Text, s: strconv.FormatBool(v.b)}, nil
	}
	return value{}, notConverted()
}

// integer converts a number: numerics are rounded half away from zero, floats half to
// even.
func (v value) integer(t Type) (value, *Error) {
	i, ok := v.i, v.t.integer()
	switch {
	case v.t == Numeric:
		i, _, ok = roundNumeric(v.s)
	case v.t.float():
		i, ok = roundFloat(v.f)
	}
	if shift := 64 - bits(t); !ok || i<<shift>>shift != i {
		return value{}, outOfRange()
	}
	return value{t: t, i: i}, nil
}

// float converts a number.
func (v value) float(t Type) (value, *Error) {
	switch {
	case v.t == Numeric:
		return parseFloat(t, v.s)
	case v.t.integer() && t == Float4:
		return value{t: t, f: float64(float32(v.i))}, nil
	case v.t.integer():
		return value{t: t, f: float64(v.i)}, nil
	case v.t == Float4:
		return value{t: t, f: v.f}, nil
	case v.t == Float8:
		f := float64(float32(v.f))
		if math.IsInf(f, 0) && !math.IsInf(v.f, 0) || f == 0 && v.f != 0 {
			return value{}, outOfRange()
		}
		return value{t: t, f: f}, nil
	}
	return value{}, notConverted()
}

// roundNumeric rounds the canonical text of a numeric half away from zero. exact: there was
// nothing to round.
func roundNumeric(s string) (i int64, exact, ok bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	u, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return 0, false, false
	}
	exact = strings.Trim(fraction, "0") == ""
	if fraction != "" && fraction[0] >= '5' {
		u++
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), exact, true
	case !negative && u <= math.MaxInt64:
		return int64(u), exact, true
	}
	return 0, false, false
}

func roundFloat(f float64) (int64, bool) {
	f = math.RoundToEven(f)
	if !(f >= math.MinInt64 && f < -math.MinInt64) { // NaN is none of it
		return 0, false
	}
	return int64(f), true
}
