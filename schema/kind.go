package schema

import (
	"strconv"
	"strings"

	"github.com/colseal/colseal/codec"
)

// Kind says what a sealed column holds, and so how its values are encoded
// before they are sealed. It is codec's Kind: the kinds have one definition.
// The zero value stands for [KindText] wherever this package takes a Column.
type Kind = codec.Kind

// The kinds, with the Go types from which a model's kind is inferred. Types
// that convert themselves (driver.Valuer, sql.Scanner) name their kind in the
// tag instead: `seal:"random,kind=numeric"`. Of these, the scalar types of
// pgx's pgtype are known.
//
// A time.Time is taken for an instant. A birthday, or an appointment at nine
// wherever one is then, is not an instant: see [KindDate] and [KindTimestamp].
// There is no kind for a time of day or an interval: their texts are [KindText].
const (
	KindText      = codec.KindText      // string
	KindBytes     = codec.KindBytes     // []byte
	KindInt       = codec.KindInt       // every int and uint; values above 1<<63-1 do not fit and are refused on write
	KindFloat     = codec.KindFloat     // float64, float32
	KindBool      = codec.KindBool      // bool
	KindTime      = codec.KindTime      // an instant: time.Time, pgtype.Timestamptz
	KindJSON      = codec.KindJSON      // json.RawMessage; structs and maps by kind=json
	KindUUID      = codec.KindUUID      // [16]byte, and arrays of 16 bytes named UUID
	KindNumeric   = codec.KindNumeric   // decimal types, by kind=numeric
	KindTextArray = codec.KindTextArray // []string, sealed as a whole
	KindIntArray  = codec.KindIntArray  // []int64, []int32, []int16, []int, sealed as a whole
	KindDate      = codec.KindDate      // a calendar date: pgtype.Date; time.Time by kind=date
	KindTimestamp = codec.KindTimestamp // date and time of day without a zone: pgtype.Timestamp; time.Time by kind=timestamp
)

// allKindNames lists what kind= may be, for errors.
func allKindNames() []string {
	var names []string
	for k := KindText; k.Valid(); k++ {
		names = append(names, k.String())
	}
	return names
}

// sqlNames are what people who think of SQL or Go write for a kind.
var sqlNames = map[string]Kind{
	"string": KindText, "varchar": KindText, "char": KindText, "bytea": KindBytes, "blob": KindBytes, "[]byte": KindBytes, "integer": KindInt, "bigint": KindInt, "int64": KindInt, "int32": KindInt,
	"uint64": KindInt, "float64": KindFloat, "double": KindFloat, "real": KindFloat, "boolean": KindBool, "timestamptz": KindTime, "instant": KindTime, "datetime": KindTimestamp,
	"interval": KindText, "jsonb": KindJSON, "guid": KindUUID, "decimal": KindNumeric, "money": KindNumeric, "[]string": KindTextArray, "[]int64": KindIntArray, "[]int": KindIntArray,
}

// meantKind returns the hint of an unknown kind.
func meantKind(name string) string {
	if k, ok := sqlNames[strings.ToLower(name)]; ok {
		return "did you mean " + k.String() + "?"
	}
	return didYouMean(name, allKindNames())
}

// Mode says how a column is sealed. The zero value is [ModeRandomized].
type Mode uint8

const (
	// ModeRandomized gives equal values different cells: nothing but the length
	// shows, and the column cannot be searched.
	ModeRandomized Mode = iota
	// ModeDeterministic gives equal values equal cells: the column can be
	// compared for equality, and an observer of the database sees which rows
	// hold equal values.
	ModeDeterministic
	// ModeOrdered gives cells that sort as the values do: besides what deterministic
	// columns can do, the database finds ranges, sorts, and finds the least and the
	// greatest. An observer of the database sees the order of the rows, and
	// about how far apart their values are; of dense values, everything.
	ModeOrdered
)

// String returns the mode's name in a tag: "random", "deterministic" or
// "ordered".
func (m Mode) String() string {
	switch m {
	case ModeRandomized:
		return "random"
	case ModeDeterministic:
		return "deterministic"
	case ModeOrdered:
		return "ordered"
	}
	return "Mode(" + strconv.Itoa(int(m)) + ")"
}

// parseMode returns the inverse of [Mode.String].
func parseMode(name string) (Mode, bool) {
	for _, m := range []Mode{ModeRandomized, ModeDeterministic, ModeOrdered} {
		if m.String() == name {
			return m, true
		}
	}
	return 0, false
}
