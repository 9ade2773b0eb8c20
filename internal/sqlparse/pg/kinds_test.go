package pg

import (
	"strings"
	"testing"

	"github.com/sqlc-dev/oliphant/ast"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/colseal/colseal/internal/sqlparse"
)

// dmlKinds are the statements of which the values are traced; EXPLAIN holds one.
var dmlKinds = []string{"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "ExplainStmt"}

// neverStatements have the name of a statement, but the grammar never yields them as
// one: parts of others, and what only analysis or PL/pgSQL makes.
var neverStatements = []string{"RawStmt", "SetOperationStmt", "ReturnStmt", "PLAssignStmt", "ReplicaIdentityStmt"}

// nodeKinds returns a node of every kind that the descriptor knows, without fields.
func nodeKinds() map[string]*ast.Node {
	out := map[string]*ast.Node{}
	var root ast.Node
	fields := root.ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range fields.Len() {
		n := &ast.Node{}
		m := n.ProtoReflect()
		m.Set(fields.Get(i), protoreflect.ValueOfMessage(m.NewField(fields.Get(i)).Message()))
		out[kindOf(n)] = n
	}
	return out
}

// Every statement kind of the grammar is decided, and every rule is of a kind there is.
func TestEveryStatementIsDecided(t *testing.T) {
	decided := map[string]bool{}
	for _, k := range append(append([]string{}, dmlKinds...), neverStatements...) {
		decided[k] = true
	}
	kinds := nodeKinds()
	for k := range kinds {
		if !strings.HasSuffix(k, "Stmt") {
			continue
		}
		_, ruled := rules[k]
		if ruled == decided[k] {
			t.Errorf("%s: has a rule: %v, is listed: %v; want one of the two", k, ruled, decided[k])
		}
	}
	for k, r := range rules {
		if kinds[k] == nil {
			t.Errorf("the rule for %s is for no kind of node", k)
		}
		if r.what == "" {
			t.Errorf("the rule for %s does not say what it is", k)
		}
	}
	for k := range decided {
		if kinds[k] == nil {
			t.Errorf("%s is listed but is no kind of node", k)
		}
	}
}

// Messages, not only nodes: a *Stmt that is no node would be missed by the test above.
func TestEveryStatementMessageIsANode(t *testing.T) {
	kinds := nodeKinds()
	messages := (&ast.Node{}).ProtoReflect().Descriptor().ParentFile().Messages()
	for i := range messages.Len() {
		name := string(messages.Get(i).Name())
		if strings.HasSuffix(name, "Stmt") && kinds[name] == nil {
			t.Errorf("%s is no kind of node", name)
		}
	}
}

// exprKinds and tableKinds are what may stand as an expression, and in FROM.
var exprKinds = []string{
	"ColumnRef", "ParamRef", "A_Const", "TypeCast", "A_Expr", "BoolExpr", "SubLink", "NullTest", "BooleanTest",
	"CaseExpr", "CoalesceExpr", "RowExpr", "A_ArrayExpr", "FuncCall", "SetToDefault", "A_Indirection", "MinMaxExpr",
	"CollateClause", "GroupingFunc", "SQLValueFunction", "MergeSupportFunc", "XmlExpr", "XmlSerialize",
	"JsonParseExpr", "JsonScalarExpr", "JsonSerializeExpr", "JsonObjectConstructor", "JsonArrayConstructor",
	"JsonArrayQueryConstructor", "JsonIsPredicate", "JsonObjectAgg", "JsonArrayAgg", "JsonFuncExpr",
}

var tableKinds = []string{"RangeVar", "JoinExpr", "RangeSubselect", "RangeFunction", "RangeTableSample", "RangeTableFunc", "JsonTable"}

// Every kind of node, put where an expression or a FROM item stands, is either one of
// those listed or unsupported: none falls through.
func TestEveryNodeIsDecided(t *testing.T) {
	for _, place := range []struct {
		name  string
		kinds []string
		lower func(*lowering, *ast.Node)
	}{
		{"expression", exprKinds, func(l *lowering, n *ast.Node) { l.expr(n) }},
		{"FROM item", tableKinds, func(l *lowering, n *ast.Node) { l.table(n) }},
	} {
		known := map[string]bool{}
		for _, k := range place.kinds {
			known[k] = true
		}
		for k, n := range nodeKinds() {
			unsupported := lowers(place.lower, n, k)
			if unsupported == known[k] {
				t.Errorf("%s as %s: unsupported as a kind: %v, listed: %v", k, place.name, unsupported, known[k])
			}
		}
	}
}

// lowers reports whether the lowering refused the node for its kind. An empty node of
// a known kind may fail for what it lacks.
func lowers(f func(*lowering, *ast.Node), n *ast.Node, kind string) (unsupported bool) {
	defer func() {
		if e, ok := recover().(*sqlparse.Error); ok {
			unsupported = e.Unsupported && strings.Contains(e.Reason, kind) &&
				(strings.Contains(e.Reason, "an expression of the kind") || strings.Contains(e.Reason, "in FROM is not supported"))
		}
	}()
	f(&lowering{maxDepth: 100}, n)
	return false
}

// A populated field that the lowering does not name is refused, in every message that
// it handles.
func TestUnknownFieldIsRefused(t *testing.T) {
	h := handles[ast.ColumnRef]("Location")
	l := &lowering{}
	h.check(l, &ast.ColumnRef{Location: 3})
	h.check(l, &ast.ColumnRef{Fields: []*ast.Node{}})
	defer func() {
		e, ok := recover().(*sqlparse.Error)
		if !ok || !e.Unsupported || !strings.Contains(e.Reason, "Fields") {
			t.Errorf("got %v, want an unsupported field", e)
		}
	}()
	h.check(l, &ast.ColumnRef{Fields: []*ast.Node{{}}})
}
