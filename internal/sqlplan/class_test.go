package sqlplan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestClassOfRefusals(t *testing.T) {
	refused := regexp.MustCompile(`(?m)^ *REFUSED (.*?)(?: — .*| at line .*)?$`)
	seen := map[string]int{}
	for _, file := range []string{"postgres.plans", "sqlite.plans"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range refused.FindAllStringSubmatch(string(text), -1) {
			class := (&Refusal{Reason: m[1]}).Class()
			seen[class]++
			if class == ClassOther {
				t.Errorf("a refusal without a class; give it one in class.go: %s", m[1])
			}
		}
	}
	for _, class := range []string{ClassUnreadable, ClassUnsupported, ClassOperation, ClassMode, ClassIdentity, ClassPlaintext, ClassName} {
		if seen[class] == 0 {
			t.Errorf("no statement of testdata is refused for %s: is this test reading it?", class)
		}
	}
}

// Every constant reason in the source has a class, whether a statement of testdata shows it
// or not.
func TestClassOfReasons(t *testing.T) {
	reasons := 0
	for _, file := range sources(t, ".", "../../driver") {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			reason := constant(reasonOf(n))
			if len(reason) < 5 { // made of variables
				return true
			}
			reasons++
			if (&Refusal{Reason: reason}).Class() == ClassOther {
				t.Errorf("%s: a reason without a class; give it one in class.go: %s", file, reason)
			}
			return true
		})
	}
	if reasons < 50 {
		t.Errorf("only %d reasons were found: this test looks in the wrong place", reasons)
	}
}

// reasonOf returns the expression of a refusal's reason: the third argument of refuse, and
// the Reason field of a literal.
func reasonOf(n ast.Node) ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "refuse" && len(n.Args) == 4 {
			return n.Args[2]
		}
	case *ast.CompositeLit:
		name := ""
		switch typ := n.Type.(type) {
		case *ast.Ident:
			name = typ.Name
		case *ast.SelectorExpr:
			name = typ.Sel.Name
		}
		if name != "Refusal" && name != "QueryError" {
			return nil
		}
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Reason" {
					return kv.Value
				}
			}
		}
	}
	return nil
}

// constant returns the constant parts of a text.
func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
	case *ast.BinaryExpr:
		return constant(e.X) + constant(e.Y)
	case *ast.CallExpr: // fmt.Sprintf
		if len(e.Args) > 0 {
			return constant(e.Args[0])
		}
	}
	return ""
}

func sources(t *testing.T, dirs ...string) []string {
	t.Helper()
	var files []string
	for _, dir := range dirs {
		all, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if !strings.HasSuffix(f, "_test.go") {
				files = append(files, f)
			}
		}
	}
	return files
}
