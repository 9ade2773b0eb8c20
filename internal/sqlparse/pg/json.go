package pg

import (
	"strings"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

var (
	jsonParseFields      = handles[ast.JsonParseExpr]("Expr", "Output", "UniqueKeys", "Location")
	jsonScalarFields     = handles[ast.JsonScalarExpr]("Expr", "Output", "Location")
	jsonSerializeFields  = handles[ast.JsonSerializeExpr]("Expr", "Output", "Location")
	jsonObjectFields     = handles[ast.JsonObjectConstructor]("Exprs", "Output", "AbsentOnNull", "Unique", "Location")
	jsonArrayFields      = handles[ast.JsonArrayConstructor]("Exprs", "Output", "AbsentOnNull", "Location")
	jsonArrayQueryFields = handles[ast.JsonArrayQueryConstructor]("Query", "Output", "Format", "AbsentOnNull", "Location")
	jsonPredicateFields  = handles[ast.JsonIsPredicate]("Expr", "Format", "ItemType", "UniqueKeys", "Location")
	jsonObjectAggFields  = handles[ast.JsonObjectAgg]("Constructor", "Arg", "AbsentOnNull", "Unique")
	jsonArrayAggFields   = handles[ast.JsonArrayAgg]("Constructor", "Arg", "AbsentOnNull")
	jsonAggFields        = handles[ast.JsonAggConstructor]("Output", "AggFilter", "AggOrder", "Over", "Location")
	jsonFuncFields       = handles[ast.JsonFuncExpr]("Op", "ColumnName", "ContextItem", "Pathspec", "Passing", "Output",
		"OnEmpty", "OnError", "Wrapper", "Quotes", "Location")
	jsonValueFields    = handles[ast.JsonValueExpr]("RawExpr", "Format")
	jsonKeyValueFields = handles[ast.JsonKeyValue]("Key", "Value")
	jsonArgumentFields = handles[ast.JsonArgument]("Val", "Name")
	jsonBehaviorFields = handles[ast.JsonBehavior]("Btype", "Expr", "Coerce", "Location")
)

// jsonExpr lowers what SQL/JSON has expressions for; nil when n is none of them.
// The clauses that are not expressions (RETURNING, FORMAT, wrappers) only shape JSON, but for
// RETURNING of JSON_VALUE and JSON_QUERY, which may make a row.
func (l *lowering) jsonExpr(n *ast.Node) sqlparse.Expr {
	switch x := n.GetNode().(type) {
	case *ast.Node_JsonParseExpr:
		jsonParseFields.check(l, x.JsonParseExpr)
		return l.json(x.JsonParseExpr.Location, "JSON", l.jsonValue(x.JsonParseExpr.Expr))
	case *ast.Node_JsonScalarExpr:
		jsonScalarFields.check(l, x.JsonScalarExpr)
		return l.json(x.JsonScalarExpr.Location, "JSON_SCALAR", x.JsonScalarExpr.Expr)
	case *ast.Node_JsonSerializeExpr:
		jsonSerializeFields.check(l, x.JsonSerializeExpr)
		return l.json(x.JsonSerializeExpr.Location, "JSON_SERIALIZE", l.jsonValue(x.JsonSerializeExpr.Expr))
	case *ast.Node_JsonObjectConstructor:
		jsonObjectFields.check(l, x.JsonObjectConstructor)
		return l.json(x.JsonObjectConstructor.Location, "JSON_OBJECT", l.jsonValues(x.JsonObjectConstructor.Exprs)...)
	case *ast.Node_JsonArrayConstructor:
		jsonArrayFields.check(l, x.JsonArrayConstructor)
		return l.json(x.JsonArrayConstructor.Location, "JSON_ARRAY", l.jsonValues(x.JsonArrayConstructor.Exprs)...)
	case *ast.Node_JsonArrayQueryConstructor:
		jsonArrayQueryFields.check(l, x.JsonArrayQueryConstructor)
		at := l.at(x.JsonArrayQueryConstructor.Location)
		q := &sqlparse.Subquery{At: at, Kind: sqlparse.ArrayQuery, Query: l.query(x.JsonArrayQueryConstructor.Query)}
		return &sqlparse.Opaque{At: at, What: "JSON_ARRAY", Args: []sqlparse.Expr{q}}
	case *ast.Node_JsonIsPredicate:
		jsonPredicateFields.check(l, x.JsonIsPredicate)
		return l.json(x.JsonIsPredicate.Location, "IS JSON", x.JsonIsPredicate.Expr)
	case *ast.Node_JsonObjectAgg:
		jsonObjectAggFields.check(l, x.JsonObjectAgg)
		kv := x.JsonObjectAgg.Arg
		jsonKeyValueFields.check(l, kv)
		return l.jsonAgg(x.JsonObjectAgg.Constructor, "JSON_OBJECTAGG", kv.Key, l.jsonValue(kv.Value))
	case *ast.Node_JsonArrayAgg:
		jsonArrayAggFields.check(l, x.JsonArrayAgg)
		return l.jsonAgg(x.JsonArrayAgg.Constructor, "JSON_ARRAYAGG", l.jsonValue(x.JsonArrayAgg.Arg))
	case *ast.Node_JsonFuncExpr:
		return l.jsonFunc(x.JsonFuncExpr)
	}
	return nil
}

func (l *lowering) json(loc int32, what string, args ...*ast.Node) sqlparse.Expr {
	return l.opaque(l.at(loc), what, args...)
}

// jsonValue returns the expression inside a value with its format.
func (l *lowering) jsonValue(v *ast.JsonValueExpr) *ast.Node {
	jsonValueFields.check(l, v)
	return v.GetRawExpr()
}

// jsonValues returns the expressions in the arguments of a constructor or in PASSING.
func (l *lowering) jsonValues(list []*ast.Node) []*ast.Node {
	var out []*ast.Node
	for _, n := range list {
		switch x := n.GetNode().(type) {
		case *ast.Node_JsonKeyValue:
			jsonKeyValueFields.check(l, x.JsonKeyValue)
			out = append(out, x.JsonKeyValue.Key, l.jsonValue(x.JsonKeyValue.Value))
		case *ast.Node_JsonValueExpr:
			out = append(out, l.jsonValue(x.JsonValueExpr))
		case *ast.Node_JsonArgument:
			jsonArgumentFields.check(l, x.JsonArgument)
			out = append(out, l.jsonValue(x.JsonArgument.Val))
		default:
			l.unsupported("JSON made of %s", kindOf(n))
		}
	}
	return out
}

func (l *lowering) jsonAgg(c *ast.JsonAggConstructor, what string, args ...*ast.Node) sqlparse.Expr {
	jsonAggFields.check(l, c)
	out := &sqlparse.Opaque{At: l.at(c.Location), What: what, Args: l.some(args...)}
	for _, s := range l.sorts(c.AggOrder) {
		out.Args = append(out.Args, s.Expr)
	}
	out.Args = append(out.Args, l.some(c.AggFilter)...)
	if c.Over != nil {
		w := l.window(c.Over)
		out.Args = append(out.Args, w.Partition...)
		out.Args = append(out.Args, w.Frame...)
		for _, s := range w.OrderBy {
			out.Args = append(out.Args, s.Expr)
		}
	}
	return out
}

func (l *lowering) jsonFunc(f *ast.JsonFuncExpr) sqlparse.Expr {
	jsonFuncFields.check(l, f)
	l.rowType(f.GetOutput().GetTypeName())
	args := []*ast.Node{l.jsonValue(f.ContextItem), f.Pathspec}
	args = append(args, l.jsonValues(f.Passing)...)
	args = append(args, l.jsonBehavior(f.OnEmpty), l.jsonBehavior(f.OnError))
	return l.json(f.Location, strings.TrimSuffix(f.Op.String(), "_OP"), args...)
}

// jsonBehavior returns the expression of DEFAULT … ON EMPTY or ON ERROR, if there is one.
func (l *lowering) jsonBehavior(b *ast.JsonBehavior) *ast.Node {
	if b == nil {
		return nil
	}
	jsonBehaviorFields.check(l, b)
	return b.Expr
}
