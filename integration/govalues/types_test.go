package govalues

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Types that are made of one thing and print as another.
type (
	secretText  string // MarshalText
	secretPrint string // String
	secretBoth  string
	secretJSON  string // MarshalJSON
	plainText   string
	token       []byte // MarshalText
	plainBytes  []byte
	printBytes  []byte
	weekday     int // String and MarshalText
	plainInt    int32
	plainUint   uint16
	plainFloat  float64
	plainBool   bool
	printBool   bool
	plainTime   time.Time
	plainID     [16]byte
	printID     [16]byte
	halfID      [8]byte
	hostPort    struct { // String and MarshalText
		Host string
		Port int
	}
	address   struct{ City, Street string }
	valued    string   // Value
	valuedInt int      // Value
	valuedPtr struct { // Value of the pointer
		S string
	}
	valuedTime struct{ at time.Time }  // Value
	valuedMap  map[string]string       // Value: JSON
	valuedNil  struct{}                // Value: NULL
	valuedOdd  struct{}                // Value: no driver.Value, which pgx takes
	valuedBad  struct{}                // Value: an error
	valuedText string                  // Value, MarshalText, MarshalJSON and String
	texter     struct{ s string }      // TextValue of pgtype
	inter      struct{ i int64 }       // Int64Value of pgtype
	deep       struct{ v any }         // Value: another Valuer
	tags       []string                // a named slice
	scores     []int64                 //
	tagSet     map[string]struct{}     //
	matrix     [][]int                 //
	optional   struct{ *string }       //nolint:unused // reflection sees it
	level      slog.Level              // what slog's methods are not inherited by
	levelled   struct{ slog.Level }    // embedded
	marshalled struct{ A, B any }      // MarshalJSON
	embedded   struct{ time.Time }     // the methods of time.Time
	number     json.Number             //
	raw        json.RawMessage         //
	duration   time.Duration           //
	nested     struct{ Inner address } //
)

func (secretText) MarshalText() ([]byte, error)  { return []byte("[redacted]"), nil }
func (secretPrint) String() string               { return "[redacted]" }
func (secretBoth) MarshalText() ([]byte, error)  { return []byte("[redacted]"), nil }
func (secretBoth) String() string                { return "[hidden]" }
func (secretJSON) MarshalJSON() ([]byte, error)  { return []byte(`"[redacted]"`), nil }
func (token) MarshalText() ([]byte, error)       { return []byte("[redacted]"), nil }
func (printBytes) String() string                { return "[printed]" }
func (w weekday) String() string                 { return "day " + fmt.Sprint(int(w)) }
func (w weekday) MarshalText() ([]byte, error)   { return []byte(w.String()), nil }
func (printBool) String() string                 { return "perhaps" }
func (printID) String() string                   { return "an id" }
func (h hostPort) String() string                { return h.Host + ":" + fmt.Sprint(h.Port) }
func (h hostPort) MarshalText() ([]byte, error)  { return []byte("text of " + h.String()), nil }
func (v valued) Value() (driver.Value, error)    { return "value of " + string(v), nil }
func (v valuedInt) Value() (driver.Value, error) { return int64(v) * 2, nil }
func (v *valuedPtr) Value() (driver.Value, error) {
	if v == nil {
		return "it was nil", nil
	}
	return v.S, nil
}
func (v valuedTime) Value() (driver.Value, error) { return v.at, nil }
func (v valuedMap) Value() (driver.Value, error) {
	if v == nil {
		return "{}", nil
	}
	return json.Marshal(map[string]string(v))
}
func (valuedNil) Value() (driver.Value, error)    { return nil, nil }
func (valuedOdd) Value() (driver.Value, error)    { return []string{"a", "b"}, nil }
func (valuedBad) Value() (driver.Value, error)    { return nil, errors.New("no value") }
func (v valuedText) Value() (driver.Value, error) { return string(v), nil }
func (valuedText) String() string                 { return "[printed]" }
func (valuedText) MarshalText() ([]byte, error)   { return []byte("[text]"), nil }
func (valuedText) MarshalJSON() ([]byte, error)   { return []byte(`"[json]"`), nil }
func (t texter) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: t.s, Valid: t.s != ""}, nil
}
func (i inter) Int64Value() (pgtype.Int8, error)  { return pgtype.Int8{Int64: i.i, Valid: true}, nil }
func (d deep) Value() (driver.Value, error)       { return d.v, nil }
func (m marshalled) MarshalJSON() ([]byte, error) { return json.Marshal([]any{m.A, m.B}) }

func ptr[T any](v T) *T { return &v }

// value gives a value, and types that hold it.
func value[T any](v T) []any {
	return []any{v, &v, ptr(&v), (*T)(nil), sql.Null[T]{V: v, Valid: true}, sql.Null[T]{},
		[]T{v, v}, []T(nil), []*T{&v, nil}, [2]T{v, v}, [][]T{{v}, {v}}, pgtype.FlatArray[T]{v},
		pgtype.Array[T]{Elements: []T{v, v}, Dims: []pgtype.ArrayDimension{{Length: 2, LowerBound: 1}}, Valid: true}}
}

// only gives values without the types around them.
func only(vs ...any) []any { return vs }

var (
	moment = time.Date(2024, 2, 29, 23, 30, 15, 123456789, time.FixedZone("", 5*3600+1800))
	id     = [16]byte{0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7, 0x65, 0, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6}
)

const idText = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

// values are what is bound: first those that stand for a type of their own, then more of the same types.
func values() []any {
	_, network, _ := net.ParseCIDR("10.1.0.0/16")
	link, _ := url.Parse("https://example.com/a?b=c")
	var out []any
	for _, vs := range [][]any{
		value("ab"), value([]byte("ab")), value(7), value(int8(-7)), value(int16(7)), value(int32(7)), value(int64(7)),
		value(uint(7)), value(uint8(7)), value(uint16(7)), value(uint32(7)), value(uint64(7)), value(float32(1.5)), value(1.5), value(true), value(moment),
		value(secretText("s")), value(secretPrint("s")), value(secretBoth("s")), value(secretJSON("s")), value(plainText("s")),
		value(token("t")), value(plainBytes("t")), value(printBytes("t")), value(weekday(3)), value(plainInt(3)), value(plainUint(3)), value(plainFloat(2.5)),
		value(plainBool(true)), value(printBool(true)), value(plainTime(moment)), value(plainID(id)), value(printID(id)), value(halfID{1}),
		value(hostPort{"h", 80}), value(address{"c", "s"}), value(valued("v")), value(valuedInt(4)), value(valuedPtr{"p"}), value(valuedTime{moment}),
		value(valuedMap{"k": "v"}), value(valuedNil{}), value(valuedOdd{}), value(valuedBad{}), value(valuedText("vt")), value(texter{"tx"}), value(inter{9}),
		value(deep{valued("d")}), value(deep{ptr("d")}), value(tags{"a", "b"}), value(scores{1, 2}), value(tagSet{"a": {}}), value(matrix{{1, 2}, {3, 4}}),
		value(optional{}), value(level(4)), value(slog.LevelWarn), value(levelled{slog.LevelWarn}), value(marshalled{1, "x"}), value(embedded{moment}),
		value(number("12")), value(json.Number("12")), value(raw(`{"a": 1}`)), value(json.RawMessage(`{"a": 1}`)), value(duration(time.Hour)), value(time.Hour),
		value(nested{address{"c", "s"}}), value(id), value(uuid.UUID(id)), value(uuid.NullUUID{UUID: uuid.UUID(id), Valid: true}),
		value(net.IPv4(10, 1, 2, 3)), value(net.IPv4(10, 1, 2, 3).To4()), value(*network), value(netip.MustParseAddr("10.1.2.3")), value(netip.MustParsePrefix("10.1.0.0/16")),
		value(*link), value(big.NewInt(12)), value(*big.NewInt(12)), value(big.NewFloat(1.5)), value(big.NewRat(3, 2)), value(map[string]any{"a": 1}), value(map[string]string{"a": "b"}),
		value(any("ab")), value(any(7)), value(errors.New("an error")), value(struct{}{}), value(complex(1, 2)), value(uintptr(7)),
		value(sql.NullString{String: "ab", Valid: true}), value(sql.NullInt64{Int64: 7, Valid: true}), value(sql.NullInt32{Int32: 7, Valid: true}), value(sql.NullBool{Bool: true, Valid: true}),
		value(sql.NullFloat64{Float64: 1.5, Valid: true}), value(sql.NullTime{Time: moment, Valid: true}), value(sql.RawBytes("ab")),
		value(pgtype.Text{String: "ab", Valid: true}), value(pgtype.Int2{Int16: 7, Valid: true}), value(pgtype.Int4{Int32: 7, Valid: true}), value(pgtype.Int8{Int64: 7, Valid: true}),
		value(pgtype.Float4{Float32: 1.5, Valid: true}), value(pgtype.Float8{Float64: 1.5, Valid: true}), value(pgtype.Bool{Bool: true, Valid: true}),
		value(pgtype.Numeric{Int: big.NewInt(-1500), Exp: -2, Valid: true}), value(pgtype.UUID{Bytes: id, Valid: true}), value(pgtype.Timestamptz{Time: moment, Valid: true}),
		value(pgtype.Timestamp{Time: moment, Valid: true}), value(pgtype.Date{Time: moment, Valid: true}), value(pgtype.Time{Microseconds: 5e6, Valid: true}),
		value(pgtype.Interval{Days: 2, Valid: true}), value(pgtype.Bits{Bytes: []byte{1}, Len: 8, Valid: true}), value(pgtype.Point{Valid: true}), value(pgtype.Hstore{"a": ptr("b")}),
		value(pgtype.Range[int32]{Lower: 1, Upper: 2, LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true}),
		only(nil, func() {}, make(chan int), []any{"a", nil, 7}, [3]any{}, map[int]string{1: "a"}),
		only("", "7", " 7 ", "1.5", "t", "null", "{a,b}", "{1,2}", "{{1,2},{3,4}}", "[2:3]={1,2}", "{}", `{"a": [1, 2]}`, idText, "{"+idText+"}", `\x0102`, `\\`, "NaN", "infinity", "-Infinity",
			"2024-02-29", "2024-02-29 12:00:00.1234567", "2024-02-29T12:00:00Z", "2024-02-29 12:00:00+02", "9223372036854775808", "1e400", "\xff", "a\x00b", "é"),
		only([]byte{}, []byte("7"), []byte("{a}"), []byte(idText), id[:], []byte(`{"a": 1}`), []byte("\xff\x00"), []byte("2024-02-29"), []byte("t"), json.RawMessage(nil), json.RawMessage("not JSON"), token(nil), token{}),
		only(int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64), uint64(math.MaxInt64), 3.0, math.Copysign(0, -1), 1e300, 0.1, float32(0.1), math.NaN(), math.Inf(1), math.Inf(-1), 1<<53+1, 0, 1),
		only(time.Time{}, time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1950, 3, 9, 23, 30, 0, 999999999, time.UTC), time.Date(200000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0)),
		only(pgtype.Text{}, pgtype.Int8{}, pgtype.Numeric{}, pgtype.Numeric{NaN: true, Valid: true}, pgtype.Numeric{InfinityModifier: pgtype.Infinity, Valid: true},
			pgtype.Numeric{Int: big.NewInt(15), Exp: 20, Valid: true}, pgtype.Numeric{Int: big.NewInt(15), Exp: -20, Valid: true}, pgtype.Numeric{Valid: true}, pgtype.Numeric{Int: big.NewInt(0), Exp: -3, Valid: true},
			pgtype.UUID{}, pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, pgtype.Timestamp{InfinityModifier: pgtype.NegativeInfinity, Valid: true}, pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}),
		only([]string{}, []string{"a", ""}, []string{"NULL", `q"\,{}`, " b "}, []int{}, []int64{math.MaxInt64, math.MinInt64}, []any{1, int8(2), nil}, [0]string{}, []string{"7", "8"},
			[]*string{nil}, []sql.NullString{{String: "a", Valid: true}, {}}, [][]string{{"a", "b"}, {"c", "d"}}, [][]int{{1}, {2, 3}},
			pgtype.Array[string]{Elements: []string{"a"}, Dims: []pgtype.ArrayDimension{{Length: 1, LowerBound: 2}}, Valid: true}, pgtype.Array[string]{}, pgtype.FlatArray[string](nil), pgtype.FlatArray[string]{},
			[]string{"\xff"}, []byte{1, 2}, []uint64{math.MaxUint64}, []float64{1, 2.5}),
		only(valuedMap(nil), (*valuedPtr)(nil), []secretText{"a"}, []token{token("a"), nil}, []weekday{1}, []slog.Level{4}, []net.IP{net.IPv4(1, 2, 3, 4)}, map[string]any(nil), []map[string]int{{"a": 1}}, [][]byte{[]byte("a"), nil}),
	} {
		out = append(out, vs...)
	}
	return out
}
