package wiretap_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// disguise is one way in which a value might reach the database.
type disguise struct {
	name  string
	apply func(value string) any // a string or []byte to store
	want  string                 // what the Finding's Encoding must hold, in a data file
}

var disguises = []disguise{
	{"raw", func(s string) any { return "before " + s + " after" }, "text, raw"},
	{"raw in bytea", func(s string) any { return []byte("\x00\xff" + s + "\x00") }, "text, raw"},
	{"hex", func(s string) any { return hex.EncodeToString([]byte("a" + s + "b")) }, "text, hex"},
	{"HEX", func(s string) any { return strings.ToUpper(hex.EncodeToString([]byte(s))) }, "text, hex in capitals"},
	{"base64", func(s string) any { return base64.StdEncoding.EncodeToString([]byte(s + "?")) }, "text, base64, shifted by 0"},
	{"base64, one before", func(s string) any { return base64.StdEncoding.EncodeToString([]byte("~" + s)) }, "text, base64, shifted by 1"},
	{"base64, two before", func(s string) any { return base64.StdEncoding.EncodeToString([]byte("~~" + s + "~")) }, "text, base64, shifted by 2"},
	{"base64url", func(s string) any { return base64.RawURLEncoding.EncodeToString([]byte(s + "?")) }, "text, base64url, shifted by 0"},
	{"base64url, one before", func(s string) any { return base64.RawURLEncoding.EncodeToString([]byte("~" + s)) }, "text, base64url, shifted by 1"},
	{"base64url, two before", func(s string) any { return base64.RawURLEncoding.EncodeToString([]byte("~~" + s)) }, "text, base64url, shifted by 2"},
	{"UTF-16LE", func(s string) any { return inUTF16(binary.LittleEndian, s) }, "UTF-16LE"},
	{"UTF-16BE", func(s string) any { return inUTF16(binary.BigEndian, s) }, "UTF-16BE"},
	{"JSON escapes", func(s string) any { return strconv.QuoteToASCII(s) }, "JSON escapes"},
}

func inUTF16(order binary.AppendByteOrder, s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// newValue holds characters beyond ASCII, and bytes whose base64 differs between the two alphabets.
func newValue() string { return fmt.Sprintf("Žofie ÿ~?ÿ>?数 %d", rand.Uint64()) }

// put is a way to one place only.
type put struct {
	name   string
	places []wiretap.Place
	do     func(ctx context.Context, db *sql.DB, v any) error
}

var puts = []put{
	{"a statement's parameter", []wiretap.Place{wiretap.Log}, func(ctx context.Context, db *sql.DB, v any) error {
		cast := "SELECT $1::text"
		if _, ok := v.([]byte); ok {
			cast = "SELECT $1::bytea"
		}
		_, err := db.ExecContext(ctx, cast, v)
		return err
	}},
	{"a row", []wiretap.Place{wiretap.Table, wiretap.Data}, func(ctx context.Context, db *sql.DB, v any) error {
		return copyIn(ctx, db, v)
	}},
	{"a row that is deleted", []wiretap.Place{wiretap.Data}, func(ctx context.Context, db *sql.DB, v any) error {
		if err := copyIn(ctx, db, v); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "DELETE FROM planted WHERE n = (SELECT max(n) FROM planted)")
		return err
	}},
}

// copyIn stores v without a trace in the log: COPY's data is not logged.
func copyIn(ctx context.Context, db *sql.DB, v any) error {
	column := "t"
	if _, ok := v.([]byte); ok {
		column = "b"
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{"planted"}, []string{column}, pgx.CopyFromRows([][]any{{v}}))
		return err
	})
}

// A wiretap that cannot find anything proves nothing: every disguise is found in every place, and only there.
func TestFindsEveryDisguiseInEveryPlace(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		_, err := db.Admin.ExecContext(t.Context(),
			"CREATE TABLE planted (n int GENERATED ALWAYS AS IDENTITY, t text, b bytea) WITH (autovacuum_enabled = false)")
		if err != nil {
			t.Fatal(err)
		}
		canaries := []wiretap.Canary{wiretap.Text("nowhere", newValue())}
		for _, p := range puts {
			for _, d := range disguises {
				value := newValue()
				canaries = append(canaries, wiretap.Text(p.name+"/"+d.name, value))
				if err := p.do(t.Context(), db.Admin, d.apply(value)); err != nil {
					t.Fatal(err)
				}
			}
		}
		report, err := wiretap.Search(t.Context(), db.Admin, canaries...)
		if err != nil {
			t.Fatal(err)
		}
		found := byCanary(report)
		if len(found["nowhere"]) != 0 {
			t.Errorf("found what was never planted: %v", found["nowhere"])
		}
		for _, p := range puts {
			for _, d := range disguises {
				checkFound(t, found[p.name+"/"+d.name], p, d)
			}
		}
	}, pgtest.Logged())
}

func byCanary(r *wiretap.Report) map[string][]wiretap.Finding {
	found := map[string][]wiretap.Finding{}
	for _, f := range r.Findings {
		found[f.Canary] = append(found[f.Canary], f)
	}
	return found
}

func checkFound(t *testing.T, found []wiretap.Finding, p put, d disguise) {
	t.Helper()
	seen, encodings := map[wiretap.Place]bool{}, ""
	for _, f := range found {
		seen[f.Place] = true
		encodings += f.Encoding + "; "
	}
	for _, place := range []wiretap.Place{wiretap.Log, wiretap.Table, wiretap.Data} {
		want := false
		for _, w := range p.places {
			want = want || w == place
		}
		if seen[place] != want {
			t.Errorf("%s as %s: found in the %s: %v, want %v", p.name, d.name, place, seen[place], want)
		}
	}
	if p.places[0] != wiretap.Log && !strings.Contains(encodings, d.want) { // the log writes bytea in hex
		t.Errorf("%s as %s: found as %q, want %q", p.name, d.name, encodings, d.want)
	}
}

// Values that are not text are found as the server stores them.
func TestFindsNumbersTimesAndUUIDs(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		number := 1<<41 + rand.Int64N(1<<60)
		born := time.Date(1987, 3, 5, 11, 22, 33, 456789000, time.UTC).Add(time.Duration(rand.Int64N(1e15)) * time.Microsecond)
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
		_, err := db.Admin.ExecContext(t.Context(), "CREATE TABLE kinds (n bigint, at timestamptz, id uuid)")
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Admin.ExecContext(t.Context(), "INSERT INTO kinds VALUES ($1, $2, $3)", number, born, hex.EncodeToString(id[:]))
		if err != nil {
			t.Fatal(err)
		}
		report, err := wiretap.Search(t.Context(), db.Admin,
			wiretap.Int("number", number), wiretap.Time("born", born), wiretap.UUID("id", id))
		if err != nil {
			t.Fatal(err)
		}
		found := byCanary(report)
		for _, name := range []string{"number", "born", "id"} {
			seen := map[wiretap.Place]bool{}
			for _, f := range found[name] {
				seen[f.Place] = true
			}
			if !seen[wiretap.Log] || !seen[wiretap.Table] || !seen[wiretap.Data] {
				t.Errorf("%s was found only here: %v", name, found[name])
			}
		}
	}, pgtest.Logged())
}

// Where the server does not log every statement, a search of its log would prove nothing.
func TestDeafWithoutTheLog(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		_, err := wiretap.Search(t.Context(), db.Admin, wiretap.Text("c", newValue()))
		if !errors.Is(err, wiretap.ErrDeaf) {
			t.Errorf("got %v, want ErrDeaf", err)
		}
	})
}

// Check is silent where there is nothing.
func TestCheck(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		wiretap.Check(t, db.Admin, wiretap.Text("nowhere", newValue()))
	}, pgtest.Logged())
}
