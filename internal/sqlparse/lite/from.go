package lite

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// maxTables is SQLite's limit of the tables in one FROM. It bounds the depth of
// the joins in the tree.
const maxTables = 64

// from lowers a FROM clause. The ON conditions are returned apart, to stand in
// WHERE: SQLite resolves their names there, against all of FROM.
func (l *lowerer) from(list []*ast.TableRef) (tables []sqlparse.Table, on []sqlparse.Expr) {
	if len(list) == 0 {
		return nil, nil
	}
	list = flatten(list)
	if commasOnly(list) {
		for _, n := range list {
			tables = append(tables, l.source(n))
		}
		return tables, nil
	}
	joined, on := l.joins(list)
	return []sqlparse.Table{joined}, on
}

// flatten removes the parentheses around the first items, which mean nothing
// unless an alias or a condition follows them.
func flatten(list []*ast.TableRef) []*ast.TableRef {
	for {
		first := list[0]
		if first.List == nil || first.Alias != nil || first.On != nil || first.Using != nil {
			break
		}
		list = append(first.List[:len(first.List):len(first.List)], list[1:]...)
	}
	if first := list[0]; first.Join != nil || first.On != nil || first.Using != nil {
		unsupported(first.Pos(), "a join condition without a join")
	}
	if len(list) > maxTables {
		fail(list[0].Pos(), "a FROM of more than 64 tables")
	}
	return list
}

func commasOnly(list []*ast.TableRef) bool {
	for _, n := range list[1:] {
		if n.Join.Type&ast.JoinComma == 0 || n.On != nil || n.Using != nil {
			return false
		}
	}
	return true
}

// joins lowers a flat list of joined items. Joins are left-associative, and a
// comma is one of them.
func (l *lowerer) joins(list []*ast.TableRef) (left sqlparse.Table, on []sqlparse.Expr) {
	left = l.source(list[0])
	for _, n := range list[1:] {
		j := l.join(n)
		j.Left, j.Right = left, l.source(n)
		left = j
		on = append(on, l.exprs(n.On)...)
	}
	return left, on
}

// joinWords are the words that a join operator may consist of. The grammar lets
// through any name.
var joinWords = map[string]bool{
	"NATURAL": true, "LEFT": true, "RIGHT": true, "FULL": true, "OUTER": true,
	"INNER": true, "CROSS": true, "JOIN": true,
}

// join lowers the operator before an item and the names in its USING.
func (l *lowerer) join(n *ast.TableRef) *sqlparse.Join {
	const outer, sides = ast.JoinOuter, ast.JoinLeft | ast.JoinRight
	const known = ast.JoinInner | ast.JoinCross | ast.JoinNatural | sides | outer | ast.JoinComma
	op := n.Join
	for _, w := range op.Words {
		if !joinWords[strings.ToUpper(w)] {
			unsupported(op.Pos(), "a join of an unknown kind")
		}
	}
	t := op.Type
	switch {
	case t&^known != 0,
		t&ast.JoinInner != 0 && t&outer != 0,
		t&outer != 0 && t&sides == 0:
		unsupported(op.Pos(), "a join of an unknown kind")
	case t&ast.JoinNatural != 0 && (n.On != nil || n.Using != nil):
		unsupported(op.Pos(), "a NATURAL join with ON or USING")
	}
	return &sqlparse.Join{
		At: at(op), Natural: t&ast.JoinNatural != 0, Using: idents(n.Using),
		NullLeft: t&ast.JoinRight != 0, NullRight: t&ast.JoinLeft != 0,
	}
}

// source lowers an item of FROM without what joins it. INDEXED BY and NOT INDEXED
// change the access path only.
func (l *lowerer) source(n *ast.TableRef) sqlparse.Table {
	l.enter(n.Pos())
	defer l.leave()
	switch {
	case n.Name != nil && !n.HasArgs && n.Args == nil:
		return tableName(n.Name, n.Alias)
	case n.Name != nil:
		// Its arguments may use the tables beside it.
		call := &sqlparse.Call{At: at(n.Name), Schema: ident(n.Name.Schema), Name: ident(n.Name.Name), Args: l.exprs(n.Args...)}
		return &sqlparse.FuncTable{At: at(n.Name), Calls: []sqlparse.Expr{call}, Alias: aliasOf(n.Alias), Lateral: true}
	case n.Select != nil:
		return &sqlparse.SubqueryTable{At: at(n), Query: l.query(n.Select), Alias: aliasOf(n.Alias)}
	case len(n.List) > 0:
		return l.nested(n)
	}
	unsupported(n.Pos(), "an item of FROM of this kind")
	return nil
}

// nested lowers a parenthesised part of FROM, whose tables stay visible under
// their names.
func (l *lowerer) nested(n *ast.TableRef) sqlparse.Table {
	list := flatten(n.List)
	if len(list) == 1 {
		// SQLite forgets the alias inside: in "a JOIN (b AS x)" b is still b.
		inner := *list[0]
		if inner.Alias != nil {
			unsupported(inner.Pos(), "an alias within parentheses in FROM")
		}
		inner.Alias = n.Alias
		return l.source(&inner)
	}
	if n.Alias != nil {
		// Here SQLite lets both the alias and the names inside be used.
		unsupported(n.Pos(), "an alias on parenthesised tables in FROM")
	}
	table, on := l.joins(list)
	j := table.(*sqlparse.Join)
	if len(on) > 0 && (j.Natural || j.Using != nil) {
		unsupported(n.Pos(), "ON followed by USING or NATURAL within parentheses in FROM")
	}
	// All tables within the parentheses, and they alone, are visible to ON.
	j.On = conjunction(on)
	return j
}
