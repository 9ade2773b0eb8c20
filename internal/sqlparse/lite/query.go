package lite

import (
	"github.com/sqlc-dev/meyer/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// maxCompound is SQLite's limit of the terms of a compound SELECT. It bounds the
// depth of the set operations in the tree.
const maxCompound = 500

// query lowers a SELECT or VALUES with all that is compounded with it. Set
// operations are left-associative and of equal precedence.
func (l *lowerer) query(n *ast.SelectStmt) *sqlparse.Select {
	l.enter(n.Pos())
	defer l.leave()
	last := len(n.Cores) - 1
	if last < 0 || len(n.Ops) != last {
		unsupported(n.Pos(), "a compound SELECT of this form")
	}
	if last >= maxCompound {
		fail(n.Pos(), "a compound SELECT of more than 500 terms")
	}
	out := l.core(n.Cores[0])
	for i, op := range n.Ops {
		if len(out.OrderBy) > 0 || len(out.Limit) > 0 {
			unsupported(op.Pos(), "ORDER BY or LIMIT before a set operation")
		}
		out = &sqlparse.Select{
			At: out.At, Op: setOp(&op), All: op.All,
			Left: out, Right: l.core(n.Cores[i+1]),
		}
		// What is written after the last term belongs to the whole.
		out.OrderBy, out.Right.OrderBy = out.Right.OrderBy, nil
		out.Limit, out.Right.Limit = out.Right.Limit, nil
	}
	out.At = at(n)
	out.With = l.with(n.With)
	return out
}

func setOp(n *ast.CompoundOp) sqlparse.SetOp {
	switch n.Op {
	case "UNION":
		return sqlparse.Union
	case "INTERSECT":
		return sqlparse.Intersect
	case "EXCEPT":
		return sqlparse.Except
	}
	unsupported(n.Pos(), "a set operation of this kind")
	return sqlparse.NoSetOp
}

func (l *lowerer) core(n ast.SelectCore) *sqlparse.Select {
	switch n := n.(type) {
	case *ast.SelectQuery:
		return l.selectQuery(n)
	case *ast.ValuesClause:
		out := &sqlparse.Select{At: at(n), Values: make([][]sqlparse.Expr, len(n.Rows))}
		for i, row := range n.Rows {
			out.Values[i] = l.exprs(row...)
		}
		return out
	}
	unsupported(n.Pos(), "a query of the kind %T", n)
	return nil
}

func (l *lowerer) selectQuery(n *ast.SelectQuery) *sqlparse.Select {
	out := &sqlparse.Select{At: at(n), Targets: l.targets(n.Columns)}
	switch n.Distinct {
	case ast.DistinctNone, ast.DistinctAll:
	case ast.DistinctDistinct:
		out.Distinct = true
	default:
		unsupported(n.Pos(), "SELECT with a qualifier of the kind %d", int(n.Distinct))
	}
	var on []sqlparse.Expr
	out.From, on = l.from(n.From)
	out.On, out.Where = conjunction(on), conjunction(l.exprs(n.Where))
	out.GroupBy = l.exprs(n.GroupBy...)
	out.Having = l.optional(n.Having)
	for _, w := range n.Windows {
		out.Windows = append(out.Windows, l.window(w))
	}
	out.OrderBy = l.sorts(n.OrderBy)
	if n.Limit != nil {
		out.Limit = l.exprs(n.Limit.Count, n.Limit.Offset)
	}
	return out
}

// conjunction joins conditions by AND; it is nil when there are none.
func conjunction(list []sqlparse.Expr) sqlparse.Expr {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return &sqlparse.Logic{At: sqlparse.At(list[0].Pos()), Args: list}
}

func (l *lowerer) targets(list []*ast.ResultColumn) []sqlparse.Target {
	var out []sqlparse.Target
	for _, n := range list {
		if n.Alias != nil && n.Alias.Name == "" {
			unsupported(n.Alias.Pos(), "an empty alias")
		}
		out = append(out, sqlparse.Target{Expr: l.expr(n.Expr), Name: ident(n.Alias)})
	}
	return out
}

func (l *lowerer) with(n *ast.With) *sqlparse.With {
	if n == nil {
		return nil
	}
	// The word RECURSIVE means nothing to SQLite: each of the tables sees
	// itself and all the others anyway.
	out := &sqlparse.With{Recursive: true}
	for _, c := range n.CTEs {
		// MATERIALIZED is a hint.
		out.CTEs = append(out.CTEs, &sqlparse.CTE{
			At: at(c), Name: ident(c.Name), Columns: idents(c.Columns), Query: l.query(c.Select),
		})
	}
	return out
}
