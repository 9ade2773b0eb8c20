package schema

import (
	"database/sql"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
)

type (
	namedBytes []byte
	namedInt   int32
)

// survivor is a Go type, a value per kind that it is given to hold, and how
// database/sql scans into it.
type survivor struct {
	typ    reflect.Type
	values map[Kind]any
	scan   func(decoded any) (any, error)
}

func survives[T any](values map[Kind]T) survivor {
	s := survivor{typ: reflect.TypeFor[T](), values: map[Kind]any{}}
	for k, v := range values {
		s.values[k] = v
	}
	s.scan = func(decoded any) (any, error) {
		var n sql.Null[T] // its Scan is the conversion of Rows.Scan
		err := n.Scan(decoded)
		return n.V, err
	}
	return s
}

// every is the same value under all kinds.
func every[T any](v T, except map[Kind]T) map[Kind]T {
	m := map[Kind]T{}
	for k := KindText; k.Valid(); k++ {
		m[k] = v
		if e, ok := except[k]; ok {
			m[k] = e
		}
	}
	return m
}

// TestKindsSurvive holds the table accepts to what codec takes and database/sql
// releases: a kind is accepted if and only if a value survives, but for the
// exceptions of refusedAnyway.
func TestKindsSurvive(t *testing.T) {
	const id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	texts := map[Kind]string{KindInt: "-12", KindFloat: "1.5", KindBool: "true", KindTime: "2026-02-03T04:05:06Z", KindJSON: `{"a":1}`, KindUUID: id, KindNumeric: "12.50",
		KindTextArray: `{a,"b c"}`, KindIntArray: "{1,2}", KindDate: "2026-02-03T00:00:00Z", KindTimestamp: "2026-02-03T04:05:06Z"}
	named := map[Kind]status{}
	bytes := map[Kind][]byte{}
	nbytes := map[Kind]namedBytes{}
	for k, v := range texts {
		named[k], bytes[k], nbytes[k] = status(v), []byte(v), namedBytes(v)
	}
	for _, s := range []survivor{
		survives(every("text", texts)),
		survives(every(status("text"), named)),
		survives(every([]byte("text"), bytes)),
		survives(every(namedBytes("text"), nbytes)),
		survives(every(json.RawMessage(`{"a":1}`), nil)),
		survives(every(int64(-7), nil)),
		survives(every(namedInt(7), nil)),
		survives(every(uint64(1)<<62, nil)),
		survives(every(0.1, nil)),
		survives(every(float32(0.1), nil)),
		survives(every(true, nil)),
		survives(every(time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), map[Kind]time.Time{KindDate: time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)})),
	} {
		for k := KindText; k.Valid(); k++ {
			ok := survived(s, k)
			accepted := checkKind(s.typ, k) == nil
			if accepted && !ok {
				t.Errorf("%s takes kind=%s, and its value does not survive", s.typ, k)
			}
			if !accepted && ok && !refusedAnyway(s.typ, k) {
				t.Errorf("%s refuses kind=%s, and its value survives", s.typ, k)
			}
		}
	}
}

// refusedAnyway lists what one sample survives and the type as a whole does
// not, or what nobody can mean.
func refusedAnyway(t reflect.Type, k Kind) bool {
	switch classOf(t) {
	case classBool:
		return k == KindJSON // a scalar is no document
	case classInt:
		return k == KindJSON || k == KindFloat // large numbers come back as 1e+18, which no int is scanned from
	case classFloat:
		return k == KindJSON || k == KindInt // only whole numbers
	case classBytes:
		return true // UUIDs of 16 bytes come back as 36 characters; numbers are no bytes
	}
	return false
}

func survived(s survivor, k Kind) bool {
	in := s.values[k]
	encoded, err := codec.AppendValue(nil, k, codec.SuiteRandomized, in)
	if err != nil {
		return false
	}
	decoded, err := codec.DecodeValue(k, encoded)
	if err != nil {
		return false
	}
	out, err := s.scan(decoded)
	if at, ok := in.(time.Time); ok && err == nil {
		return at.Equal(out.(time.Time))
	}
	return err == nil && reflect.DeepEqual(in, out)
}
