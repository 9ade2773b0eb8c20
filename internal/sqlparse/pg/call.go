package pg

import (
	"strings"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

var (
	funcFields = handles[ast.FuncCall]("Funcname", "Args", "AggOrder", "AggFilter", "Over", "AggWithinGroup",
		"AggStar", "AggDistinct", "FuncVariadic", "Funcformat", "Location")
	namedArgFields = handles[ast.NamedArgExpr]("Arg", "Name", "Argnumber", "Location")
)

// funcCall lowers a call, also of a function that the grammar implies: EXTRACT is
// pg_catalog.extract, POSITION pg_catalog.position and so on.
func (l *lowering) funcCall(f *ast.FuncCall) sqlparse.Expr {
	funcFields.check(l, f)
	at := l.at(f.Location)
	schema, name := l.last(f.Funcname)
	if name == "timezone" && f.Funcformat == ast.CoercionForm_COERCE_SQL_SYNTAX {
		return l.opaque(at, "AT TIME ZONE", f.Args...)
	}
	out := &sqlparse.Call{
		At: at, Schema: schema, Name: name,
		Star: f.AggStar, Distinct: f.AggDistinct, Variadic: f.FuncVariadic, Within: f.AggWithinGroup,
	}
	if len(f.Args) > 0 {
		out.Args = make([]sqlparse.Expr, len(f.Args))
	}
	for i, n := range f.Args {
		if a, ok := n.GetNode().(*ast.Node_NamedArgExpr); ok {
			namedArgFields.check(l, a.NamedArgExpr)
			out.ArgNames = true
			n = a.NamedArgExpr.Arg
		}
		out.Args[i] = l.expr(n)
	}
	out.OrderBy = l.sorts(f.AggOrder)
	out.Filter = l.optional(f.AggFilter)
	if f.Over != nil {
		out.Over = l.window(f.Over)
		if out.Over.Name != "" { // OVER name
			out.Over.Name, out.Over.Ref = "", out.Over.Name
		}
	}
	return out
}

var sortFields = handles[ast.SortBy]("Node", "SortbyDir", "SortbyNulls", "UseOp", "Location")

func (l *lowering) sorts(list []*ast.Node) []sqlparse.Sort {
	if len(list) == 0 {
		return nil
	}
	out := make([]sqlparse.Sort, len(list))
	for i, n := range list {
		s := n.GetSortBy()
		if s == nil {
			l.unsupported("an ORDER BY with %s", kindOf(n))
		}
		sortFields.check(l, s)
		out[i] = sqlparse.Sort{Expr: l.expr(s.Node), Using: len(s.UseOp) > 0}
	}
	return out
}

var windowFields = handles[ast.WindowDef]("Name", "Refname", "PartitionClause", "OrderClause",
	"FrameOptions", "StartOffset", "EndOffset", "Location")

func (l *lowering) window(w *ast.WindowDef) *sqlparse.Window {
	windowFields.check(l, w)
	l.at(w.Location)
	return &sqlparse.Window{
		Name: w.Name, Ref: w.Refname,
		Partition: l.exprs(w.PartitionClause),
		OrderBy:   l.sorts(w.OrderClause),
		Frame:     l.frame(w.StartOffset, w.EndOffset),
		Range:     w.FrameOptions&frameRange != 0 && (w.StartOffset != nil || w.EndOffset != nil),
	}
}

// frameRange is the bit of a frame's options that says RANGE, as the server has it
// (FRAMEOPTION_RANGE).
const frameRange = 0x2

func (l *lowering) frame(start, end *ast.Node) []sqlparse.Expr {
	if start == nil && end == nil {
		return nil
	}
	return l.some(start, end)
}

// valueFunction names CURRENT_DATE and its like.
func valueFunction(op ast.SQLValueFunctionOp) string {
	return strings.TrimSuffix(strings.TrimPrefix(op.String(), "SVFOP_"), "_N")
}

var (
	xmlFields = handles[ast.XmlExpr]("Op", "Name", "NamedArgs", "ArgNames", "Args", "Xmloption", "Indent", "Location")
	// resTargetFields: an output of a query, an attribute of XML.
	resTargetFields = handles[ast.ResTarget]("Name", "Val", "Location")
)

func (l *lowering) xmlExpr(x *ast.XmlExpr) sqlparse.Expr {
	xmlFields.check(l, x)
	at := l.at(x.Location)
	what := strings.TrimPrefix(x.Op.String(), "IS_")
	if x.Op == ast.XmlExprOp_IS_DOCUMENT {
		what = "IS DOCUMENT"
	}
	out := &sqlparse.Opaque{At: at, What: what, Args: l.values(x.NamedArgs)}
	out.Args = append(out.Args, l.exprs(x.Args)...)
	return out
}

// values lowers the values of ResTarget nodes.
func (l *lowering) values(list []*ast.Node) []sqlparse.Expr {
	var out []sqlparse.Expr
	for _, n := range list {
		t := n.GetResTarget()
		if t == nil {
			l.unsupported("a list of values with %s", kindOf(n))
		}
		resTargetFields.check(l, t)
		out = append(out, l.expr(t.Val))
	}
	return out
}
