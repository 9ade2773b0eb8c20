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
		return &sqlparse.Utility{At: at(n), What: "ANALYZE", Names: relations(n), Reads: true}
	case *ast.ReindexStmt:
		return &sqlparse.Utility{At: at(n), What: "REINDEX", Names: relations(n), Reads: true}
	case *ast.BeginStmt:
		return &sqlparse.Utility{At: at(n), What: "BEGIN"}
	case *ast.CommitStmt:
		return &sqlparse.Utility{At: at(n), What: "COMMIT", Ends: true}
	case *ast.RollbackStmt:
		return &sqlparse.Utility{At: at(n), What: "ROLLBACK", Ends: true}
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
	out := &sqlparse.Utility{At: at(n), Names: relations(n), Args: l.paramsOf(n), Catalog: true, Bounded: true}
	switch n := n.(type) {
	case *ast.CreateTableStmt:
		out.What = "CREATE TABLE"
		out.Reads = true
		out.Carries = n.Select != nil
		if n.Select != nil {
			out.Kept = l.kept(sqlparse.KeptRows, n.Name, nil, n.Select)
		}
		changes(out, n.Name)
		l.define(out, func() { l.createTable(out, n) })
	case *ast.CreateIndexStmt:
		out.What = "CREATE INDEX"
		out.Reads, out.Computes = true, true
		l.define(out, func() { l.createIndex(out, n) })
	case *ast.CreateViewStmt:
		out.What, out.Carries, out.Reads = "CREATE VIEW", true, true
		changes(out, n.Name)
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
		changes(out, n.Name)
		out.Names = append(out.Names, argumentNames(n)...)
	case *ast.AlterTableStmt:
		out.What = "ALTER TABLE"
		l.define(out, func() { l.alterTable(out, n) })
	case *ast.DropTableStmt:
		out.What = "DROP TABLE"
		changes(out, n.Name)
	case *ast.DropViewStmt:
		out.What = "DROP VIEW"
		changes(out, n.Name)
	case *ast.DropIndexStmt:
		out.What = "DROP INDEX"
	case *ast.DropTriggerStmt:
		out.What = "DROP TRIGGER"
	}
	if out.Carries && out.Kept == nil {
		out.Reads = false // a query that is not seen may write
	}
	if out.Kept != nil {
		out.Args = nil // they are in it
	}
	return out
}

// define lowers what a statement defines. If an expression of it cannot be lowered, the
// statement carries it unseen, and its names decide.
func (l *lowerer) define(out *sqlparse.Utility, lower func()) {
	depth := l.depth
	defer func() {
		switch r := recover().(type) {
		case nil:
		case bail:
			l.depth, out.Definitions = depth, nil
			out.Carries, out.Bounded = true, false
		default:
			panic(r)
		}
	}()
	lower()
}

// changes notes a relation that a statement makes or drops.
func changes(out *sqlparse.Utility, n *ast.QualifiedName) {
	out.Changes = append(out.Changes, sqlparse.Change{Table: tableName(n, nil)})
}

func (l *lowerer) createTable(out *sqlparse.Utility, n *ast.CreateTableStmt) {
	table := tableName(n.Name, nil)
	for _, c := range n.Columns {
		l.columnDef(out, table, c)
	}
	for _, c := range n.Constraints {
		switch c.Kind {
		case ast.TableCheck:
			l.check(out, table, c.Pos(), c.Expr)
		case ast.TablePrimaryKey:
			keys(out, sqlparse.Definition{At: at(c), What: "PRIMARY KEY", Table: table}, columnsOf(c.Columns))
		case ast.TableUnique:
			keys(out, sqlparse.Definition{At: at(c), What: "UNIQUE", Table: table}, columnsOf(c.Columns))
		case ast.TableForeignKey:
			foreignKey(out, table, indexedColumns(c.FKColumns), c.References)
		default:
			unsupported(c.Pos(), "a table constraint of the kind %d", int(c.Kind))
		}
	}
}

func (l *lowerer) createIndex(out *sqlparse.Utility, n *ast.CreateIndexStmt) {
	table := &sqlparse.TableName{At: at(n.Table), End: n.Table.End(), Schema: ident(n.Name.Schema), Name: ident(n.Table)}
	for _, term := range n.Columns {
		if onlyColumn(term.Expr) == nil {
			l.add(out, sqlparse.Definition{What: "an index", Table: table}, term.Expr)
		}
	}
	if n.Unique {
		keys(out, sqlparse.Definition{At: at(n), What: "a unique index", Table: table}, columnsOf(n.Columns))
	}
	if n.Where != nil {
		l.add(out, sqlparse.Definition{What: "an index predicate", Condition: true, Table: table}, n.Where)
	}
}

func (l *lowerer) alterTable(out *sqlparse.Utility, n *ast.AlterTableStmt) {
	table := tableName(n.Table, nil)
	change := func(columns ...string) {
		out.Changes = append(out.Changes, sqlparse.Change{Table: table, Columns: columns})
	}
	switch n.Action {
	case ast.AlterRenameTable:
		change()
		changes(out, &ast.QualifiedName{Span: n.NewName.Span, Name: n.NewName})
		out.Renames = []sqlparse.Rename{{Table: table, To: ident(n.NewName)}}
	case ast.AlterRenameColumn:
		change(ident(n.Column), ident(n.NewName))
		out.Renames = []sqlparse.Rename{{Table: table, Column: ident(n.Column), To: ident(n.NewName)}}
	case ast.AlterAddColumn:
		change(ident(n.ColumnDef.Name))
		l.columnDef(out, table, n.ColumnDef)
	case ast.AlterDropColumn:
		change(ident(n.Column))
	case ast.AlterAddConstraintCheck:
		l.check(out, table, n.Pos(), n.Expr)
	case ast.AlterDropConstraint, ast.AlterDropNotNull, ast.AlterSetNotNull:
	default:
		unsupported(n.Pos(), "an ALTER TABLE of the kind %d", int(n.Action))
	}
}

// columnDef lowers the definition of a column.
func (l *lowerer) columnDef(out *sqlparse.Utility, table *sqlparse.TableName, n *ast.ColumnDef) {
	for _, c := range n.Constraints {
		switch c.Kind {
		case ast.ColumnDefault:
			if lit, ok := unparen(c.Expr).(*ast.Literal); ok && lit.Kind == ast.LitNull {
				continue
			}
			l.add(out, sqlparse.Definition{At: at(c), What: "DEFAULT", Table: table, Column: ident(n.Name)}, c.Expr)
		case ast.ColumnGenerated:
			l.add(out, sqlparse.Definition{At: at(c), What: "GENERATED", Table: table, Column: ident(n.Name)}, c.Expr)
		case ast.ColumnCheck:
			l.check(out, table, c.Pos(), c.Expr)
		case ast.ColumnPrimaryKey:
			keys(out, sqlparse.Definition{At: at(c), What: "PRIMARY KEY", Table: table}, []string{ident(n.Name)})
		case ast.ColumnUnique:
			keys(out, sqlparse.Definition{At: at(c), What: "UNIQUE", Table: table}, []string{ident(n.Name)})
		case ast.ColumnReferences:
			foreignKey(out, table, []string{ident(n.Name)}, c.References)
		case ast.ColumnCollate:
			if !binary(c.Collation) { // then other values than equal ones are equal
				out.Definitions = append(out.Definitions, sqlparse.Definition{
					At: at(c), What: "COLLATE", Table: table, Expr: &sqlparse.Column{At: at(n.Name), Parts: []string{ident(n.Name)}},
				})
			}
		case ast.ColumnNull, ast.ColumnNotNull, ast.ColumnDeferrable:
		default:
			unsupported(c.Pos(), "a column constraint of the kind %d", int(c.Kind))
		}
	}
}

func (l *lowerer) check(out *sqlparse.Utility, table *sqlparse.TableName, pos int, e ast.Expr) {
	text := l.text[e.Pos():e.End()]
	l.add(out, sqlparse.Definition{At: sqlparse.At(pos), What: "CHECK", Condition: true, Table: table, Text: "(" + text + ")"}, e)
}

func (l *lowerer) add(out *sqlparse.Utility, d sqlparse.Definition, e ast.Expr) {
	if d.At == 0 {
		d.At = at(e)
	}
	d.Expr = l.expr(e)
	out.Definitions = append(out.Definitions, d)
}

// keys notes the columns that a key compares.
func keys(out *sqlparse.Utility, d sqlparse.Definition, columns []string) {
	if d.Keys = columns; columns != nil {
		out.Definitions = append(out.Definitions, d)
	}
}

func foreignKey(out *sqlparse.Utility, table *sqlparse.TableName, columns []string, to *ast.ForeignKeyClause) {
	// The other table is in the database of this one.
	other := &sqlparse.TableName{At: at(to.Table), End: to.Table.End(), Schema: table.Schema, Name: ident(to.Table)}
	keys(out, sqlparse.Definition{
		At: at(to), What: "FOREIGN KEY", Table: table, References: &sqlparse.Reference{Table: other, Columns: indexedColumns(to.Columns)},
	}, columns)
}

func indexedColumns(list []*ast.IndexedColumn) []string {
	var out []string
	for _, c := range list {
		out = append(out, ident(c.Name))
	}
	return out
}

// columnsOf returns the elements of an index that are columns.
func columnsOf(list []*ast.OrderingTerm) []string {
	var out []string
	for _, term := range list {
		if c := onlyColumn(term.Expr); c != nil {
			out = append(out, ident(c))
		}
	}
	return out
}

// binary reports whether a collation compares bytes.
func binary(collation *ast.Ident) bool { return ident(collation) == "binary" }

// onlyColumn returns the column that an element of an index is; nil for an expression. A string is
// a name there.
func onlyColumn(e ast.Expr) *ast.Ident {
	e = unparen(e)
	for {
		c, ok := e.(*ast.CollateExpr)
		if !ok || !binary(c.Name) {
			break
		}
		e = unparen(c.X)
	}
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.Literal:
		if e.Kind == ast.LitString {
			return &ast.Ident{Span: e.Span, Name: e.Value, Raw: e.Raw}
		}
	}
	return nil
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
