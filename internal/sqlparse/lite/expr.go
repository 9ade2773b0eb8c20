package lite

import (
	"strconv"
	"strings"

	"github.com/sqlc-dev/meyer/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// expr lowers an expression.
func (l *lowerer) expr(n ast.Expr) sqlparse.Expr {
	l.enter(n.Pos())
	defer l.leave()
	e := l.exprNode(n)
	if _, ok := l.spans[e]; !ok { // inner parentheses come first
		l.spans[e] = span{n.Pos(), n.End()}
	}
	return e
}

func (l *lowerer) exprNode(n ast.Expr) sqlparse.Expr {
	switch n := n.(type) {
	case *ast.Ident:
		return l.ident(n)
	case *ast.QualifiedRef:
		return &sqlparse.Column{At: at(n), Parts: idents(n.Parts)}
	case *ast.Star:
		return l.star(n)
	case *ast.Literal:
		return l.literal(n)
	case *ast.BindParam:
		return l.param(n)
	case *ast.BinaryExpr:
		return l.binary(n)
	case *ast.UnaryExpr:
		return l.unary(n)
	case *ast.ParenExpr:
		return l.expr(n.X)
	case *ast.LikeExpr:
		return l.like(n)
	case *ast.IsExpr:
		return l.is(n)
	case *ast.NullCheckExpr:
		return l.nullCheck(n)
	case *ast.BetweenExpr:
		return &sqlparse.Between{At: at(n), Not: n.Not, Arg: l.expr(n.X), Low: l.expr(n.Lo), High: l.expr(n.Hi)}
	case *ast.InExpr:
		return l.in(n)
	case *ast.CaseExpr:
		return l.caseOf(n)
	case *ast.CastExpr:
		return l.cast(n)
	case *ast.CollateExpr:
		return &sqlparse.Opaque{At: at(n), What: "COLLATE", Args: l.exprs(n.X)}
	case *ast.FuncCall:
		return l.call(n)
	case *ast.ExistsExpr:
		return &sqlparse.Subquery{At: at(n), Kind: sqlparse.ExistsQuery, Query: l.query(n.Select)}
	case *ast.SubqueryExpr:
		return &sqlparse.Subquery{At: at(n), Kind: sqlparse.ScalarQuery, Query: l.query(n.Select)}
	case *ast.VectorExpr:
		return &sqlparse.Row{At: at(n), Args: l.exprs(n.List...)}
	case *ast.RaiseExpr:
		unsupported(n.Pos(), "RAISE")
	}
	unsupported(n.Pos(), "an expression of the kind %T", n)
	return nil
}

// exprs lowers expressions, leaving out those that are absent.
func (l *lowerer) exprs(list ...ast.Expr) []sqlparse.Expr {
	var out []sqlparse.Expr
	for _, n := range list {
		if n != nil {
			out = append(out, l.expr(n))
		}
	}
	return out
}

// optional lowers an expression that may be absent.
func (l *lowerer) optional(n ast.Expr) sqlparse.Expr {
	if n == nil {
		return nil
	}
	return l.expr(n)
}

func (l *lowerer) ident(n *ast.Ident) sqlparse.Expr {
	if v, ok := truth(n); ok {
		return &sqlparse.Const{At: at(n), End: n.End(), Value: v}
	}
	return &sqlparse.Column{At: at(n), Parts: []string{ident(n)}}
}

// truth recognizes TRUE and FALSE, which are plain identifiers to the grammar.
func truth(n ast.Expr) (value, ok bool) {
	id, isIdent := n.(*ast.Ident)
	if !isIdent || id.Quote != ast.QuoteNone {
		return false, false
	}
	switch ident(id) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

func (l *lowerer) star(n *ast.Star) sqlparse.Expr {
	c := &sqlparse.Column{At: at(n), Star: true}
	if n.Table != nil {
		c.Parts = []string{ident(n.Table)}
	}
	return c
}

func (l *lowerer) param(n *ast.BindParam) sqlparse.Expr {
	b, ok := l.params[n.Pos()]
	if !ok {
		unsupported(n.Pos(), "a parameter that is no token")
	}
	return &sqlparse.Param{At: at(n), End: n.End(), Number: b.number, Name: b.name}
}

func (l *lowerer) literal(n *ast.Literal) sqlparse.Expr {
	switch n.Kind {
	case ast.LitNull:
		return &sqlparse.Const{At: at(n), End: n.End()}
	case ast.LitString:
		return &sqlparse.Const{At: at(n), End: n.End(), Value: n.Value}
	case ast.LitInteger, ast.LitFloat:
		return &sqlparse.Const{At: at(n), End: n.End(), Value: number(n, "")}
	case ast.LitBlob:
		return &sqlparse.Opaque{At: at(n), What: "a blob literal"}
	case ast.LitCurrentDate, ast.LitCurrentTime, ast.LitCurrentTimestamp:
		return &sqlparse.Opaque{At: at(n), What: n.Kind.String()}
	}
	unsupported(n.Pos(), "a literal of the kind %d", int(n.Kind))
	return nil
}

// number returns the value of a numeric literal after a sign, which is "-" or "".
func number(n *ast.Literal, sign string) any {
	if n.Kind == ast.LitFloat {
		return sqlparse.Number(sign + n.Value)
	}
	if len(n.Value) > 2 && (n.Value[1] == 'x' || n.Value[1] == 'X') {
		// Hexadecimal is the bits of a 64-bit integer, so that 0xFF…FF is -1.
		u, err := strconv.ParseUint(n.Value[2:], 16, 64)
		if err != nil || sign != "" && u == 1<<63 {
			fail(n.Pos(), "a hexadecimal number of more than 64 bits")
		}
		if sign != "" {
			return -int64(u)
		}
		return int64(u)
	}
	if i, err := strconv.ParseInt(sign+n.Value, 10, 64); err == nil {
		return i
	}
	return sqlparse.Number(sign + n.Value)
}

func (l *lowerer) unary(n *ast.UnaryExpr) sqlparse.Expr {
	switch n.Op {
	case ast.OpNot:
		return &sqlparse.Logic{At: at(n), Op: sqlparse.Not, Args: l.exprs(n.X)}
	case ast.OpPlus, ast.OpMinus:
		lit, ok := n.X.(*ast.Literal)
		if ok && (lit.Kind == ast.LitInteger || lit.Kind == ast.LitFloat) {
			sign := ""
			if n.Op == ast.OpMinus {
				sign = "-"
			}
			return &sqlparse.Const{At: at(n), End: n.End(), Value: number(lit, sign)}
		}
	case ast.OpBitNot:
	default:
		unsupported(n.Pos(), "a unary operator of the kind %d", int(n.Op))
	}
	return &sqlparse.Opaque{At: at(n), What: "the operator " + n.Op.String(), Args: l.exprs(n.X)}
}

func (l *lowerer) binary(n *ast.BinaryExpr) sqlparse.Expr {
	switch n.Op {
	case ast.OpAnd, ast.OpOr:
		return l.chain(n)
	case ast.OpEq, ast.OpNe:
		op := sqlparse.Equal
		if n.Op == ast.OpNe {
			op = sqlparse.NotEqual
		}
		return &sqlparse.Compare{At: at(n), End: n.End(), Op: op, Left: l.expr(n.X), Right: l.expr(n.Y)}
	case ast.OpLt, ast.OpLe, ast.OpGt, ast.OpGe:
		return &sqlparse.Order{At: at(n), Op: n.Op.String(), Left: l.expr(n.X), Right: l.expr(n.Y)}
	case ast.OpBitAnd, ast.OpBitOr, ast.OpLShift, ast.OpRShift,
		ast.OpAdd, ast.OpSub, ast.OpMul, ast.OpDiv, ast.OpMod, ast.OpConcat, ast.OpPtr, ast.OpPtr2:
		return &sqlparse.Opaque{At: at(n), What: "the operator " + n.Op.String(), Args: l.exprs(n.X, n.Y)}
	}
	unsupported(n.Pos(), "a binary operator of the kind %d", int(n.Op))
	return nil
}

// chain lowers a AND b AND c, whose left operands nest, as one Logic: generated
// conditions are long.
func (l *lowerer) chain(n *ast.BinaryExpr) sqlparse.Expr {
	var rev []ast.Expr
	var left ast.Expr = n
	for {
		b, ok := left.(*ast.BinaryExpr)
		if !ok || b.Op != n.Op {
			break
		}
		rev = append(rev, b.Y)
		left = b.X
	}
	args := make([]sqlparse.Expr, 0, len(rev)+1)
	args = append(args, l.expr(left))
	for i := len(rev) - 1; i >= 0; i-- {
		args = append(args, l.expr(rev[i]))
	}
	op := sqlparse.And
	if n.Op == ast.OpOr {
		op = sqlparse.Or
	}
	return &sqlparse.Logic{At: at(n), Op: op, Args: args}
}

func (l *lowerer) like(n *ast.LikeExpr) sqlparse.Expr {
	// The operator is a keyword: LIKE, GLOB, REGEXP or MATCH.
	what := strings.ToUpper(n.Op.Name)
	if what == "GLOB" && n.Escape == nil {
		return &sqlparse.Match{At: at(n), What: what, Op: what, Not: n.Not, Left: l.expr(n.X), Right: l.expr(n.Y)}
	}
	if n.Not {
		what = "NOT " + what
	}
	return &sqlparse.Opaque{At: at(n), What: what, Args: l.exprs(n.X, n.Y, n.Escape)}
}

func (l *lowerer) is(n *ast.IsExpr) sqlparse.Expr {
	distinct := n.Not != n.Distinct // IS NOT, IS DISTINCT FROM
	right := unparen(n.Y)
	if lit, ok := right.(*ast.Literal); ok && lit.Kind == ast.LitNull {
		return &sqlparse.IsNull{At: at(n), Not: distinct, Arg: l.expr(n.X)}
	}
	if _, ok := truth(right); ok {
		return &sqlparse.Logic{At: at(n), Op: sqlparse.Truth, Args: l.exprs(n.X)}
	}
	op := sqlparse.NotDistinct
	if distinct {
		op = sqlparse.Distinct
	}
	return &sqlparse.Compare{At: at(n), End: n.End(), Op: op, Left: l.expr(n.X), Right: l.expr(n.Y)}
}

func unparen(n ast.Expr) ast.Expr {
	for {
		p, ok := n.(*ast.ParenExpr)
		if !ok {
			return n
		}
		n = p.X
	}
}

func (l *lowerer) nullCheck(n *ast.NullCheckExpr) sqlparse.Expr {
	switch n.Test {
	case ast.TestIsNull, ast.TestNotNull, ast.TestNotNullWords:
		return &sqlparse.IsNull{At: at(n), Not: n.Test != ast.TestIsNull, Arg: l.expr(n.X)}
	}
	unsupported(n.Pos(), "a null test of the kind %d", int(n.Test))
	return nil
}

// in lowers the four right-hand sides of IN: a list, which may be empty, a query,
// a table, and a table-valued function.
func (l *lowerer) in(n *ast.InExpr) sqlparse.Expr {
	out := &sqlparse.In{At: at(n), Not: n.Not, Left: l.expr(n.X)}
	switch {
	case n.HasArgs || len(n.Args) > 0:
		unsupported(n.Pos(), "IN over a table-valued function")
	case n.Select != nil:
		out.Query = l.query(n.Select)
	case n.Table != nil:
		out.Query = &sqlparse.Select{
			At:      at(n.Table),
			Targets: []sqlparse.Target{{Expr: &sqlparse.Column{At: at(n.Table), Star: true}}},
			From:    []sqlparse.Table{tableName(n.Table, nil)},
		}
	case n.Parens:
		if out.List = l.exprs(n.List...); out.List == nil {
			out.List = []sqlparse.Expr{}
		}
	default:
		unsupported(n.Pos(), "IN over nothing")
	}
	return out
}

func (l *lowerer) caseOf(n *ast.CaseExpr) sqlparse.Expr {
	out := &sqlparse.Case{At: at(n), Arg: l.optional(n.Operand), Else: l.optional(n.Else)}
	for _, w := range n.Whens {
		out.Whens = append(out.Whens, sqlparse.When{Cond: l.expr(w.When), Then: l.expr(w.Then)})
	}
	return out
}

func (l *lowerer) cast(n *ast.CastExpr) sqlparse.Expr {
	if n.Type == nil {
		unsupported(n.Pos(), "a CAST to no type")
	}
	return &sqlparse.Cast{At: at(n), Arg: l.expr(n.X), Type: sqlparse.Type{
		At: at(n.Type), End: n.Type.End(), Name: fold(n.Type.Name), Modified: len(n.Type.Args) > 0,
	}}
}
