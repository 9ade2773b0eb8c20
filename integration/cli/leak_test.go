package cli_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// TestLeak: what colseal leak prints of columns whose values are known. Half of the rows have one of three values, the
// other half values of their own: of these, counts tell nothing.
func TestLeak(t *testing.T) {
	colseal := build(t)
	people := schema.Must(schema.Columns(`app."People"`,
		schema.Column{Name: "city", Mode: schema.ModeDeterministic, Kind: schema.KindInt},
		schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "1999"},
		schema.Column{Name: "note", Kind: schema.KindInt, Stored: "note_cells"}))
	text, err := people.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	values := slices.Concat(slices.Repeat([]int64{1001}, 300), slices.Repeat([]int64{2}, 150), slices.Repeat([]int64{1003}, 50))
	for i := range int64(500) {
		values = append(values, 200+i)
	}
	cells := map[string][][]byte{}
	for _, c := range people.Tables()[0].Columns() {
		k, err := codec.NewKey(make([]byte, 32), 7, c.Suite(), c.Identity())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			encoding, err := codec.AppendValue(nil, c.Kind, c.Suite(), v)
			if err != nil {
				t.Fatal(err)
			}
			cell, err := k.Seal(nil, c.Kind, encoding)
			if err != nil {
				t.Fatal(err)
			}
			cells[c.Name] = append(cells[c.Name], cell)
		}
	}
	cities := make([]string, len(values)) // as text
	for i, cell := range cells["city"] {
		cities[i] = codec.EncodeText(cell)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		if _, err := db.Admin.Exec(`CREATE SCHEMA app; CREATE TABLE app."People" (city text, age bytea, note_cells bytea)`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Admin.Exec(`INSERT INTO app."People" SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) UNION ALL SELECT 'Oslo', NULL, NULL`,
			cities, cells["age"], cells["note"]); err != nil {
			t.Fatal(err)
		}
		run := func(want int, args ...string) string {
			t.Helper()
			status, out, errs := colseal.run(t, append([]string{"leak", "--schema", file, "--dsn", db.DSN()}, args...)...)
			if status != want {
				t.Fatalf("status %d: %s%s", status, out, errs)
			}
			return out + errs
		}
		table := people.Tables()[0].String()
		city := run(statusOK, table+".city")
		for _, want := range []string{"rows     1001, of which 0 are NULL", "no cells  1 rows", "503 different ones; 50.0 % of the rows", "by frequency"} {
			if !strings.Contains(strings.ReplaceAll(city, "  ", " "), strings.ReplaceAll(want, "  ", " ")) {
				t.Errorf("%q is not in\n%s", want, city)
			}
		}
		if strings.Contains(city, "Oslo") {
			t.Errorf("a value is printed:\n%s", city)
		}
		var r struct {
			Rows, Null, Cells int
			Attacks           []struct {
				Mode         string
				Exact, Alike float64
			}
		}
		if err := json.Unmarshal([]byte(run(statusOK, table+".age", "--json")), &r); err != nil {
			t.Fatal(err)
		}
		shares := map[string][2]float64{"ordered": {1, 0.5}, "deterministic": {0.5, 0.5}, "random": {0.3, 0.3}}
		if r.Rows != 1001 || r.Null != 1 || r.Cells != 503 || len(r.Attacks) != len(shares) {
			t.Errorf("%+v", r)
		}
		for _, a := range r.Attacks {
			if want := shares[a.Mode]; math.Abs(a.Exact-want[0]) > 0.01 || math.Abs(a.Alike-want[1]) > 0.01 {
				t.Errorf("%+v, want %v", a, want)
			}
		}
		if out := run(statusOK, table+".note"); !strings.Contains(out, "Nothing else shows") || !strings.Contains(out, "1000 different ones; 0.0 %") {
			t.Error(out)
		}
		var rows int
		if _, err := fmt.Sscanf(strings.SplitAfter(run(statusOK, table+".age", "--percent", "50"), "\n")[2], "rows %d", &rows); err != nil || rows < 350 || rows > 650 {
			t.Errorf("half of the rows are %d, %v", rows, err)
		}
		for args, want := range map[string]string{table + ".town": "no sealed column", table + ".age --percent 120": "120 percent"} {
			if out := run(statusFailed, strings.Fields(args)...); !strings.Contains(out, want) {
				t.Errorf("%s: %s", args, out)
			}
		}
		if _, err := db.Admin.Exec(`ALTER TABLE app."People" RENAME note_cells TO n`); err != nil {
			t.Fatal(err)
		}
		if out := run(statusFailed, table+".note"); !strings.Contains(out, "has no column") {
			t.Error(out)
		}
	})
}
