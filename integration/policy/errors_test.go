package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notASCII are the files that draw what a terminal shows, look for a character, or test one.
var notASCII = []string{"ops/explain/text.go", "ops/explain/explain.go", "codec/recognize.go", "internal/sqlparse/lite/lite.go", "kms/kmstest/conformance.go"}

// TestTextsAreASCII holds the texts of the library's errors to ASCII, which every log and terminal shows, by holding all of its
// string literals to it.
func TestTextsAreASCII(t *testing.T) {
	seen := 0
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") || !matchesAny(path.Dir(file), library) && !strings.HasPrefix(file, "vet/") || slices.Contains(notASCII, file) {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, filepath.Join(root, file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			seen++
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if i := strings.IndexFunc(text, func(r rune) bool { return r > '~' }); i >= 0 {
				t.Errorf("%s: %q is not ASCII", set.Position(lit.Pos()), text)
			}
			return true
		})
	}
	if seen < 1000 {
		t.Fatalf("%d string literals were found: this test looks in the wrong place", seen)
	}
}
