package models

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// pkg is one package, and what stands in it.
type pkg struct {
	listing
	schemas []string // variables that hold a *schema.Schema
	models  []model
}

// model is a struct with seal tags, and a table that it is the model of.
type model struct {
	typ   string
	table string // "": its TableName method says
}

// scanner gathers the declarations of a package.
type scanner struct {
	p       *pkg
	structs map[string]*ast.StructType
	named   map[string]bool     // types with a TableName method
	calls   map[string][]string // tables by type, from calls of schema.Model
	order   []string            // the structs as they are declared
}

// scan parses the package's files. They need not be type-checked here: what they say is compiled
// later.
func (p *pkg) scan() error {
	s := &scanner{p: p, structs: map[string]*ast.StructType{}, named: map[string]bool{}, calls: map[string][]string{}}
	for _, name := range append(p.GoFiles, p.CgoFiles...) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("models: package %s: %w", p.ImportPath, err)
		}
		s.file(f)
	}
	if len(p.schemas) > 0 {
		return nil
	}
	return s.models()
}

func (s *scanner) file(f *ast.File) {
	schemaName := importedAs(f)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil && d.Name.Name == "TableName" && len(d.Recv.List) == 1 {
				s.named[baseName(d.Recv.List[0].Type)] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if st, ok := spec.Type.(*ast.StructType); ok && spec.TypeParams == nil {
						s.structs[spec.Name.Name] = st
						s.order = append(s.order, spec.Name.Name)
					}
				case *ast.ValueSpec:
					if d.Tok == token.VAR && schemaName != "" {
						s.variable(spec, schemaName)
					}
				}
			}
		}
	}
	if schemaName == "" {
		return
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && isName(call.Fun, schemaName, "Model") && len(call.Args) == 2 {
			s.modelCall(call)
		}
		return true
	})
}

// importedAs returns the name that a file has for package schema, or "".
func importedAs(f *ast.File) string {
	for _, imp := range f.Imports {
		if path, err := strconv.Unquote(imp.Path.Value); err != nil || path != schemaPath {
			continue
		}
		if imp.Name != nil {
			return imp.Name.Name
		}
		return "schema"
	}
	return ""
}

// isName reports whether an expression is pkg.name.
func isName(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// variable notes a variable of type *schema.Schema: by its type, or as the result of Must or New.
func (s *scanner) variable(spec *ast.ValueSpec, schemaName string) {
	star, typed := spec.Type.(*ast.StarExpr)
	typed = typed && isName(star.X, schemaName, "Schema")
	for i, name := range spec.Names {
		holds := typed
		if !holds && i < len(spec.Values) {
			call, ok := spec.Values[i].(*ast.CallExpr)
			holds = ok && (isName(call.Fun, schemaName, "Must") || i == 0 && isName(call.Fun, schemaName, "New"))
		}
		if holds && name.Name != "_" {
			s.p.schemas = append(s.p.schemas, name.Name)
		}
	}
}

// modelCall notes schema.Model("table", T{}) and its like.
func (s *scanner) modelCall(call *ast.CallExpr) {
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return
	}
	table, err := strconv.Unquote(lit.Value)
	typ := valueType(call.Args[1])
	if err != nil || typ == "" || slices.Contains(s.calls[typ], table) {
		return
	}
	s.calls[typ] = append(s.calls[typ], table)
}

// valueType returns the name of the package's type that T{}, &T{}, (*T)(nil) or new(T) has, or "".
func valueType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return baseName(e.Type)
	case *ast.UnaryExpr:
		return valueType(e.X)
	case *ast.CallExpr:
		if id, ok := e.Fun.(*ast.Ident); ok && id.Name == "new" && len(e.Args) == 1 {
			return baseName(e.Args[0])
		}
		return baseName(e.Fun)
	}
	return ""
}

// baseName returns T of T, *T and (*T).
func baseName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return baseName(e.X)
	case *ast.ParenExpr:
		return baseName(e.X)
	}
	return ""
}

// models settles which structs are models of which tables.
func (s *scanner) models() error {
	var lost []string
	inside := s.within()
	for _, name := range s.order {
		if !s.sealed(name, nil) {
			continue
		}
		tables := s.calls[name]
		switch {
		case len(tables) == 0 && s.named[name]:
			tables = []string{""}
		case len(tables) == 0 && !inside[name]:
			lost = append(lost, name)
		}
		for _, table := range tables {
			s.p.models = append(s.p.models, model{typ: name, table: table})
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("models: package %s: no table is known for %s; give it a method TableName() string, or the package a variable: var Schema = schema.Must(schema.Model(\"table\", %s{}))",
			s.p.ImportPath, strings.Join(lost, ", "), lost[0])
	}
	return nil
}

// within returns the structs that stand in other structs of the package.
func (s *scanner) within() map[string]bool {
	in := map[string]bool{}
	for _, st := range s.structs {
		for _, f := range st.Fields.List {
			in[baseName(f.Type)] = true
		}
	}
	return in
}

// sealed reports whether a struct has seal tags, itself or in structs of the package within it.
func (s *scanner) sealed(name string, path []string) bool {
	st := s.structs[name]
	if st == nil || slices.Contains(path, name) {
		return false
	}
	for _, f := range st.Fields.List {
		if f.Tag != nil && strings.Contains(f.Tag.Value, "seal") || s.sealed(baseName(f.Type), append(path, name)) {
			return true
		}
	}
	return false
}
