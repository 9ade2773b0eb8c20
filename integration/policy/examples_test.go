package policy

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
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
// Println says it where a database is needed; integration/newcomer runs all of them. A page quotes lines of one of them.
func TestExamples(t *testing.T) {
	packages := public(t)
	if len(packages) < 15 {
		t.Fatalf("only %d public packages were found: this test looks in the wrong place", len(packages))
	}
	blocks := goBlocks(t)
	for _, pkg := range packages {
		files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		var trees []*ast.File
		quoted := false
		for _, file := range files {
			tree, err := parser.ParseFile(set, file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, tree)
			if filepath.Base(file) == "example_test.go" {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				quoted = slices.ContainsFunc(blocks, func(block string) bool { return strings.Contains(unindented(string(text)), block) })
			}
		}
		if n := len(doc.Examples(trees...)); n < 2 {
			t.Errorf("package %s has %d Examples, want 2 or more", pkg, n)
		}
		if !quoted {
			t.Errorf("package %s has no Example of which a page quotes %d lines", pkg, quotedLines)
		}
	}
}

const quotedLines = 3

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// goBlocks returns the blocks of Go code on the pages, without indentation and empty lines, that have enough lines to be quotations.
func goBlocks(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, file := range find(t, ".md") {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			if block := unindented(m[1]); strings.Count(block, "\n") > quotedLines {
				all = append(all, block)
			}
		}
	}
	return all
}

// unindented is code whose lines begin with what they say, after an empty one.
func unindented(code string) string {
	var b strings.Builder
	b.WriteByte('\n')
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
