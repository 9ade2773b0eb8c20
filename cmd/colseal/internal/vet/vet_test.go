package vet

import (
	"errors"
	"maps"
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
		schema.Column{Name: "email", Mode: schema.Deterministic, Kind: schema.Text, JoinGroup: "email"},
		schema.Column{Name: "ssn", Mode: schema.Randomized, Kind: schema.Text},
		schema.Column{Name: "born", Mode: schema.Randomized, Kind: schema.Time}),
	schema.Columns("leads", schema.Column{Name: "email", Mode: schema.Deterministic, Kind: schema.Text, JoinGroup: "email"}),
)

func offline() (Explain, error) {
	return func(query string) (*explain.Explanation, error) {
		return explain.Offline(sealed, driver.Postgres, query)
	}, nil
}

// The packages in testdata say themselves what is to be reported, and where.
func TestReports(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: loads packages")
	}
	type counts struct{ checked, dynamic, undecided int }
	want := map[string]counts{"app": {22, 6, 7}, "libs": {31, 1, 9}, "native": {11, 0, 0}, "nativesealed": {12, 0, 0}, "plain": {}, "wrapped": {8, 2, 0}}
	ran := analysistest.Run(t, analysistest.TestData(), New(Config{Open: offline}), slices.Collect(maps.Keys(want))...)
	if len(ran) != len(want) {
		t.Fatalf("%d packages were analysed", len(ran))
	}
	for _, r := range ran {
		pkg, got := r.Action.Package.PkgPath, r.Result.(*Result)
		if (counts{got.Checked, len(got.Dynamic), len(got.Undecided)}) != want[pkg] {
			t.Errorf("%s: %d checked, %d not constant, %d undecided", pkg, got.Checked, len(got.Dynamic), len(got.Undecided))
			for _, n := range append(got.Dynamic, got.Undecided...) {
				t.Logf("%s: %s", r.Pass.Fset.Position(n.Pos), n.Why)
			}
		}
		withoutSchema(t, r.Action.Package, got.Checked > 0)
	}
}

// withoutSchema analyses a package anew. One without SQL needs no schema.
func withoutSchema(t *testing.T, p *packages.Package, needed bool) {
	t.Helper()
	missing := errors.New("no schema")
	a := New(Config{Open: func() (Explain, error) { return nil, missing }})
	g, err := runner.Analyze([]*analysis.Analyzer{a}, []*packages.Package{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Roots[0].Err; errors.Is(got, missing) != needed {
		t.Errorf("%s without a schema: %v", p.PkgPath, got)
	}
}
