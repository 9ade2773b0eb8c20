package pg

import (
	"strings"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// kindOf names the kind of a node for an error message.
func kindOf(n *ast.Node) string {
	if n.GetNode() == nil {
		return "nothing"
	}
	name := string(n.ProtoReflect().WhichOneof(n.ProtoReflect().Descriptor().Oneofs().Get(0)).Message().Name())
	return strings.TrimSuffix(name, "_")
}

// Locks take no values. GROUP BY DISTINCT and WITH TIES compare what GROUP BY and
// ORDER BY name.
var selectFields = handles[ast.SelectStmt]("DistinctClause", "IntoClause", "TargetList", "FromClause", "WhereClause",
	"GroupClause", "GroupDistinct", "HavingClause", "WindowClause", "ValuesLists", "SortClause", "LimitOffset",
	"LimitCount", "LimitOption", "LockingClause", "WithClause", "Op", "All", "Larg", "Rarg")

// query lowers a node that has to be a SELECT.
func (l *lowering) query(n *ast.Node) *sqlparse.Select {
	s := n.GetSelectStmt()
	if s == nil {
		l.unsupported("a query that is %s", kindOf(n))
	}
	return l.selectStmt(s)
}

func (l *lowering) selectStmt(s *ast.SelectStmt) *sqlparse.Select {
	l.enter()
	selectFields.check(l, s)
	out := &sqlparse.Select{At: l.here(), With: l.with(s.WithClause)}
	switch {
	case s.Op > ast.SetOperation_SETOP_NONE:
		l.setOperation(out, s)
	case len(s.ValuesLists) > 0:
		out.Values = make([][]sqlparse.Expr, len(s.ValuesLists))
		for i, row := range s.ValuesLists {
			out.Values[i] = l.list(row)
		}
	default:
		l.plainSelect(out, s)
	}
	out.OrderBy = l.sorts(s.SortClause)
	if s.LimitCount != nil || s.LimitOffset != nil {
		out.Limit = l.some(s.LimitCount, s.LimitOffset)
	}
	l.depth--
	return out
}

func (l *lowering) setOperation(out *sqlparse.Select, s *ast.SelectStmt) {
	switch s.Op {
	case ast.SetOperation_SETOP_UNION:
		out.Op = sqlparse.Union
	case ast.SetOperation_SETOP_INTERSECT:
		out.Op = sqlparse.Intersect
	case ast.SetOperation_SETOP_EXCEPT:
		out.Op = sqlparse.Except
	default:
		l.unsupported("a set operation of the kind %v", s.Op)
	}
	out.All = s.All
	out.Left, out.Right = l.selectStmt(s.Larg), l.selectStmt(s.Rarg)
}

func (l *lowering) plainSelect(out *sqlparse.Select, s *ast.SelectStmt) {
	if len(s.DistinctClause) > 0 {
		if out.Distinct = s.DistinctClause[0].GetNode() == nil; !out.Distinct { // a lone empty node: no ON
			out.DistinctOn = l.exprs(s.DistinctClause)
		}
	}
	out.Targets = l.targets(s.TargetList)
	out.Into = l.into(s.IntoClause)
	out.From = l.tables(s.FromClause)
	out.Where = l.optional(s.WhereClause)
	out.GroupBy = l.groups(nil, s.GroupClause)
	out.Having = l.optional(s.HavingClause)
	for _, n := range s.WindowClause {
		w := n.GetWindowDef()
		if w == nil {
			l.unsupported("a WINDOW with %s", kindOf(n))
		}
		out.Windows = append(out.Windows, l.window(w))
	}
}

func (l *lowering) targets(list []*ast.Node) []sqlparse.Target {
	if len(list) == 0 {
		return nil
	}
	out := make([]sqlparse.Target, len(list))
	for i, n := range list {
		t := n.GetResTarget()
		if t == nil {
			l.unsupported("an output that is %s", kindOf(n))
		}
		resTargetFields.check(l, t)
		l.at(t.Location)
		out[i] = sqlparse.Target{Expr: l.expr(t.Val), Name: t.Name}
	}
	return out
}

// The table options of CREATE TABLE AS take no values of the query.
var intoFields = handles[ast.IntoClause]("Rel", "ColNames", "AccessMethod", "Options", "OnCommit",
	"TableSpaceName", "SkipData")

func (l *lowering) into(c *ast.IntoClause) *sqlparse.TableName {
	if c == nil {
		return nil
	}
	intoFields.check(l, c)
	return l.tableName(c.Rel)
}

var groupingSetFields = handles[ast.GroupingSet]("Kind", "Content", "Location")

// groups appends the expressions of GROUP BY to out, those of grouping sets too. There (a, b) is a
// list, and ROW(a, b) a row.
func (l *lowering) groups(out []sqlparse.Expr, list []*ast.Node) []sqlparse.Expr {
	for _, n := range list {
		if r := n.GetRowExpr(); r != nil && r.RowFormat == ast.CoercionForm_COERCE_IMPLICIT_CAST {
			rowFields.check(l, r)
			l.at(r.Location)
			l.enter()
			out = l.groups(out, r.Args)
			l.depth--
			continue
		}
		set := n.GetGroupingSet()
		if set == nil {
			out = append(out, l.expr(n))
			continue
		}
		groupingSetFields.check(l, set)
		l.at(set.Location)
		l.enter()
		out = l.groups(out, set.Content)
		l.depth--
	}
	return out
}

var (
	withFields = handles[ast.WithClause]("Ctes", "Recursive", "Location")
	cteFields  = handles[ast.CommonTableExpr]("Ctename", "Aliascolnames", "Ctematerialized", "Ctequery",
		"SearchClause", "CycleClause", "Location")
	searchFields = handles[ast.CTESearchClause]("SearchColList", "SearchBreadthFirst", "SearchSeqColumn", "Location")
	cycleFields  = handles[ast.CTECycleClause]("CycleColList", "CycleMarkColumn", "CycleMarkValue",
		"CycleMarkDefault", "CyclePathColumn", "Location")
)

func (l *lowering) with(w *ast.WithClause) *sqlparse.With {
	if w == nil {
		return nil
	}
	withFields.check(l, w)
	out := &sqlparse.With{Recursive: w.Recursive}
	for _, n := range w.Ctes {
		c := n.GetCommonTableExpr()
		if c == nil {
			l.unsupported("a WITH with %s", kindOf(n))
		}
		out.CTEs = append(out.CTEs, l.cte(c))
	}
	return out
}

func (l *lowering) cte(c *ast.CommonTableExpr) *sqlparse.CTE {
	cteFields.check(l, c)
	out := &sqlparse.CTE{At: l.at(c.Location), Name: c.Ctename, Columns: l.names(c.Aliascolnames)}
	l.enter()
	out.Query = l.preparable(c.Ctequery)
	l.depth--
	if s := c.SearchClause; s != nil {
		searchFields.check(l, s)
		out.Refs = append(out.Refs, l.names(s.SearchColList)...)
		out.Extra = append(out.Extra, s.SearchSeqColumn)
	}
	if y := c.CycleClause; y != nil {
		cycleFields.check(l, y)
		// The marks become values of an extra column; the grammar allows constants.
		l.plainConstant(y.CycleMarkValue)
		l.plainConstant(y.CycleMarkDefault)
		out.Refs = append(out.Refs, l.names(y.CycleColList)...)
		out.Extra = append(out.Extra, y.CycleMarkColumn, y.CyclePathColumn)
	}
	return out
}

// plainConstant fails unless n is a constant, perhaps of a named type.
func (l *lowering) plainConstant(n *ast.Node) {
	switch e := l.expr(n).(type) {
	case *sqlparse.Const, *sqlparse.Opaque: // a bit string
	case *sqlparse.Cast:
		if _, ok := e.Arg.(*sqlparse.Const); !ok {
			l.unsupported("a CYCLE with a mark that is no constant")
		}
	default:
		l.unsupported("a CYCLE with a mark that is no constant")
	}
}
