package pg

import (
	"slices"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// The fields of table definitions. A field with an expression is lowered below; the others
// hold names, types and options.
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
	partSpecFields = handles[ast.PartitionSpec]("Strategy", "PartParams", "Location")
	partElemFields = handles[ast.PartitionElem]("Name", "Expr", "Collation", "Opclass", "Location")
	triggerFields  = handles[ast.CreateTrigStmt]("Replace", "Isconstraint", "Trigname", "Relation", "Funcname", "Args",
		"Row", "Timing", "Events", "Columns", "WhenClause", "TransitionRels", "Deferrable", "Initdeferred", "Constrrel")
	indexFields = handles[ast.IndexStmt]("Idxname", "Relation", "AccessMethod", "TableSpace", "IndexParams",
		"IndexIncludingParams", "Options", "WhereClause", "Unique", "NullsNotDistinct", "Concurrent", "IfNotExists")
	definedElemFields = handles[ast.IndexElem]("Name", "Expr", "Indexcolname", "Collation", "Opclass", "Opclassopts",
		"Ordering", "NullsOrdering")
	policyFields      = handles[ast.CreatePolicyStmt]("PolicyName", "Table", "CmdName", "Permissive", "Roles", "Qual", "WithCheck")
	alterPolicyFields = handles[ast.AlterPolicyStmt]("PolicyName", "Table", "Roles", "Qual", "WithCheck")
	statisticsFields  = handles[ast.CreateStatsStmt]("Defnames", "StatTypes", "Exprs", "Relations", "IfNotExists")
)

// define lowers what a statement defines. If an expression of it cannot be lowered, the
// statement carries it unseen, and its names decide.
func (l *lowering) define(u *sqlparse.Utility, lower func()) {
	depth, before := l.depth, len(u.Definitions)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *sqlparse.Error:
			l.depth, u.Definitions = depth, u.Definitions[:before]
			u.Carries, u.Bounded = true, false
		default:
			panic(r)
		}
	}()
	lower()
}

// add adds a definition of an expression; none if there is no expression.
func (l *lowering) add(u *sqlparse.Utility, d sqlparse.Definition, e *ast.Node) {
	if e == nil {
		return
	}
	d.Expr = l.expr(e)
	d.At = sqlparse.At(d.Expr.Pos())
	u.Definitions = append(u.Definitions, d)
}

// changes notes the relation that a statement makes or changes, as the only one.
func (l *lowering) changes(u *sqlparse.Utility, r *ast.RangeVar) {
	u.Bounded = true
	if r != nil {
		u.Changes = append(u.Changes, sqlparse.Change{Table: l.tableName(r)})
	}
}

func temporary(r *ast.RangeVar) bool { return r.GetRelpersistence() == "t" }

func createTable(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	c := n.GetCreateStmt()
	u.Reads = len(c.InhRelations) == 0
	u.Temporary = u.Reads && temporary(c.Relation) // a child can stand for a sealed table
	l.changes(u, c.Relation)
	u.Changes[len(u.Changes)-1].Parents = l.parents(c)
	l.define(u, func() { l.defineTable(c, u) })
}

// parents returns the relations that a table is a child or a partition of.
func (l *lowering) parents(c *ast.CreateStmt) []*sqlparse.TableName {
	var out []*sqlparse.TableName
	for _, parent := range c.InhRelations {
		out = append(out, l.tableName(parent.GetRangeVar()))
	}
	return out
}

func createForeignTable(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	f := n.GetCreateForeignTableStmt()
	l.changes(u, f.BaseStmt.Relation)
	u.Changes[len(u.Changes)-1].Parents = append(l.parents(f.BaseStmt), l.remote(f.Options)...)
	l.define(u, func() { l.defineTable(f.BaseStmt, u) })
}

// remote returns the relation that a foreign table stands for, elsewhere, by its options.
func (l *lowering) remote(options []*ast.Node) []*sqlparse.TableName {
	var out []*sqlparse.TableName
	for _, o := range options {
		if d := o.GetDefElem(); d.GetDefname() == "table_name" && d.Arg != nil { // it is nil of DROP
			out = append(out, &sqlparse.TableName{At: l.here(), Name: d.Arg.GetString_().GetSval()})
		}
	}
	return out
}

func (l *lowering) defineTable(c *ast.CreateStmt, u *sqlparse.Utility) {
	createFields.check(l, c)
	table := l.tableName(c.Relation)
	parents := l.parents(c)
	for _, e := range c.TableElts {
		switch x := e.GetNode().(type) {
		case *ast.Node_ColumnDef:
			l.columnDef(u, table, x.ColumnDef)
		case *ast.Node_Constraint:
			l.constraint(u, table, "", x.Constraint)
		case *ast.Node_TableLikeClause: // copies what was judged when it was made
		default:
			l.unsupported("a table with %s", kindOf(e))
		}
	}
	l.partSpec(u, table, c.Partspec)
	for _, d := range slices.Clone(u.Definitions) { // the columns that it names may be a parent's
		for _, parent := range parents {
			d.Table, d.Rows = parent, []string{table.Name}
			u.Definitions = append(u.Definitions, d)
		}
	}
	if c.Partbound != nil {
		for _, parent := range parents {
			l.partBound(u, parent, c.Partbound)
		}
	}
}

// partSpec lowers PARTITION BY. By HASH, the server compares what is in a column with
// nothing that is written in a statement.
func (l *lowering) partSpec(u *sqlparse.Utility, table *sqlparse.TableName, s *ast.PartitionSpec) {
	if s == nil {
		return
	}
	partSpecFields.check(l, s)
	for _, n := range s.PartParams {
		p := n.GetPartitionElem()
		if p == nil {
			l.unsupported("a partition key with %s", kindOf(n))
		}
		partElemFields.check(l, p)
		at := l.at(p.Location)
		d := sqlparse.Definition{What: "PARTITION BY", Table: table}
		l.add(u, d, p.Expr)
		if p.Name != "" && s.Strategy != ast.PartitionStrategy_PARTITION_STRATEGY_HASH {
			d.At, d.Expr = at, &sqlparse.Column{At: at, Parts: []string{p.Name}}
			u.Definitions = append(u.Definitions, d)
		}
	}
}

// columnDef lowers the definition of a column.
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

// constraint lowers a constraint of a column, or of a table when column is "".
func (l *lowering) constraint(u *sqlparse.Utility, table *sqlparse.TableName, column string, c *ast.Constraint) {
	constraintFields.check(l, c)
	at := l.at(c.Location)
	switch c.Contype {
	case ast.ConstrType_CONSTR_DEFAULT:
		l.columnDefault(u, table, column, c.RawExpr)
	case ast.ConstrType_CONSTR_GENERATED:
		l.add(u, sqlparse.Definition{What: "GENERATED", Table: table, Column: column}, c.RawExpr)
	case ast.ConstrType_CONSTR_IDENTITY:
		l.identity(u, table, column)
	case ast.ConstrType_CONSTR_CHECK:
		l.add(u, sqlparse.Definition{What: "CHECK", Condition: true, Table: table, Text: l.checkText(int(at))}, c.RawExpr)
	case ast.ConstrType_CONSTR_EXCLUSION:
		l.add(u, sqlparse.Definition{What: "EXCLUDE", Condition: true, Table: table}, c.WhereClause)
		for _, n := range c.Exclusions {
			items := n.GetList().GetItems()
			if len(items) != 2 {
				l.unsupported("EXCLUDE in an unknown form")
			}
			l.element(u, sqlparse.Definition{What: "EXCLUDE", Table: table}, items[0], true)
		}
	case ast.ConstrType_CONSTR_PRIMARY:
		l.keys(u, sqlparse.Definition{At: at, What: "PRIMARY KEY", Table: table}, column, c.Keys)
	case ast.ConstrType_CONSTR_UNIQUE:
		l.keys(u, sqlparse.Definition{At: at, What: "UNIQUE", Table: table}, column, c.Keys)
	case ast.ConstrType_CONSTR_FOREIGN:
		to := &sqlparse.Reference{Table: l.tableName(c.Pktable), Columns: l.names(c.PkAttrs)}
		l.keys(u, sqlparse.Definition{At: at, What: "FOREIGN KEY", Table: table, References: to}, column, c.FkAttrs)
	case ast.ConstrType_CONSTR_NULL, ast.ConstrType_CONSTR_NOTNULL,
		ast.ConstrType_CONSTR_ATTR_DEFERRABLE, ast.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE,
		ast.ConstrType_CONSTR_ATTR_DEFERRED, ast.ConstrType_CONSTR_ATTR_IMMEDIATE,
		ast.ConstrType_CONSTR_ATTR_ENFORCED, ast.ConstrType_CONSTR_ATTR_NOT_ENFORCED:
	default:
		l.unsupported("a constraint of an unknown kind")
	}
}

// keys lowers the columns of a key: those that are named, or the column that has the constraint.
func (l *lowering) keys(u *sqlparse.Utility, d sqlparse.Definition, column string, named []*ast.Node) {
	if d.Keys = l.names(named); d.Keys == nil && column != "" {
		d.Keys = []string{column}
	}
	if d.Keys != nil { // they are an index's otherwise
		u.Definitions = append(u.Definitions, d)
	}
}

// checkText returns the text of the CHECK at or behind a position, with its parentheses; "" if it
// cannot be found.
func (l *lowering) checkText(pos int) string {
	tokens, err := scan(l.text)
	if err != nil {
		return ""
	}
	r := reader{tokens, l.text}
	for i := r.find(pos); i < len(tokens); i++ {
		if !r.is(i, "check") || !r.is(i+1, "(") {
			continue
		}
		end, ok := r.group(i + 1)
		if !ok {
			return ""
		}
		return l.text[tokens[i+1].Start:tokens[end-1].End]
	}
	return ""
}

// element lowers an element of an index, of statistics or of EXCLUDE. named: a column that is
// only named counts as an expression.
func (l *lowering) element(u *sqlparse.Utility, d sqlparse.Definition, n *ast.Node, named bool) {
	x := n.GetIndexElem()
	if x == nil {
		l.unsupported("%s with %s", d.What, kindOf(n))
	}
	definedElemFields.check(l, x)
	l.add(u, d, x.Expr)
	if x.Name != "" && (named || len(x.Opclass) > 0 || len(x.Collation) > 0) {
		d.At, d.Expr = l.here(), ofType(l.here(), &sqlparse.Column{At: l.here(), Parts: []string{x.Name}}, x)
		u.Definitions = append(u.Definitions, d)
	}
}

// columnDefault lowers a default, unless it is NULL. A column that holds cells does not take one of
// another type.
func (l *lowering) columnDefault(u *sqlparse.Utility, table *sqlparse.TableName, column string, e *ast.Node) {
	bare := e
	for bare.GetTypeCast() != nil && l.typeName(bare.GetTypeCast().TypeName).Name == "bytea" {
		bare = bare.GetTypeCast().Arg
	}
	if bare.GetAConst().GetIsnull() {
		return
	}
	l.add(u, sqlparse.Definition{What: "DEFAULT", Table: table, Column: column}, e)
}

// identity notes a column of which the server makes up the values.
func (l *lowering) identity(u *sqlparse.Utility, table *sqlparse.TableName, column string) {
	u.Definitions = append(u.Definitions, sqlparse.Definition{At: l.here(), What: "GENERATED", Table: table, Column: column})
}

// partBound notes the bounds of a partition, which are values of the parent's key.
func (l *lowering) partBound(u *sqlparse.Utility, parent *sqlparse.TableName, b *ast.PartitionBoundSpec) {
	if b == nil {
		return
	}
	partBoundFields.check(l, b)
	if len(b.Listdatums)+len(b.Lowerdatums)+len(b.Upperdatums) > 0 {
		u.Definitions = append(u.Definitions, sqlparse.Definition{
			At: l.at(b.Location), What: "FOR VALUES", Table: parent, Bounds: true,
		})
	}
}

func alterTable(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	a := n.GetAlterTableStmt()
	u.What = "ALTER " + objectKind(a.Objtype)
	u.Bounded, u.Computes = true, true
	l.define(u, func() {
		alterTableFields.check(l, a)
		table := l.tableName(a.Relation)
		for _, c := range a.Cmds {
			cmd := c.GetAlterTableCmd()
			if cmd == nil {
				l.unsupported("ALTER TABLE with %s", kindOf(c))
			}
			alterCmdFields.check(l, cmd)
			l.alterCmd(u, table, cmd)
		}
	})
}

// alterCmd lowers one command of ALTER TABLE.
func (l *lowering) alterCmd(u *sqlparse.Utility, table *sqlparse.TableName, c *ast.AlterTableCmd) {
	changes := func(columns ...string) {
		u.Changes = append(u.Changes, sqlparse.Change{Table: table, Columns: columns})
	}
	u.Bounded = u.Bounded && c.Behavior != ast.DropBehavior_DROP_CASCADE // which reaches other relations
	switch c.Subtype {
	case ast.AlterTableType_AT_AddColumn:
		d := c.Def.GetColumnDef()
		if d == nil {
			l.unsupported("ADD COLUMN with %s", kindOf(c.Def))
		}
		changes(d.Colname)
		l.columnDef(u, table, d)
	case ast.AlterTableType_AT_ColumnDefault:
		before := len(u.Definitions)
		l.columnDefault(u, table, c.Name, c.Def)
		if len(u.Definitions) > before { // that a default goes does no harm
			changes(c.Name)
		}
	case ast.AlterTableType_AT_SetExpression:
		changes(c.Name)
		l.add(u, sqlparse.Definition{What: "SET EXPRESSION", Table: table, Column: c.Name}, c.Def)
	case ast.AlterTableType_AT_AddIdentity, ast.AlterTableType_AT_SetIdentity:
		changes(c.Name)
		l.identity(u, table, c.Name)
	case ast.AlterTableType_AT_AlterColumnType:
		changes(c.Name)
		l.columnType(u, table, c)
	case ast.AlterTableType_AT_DropColumn, ast.AlterTableType_AT_DropIdentity, ast.AlterTableType_AT_DropExpression:
		changes(c.Name)
	case ast.AlterTableType_AT_AddConstraint:
		k := c.Def.GetConstraint()
		if k == nil {
			l.unsupported("ADD CONSTRAINT with %s", kindOf(c.Def))
		}
		l.constraint(u, table, "", k)
	case ast.AlterTableType_AT_AttachPartition:
		changes()
		u.Changes = append(u.Changes, sqlparse.Change{Table: l.tableName(c.Def.GetPartitionCmd().GetName()), Parents: []*sqlparse.TableName{table}})
		l.partBound(u, table, c.Def.GetPartitionCmd().GetBound())
	case ast.AlterTableType_AT_AddInherit:
		u.Changes = append(u.Changes, sqlparse.Change{Table: table, Parents: []*sqlparse.TableName{l.tableName(c.Def.GetRangeVar())}})
	case ast.AlterTableType_AT_DetachPartition, ast.AlterTableType_AT_DetachPartitionFinalize, ast.AlterTableType_AT_DropInherit,
		ast.AlterTableType_AT_AddOf, ast.AlterTableType_AT_DropOf:
		changes()
	case ast.AlterTableType_AT_GenericOptions:
		changes() // without a table_name it stands for one that has its name
		if to := l.remote(c.Def.GetList().GetItems()); to != nil {
			u.Changes = append(u.Changes, sqlparse.Change{Table: table, Parents: to})
		}
	case ast.AlterTableType_AT_SetNotNull, ast.AlterTableType_AT_DropNotNull, ast.AlterTableType_AT_DropConstraint,
		ast.AlterTableType_AT_AlterConstraint, ast.AlterTableType_AT_ValidateConstraint, ast.AlterTableType_AT_AddIndexConstraint,
		ast.AlterTableType_AT_SetStatistics, ast.AlterTableType_AT_SetOptions, ast.AlterTableType_AT_ResetOptions,
		ast.AlterTableType_AT_SetStorage, ast.AlterTableType_AT_SetCompression, ast.AlterTableType_AT_ChangeOwner,
		ast.AlterTableType_AT_ClusterOn, ast.AlterTableType_AT_DropCluster, ast.AlterTableType_AT_SetLogged,
		ast.AlterTableType_AT_SetUnLogged, ast.AlterTableType_AT_DropOids, ast.AlterTableType_AT_SetAccessMethod,
		ast.AlterTableType_AT_SetTableSpace, ast.AlterTableType_AT_SetRelOptions, ast.AlterTableType_AT_ResetRelOptions,
		ast.AlterTableType_AT_EnableTrig, ast.AlterTableType_AT_EnableAlwaysTrig, ast.AlterTableType_AT_EnableReplicaTrig,
		ast.AlterTableType_AT_DisableTrig, ast.AlterTableType_AT_EnableTrigAll, ast.AlterTableType_AT_DisableTrigAll,
		ast.AlterTableType_AT_EnableTrigUser, ast.AlterTableType_AT_DisableTrigUser,
		ast.AlterTableType_AT_EnableRule, ast.AlterTableType_AT_EnableAlwaysRule, ast.AlterTableType_AT_EnableReplicaRule,
		ast.AlterTableType_AT_DisableRule, ast.AlterTableType_AT_ReplicaIdentity,
		ast.AlterTableType_AT_EnableRowSecurity, ast.AlterTableType_AT_DisableRowSecurity,
		ast.AlterTableType_AT_ForceRowSecurity, ast.AlterTableType_AT_NoForceRowSecurity,
		ast.AlterTableType_AT_AlterColumnGenericOptions:
	default: // the others are made by the server, never by the grammar
		l.unsupported("ALTER TABLE with a command of an unknown kind")
	}
}

// columnType lowers ALTER COLUMN … TYPE.
func (l *lowering) columnType(u *sqlparse.Utility, table *sqlparse.TableName, c *ast.AlterTableCmd) {
	d := c.Def.GetColumnDef()
	if d == nil {
		l.unsupported("ALTER COLUMN TYPE with %s", kindOf(c.Def))
	}
	columnDefFields.check(l, d)
	typ := l.typeName(d.TypeName)
	def := sqlparse.Definition{At: l.at(d.Location), What: "ALTER COLUMN ... TYPE", Table: table, Column: c.Name, Type: &typ}
	if d.RawDefault != nil {
		def.Expr = l.expr(d.RawDefault)
	}
	u.Definitions = append(u.Definitions, def)
}

// createTrigger lowers the condition of a trigger. What its function does is not seen.
func createTrigger(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	t := n.GetCreateTrigStmt()
	l.define(u, func() {
		triggerFields.check(l, t)
		l.add(u, sqlparse.Definition{What: "a trigger's WHEN", Condition: true, Table: l.tableName(t.Relation), Rows: []string{"old", "new"}}, t.WhenClause)
	})
}

func createIndex(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	x := n.GetIndexStmt()
	u.Computes = true
	l.define(u, func() {
		indexFields.check(l, x)
		table := l.tableName(x.Relation)
		keys := sqlparse.Definition{At: table.At, What: "a unique index", Table: table}
		for _, p := range x.IndexParams {
			l.element(u, sqlparse.Definition{What: "an index", Table: table}, p, false)
			if name := p.GetIndexElem().GetName(); name != "" && x.Unique {
				keys.Keys = append(keys.Keys, name)
			}
		}
		if keys.Keys != nil {
			u.Definitions = append(u.Definitions, keys)
		}
		l.add(u, sqlparse.Definition{What: "an index predicate", Condition: true, Table: table}, x.WhereClause)
	})
}

func createStatistics(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	x := n.GetCreateStatsStmt()
	l.define(u, func() {
		statisticsFields.check(l, x)
		for _, e := range x.Exprs {
			s := e.GetStatsElem()
			if s == nil || len(x.Relations) != 1 {
				l.unsupported("CREATE STATISTICS in an unknown form")
			}
			l.add(u, sqlparse.Definition{What: "CREATE STATISTICS", Table: l.tableName(x.Relations[0].GetRangeVar())}, s.Expr)
		}
	})
}

func createPolicy(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	p := n.GetCreatePolicyStmt()
	l.define(u, func() {
		policyFields.check(l, p)
		l.policy(u, p.Table, p.Qual, p.WithCheck)
	})
}

func alterPolicy(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	p := n.GetAlterPolicyStmt()
	l.define(u, func() {
		alterPolicyFields.check(l, p)
		l.policy(u, p.Table, p.Qual, p.WithCheck)
	})
}

func (l *lowering) policy(u *sqlparse.Utility, r *ast.RangeVar, conditions ...*ast.Node) {
	table := l.tableName(r)
	for _, e := range conditions {
		l.add(u, sqlparse.Definition{What: "a policy", Condition: true, Table: table}, e)
	}
}

// publication lowers the row filters of a publication. It copies cells as they are.
func publication(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	objects := n.GetCreatePublicationStmt().GetPubobjects()
	if a := n.GetAlterPublicationStmt(); a != nil {
		objects = a.Pubobjects
	}
	l.define(u, func() {
		for _, o := range objects {
			if t := o.GetPublicationObjSpec().GetPubtable(); t.GetWhereClause() != nil {
				l.add(u, sqlparse.Definition{What: "a publication's WHERE", Condition: true, Table: l.tableName(t.Relation)}, t.WhereClause)
			}
		}
	})
}
