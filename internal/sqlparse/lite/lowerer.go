package lite

import (
	"github.com/sqlc-dev/meyer/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// lowerer turns one statement of the grammar's tree into ours.
type lowerer struct {
	text   string
	params map[int]binding // by byte offset
	spans  map[sqlparse.Expr]span
	depth  int
}

// span is what an expression spans in the text.
type span struct{ start, end int }

// maxDepth bounds the depth of the tree, which chains of operators make deep
// without any parenthesis. SQLite itself stops at 1000.
const maxDepth = 2000

// bail carries an error out of the recursion to Parse.
type bail struct{ err *sqlparse.Error }

func fail(pos int, reason string) {
	panic(bail{&sqlparse.Error{Pos: pos, Reason: reason}})
}

func unsupported(pos int, format string, args ...any) {
	panic(bail{sqlparse.Unsupportedf(pos, format, args...)})
}

func (l *lowerer) enter(pos int) {
	if l.depth++; l.depth > maxDepth {
		fail(pos, "the SQL text is nested too deeply")
	}
}

func (l *lowerer) leave() { l.depth-- }

// stmt lowers a statement.
func (l *lowerer) stmt(n ast.Stmt) sqlparse.Stmt {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return l.query(n)
	case *ast.InsertStmt:
		return l.insert(n)
	case *ast.UpdateStmt:
		return l.update(n)
	case *ast.DeleteStmt:
		return l.delete(n)
	case *ast.ExplainStmt:
		return &sqlparse.Explain{At: at(n), Stmt: l.stmt(n.Stmt)}
	}
	return l.utility(n)
}

func at(n ast.Node) sqlparse.At { return sqlparse.At(n.Pos()) }

// fold folds a name as SQLite compares it: ASCII only.
func fold(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func ident(n *ast.Ident) string {
	if n == nil {
		return ""
	}
	return fold(n.Name)
}

func idents(list []*ast.Ident) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = ident(n)
	}
	return out
}

// names lowers the columns that a statement writes.
func names(list []*ast.Ident) []sqlparse.Name {
	if len(list) == 0 {
		return nil
	}
	out := make([]sqlparse.Name, len(list))
	for i, n := range list {
		out[i] = sqlparse.Name{At: at(n), Name: ident(n)}
	}
	return out
}

func tableName(n *ast.QualifiedName, alias *ast.Ident) *sqlparse.TableName {
	return &sqlparse.TableName{
		At: at(n), End: n.End(),
		Schema: ident(n.Schema), Name: ident(n.Name),
		Alias: aliasOf(alias),
	}
}

func aliasOf(n *ast.Ident) *sqlparse.Alias {
	if n == nil {
		return nil
	}
	return &sqlparse.Alias{Name: ident(n)}
}
