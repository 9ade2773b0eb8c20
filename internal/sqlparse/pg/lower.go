package pg

import (
	"github.com/sqlc-dev/oliphant/ast"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/colseal/colseal/internal/sqlparse"
)

// lowering turns one text's nodes into the tree of sqlparse. Its methods fail by
// panicking with a *sqlparse.Error, which Parse returns: a tree of a hundred node
// kinds would drown in error returns.
type lowering struct {
	text     string
	depth    int
	maxDepth int
	// near is the last position that a node told: the position of the nodes for
	// which the grammar has none.
	near int
	// types: see sqlparse.File.
	types []*sqlparse.TableName
	// programs: likewise.
	programs []sqlparse.Program
	calls    []*sqlparse.TableName
}

// at returns the position of a node; loc is negative or 0 in nodes that have none.
func (l *lowering) at(loc int32) sqlparse.At {
	if loc > 0 {
		l.near = int(loc)
	}
	return sqlparse.At(l.near)
}

func (l *lowering) here() sqlparse.At { return sqlparse.At(l.near) }

// unsupported ends the lowering with what it does not support.
func (l *lowering) unsupported(format string, args ...any) {
	panic(sqlparse.Unsupportedf(l.near, format, args...))
}

// enter counts the depth of the tree, on which later passes recurse: chains such as
// a||b||c nest in it without any nesting in the text. The caller leaves with l.depth--.
func (l *lowering) enter() {
	if l.depth++; l.depth > l.maxDepth {
		panic(&sqlparse.Error{Pos: l.near, Reason: "the SQL text is a chain longer than the limit"})
	}
}

// names returns the strings of a list of String nodes.
func (l *lowering) names(list []*ast.Node) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, n := range list {
		s, ok := n.GetNode().(*ast.Node_String_)
		if !ok {
			l.unsupported("a name with a part that is no identifier")
		}
		out[i] = s.String_.Sval
	}
	return out
}

// last returns the schema and the last name of a qualified name.
func (l *lowering) last(list []*ast.Node) (schema, name string) {
	parts := l.names(list)
	if len(parts) == 0 {
		return "", ""
	}
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	return schema, parts[len(parts)-1]
}

var aliasFields = handles[ast.Alias]("Aliasname", "Colnames")

func (l *lowering) alias(a *ast.Alias) *sqlparse.Alias {
	if a == nil {
		return nil
	}
	aliasFields.check(l, a)
	return &sqlparse.Alias{Name: a.Aliasname, Columns: l.names(a.Colnames)}
}

// A relation of another database is an error of the server; whether a relation is
// temporary matters only where it is made.
var rangeVarFields = handles[ast.RangeVar](
	"Catalogname", "Schemaname", "Relname", "Inh", "Relpersistence", "Alias", "Location")

func (l *lowering) tableName(r *ast.RangeVar) *sqlparse.TableName {
	if r == nil {
		return nil
	}
	rangeVarFields.check(l, r)
	return &sqlparse.TableName{
		At: l.at(r.Location), Schema: r.Schemaname, Name: r.Relname, Alias: l.alias(r.Alias),
	}
}

// rowType notes a type that may be the row type of a relation.
func (l *lowering) rowType(t *ast.TypeName) {
	if t != nil {
		l.types = append(l.types, l.relationsOf(t)...)
	}
}

// texts notes the strings among the arguments of functions that run what stands in them.
func (l *lowering) texts(n *ast.Node) {
	l.below(n.ProtoReflect(), func(m protoreflect.Message) bool {
		f, ok := m.Interface().(*ast.FuncCall)
		if !ok {
			return true
		}
		if schema, name := l.last(f.Funcname); sqlparse.FunctionRunsText(schema, name) {
			l.below(m, func(m protoreflect.Message) bool {
				if c, ok := m.Interface().(*ast.A_Const); ok && c.GetSval() != nil {
					l.programs = append(l.programs, sqlparse.Program{At: l.at(c.Location), Function: name, Words: l.wordsOf(c.GetSval().Sval)})
				}
				return true
			})
		}
		return true
	})
}

// relationsOf returns the relations that a type may be the row type of, or the array type of that, or
// the type of a column of.
func (l *lowering) relationsOf(t *ast.TypeName) []*sqlparse.TableName {
	parts := l.names(t.Names)
	if t.PctType && len(parts) > 1 {
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 0 {
		return nil
	}
	schema := ""
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	var out []*sqlparse.TableName
	for _, name := range sqlparse.RowTypeOf(schema, parts[len(parts)-1]) {
		out = append(out, &sqlparse.TableName{At: sqlparse.At(max(t.Location, 0)), Schema: schema, Name: name})
	}
	return out
}

// TypeOid and Typemod are the parser's own.
var typeNameFields = handles[ast.TypeName]("Names", "TypeOid", "Typmods", "Typemod", "ArrayBounds", "Location")

func (l *lowering) typeName(t *ast.TypeName) sqlparse.Type {
	typeNameFields.check(l, t)
	for _, m := range t.Typmods {
		switch m.GetNode().(type) {
		case *ast.Node_AConst, *ast.Node_ColumnRef: // varchar(10), geometry(point)
		default:
			l.unsupported("an expression as the modifier of a type")
		}
	}
	at := sqlparse.At(-1)
	if t.Location > 0 {
		at = sqlparse.At(t.Location)
	}
	schema, name := l.last(t.Names)
	return sqlparse.Type{At: at, Schema: schema, Name: name, Modified: len(t.Typmods) > 0, Array: len(t.ArrayBounds) > 0}
}
