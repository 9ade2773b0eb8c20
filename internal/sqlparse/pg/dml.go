package pg

import (
	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// stmt lowers a statement.
func (l *lowering) stmt(n *ast.Node) sqlparse.Stmt {
	if s := l.dml(n); s != nil {
		return s
	}
	return l.utility(n)
}

// preparable lowers a statement that may stand in WITH, PREPARE and the like.
func (l *lowering) preparable(n *ast.Node) sqlparse.Stmt {
	s := l.dml(n)
	if s == nil {
		l.unsupported("a query that is %s", kindOf(n))
	}
	return s
}

// dml lowers the statements that move values; nil for every other kind.
func (l *lowering) dml(n *ast.Node) sqlparse.Stmt {
	switch x := n.GetNode().(type) {
	case *ast.Node_SelectStmt:
		return l.selectStmt(x.SelectStmt)
	case *ast.Node_InsertStmt:
		return l.insert(x.InsertStmt)
	case *ast.Node_UpdateStmt:
		return l.update(x.UpdateStmt)
	case *ast.Node_DeleteStmt:
		return l.delete(x.DeleteStmt)
	case *ast.Node_MergeStmt:
		return l.merge(x.MergeStmt)
	}
	return nil
}

// OVERRIDING says what becomes of values for identity columns, which are numbers.
var insertFields = handles[ast.InsertStmt]("Relation", "Cols", "SelectStmt", "OnConflictClause", "ReturningClause",
	"WithClause", "Override")

// insert lowers INSERT. Its SourceAt is -1: the grammar's tree does not tell where the
// source starts; see SourceStart.
func (l *lowering) insert(s *ast.InsertStmt) sqlparse.Stmt {
	insertFields.check(l, s)
	out := &sqlparse.Insert{At: l.here(), SourceAt: -1, With: l.with(s.WithClause)}
	out.Table = l.tableName(s.Relation)
	out.Columns = l.columns(s.Cols)
	if s.SelectStmt != nil {
		out.Source = l.query(s.SelectStmt)
	}
	if s.OnConflictClause != nil {
		out.Conflicts = []*sqlparse.Conflict{l.conflict(s.OnConflictClause)}
	}
	out.Returning = l.returning(s.ReturningClause)
	return out
}

var writeTargetFields = handles[ast.ResTarget]("Name", "Indirection", "Val", "Location")

// columns lowers the columns that a write names; nil when it names none.
func (l *lowering) columns(list []*ast.Node) []sqlparse.Name {
	if len(list) == 0 {
		return nil
	}
	out := make([]sqlparse.Name, len(list))
	for i, n := range list {
		out[i] = l.column(n)
	}
	return out
}

func (l *lowering) column(n *ast.Node) sqlparse.Name {
	t := n.GetResTarget()
	if t == nil {
		l.unsupported("a target of a write that is %s", kindOf(n))
	}
	writeTargetFields.check(l, t)
	at := l.at(t.Location)
	for _, in := range t.Indirection { // a[$1] = …: the subscript is lost in Name
		if ix := in.GetAIndices(); ix != nil {
			indicesFields.check(l, ix)
			for _, e := range l.some(ix.Lidx, ix.Uidx) {
				if _, ok := e.(*sqlparse.Const); !ok {
					l.unsupported("a write to an element whose subscript is no constant is not supported")
				}
			}
		}
	}
	return sqlparse.Name{At: at, Name: t.Name, Indirect: len(t.Indirection) > 0}
}

var multiAssignFields = handles[ast.MultiAssignRef]("Source", "Colno", "Ncolumns")

// assigns lowers SET. The parser gives (a, b) = … as one target per column, which
// share their source.
func (l *lowering) assigns(list []*ast.Node) []sqlparse.Assign {
	var out []sqlparse.Assign
	for i := 0; i < len(list); {
		val := list[i].GetResTarget().GetVal()
		m := val.GetMultiAssignRef()
		if m == nil {
			name := l.column(list[i])
			out = append(out, sqlparse.Assign{Columns: []sqlparse.Name{name}, Value: l.expr(val)})
			i++
			continue
		}
		multiAssignFields.check(l, m)
		n := int(m.Ncolumns)
		if n < 1 || i+n > len(list) || m.Colno != 1 {
			l.unsupported("an assignment to several columns of an unknown form")
		}
		a := sqlparse.Assign{Columns: l.columns(list[i : i+n])}
		a.Value = l.expr(m.Source)
		out = append(out, a)
		i += n
	}
	return out
}

var (
	conflictFields = handles[ast.OnConflictClause]("Action", "Infer", "TargetList", "WhereClause", "Location")
	inferFields    = handles[ast.InferClause]("IndexElems", "WhereClause", "Conname", "Location")
	// indexElemFields: how an index compares and orders is for the server to match.
	indexElemFields = handles[ast.IndexElem]("Name", "Expr", "Collation", "Opclass", "Ordering", "NullsOrdering")
)

func (l *lowering) conflict(c *ast.OnConflictClause) *sqlparse.Conflict {
	conflictFields.check(l, c)
	out := &sqlparse.Conflict{At: l.at(c.Location)}
	if in := c.Infer; in != nil {
		inferFields.check(l, in)
		at := l.at(in.Location)
		out.Constraint = in.Conname
		for _, n := range in.IndexElems {
			out.Targets = append(out.Targets, l.indexElem(at, n))
		}
		out.TargetWhere = l.optional(in.WhereClause)
	}
	switch c.Action {
	case ast.OnConflictAction_ONCONFLICT_NOTHING:
		out.DoNothing = true
	case ast.OnConflictAction_ONCONFLICT_UPDATE:
		out.Set = l.assigns(c.TargetList)
	default:
		l.unsupported("ON CONFLICT of the kind %v", c.Action)
	}
	out.Where = l.optional(c.WhereClause)
	return out
}

func (l *lowering) indexElem(at sqlparse.At, n *ast.Node) sqlparse.Expr {
	e := n.GetIndexElem()
	if e == nil {
		l.unsupported("ON CONFLICT with %s", kindOf(n))
	}
	indexElemFields.check(l, e)
	var x sqlparse.Expr = &sqlparse.Column{At: at, Parts: []string{e.Name}}
	if e.Expr != nil {
		x = l.expr(e.Expr)
	}
	return ofType(at, x, e)
}

// ofType returns an element of an index that has a collation or an operator class, which is one of
// the type of the plaintext.
func ofType(at sqlparse.At, x sqlparse.Expr, e *ast.IndexElem) sqlparse.Expr {
	if len(e.Opclass) == 0 && len(e.Collation) == 0 {
		return x
	}
	return &sqlparse.Opaque{At: at, What: sqlparse.OperatorClass, Args: []sqlparse.Expr{x}}
}

var (
	returningFields       = handles[ast.ReturningClause]("Options", "Exprs")
	returningOptionFields = handles[ast.ReturningOption]("Option", "Value", "Location")
)

func (l *lowering) returning(r *ast.ReturningClause) *sqlparse.Returning {
	if r == nil {
		return nil
	}
	returningFields.check(l, r)
	out := &sqlparse.Returning{Old: "old", New: "new"}
	for _, n := range r.Options {
		o := n.GetReturningOption()
		if o == nil {
			l.unsupported("RETURNING with %s", kindOf(n))
		}
		returningOptionFields.check(l, o)
		l.at(o.Location)
		switch o.Option {
		case ast.ReturningOptionKind_RETURNING_OPTION_OLD:
			out.Old = o.Value
		case ast.ReturningOptionKind_RETURNING_OPTION_NEW:
			out.New = o.Value
		default:
			l.unsupported("RETURNING with the option %v", o.Option)
		}
	}
	out.Targets = l.targets(r.Exprs)
	if len(out.Targets) > 0 {
		out.At = sqlparse.At(out.Targets[0].Expr.Pos())
	}
	return out
}

var updateFields = handles[ast.UpdateStmt]("Relation", "TargetList", "WhereClause", "FromClause", "ReturningClause", "WithClause")

func (l *lowering) update(s *ast.UpdateStmt) sqlparse.Stmt {
	updateFields.check(l, s)
	out := &sqlparse.Update{At: l.here(), With: l.with(s.WithClause)}
	out.Table = l.tableName(s.Relation)
	out.Set = l.assigns(s.TargetList)
	out.From = l.tables(s.FromClause)
	out.Where = l.where(s.WhereClause)
	out.Returning = l.returning(s.ReturningClause)
	return out
}

var deleteFields = handles[ast.DeleteStmt]("Relation", "UsingClause", "WhereClause", "ReturningClause", "WithClause")

func (l *lowering) delete(s *ast.DeleteStmt) sqlparse.Stmt {
	deleteFields.check(l, s)
	out := &sqlparse.Delete{At: l.here(), With: l.with(s.WithClause)}
	out.Table = l.tableName(s.Relation)
	out.Using = l.tables(s.UsingClause)
	out.Where = l.where(s.WhereClause)
	out.Returning = l.returning(s.ReturningClause)
	return out
}

var currentOfFields = handles[ast.CurrentOfExpr]("CursorName")

// where lowers the WHERE of a write; nil for WHERE CURRENT OF.
func (l *lowering) where(n *ast.Node) sqlparse.Expr {
	if c := n.GetCurrentOfExpr(); c != nil {
		currentOfFields.check(l, c)
		return nil
	}
	return l.optional(n)
}

var (
	mergeFields = handles[ast.MergeStmt]("Relation", "SourceRelation", "JoinCondition", "MergeWhenClauses",
		"ReturningClause", "WithClause")
	mergeWhenFields = handles[ast.MergeWhenClause]("MatchKind", "CommandType", "Override", "Condition",
		"TargetList", "Values")
)

func (l *lowering) merge(s *ast.MergeStmt) sqlparse.Stmt {
	mergeFields.check(l, s)
	out := &sqlparse.Merge{At: l.here(), With: l.with(s.WithClause)}
	out.Table = l.tableName(s.Relation)
	out.Source = l.table(s.SourceRelation)
	out.On = l.expr(s.JoinCondition)
	for _, n := range s.MergeWhenClauses {
		w := n.GetMergeWhenClause()
		if w == nil {
			l.unsupported("a MERGE with %s", kindOf(n))
		}
		out.Whens = append(out.Whens, l.mergeWhen(w))
	}
	out.Returning = l.returning(s.ReturningClause)
	return out
}

func (l *lowering) mergeWhen(w *ast.MergeWhenClause) sqlparse.MergeWhen {
	mergeWhenFields.check(l, w)
	out := sqlparse.MergeWhen{At: l.here(), Cond: l.optional(w.Condition)}
	switch w.MatchKind {
	case ast.MergeMatchKind_MERGE_WHEN_MATCHED:
		out.Target, out.Source = true, true
	case ast.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_SOURCE:
		out.Target = true
	case ast.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_TARGET:
		out.Source = true
	default:
		l.unsupported("a MERGE with a match of the kind %v", w.MatchKind)
	}
	switch w.CommandType {
	case ast.CmdType_CMD_UPDATE:
		out.Set = l.assigns(w.TargetList)
	case ast.CmdType_CMD_INSERT:
		out.Insert = true
		out.Columns = l.columns(w.TargetList)
		out.Values = l.exprs(w.Values)
	case ast.CmdType_CMD_DELETE, ast.CmdType_CMD_NOTHING:
	default:
		l.unsupported("a MERGE with an action of the kind %v", w.CommandType)
	}
	return out
}
