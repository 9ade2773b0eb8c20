package lite

import (
	"github.com/sqlc-dev/meyer/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// call lowers a function call. The functions that pass one of their arguments on
// unchanged have nodes of their own.
func (l *lowerer) call(n *ast.FuncCall) sqlparse.Expr {
	name := ident(n.Name)
	args := l.exprs(n.Args...)
	plain := !n.Distinct && !n.All && !n.Star && n.OrderBy == nil && n.Filter == nil && n.Over == nil
	switch {
	case !plain:
	case name == "coalesce" && len(args) >= 2, name == "ifnull" && len(args) == 2:
		return &sqlparse.Coalesce{At: at(n), Args: args}
	case name == "nullif" && len(args) == 2:
		return &sqlparse.NullIf{At: at(n), Left: args[0], Right: args[1]}
	case (name == "iif" || name == "if") && len(args) >= 2:
		return iif(n, args)
	}
	out := &sqlparse.Call{
		At: at(n), Name: name, Args: args,
		Star: n.Star, Distinct: n.Distinct, // ALL changes nothing
		OrderBy: l.sorts(n.OrderBy),
		Filter:  l.optional(n.Filter),
	}
	if n.Over != nil {
		out.Over = l.window(n.Over)
	}
	return out
}

// iif lowers iif(condition, value, …, otherwise), which is CASE.
func iif(n *ast.FuncCall, args []sqlparse.Expr) sqlparse.Expr {
	out := &sqlparse.Case{At: at(n)}
	for len(args) >= 2 {
		out.Whens = append(out.Whens, sqlparse.When{Cond: args[0], Then: args[1]})
		args = args[2:]
	}
	if len(args) == 1 {
		out.Else = args[0]
	}
	return out
}

func (l *lowerer) sorts(list []*ast.OrderingTerm) []sqlparse.Sort {
	var out []sqlparse.Sort
	for _, n := range list {
		// ASC, DESC and NULLS change the order only.
		out = append(out, sqlparse.Sort{Expr: l.expr(n.Expr)})
	}
	return out
}

// window lowers what stands after OVER, or a definition in a WINDOW clause.
func (l *lowerer) window(n *ast.WindowDef) *sqlparse.Window {
	out := &sqlparse.Window{
		Name: ident(n.Name), Ref: ident(n.Base),
		Partition: l.exprs(n.Partition...),
		OrderBy:   l.sorts(n.OrderBy),
	}
	for _, b := range []*ast.FrameBound{n.StartBound, n.EndBound} {
		if b != nil && b.Expr != nil {
			out.Frame = append(out.Frame, l.expr(b.Expr))
			out.Range = n.Frame == ast.FrameRange
		}
	}
	return out
}
