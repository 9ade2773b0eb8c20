package pg

import (
	"strings"

	"github.com/sqlc-dev/oliphant/ast"

	"github.com/colseal/colseal/internal/sqlparse"
)

// rules lists every utility statement of PostgreSQL 18. A kind that is missing is
// unsupported; a test holds that none is missing.
var rules map[string]rule

// The rules refer to functions that refer to the rules.
func init() {
	rules = map[string]rule{
		// Tables, and what belongs to them.
		"CreateStmt":             {what: "CREATE TABLE", catalog: true, types: true, more: createTable},
		"CreateForeignTableStmt": {what: "CREATE FOREIGN TABLE", catalog: true, types: true, more: createForeignTable},
		"AlterTableStmt":         {what: "ALTER TABLE", catalog: true, types: true, more: alterTable},
		"AlterTableMoveAllStmt":  {what: "ALTER ALL IN TABLESPACE"},
		"CreateTableAsStmt":      {what: "CREATE TABLE AS", catalog: true, carries: true, reads: true, more: createTableAs},
		"RefreshMatViewStmt":     {what: "REFRESH MATERIALIZED VIEW", reads: true},
		"ViewStmt":               {what: "CREATE VIEW", catalog: true, carries: true, reads: true, more: createView},
		"RuleStmt":               {what: "CREATE RULE", catalog: true, carries: true},
		"CreateTrigStmt":         {what: "CREATE TRIGGER", more: createTrigger},
		"CreatePolicyStmt":       {what: "CREATE POLICY", more: createPolicy},
		"AlterPolicyStmt":        {what: "ALTER POLICY", more: alterPolicy},
		"IndexStmt":              {what: "CREATE INDEX", reads: true, more: createIndex},
		"CreateStatsStmt":        {what: "CREATE STATISTICS", reads: true, more: createStatistics},
		"AlterStatsStmt":         {what: "ALTER STATISTICS", reads: true},
		"CreateSeqStmt":          {what: "CREATE SEQUENCE", catalog: true, more: sequence},
		"AlterSeqStmt":           {what: "ALTER SEQUENCE", catalog: true, more: sequence},
		"TruncateStmt":           {what: "TRUNCATE"},
		"LockStmt":               {what: "LOCK TABLE", reads: true},
		"ClusterStmt":            {what: "CLUSTER", reads: true},
		"VacuumStmt":             {what: "VACUUM or ANALYZE", reads: true},
		"ReindexStmt":            {what: "REINDEX", reads: true},
		"CopyStmt":               {what: "COPY", session: true, carries: true, more: copyTable},

		// Objects of every kind.
		"DropStmt":               {what: "DROP", catalog: true, more: drop},
		"RenameStmt":             {what: "ALTER ... RENAME", catalog: true, more: rename},
		"AlterObjectSchemaStmt":  {what: "ALTER ... SET SCHEMA", catalog: true, more: alterObject},
		"AlterObjectDependsStmt": {what: "ALTER ... DEPENDS ON EXTENSION", more: alterObject},
		"AlterOwnerStmt":         {what: "ALTER ... OWNER TO", more: alterObject},
		"CommentStmt":            {what: "COMMENT", reads: true, more: comment},
		"SecLabelStmt":           {what: "SECURITY LABEL", reads: true, more: comment},

		// Sessions and transactions. A rollback takes back what was changed; so does
		// a COMMIT after an error, and each ends SET LOCAL.
		"TransactionStmt":    {what: "a transaction statement", more: transaction},
		"VariableSetStmt":    {what: "SET", session: true, more: setVariable},
		"VariableShowStmt":   {what: "SHOW"},
		"DiscardStmt":        {what: "DISCARD", session: true, catalog: true},
		"ConstraintsSetStmt": {what: "SET CONSTRAINTS", nameless: true},
		"CheckPointStmt":     {what: "CHECKPOINT"},
		"LoadStmt":           {what: "LOAD", session: true},
		"NotifyStmt":         {what: "NOTIFY"},
		"ListenStmt":         {what: "LISTEN"},
		"UnlistenStmt":       {what: "UNLISTEN"},
		"PrepareStmt":        {what: "PREPARE", carries: true, reads: true},
		"ExecuteStmt":        {what: "EXECUTE", session: true, more: execute},
		"DeallocateStmt":     {what: "DEALLOCATE"},
		"DeclareCursorStmt":  {what: "DECLARE CURSOR", carries: true, reads: true},
		"FetchStmt":          {what: "FETCH or MOVE", session: true},
		"ClosePortalStmt":    {what: "CLOSE"},

		// Programs, which may do anything.
		"DoStmt":             {what: "DO", catalog: true, session: true, carries: true, more: bodyOf},
		"CallStmt":           {what: "CALL", catalog: true, session: true, more: call},
		"CreateFunctionStmt": {what: "CREATE FUNCTION", catalog: true, carries: true, more: bodyOf},
		"AlterFunctionStmt":  {what: "ALTER FUNCTION", catalog: true},

		// Schemas and types: where names are looked up, and what they mean.
		"CreateSchemaStmt":           {what: "CREATE SCHEMA", catalog: true, more: createSchema},
		"CompositeTypeStmt":          {what: "CREATE TYPE", catalog: true, types: true, more: compositeType},
		"CreateEnumStmt":             {what: "CREATE TYPE", catalog: true, bounded: true},
		"CreateRangeStmt":            {what: "CREATE TYPE", catalog: true, types: true, bounded: true},
		"AlterEnumStmt":              {what: "ALTER TYPE", catalog: true, bounded: true},
		"AlterTypeStmt":              {what: "ALTER TYPE", catalog: true},
		"CreateDomainStmt":           {what: "CREATE DOMAIN", catalog: true, types: true, bounded: true},
		"AlterDomainStmt":            {what: "ALTER DOMAIN", catalog: true, types: true, more: alterDomain},
		"DefineStmt":                 {what: "CREATE", catalog: true, types: true, more: define},
		"AlterOperatorStmt":          {what: "ALTER OPERATOR", catalog: true},
		"CreateOpClassStmt":          {what: "CREATE OPERATOR CLASS", catalog: true, types: true},
		"CreateOpFamilyStmt":         {what: "CREATE OPERATOR FAMILY", catalog: true},
		"AlterOpFamilyStmt":          {what: "ALTER OPERATOR FAMILY", catalog: true},
		"CreateCastStmt":             {what: "CREATE CAST", catalog: true, types: true},
		"CreateTransformStmt":        {what: "CREATE TRANSFORM", catalog: true, types: true},
		"CreateConversionStmt":       {what: "CREATE CONVERSION", catalog: true},
		"AlterCollationStmt":         {what: "ALTER COLLATION", catalog: true},
		"CreatePLangStmt":            {what: "CREATE LANGUAGE", catalog: true},
		"CreateAmStmt":               {what: "CREATE ACCESS METHOD", catalog: true},
		"AlterTSDictionaryStmt":      {what: "ALTER TEXT SEARCH DICTIONARY"},
		"AlterTSConfigurationStmt":   {what: "ALTER TEXT SEARCH CONFIGURATION"},
		"CreateExtensionStmt":        {what: "CREATE EXTENSION", catalog: true},
		"AlterExtensionStmt":         {what: "ALTER EXTENSION", catalog: true},
		"AlterExtensionContentsStmt": {what: "ALTER EXTENSION", more: extensionContents},

		// Foreign data.
		"CreateFdwStmt":           {what: "CREATE FOREIGN DATA WRAPPER"},
		"AlterFdwStmt":            {what: "ALTER FOREIGN DATA WRAPPER"},
		"CreateForeignServerStmt": {what: "CREATE SERVER"},
		"AlterForeignServerStmt":  {what: "ALTER SERVER"},
		"CreateUserMappingStmt":   {what: "CREATE USER MAPPING"},
		"AlterUserMappingStmt":    {what: "ALTER USER MAPPING"},
		"DropUserMappingStmt":     {what: "DROP USER MAPPING"},
		"ImportForeignSchemaStmt": {what: "IMPORT FOREIGN SCHEMA", catalog: true},

		// Roles and rights. Schemas that may not be used are passed over when names are looked up.
		"GrantStmt":                  {what: "GRANT or REVOKE", catalog: true, session: true, reads: true, more: grant},
		"GrantRoleStmt":              {what: "GRANT or REVOKE", catalog: true, session: true},
		"AlterDefaultPrivilegesStmt": {what: "ALTER DEFAULT PRIVILEGES"},
		"CreateRoleStmt":             {what: "CREATE ROLE", catalog: true, session: true},
		"AlterRoleStmt":              {what: "ALTER ROLE", catalog: true, session: true},
		"AlterRoleSetStmt":           {what: "ALTER ROLE ... SET", more: alterSet},
		"DropRoleStmt":               {what: "DROP ROLE", catalog: true, session: true},
		"DropOwnedStmt":              {what: "DROP OWNED", catalog: true, more: dropOwned},
		"ReassignOwnedStmt":          {what: "REASSIGN OWNED", catalog: true, session: true},

		// The cluster.
		"CreatedbStmt":                 {what: "CREATE DATABASE"},
		"AlterDatabaseStmt":            {what: "ALTER DATABASE"},
		"AlterDatabaseSetStmt":         {what: "ALTER DATABASE ... SET", more: alterSet},
		"AlterDatabaseRefreshCollStmt": {what: "ALTER DATABASE"},
		"DropdbStmt":                   {what: "DROP DATABASE"},
		"AlterSystemStmt":              {what: "ALTER SYSTEM", more: alterSet},
		"CreateTableSpaceStmt":         {what: "CREATE TABLESPACE"},
		"DropTableSpaceStmt":           {what: "DROP TABLESPACE"},
		"AlterTableSpaceOptionsStmt":   {what: "ALTER TABLESPACE"},
		"CreateEventTrigStmt":          {what: "CREATE EVENT TRIGGER"},
		"AlterEventTrigStmt":           {what: "ALTER EVENT TRIGGER"},

		// Replication: it copies cells as they are, but a filter holds constants.
		"CreatePublicationStmt":  {what: "CREATE PUBLICATION", reads: true, more: publication},
		"AlterPublicationStmt":   {what: "ALTER PUBLICATION", reads: true, more: publication},
		"CreateSubscriptionStmt": {what: "CREATE SUBSCRIPTION"},
		"AlterSubscriptionStmt":  {what: "ALTER SUBSCRIPTION"},
		"DropSubscriptionStmt":   {what: "DROP SUBSCRIPTION"},
	}
}

// objectKind names a kind of object: OBJECT_FOREIGN_TABLE is FOREIGN TABLE.
func objectKind(t ast.ObjectType) string {
	if t == ast.ObjectType_OBJECT_MATVIEW {
		return "MATERIALIZED VIEW"
	}
	return strings.ReplaceAll(strings.TrimPrefix(t.String(), "OBJECT_"), "_", " ")
}

func define(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	u.What += " " + objectKind(n.GetDefineStmt().Kind)
}

// drop lowers DROP. With CASCADE more goes than is named.
func drop(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	d := n.GetDropStmt()
	u.What += " " + objectKind(d.RemoveType)
	before := len(u.Names)
	for _, o := range d.Objects {
		l.object(u, d.RemoveType, o)
	}
	cascade := d.Behavior == ast.DropBehavior_DROP_CASCADE
	switch d.RemoveType {
	case ast.ObjectType_OBJECT_SCHEMA:
		for _, o := range d.Objects {
			if cascade { // it fails otherwise, unless the schema is empty
				u.Schemas = append(u.Schemas, sqlparse.SchemaChange{Name: o.GetString_().GetSval()})
			}
		}
	case ast.ObjectType_OBJECT_TABLE, ast.ObjectType_OBJECT_VIEW, ast.ObjectType_OBJECT_MATVIEW,
		ast.ObjectType_OBJECT_FOREIGN_TABLE, ast.ObjectType_OBJECT_SEQUENCE, ast.ObjectType_OBJECT_INDEX:
		u.Bounded = !cascade
		for _, name := range u.Names[before:] {
			u.Changes = append(u.Changes, sqlparse.Change{Table: name})
		}
	case ast.ObjectType_OBJECT_TABCONSTRAINT, ast.ObjectType_OBJECT_POLICY, ast.ObjectType_OBJECT_TRIGGER:
		u.Bounded = !cascade
	}
}

func rename(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	r := n.GetRenameStmt()
	l.object(u, r.RenameType, r.Object)
	if r.RenameType == ast.ObjectType_OBJECT_SCHEMA {
		u.Schemas = append(u.Schemas, sqlparse.SchemaChange{Name: r.Subname, To: r.Newname})
	}
	if r.Relation == nil {
		l.moves(u, r.RenameType, r.Object)
		return
	}
	table := &sqlparse.TableName{At: l.here(), Schema: r.Relation.Schemaname, Name: r.Relation.Relname}
	switch r.RenameType {
	case ast.ObjectType_OBJECT_TABLE, ast.ObjectType_OBJECT_VIEW, ast.ObjectType_OBJECT_MATVIEW, ast.ObjectType_OBJECT_FOREIGN_TABLE,
		ast.ObjectType_OBJECT_INDEX, ast.ObjectType_OBJECT_SEQUENCE: // the server takes ALTER INDEX for a table, too
		to := &sqlparse.TableName{At: l.here(), Schema: r.Relation.Schemaname, Name: r.Newname}
		u.Names = append(u.Names, to)
		u.Renames = append(u.Renames, sqlparse.Rename{Table: table, To: r.Newname})
		u.Bounded, u.Changes = true, []sqlparse.Change{{Table: table}, {Table: to, Parents: []*sqlparse.TableName{table}}}
	case ast.ObjectType_OBJECT_COLUMN, ast.ObjectType_OBJECT_ATTRIBUTE: // ALTER TYPE names a table by its row type
		u.Renames = append(u.Renames, sqlparse.Rename{Table: table, Column: r.Subname, To: r.Newname})
		u.Bounded, u.Changes = true, []sqlparse.Change{{Table: table, Columns: []string{r.Subname, r.Newname}}}
	case ast.ObjectType_OBJECT_TABCONSTRAINT, ast.ObjectType_OBJECT_POLICY, ast.ObjectType_OBJECT_TRIGGER:
		u.Bounded = true
	}
}

// moves notes a function or type that gets another name or schema.
func (l *lowering) moves(u *sqlparse.Utility, kind ast.ObjectType, n *ast.Node) {
	names := n.GetList().GetItems()
	switch kind {
	case ast.ObjectType_OBJECT_FUNCTION, ast.ObjectType_OBJECT_PROCEDURE, ast.ObjectType_OBJECT_ROUTINE:
		names = n.GetObjectWithArgs().GetObjname()
	case ast.ObjectType_OBJECT_TYPE, ast.ObjectType_OBJECT_DOMAIN:
	default:
		return
	}
	schema, name := l.last(names)
	u.Moves = append(u.Moves, &sqlparse.TableName{At: l.here(), Schema: schema, Name: name})
}

func alterObject(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	switch x := n.GetNode().(type) {
	case *ast.Node_AlterObjectSchemaStmt:
		l.object(u, x.AlterObjectSchemaStmt.ObjectType, x.AlterObjectSchemaStmt.Object)
		if r := x.AlterObjectSchemaStmt.Relation; r != nil {
			table := &sqlparse.TableName{At: l.here(), Schema: r.Schemaname, Name: r.Relname}
			u.Renames = append(u.Renames, sqlparse.Rename{Table: table, ToSchema: x.AlterObjectSchemaStmt.Newschema})
			u.Bounded, u.Changes = true, []sqlparse.Change{{Table: table}}
		} else {
			l.moves(u, x.AlterObjectSchemaStmt.ObjectType, x.AlterObjectSchemaStmt.Object)
		}
	case *ast.Node_AlterObjectDependsStmt:
		l.object(u, x.AlterObjectDependsStmt.ObjectType, x.AlterObjectDependsStmt.Object)
	case *ast.Node_AlterOwnerStmt:
		l.object(u, x.AlterOwnerStmt.ObjectType, x.AlterOwnerStmt.Object)
		switch x.AlterOwnerStmt.ObjectType {
		case ast.ObjectType_OBJECT_SCHEMA, ast.ObjectType_OBJECT_DATABASE: // whose owner has the schema public
			u.Catalog, u.Session = true, true
		}
	}
}

func comment(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	switch x := n.GetNode().(type) {
	case *ast.Node_CommentStmt:
		l.object(u, x.CommentStmt.Objtype, x.CommentStmt.Object)
	case *ast.Node_SecLabelStmt:
		l.object(u, x.SecLabelStmt.Objtype, x.SecLabelStmt.Object)
	}
}

func extensionContents(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	x := n.GetAlterExtensionContentsStmt()
	l.object(u, x.Objtype, x.Object)
}

// createSchema takes over what the statements inside it are.
func createSchema(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	schema := n.GetCreateSchemaStmt()
	u.Bounded = true
	for _, elt := range schema.SchemaElts {
		in, ok := l.utility(elt).(*sqlparse.Utility)
		if !ok {
			l.unsupported("CREATE SCHEMA with %s", kindOf(elt))
		}
		u.Carries = u.Carries || in.Carries
		u.Definitions = append(u.Definitions, in.Definitions...)
		u.Changes, u.Bounded = append(u.Changes, in.Changes...), u.Bounded && (in.Bounded || !in.Catalog && !in.Session)
		if u.Forbidden == "" {
			u.Forbidden = in.Forbidden
		}
	}
	for i := range u.Definitions { // what it creates stands in the new schema
		if t := u.Definitions[i].Table; t.Schema == "" {
			t.Schema = schema.Schemaname
		}
	}
}

// sequence adds the table of OWNED BY.
func sequence(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	options := n.GetCreateSeqStmt().GetOptions()
	if s := n.GetAlterSeqStmt(); s != nil {
		options = s.Options
	}
	for _, o := range options {
		if d := o.GetDefElem(); d.GetDefname() == "owned_by" {
			l.name(u, d.Arg, 1)
		}
	}
	u.Reads = true
	l.changes(u, n.GetCreateSeqStmt().GetSequence())
}

func createView(l *lowering, n *ast.Node, u *sqlparse.Utility) { l.changes(u, n.GetViewStmt().View) }

// compositeType notes the name of a row type, which is that of a relation as well.
func compositeType(l *lowering, n *ast.Node, u *sqlparse.Utility) {
	l.changes(u, n.GetCompositeTypeStmt().Typevar)
}

// alterDomain notes the domain, which may be one over a row type.
func alterDomain(l *lowering, n *ast.Node, _ *sqlparse.Utility) {
	if d := n.GetAlterDomainStmt(); d.Def != nil {
		l.rowType(&ast.TypeName{Names: d.TypeName})
	}
}

// copyTable: COPY table TO only reads. A query may write.
func copyTable(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	u.Reads = !n.GetCopyStmt().IsFrom && n.GetCopyStmt().Query == nil
}

// grant: only rights to schemas change what names mean.
func grant(_ *lowering, n *ast.Node, u *sqlparse.Utility) {
	u.Bounded = n.GetGrantStmt().Objtype != ast.ObjectType_OBJECT_SCHEMA
}

func dropOwned(_ *lowering, _ *ast.Node, u *sqlparse.Utility) { u.Everything = true }
