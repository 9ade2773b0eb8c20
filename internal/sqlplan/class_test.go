package sqlplan

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dialect"
)

func TestClassOfRefusals(t *testing.T) {
	const off = "SET standard_conforming_strings = off"
	for _, tt := range []struct {
		sql  string
		keys int
		want colseal.Class
	}{
		{"SELECT FROM FROM users", 1, colseal.ClassUnreadable},
		{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM users'; COPY users TO STDOUT", 1, colseal.ClassUnsupported},
		{"SELECT lower(email) FROM users", 1, colseal.ClassOperation},
		{"SELECT unsealed(email) FROM users", 1, colseal.ClassOperation},
		{"SELECT earlier_statement(email) FROM users", 1, colseal.ClassOperation},
		{`SELECT id FROM users ORDER BY "two search keys"(email)`, 1, colseal.ClassOperation},
		{"SELECT id FROM users WHERE ssn = $1", 1, colseal.ClassMode},
		{"INSERT INTO archive(ssn) SELECT ssn FROM users", 1, colseal.ClassIdentity},
		{"UPDATE users SET email = ARRAY[email]", 1, colseal.ClassIdentity},
		{"UPDATE users SET note = email", 1, colseal.ClassPlaintext},
		{"UPDATE users SET email = note", 1, colseal.ClassPlaintext},
		{"SELECT email FROM users, archive", 1, colseal.ClassName},
		{"SELECT * FROM missing", 1, colseal.ClassStorage},
		{off + "; SELECT email FROM users", 1, colseal.ClassSession},
		{"INSERT INTO leads(email) VALUES (5)", 1, colseal.ClassValue},
		{"SELECT email, id FROM users GROUP BY ROLLUP (email, id)", 2, colseal.ClassSearchKeys},
	} {
		_, err := New(testSchema, dialect.Postgres, Options{}).Plan(t.Context(), tt.sql, &Env{Catalog: testCatalog, SearchKeys: tt.keys})
		var r *Refusal
		if !errors.As(err, &r) || r.Class != tt.want {
			t.Errorf("Plan(%q) = %v, want a refusal of class %s", tt.sql, err, tt.want)
		}
	}
	const several = "UPDATE users SET ssn = ?; UPDATE users SET ssn = ?"
	_, err := New(testSchema, dialect.SQLite, Options{}).Plan(t.Context(), several, &Env{Catalog: testCatalog})
	if r := (*Refusal)(nil); !errors.As(err, &r) || r.Class != colseal.ClassSeveral {
		t.Errorf("Plan(%q) = %v, want a refusal of class %s", several, err, colseal.ClassSeveral)
	}
}

// The class is set wherever a refusal is made. The constructors of class.go take it; here
// are the refusals that are made without them.
func TestRefusalsHaveClasses(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil // testdata that is no Go
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || !isRefusal(lit.Type) {
				return true
			}
			found++
			if !sets(lit, "Class") {
				t.Errorf("%s: a refusal without a class", path)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 5 {
		t.Errorf("found %d refusals, want 5 or more: this test looks in the wrong place", found)
	}
}

func isRefusal(typ ast.Expr) bool {
	if sel, ok := typ.(*ast.SelectorExpr); ok {
		typ = sel.Sel
	}
	name, ok := typ.(*ast.Ident)
	return ok && (name.Name == "Refusal" || name.Name == "QueryError")
}

func sets(lit *ast.CompositeLit, field string) bool {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == field {
				return true
			}
		}
	}
	return false
}
