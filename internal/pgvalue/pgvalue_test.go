package pgvalue

import (
	"cmp"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/colseal/colseal/codec"
)

func casts(names ...string) []Cast {
	var out []Cast
	for _, n := range names {
		out = append(out, Cast{Name: n})
	}
	return out
}

// What a real server makes of them is tested in integration/shapes.
func TestAs(t *testing.T) {
	tests := []struct {
		in   Constant
		kind codec.Kind
		want any // nil: refused
	}{
		{Constant{Value: int64(70)}, codec.KindInt, int64(70)},
		{Constant{Value: Number("69.6")}, codec.KindInt, nil},
		{Constant{Value: Number("69.6"), Assigned: true}, codec.KindInt, int64(70)},
		{Constant{Value: Number("-69.5"), Assigned: true}, codec.KindInt, int64(-70)},
		{Constant{Value: Number("70.5"), Casts: casts("float8"), Assigned: true}, codec.KindInt, int64(70)},
		{Constant{Value: Number("9223372036854775807.5"), Assigned: true}, codec.KindInt, nil},
		{Constant{Value: Number("-9223372036854775808.4"), Assigned: true}, codec.KindInt, int64(math.MinInt64)},
		{Constant{Value: Number("7e1")}, codec.KindInt, int64(70)},
		{Constant{Value: int64(100000), Casts: casts("int2")}, codec.KindInt, nil},
		{Constant{Value: "7000000000", Casts: casts("int4")}, codec.KindInt, nil},
		{Constant{Value: "70", Casts: casts("text")}, codec.KindInt, nil},
		{Constant{Value: "NaN", Casts: casts("float8"), Assigned: true}, codec.KindInt, nil},
		{Constant{Value: int64(1<<53 + 1), Casts: casts("float8")}, codec.KindInt, nil},
		{Constant{Value: Number("1e-400")}, codec.KindFloat, nil},
		{Constant{Value: "0e-400"}, codec.KindFloat, 0.0},
		{Constant{Value: Number("1e-46"), Casts: casts("float4")}, codec.KindFloat, nil},
		{Constant{Value: Number("1e-46"), Casts: casts("float8", "float4")}, codec.KindFloat, nil},
		{Constant{Value: Number("0.1"), Casts: casts("float4")}, codec.KindFloat, float64(float32(0.1))},
		{Constant{Value: int64(1<<53 + 1)}, codec.KindFloat, float64(1 << 53)},
		{Constant{Value: Number("12.50"), Casts: casts("text")}, codec.KindText, "12.50"},
		{Constant{Value: Number("12.50"), Casts: casts("text"), Part: true}, codec.KindText, nil},
		{Constant{Value: "x", Casts: []Cast{{Schema: "public", Name: "text"}}}, codec.KindText, nil},
		{Constant{Value: "x", Casts: []Cast{{Name: "varchar", Modified: true}}}, codec.KindText, nil},
		{Constant{Value: int64(1)}, codec.KindBool, nil},
		{Constant{Value: "tr", Casts: casts("bool")}, codec.KindBool, true},
		{Constant{Value: "2020-01-01 10:00+00"}, codec.KindTime, "2020-01-01 10:00+00"},
		{Constant{Value: "2020-01-01 10:00"}, codec.KindTime, nil},
		{Constant{Value: "now"}, codec.KindTime, nil},
		{Constant{Value: "2020-01-01", Casts: casts("timestamp")}, codec.KindDate, nil},
		{Constant{Value: "2020-01-01 10:00", Casts: casts("date")}, codec.KindDate, "2020-01-01 10:00"},
		{Constant{Value: `\x01 02`}, codec.KindBytes, []byte{1, 2}},
		{Constant{Value: `\x012`}, codec.KindBytes, nil},
	}
	for _, tt := range tests {
		got, err := tt.in.As(tt.kind, codec.SuiteDeterministic)
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v.As(%v) = %v, %v, want %v", tt.in, tt.kind, got, err, tt.want)
		}
	}
}

func TestElements(t *testing.T) {
	tests := []struct {
		in   Constant
		kind codec.Kind
		want any // nil: refused
	}{
		{Constant{Value: "{1,NULL, 3 }"}, codec.KindInt, []any{int64(1), nil, int64(3)}},
		{Constant{Value: "{1,70000}", Casts: casts("int2")}, codec.KindInt, nil},
		{Constant{Value: `{a,"b c"}`}, codec.KindTextArray, []any{"a", "b c"}},
		{Constant{Value: "{}"}, codec.KindIntArray, []any{}},
		{Constant{Value: "{{a}}"}, codec.KindText, nil},
		{Constant{Value: `{{a,"b c"},{NULL,d}}`}, codec.KindTextArray, `{{a,"b c"},{NULL,d}}`},
		{Constant{Value: "[2:3]={1, 70}", Casts: casts("int2")}, codec.KindIntArray, "[2:3]={1,70}"},
		{Constant{Value: "{{1},{70000}}", Casts: casts("int2")}, codec.KindIntArray, nil},
		{Constant{Value: "[2:3]={a,b}"}, codec.KindText, nil},
		{Constant{Value: int64(1)}, codec.KindInt, nil},
	}
	for _, tt := range tests {
		got, err := tt.in.Elements(tt.kind, codec.SuiteDeterministic, Constant.As)
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v.Elements(%v) = %v, %v, want %v", tt.in, tt.kind, got, err, tt.want)
		}
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		kind  codec.Kind
		casts []Cast
		in    any
		ok    bool
	}{
		{codec.KindInt, casts("int2"), int64(32767), true},
		{codec.KindInt, casts("int2"), int64(32768), false},
		{codec.KindInt, casts("int4", "int2"), "40000", false},
		{codec.KindInt, casts("int2", "int8"), int32(-32769), false},
		{codec.KindInt, casts("int4"), int64(1) << 31, false},
		{codec.KindInt, casts("int8", "numeric"), int64(math.MaxInt64), true},
		{codec.KindFloat, casts("float4"), 0.5, true},
		{codec.KindFloat, casts("float4"), 0.1, false},
		{codec.KindFloat, casts("float4"), math.NaN(), true},
		{codec.KindIntArray, casts("int2"), []int64{1, 40000}, false},
		{codec.KindIntArray, casts("int2"), "{1,NULL}", true},
		{codec.KindIntArray, casts("int2"), "{{1},{NULL}}", true},
		{codec.KindIntArray, casts("int2"), "{{1},{40000}}", false},
	}
	for _, tt := range tests {
		l, err := LimitOf(tt.kind, tt.casts)
		if err != nil {
			t.Fatalf("LimitOf(%v, %v): %v", tt.kind, tt.casts, err)
		}
		if err := l.Check(tt.kind, tt.in); (err == nil) != tt.ok || err != nil && !errors.Is(err, codec.ErrValue) {
			t.Errorf("%v.Check(%v, %v) = %v, want success %t, else ErrValue", l, tt.kind, tt.in, err, tt.ok)
		}
	}
	for _, c := range [][]Cast{casts("float8"), casts("int8", "text"), {{Name: "numeric", Modified: true}}, {{Schema: "public", Name: "int8"}}} {
		if l, err := LimitOf(codec.KindInt, c); err == nil {
			t.Errorf("LimitOf(int, %v) = %v, want an error", c, l)
		}
	}
}

func TestSQLite(t *testing.T) {
	tests := []struct {
		in   Constant
		kind codec.Kind
		want any // nil: refused
	}{
		{Constant{Value: "abc"}, codec.KindInt, nil},
		{Constant{Value: Number("70.0")}, codec.KindInt, int64(70)},
		{Constant{Value: Number("69.6"), Assigned: true}, codec.KindInt, nil},
		{Constant{Value: int64(1)}, codec.KindFloat, 1.0},
		{Constant{Value: Number("1e400")}, codec.KindFloat, nil},
		{Constant{Value: int64(1)}, codec.KindBool, int64(1)},
		{Constant{Value: int64(2)}, codec.KindBool, nil},
		{Constant{Value: int64(5)}, codec.KindText, nil},
		{Constant{Value: "x", Casts: []Cast{{Name: "varchar", Modified: true}}}, codec.KindText, "x"},
		{Constant{Value: "2020-01-01T10:00:00Z", Casts: casts("timestamptz")}, codec.KindTime, nil},
	}
	for _, tt := range tests {
		got, err := tt.in.AsSQLite(tt.kind, codec.SuiteDeterministic)
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v.AsSQLite(%v) = %v, %v, want %v", tt.in, tt.kind, got, err, tt.want)
		}
	}
}

func TestCompare(t *testing.T) {
	// Each list is in order.
	tests := []struct {
		kind   codec.Kind
		values []any
	}{
		{codec.KindInt, []any{int64(math.MinInt64), int64(-1), int64(0), int64(1), int64(math.MaxInt64)}},
		{codec.KindFloat, []any{math.Inf(-1), -1.5, 0.0, 1e-300, 2.0, math.Inf(1), math.NaN()}},
		{codec.KindNumeric, []any{"-Infinity", "-100", "-2.5", "-2.25", "-2", "0", "0.001", "0.01", "0.9", "1", "1.05", "1.5", "9", "10", "1e20", "Infinity", "NaN"}},
		{codec.KindBool, []any{false, true}},
		{codec.KindTime, []any{"-infinity", "1900-01-01 00:00+00", "1970-01-01 00:00+00", "2020-01-01 00:00+00", "infinity"}},
		{codec.KindTimestamp, []any{"-infinity", "1900-01-01 00:00", "2020-01-01 00:00", "infinity"}},
		{codec.KindDate, []any{"-infinity", "1900-01-01", "2020-01-01", "infinity"}},
		{codec.KindUUID, []any{"00000000-0000-0000-0000-000000000001", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
		{codec.KindBytes, []any{[]byte{}, []byte{1}, []byte{1, 0}, []byte{200}}},
	}
	for _, tt := range tests {
		if !Ordered(tt.kind) {
			t.Errorf("Ordered(%v) = false, want true", tt.kind)
		}
		for i, x := range tt.values {
			for j, y := range tt.values {
				a, errA := codec.AppendValue(nil, tt.kind, codec.SuiteDeterministic, x)
				b, errB := codec.AppendValue(nil, tt.kind, codec.SuiteDeterministic, y)
				if errA != nil || errB != nil {
					t.Fatal(errA, errB)
				}
				if got := Compare(tt.kind, a, b); got != cmp.Compare(i, j) {
					t.Errorf("Compare(%v, %v, %v) = %d, want %d", tt.kind, x, y, got, cmp.Compare(i, j))
				}
			}
		}
	}
}

// Text for a column of bytes is read as PostgreSQL reads the text of a bytea.
func TestBytes(t *testing.T) {
	for in, want := range map[string]string{
		``: "", `abc`: "abc", `\x`: "", `\x0102`: "\x01\x02", `\xAb cD`: "\xab\xcd", `a\\b`: `a\b`, `\001\377z`: "\x01\xffz", "é": "é",
	} {
		if got, err := Bytes(in); err != nil || string(got) != want {
			t.Errorf("Bytes(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{`\x0`, `\xzz`, `\`, `\4`, `\400`, `\12`, `\x0 1`, `a\x01`} {
		if got, err := Bytes(in); err == nil {
			t.Errorf("Bytes(%q) = %q, want an error", in, got)
		}
	}
}
