package pgvalue

import (
	"math"

	"github.com/colseal/colseal/codec"
)

// own are the types whose values are those of a kind as they stand.
var own = map[codec.Kind]Type{
	codec.KindText: Text, codec.KindBytes: Bytea, codec.KindBool: Bool, codec.KindTime: Timestamptz,
	codec.KindDate: Date, codec.KindTimestamp: Timestamp,
	codec.KindJSON: JSON, codec.KindUUID: UUID,
}

// as converts to what a column of a kind holds, as the server does unasked when it assigns
// or compares.
func (v value) as(kind codec.Kind, assigned bool) (any, *Error) {
	switch kind {
	case codec.KindInt:
		return v.asInt(assigned)
	case codec.KindFloat:
		return v.asFloat()
	case codec.KindNumeric:
		return v.asNumeric()
	}
	switch {
	case v.t != Unknown && v.t != own[kind]:
		return nil, unfit(kind)
	case kind == codec.KindBytes:
		return Bytes(v.s)
	case v.t == Bool:
		return v.b, nil
	}
	return v.s, nil
}

// exactFloat bounds the whole numbers that double precision tells apart. A bigint is
// compared with one as a double precision, so that beyond it several are equal.
const exactFloat = 1 << 53

func (v value) asInt(assigned bool) (any, *Error) {
	exact := true
	switch {
	case v.t == Unknown:
		w, err := parse(Int8, v.s)
		if err != nil {
			return nil, err
		}
		return w.i, nil
	case v.t == Numeric:
		_, exact, _ = roundNumeric(v.s)
	case v.t.float():
		exact = v.f == math.Trunc(v.f) && math.Abs(v.f) < exactFloat
	case !v.t.integer():
		return nil, unfit(codec.KindInt)
	}
	w, err := v.integer(Int8)
	if err != nil {
		return nil, err
	}
	if !exact && !assigned {
		return nil, &Error{"the literal is no whole number, and is rounded nowhere but in an assignment", "write a whole number: column < 31 or column <= 30 for column < 30.5"}
	}
	return w.i, nil
}

func (v value) asFloat() (any, *Error) {
	w, err := v, (*Error)(nil)
	switch {
	case v.t == Unknown:
		w, err = parse(Float8, v.s)
	case v.t.integer() || v.t == Numeric || v.t == Float4:
		w, err = v.float(Float8)
	case v.t != Float8:
		return nil, unfit(codec.KindFloat)
	}
	if err != nil {
		return nil, err
	}
	return w.f, nil
}

// asNumeric takes no floats: they lose digits when they are assigned, and a numeric is
// compared with one as a float.
func (v value) asNumeric() (any, *Error) {
	w, err := v, (*Error)(nil)
	switch {
	case v.t == Unknown || v.t.integer():
		w, err = v.cast(Numeric)
	case v.t != Numeric:
		return nil, unfit(codec.KindNumeric)
	}
	if err != nil {
		return nil, err
	}
	return w.s, nil
}
