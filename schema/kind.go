package schema

import (
	"strconv"
	"strings"

	"github.com/colseal/colseal/codec"
)

// Kind says what a sealed column holds, and so how its values are encoded
// before they are sealed. It is codec's Kind: the kinds have one definition.
// The zero value stands for [Text] wherever this package takes a Column.
type Kind = codec.Kind

// The kinds, with the Go types from which a model's kind is inferred. Types
// that convert themselves (driver.Valuer, sql.Scanner) name their kind in the
// tag instead: `seal:"random,kind=numeric"`. Of these, the scalar types of
// pgx's pgtype are known.
//
// A time.Time is taken for an instant. A birthday, or an appointment at nine
// wherever one is then, is not an instant: see [Date] and [Timestamp].
// There is no kind for a time of day or an interval: their texts are [Text].
const (
	Text      = codec.KindText      // string
	Bytes     = codec.KindBytes     // []byte
	Int       = codec.KindInt       // every int and uint; values above 1<<63-1 do not fit and are refused on write
	Float     = codec.KindFloat     // float64, float32
	Bool      = codec.KindBool      // bool
	Time      = codec.KindTime      // an instant: time.Time, pgtype.Timestamptz
	JSON      = codec.KindJSON      // json.RawMessage; structs and maps by kind=json
	UUID      = codec.KindUUID      // [16]byte, and arrays of 16 bytes named UUID
	Numeric   = codec.KindNumeric   // decimal types, by kind=numeric
	TextArray = codec.KindTextArray // []string, sealed as a whole
	IntArray  = codec.KindIntArray  // []int64, []int32, []int16, []int, sealed as a whole
	Date      = codec.KindDate      // a calendar date: pgtype.Date; time.Time by kind=date
	Timestamp = codec.KindTimestamp // date and time of day without a zone: pgtype.Timestamp; time.Time by kind=timestamp
)

// allKindNames lists what kind= may be, for errors.
func allKindNames() []string {
	var names []string
	for k := Text; k.Valid(); k++ {
		names = append(names, k.String())
	}
	return names
}

// sqlNames are what people who think of SQL or Go write for a kind.
var sqlNames = map[string]Kind{
	"string": Text, "varchar": Text, "char": Text, "bytea": Bytes, "blob": Bytes, "[]byte": Bytes, "integer": Int, "bigint": Int, "int64": Int, "int32": Int,
	"uint64": Int, "float64": Float, "double": Float, "real": Float, "boolean": Bool, "timestamptz": Time, "instant": Time, "datetime": Timestamp,
	"interval": Text, "jsonb": JSON, "guid": UUID, "decimal": Numeric, "money": Numeric, "[]string": TextArray, "[]int64": IntArray, "[]int": IntArray,
}

// meantKind is the hint of an unknown kind.
func meantKind(name string) string {
	if k, ok := sqlNames[strings.ToLower(name)]; ok {
		return "did you mean " + k.String() + "?"
	}
	return didYouMean(name, allKindNames())
}

// Mode says how a column is sealed. The zero value is [Randomized].
type Mode uint8

const (
	// Randomized cells of equal values differ: nothing but the length shows,
	// and the column cannot be searched.
	Randomized Mode = iota
	// Deterministic cells of equal values are equal: the column can be
	// compared for equality, and an observer of the database sees which rows
	// hold equal values.
	Deterministic
	// Ordered cells sort as the values do: besides what deterministic columns
	// can do, the database finds ranges, sorts, and finds the least and the
	// greatest. An observer of the database sees the order of the rows, and
	// about how far apart their values are; of dense values, everything.
	Ordered
)

// String returns the mode's name in a tag: "random", "deterministic" or
// "ordered".
func (m Mode) String() string {
	switch m {
	case Randomized:
		return "random"
	case Deterministic:
		return "deterministic"
	case Ordered:
		return "ordered"
	}
	return "Mode(" + strconv.Itoa(int(m)) + ")"
}

// parseMode is the inverse of [Mode.String].
func parseMode(name string) (Mode, bool) {
	for _, m := range []Mode{Randomized, Deterministic, Ordered} {
		if m.String() == name {
			return m, true
		}
	}
	return 0, false
}
