package pg

import (
	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// exprs lowers a list of expressions; nil for an empty one.
func (l *lowering) exprs(list []*ast.Node) []sqlparse.Expr {
	if len(list) == 0 {
		return nil
	}
	out := make([]sqlparse.Expr, len(list))
	for i, n := range list {
		out[i] = l.expr(n)
	}
	return out
}

// optional lowers an expression that may be absent.
func (l *lowering) optional(n *ast.Node) sqlparse.Expr {
	if n == nil {
		return nil
	}
	return l.expr(n)
}

// some lowers those of the expressions that are present.
func (l *lowering) some(list ...*ast.Node) []sqlparse.Expr {
	out := make([]sqlparse.Expr, 0, len(list))
	for _, n := range list {
		if n != nil {
			out = append(out, l.expr(n))
		}
	}
	return out
}

// expr lowers an expression.
func (l *lowering) expr(n *ast.Node) sqlparse.Expr {
	l.enter()
	e := l.exprNode(n)
	l.depth--
	return e
}

func (l *lowering) exprNode(n *ast.Node) sqlparse.Expr {
	switch x := n.GetNode().(type) {
	case *ast.Node_ColumnRef:
		return l.columnRef(x.ColumnRef)
	case *ast.Node_ParamRef:
		return l.paramRef(x.ParamRef)
	case *ast.Node_AConst:
		return l.constant(x.AConst)
	case *ast.Node_TypeCast:
		return l.typeCast(x.TypeCast)
	case *ast.Node_AExpr:
		return l.aExpr(x.AExpr)
	case *ast.Node_BoolExpr:
		return l.boolExpr(x.BoolExpr)
	case *ast.Node_SubLink:
		return l.subLink(x.SubLink)
	case *ast.Node_NullTest:
		return l.nullTest(x.NullTest)
	case *ast.Node_BooleanTest:
		return l.booleanTest(x.BooleanTest)
	case *ast.Node_CaseExpr:
		return l.caseExpr(x.CaseExpr)
	case *ast.Node_CoalesceExpr:
		coalesceFields.check(l, x.CoalesceExpr)
		at := l.at(x.CoalesceExpr.Location)
		return &sqlparse.Coalesce{At: at, Args: l.exprs(x.CoalesceExpr.Args)}
	case *ast.Node_RowExpr:
		return l.rowExpr(x.RowExpr)
	case *ast.Node_AArrayExpr:
		arrayFields.check(l, x.AArrayExpr)
		at := l.at(x.AArrayExpr.Location)
		return &sqlparse.Array{At: at, Elements: l.exprs(x.AArrayExpr.Elements)}
	case *ast.Node_FuncCall:
		return l.funcCall(x.FuncCall)
	case *ast.Node_SetToDefault:
		setToDefaultFields.check(l, x.SetToDefault)
		return &sqlparse.Default{At: l.at(x.SetToDefault.Location)}
	}
	return l.rareExpr(n)
}

// rareExpr lowers the expressions of which only the operands are told.
func (l *lowering) rareExpr(n *ast.Node) sqlparse.Expr {
	switch x := n.GetNode().(type) {
	case *ast.Node_AIndirection:
		return l.indirection(x.AIndirection)
	case *ast.Node_MinMaxExpr:
		minMaxFields.check(l, x.MinMaxExpr)
		what := sqlparse.Greatest
		if x.MinMaxExpr.Op == ast.MinMaxOp_IS_LEAST {
			what = sqlparse.Least
		}
		return l.opaque(l.at(x.MinMaxExpr.Location), what, x.MinMaxExpr.Args...)
	case *ast.Node_CollateClause:
		collateFields.check(l, x.CollateClause)
		return l.opaque(l.at(x.CollateClause.Location), "COLLATE", x.CollateClause.Arg)
	case *ast.Node_GroupingFunc:
		groupingFuncFields.check(l, x.GroupingFunc)
		return l.opaque(l.at(x.GroupingFunc.Location), sqlparse.Grouping, x.GroupingFunc.Args...)
	case *ast.Node_SqlvalueFunction:
		valueFunctionFields.check(l, x.SqlvalueFunction)
		return l.opaque(l.at(x.SqlvalueFunction.Location), valueFunction(x.SqlvalueFunction.Op))
	case *ast.Node_MergeSupportFunc:
		mergeFuncFields.check(l, x.MergeSupportFunc)
		return l.opaque(l.at(x.MergeSupportFunc.Location), "MERGE_ACTION")
	case *ast.Node_XmlExpr:
		return l.xmlExpr(x.XmlExpr)
	case *ast.Node_XmlSerialize:
		xmlSerializeFields.check(l, x.XmlSerialize)
		l.typeName(x.XmlSerialize.TypeName)
		return l.opaque(l.at(x.XmlSerialize.Location), "XMLSERIALIZE", x.XmlSerialize.Expr)
	}
	if e := l.jsonExpr(n); e != nil {
		return e
	}
	l.unsupported("an expression of the kind %s is not supported", kindOf(n))
	return nil
}

var (
	coalesceFields      = handles[ast.CoalesceExpr]("Args", "Location")
	arrayFields         = handles[ast.A_ArrayExpr]("Elements", "ListStart", "ListEnd", "Location")
	setToDefaultFields  = handles[ast.SetToDefault]("Location")
	minMaxFields        = handles[ast.MinMaxExpr]("Op", "Args", "Location")
	collateFields       = handles[ast.CollateClause]("Arg", "Collname", "Location")
	groupingFuncFields  = handles[ast.GroupingFunc]("Args", "Location")
	valueFunctionFields = handles[ast.SQLValueFunction]("Op", "Typmod", "Location")
	mergeFuncFields     = handles[ast.MergeSupportFunc]("Msftype", "Location")
	xmlSerializeFields  = handles[ast.XmlSerialize]("Xmloption", "Expr", "TypeName", "Indent", "Location")
)

// opaque makes the expression of which only the operands are told.
func (l *lowering) opaque(at sqlparse.At, what string, args ...*ast.Node) sqlparse.Expr {
	return &sqlparse.Opaque{At: at, What: what, Args: l.some(args...)}
}

var columnRefFields = handles[ast.ColumnRef]("Fields", "Location")

func (l *lowering) columnRef(c *ast.ColumnRef) sqlparse.Expr {
	columnRefFields.check(l, c)
	out := &sqlparse.Column{At: l.at(c.Location)}
	fields := c.Fields
	if k := len(fields) - 1; k >= 0 {
		if _, star := fields[k].GetNode().(*ast.Node_AStar); star {
			out.Star, fields = true, fields[:k]
		}
	}
	out.Parts = l.names(fields)
	return out
}

var paramRefFields = handles[ast.ParamRef]("Number", "Location")

func (l *lowering) paramRef(p *ast.ParamRef) sqlparse.Expr {
	paramRefFields.check(l, p)
	at := l.at(p.Location)
	end, number := int(at)+1, 0
	for ; end < len(l.text) && l.text[end] >= '0' && l.text[end] <= '9'; end++ {
		number = min(number*10+int(l.text[end]-'0'), 1<<20)
	}
	if number == 0 || number != int(p.Number) || number > 65535 {
		panic(&sqlparse.Error{Pos: int(at), Reason: "there is no parameter of this number"})
	}
	return &sqlparse.Param{At: at, End: end, Number: number}
}

var castFields = handles[ast.TypeCast]("Arg", "TypeName", "Location")

func (l *lowering) typeCast(c *ast.TypeCast) sqlparse.Expr {
	castFields.check(l, c)
	at := l.at(c.Location)
	if c.Location <= 0 && c.TypeName.Location > 0 { // interval '1 day'
		at = l.at(c.TypeName.Location)
	}
	arg := l.expr(c.Arg)
	return &sqlparse.Cast{At: at, Arg: arg, Type: l.typeName(c.TypeName)}
}

var boolExprFields = handles[ast.BoolExpr]("Boolop", "Args", "Location")

func (l *lowering) boolExpr(b *ast.BoolExpr) sqlparse.Expr {
	boolExprFields.check(l, b)
	at := l.at(b.Location)
	// a NOT IN (SELECT …) is one operator in the text, and two nodes.
	if s := b.Args[0].GetSubLink(); s != nil && b.Boolop == ast.BoolExprType_NOT_EXPR && s.Location == b.Location {
		if in, ok := l.subLink(s).(*sqlparse.In); ok {
			in.Not = true
			return in
		}
	}
	op := sqlparse.And
	switch b.Boolop {
	case ast.BoolExprType_OR_EXPR:
		op = sqlparse.Or
	case ast.BoolExprType_NOT_EXPR:
		op = sqlparse.Not
	}
	return &sqlparse.Logic{At: at, Op: op, Args: l.exprs(b.Args)}
}

var nullTestFields = handles[ast.NullTest]("Arg", "Nulltesttype", "Location")

func (l *lowering) nullTest(t *ast.NullTest) sqlparse.Expr {
	nullTestFields.check(l, t)
	at := l.at(t.Location)
	return &sqlparse.IsNull{At: at, Not: t.Nulltesttype == ast.NullTestType_IS_NOT_NULL, Arg: l.expr(t.Arg)}
}

var booleanTestFields = handles[ast.BooleanTest]("Arg", "Booltesttype", "Location")

func (l *lowering) booleanTest(t *ast.BooleanTest) sqlparse.Expr {
	booleanTestFields.check(l, t)
	at := l.at(t.Location)
	return &sqlparse.Logic{At: at, Op: sqlparse.Truth, Args: l.some(t.Arg)}
}

var (
	caseFields = handles[ast.CaseExpr]("Arg", "Args", "Defresult", "Location")
	whenFields = handles[ast.CaseWhen]("Expr", "Result", "Location")
)

func (l *lowering) caseExpr(c *ast.CaseExpr) sqlparse.Expr {
	caseFields.check(l, c)
	out := &sqlparse.Case{At: l.at(c.Location), Arg: l.optional(c.Arg)}
	for _, n := range c.Args {
		w := n.GetCaseWhen()
		if w == nil {
			l.unsupported("a CASE with %s", kindOf(n))
		}
		whenFields.check(l, w)
		out.Whens = append(out.Whens, sqlparse.When{Cond: l.expr(w.Expr), Then: l.expr(w.Result)})
	}
	out.Else = l.optional(c.Defresult)
	return out
}

var rowFields = handles[ast.RowExpr]("Args", "RowFormat", "Location")

func (l *lowering) rowExpr(r *ast.RowExpr) sqlparse.Expr {
	rowFields.check(l, r)
	at := l.at(r.Location)
	return &sqlparse.Row{
		At: at, Args: l.exprs(r.Args),
		Explicit: r.RowFormat == ast.CoercionForm_COERCE_EXPLICIT_CALL,
	}
}

var (
	indirectionFields = handles[ast.A_Indirection]("Arg", "Indirection")
	indicesFields     = handles[ast.A_Indices]("IsSlice", "Lidx", "Uidx")
)

// indirection lowers (x).field and x[1].
func (l *lowering) indirection(x *ast.A_Indirection) sqlparse.Expr {
	indirectionFields.check(l, x)
	if len(x.Indirection) == 1 {
		if i := x.Indirection[0].GetAIndices(); i != nil && !i.IsSlice && i.Lidx == nil && i.Uidx != nil {
			indicesFields.check(l, i)
			return &sqlparse.Element{At: l.here(), Array: l.expr(x.Arg), Index: l.expr(i.Uidx)}
		}
	}
	out := &sqlparse.Opaque{At: l.here(), What: sqlparse.Field}
	out.Args = l.some(x.Arg)
	for i, n := range x.Indirection {
		switch el := n.GetNode().(type) {
		case *ast.Node_String_:
			l.mayCall(l.here(), x.Indirection[i:i+1])
		case *ast.Node_AStar:
			out.What = sqlparse.AllFields
		case *ast.Node_AIndices:
			indicesFields.check(l, el.AIndices)
			out.What = sqlparse.Subscript
			out.Args = append(out.Args, l.some(el.AIndices.Lidx, el.AIndices.Uidx)...)
		default:
			l.unsupported("a selection by %s", kindOf(n))
		}
	}
	return out
}
