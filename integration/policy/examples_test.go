package policy

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testServers are packages that only tests of key services use.
var testServers = []string{"kms/azurekv/azuretest", "kms/gcpkms/gcptest", "kms/pkcs11/softhsm", "kms/transit/transittest"}

// public lists the packages that programs import.
func public(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, file := range goFiles(t) {
		pkg := path.Dir(file)
		if !strings.HasSuffix(file, "_test.go") && !slices.Contains(all, pkg) && !slices.Contains(testServers, pkg) &&
			(matchesAny(pkg, library) || within(pkg, "vet")) && !within(pkg, "internal") {
			all = append(all, pkg)
		}
	}
	return all
}

// TestExamples: the page of each public package shows two Examples, which end in what they print. A comment behind a
// Println says it where a database is needed; integration/newcomer runs all of them.
func TestExamples(t *testing.T) {
	packages := public(t)
	if len(packages) < 15 {
		t.Fatalf("only %d public packages were found: this test looks in the wrong place", len(packages))
	}
	for _, pkg := range packages {
		files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		var trees []*ast.File
		for _, file := range files {
			tree, err := parser.ParseFile(set, file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, tree)
		}
		if n := len(doc.Examples(trees...)); n < 2 {
			t.Errorf("package %s has %d Examples, want 2 or more", pkg, n)
		}
	}
}
