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

// TestExamples: the documentation of each public package shows two Examples, which end in what they print. A comment
// behind a Println says it where a database is needed; integration/newcomer runs all of them. A page quotes one of them.
// A quotation is whole: from the first line of an Example to the last, with or without its Output.
func TestExamples(t *testing.T) {
	packages := public(t)
	if len(packages) < 15 {
		t.Fatalf("only %d public packages were found: this test looks in the wrong place", len(packages))
	}
	var all []string
	blocks := goBlocks(t)
	for _, pkg := range packages {
		bodies := exampleBodies(t, pkg)
		if len(bodies) < 2 {
			t.Errorf("package %s has %d Examples, want 2 or more", pkg, len(bodies))
		}
		if !slices.ContainsFunc(bodies, func(body string) bool {
			return slices.ContainsFunc(blocks, func(b block) bool { return quotes(b.code, body) == whole })
		}) {
			t.Errorf("package %s has no Example that a page quotes", pkg)
		}
		all = append(all, bodies...)
	}
	for _, b := range blocks {
		best := none
		for _, body := range all {
			best = max(best, quotes(b.code, body))
		}
		if best == part {
			t.Errorf("%s quotes a part of an Example, want all of it:%s", b.page, b.code)
		}
	}
}

// exampleBodies returns what stands between the braces of a package's Examples.
func exampleBodies(t *testing.T, pkg string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range doc.Examples(tree) {
			code := e.Code.(*ast.BlockStmt)
			bodies = append(bodies, unindented(string(text[set.Position(code.Lbrace).Offset+1:set.Position(code.Rbrace).Offset])))
		}
	}
	return bodies
}

const (
	none = iota
	part
	whole
)

// quotes tells how much of an Example's body a block of code is.
func quotes(code, body string) int {
	without, _, _ := strings.Cut(body, "\n// Output:")
	switch {
	case code == body || strings.TrimSpace(code) == strings.TrimSpace(without):
		return whole
	case strings.Contains(body, code):
		return part
	}
	return none
}

// The test above can fail.
func TestQuotes(t *testing.T) {
	body := unindented("\n\ta := 1\n\n\tif a > 1 {\n\t\tb()\n\t}\n\t// Output:\n\t// 1\n")
	for code, want := range map[string]int{
		"a := 1\nif a > 1 {\n\tb()\n}\n":                   whole,
		"a := 1\nif a > 1 {\n\tb()\n}\n// Output:\n// 1\n": whole,
		"a := 1\n":      part,
		"if a > 1 {\n":  part,
		"a := 1\nb()\n": none,
		":= 1\n":        none,
	} {
		if got := quotes(unindented(code), body); got != want {
			t.Errorf("quotes(%q) = %d, want %d", code, got, want)
		}
	}
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

type block struct{ page, code string }

// goBlocks returns the blocks of Go code on the pages, without indentation and empty lines.
func goBlocks(t *testing.T) []block {
	t.Helper()
	var all []block
	for _, file := range find(t, ".md") {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			all = append(all, block{file, unindented(m[1])})
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
