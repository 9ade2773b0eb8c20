package pg

import (
	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

var (
	viewFields    = handles[ast.ViewStmt]("View", "Aliases", "Query", "Replace", "Options", "WithCheckOption")
	tableAsFields = handles[ast.CreateTableAsStmt]("Query", "Into", "Objtype", "IfNotExists")
	cursorFields  = handles[ast.DeclareCursorStmt]("Portalname", "Options", "Query")
	prepareFields = handles[ast.PrepareStmt]("Name", "Argtypes", "Query")
)

// createTableAs tells what CREATE TABLE AS makes.
func createTableAs(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	made := n.GetCreateTableAsStmt().Into.GetRel()
	u.Temporary = temporary(made)
	l.changes(u, made)
	if n.GetCreateTableAsStmt().Objtype == ast.ObjectType_OBJECT_MATVIEW {
		u.What = "CREATE MATERIALIZED VIEW"
	}
	if query := n.GetCreateTableAsStmt().Query; query.GetExecuteStmt() != nil {
		execute(l, query, u)
		u.Session = true
	}
}

// kept lowers the query that a utility statement keeps; nil if it keeps none, or one that
// cannot be lowered: then the statement is not analysed, and its names decide.
func (l *lowering) kept(n *ast.Node) (k *sqlparse.Kept) {
	depth := l.depth
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *sqlparse.Error:
			l.depth, k = depth, nil
		default:
			panic(r)
		}
	}()
	var query *ast.Node
	switch x := n.GetNode().(type) {
	case *ast.Node_ViewStmt:
		viewFields.check(l, x.ViewStmt)
		query = x.ViewStmt.Query
		k = &sqlparse.Kept{Kind: sqlparse.KeptView, Name: l.tableName(x.ViewStmt.View), Columns: l.names(x.ViewStmt.Aliases)}
	case *ast.Node_CreateTableAsStmt:
		tableAsFields.check(l, x.CreateTableAsStmt)
		into := x.CreateTableAsStmt.Into
		intoFields.check(l, into)
		query = x.CreateTableAsStmt.Query
		k = &sqlparse.Kept{Kind: sqlparse.KeptRows, Name: l.tableName(into.GetRel()), Columns: l.names(into.GetColNames())}
		if x.CreateTableAsStmt.Objtype == ast.ObjectType_OBJECT_MATVIEW {
			k.Kind = sqlparse.KeptView
		}
	case *ast.Node_DeclareCursorStmt:
		cursorFields.check(l, x.DeclareCursorStmt)
		query = x.DeclareCursorStmt.Query
		k = &sqlparse.Kept{Kind: sqlparse.KeptCursor}
	case *ast.Node_PrepareStmt:
		prepareFields.check(l, x.PrepareStmt)
		query = x.PrepareStmt.Query
		for _, t := range x.PrepareStmt.Argtypes {
			l.rowType(t.GetTypeName())
		}
		k = &sqlparse.Kept{Kind: sqlparse.KeptStatement}
	default:
		return nil
	}
	if k.Query = l.dml(query); k.Query == nil {
		return nil
	}
	return k
}
