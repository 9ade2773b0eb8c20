package pgxseal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/schema"
)

// What is read of pgx's own types is where it is expected: otherwise no pool could be made.
func TestFieldsOfPgx(t *testing.T) {
	if preparedIndex == nil || batchTx == nil || commitText == nil {
		t.Fatal("pgx keeps its prepared statements or batches in another way")
	}
	var raw pgx.Conn
	if m := preparedOn(&raw); m != nil {
		t.Errorf("a new connection has prepared statements: %v", m)
	}
	b := &pgx.Batch{}
	if q := commitQuery(b); q != "" {
		t.Errorf("a batch without a transaction commits it by %q", q)
	}
	b.BeginTx(pgx.TxOptions{CommitQuery: "COMMIT PREPARED"})
	if q := commitQuery(b); q != "COMMIT PREPARED" {
		t.Errorf("commitQuery = %q", q)
	}
	if fieldIndex[pgx.Batch]("txOptions", reflect.TypeFor[int]()) != nil || fieldIndex[pgx.Batch]("nothing", reflect.TypeFor[int]()) != nil {
		t.Error("a field that is not there is found")
	}
}

// TestGuarded: pgx takes no argument for an option, whichever stands first.
func TestGuarded(t *testing.T) {
	mode := pgx.QueryExecModeExec
	for _, tt := range []struct {
		list []any
		n    int
		wrap bool
	}{
		{nil, 0, false},
		{[]any{1, mode}, 0, false},
		{[]any{mode, 1}, 1, false},
		{[]any{mode}, 1, false},
		{[]any{mode, mode}, 1, true},
		{[]any{pgx.NamedArgs{"a": 1}, 2}, 0, true},
		{[]any{pgx.QueryResultFormats{1}}, 0, true},
	} {
		got := guarded(slices.Clone(tt.list), tt.n)
		if !tt.wrap {
			if !reflect.DeepEqual(got, tt.list) {
				t.Errorf("guarded(%v, %d) = %v", tt.list, tt.n, got)
			}
			continue
		}
		r, ok := got[len(got)-1].(pgx.QueryRewriter)
		if !ok || len(got) != tt.n+1 {
			t.Errorf("guarded(%v, %d) = %v", tt.list, tt.n, got)
			continue
		}
		query, args, err := r.RewriteQuery(t.Context(), nil, "q", nil)
		if query != "q" || err != nil || !reflect.DeepEqual(args, tt.list[tt.n:]) {
			t.Errorf("guarded(%v, %d) gives %s, %v, %v", tt.list, tt.n, query, args, err)
		}
	}
}

// TestWire: what a plaintext is made into is scanned as the value, in both formats.
func TestWire(t *testing.T) {
	m := pgtype.NewMap()
	moment := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
	day := time.Date(1969, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		kind codec.Kind
		in   any
		want any // what pgx makes of it
	}{
		{schema.KindText, "ab", "ab"}, {schema.KindText, "", ""}, {schema.KindBytes, []byte{0, 1}, []byte{0, 1}},
		{schema.KindInt, -7, int64(-7)}, {schema.KindInt, int64(math.MinInt64), int64(math.MinInt64)},
		{schema.KindFloat, 1.5, 1.5}, {schema.KindFloat, 1e-7, 1e-7}, {schema.KindFloat, 1e21, 1e21}, {schema.KindFloat, math.Inf(-1), math.Inf(-1)},
		{schema.KindBool, true, true}, {schema.KindBool, false, false},
		{schema.KindTime, moment, moment}, {schema.KindTime, "infinity", pgtype.Infinity}, {schema.KindTime, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)},
		{schema.KindTimestamp, moment, moment}, {schema.KindTimestamp, "-infinity", pgtype.NegativeInfinity},
		{schema.KindDate, day, day}, {schema.KindDate, "infinity", pgtype.Infinity},
		{schema.KindJSON, `{"a": 1}`, map[string]any{"a": 1.0}},
		{schema.KindUUID, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", [16]byte{0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7, 0x65, 0, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6}},
		{schema.KindTextArray, `{a,NULL,"b,c"}`, []any{"a", nil, "b,c"}}, {schema.KindIntArray, "{1,-2}", []any{int64(1), int64(-2)}},
	} {
		enc, err := codec.AppendValue([]byte{}, tt.kind, codec.SuiteRandomized, tt.in)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []int16{pgx.TextFormatCode, pgx.BinaryFormatCode} {
			out, err := wire(m, tt.kind, format, bytes.Clone(enc))
			if err != nil {
				t.Errorf("%s %v in format %d: %v", tt.kind, tt.in, format, err)
				continue
			}
			oid := typeOf(tt.kind, false)
			typ, _ := m.TypeForOID(oid)
			got, err := typ.Codec.DecodeValue(m, oid, format, out)
			if at, ok := got.(time.Time); ok {
				got = at.UTC()
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s %v in format %d: %q is %v, %v; want %v", tt.kind, tt.in, format, out, got, err, tt.want)
			}
		}
	}
	for _, kind := range []codec.Kind{schema.KindTime, schema.KindTimestamp, schema.KindDate} {
		if _, err := wire(m, kind, pgx.BinaryFormatCode, []byte{1}); err == nil {
			t.Errorf("%s of one byte has a form", kind)
		}
	}
	if typeOf(200, false) != pgtype.UnknownOID {
		t.Error("a kind of a later version has a type")
	}
}

// TestFloatText: a float as text is PostgreSQL's.
func TestFloatText(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 1.5: "1.5", 1e14: "100000000000000", 1e15: "1e+15", 0.0001: "0.0001", 0.00001: "1e-05", -123456789012345680: "-1.2345678901234568e+17", math.Inf(1): "Infinity"} {
		if got := string(appendFloat(nil, f)); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
	if got := string(appendFloat(nil, math.NaN())); got != "NaN" {
		t.Errorf("NaN: %s", got)
	}
}

// TestFormats: the format of a column is the one that pgx would have asked for.
func TestFormats(t *testing.T) {
	m := pgtype.NewMap()
	for _, tt := range []struct {
		f    formats
		i    int
		want int16
	}{
		{formats{}, 0, 1}, {formats{text: true}, 0, 0},
		{formats{text: true, byIndex: pgx.QueryResultFormats{1}}, 0, 0}, // as pgx does in these modes
		{formats{byIndex: pgx.QueryResultFormats{0}}, 3, 0}, {formats{byIndex: pgx.QueryResultFormats{0, 1}}, 1, 1}, {formats{byIndex: pgx.QueryResultFormats{1, 1}}, 2, 0},
		{formats{byOID: pgx.QueryResultFormatsByOID{pgtype.Int8OID: 1}}, 0, 1}, {formats{byOID: pgx.QueryResultFormatsByOID{pgtype.ByteaOID: 1}}, 0, 0},
	} {
		if got := tt.f.of(m, tt.i, pgtype.Int8OID); got != tt.want {
			t.Errorf("%+v: column %d in format %d, want %d", tt.f, tt.i, got, tt.want)
		}
	}
}

// TestByteaText: the text of a bytea in both styles.
func TestByteaText(t *testing.T) {
	m := pgtype.NewMap()
	for text, want := range map[string]string{`\x`: "", `\x0102`: "\x01\x02", `a\001\\b`: "a\x01\\b"} {
		if got, err := front.Bytea([]byte(text)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := front.Bytea([]byte(`\xzz`)); err == nil {
		t.Error("what is not hexadecimal is a bytea")
	}
	fd := &pgconn.FieldDescription{DataTypeOID: pgtype.TextArrayOID, Format: pgx.TextFormatCode}
	cells, err := storedArray(m, fd, []byte(`{cs1:a,NULL}`))
	if err != nil || len(cells) != 2 || string(cells[0]) != "cs1:a" || cells[1] != nil {
		t.Errorf("an array of texts: %q, %v", cells, err)
	}
	if _, err := storedArray(m, fd, []byte(`{{a},{b}}`)); err == nil {
		t.Error("an array of two dimensions is one of cells")
	}
}

// TestScanError: no verb prints the cause, nor does unwrapping lead to it; errors.As finds it.
func TestScanError(t *testing.T) {
	cause := &pgconn.PgError{Message: "secret"}
	err := error(pgx.ScanArgError{FieldName: "c", Err: scanError{cause: cause, what: "does not fit"}})
	for _, verb := range []string{"%v", "%+v", "%s", "%q", "%#v"} {
		if text := fmt.Sprintf(verb, err); strings.Contains(text, "secret") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), "secret") {
			t.Errorf("unwrapping gives %v", e)
		}
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
}

// TestConfig: what cannot serve is refused before anything connects.
func TestConfig(t *testing.T) {
	const dsn = "postgres://nobody@127.0.0.1:1/none"
	if _, err := Connect(t.Context(), dsn, driver.Config{}); err == nil || !strings.Contains(err.Error(), "Config.Schema") {
		t.Errorf("no schema: %v", err)
	}
	if _, err := Connect(t.Context(), "bad=\x00", driver.Config{}); err == nil {
		t.Error("a connection string that is none is taken")
	}
}

// A transaction that has ended leaves its connection alone: another goroutine may have it by then, whose rows would be scanned here.
func TestRowOfEndedTransaction(t *testing.T) {
	c := &conn{}
	tx := &Tx{c: c, closed: true}
	for range 2 {
		if err := tx.QueryRow(t.Context(), "SELECT 1").Scan(); !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("Scan = %v, want %v", err, pgx.ErrTxClosed)
		}
	}
	if c.rowSlab.free != nil {
		t.Error("the row stands in the memory of the connection")
	}
}

// TestNumericsAsTheServer: the binary form of a numeric is what PostgreSQL sends for it: without digits of zero at its ends.
func TestNumericsAsTheServer(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0000 0000 0000 0000", "0.00": "0000 0000 0000 0002", "1.50000000": "0002 0000 0000 0008 0001 1388",
		"100000000": "0001 0002 0000 0000 0001", "10000.0000": "0001 0001 0000 0004 0001", "-0.00000001": "0001 fffe 4000 0008 0001",
		"NaN": "0000 0000 c000 0000",
		"{}":  "00000000 00000000 000006a4", "{0.00,NULL,1.50000000}": "00000001 00000001 000006a4 00000003 00000001" +
			"00000008 0000 0000 0000 0002 ffffffff 0000000c 0002 0000 0000 0008 0001 1388",
	} {
		got, err := binaryOf(pgtype.NewMap(), typeOf(schema.KindNumeric, text[0] == '{'), []byte(text))
		if want = strings.ReplaceAll(want, " ", ""); hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v, want %s", text, got, err, want)
		}
	}
}
