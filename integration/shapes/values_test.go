package shapes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// A valueKind is a kind, with the type of its plaintext twin and values that are stored.
type valueKind struct {
	name   string
	kind   schema.Kind
	plain  string
	stored []string
}

var valueKinds = []valueKind{
	{"t", schema.KindText, "text", []string{"a", "12", "12.50", "true", ""}},
	{"i", schema.KindInt, "bigint", []string{"70", "-70", "0", "100000", "7000000000", "9007199254740992", "9223372036854775807"}},
	{"f", schema.KindFloat, "double precision", []string{"70", "0.1", "-0.5", "0", "9007199254740992", "Infinity", "NaN", "0.10000000149011612"}},
	{"n", schema.KindNumeric, "numeric", []string{"70", "69.6", "1.50", "0.1", "0", "NaN", "7000000000"}},
	{"b", schema.KindBool, "boolean", []string{"t", "f"}},
	{"ts", schema.KindTime, "timestamptz", []string{"2020-01-01 10:00:00+00", "1999-12-31 23:59:59.5+00"}},
	{"tw", schema.KindTimestamp, "timestamp", []string{"2020-01-01 10:00:00"}},
	{"d", schema.KindDate, "date", []string{"2020-01-01", "1999-12-31"}},
	{"j", schema.KindJSON, "json", nil},
	{"jb", schema.KindJSON, "jsonb", nil}, // which would rewrite it; cells keep the text
	{"u", schema.KindUUID, "uuid", []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
	{"y", schema.KindBytes, "bytea", []string{`\x0102`, `\x`}},
}

// valueLiterals are constants as they are written, of all sorts.
var valueLiterals = strings.Split(strings.TrimSpace(`
0|-0|1|-1|70|-70|+70|00070|32767|32768|-32768|-32769|100000|2147483647|2147483648|-2147483648|-2147483649|7000000000
9007199254740992|9007199254740993|9223372036854775807|-9223372036854775808|9223372036854775808|99999999999999999999999999
70.0|69.6|69.5|70.5|-69.5|-0.5|0.5|.5|5.|7e1|70e-1|1e-400|1e400|1e38|1e39|1e-45|1e-46|1e308|1.7976931348623157e308|0.1|1.50|1.5000
2147483647.5|2147483646.5|9223372036854775807.4|9223372036854775807.5|-9223372036854775808.5|123456789012345.678
TRUE|FALSE|''|'a'|'abc'|' 70 '|'70'|'-70'|'+70'|'70.0'|'69.6'|'7e1'|'1_000'|'0x46'|'100000'|'7000000000'|'9223372036854775808'|'-0'
'0.1'|'1e-400'|'1e400'|'NaN'|'nan'|'Infinity'|'-inf'|'+inf'|'infinity'|'1.50'|' 1.50'|'1.'|'.5'|'.'|'e5'|'0.10000000149011612'
't'|'tr'|'true'|'TRUE '|'yes'|'on'|'o'|'of'|'off'|'1'|'0'|'2'|'n'
'now'|'today'|'epoch'|'2020-01-01'|'2020-01-01 10:00'|'2020-01-01 10:00+00'|'2020-01-01T12:00:00+02:00'|'2020-01-01 10:00:00Z'
'1999-12-31 23:59:59.5+00'|'1999-12-31 23:59:59.4999995+00'|'2020-02-30 00:00+00'|'24:00'|'2020-01-01 24:00+00'|'Jan 1 2020 10:00+00'|'2020-01-01 10:00:00 UTC'
'5000-01-01 00:00+00 BC'|'0044-03-15 00:00+00 BC'|'290000-01-01 00:00+00'|'294277-01-01 00:00+00'|'2020-01-01 10:00 +00'|'2020-01-01 10:00+15:59'|'2020-01-01 10:00+16:00'
'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'|'A0EEBC999C0B4EF8BB6D6BB9BD380A11'|'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'|'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1'|'a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11'
'{"a": 1}'|'{"a"'|'[1, 2]'|'null'|'"x"'
'\x0102'|'\x01 02'|'\x012'|'\xzz'|'\\'|'\001\002'|'\400'|E'\\x0102'|$$12$$|U&'\0061'`), "\n")

// valueCasts are put behind a constant, one or two of them.
var valueCasts = []string{
	"", "::int2", "::int4", "::int8", "::numeric", "::float4", "::float8", "::text", "::varchar", "::bool", "::bytea", "::json", "::jsonb", "::uuid", "::timestamptz",
	"::numeric(10,1)", "::varchar(2)", "::char(3)", "::char", "::timestamp", "::date", "::name", "::oid", "::regclass", "::pg_catalog.int4",
	"::numeric::int2", "::float8::int4", "::text::int8", "::int4::text", "::int8::float8", "::float4::float8", "::float8::numeric", "::numeric::float4", "::int4::bool",
}

// TestLiterals compares what PostgreSQL makes of constants and casts, in every kind of column and in every place,
// with what is made of them here: the same value, or a refusal. It takes one in eight of all combinations, and all of
// them with COLSEAL_SHAPES_LITERALS=all.
func TestLiterals(t *testing.T) {
	seed, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	all := os.Getenv("COLSEAL_SHAPES_LITERALS") == "all"
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		dice := rand.New(rand.NewPCG(seed, 0))
		v := newValues(t, db)
		works, refused, errs := 0, 0, 0
		for _, k := range valueKinds {
			for _, lit := range literalTexts() {
				for _, cast := range valueCasts {
					if strings.HasPrefix(cast, "::json") && cast[2:] != k.plain {
						continue // the kind is for both
					}
					expr := "(" + lit + ")" + cast
					for _, place := range v.places(k, expr) {
						if !all && dice.IntN(8) > 0 {
							continue
						}
						switch v.compare(t, place, nil) {
						case "":
							works++
						case "REFUSED":
							refused++
						default:
							errs++
						}
					}
				}
			}
		}
		t.Logf("COLSEAL_SHAPES_SEED=%d repeats this: %d work, %d are refused", seed, works, refused)
		if works < 800 || errs > 0 {
			t.Errorf("%d statements work, and %d are errors of both sides, want 800 or more, and 0", works, errs)
		}
	})
}

// Ordinary constants, which have to work.
func TestOrdinaryLiteralsWork(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		v := newValues(t, db)
		for _, q := range []string{
			"UPDATE x SET i = 70", "UPDATE x SET i = 69.6", "UPDATE x SET i = -69.5", "UPDATE x SET i = 70.5::float8", "UPDATE x SET i = '70'", "UPDATE x SET i = 70.0::int2",
			"UPDATE x SET f = 1, n = 1", "UPDATE x SET f = 0.1::real", "UPDATE x SET n = 1.50::numeric", "UPDATE x SET t = 12.50::text", "UPDATE x SET b = 'yes'::bool",
			"SELECT id FROM x WHERE i = 70.0 OR i = 7e1 OR i = '7000000000' OR i IN (1, 2.0, '70') OR i = ANY('{70,NULL}'::int2[]) OR i = ANY(ARRAY[1,70]::int[])",
			"SELECT id FROM x WHERE f = 70 OR f = 0.1 OR f = 9007199254740993 OR f = 'Infinity' OR f = 'NaN'",
			"SELECT id FROM x WHERE n = 1.5 OR n = '0.100' OR n = 70 OR n = 'NaN'",
			"SELECT id FROM x WHERE ts = '2020-01-01T12:00:00+02:00' OR ts = TIMESTAMPTZ '1999-12-31 23:59:59.5Z'",
			"SELECT id FROM x WHERE u = 'A0EEBC999C0B4EF8BB6D6BB9BD380A11' OR y = '\\x01 02' OR t = ANY('{a,\"12\"}')",
		} {
			if code := v.compare(t, q, nil); code != "" {
				t.Errorf("%s: %s, want that it works", q, code)
			}
		}
	})
}

// TestCastParameters compares what casts do to parameters: the same value, a refusal, or an error that says that the
// value does not fit.
func TestCastParameters(t *testing.T) {
	params := map[string][]any{
		"t": {"a", "abc", "12", ""},
		"i": {int64(0), int64(70), int64(-32768), int64(32768), int64(-32769), int64(2147483647), int64(2147483648), int64(7000000000), "70", "100000"},
		"f": {0.1, 70.0, -0.5, 0.5, 1e-300, 1e300, 0.10000000149011612},
		"n": {"1.50", "70", int64(70), "0.1", "12345.678"},
		"b": {true, false},
		"u": {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		"y": {[]byte{1, 2}},
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		v := newValues(t, db)
		works := 0
		for _, k := range valueKinds {
			for _, cast := range valueCasts {
				for _, p := range params[k.name] {
					for _, place := range v.places(k, "$1"+cast) {
						if v.compare(t, place, []any{p}) == "" {
							works++
						}
					}
				}
			}
		}
		if works < 100 {
			t.Errorf("%d statements work, want 100 or more", works)
		}
	})
}

// TestQuestions compares the answers to comparisons of a parameter that is sealed elsewhere with constants.
func TestQuestions(t *testing.T) {
	questions := []struct {
		kind   string
		typ    string
		params []any
		consts []string
		order  bool
	}{
		{"t", "text", []any{"", "a", "b", nil}, []string{"''", "'a'", "NULL", "'a'::text"}, false},
		{"i", "bigint", []any{int64(0), int64(70), int64(-1), nil}, []string{"0", "70.0", "-5", "NULL::bigint", "'70'"}, true},
		{"i", "smallint", []any{int64(7), int64(-32768), nil}, []string{"7", "100"}, true},
		{"f", "double precision", []any{0.0, 1.5, -2.25, nil}, []string{"0", "1.5", "'NaN'", "'-Infinity'::float8"}, true},
		{"n", "numeric", []any{"0", "1.50", "-100", "10", "9.99", nil}, []string{"0", "1.5", "9.990", "-2", "100"}, true},
		{"b", "boolean", []any{true, false, nil}, []string{"TRUE", "'f'"}, true},
		{"ts", "timestamptz", []any{"2020-01-01 10:00:00+00", nil}, []string{"'2020-01-01T12:00:00+02:00'", "'1970-01-01 00:00+00'", "'infinity'"}, true},
		{"d", "date", []any{"2020-01-01", nil}, []string{"'2020-01-01'", "'1969-01-01'", "'infinity'"}, true},
		{"u", "uuid", []any{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", nil}, []string{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000001'"}, true},
		{"y", "bytea", []any{[]byte{}, []byte{1, 2}, nil}, []string{`'\x0102'`, "''", `'\xff'::bytea`}, true},
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		v := newValues(t, db)
		for _, q := range questions {
			ops := []string{"=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"}
			if q.order {
				ops = append(ops, "<", "<=", ">", ">=")
			}
			p := "$1::" + q.typ
			var asked []string
			for _, c := range q.consts {
				for _, op := range ops {
					asked = append(asked, fmt.Sprintf("%s %s %s", p, op, c), fmt.Sprintf("%s %s %s", c, op, p))
				}
				asked = append(asked, fmt.Sprintf("%s IN (%s, %s)", p, c, q.consts[0]), fmt.Sprintf("%s NOT IN (NULL, %s)", p, c))
			}
			for _, param := range q.params {
				for _, what := range asked {
					if strings.HasPrefix(what, "NULL") && strings.Contains(what, "DISTINCT") || strings.Contains(what, "DISTINCT FROM NULL") {
						continue // a test for NULL, which needs no answer
					}
					s := fmt.Sprintf("UPDATE x SET r%s = $1 WHERE id = 0 RETURNING %s", q.kind, what)
					if code := v.compare(t, s, []any{param}); code != "" {
						t.Errorf("%s %v: %s, want that it works", s, param, code)
					}
				}
				for _, c := range q.consts {
					s := fmt.Sprintf("UPDATE x SET r%s = NULLIF(%s, %s) WHERE id = 0 RETURNING r%[1]s", q.kind, p, c)
					if code := v.compare(t, s, []any{param}); code != "" && !strings.HasPrefix(c, "NULL") {
						t.Errorf("%s %v: %s, want that it works", s, param, code)
					}
				}
			}
		}
	})
}

func literalTexts() []string {
	var all []string
	for _, line := range valueLiterals {
		all = append(all, strings.Split(line, "|")...)
	}
	return all
}

// values are two tables x with a column of each kind, sealed and plain. Columns with an r before their names are
// randomized, so that they return the scale of a numeric.
type values struct{ sealed, twin side }

func newValues(t *testing.T, db *pgtest.DB) *values {
	t.Helper()
	var cols []schema.Column
	sealed, plain := "CREATE TABLE x (id bigint", "CREATE TEMPORARY TABLE x (id bigint"
	for _, k := range valueKinds {
		if k.kind != schema.KindJSON {
			cols = append(cols, schema.Column{Name: k.name, Kind: k.kind, Mode: schema.ModeDeterministic})
			sealed += ", " + k.name + " bytea"
			plain += ", " + k.name + " " + k.plain
		}
		cols = append(cols, schema.Column{Name: "r" + k.name, Kind: k.kind})
		sealed += ", r" + k.name + " bytea"
		plain += ", r" + k.name + " " + k.plain
	}
	exec(t, db.Admin, sealed+")")
	w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	v := &values{}
	v.sealed.db, v.sealed.tap = open(t, db.DSN(), db.Name, &driver.Config{
		Schema: schema.Must(schema.Columns("x", cols...)), KMS: w, AutoCreateKeyTable: true,
	}, nil)
	v.twin.db, v.twin.tap = open(t, db.DSN(), db.Name, nil, nil)
	exec(t, v.twin.db, plain+")")
	for _, s := range []side{v.sealed, v.twin} {
		id := 0
		for _, k := range valueKinds {
			for _, val := range k.stored {
				id++
				if _, err := s.db.Exec(fmt.Sprintf("INSERT INTO x (id, %s) VALUES (%d, $1)", k.name, id), val); err != nil {
					t.Fatalf("%s %s: %v", k.name, val, err)
				}
			}
		}
		exec(t, s.db, "INSERT INTO x (id) VALUES (0)")
	}
	return v
}

// places are statements with an expression in the places where it is converted.
func (v *values) places(k valueKind, expr string) []string {
	r := "r" + k.name
	all := []string{
		fmt.Sprintf("UPDATE x SET %s = %s WHERE id = 0 RETURNING %s", r, expr, r),
		fmt.Sprintf("UPDATE x SET %s = CASE WHEN id > 0 THEN %s ELSE %s END WHERE id = 0 RETURNING %s", r, r, expr, r),
	}
	if k.kind != schema.KindJSON {
		all = append(all,
			fmt.Sprintf("SELECT id FROM x WHERE %s = %s", k.name, expr),
			fmt.Sprintf("SELECT id FROM x WHERE %s IN (NULL, %s)", k.name, expr))
	}
	return all
}

// compare runs a statement on both sides and returns what the sealed side said.
func (v *values) compare(t *testing.T, q string, args []any) string {
	t.Helper()
	sealed := v.run(v.sealed, q, args)
	if sealed.code == "REFUSED" {
		return sealed.code
	}
	twin := v.run(v.twin, q, args)
	switch {
	case errors.Is(sealed.err, codec.ErrValue) && args != nil: // what is given is known only now
	case sealed.err != nil && twin.err != nil && args != nil:
	case sealed.err == nil && twin.err == nil && strings.Contains(q, "SET rjb"):
	case (sealed.err == nil) != (twin.err == nil) || !slices.Equal(sealed.rows, twin.rows):
		t.Errorf("%s %v\n  %q %v, on the twin\n  %q %v", q, args, sealed.rows, sealed.err, twin.rows, twin.err)
	}
	return sealed.code
}

func (v *values) run(s side, q string, args []any) (o outcome) {
	rs, err := s.db.Query(q, args...)
	if err == nil {
		defer func() { _ = rs.Close() }()
		for rs.Next() {
			var val any
			names, _ := rs.Columns()
			if len(names) == 0 {
				break
			}
			if err = rs.Scan(&val); err != nil {
				break
			}
			switch x := val.(type) {
			case time.Time:
				val = x.UTC()
			case string:
				val = strings.ToLower(x) // pgx scans infinity as it is asked
			case []byte:
				val = "bytes:" + string(x)
			}
			o.rows = append(o.rows, fmt.Sprint(val))
		}
		err = errors.Join(err, rs.Err())
	}
	slices.Sort(o.rows)
	o.err, o.code = err, code(err)
	return o
}
