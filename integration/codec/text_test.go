// Package codec holds the texts that package codec reads to what PostgreSQL makes of them.
package codec

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/integration/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// types are the PostgreSQL types that the kinds stand for.
var types = map[codec.Kind]string{
	codec.KindInt: "bigint", codec.KindFloat: "double precision", codec.KindBool: "boolean", codec.KindTime: "timestamptz",
	codec.KindUUID: "uuid", codec.KindNumeric: "numeric", codec.KindTextArray: "text[]", codec.KindIntArray: "bigint[]",
	codec.KindDate: "date", codec.KindTimestamp: "timestamp",
}

// alphabets are what texts of each kind are made of: now and then of anything.
var alphabets = map[codec.Kind][]string{
	codec.KindInt:       {"0", "7", "-", "+", " ", "9223372036854775807", "9223372036854775808", "1.0", "e", "_", "\t"},
	codec.KindFloat:     {"0", "1", "25", "-", "+", ".", "e", "E", "308", "-324", "-400", "inf", "Infinity", "nan", " ", "0x", "1e22", "17976931348623157"},
	codec.KindBool:      {"t", "r", "u", "e", "true", "f", "false", "y", "es", "n", "o", "on", "of", "off", "1", "0", " ", "TRUE"},
	codec.KindUUID:      {"f81d4fae", "7dec", "11d0", "a765", "00a0c91e6bf6", "-", "{", "}", "F81D4FAE7DEC11D0A76500A0C91E6BF6", " ", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
	codec.KindNumeric:   {"0", "1", "25", "-", "+", ".", "e", "E", "30", "-20", "inf", "Infinity", "NaN", " ", "0x", "100", "000"},
	codec.KindTextArray: {"{", "}", ",", `"`, `\`, "a", "NULL", "null", " ", "é", "[1:2]=", "[2:3]=", "{}", "{a,b}", `"a b"`, "{{a,b},", "{c,d}}", "{{", "}}", "},{", "[1]", "[0:1]", "=", "[1:2][2:3]={{a,b},{c,d}}"},
	codec.KindIntArray:  {"{", "}", ",", `"`, "1", "-2", "NULL", " ", "[1:2]=", "{}", "{1,2}", "+3", "007", "{{1,2},", "{3,4}}", "{{", "}}", "},{", "[1]", "[0:1]", "="},
}

// momentText returns a text like that of a date or time.
func momentText(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	year := pick("2024", "2023", "1984", "0001", "0044", "4714", "1970", "12024", "294276", "294246", "294247", "5874897", "5874898", "0000", "99", "1600")
	if r.IntN(3) == 0 {
		year = strconv.Itoa(1970 + r.IntN(60))
	}
	s := year + "-" + pick("01", "02", "03", "10", "11", "12", "13", "1") + "-" + pick("01", "09", "23", "24", "28", "29", "30", "31", "32", "3")
	if r.IntN(4) > 0 {
		s += pick("T", " ", "t", "  ", "") + pick("00", "01", "02", "12", "23", "24", "25", "3") + ":" + pick("00", "30", "59", "60")
		if r.IntN(4) > 0 {
			s += ":" + pick("00", "01", "30", "59", "60", "61")
			if r.IntN(2) > 0 {
				s += "." + pick("", "5", "000001", "0000005", "0000015", "1234565", "1234575", "9999995", "9999994", "99999949999999999999", strconv.Itoa(r.IntN(1e9)))
			}
		}
		s += pick("", "", "Z", "z", "+00", "-08", "+05:30", "+0530", "-15:59:59", "+16", "+5", " +01", " Z", " UTC")
	}
	return s + pick("", "", "", " BC", " AD", " ")
}

func textOf(r *rand.Rand, kind codec.Kind) string {
	words, ok := alphabets[kind]
	if !ok {
		if r.IntN(20) == 0 {
			return []string{"infinity", "-infinity", "+infinity", "Infinity", " infinity ", "inf", "epoch", "now", ""}[r.IntN(9)]
		}
		return momentText(r)
	}
	var b strings.Builder
	for range 1 + r.IntN(6) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

const zone = "Europe/Berlin"

// oracle returns what a server makes of texts of a kind, written as text again; nil for an error.
func oracle(t *testing.T, conn *sql.Conn, kind codec.Kind, texts []string) []*string {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), "SELECT pg_temp.reads(s, '"+types[kind]+"') FROM unnest($1::text[]) WITH ORDINALITY AS u(s, n) ORDER BY n", texts)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []*string
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, nil)
		if s.Valid {
			out[len(out)-1] = &s.String
		}
	}
	if err := rows.Err(); err != nil || len(out) != len(texts) {
		t.Fatal(len(out), err)
	}
	return out
}

// read returns what codec makes of a text, written as the oracle writes it.
func read(session codec.Session, kind codec.Kind, s string) (string, error) {
	encoding, err := session.AppendValue(nil, kind, codec.SuiteRandomized, s)
	if err != nil {
		return "", err
	}
	v, err := codec.DecodeValue(kind, encoding)
	if err != nil {
		return "", err
	}
	if at, ok := v.(time.Time); ok {
		return string(codec.AppendTime(nil, kind, at)), nil
	}
	return fmt.Sprint(v), nil
}

// agree compares a text of the oracle's with one of read's.
func agree(kind codec.Kind, server, ours string) bool {
	switch kind {
	case codec.KindFloat:
		a, err1 := strconv.ParseFloat(server, 64)
		b, err2 := strconv.ParseFloat(ours, 64)
		return err1 == nil && err2 == nil && (a == b || a != a && b != b)
	case codec.KindTime: // the server writes it in the session's zone
		again, err := read(codec.Session{}, kind, server)
		return err == nil && again == ours
	}
	return server == ours
}

// TestTexts: a text that codec takes means to it what it means to PostgreSQL, and what PostgreSQL writes codec takes.
func TestTexts(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("COLSEAL_SHAPES_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Log("COLSEAL_SHAPES_SEED =", seed)
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	session := codec.Session{TimeZone: loc}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		conn, err := db.Admin.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		for _, statement := range []string{"SET TIME ZONE '" + zone + "'", `CREATE FUNCTION pg_temp.reads(s text, type text) RETURNS text LANGUAGE plpgsql AS $$
			DECLARE r text; BEGIN EXECUTE format('SELECT CAST(CAST(%L AS %s) AS text)', s, type) INTO r; RETURN r; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$`} {
			if _, err := conn.ExecContext(context.Background(), statement); err != nil {
				t.Fatal(err)
			}
		}
		for kind := range types {
			r := rand.New(rand.NewPCG(seed, uint64(kind)))
			texts := make([]string, 3000)
			for i := range texts {
				texts[i] = textOf(r, kind)
			}
			accepted, written := 0, 0
			for i, server := range oracle(t, conn, kind, texts) {
				ours, err := read(session, kind, texts[i])
				switch {
				case err == nil && (server == nil || !agree(kind, *server, ours)):
					t.Errorf("%s %q: codec reads %q, PostgreSQL %v", kind, texts[i], ours, show(server))
				case err == nil:
					accepted++
				}
				if server == nil || beyond(kind, *server) {
					continue
				}
				if ours, err := read(session, kind, *server); err != nil || !agree(kind, *server, ours) {
					t.Errorf("%s: PostgreSQL writes %q, which codec reads as %q, %v", kind, *server, ours, err)
				}
				written++
			}
			if accepted < 25 || written < 25 {
				t.Errorf("%s: codec took %d texts, PostgreSQL %d: the test has become weak", kind, accepted, written)
			}
		}
	})
}

// TestTimes: what is given as a time.Time, or as a pgtype, comes back as pgx brings it back from a plain column of the type, in the same
// Location.
func TestTimes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for _, statement := range []string{"CREATE TABLE moments (d date, ts timestamp, tz timestamptz)", "INSERT INTO moments DEFAULT VALUES"} {
			if _, err := db.Admin.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		zones := []*time.Location{time.UTC, time.Local, time.FixedZone("", -5*3600), time.FixedZone("", 5*3600+1800)}
		for range 200 {
			at := time.Unix(r.Int64N(1e10)-5e9, r.Int64N(1e9)).In(zones[r.IntN(len(zones))])
			if r.IntN(20) == 0 {
				at = at.AddDate(-4000+r.IntN(20000), 0, 0)
			}
			values := []any{at, pgtype.Date{Time: at, Valid: true}, pgtype.Timestamp{Time: at, Valid: true}, pgtype.Timestamptz{Time: at, Valid: true},
				pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, pgtype.Date{InfinityModifier: pgtype.NegativeInfinity, Valid: true}}
			v := values[min(r.IntN(10), len(values)-1)]
			for column, kind := range map[string]codec.Kind{"d": codec.KindDate, "ts": codec.KindTimestamp, "tz": codec.KindTime} {
				var want any
				if _, err := db.Admin.Exec("UPDATE moments SET "+column+" = $1", v); err != nil {
					t.Fatalf("%s %v: %v", column, v, err)
				}
				if err := db.Admin.QueryRow("SELECT " + column + " FROM moments").Scan(&want); err != nil {
					t.Fatal(err)
				}
				encoding, err := codec.AppendValue(nil, kind, codec.SuiteDeterministic, v)
				if err != nil {
					t.Errorf("%s %v: %v", kind, v, err)
					continue
				}
				if got, err := codec.DecodeValue(kind, encoding); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s %v: %#v, %v; pgx has %#v", kind, v, got, err, want)
				}
			}
		}
	})
}

// beyond reports whether PostgreSQL has a value that codec does not: a time after the year 294246.
func beyond(kind codec.Kind, server string) bool {
	switch kind {
	case codec.KindTime, codec.KindTimestamp:
		return strings.HasPrefix(server, "2942") && server >= "294247"
	}
	return false
}

func show(s *string) string {
	if s == nil {
		return "an error"
	}
	return strconv.Quote(*s)
}
