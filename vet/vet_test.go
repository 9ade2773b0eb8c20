package vet

import (
	"errors"
	"fmt"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
	runner "golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

// sealed is the schema that the packages in testdata are judged by.
var sealed = schema.Must(
	schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, Kind: schema.KindText, JoinGroup: "email"},
		schema.Column{Name: "ssn", Mode: schema.ModeRandomized, Kind: schema.KindText},
		schema.Column{Name: "born", Mode: schema.ModeRandomized, Kind: schema.KindTime}),
	schema.Columns("guests",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, Kind: schema.KindText, Stage: schema.StageCopy},
		schema.Column{Name: "ssn", Mode: schema.ModeRandomized, Kind: schema.KindText, Stage: schema.StageCopy}),
	schema.Columns("leads", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Kind: schema.KindText, JoinGroup: "email"}),
)

func offline() (Explain, error) {
	return func(query string) (*explain.Explanation, error) {
		return explain.Offline(sealed, driver.DialectPostgres, query)
	}, nil
}

// The packages in testdata say themselves what is to be reported, and where.
func TestReports(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: loads packages")
	}
	type counts struct{ checked, notJudged, offers int }
	want := map[string]counts{
		"app": {20, 16, 1}, "libs": {30, 10, 1}, "native": {11, 0, 0}, "nativesealed": {12, 0, 0}, "plain": {0, 1, 0}, "wrapped": {9, 1, 8},
		"queries": {0, 0, 8}, "shapes": {27, 15, 1},
	}
	ran := analysistest.Run(t, analysistest.TestData(), New(Config{Open: offline}), slices.Collect(maps.Keys(want))...)
	if len(ran) != len(want) {
		t.Fatalf("%d packages were analysed", len(ran))
	}
	for _, r := range ran {
		pkg, got := r.Action.Package.PkgPath, r.Result.(*Result)
		if (counts{len(got.Checked), len(got.NotJudged), len(got.Offers)}) != want[pkg] {
			t.Errorf("%s: %d checked, %d not judged, %d offers", pkg, len(got.Checked), len(got.NotJudged), len(got.Offers))
			for _, n := range got.NotJudged {
				t.Logf("%s: %s", r.Pass.Fset.Position(n.Pos), n.Why)
			}
			for _, o := range got.Offers {
				t.Logf("offer %s: %s", o.Name, o.Why)
			}
		}
		withoutSchema(t, r.Action.Package, len(got.Checked)+len(got.NotJudged)+len(got.Offers) > 0)
	}
}

// withoutSchema analyses a package again. One without SQL needs no schema.
func withoutSchema(t *testing.T, p *packages.Package, needed bool) {
	t.Helper()
	missing := errors.New("no schema")
	clear(p.Imports) // what they know of helpers is of no interest here
	a := New(Config{Open: func() (Explain, error) { return nil, missing }})
	g, err := runner.Analyze([]*analysis.Analyzer{a}, []*packages.Package{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Roots[0].Err; errors.Is(got, missing) != needed {
		t.Errorf("%s without a schema: %v", p.PkgPath, got)
	}
}

// quiet takes what analysistest has to say of the reports in files of SQL, in which it looks for no expectations.
type quiet struct{}

func (quiet) Errorf(string, ...any) {}

// A report points into the file that is embedded, and one that no known call reads is counted.
func TestEmbedded(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: loads packages")
	}
	ran := analysistest.Run(quiet{}, analysistest.TestData(), New(Config{Open: offline}), "embedded")
	var got []string
	place := func(p token.Pos) string {
		at := ran[0].Pass.Fset.Position(p)
		return fmt.Sprintf("%s:%d:%d", filepath.Base(at.Filename), at.Line, at.Column)
	}
	for _, d := range ran[0].Diagnostics {
		got = append(got, place(d.Pos))
	}
	for _, n := range ran[0].Result.(*Result).NotJudged {
		got = append(got, "not judged: "+place(n.Pos))
	}
	slices.Sort(got)
	if want := []string{"by_name.sql:3:10", "longest.sql:1:35", "not judged: never.sql:2:1", "read.sql:3:10"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
