package vet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strconv"

	"golang.org/x/tools/go/ast/inspector"
)

// text is a constant, and where its parts stand in the source.
type text struct {
	value  string
	pieces []piece
}

// piece is a part of a text, from a byte of it on.
type piece struct {
	from int
	expr ast.Expr // a literal, or an expression whose inside is not at hand
}

// declarations are the constants and variables of a package, with what they are declared as. A variable that is
// ever assigned to, or has its address taken, has no value here.
type declarations struct {
	info  *types.Info
	value map[types.Object]ast.Expr
	lost  map[types.Object]bool
}

func declarationsOf(in *inspector.Inspector, info *types.Info) declarations {
	d := declarations{info: info, value: map[types.Object]ast.Expr{}, lost: map[types.Object]bool{}}
	nodes := []ast.Node{(*ast.ValueSpec)(nil), (*ast.AssignStmt)(nil), (*ast.RangeStmt)(nil), (*ast.UnaryExpr)(nil)}
	in.Preorder(nodes, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if len(n.Values) == len(n.Names) {
					d.value[info.Defs[name]] = n.Values[i]
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				d.assigned(left, n, i)
			}
		case *ast.RangeStmt:
			d.lose(n.Key)
			d.lose(n.Value)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				d.lose(n.X)
			}
		}
	})
	return d
}

// assigned notes left side i of an assignment.
func (d declarations) assigned(left ast.Expr, s *ast.AssignStmt, i int) {
	name, ok := ast.Unparen(left).(*ast.Ident)
	if ok && d.info.Defs[name] != nil && len(s.Lhs) == len(s.Rhs) {
		d.value[d.info.Defs[name]] = s.Rhs[i]
		return
	}
	d.lose(left)
}

// lose forgets a variable for good.
func (d declarations) lose(e ast.Expr) {
	if e == nil {
		return
	}
	if name, ok := ast.Unparen(e).(*ast.Ident); ok {
		d.lost[d.info.ObjectOf(name)] = true
	}
}

// text evaluates an expression; ok is false if it is not the same at every run.
func (d declarations) text(e ast.Expr) (t text, ok bool) { return d.eval(e, 0) }

// maxDepth bounds how far a name is followed.
const maxDepth = 50

func (d declarations) eval(e ast.Expr, depth int) (t text, ok bool) {
	if depth > maxDepth {
		return t, false
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return d.sum(e, depth+1)
		}
	case *ast.Ident:
		if v := d.named(e); v != nil {
			return d.eval(v, depth+1)
		}
	}
	tv := d.info.Types[e]
	if tv.Value == nil || tv.Value.Kind() != constant.String {
		return t, false
	}
	return text{constant.StringVal(tv.Value), []piece{{0, ast.Unparen(e)}}}, true
}

// sum is a concatenation.
func (d declarations) sum(e *ast.BinaryExpr, depth int) (t text, ok bool) {
	left, ok := d.eval(e.X, depth)
	if !ok {
		return t, false
	}
	right, ok := d.eval(e.Y, depth)
	for _, p := range right.pieces {
		left.pieces = append(left.pieces, piece{p.from + len(left.value), p.expr})
	}
	left.value += right.value
	return left, ok
}

// named returns what a name of this package is declared as, if it stays that; else nil.
func (d declarations) named(id *ast.Ident) ast.Expr {
	switch o := d.info.Uses[id].(type) {
	case *types.Const:
		return d.value[o]
	case *types.Var:
		shared := o.Parent() == o.Pkg().Scope() && o.Exported() // other packages may assign to it
		if o.IsField() || shared || d.lost[o] {
			return nil
		}
		return d.value[o]
	}
	return nil
}

// pos returns where a byte of the text stands in the source: within a literal where it is one.
func (t text) pos(offset int) token.Pos {
	p := t.pieces[0]
	for _, next := range t.pieces[1:] {
		if next.from > offset {
			break
		}
		p = next
	}
	lit, ok := p.expr.(*ast.BasicLit)
	if !ok {
		return p.expr.Pos()
	}
	return lit.Pos() + token.Pos(literalOffset(lit.Value, offset-p.from))
}

// literalOffset returns where byte n of a literal's value stands in the literal.
func literalOffset(lit string, n int) int {
	if lit[0] == '`' {
		return min(1+n, len(lit)-1)
	}
	rest := lit[1 : len(lit)-1]
	for n > 0 && rest != "" {
		r, multi, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			break // the parser accepted it
		}
		n--
		if multi {
			n -= len(string(r)) - 1
		}
		if n < 0 {
			break // within this character
		}
		rest = tail
	}
	return len(lit) - 1 - len(rest)
}
