package leak

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/schema"
)

var columns = schema.Must(schema.Columns("people",
	schema.Column{Name: "city", Mode: schema.ModeDeterministic, Kind: schema.KindInt},
	schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "999"},
	schema.Column{Name: "name", Terms: termsOfNames},
	schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Terms: termsOfNames},
	schema.Column{Name: "note"}))

var termsOfNames = codec.Terms{Prefix: codec.Lengths{Min: 2, Max: 4}, Suffix: codec.Lengths{Min: 3, Max: 3}}

// page shows the text of a report.
const page = "../../docs/leak.md"

// sealed returns a report on a column with the given values, under one key for each list.
func sealed(t *testing.T, column string, lists ...[]int) *Report {
	t.Helper()
	_, c, err := find(columns, "people."+column)
	if err != nil {
		t.Fatal(err)
	}
	var rows []dbcatalog.Row
	for n, list := range lists {
		k, err := codec.NewKey(make([]byte, 32), uint32(n+1), c.Suite(), c.Identity()) //nolint:gosec // small
		if err != nil {
			t.Fatal(err)
		}
		count := map[int]int{}
		for _, v := range list {
			count[v]++
		}
		for v, n := range count {
			value := any(int64(v))
			if c.Kind == schema.KindText {
				value = nameOf(v)
			}
			encoding, err := codec.AppendValue(nil, c.Kind, c.Suite(), value)
			if err != nil {
				t.Fatal(err)
			}
			times, each := 1, n
			if !c.EqualCells() {
				times, each = n, 1
			}
			for range times {
				cell, err := k.Seal(nil, c.Kind, encoding)
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, dbcatalog.Row{cell, int64(each)})
			}
		}
	}
	return report(c, dbcatalog.StorageBytes, rows)
}

// nameOf is a text of five to nine characters: of some the first and last are the same.
func nameOf(v int) string {
	return fmt.Sprintf("%c%02d%s%c%02d", 'a'+v%7, v%40, strings.Repeat("x", v%3), 'a'+v%5, v%90)
}

// partsOf are what a name has tokens of.
func partsOf(name string) []string {
	return []string{name[:2], name[:3], name[:4], "…" + name[len(name)-3:]}
}

// TestTermShares: what is told of tokens is what counting the parts of the values, which the package does not see, gives.
func TestTermShares(t *testing.T) {
	for _, list := range [][]int{skewed(2_000, 300, 1), skewed(2_000, 40, 2), skewed(1_000, 100, 0.3), from(0, 1000), slices.Repeat([]int{8}, 500)} {
		rows, sets, numbers := map[string]int{}, map[string]int{}, map[string]int{}
		var known []int // the values are as good as the sets of their parts
		for _, v := range list {
			parts := partsOf(nameOf(v))
			for _, p := range parts {
				rows[p]++
			}
			set := strings.Join(parts, " ")
			sets[set]++
			if _, ok := numbers[set]; !ok {
				numbers[set] = len(numbers)
			}
			known = append(known, numbers[set])
		}
		var shared, apart int
		for _, v := range list {
			if slices.ContainsFunc(partsOf(nameOf(v)), func(p string) bool { return rows[p] > 1 }) {
				shared++
			}
		}
		for _, n := range sets {
			if n == 1 {
				apart++
			}
		}
		want := Terms{Tokens: len(rows), Commonest: slices.Max(slices.Collect(maps.Values(rows))), Shared: shared, Apart: apart}
		exact, alike := frequencyOf(known, 300, both), frequencyOf(known, 300, halves)
		for _, column := range []string{"name", "mail"} {
			r := sealed(t, column, list)
			if r.Terms == nil || *r.Terms != want {
				t.Errorf("%s: %+v, directly %+v", column, r.Terms, want)
			}
			t.Logf("%s: the commonest token %.2f %%, directly %.2f %%", column, 100*float64(r.Terms.Commonest)/float64(r.Rows), 100*float64(want.Commonest)/float64(len(list)))
			i := slices.IndexFunc(r.Attacks, func(a Attack) bool { return a.Terms })
			near(t, column+" by tokens", r.Attacks[i].Exact, exact)
			near(t, column+" by tokens in others", r.Attacks[i].Alike, alike)
		}
		if s := sealed(t, "name", list).String(); !strings.Contains(s, "prefix=2-4,suffix=3-3") || strings.Contains(s, "Nothing else shows") || !strings.Contains(s, "\nterms ") {
			t.Error(s)
		}
	}
	// Tokens of two keys are different ones.
	one, two := sealed(t, "name", []int{1, 1, 2}), sealed(t, "name", []int{1, 1, 2}, []int{1, 2})
	if two.Terms.Tokens != 2*one.Terms.Tokens || two.Terms.Commonest != one.Terms.Commonest {
		t.Errorf("%+v, %+v", one.Terms, two.Terms)
	}
}

// skewed draws n values of which the i-th is 1/i^s as frequent as the first.
func skewed(n, values int, s float64) []int {
	random := rand.New(rand.NewPCG(7, uint64(values)))
	sums, at := make([]int, values), 0
	for i := range sums {
		at += int(1e6*math.Pow(float64(i+1), -s)) + 1
		sums[i] = at
	}
	numbers := random.Perm(values) // so that frequency does not follow order
	list := make([]int, n)
	for i := range list {
		j, _ := slices.BinarySearch(sums, random.IntN(at)+1)
		list[i] = numbers[j]
	}
	return list
}

// halves shuffles values and cuts them.
func halves(list []int, random *rand.Rand) (known, attacked []int) {
	list = slices.Clone(list)
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:len(list)/2], list[len(list)/2:]
}

// both knows what it attacks.
func both(list []int, _ *rand.Rand) (known, attacked []int) {
	return slices.Clone(list), slices.Clone(list)
}

// frequencyOf is frequency analysis on the values themselves: the n-th most frequent for the n-th most frequent.
func frequencyOf(list []int, tries int, cut func([]int, *rand.Rand) (known, attacked []int)) float64 {
	random := rand.New(rand.NewPCG(3, 5))
	right, of := 0, 0
	for range tries {
		known, attacked := cut(list, random)
		type frequent struct {
			value, rows int
			chance      float64
		}
		ranked := func(list []int) (all []frequent) {
			count := map[int]int{}
			for _, v := range list {
				count[v]++
			}
			for _, v := range slices.Sorted(maps.Keys(count)) {
				all = append(all, frequent{v, count[v], random.Float64()})
			}
			slices.SortFunc(all, func(a, b frequent) int {
				if a.rows != b.rows {
					return b.rows - a.rows
				}
				return int(math.Copysign(1, a.chance-b.chance))
			})
			return all
		}
		k, a := ranked(known), ranked(attacked)
		for i := range min(len(k), len(a)) {
			if k[i].value == a[i].value {
				right += a[i].rows
			}
		}
		of += len(attacked)
	}
	return float64(right) / float64(of)
}

// rankOf is the sorting attack on the values themselves, row by row: the rows of a value stand beside the known rows at the same
// places, and most of those say what it is.
func rankOf(list []int, tries int, cut func([]int, *rand.Rand) (known, attacked []int)) float64 {
	random := rand.New(rand.NewPCG(3, 5))
	right, of := 0, 0
	for range tries {
		known, attacked := cut(list, random)
		slices.Sort(known)
		slices.Sort(attacked)
		votes := map[int]map[int]int{}
		rows := map[int]int{}
		for i, v := range attacked {
			if votes[v] == nil {
				votes[v] = map[int]int{}
			}
			votes[v][known[i*len(known)/len(attacked)]]++
			rows[v]++
		}
		for v, said := range votes {
			guess, most := 0, 0
			for w, n := range said {
				if n > most || n == most && w < guess {
					guess, most = w, n
				}
			}
			if guess == v {
				right += rows[v]
			}
		}
		of += len(attacked)
	}
	return float64(right) / float64(of)
}

// TestShares: the shares are those that the same attacks have on the values, which the package does not see.
func TestShares(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []int
		told float64 // by frequency, if it can be told without an attack; else -1
	}{
		{"skewed", skewed(1_000, 200, 1), -1},
		{"very skewed", skewed(1_000, 50, 2), -1},
		{"hardly skewed", skewed(1_000, 100, 0.3), -1},
		{"few rows", skewed(500, 30, 1), -1},
		{"three are frequent and the others alone", slices.Concat(slices.Repeat([]int{1}, 300), slices.Repeat([]int{2}, 150), slices.Repeat([]int{3}, 50), from(400, 500)), 0.5},
		{"all alone", from(0, 1000), 0},
		{"all equal", slices.Repeat([]int{8}, 500), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tries := 1000
			if tt.told >= 0 {
				tries = 50
			}
			exact, alike := frequencyOf(tt.list, tries, both), frequencyOf(tt.list, tries, halves)
			for _, column := range []string{"city", "age"} {
				for _, a := range sealed(t, column, tt.list).Attacks {
					switch a.Mode {
					case schema.ModeDeterministic:
						near(t, column+" by frequency", a.Exact, exact)
						near(t, column+" by frequency in others", a.Alike, alike)
						if tt.told >= 0 {
							near(t, column+" by frequency, without an attack", a.Exact, tt.told)
							near(t, column+" by frequency in others, without an attack", a.Alike, tt.told)
						}
					case schema.ModeOrdered:
						near(t, column+" by rank", a.Exact, 1)
						near(t, column+" by rank in others", a.Alike, rankOf(tt.list, tries, halves))
					}
				}
			}
		})
	}
}

func from(low, n int) (list []int) {
	for i := range n {
		list = append(list, low+i)
	}
	return list
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	t.Logf("%s: %.2f %%, directly %.2f %%", what, 100*got, 100*want)
	if math.Abs(got-want) > 0.01 {
		t.Errorf("%s: %.2f %% of the rows, and directly computed %.2f %%", what, 100*got, 100*want)
	}
}

// TestReport: what is counted, and the text.
func TestReport(t *testing.T) {
	list := slices.Concat(slices.Repeat([]int{7}, 60), slices.Repeat([]int{9}, 39), []int{20})
	r := sealed(t, "city", list, list[:60])
	if r.Rows != 160 || r.Keys != 2 || r.Cells != 4 || r.Repeated != 159 || r.Lengths != 1 {
		t.Errorf("%+v", r)
	}
	_, c, err := find(columns, "people.note")
	if err != nil {
		t.Fatal(err)
	}
	r = report(c, dbcatalog.StorageText, []dbcatalog.Row{{nil, int64(3)}, {"plain text", int64(2)}})
	if r.Rows != 5 || r.Null != 3 || r.NotCells != 2 || r.Attacks != nil || strings.Contains(r.String(), "plain text") || !strings.Contains(r.String(), "no cells  2 rows") {
		t.Errorf("%+v\n%s", r, r)
	}
	if s := r.String(); !strings.Contains(s, "Nothing else shows") || strings.Contains(s, "terms") {
		t.Errorf("a randomized column: %s", s)
	}
	r = sealed(t, "age", from(0, 1000))
	if s := r.String(); !strings.Contains(s, "1000 of 1000 possible values occur: whoever sorts the cells has the values") || r.Attacks[0].Mode != schema.ModeOrdered || r.Attacks[0].Away > 0.03 || len(r.Attacks) != 3 {
		t.Errorf("%+v\n%s", r, s)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if s := sealed(t, "age", skewed(20_000, 100, 1)).String(); !strings.Contains(string(text), s) {
		t.Errorf("%s has to show\n%s", page, s)
	}
	if _, _, err := find(columns, "people"); err == nil || !strings.Contains(err.Error(), "no sealed column") {
		t.Errorf("%v", err)
	}
}
