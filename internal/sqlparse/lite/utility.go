package lite

import (
	"sort"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/lexer"
	"github.com/sqlc-dev/meyer/token"

	"github.com/colseal/colseal/internal/sqlparse"
)

// utility lowers the statements whose values are not traced. What SQLite itself
// executes of a view or trigger later never passes through here again, so those
// carry statements.
func (l *lowerer) utility(n ast.Stmt) sqlparse.Stmt {
	switch n := n.(type) {
	case *ast.CreateTableStmt, *ast.CreateIndexStmt, *ast.CreateViewStmt, *ast.CreateTriggerStmt,
		*ast.CreateVirtualTableStmt, *ast.AlterTableStmt,
		*ast.DropTableStmt, *ast.DropViewStmt, *ast.DropIndexStmt, *ast.DropTriggerStmt:
		return l.definition(n)
	case *ast.PragmaStmt:
		return l.pragma(n)
	case *ast.AttachStmt:
		// A name may now mean a table of another file.
		return l.expressions(n, &sqlparse.Utility{What: "ATTACH", Session: true, Catalog: true})
	case *ast.DetachStmt:
		return l.expressions(n, &sqlparse.Utility{What: "DETACH", Session: true, Catalog: true})
	case *ast.VacuumStmt:
		// INTO copies cells as they are.
		return l.expressions(n, &sqlparse.Utility{What: "VACUUM"})
	case *ast.AnalyzeStmt:
		return &sqlparse.Utility{At: at(n), What: "ANALYZE", Names: relations(n)}
	case *ast.ReindexStmt:
		return &sqlparse.Utility{At: at(n), What: "REINDEX", Names: relations(n)}
	case *ast.BeginStmt:
		return &sqlparse.Utility{At: at(n), What: "BEGIN"}
	case *ast.CommitStmt:
		return &sqlparse.Utility{At: at(n), What: "COMMIT"}
	case *ast.RollbackStmt:
		// It undoes changes of tables too.
		return &sqlparse.Utility{At: at(n), What: "ROLLBACK", Catalog: true}
	case *ast.SavepointStmt:
		return &sqlparse.Utility{At: at(n), What: "SAVEPOINT"}
	case *ast.ReleaseStmt:
		return &sqlparse.Utility{At: at(n), What: "RELEASE"}
	}
	unsupported(n.Pos(), "a statement of the kind %T", n)
	return nil
}

// expressions fills in what a statement's expressions hold. They are not lowered:
// a bare name is a string in ATTACH and DETACH. A query among them carries values.
func (l *lowerer) expressions(n ast.Stmt, out *sqlparse.Utility) sqlparse.Stmt {
	out.At, out.Names, out.Args = at(n), relations(n), l.paramsOf(n)
	out.Carries = len(out.Names) > 0
	return out
}

// definition lowers the statements that define and drop tables and what belongs
// to them. Names holds every relation that they name, at any depth.
func (l *lowerer) definition(n ast.Stmt) sqlparse.Stmt {
	out := &sqlparse.Utility{At: at(n), Names: relations(n), Args: l.paramsOf(n), Catalog: true}
	switch n := n.(type) {
	case *ast.CreateTableStmt:
		out.What = "CREATE TABLE"
		out.Carries = n.Select != nil
		if n.Select != nil {
			out.Kept = l.kept(sqlparse.KeptRows, n.Name, nil, n.Select)
		}
		for _, c := range n.Columns {
			columnDef(out, tableName(n.Name, nil), c)
		}
	case *ast.CreateIndexStmt:
		out.What = "CREATE INDEX"
		out.Carries = n.Where != nil || !columnsOnly(n.Columns)
	case *ast.CreateViewStmt:
		out.What, out.Carries = "CREATE VIEW", true
		names := make([]*ast.Ident, len(n.Columns))
		for i, c := range n.Columns {
			names[i] = c.Name
		}
		out.Kept = l.kept(sqlparse.KeptView, n.Name, names, n.Select)
	case *ast.CreateTriggerStmt:
		out.What, out.Carries = "CREATE TRIGGER", true
	case *ast.CreateVirtualTableStmt:
		// The arguments are the module's own language, and may name a table.
		out.What, out.Carries = "CREATE VIRTUAL TABLE", true
		out.Names = append(out.Names, argumentNames(n)...)
	case *ast.AlterTableStmt:
		out.What = "ALTER TABLE"
		if n.Action < ast.AlterRenameTable || n.Action > ast.AlterAddConstraintCheck {
			unsupported(n.Pos(), "an ALTER TABLE of the kind %d", int(n.Action))
		}
		if n.ColumnDef != nil {
			columnDef(out, tableName(n.Table, nil), n.ColumnDef)
		}
		switch n.Action {
		case ast.AlterRenameTable:
			out.Renames = []sqlparse.Rename{{Table: tableName(n.Table, nil), To: ident(n.NewName)}}
		case ast.AlterRenameColumn:
			out.Renames = []sqlparse.Rename{{Table: tableName(n.Table, nil), Column: ident(n.Column), To: ident(n.NewName)}}
		}
	case *ast.DropTableStmt:
		out.What = "DROP TABLE"
	case *ast.DropViewStmt:
		out.What = "DROP VIEW"
	case *ast.DropIndexStmt:
		out.What = "DROP INDEX"
	case *ast.DropTriggerStmt:
		out.What = "DROP TRIGGER"
	}
	if out.Kept != nil {
		out.Args = nil // they are in it
	}
	return out
}

// columnDef adds what the definition of a column means for its table: a default,
// or a value computed from other columns. A CHECK carries nothing anywhere.
func columnDef(out *sqlparse.Utility, table *sqlparse.TableName, n *ast.ColumnDef) {
	for _, c := range n.Constraints {
		switch c.Kind {
		case ast.ColumnDefault:
			if lit, ok := unparen(c.Expr).(*ast.Literal); ok && lit.Kind == ast.LitNull {
				continue
			}
			out.Defaults = append(out.Defaults, sqlparse.ColumnDefault{Table: table, Column: ident(n.Name), At: c.Pos()})
		case ast.ColumnGenerated:
			out.Carries = true
		case ast.ColumnNull, ast.ColumnNotNull, ast.ColumnPrimaryKey, ast.ColumnUnique, ast.ColumnCheck,
			ast.ColumnCollate, ast.ColumnReferences, ast.ColumnDeferrable:
		default:
			unsupported(c.Pos(), "a column constraint of the kind %d", int(c.Kind))
		}
	}
}

// columnsOnly reports whether an index is on columns, not expressions.
func columnsOnly(list []*ast.OrderingTerm) bool {
	for _, n := range list {
		e := unparen(n.Expr)
		for {
			c, ok := e.(*ast.CollateExpr)
			if !ok {
				break
			}
			e = unparen(c.X)
		}
		if _, ok := e.(*ast.Ident); !ok {
			return false
		}
	}
	return true
}

// visit calls fn for n and all below it. It does not recurse, as chains of
// operators may be very deep.
func visit(n ast.Node, fn func(ast.Node)) {
	stack := []ast.Node{n}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], n.Children()...)
		fn(n)
	}
}

// relations returns every name in n that may be a relation's, in order.
func relations(n ast.Node) []*sqlparse.TableName {
	var out []*sqlparse.TableName
	visit(n, func(n ast.Node) {
		var id *ast.Ident
		switch n := n.(type) {
		case *ast.QualifiedName:
			out = append(out, tableName(n, nil))
		case *ast.CreateIndexStmt:
			id = n.Table
		case *ast.ForeignKeyClause:
			id = n.Table
		case *ast.AlterTableStmt:
			if n.Action == ast.AlterRenameTable {
				id = n.NewName
			}
		}
		if id != nil {
			out = append(out, &sqlparse.TableName{At: at(id), End: id.End(), Name: ident(id)})
		}
	})
	sort.SliceStable(out, func(i, j int) bool { return out[i].At < out[j].At })
	return out
}

func (l *lowerer) paramsOf(n ast.Node) []sqlparse.Expr {
	var out []sqlparse.Expr
	visit(n, func(n ast.Node) {
		if p, ok := n.(*ast.BindParam); ok {
			out = append(out, l.param(p))
		}
	})
	sort.SliceStable(out, func(i, j int) bool { return out[i].Pos() < out[j].Pos() })
	return out
}

// argumentNames takes every word and string in a module's arguments for the name
// of a relation: content='users' names one.
func argumentNames(n *ast.CreateVirtualTableStmt) []*sqlparse.TableName {
	var out []*sqlparse.TableName
	for _, arg := range n.Args {
		for _, t := range lexer.Lex(arg) {
			if t.Kind == token.ID || t.Kind == token.STRING || t.Kind >= token.ABORT {
				name := fold(strings.Trim(t.Text(arg), "'\"`[]"))
				out = append(out, &sqlparse.TableName{At: at(n), End: n.End(), Name: name})
			}
		}
	}
	return out
}

// kept lowers the query that a definition keeps; nil if it cannot be lowered: then the
// definition is not analysed, and its names decide.
func (l *lowerer) kept(kind sqlparse.KeptKind, name *ast.QualifiedName, columns []*ast.Ident, query *ast.SelectStmt) (k *sqlparse.Kept) {
	depth := l.depth
	defer func() {
		switch r := recover().(type) {
		case nil:
		case bail:
			l.depth, k = depth, nil
		default:
			panic(r)
		}
	}()
	return &sqlparse.Kept{Kind: kind, Name: tableName(name, nil), Columns: idents(columns), Query: l.query(query)}
}
