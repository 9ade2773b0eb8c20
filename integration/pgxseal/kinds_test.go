package pgxseal_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/integration/pgtest"
)

var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

// modesHere are the modes for tests of one goroutine, which show the race detector little.
func modesHere() []pgx.QueryExecMode {
	if pgtest.Race {
		return modes[:1]
	}
	return modes
}

func modeName(m pgx.QueryExecMode) string { return strings.ReplaceAll(m.String(), " ", "_") }

func ptr[T any](v T) *T { return &v }

type namedText string

var (
	moment = time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
	aUUID  = [16]byte{0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7, 0x65, 0, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6}
)

// arguments are Go values for a column of each type. Some are refused, by pgx or by the server: then both sides refuse them.
var arguments = map[string][]any{
	"t": {"plain", "", "ünï", namedText("n"), ptr("p"), (*string)(nil), nil, []byte("bytes"), sql.NullString{String: "s", Valid: true}, sql.NullString{},
		pgtype.Text{String: "x", Valid: true}, pgtype.Text{}, 7, netip.MustParseAddr("10.0.0.1"), json.RawMessage(`{"a":1}`)},
	"b": {[]byte("bytes"), []byte{}, []byte(nil), `\\x0102`, "text", nil, ptr([]byte{1}), json.RawMessage("x")},
	"i": {7, int8(7), int16(-7), int32(7), int64(math.MinInt64), uint(7), uint64(math.MaxUint64), "12", " 13", "x", 1.0, 1.5, true, ptr(int64(4)), nil,
		pgtype.Int8{Int64: 5, Valid: true}, pgtype.Int4{Int32: 6, Valid: true}, sql.NullInt64{Int64: 9, Valid: true}, sql.NullInt32{}, big.NewInt(3)},
	"f": {1.5, float32(2.5), 3, "1e10", math.Inf(1), math.Inf(-1), math.NaN(), 1e-7, 123456789012345680.0, 1e21, 0.1, nil, pgtype.Float8{Float64: 1, Valid: true}, "x"},
	"o": {true, false, "t", "no", nil, ptr(true), pgtype.Bool{Bool: true, Valid: true}, sql.NullBool{}, 1, "maybe"},
	"tz": {moment, moment.In(time.FixedZone("", 5*3600)), "2024-02-29 12:34:56+00", ptr(moment), nil, pgtype.Timestamptz{Time: moment, Valid: true},
		pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true},
		sql.NullTime{Time: moment, Valid: true}, "infinity", "x", 5, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC)},
	"j": {`{"a": 1}`, []byte(`[1, 2]`), map[string]any{"k": "v"}, []int{1, 2}, struct{ A int }{7}, json.RawMessage(`"x"`), nil, "null", "{", ptr(map[string]int{"z": 1}), 7, true},
	"u": {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", aUUID, aUUID[:], pgtype.UUID{Bytes: aUUID, Valid: true}, pgtype.UUID{}, nil, "x", []byte{1}},
	"n": {"1.50", 7, 1.25, pgtype.Numeric{Int: big.NewInt(150), Exp: -2, Valid: true}, pgtype.Numeric{NaN: true, Valid: true}, "NaN", "-0.001", "1e3", nil, "x",
		pgtype.Numeric{InfinityModifier: pgtype.Infinity, Valid: true}, "123456789012345678901234567890.123456789", int64(math.MaxInt64), "0", "0.00", "-0.000",
		"10000.0000"},
	"ta": {[]string{"a", "b,c", `q"`}, []string{}, []string(nil), nil, "{x,NULL}", []*string{ptr("a"), nil}, pgtype.FlatArray[string]{"f"}, "x",
		pgtype.Array[string]{Elements: []string{"e"}, Dims: []pgtype.ArrayDimension{{Length: 1, LowerBound: 1}}, Valid: true}, []pgtype.Text{{String: "t", Valid: true}}},
	"ia": {[]int64{1, -2}, []int{3}, []int32{4}, []int64(nil), nil, "{1,2}", []*int64{ptr(int64(1)), nil}, "{x}", []string{"1"}},
	"d": {moment, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), "2024-02-29", pgtype.Date{Time: moment, Valid: true}, pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}, nil,
		"infinity", "x", time.Date(1969, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC)},
	"ts": {moment, "2024-02-29 12:34:56.7", pgtype.Timestamp{Time: moment, Valid: true}, pgtype.Timestamp{InfinityModifier: pgtype.NegativeInfinity, Valid: true}, nil, "x"},
}

// destinations are what a value is scanned into.
func destinations() []any {
	return []any{
		new(any), new(string), new(*string), new([]byte), new(int64), new(*int64), new(int32), new(uint64), new(float64), new(bool), new(time.Time), new(*time.Time),
		new([16]byte), new([]string), new([]*string), new([]int64), new(map[string]any), new(json.RawMessage), new(namedText),
		new(pgtype.Text), new(pgtype.Int8), new(pgtype.Float8), new(pgtype.Bool), new(pgtype.Timestamptz), new(pgtype.Timestamp), new(pgtype.Date), new(pgtype.UUID),
		new(pgtype.Numeric), new(pgtype.Array[string]), new(pgtype.FlatArray[int64]), new(sql.NullString), new(sql.NullInt64), new(sql.NullTime), new(sql.RawBytes),
	}
}

// TestKinds: whatever a plain column of a type takes, and whatever it can be scanned into, so it is with the sealed one: in every mode
// and storage.
func TestKinds(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		for _, storage := range []string{"bytea", "text"} {
			t.Run(storage, func(t *testing.T) {
				exec(t, server.Admin, "DROP TABLE IF EXISTS kinds, users, plain")
				tw := newTwins(t, server, storage, func(c *pgxpool.Config) { c.MaxConns = 1 })
				id := 0
				for _, mode := range modesHere() {
					t.Run(modeName(mode), func(t *testing.T) { testKinds(t, tw, mode, &id) })
				}
			})
		}
	})
}

func testKinds(t *testing.T, tw *twins, mode pgx.QueryExecMode, id *int) {
	ctx := t.Context()
	for _, k := range kinds {
		stored := 0
		for i, arg := range arguments[k.name] {
			*id++
			insert := fmt.Sprintf("INSERT INTO kinds (id, %s) VALUES ($1, $2)", k.name)
			_, want := tw.plain.Exec(ctx, insert, mode, *id, arg)
			_, got := tw.sealed.Exec(ctx, insert, mode, *id, arg)
			if (got == nil) != (want == nil) {
				t.Errorf("%s: argument %d (%T %v): %v, plain %v", k.typ, i, arg, arg, got, want)
				continue
			}
			if want != nil {
				continue
			}
			stored++
			query := fmt.Sprintf("SELECT id, %s FROM kinds WHERE id = $1", k.name)
			for _, opts := range [][]any{{mode}, {mode, pgx.QueryResultFormats{0, 0}}, {mode, pgx.QueryResultFormats{1}}, {mode, pgx.QueryResultFormatsByOID{20: 1, 1184: 1, 1700: 0, 3802: 1}}} {
				args := append(opts, *id)
				compareRows(t, fmt.Sprintf("%s %T %v, %v", k.typ, arg, arg, opts), tw, query, args)
			}
		}
		if stored < 3 {
			t.Errorf("%s: %d arguments were stored", k.typ, stored)
		}
	}
}

// result is a row of a query.
type result struct {
	values []any
	fields []pgconn.FieldDescription
	raw    [][]byte
	m      *pgtype.Map
}

func readRow(t *testing.T, on db, query string, args []any) (r result, err error) {
	t.Helper()
	rows, err := on.Query(t.Context(), query, args...)
	if err != nil {
		return r, err
	}
	defer rows.Close()
	for rows.Next() {
		r.fields, r.m = slices.Clone(rows.FieldDescriptions()), rows.TypeMap()
		for _, v := range rows.RawValues() {
			r.raw = append(r.raw, bytes.Clone(v))
		}
		if r.values, err = rows.Values(); err != nil {
			return r, err
		}
	}
	return r, rows.Err()
}

// compareRows reads a row of two columns on both sides in every way.
func compareRows(t *testing.T, what string, tw *twins, query string, args []any) {
	t.Helper()
	want, wantErr := readRow(t, tw.plain, query, args)
	got, gotErr := readRow(t, tw.sealed, query, args)
	if wantErr != nil || gotErr != nil {
		t.Errorf("%s: %v, plain %v", what, gotErr, wantErr)
		return
	}
	f, g := want.fields[1], got.fields[1]
	if f.DataTypeOID != g.DataTypeOID || f.Format != g.Format || f.DataTypeSize != g.DataTypeSize || f.TypeModifier != g.TypeModifier || f.Name != g.Name {
		t.Errorf("%s: field %+v, plain %+v", what, g, f)
	}
	if !bytes.Equal(normal(f.DataTypeOID, want.raw[1]), normal(f.DataTypeOID, got.raw[1])) || (want.raw[1] == nil) != (got.raw[1] == nil) {
		t.Errorf("%s: raw %q, plain %q", what, got.raw[1], want.raw[1])
	}
	if !same(got.values[1], want.values[1]) {
		t.Errorf("%s: value %v, plain %v", what, got.values[1], want.values[1])
	}
	wants, gots := destinations(), destinations()
	if want.raw[1] == nil { // where pgx does not give the same answer each time for others
		wants, gots = []any{new(any), new(*string), new(*int64), new([]byte)}, []any{new(any), new(*string), new(*int64), new([]byte)}
	}
	for i := range wants {
		wantErr := pgx.ScanRow(want.m, want.fields, want.raw, nil, wants[i])
		gotErr := pgx.ScanRow(got.m, got.fields, got.raw, nil, gots[i])
		if i == 1 { // text, for which all that counts is at work
			gotErr = tw.sealed.QueryRow(t.Context(), query, args...).Scan(nil, gots[i])
		}
		if (gotErr == nil) != (wantErr == nil) {
			t.Errorf("%s: into %T: %v, plain %v", what, wants[i], gotErr, wantErr)
		} else if _, isBytes := wants[i].(*[]byte); wantErr == nil && !isBytes && !same(gots[i], wants[i]) {
			t.Errorf("%s: into %T: %v, plain %v", what, wants[i], deref(gots[i]), deref(wants[i]))
		}
	}
}

// normal is a value as it is compared: JSON without its spaces, which PostgreSQL puts in its own places, and numbers without what says
// nothing: the bits of a NaN, the weight of zero and the scale of infinity.
func normal(oid uint32, v []byte) []byte {
	switch {
	case oid == pgtype.JSONBOID:
		return bytes.ReplaceAll(v, []byte(" "), nil)
	case oid == pgtype.Float8OID && len(v) == 8 && math.IsNaN(math.Float64frombits(binary.BigEndian.Uint64(v))):
		return []byte("NaN")
	case oid == pgtype.NumericOID && len(v) == 8 && v[0] == 0 && v[1] == 0:
		return v[4:6]
	}
	return v
}

func deref(v any) any { return reflect.ValueOf(v).Elem().Interface() }

// same compares values; NaN is the same as itself.
func same(got, want any) bool {
	return reflect.DeepEqual(got, want) || plainText(got) == plainText(want)
}

func plainText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		b = fmt.Append(nil, reflect.Indirect(reflect.ValueOf(v)))
	}
	return strings.NewReplacer(" ", "", `\`, "").Replace(string(b))
}
