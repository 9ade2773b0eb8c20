package pg

import (
	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

func (l *lowering) tables(list []*ast.Node) []sqlparse.Table {
	if len(list) == 0 {
		return nil
	}
	out := make([]sqlparse.Table, len(list))
	for i, n := range list {
		out[i] = l.table(n)
	}
	return out
}

var rangeSubselectFields = handles[ast.RangeSubselect]("Lateral", "Subquery", "Alias")

// table lowers an item of FROM.
func (l *lowering) table(n *ast.Node) sqlparse.Table {
	l.enter()
	defer func() { l.depth-- }()
	switch x := n.GetNode().(type) {
	case *ast.Node_RangeVar:
		return l.tableName(x.RangeVar)
	case *ast.Node_JoinExpr:
		return l.join(x.JoinExpr)
	case *ast.Node_RangeSubselect:
		s := x.RangeSubselect
		rangeSubselectFields.check(l, s)
		return &sqlparse.SubqueryTable{
			At: l.here(), Query: l.query(s.Subquery), Alias: l.alias(s.Alias), Lateral: s.Lateral,
		}
	case *ast.Node_RangeFunction:
		return l.rangeFunction(x.RangeFunction)
	case *ast.Node_RangeTableSample:
		return l.tableSample(x.RangeTableSample)
	case *ast.Node_RangeTableFunc:
		return l.xmlTable(x.RangeTableFunc)
	case *ast.Node_JsonTable:
		return l.jsonTable(x.JsonTable)
	}
	l.unsupported("%s in FROM is not supported", kindOf(n))
	return nil
}

var joinFields = handles[ast.JoinExpr]("Jointype", "IsNatural", "Larg", "Rarg", "UsingClause", "JoinUsingAlias",
	"Quals", "Alias")

func (l *lowering) join(j *ast.JoinExpr) sqlparse.Table {
	joinFields.check(l, j)
	out := &sqlparse.Join{
		Left: l.table(j.Larg), Right: l.table(j.Rarg),
		Natural: j.IsNatural, Using: l.names(j.UsingClause),
		On: l.optional(j.Quals), Alias: l.alias(j.Alias),
	}
	out.At = sqlparse.At(out.Right.Pos())
	if a := l.alias(j.JoinUsingAlias); a != nil {
		out.UsingAlias = a.Name
	}
	switch j.Jointype {
	case ast.JoinType_JOIN_INNER:
	case ast.JoinType_JOIN_LEFT:
		out.NullRight = true
	case ast.JoinType_JOIN_RIGHT:
		out.NullLeft = true
	case ast.JoinType_JOIN_FULL:
		out.NullLeft, out.NullRight = true, true
	default:
		l.unsupported("a join of the kind %v", j.Jointype)
	}
	return out
}

var (
	rangeFunctionFields = handles[ast.RangeFunction]("Lateral", "Ordinality", "IsRowsfrom", "Functions", "Alias", "Coldeflist")
	coldefFields        = handles[ast.ColumnDef]("Colname", "TypeName", "IsLocal", "CollClause", "Location")
)

func (l *lowering) rangeFunction(f *ast.RangeFunction) sqlparse.Table {
	rangeFunctionFields.check(l, f)
	out := &sqlparse.FuncTable{
		Alias: l.alias(f.Alias), Lateral: f.Lateral, Ordinality: f.Ordinality, RowsFrom: f.IsRowsfrom,
		Columns: l.columnDefinitions(f.Coldeflist),
	}
	for _, n := range f.Functions {
		items := n.GetList().GetItems() // the call, and its column definitions
		if len(items) == 0 || len(items) > 2 {
			l.unsupported("a function in FROM with %s", kindOf(n))
		}
		out.Calls = append(out.Calls, l.expr(items[0]))
		if len(items) < 2 || items[1].GetNode() == nil {
			continue
		}
		if len(f.Functions) > 1 || out.Columns != nil {
			l.unsupported("ROWS FROM with column definitions of several functions is not supported")
		}
		out.Columns = l.columnDefinitions(items[1].GetList().GetItems())
	}
	out.At = l.here()
	if len(out.Calls) > 0 {
		out.At = sqlparse.At(out.Calls[0].Pos())
	}
	return out
}

func (l *lowering) columnDefinitions(list []*ast.Node) []string {
	var out []string
	for _, n := range list {
		d := n.GetColumnDef()
		if d == nil {
			l.unsupported("a column definition list with %s", kindOf(n))
		}
		coldefFields.check(l, d)
		l.typeName(d.TypeName)
		l.rowType(d.TypeName)
		out = append(out, d.Colname)
	}
	return out
}

var tableSampleFields = handles[ast.RangeTableSample]("Relation", "Method", "Args", "Repeatable", "Location")

func (l *lowering) tableSample(s *ast.RangeTableSample) sqlparse.Table {
	tableSampleFields.check(l, s)
	r := s.Relation.GetRangeVar()
	if r == nil {
		l.unsupported("TABLESAMPLE of %s is not supported", kindOf(s.Relation))
	}
	out := l.tableName(r)
	out.Args = append(l.exprs(s.Args), l.some(s.Repeatable)...)
	return out
}

var (
	xmlTableFields  = handles[ast.RangeTableFunc]("Lateral", "Docexpr", "Rowexpr", "Namespaces", "Columns", "Alias", "Location")
	xmlColumnFields = handles[ast.RangeTableFuncCol]("Colname", "TypeName", "ForOrdinality", "IsNotNull",
		"Colexpr", "Coldefexpr", "Location")
)

func (l *lowering) xmlTable(t *ast.RangeTableFunc) sqlparse.Table {
	xmlTableFields.check(l, t)
	out := &sqlparse.OpaqueTable{At: l.at(t.Location), What: "XMLTABLE", Alias: l.alias(t.Alias), Lateral: t.Lateral}
	out.Args = append(l.some(t.Docexpr, t.Rowexpr), l.values(t.Namespaces)...)
	for _, n := range t.Columns {
		c := n.GetRangeTableFuncCol()
		if c == nil {
			l.unsupported("XMLTABLE with %s", kindOf(n))
		}
		xmlColumnFields.check(l, c)
		l.rowType(c.TypeName)
		out.Args = append(out.Args, l.some(c.Colexpr, c.Coldefexpr)...)
	}
	return out
}

var (
	jsonTableFields = handles[ast.JsonTable]("ContextItem", "Pathspec", "Passing", "Columns", "OnError", "Alias",
		"Lateral", "Location")
	jsonPathFields   = handles[ast.JsonTablePathSpec]("String_", "Name", "NameLocation", "Location")
	jsonColumnFields = handles[ast.JsonTableColumn]("Coltype", "Name", "TypeName", "Pathspec", "Format", "Wrapper",
		"Quotes", "Columns", "OnEmpty", "OnError", "Location")
)

func (l *lowering) jsonTable(t *ast.JsonTable) sqlparse.Table {
	jsonTableFields.check(l, t)
	out := &sqlparse.OpaqueTable{At: l.at(t.Location), What: "JSON_TABLE", Alias: l.alias(t.Alias), Lateral: t.Lateral}
	args := append([]*ast.Node{l.jsonValue(t.ContextItem), l.jsonPath(t.Pathspec)}, l.jsonValues(t.Passing)...)
	args = append(l.jsonColumns(args, t.Columns), l.jsonBehavior(t.OnError))
	out.Args = l.some(args...)
	return out
}

func (l *lowering) jsonPath(p *ast.JsonTablePathSpec) *ast.Node {
	jsonPathFields.check(l, p)
	return p.GetString_()
}

// jsonColumns appends the expressions in column definitions to out.
func (l *lowering) jsonColumns(out []*ast.Node, list []*ast.Node) []*ast.Node {
	l.enter()
	for _, n := range list {
		c := n.GetJsonTableColumn()
		if c == nil {
			l.unsupported("JSON_TABLE with %s", kindOf(n))
		}
		jsonColumnFields.check(l, c)
		l.rowType(c.TypeName)
		out = append(out, l.jsonPath(c.Pathspec), l.jsonBehavior(c.OnEmpty), l.jsonBehavior(c.OnError))
		out = l.jsonColumns(out, c.Columns)
	}
	l.depth--
	return out
}
