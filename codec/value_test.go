package codec

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type (
	namedString string
	namedInt    int16
	namedBytes  []byte
	namedUUID   [16]byte
	namedTime   time.Time
	status      string // with a Value method
	loop        *loop
	failing     struct{}
)

func (s status) Value() (driver.Value, error) {
	if s == "" {
		return nil, nil
	}
	return "status:" + string(s), nil
}

func (failing) Value() (driver.Value, error) { return nil, errors.New("CANARY in a cause") }

func ptr[T any](v T) *T { return &v }

// TestSameValueSameEncoding: whatever Go type carries a value, its encoding is one.
func TestSameValueSameEncoding(t *testing.T) {
	id := [16]byte{0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7, 0x65, 0, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6}
	east := time.FixedZone("", 5*3600+1800)
	moment := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
	loopy := new(loop)
	*loopy = loopy
	for _, g := range []struct {
		kind Kind
		want any // decoded
		in   []any
	}{
		{KindText, "ab", []any{"ab", []byte("ab"), namedString("ab"), namedBytes("ab"), ptr("ab"), ptr(ptr("ab")), sql.NullString{String: "ab", Valid: true}, json.RawMessage("ab")}},
		{KindText, "status:on", []any{status("on"), ptr(status("on"))}},
		{KindText, "12", []any{big.NewInt(12)}},
		{KindText, "", []any{"", []byte{}, ptr("")}},
		{KindBytes, []byte("ab"), []any{"ab", []byte("ab"), namedBytes("ab"), [2]byte{'a', 'b'}, sql.RawBytes("ab")}},
		{KindInt, int64(7), []any{7, int8(7), int16(7), int32(7), int64(7), uint8(7), uint16(7), uint32(7), uint64(7), uint(7), namedInt(7), ptr(7), 7.0, float32(7), "7", "+7", " 007\n", []byte("7"), json.Number("7"), big.NewInt(7), sql.NullInt32{Int32: 7, Valid: true}}},
		{KindInt, int64(math.MinInt64), []any{int64(math.MinInt64), "-9223372036854775808", float64(math.MinInt64)}},
		{KindFloat, 1.5, []any{1.5, float32(1.5), "1.5", " 15e-1 ", []byte("1.5"), sql.NullFloat64{Float64: 1.5, Valid: true}}},
		{KindFloat, 3.0, []any{3, uint8(3), "3", 3.0}},
		{KindFloat, math.Inf(-1), []any{math.Inf(-1), "-Infinity", "-inf"}},
		{KindBool, true, []any{true, 1, "t", "T", "true", "tr", "yes", "y", "on", "1", " TRUE ", []byte("t"), sql.NullBool{Bool: true, Valid: true}}},
		{KindBool, false, []any{false, 0, "f", "false", "n", "no", "of", "off", "0"}},
		{KindTime, moment, []any{moment, moment.In(east), moment.Add(999), namedTime(moment), ptr(moment), sql.NullTime{Time: moment, Valid: true},
			"2024-02-29T12:34:56.789012Z", "2024-02-29 12:34:56.789012+00", "2024-02-29 18:04:56.789012+05:30", "2024-02-29T18:04:56.789012+0530", "2024-02-29 12:34:56.7890124999 +00:00:00"}},
		{KindTime, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), []any{"2024-02-29 00:00Z", "2024-02-29 00:00:00+00"}},
		{KindTime, time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC), []any{"0044-03-15 00:00:00+00 BC"}},
		{KindTime, time.Date(12024, 1, 2, 0, 0, 0, 0, time.UTC), []any{"12024-01-02 00:00:00+00"}},
		{KindTime, "infinity", []any{"infinity", " Infinity\n", []byte("INFINITY")}},
		{KindTime, "-infinity", []any{"-infinity", "-Infinity"}},
		{KindDate, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), []any{"2024-02-29", time.Date(2024, 2, 29, 23, 59, 59, 999999999, east), time.Date(2024, 2, 29, 0, 0, 0, 0, east),
			namedTime(moment), ptr(moment), sql.NullTime{Time: moment, Valid: true}, []byte("2024-02-29"), "2024-02-29T00:00:00Z", "2024-02-29 23:59:59.9999999-12", "2024-02-29 24:00:00"}},
		{KindDate, time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC), []any{"0044-03-15 BC", "0044-03-15 23:00:00+00 BC", time.Date(-43, 3, 15, 9, 0, 0, 0, east)}},
		{KindDate, time.Date(-4713, 11, 24, 0, 0, 0, 0, time.UTC), []any{"4714-11-24 BC"}},
		{KindDate, time.Date(5874897, 12, 31, 0, 0, 0, 0, time.UTC), []any{"5874897-12-31"}},
		{KindDate, "infinity", []any{"infinity", " Infinity "}},
		{KindDate, "-infinity", []any{"-infinity"}},
		{KindTimestamp, moment, []any{moment, moment.Add(999), time.Date(2024, 2, 29, 12, 34, 56, 789012999, east), namedTime(moment), "2024-02-29 12:34:56.789012", "2024-02-29T12:34:56.789012Z", "2024-02-29 12:34:56.789012+05:30"}},
		{KindTimestamp, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), []any{"2024-03-01", "2024-02-29 24:00", "2024-02-29 23:59:60", "2024-02-29 23:59:59.9999995", "2024-02-29 24:00:00.0000005", "2024-03-01 00:00:00.0000005"}},
		{KindTimestamp, time.Date(2024, 2, 29, 12, 34, 56, 123456000, time.UTC), []any{"2024-02-29 12:34:56.123456", "2024-02-29 12:34:56.1234565", "2024-02-29 12:34:56.1234560123456789012345678901234567890"}},
		{KindTimestamp, time.Date(2024, 2, 29, 12, 34, 56, 123458000, time.UTC), []any{"2024-02-29 12:34:56.1234575"}},
		{KindTimestamp, time.Date(1950, 3, 9, 23, 30, 0, 123456000, time.UTC), []any{time.Date(1950, 3, 9, 23, 30, 0, 123456789, east)}},
		{KindTimestamp, time.Date(294246, 12, 31, 23, 59, 59, 999999000, time.UTC), []any{"294246-12-31 23:59:59.999999"}},
		{KindTimestamp, time.Date(-4713, 11, 24, 0, 0, 0, 0, time.UTC), []any{"4714-11-24 BC"}},
		{KindTimestamp, "-infinity", []any{"-infinity"}},
		{KindJSON, []byte(`{"a":1}`), []any{`{"a":1}`, []byte(`{"a":1}`), json.RawMessage(`{"a":1}`), ptr(json.RawMessage(`{"a":1}`)), ptr(`{"a":1}`), map[string]int{"a": 1}, struct {
			A int `json:"a"`
		}{1}, sql.NullString{String: `{"a":1}`, Valid: true}}},
		{KindJSON, []byte(`"on"`), []any{namedString(`"on"`), `"on"`}},
		{KindJSON, []byte(`42`), []any{42, "42", 42.0, json.Number("42")}},
		{KindUUID, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", []any{id, id[:], namedUUID(id), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE7DEC11D0A76500A0C91E6BF6", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}", "f81d-4fae-7dec-11d0-a765-00a0-c91e-6bf6", []byte("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")}},
		{KindNumeric, "12", []any{12, uint8(12), "12", "+12", "012", "1.2e1", 12.0, json.Number("12"), big.NewInt(12), " 12 ", []byte("12")}},
		{KindNumeric, "18446744073709551615", []any{uint64(math.MaxUint64), "18446744073709551615"}},
		{KindNumeric, "NaN", []any{"NaN", "nan", math.NaN()}},
		{KindNumeric, "-Infinity", []any{"-inf", "-Infinity", math.Inf(-1)}},
		{KindTextArray, `{a,NULL,"b c"}`, []any{`{a,NULL,"b c"}`, ` { a , null , b c } `, `[1:3]={a,NULL,"b c"}`, []any{"a", nil, "b c"}, []*string{ptr("a"), nil, ptr("b c")}, []sql.NullString{{String: "a", Valid: true}, {}, {String: "b c", Valid: true}}}},
		{KindTextArray, `{}`, []any{"{}", "{ }", []string{}, [0]string{}}},
		{KindTextArray, `{"a,b",c}`, []any{`{a\,b,c}`, `[1:2]={"a,b", c}`, []string{"a,b", "c"}}},
		{KindTextArray, `{{a,"b c"},{NULL,"NULL"}}`, []any{`{{a,"b c"},{NULL,"NULL"}}`, ` { { "a" , b c } , { null , "NULL" } } `, `[1:2][1:2]={{a,b\ c},{NULL,\NULL}}`}},
		{KindTextArray, `[2:3]={a,b}`, []any{`[2:3]={a,b}`, " [+2:3] = { a, b }"}},
		{KindIntArray, `[0:1][1:1]={{1},{-2}}`, []any{`[0:1][1:1]={{1},{-2}}`, `[0:1] [1] = {{"1"}, {-02}}`}},
		{KindIntArray, `{1,-2}`, []any{"{1,-2}", `{ "1" , -2 }`, []int{1, -2}, []int64{1, -2}, []int32{1, -2}, []string{"1", "-2"}, ptr([]int{1, -2}), [2]int8{1, -2}}},
	} {
		first, err := AppendValue(nil, g.kind, SuiteRandomized, g.in[0])
		if err != nil {
			t.Errorf("%s %v: %v", g.kind, g.in[0], err)
			continue
		}
		if got, err := DecodeValue(g.kind, first); err != nil || !sameValue(got, g.want) {
			t.Errorf("%s %x: decoded %#v, %v; want %#v", g.kind, first, got, err, g.want)
		}
		for i, in := range g.in {
			got, err := AppendValue([]byte("pre"), g.kind, SuiteRandomized, in)
			if err != nil || string(got) != "pre"+string(first) {
				t.Errorf("%s input %d (%T): %q, %v; want %q", g.kind, i, in, got, err, first)
			}
		}
	}
	if _, err := AppendValue(nil, KindInt, SuiteRandomized, loopy); !errors.Is(err, ErrValue) {
		t.Errorf("a pointer to itself: %v", err)
	}
}

// TestAppendTime: the text is PostgreSQL's, and gives the value back.
func TestAppendTime(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		text string
	}{
		{KindTime, "2024-02-29 12:34:56.7+00"}, {KindTime, "0044-03-15 00:00:00+00 BC"}, {KindTime, "12024-01-02 00:00:00+00"},
		{KindDate, "2024-02-29"}, {KindDate, "0001-12-31 BC"}, {KindDate, "5874897-12-31"},
		{KindTimestamp, "2024-02-29 12:34:56.789012"}, {KindTimestamp, "4714-11-24 00:00:00 BC"},
	} {
		b, err := AppendValue(nil, tt.kind, SuiteRandomized, tt.text)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := DecodeValue(tt.kind, b)
		if got := AppendTime([]byte("pre"), tt.kind, v.(time.Time)); string(got) != "pre"+tt.text {
			t.Errorf("%s %s: %s", tt.kind, tt.text, got)
		}
	}
}

// TestLocations: times come back where pgx puts those of a plain column.
func TestLocations(t *testing.T) {
	for kind, want := range map[Kind]*time.Location{KindTime: time.Local, KindDate: time.UTC, KindTimestamp: time.UTC} {
		b, err := AppendValue(nil, kind, SuiteRandomized, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if v, err := DecodeValue(kind, b); err != nil || v.(time.Time).Location() != want {
			t.Errorf("%s: %v, %v; want it in %v", kind, v, err, want)
		}
	}
}

// TestTextInSession: a text without a zone is an instant in the session's TimeZone only. The
// instants are what PostgreSQL 17 gives.
func TestTextInSession(t *testing.T) {
	for _, tt := range []struct{ zone, text, want string }{
		{"UTC", "2024-02-29 12:34:56", "2024-02-29T12:34:56Z"},
		{"UTC", "2024-02-29", "2024-02-29T00:00:00Z"},
		{"Asia/Tokyo", "2024-02-29 12:34:56", "2024-02-29T03:34:56Z"},
		{"Asia/Tokyo", "2024-02-29 12:34:56+01", "2024-02-29T11:34:56Z"},
		{"Europe/Berlin", "2024-03-31 01:59:59", "2024-03-31T00:59:59Z"},
		{"Europe/Berlin", "2024-03-31 02:30:00", "2024-03-31T01:30:00Z"}, // does not exist
		{"Europe/Berlin", "2024-03-31 03:00:00", "2024-03-31T01:00:00Z"},
		{"Europe/Berlin", "2024-10-27 01:59:59", "2024-10-26T23:59:59Z"},
		{"Europe/Berlin", "2024-10-27 02:30:00", "2024-10-27T01:30:00Z"}, // exists twice
		{"Europe/Berlin", "2024-10-27 03:00:00", "2024-10-27T02:00:00Z"},
		{"America/New_York", "2024-03-10 02:30:00", "2024-03-10T07:30:00Z"},
		{"America/New_York", "2024-11-03 01:30:00", "2024-11-03T06:30:00Z"},
	} {
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Session{TimeZone: loc}.AppendValue(nil, KindTime, SuiteRandomized, tt.text)
		if err != nil {
			t.Errorf("%s in %s: %v", tt.text, tt.zone, err)
			continue
		}
		if got, _ := DecodeValue(KindTime, b); got.(time.Time).UTC().Format(time.RFC3339Nano) != tt.want {
			t.Errorf("%s in %s: %v, want %s", tt.text, tt.zone, got, tt.want)
		}
		if !strings.Contains(tt.text, "+") {
			if _, err := AppendValue(nil, KindTime, SuiteRandomized, tt.text); !errors.Is(err, ErrValue) {
				t.Errorf("%s in no session: %v", tt.text, err)
			}
		}
	}
}

// TestEqualityCanonical: what PostgreSQL holds to be equal is the same under suite 2, and keeps its
// form under suite 1.
func TestEqualityCanonical(t *testing.T) {
	for _, c := range []struct {
		kind          Kind
		in            any
		random, deter string
	}{
		{KindNumeric, "1.50", "1.50", "1.5"},
		{KindNumeric, "1.00", "1.00", "1"},
		{KindNumeric, "100", "100", "100"},
		{KindNumeric, "-0.00", "0.00", "0"},
		{KindNumeric, "0e5", "0", "0"},
		{KindNumeric, "0e-3", "0.000", "0"},
		{KindNumeric, "1e3", "1000", "1000"},
		{KindNumeric, "1.5e-3", "0.0015", "0.0015"},
		{KindNumeric, "1.50e1", "15.0", "15"},
		{KindNumeric, ".5", "0.5", "0.5"},
		{KindNumeric, "5.", "5", "5"},
		{KindNumeric, "-007.0700", "-7.0700", "-7.07"},
		{KindNumeric, 1e21, "1000000000000000000000", "1000000000000000000000"},
		{KindNumeric, 1.25, "1.25", "1.25"},
		{KindJSON, ` {"a" : 1.0} `, ` {"a" : 1.0} `, `{"a":1.0}`},
	} {
		for suite, want := range map[Suite]string{SuiteRandomized: c.random, SuiteDeterministic: c.deter} {
			got, err := AppendValue(nil, c.kind, suite, c.in)
			if err != nil || string(got) != want {
				t.Errorf("%s %v, %s: %q, %v; want %q", c.kind, c.in, suite, got, err, want)
			}
		}
	}
	minusZero := math.Copysign(0, -1)
	random, _ := AppendValue(nil, KindFloat, SuiteRandomized, minusZero)
	deter, _ := AppendValue(nil, KindFloat, SuiteDeterministic, minusZero)
	if hex.EncodeToString(random) != "8000000000000000" || hex.EncodeToString(deter) != "0000000000000000" {
		t.Errorf("-0: %x and %x", random, deter)
	}
	for _, nan := range []any{math.NaN(), math.Float64frombits(0xfff8000000000123), "nan", float32(math.NaN())} {
		if b, err := AppendValue(nil, KindFloat, SuiteDeterministic, nan); err != nil || hex.EncodeToString(b) != "7ff8000000000000" {
			t.Errorf("NaN: %x, %v", b, err)
		}
	}
}

// canary marks refused values: no error may hold it.
const canary = "CANARY"

func TestRefusedValues(t *testing.T) {
	far := time.Unix(math.MaxInt64/1_000_000+1, 0)
	for _, c := range []struct {
		kind Kind
		in   []any
	}{
		{KindText, []any{1, 1.5, true, time.Now(), canary + "\xff", canary + "\x00", []byte(canary + "\xff"), []string{canary}, struct{ S string }{canary}, failing{}}},
		{KindBytes, []any{1, true, time.Now(), []string{canary}, failing{}}},
		{KindInt, []any{canary, "", "1.0", "1e3", "0x10", "1_0", "9223372036854775808", uint64(1 << 63), 1.5, math.NaN(), math.Inf(1), 9223372036854775808.0, true, time.Now(), []byte(canary), failing{}}},
		{KindFloat, []any{canary, "", "0x1p-2", "1_0", "1e999", "1e-999", "-0.1e-400", true, int64(1<<53 + 1), int64(math.MaxInt64), uint64(math.MaxUint64), time.Now()}},
		{KindBool, []any{canary, "", "o", "2", 2, -1, 1.0, time.Now(), "truex"}},
		{KindTime, []any{canary, "", "inf", "+infinity", "now", "epoch", "today", 1, far, time.Date(-4713, 11, 23, 23, 59, 59, 0, time.UTC), "294247-01-01 00:00Z", "294246-12-31 23:59:59.9999996Z", "29.02.2024 00:00Z", "02/29/2024", "2024-2-9 00:00Z", "2024-02-29 00:00 UTC", "2024-02-29 00:00 Europe/Berlin", time.Unix(-1<<62, 0), "2023-02-29 00:00Z", "2024-13-01 00:00Z", "2024-01-01T24:00:01Z", "2024-01-01T24:00:00.000001Z", "2024-01-01 23:59:60.5Z", "2024-01-01 23:59:61Z", "2024-01-01 12", "24-01-01 00:00Z", "0000-01-01 00:00Z", "2024-01-01", "2024-01-01 12:00:00", "2024-01-01 12:00:00 BC", "2024-01-01 12:00:00 " + canary, "2024-01-01 12:00:00.", "2024-01-01 12:00:00+5", "2024-01-01 12:00:00+16"}},
		{KindDate, []any{canary, "", "2023-02-29", "4714-11-23 BC", "5874898-01-01", "20240229", "24-02-29", "29.02.2024", "0000-01-01", "2024-02-29 BC", 5, true, "inf", "epoch", "2024-02-29 25:00", time.Date(5874898, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-4713, 11, 23, 0, 0, 0, 0, time.UTC)}},
		{KindTimestamp, []any{canary, "", "2023-02-29", "4714-11-23 23:59:59.999999 BC", "294247-01-01", "2024-02-29 12", 5, far}},
		{KindJSON, []any{canary, "", "{", `{"a":` + canary, []byte(`"` + canary + "\xff\""), make(chan int), math.NaN(), failing{}, func() {}}},
		{KindUUID, []any{canary, "", "f81d4fae-7dec-11d0-a765-00a0c91e6bf", "f81d4fae-7dec-11d0-a765-00a0c91e6bf67", "-f81d4fae7dec11d0a76500a0c91e6bf6", "f81d4fae7dec11d0a76500a0c91e6bf6-", "f81d4fae--7dec11d0a76500a0c91e6bf6", "f8-1d4fae7dec11d0a76500a0c91e6bf6", "g81d4fae7dec11d0a76500a0c91e6bf6", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "0123456789abcdef", []byte{1, 2}, 5}},
		{KindNumeric, []any{canary, "", ".", "-", "+-1", "1e", "1e1.5", "0x10", "1_000", "1 2", "1e131072", "1e-16384", "1e999999999999", strings.Repeat("9", 131073), true, time.Now(), "--1", "e5", "-NaNx", "-nan", "+NaN"}},
		{KindTextArray, []any{canary, "", "{", "}", "{a", "{a}}", "{a}b", "{,}", "{a,}", "{a,,b}", `{"a}`, `{"a"b}`, `{a"b"}`, "{{a},{b,c}}", "{{}}", "[0:1]={a}", "[2:1]={a,b}", "{{{{{{{a}}}}}}}", "{{a\xff}}", "[2:2]={a\x00}", [][]string{{canary}}, []*[]string{}, [2][2]string{}, `{a\`, `{"a\`, "{a\x00}", []string{canary + "\xff"}, []int{1}, 5, []any{[]string{canary}}}},
		{KindIntArray, []any{canary, "{" + canary + "}", "{1.5}", "{1,}", "{99999999999999999999}", "{{1},{a}}", "[0:0]={1.5}", []string{canary}, []float64{1.5}, []bool{true}, map[string]int{canary: 1}}},
		{0, []any{"x"}}, {99, []any{"x"}},
	} {
		for i, in := range c.in {
			for _, suite := range suites {
				got, err := AppendValue(nil, c.kind, suite, in)
				if !errors.Is(err, ErrValue) || errors.Is(err, ErrNull) || got != nil {
					t.Errorf("%s input %d (%T): %q, %v", c.kind, i, in, got, err)
				}
				if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
					t.Errorf("%s input %d (%T): the error quotes the value", c.kind, i, in)
				}
			}
		}
	}
}

func TestNull(t *testing.T) {
	var m map[string]int
	nulls := []any{nil, (*string)(nil), (*time.Time)(nil), []byte(nil), namedBytes(nil), []string(nil), m, sql.NullString{}, sql.NullInt64{},
		status(""), (*status)(nil), ptr((*string)(nil)), json.RawMessage(nil), (*big.Int)(nil)}
	for kind := KindText; kind.Valid(); kind++ {
		for i, in := range nulls {
			if got, err := AppendValue(nil, kind, SuiteRandomized, in); !errors.Is(err, ErrNull) || !errors.Is(err, ErrValue) || got != nil {
				t.Errorf("%s null %d (%T): %q, %v", kind, i, in, got, err)
			}
		}
	}
	if b, err := AppendValue(nil, KindJSON, SuiteRandomized, "null"); err != nil || string(b) != "null" {
		t.Errorf("JSON's null is a value: %q, %v", b, err)
	}
}

// TestCausesStayReachable: a program may look into what its own Valuer said, though neither the text
// nor whoever unwraps errors one by one repeats it.
func TestCausesStayReachable(t *testing.T) {
	_, canary := AppendValue(nil, KindText, SuiteRandomized, failing{})
	if !errors.Is(canary, ErrValue) {
		t.Errorf("%v, want an ErrValue", canary)
	}
	for err := canary; err != nil; err = errors.Unwrap(err) {
		if _, ok := err.(interface{ Unwrap() []error }); ok || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("unwrapping gives %T: %v", err, err)
		}
	}
	_, err := AppendValue(nil, KindJSON, SuiteRandomized, make(chan int))
	var unsupported *json.UnsupportedTypeError
	if !errors.As(err, &unsupported) {
		t.Errorf("%v", err)
	}
}

// TestDecodeDoesNotRetain: DecodeValue copies; only OpenValue in place may alias.
func TestDecodeDoesNotRetain(t *testing.T) {
	for kind, b := range map[Kind][]byte{KindText: []byte("abc"), KindBytes: []byte("abc"), KindJSON: []byte("123"), KindNumeric: []byte("123"), KindTextArray: []byte("{a}")} {
		v, err := DecodeValue(kind, b)
		before := fmt.Sprint(v)
		clear(b)
		if err != nil || fmt.Sprint(v) != before {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if v, err := DecodeValue(KindBytes, nil); err != nil || v.([]byte) == nil {
		t.Errorf("no bytes are not nil: %#v, %v", v, err)
	}
}

func TestKindNames(t *testing.T) {
	for kind := KindText; kind.Valid(); kind++ {
		if got, err := ParseKind(kind.String()); err != nil || got != kind {
			t.Errorf("%v: %v, %v", kind, got, err)
		}
	}
	for _, name := range []string{"", "TEXT", "kind 0", "varchar"} {
		if _, err := ParseKind(name); err == nil {
			t.Errorf("%q is a kind", name)
		}
	}
	if Kind(0).String() != "kind 0" || Kind(200).String() != "kind 200" || Suite(9).String() != "suite 9" {
		t.Error("names of what does not exist")
	}
}

// Types that print as something else than they are made of.
type (
	maskedText  string
	maskedBytes []byte
	maskedInt   int
	maskedID    [16]byte
	maskedJSON  string
	printed     struct{ s string }
)

func (maskedText) MarshalText() ([]byte, error)  { return []byte("[redacted]"), nil }
func (maskedBytes) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
func (maskedInt) MarshalText() ([]byte, error)   { return []byte("[redacted]"), nil }
func (maskedID) MarshalText() ([]byte, error)    { return []byte("[redacted]"), nil }
func (maskedJSON) MarshalJSON() ([]byte, error)  { return []byte(`"[redacted]"`), nil }
func (p *printed) MarshalText() ([]byte, error)  { return []byte(p.s), nil }

// TestMadeOfBeforePrintsAs: all secrets of a type that hides them when printed would be equal
// otherwise.
func TestMadeOfBeforePrintsAs(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		in   any
		want string // "" for an error
	}{
		{KindText, maskedText("secret"), "secret"},
		{KindText, ptr(maskedText("secret")), "secret"},
		{KindText, maskedBytes("secret"), "secret"},
		{KindBytes, maskedBytes("secret"), "secret"},
		{KindText, maskedInt(7), ""},
		{KindNumeric, maskedInt(7), "7"},
		{KindBytes, maskedID{15: 1}, string(append(make([]byte, 15), 1))},
		{KindJSON, maskedText(`"secret"`), `"secret"`},
		{KindJSON, maskedJSON(`"secret"`), `"secret"`},
		{KindJSON, maskedInt(7), "7"},
		{KindJSON, []maskedJSON{"x"}, `["[redacted]"]`}, // for encoding/json to say
		{KindTextArray, []maskedText{"a", "b"}, "{a,b}"},
		{KindTextArray, []maskedBytes{[]byte("a"), nil}, "{a,NULL}"},
		{KindIntArray, []maskedInt{1}, "{1}"},
		{KindText, &printed{"made of nothing else"}, "made of nothing else"},
		{KindText, ptr(&printed{"made of nothing else"}), "made of nothing else"},
		{KindText, printed{"the method is the pointer's"}, ""},
	} {
		got, err := AppendValue(nil, tt.kind, SuiteRandomized, tt.in)
		if string(got) != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, ErrValue) {
			t.Errorf("AppendValue(%s, %T) = %q, %v, want %q", tt.kind, tt.in, got, err, tt.want)
		}
	}
}

// A text takes a way of its own to where other values are sealed.
func TestAppendUnsealedText(t *testing.T) {
	layout := Layout{Suite: SuiteRandomized}
	for _, text := range []string{"", "a", "someone@example.com", "höchstens", strings.Repeat("x", 5000), "a\x00b", "\xff", "12345678\x00", "1234567\xff"} {
		for _, dst := range [][]byte{nil, []byte("before"), append(make([]byte, 0, 8000), "before"...)} {
			want, wantErr := Session{}.AppendUnsealed(slices.Clone(dst), layout, KindText, []byte(text)) // bytes go the general way
			got, err := AppendUnsealedText(dst, text)
			if !reflect.DeepEqual(err, wantErr) || len(got) != len(want) {
				t.Fatalf("%q: %d bytes, %v, want %d, %v", text, len(got), err, len(want), wantErr)
			}
			if err != nil {
				continue
			}
			at := len(dst) + layout.bodyOffset()
			if !bytes.Equal(got[:len(dst)], dst) || !bytes.Equal(got[at:at+kindSize+len(text)], want[at:at+kindSize+len(text)]) {
				t.Errorf("%q: another text stands there", text)
			}
		}
	}
}
