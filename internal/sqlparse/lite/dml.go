package lite

import (
	"github.com/sqlc-dev/meyer/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// insert lowers INSERT and REPLACE.
func (l *lowerer) insert(n *ast.InsertStmt) sqlparse.Stmt {
	out := &sqlparse.Insert{
		At:        at(n),
		With:      l.with(n.With),
		Table:     tableName(n.Table, n.Alias),
		Columns:   names(n.Columns),
		Returning: l.returning(n.Returning),
		// The other resolutions end the statement.
		Replace: n.Replace || n.OrConflict == ast.ConflictReplace || n.OrConflict == ast.ConflictIgnore,
	}
	if (n.Select == nil) != n.DefaultValues {
		unsupported(n.Pos(), "an INSERT of this form")
	}
	if n.Select != nil {
		out.Source, out.SourceAt = l.query(n.Select), n.Select.Pos()
	}
	for _, u := range n.Upserts {
		out.Conflicts = append(out.Conflicts, l.upsert(u))
	}
	return out
}

func (l *lowerer) upsert(n *ast.Upsert) *sqlparse.Conflict {
	out := &sqlparse.Conflict{
		At: at(n), DoNothing: n.DoNothing,
		TargetWhere: l.optional(n.TargetWhere),
		Set:         l.assigns(n.Set),
		Where:       l.optional(n.Where),
	}
	for _, s := range l.sorts(n.Target) {
		out.Targets = append(out.Targets, s.Expr)
	}
	return out
}

func (l *lowerer) assigns(list []*ast.SetPair) []sqlparse.Assign {
	var out []sqlparse.Assign
	for _, n := range list {
		out = append(out, sqlparse.Assign{Columns: names(n.Columns), Value: l.expr(n.Value)})
	}
	return out
}

func (l *lowerer) returning(list []*ast.ResultColumn) *sqlparse.Returning {
	if len(list) == 0 {
		return nil
	}
	return &sqlparse.Returning{At: at(list[0]), Targets: l.targets(list)}
}

// update lowers UPDATE. OR … decides which rows are written, not what.
func (l *lowerer) update(n *ast.UpdateStmt) sqlparse.Stmt {
	if n.OrderBy != nil || n.Limit != nil {
		unsupported(n.Pos(), "UPDATE with ORDER BY or LIMIT")
	}
	out := &sqlparse.Update{
		At:        at(n),
		With:      l.with(n.With),
		Table:     tableName(n.Table, n.Alias),
		Set:       l.assigns(n.Set),
		Returning: l.returning(n.Returning),
		Replace:   n.OrConflict == ast.ConflictReplace || n.OrConflict == ast.ConflictIgnore,
	}
	var on []sqlparse.Expr
	out.From, on = l.from(n.From)
	out.Where = conjunction(append(on, l.exprs(n.Where)...))
	return out
}

func (l *lowerer) delete(n *ast.DeleteStmt) sqlparse.Stmt {
	if n.OrderBy != nil || n.Limit != nil {
		unsupported(n.Pos(), "DELETE with ORDER BY or LIMIT")
	}
	return &sqlparse.Delete{
		At:        at(n),
		With:      l.with(n.With),
		Table:     tableName(n.Table, n.Alias),
		Where:     l.optional(n.Where),
		Returning: l.returning(n.Returning),
	}
}
