package pg

import (
	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// The fields of table definitions that hold no expression, or one that the functions
// below look at.
var (
	createFields = handles[ast.CreateStmt]("Relation", "TableElts", "InhRelations", "Partbound", "Partspec",
		"OfTypename", "Options", "Oncommit", "Tablespacename", "AccessMethod", "IfNotExists")
	columnDefFields = handles[ast.ColumnDef]("Colname", "TypeName", "Compression", "Inhcount", "IsLocal", "IsNotNull",
		"IsFromType", "Storage", "StorageName", "RawDefault", "Identity", "Generated", "CollClause",
		"Constraints", "Fdwoptions", "Location")
	constraintFields = handles[ast.Constraint]("Contype", "Conname", "Deferrable", "Initdeferred", "IsEnforced",
		"SkipValidation", "InitiallyValid", "IsNoInherit", "RawExpr", "GeneratedWhen", "GeneratedKind",
		"NullsNotDistinct", "Keys", "WithoutOverlaps", "Including", "Exclusions", "Options", "Indexname", "Indexspace",
		"ResetDefaultTblspc", "AccessMethod", "WhereClause", "Pktable", "FkAttrs", "PkAttrs", "FkWithPeriod",
		"PkWithPeriod", "FkMatchtype", "FkUpdAction", "FkDelAction", "FkDelSetCols", "Location")
	alterTableFields = handles[ast.AlterTableStmt]("Relation", "Cmds", "Objtype", "MissingOk")
	alterCmdFields   = handles[ast.AlterTableCmd]("Subtype", "Name", "Num", "Newowner", "Def", "Behavior",
		"MissingOk", "Recurse")
	partBoundFields = handles[ast.PartitionBoundSpec]("Strategy", "IsDefault", "Modulus", "Remainder", "Listdatums",
		"Lowerdatums", "Upperdatums", "Location")
)

func createTable(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	l.defineTable(n.GetCreateStmt(), u)
}

func createForeignTable(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	l.defineTable(n.GetCreateForeignTableStmt().GetBaseStmt(), u)
}

func (l *lowering) defineTable(c *ast.CreateStmt, u *sqlparse.Utility) {
	createFields.check(l, c)
	table := l.tableName(c.Relation)
	for _, e := range c.TableElts {
		switch x := e.GetNode().(type) {
		case *ast.Node_ColumnDef:
			l.columnDef(u, table, x.ColumnDef)
		case *ast.Node_Constraint:
			l.constraint(u, table, "", x.Constraint)
		case *ast.Node_TableLikeClause: // copies defaults of columns, which were judged when made
		default:
			l.unsupported("a table with %s", kindOf(e))
		}
	}
	l.partBound(u, c.Partbound)
	for _, p := range c.Partspec.GetPartParams() {
		if p.GetPartitionElem().GetExpr() != nil {
			u.Carries = true
		}
	}
}

// columnDef records a column's default. A generated column and an identity are given
// values by the server as well.
func (l *lowering) columnDef(u *sqlparse.Utility, table *sqlparse.TableName, d *ast.ColumnDef) {
	columnDefFields.check(l, d)
	l.at(d.Location)
	l.columnDefault(u, table, d.Colname, d.RawDefault)
	for _, n := range d.Constraints {
		switch x := n.GetNode().(type) {
		case *ast.Node_Constraint:
			l.constraint(u, table, d.Colname, x.Constraint)
		case *ast.Node_CollateClause:
		default:
			l.unsupported("a column with %s", kindOf(n))
		}
	}
}

// constraint judges a constraint of a column, or of a table when column is "".
func (l *lowering) constraint(u *sqlparse.Utility, table *sqlparse.TableName, column string, c *ast.Constraint) {
	constraintFields.check(l, c)
	l.at(c.Location)
	switch c.Contype {
	case ast.ConstrType_CONSTR_DEFAULT:
		l.columnDefault(u, table, column, c.RawExpr)
	case ast.ConstrType_CONSTR_GENERATED, ast.ConstrType_CONSTR_IDENTITY:
		l.addDefault(u, table, column)
	case ast.ConstrType_CONSTR_EXCLUSION:
		if c.WhereClause != nil {
			u.Carries = true
		}
		for _, e := range c.Exclusions {
			for _, item := range e.GetList().GetItems() {
				u.Carries = u.Carries || item.GetIndexElem().GetExpr() != nil
			}
		}
	case ast.ConstrType_CONSTR_TYPE_UNDEFINED:
		l.unsupported("a constraint of an unknown kind")
	}
}

// columnDefault records a default unless there is none or it is NULL.
func (l *lowering) columnDefault(u *sqlparse.Utility, table *sqlparse.TableName, column string, e *ast.Node) {
	for e.GetTypeCast() != nil {
		e = e.GetTypeCast().Arg
	}
	if e == nil || e.GetAConst().GetIsnull() {
		return
	}
	l.addDefault(u, table, column)
}

func (l *lowering) addDefault(u *sqlparse.Utility, table *sqlparse.TableName, column string) {
	u.Defaults = append(u.Defaults, sqlparse.ColumnDefault{Table: table, Column: column, At: int(l.here())})
}

// partBound: the bounds of a partition are values of its key.
func (l *lowering) partBound(u *sqlparse.Utility, b *ast.PartitionBoundSpec) {
	if b == nil {
		return
	}
	partBoundFields.check(l, b)
	if len(b.Listdatums)+len(b.Lowerdatums)+len(b.Upperdatums) > 0 {
		u.Carries = true
	}
}

func alterTable(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	a := n.GetAlterTableStmt()
	alterTableFields.check(l, a)
	u.What = "ALTER " + objectKind(a.Objtype)
	table := l.tableName(a.Relation)
	for _, c := range a.Cmds {
		cmd := c.GetAlterTableCmd()
		if cmd == nil {
			l.unsupported("ALTER TABLE with %s", kindOf(c))
		}
		alterCmdFields.check(l, cmd)
		l.alterCmd(u, table, cmd)
	}
}

func (l *lowering) alterCmd(u *sqlparse.Utility, table *sqlparse.TableName, c *ast.AlterTableCmd) {
	switch c.Subtype {
	case ast.AlterTableType_AT_AddColumn:
		if d := c.Def.GetColumnDef(); d != nil {
			l.columnDef(u, table, d)
		}
	case ast.AlterTableType_AT_ColumnDefault:
		l.columnDefault(u, table, c.Name, c.Def)
	case ast.AlterTableType_AT_SetExpression, ast.AlterTableType_AT_AddIdentity, ast.AlterTableType_AT_SetIdentity:
		l.addDefault(u, table, c.Name)
	case ast.AlterTableType_AT_AddConstraint:
		if k := c.Def.GetConstraint(); k != nil {
			l.constraint(u, table, "", k)
		}
	case ast.AlterTableType_AT_AttachPartition:
		l.partBound(u, c.Def.GetPartitionCmd().GetBound())
	case ast.AlterTableType_ALTER_TABLE_TYPE_UNDEFINED:
		l.unsupported("ALTER TABLE with a command of an unknown kind")
	}
}

func createTrigger(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	u.Carries = n.GetCreateTrigStmt().WhenClause != nil
}

// createIndex: an expression or a predicate holds constants.
func createIndex(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	x := n.GetIndexStmt()
	u.Carries = x.WhereClause != nil
	for _, p := range x.IndexParams {
		u.Carries = u.Carries || p.GetIndexElem().GetExpr() != nil
	}
}

func createStatistics(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	for _, e := range n.GetCreateStatsStmt().Exprs {
		u.Carries = u.Carries || e.GetStatsElem().GetExpr() != nil
	}
}
