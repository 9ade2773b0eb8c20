package codec

import (
	"fmt"
	"strconv"
)

// Kind is what a sealed value is. It is the first byte of the sealed plaintext, so its numbers are
// part of the format and never change. The zero value is no kind.
type Kind uint8

// The kinds, with the type that [DecodeValue] yields. They are the types that pgx yields through
// database/sql for a column of the PostgreSQL type of that name.
const (
	KindText      Kind = 1  // string: valid UTF-8 without NUL
	KindBytes     Kind = 2  // []byte
	KindInt       Kind = 3  // int64
	KindFloat     Kind = 4  // float64
	KindBool      Kind = 5  // bool
	KindTime      Kind = 6  // an instant: time.Time in time.Local, whole microseconds; infinity: string
	KindJSON      Kind = 7  // []byte
	KindUUID      Kind = 8  // string of 36 characters, lower case
	KindNumeric   Kind = 9  // string
	KindTextArray Kind = 10 // string: a PostgreSQL array literal
	KindIntArray  Kind = 11 // string: a PostgreSQL array literal
	KindDate      Kind = 12 // a calendar date: time.Time, midnight in UTC; infinity is a string
	KindTimestamp Kind = 13 // without a zone: time.Time in UTC, whole microseconds; infinity: string
)

var kindNames = [...]string{
	KindText: "text", KindBytes: "bytes", KindInt: "int", KindFloat: "float", KindBool: "bool", KindTime: "time",
	KindJSON: "json", KindUUID: "uuid", KindNumeric: "numeric", KindTextArray: "text[]", KindIntArray: "int[]", KindDate: "date", KindTimestamp: "timestamp",
}

// Valid reports whether k is one of the kinds above.
func (k Kind) Valid() bool { return k >= KindText && k <= KindTimestamp }

// String returns the name that [ParseKind] accepts, such as "text" or "int[]".
func (k Kind) String() string {
	if k.Valid() {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// ParseKind returns the kind of a name as String writes it.
func ParseKind(name string) (Kind, error) {
	for k := KindText; k.Valid(); k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("codec: unknown kind %q", name)
}
