package pgxvalue

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
)

const canary = "CANARY-7351"

// secret prints itself as something else.
type secret string

func (secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

type token []byte

func (token) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

type failing struct{ s string }

var errOwn = errors.New("the program's own error about " + canary)

func (failing) Value() (driver.Value, error) { return nil, fmt.Errorf("%s: %w", canary, errOwn) }

type ownError struct{}

func (ownError) Error() string { return canary }

type failingText struct{ s string }

func (failingText) TextValue() (pgtype.Text, error) { return pgtype.Text{}, ownError{} }

func TestValue(t *testing.T) {
	m := pgtype.NewMap()
	s := "s"
	at := time.Date(2024, 2, 29, 12, 0, 0, 123456000, time.UTC)
	tests := []struct {
		kind codec.Kind
		arg  any
		want any
	}{
		{codec.KindText, secret("s"), "s"},
		{codec.KindText, token("s"), "s"},
		{codec.KindBytes, token("s"), []byte("s")},
		{codec.KindBytes, net.IPv4(1, 2, 3, 4).To4(), []byte{1, 2, 3, 4}},
		{codec.KindText, slog.LevelInfo, "INFO"},
		{codec.KindText, netip.MustParseAddr("1.2.3.4"), "1.2.3.4"},
		{codec.KindInt, slog.LevelWarn, int64(4)},
		{codec.KindText, &s, "s"},
		{codec.KindText, (*string)(nil), nil},
		{codec.KindText, []byte(nil), nil},
		{codec.KindText, token(nil), nil},
		{codec.KindText, token{}, ""},
		{codec.KindBytes, token{}, []byte{}},
		{codec.KindText, pgtype.Text{}, nil},
		{codec.KindInt, uint8(7), int64(7)},
		{codec.KindInt, big.NewInt(7), "7"},
		{codec.KindInt, 7.0, int64(7)},
		{codec.KindFloat, 7, 7.0},
		{codec.KindNumeric, pgtype.Numeric{Int: big.NewInt(-150), Exp: -2, Valid: true}, "-1.50"},
		{codec.KindTime, pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}, "-infinity"},
		{codec.KindTime, pgtype.Timestamptz{Time: at, Valid: true}, at},
		{codec.KindTimestamp, pgtype.Timestamp{Time: at, Valid: true}, at},
		{codec.KindDate, pgtype.Date{Time: at, Valid: true}, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)},
		{codec.KindDate, pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}, "infinity"},
		{codec.KindUUID, pgtype.UUID{Bytes: [16]byte{1}, Valid: true}, append([]byte{1}, make([]byte, 15)...)},
		{codec.KindBool, pgtype.Bool{Bool: true, Valid: true}, true},
		{codec.KindJSON, map[string]int{"a": 1}, []byte(`{"a":1}`)},
		{codec.KindJSON, json.RawMessage(`{"a": 1}`), []byte(`{"a": 1}`)},
		{codec.KindTextArray, []secret{"a", "b"}, []any{"a", "b"}},
		{codec.KindTextArray, []*string{&s, nil}, []any{"s", nil}},
		{codec.KindTextArray, []string{}, []any{}},
		{codec.KindIntArray, pgtype.FlatArray[int32]{1, 2}, []any{int64(1), int64(2)}},
		{codec.KindTextArray, [][]string{{"a", "b"}, {"c", "NULL"}}, `{{a,b},{c,"NULL"}}`},
		{codec.KindIntArray, pgtype.Array[*int]{Elements: []*int{nil, nil}, Dims: []pgtype.ArrayDimension{{Length: 1, LowerBound: 0}, {Length: 2, LowerBound: 1}}, Valid: true}, `[0:0][1:2]={{NULL,NULL}}`},
		{codec.KindIntArray, []slog.Level{slog.LevelError}, []any{int64(8)}},
	}
	for _, tt := range tests {
		got, err := Value(m, tt.kind, tt.arg)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Value(%s, %T) = %#v, %v; want %#v", tt.kind, tt.arg, got, err, tt.want)
		}
		if got == nil {
			continue
		}
		if _, err := codec.AppendValue(nil, tt.kind, codec.SuiteRandomized, got); err != nil {
			t.Errorf("Value(%s, %T) = %#v, which codec refuses: %v", tt.kind, tt.arg, got, err)
		}
	}
}

func TestElements(t *testing.T) {
	m := pgtype.NewMap()
	s := "s"
	tests := []struct {
		kind codec.Kind
		arg  any
		want []any
	}{
		{codec.KindText, []string{"a"}, []any{"a"}},
		{codec.KindText, []secret{"a"}, []any{"a"}},
		{codec.KindText, []*string{nil, &s}, []any{nil, "s"}},
		{codec.KindText, `{a,NULL}`, []any{"a", nil}},
		{codec.KindText, []string(nil), nil},
		{codec.KindText, []string{}, []any{}},
		{codec.KindText, nil, nil},
		{codec.KindTextArray, []string{"a"}, []any{"a"}},
		{codec.KindBytes, [][]byte{{1}, nil}, []any{[]byte{1}, nil}},
		{codec.KindInt, []int16{1}, []any{int64(1)}},
		{codec.KindInt, []int{1}, []any{1}},
		{codec.KindJSON, []map[string]int{{"a": 1}}, []any{[]byte(`{"a":1}`)}},
		{codec.KindNumeric, []pgtype.Numeric{{Int: big.NewInt(10), Valid: true}}, []any{"10"}},
	}
	for _, tt := range tests {
		got, err := Elements(m, tt.kind, tt.arg)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Elements(%s, %T) = %#v, %v; want %#v", tt.kind, tt.arg, got, err, tt.want)
		}
	}
	for _, arg := range []any{"a", "{{1}}", "[2:2]={1}", 7, map[string]int{}, pgtype.Array[int]{Elements: []int{1, 2}, Dims: []pgtype.ArrayDimension{{Length: 2, LowerBound: 2}}, Valid: true}} {
		if got, err := Elements(m, codec.KindInt, arg); !errors.Is(err, codec.ErrValue) {
			t.Errorf("Elements(int, %T) = %v, %v", arg, got, err)
		}
	}
}

// Errors of the program's own are there for errors.Is and errors.As, and no text, whatever the verb, nor any error that Unwrap leads
// to, holds a value.
func TestErrorsHoldNoValue(t *testing.T) {
	m := pgtype.NewMap()
	for _, arg := range []any{failing{canary}, &failing{canary}, failingText{canary}, struct{ S string }{canary}, []chan int{nil},
		map[string]string{canary: canary}, secret(canary), pgtype.Text{String: canary, Valid: true}, []secret{canary}} {
		_, err := Value(m, codec.KindUUID, arg)
		if err == nil {
			_, err = codec.AppendValue(nil, codec.KindUUID, codec.SuiteRandomized, fmt.Sprint(arg))
		}
		if !errors.Is(err, codec.ErrValue) {
			t.Errorf("%T: %v", arg, err)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%v %+v %#v %q %s", e, e, e, e, e); strings.Contains(text, canary) {
				t.Errorf("%T: the error holds the value: %s", arg, text)
			}
		}
	}
	if _, err := Value(m, codec.KindText, failing{canary}); !errors.Is(err, errOwn) {
		t.Errorf("the program's own error is lost: %v", err)
	}
	if _, err := Value(m, codec.KindText, failingText{canary}); !errors.As(err, new(ownError)) {
		t.Errorf("the program's own error is lost: %v", err)
	}
}

// A method of an argument's that panics, as some do where there is a pointer to a nil pointer, is an error.
func TestPanic(t *testing.T) {
	var none *failing
	if v, err := Value(pgtype.NewMap(), codec.KindText, &none); !errors.Is(err, codec.ErrValue) {
		t.Errorf("%v, %v", v, err)
	}
}

// TestNumeric: the text of the binary form is what PostgreSQL writes.
func TestNumeric(t *testing.T) {
	m := pgtype.NewMap()
	for _, tt := range []struct {
		digits int64
		exp    int32
		want   string
	}{
		{0, 0, "0"}, {0, -2, "0.00"}, {0, 3, "0"}, {1, 0, "1"}, {-1, 0, "-1"}, {10000, 0, "10000"}, {12345678, 0, "12345678"}, {5, 8, "500000000"},
		{5, 9, "5000000000"}, {150, -2, "1.50"}, {1, -1, "0.1"}, {1, -4, "0.0001"}, {1, -5, "0.00001"}, {-1, -12, "-0.000000000001"},
		{100000001, -4, "10000.0001"}, {123456789, -5, "1234.56789"}, {math.MaxInt64, -9, "9223372036.854775807"}, {math.MaxInt64, 3, "9223372036854775807000"},
	} {
		got, err := Value(m, codec.KindNumeric, pgtype.Numeric{Int: big.NewInt(tt.digits), Exp: tt.exp, Valid: true})
		if err != nil || got != tt.want {
			t.Errorf("%de%d: %v, %v; want %s", tt.digits, tt.exp, got, err, tt.want)
		}
	}
	for want, n := range map[string]pgtype.Numeric{
		"NaN": {NaN: true, Valid: true}, "Infinity": {InfinityModifier: pgtype.Infinity, Valid: true}, "-Infinity": {InfinityModifier: pgtype.NegativeInfinity, Valid: true},
	} {
		if got, err := Value(m, codec.KindNumeric, n); err != nil || got != want {
			t.Errorf("%v, %v; want %s", got, err, want)
		}
	}
}

// FuzzWire: no wire form, which a codec of the program's may have made, panics or takes memory beyond its length.
func FuzzWire(f *testing.F) {
	m := pgtype.NewMap()
	for k := codec.KindText; k.Valid(); k++ {
		for _, v := range []any{"x", 7, 1.5, true, time.Now(), []string{"a"}, []int{1}, [][]int{{1}, {2}}, pgtype.Numeric{Int: big.NewInt(7), Exp: -9, Valid: true}} {
			if wire, _, err := encode(m, pgTypes[k].value, v); err == nil {
				f.Add(uint8(k), wire)
			}
		}
	}
	f.Add(uint8(codec.KindNumeric), binary.BigEndian.AppendUint64(nil, 0x0000_7FFF_0000_3FFF))
	f.Fuzz(func(t *testing.T, kind uint8, wire []byte) {
		k := codec.Kind(kind)
		if !k.Valid() {
			return
		}
		v, err := decode(k, pgtype.BinaryFormatCode, wire)
		if err == nil && v == nil {
			t.Errorf("%s: nil", k)
		}
	})
}
