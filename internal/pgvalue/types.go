package pgvalue

import (
	"fmt"
	"strconv"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/pgarray"
)

// Type is a type that a constant can have or be cast to. Others are never understood.
type Type uint8

// The types. Unknown is that of a string without a cast, which takes the type of what it
// meets.
const (
	Unknown Type = iota + 1
	Int2
	Int4
	Int8
	Numeric
	Float4
	Float8
	Text
	Bool
	Bytea
	JSON
	UUID
	Timestamptz
	Timestamp
	Date
)

// pgTypes are the types by the names that PostgreSQL's grammar gives them.
var pgTypes = map[string]Type{
	"int2": Int2, "int4": Int4, "int8": Int8, "numeric": Numeric, "float4": Float4, "float8": Float8,
	"text": Text, "varchar": Text, "bool": Bool, "bytea": Bytea, "json": JSON, "jsonb": JSON, "uuid": UUID,
	"timestamptz": Timestamptz, "timestamp": Timestamp, "date": Date,
}

// A Cast is a cast as it is written.
type Cast struct {
	Schema, Name string // of the type, folded; Schema is "" unless it was written
	Modified     bool   // a length, precision or scale was written
}

// typeOf returns the type of a cast on PostgreSQL.
func (c Cast) typeOf() (Type, *Error) {
	t, ok := pgTypes[c.Name]
	switch {
	case !ok || c.Schema != "" && c.Schema != "pg_catalog":
		return 0, changes(c)
	case c.Modified:
		return 0, &Error{"a cast to " + c.Name + " with a length or precision may change the value, which the database cannot do to a sealed one",
			"leave the length out, and cut or round the value in the program"}
	}
	return t, nil
}

func changes(c Cast) *Error {
	return &Error{"a cast to " + c.Name + " may change the value, which the database cannot do to a sealed one",
		"leave the cast out, or cast to the column's own type without a length"}
}

// Limit is what the value of a parameter has to keep to, so that a cast leaves it as it is.
// Of two limits the smaller one is the stricter one, but for NoLimit.
type Limit uint8

// The limits.
const (
	NoLimit    Limit = iota
	FitsInt2         // a whole number in the range of smallint
	FitsInt4         // a whole number in the range of integer
	FitsFloat4       // a number that real holds exactly
)

// Limits are what casts to a type ask of a parameter for a column of a kind. A pair that
// is missing may change a value, or fail in a way that cannot be foreseen here.
//
// The kinds have the types of PostgreSQL that hold every value of them: bigint,
// double precision, numeric, text and so on.
var limits = map[codec.Kind]map[Type]Limit{
	codec.KindText:      {Text: NoLimit},
	codec.KindBytes:     {Bytea: NoLimit},
	codec.KindInt:       {Int2: FitsInt2, Int4: FitsInt4, Int8: NoLimit, Numeric: NoLimit},
	codec.KindFloat:     {Float4: FitsFloat4, Float8: NoLimit},
	codec.KindNumeric:   {Numeric: NoLimit},
	codec.KindBool:      {Bool: NoLimit},
	codec.KindJSON:      {JSON: NoLimit},
	codec.KindUUID:      {UUID: NoLimit},
	codec.KindTime:      {Timestamptz: NoLimit},
	codec.KindTimestamp: {Timestamp: NoLimit},
	codec.KindDate:      {Date: NoLimit},
	codec.KindTextArray: {Text: NoLimit},
	codec.KindIntArray:  {Int2: FitsInt2, Int4: FitsInt4, Int8: NoLimit},
}

// LimitOf returns what casts, the innermost first, ask of a parameter for a column of a
// kind. Of an array kind the casts are those of its elements.
func LimitOf(kind codec.Kind, casts []Cast) (Limit, *Error) {
	strictest := NoLimit
	for _, c := range casts {
		t, err := c.typeOf()
		if err != nil {
			return 0, err
		}
		l, ok := limits[kind][t]
		if !ok {
			return 0, changes(c)
		}
		if strictest == NoLimit || l != NoLimit && l < strictest {
			strictest = l
		}
	}
	return strictest, nil
}

// Check returns an error unless a value for a column of a kind keeps to the limit. It takes
// what codec takes, but of an array only one element, or that of a kind of arrays.
func (l Limit) Check(kind codec.Kind, v any) error {
	if l == NoLimit {
		return nil
	}
	// The deterministic encodings are the same for all spellings of a value.
	b, err := codec.AppendValue(nil, kind, codec.SuiteDeterministic, v)
	if err != nil {
		return err
	}
	got, err := codec.DecodeValue(kind, b)
	if err != nil {
		return err
	}
	ok := true
	switch got := got.(type) {
	case int64:
		ok = l.holds(got)
	case float64:
		ok = float64(float32(got)) == got || got != got
	case string: // of integers
		a, err := pgarray.ParseArray(got)
		if err != nil {
			return err
		}
		for _, e := range a.Elems {
			i, err := strconv.ParseInt(e.Text, 10, 64)
			ok = ok && (e.Null || err == nil && l.holds(i))
		}
	}
	if !ok {
		return fmt.Errorf("%w: out of the range of the type that the statement casts it to", codec.ErrValue)
	}
	return nil
}

func (l Limit) holds(i int64) bool {
	if l == FitsInt2 {
		return i == int64(int16(i))
	}
	return i == int64(int32(i))
}
