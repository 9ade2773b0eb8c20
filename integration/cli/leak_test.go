package cli_test

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
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

// TestLeakOfTerms: what colseal leak prints of columns with terms that a program wrote, in two scopes, is what counting the values gives
// and what the same attack has on them.
func TestLeakOfTerms(t *testing.T) {
	colseal := build(t)
	terms := codec.Terms{Fold: true, Prefix: codec.Lengths{Min: 2, Max: 4}, Suffix: codec.Lengths{Min: 3, Max: 3}}
	people := schema.Must(schema.Columns("people",
		schema.Column{Name: "name", Terms: terms},
		schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Terms: terms}))
	text, err := people.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	// The i-th name is about 1/i as frequent as the first.
	random := rand.New(rand.NewPCG(5, 9))
	lists := map[string][]string{"north": nil, "south": nil}
	for scope, n := range map[string]int{"north": 1500, "south": 700} {
		for range n {
			i := int(math.Pow(400, random.Float64()))
			lists[scope] = append(lists[scope], fmt.Sprintf("%c%c%02d%s%c%02d", 'A'+i%7, 'a'+i%4, i%40, strings.Repeat("x", i%3), 'a'+i%5, i%90))
		}
	}
	type attack struct {
		Terms        bool
		Exact, Alike float64
	}
	type report struct {
		Rows, Null, Keys int
		Terms            struct{ Tokens, Commonest, Shared, Apart int }
		Attacks          []attack
	}
	want := report{Rows: 2201, Null: 1, Keys: len(lists)}
	var sets [][]string // the parts of each row, by scope
	for _, list := range lists {
		var rows []string
		tokens := map[string]int{}
		for _, name := range list {
			of := parts(name)
			rows = append(rows, strings.Join(of, " "))
			for _, p := range of {
				tokens[p]++
			}
		}
		sets = append(sets, rows)
		want.Terms.Tokens += len(tokens)
		want.Terms.Commonest = max(want.Terms.Commonest, slices.Max(slices.Collect(maps.Values(tokens))))
		count := counted(rows)
		for _, set := range rows {
			if count[set] == 1 {
				want.Terms.Apart++
			}
			if slices.ContainsFunc(strings.Fields(set), func(p string) bool { return tokens[p] > 1 }) {
				want.Terms.Shared++
			}
		}
	}
	exact := frequencyAnalysis(sets, random, func(rows []string) (known, attacked []string) { return rows, rows })
	alike := frequencyAnalysis(sets, random, func(rows []string) (known, attacked []string) {
		rows = slices.Clone(rows)
		random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		return rows[:len(rows)/2], rows[len(rows)/2:]
	})
	near := func(a, b float64) bool { return math.Abs(a-b) <= 0.01 }
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		if _, err := pg.Admin.Exec("CREATE TABLE people (id bigint PRIMARY KEY, name bytea, mail bytea)"); err != nil {
			t.Fatal(err)
		}
		cfg, err := pgx.ParseConfig(pg.DSN())
		if err != nil {
			t.Fatal(err)
		}
		connector, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: people, KMS: key, AutoCreateKeyTable: true})
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		id := 0
		for scope, list := range lists {
			for names := range slices.Chunk(list, 250) {
				var values []string
				var args []any
				for _, name := range names {
					id++
					values = append(values, fmt.Sprintf("($%d, $%d, $%d)", len(args)+1, len(args)+2, len(args)+3))
					args = append(args, id, name, name)
				}
				if _, err := db.ExecContext(keyring.WithScope(t.Context(), scope), "INSERT INTO people VALUES "+strings.Join(values, ", "), args...); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := db.Exec("INSERT INTO people (id) VALUES (0)"); err != nil {
			t.Fatal(err)
		}
		for _, column := range []string{"people.name", "people.mail"} {
			status, out, errs := colseal.run(t, "leak", "--schema", file, "--dsn", pg.DSN(), column, "--json")
			var got report
			if err := json.Unmarshal([]byte(out), &got); status != statusOK || err != nil {
				t.Fatalf("%s: status %d, %v: %s%s", column, status, err, out, errs)
			}
			attacks := got.Attacks
			i := slices.IndexFunc(attacks, func(a attack) bool { return a.Terms })
			got.Attacks = nil
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %+v, directly computed %+v", column, got, want)
			}
			if i < 0 || !near(attacks[i].Exact, exact) || !near(attacks[i].Alike, alike) {
				t.Errorf("%s: %+v, directly computed %.4f and %.4f", column, attacks, exact, alike)
			}
		}
	})
}

// parts are what a name has tokens of, if it has at least four characters and its capital is the only one.
func parts(name string) []string {
	folded := strings.ToLower(name)
	out := []string{"=" + folded}
	for _, s := range []string{name, folded} {
		kind := []string{"", "~"}[min(len(out)-1, 1)] // those of the folded text are others, even where it is the same
		out = append(out, kind+s[:2]+"…", kind+s[:3]+"…", kind+s[:4]+"…", kind+"…"+s[len(s)-3:])
	}
	return out
}

func counted(rows []string) map[string]int {
	count := map[string]int{}
	for _, r := range rows {
		count[r]++
	}
	return count
}

// frequencyAnalysis takes, in each list, the value that is the n-th most frequent among the attacked ones for the one that is so among
// the known ones, and returns the share of the rows for which that is right.
func frequencyAnalysis(lists [][]string, random *rand.Rand, cut func([]string) (known, attacked []string)) float64 {
	right, of := 0, 0
	for range 400 {
		for _, rows := range lists {
			known, attacked := cut(rows)
			ranked := func(count map[string]int) []string {
				values := slices.Sorted(maps.Keys(count))
				random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
				slices.SortStableFunc(values, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
				return values
			}
			count := counted(attacked)
			k, a := ranked(counted(known)), ranked(count)
			for i := range min(len(k), len(a)) {
				if k[i] == a[i] {
					right += count[a[i]]
				}
			}
			of += len(attacked)
		}
	}
	return float64(right) / float64(of)
}
