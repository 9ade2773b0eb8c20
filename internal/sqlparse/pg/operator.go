package pg

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

var aExprFields = handles[ast.A_Expr]("Kind", "Name", "Lexpr", "Rexpr", "RexprListStart", "RexprListEnd", "Location")

// aExpr lowers the operators and what the grammar treats like them.
func (l *lowering) aExpr(x *ast.A_Expr) sqlparse.Expr {
	aExprFields.check(l, x)
	at := l.at(x.Location)
	switch x.Kind {
	case ast.A_Expr_Kind_AEXPR_OP:
		return l.binary(at, x)
	case ast.A_Expr_Kind_AEXPR_OP_ANY:
		return l.quantified(at, x, sqlparse.Any)
	case ast.A_Expr_Kind_AEXPR_OP_ALL:
		return l.quantified(at, x, sqlparse.All)
	case ast.A_Expr_Kind_AEXPR_DISTINCT:
		return &sqlparse.Compare{At: at, Op: sqlparse.Distinct, Left: l.expr(x.Lexpr), Right: l.expr(x.Rexpr)}
	case ast.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return &sqlparse.Compare{At: at, Op: sqlparse.NotDistinct, Left: l.expr(x.Lexpr), Right: l.expr(x.Rexpr)}
	case ast.A_Expr_Kind_AEXPR_NULLIF:
		return &sqlparse.NullIf{At: at, Left: l.expr(x.Lexpr), Right: l.expr(x.Rexpr)}
	case ast.A_Expr_Kind_AEXPR_IN:
		_, name := l.last(x.Name)
		return &sqlparse.In{At: at, Not: name == "<>", Left: l.expr(x.Lexpr), List: l.list(x.Rexpr)}
	case ast.A_Expr_Kind_AEXPR_LIKE:
		return l.like(at, "LIKE", x)
	case ast.A_Expr_Kind_AEXPR_ILIKE:
		return l.like(at, "ILIKE", x)
	case ast.A_Expr_Kind_AEXPR_SIMILAR:
		return l.pattern(at, "SIMILAR TO", x)
	case ast.A_Expr_Kind_AEXPR_BETWEEN, ast.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		ast.A_Expr_Kind_AEXPR_BETWEEN_SYM, ast.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		ends := l.list(x.Rexpr)
		not := x.Kind == ast.A_Expr_Kind_AEXPR_NOT_BETWEEN || x.Kind == ast.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM
		return &sqlparse.Between{At: at, Not: not, Arg: l.expr(x.Lexpr), Low: ends[0], High: ends[1]}
	}
	l.unsupported("an operator of the kind %v is not supported", x.Kind)
	return nil
}

// list lowers the items of a List node.
func (l *lowering) list(n *ast.Node) []sqlparse.Expr {
	items, ok := n.GetNode().(*ast.Node_List)
	if !ok {
		l.unsupported("a list that is %s", kindOf(n))
	}
	return l.exprs(items.List.Items)
}

// equality tells whether an operator is the = or <> that the types of the cells
// have. One of another schema could be anything.
func (l *lowering) equality(list []*ast.Node) (op sqlparse.CompareOp, name string, ok bool) {
	parts := l.names(list)
	name = parts[len(parts)-1]
	if len(parts) > 2 || len(parts) == 2 && parts[0] != "pg_catalog" {
		return 0, name, false
	}
	switch name {
	case "=":
		return sqlparse.Equal, name, true
	case "<>":
		return sqlparse.NotEqual, name, true
	}
	return 0, name, false
}

// order tells whether an operator is a comparison by order that the server has for its
// own types.
func (l *lowering) order(list []*ast.Node) bool {
	_, name := l.last(list)
	return l.builtin(list) && slices.Contains([]string{"<", "<=", ">", ">="}, name)
}

// matches are the operators of a Match.
var matches = []string{"~~", "~~*", "^@", "@>", "<@", "&&"}

// builtin tells whether an operator may be one of the server's own.
func (l *lowering) builtin(list []*ast.Node) bool {
	schema, _ := l.last(list)
	return schema == "" || schema == "pg_catalog"
}

func (l *lowering) binary(at sqlparse.At, x *ast.A_Expr) sqlparse.Expr {
	op, name, ok := l.equality(x.Name)
	if ok && x.Lexpr != nil && x.Rexpr != nil {
		return &sqlparse.Compare{At: at, Op: op, Left: l.expr(x.Lexpr), Right: l.expr(x.Rexpr)}
	}
	if x.Lexpr != nil && x.Rexpr != nil && l.order(x.Name) {
		return &sqlparse.Order{At: at, Op: name, Left: l.expr(x.Lexpr), Right: l.expr(x.Rexpr)}
	}
	if op, not := strings.CutPrefix(name, "!"); x.Lexpr != nil && x.Rexpr != nil && l.builtin(x.Name) && (slices.Contains(matches, name) || not && strings.HasPrefix(op, "~") && slices.Contains(matches, op)) {
		return &sqlparse.Match{At: at, What: "the operator " + name, Op: op, Not: not, Left: l.expr(x.Lexpr), Right: l.expr(x.Rexpr)}
	}
	if c := x.Rexpr.GetAConst(); name == "+" && len(x.Name) == 1 && x.Lexpr == nil && c != nil {
		if n, is := l.constant(c).(*sqlparse.Const); is && isNumber(n.Value) {
			n.At = at
			return n
		}
	}
	// a || b || c is one expression with three operands: it nests to the left in
	// the parser's tree, as deep as it is long.
	rights := []*ast.Node{x.Rexpr}
	left := x.Lexpr
	for len(x.Name) == 1 {
		in, is := left.GetNode().(*ast.Node_AExpr)
		if !is || in.AExpr.Kind != ast.A_Expr_Kind_AEXPR_OP || in.AExpr.Lexpr == nil ||
			len(in.AExpr.Name) != 1 || in.AExpr.Name[0].GetString_().GetSval() != name {
			break
		}
		aExprFields.check(l, in.AExpr)
		rights = append(rights, in.AExpr.Rexpr)
		left = in.AExpr.Lexpr
	}
	args := l.some(left)
	for _, r := range slices.Backward(rights) {
		args = append(args, l.some(r)...)
	}
	return &sqlparse.Opaque{At: at, What: "the operator " + name, Args: args}
}

// quantified lowers x op ANY (array) and its like.
func (l *lowering) quantified(at sqlparse.At, x *ast.A_Expr, q sqlparse.Quant) sqlparse.Expr {
	op, name, ok := l.equality(x.Name)
	left, right := l.expr(x.Lexpr), l.expr(x.Rexpr)
	if l.order(x.Name) {
		return &sqlparse.Order{At: at, Op: name, Quant: q, Left: left, Right: right}
	}
	if !ok {
		return &sqlparse.Opaque{At: at, What: "the operator " + name, Args: []sqlparse.Expr{left, right}}
	}
	return &sqlparse.Compare{At: at, Op: op, Quant: q, Left: left, Right: right}
}

// like lowers LIKE and ILIKE.
func (l *lowering) like(at sqlparse.At, what string, x *ast.A_Expr) sqlparse.Expr {
	_, name := l.last(x.Name)
	op, not := strings.CutPrefix(name, "!")
	args := l.pattern(at, what, x).(*sqlparse.Opaque).Args
	m := &sqlparse.Match{At: at, What: what, Op: op, Not: not, Left: args[0], Right: args[1]}
	if len(args) > 2 {
		m.Escape = args[2]
	}
	return m
}

// pattern lowers SIMILAR TO and its like. The functions that the grammar puts around the
// pattern are no part of the text: their arguments become operands.
func (l *lowering) pattern(at sqlparse.At, what string, x *ast.A_Expr) sqlparse.Expr {
	args := l.some(x.Lexpr)
	if f := x.Rexpr.GetFuncCall(); f != nil && l.implied(f, "like_escape", "similar_to_escape") {
		funcFields.check(l, f)
		args = append(args, l.exprs(f.Args)...)
	} else {
		args = append(args, l.expr(x.Rexpr))
	}
	return &sqlparse.Opaque{At: at, What: what, Args: args}
}

// implied tells whether the grammar made the call, of one of the named functions.
func (l *lowering) implied(f *ast.FuncCall, names ...string) bool {
	schema, name := l.last(f.Funcname)
	return schema == "pg_catalog" && slices.Contains(names, name) &&
		f.AggOrder == nil && f.AggFilter == nil && f.Over == nil
}

var subLinkFields = handles[ast.SubLink]("SubLinkType", "Testexpr", "OperName", "Subselect", "Location")

func (l *lowering) subLink(s *ast.SubLink) sqlparse.Expr {
	subLinkFields.check(l, s)
	at := l.at(s.Location)
	switch s.SubLinkType {
	case ast.SubLinkType_EXISTS_SUBLINK:
		return &sqlparse.Subquery{At: at, Kind: sqlparse.ExistsQuery, Query: l.query(s.Subselect)}
	case ast.SubLinkType_EXPR_SUBLINK:
		return &sqlparse.Subquery{At: at, Kind: sqlparse.ScalarQuery, Query: l.query(s.Subselect)}
	case ast.SubLinkType_ARRAY_SUBLINK:
		return &sqlparse.Subquery{At: at, Kind: sqlparse.ArrayQuery, Query: l.query(s.Subselect)}
	case ast.SubLinkType_ANY_SUBLINK, ast.SubLinkType_ALL_SUBLINK:
	default:
		l.unsupported("a subquery of the kind %v is not supported", s.SubLinkType)
	}
	left := l.expr(s.Testexpr)
	if s.OperName == nil {
		return &sqlparse.In{At: at, Left: left, Query: l.query(s.Subselect)}
	}
	right := &sqlparse.Subquery{At: at, Query: l.query(s.Subselect)}
	op, name, ok := l.equality(s.OperName)
	if !ok {
		return &sqlparse.Opaque{At: at, What: "the operator " + name, Args: []sqlparse.Expr{left, right}}
	}
	quant := sqlparse.Any
	if s.SubLinkType == ast.SubLinkType_ALL_SUBLINK {
		quant = sqlparse.All
	}
	return &sqlparse.Compare{At: at, Op: op, Quant: quant, Left: left, Right: right}
}
