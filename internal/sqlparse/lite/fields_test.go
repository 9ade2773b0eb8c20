package lite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// coverage says, for every struct of the grammar's tree, which of its fields the
// lowering reads and which it leaves out because they cannot matter to the flow
// of values. A struct or field that is in neither fails the test: an upgrade of
// the grammar has to be read before it is used. Span is embedded in all.
var coverage = map[string]struct{ reads, leaves string }{
	// Statements.
	"SelectStmt":             {"With Cores Ops", ""},
	"InsertStmt":             {"With Replace OrConflict Table Alias Columns Select DefaultValues Upserts Returning", ""},
	"UpdateStmt":             {"With Table Alias Set From Where Returning OrderBy Limit", "OrConflict IndexedBy NotIndexed"},
	"DeleteStmt":             {"With Table Alias Where Returning OrderBy Limit", "IndexedBy NotIndexed"},
	"ExplainStmt":            {"Stmt", "QueryPlan"},
	"CreateTableStmt":        {"Name Columns Constraints Select", "Temp IfNotExists Options"},
	"CreateIndexStmt":        {"Name Table Columns Unique Where", "IfNotExists"},
	"CreateViewStmt":         {"Name Select", "Temp IfNotExists Columns"},
	"CreateTriggerStmt":      {"Name Table When Body", "Temp IfNotExists Time HasTime Event UpdateOf ForEachRow"},
	"CreateVirtualTableStmt": {"Name Args", "IfNotExists Module HasArgs"},
	"AlterTableStmt":         {"Table Action Column NewName ColumnDef Expr", "ColumnKeyword ConstraintName OnConflict"},
	"DropTableStmt":          {"Name", "IfExists"},
	"DropViewStmt":           {"Name", "IfExists"},
	"DropIndexStmt":          {"Name", "IfExists"},
	"DropTriggerStmt":        {"Name", "IfExists"},
	"PragmaStmt":             {"Name Value HasValue", "Paren"},
	"AttachStmt":             {"File Name Key", "HasDatabase"},
	"DetachStmt":             {"Name", "HasDatabase"},
	"VacuumStmt":             {"Into", "Schema"},
	"AnalyzeStmt":            {"Name", ""},
	"ReindexStmt":            {"Name", ""},
	"BeginStmt":              {"", "Type HasType HasTransaction Name"},
	"CommitStmt":             {"", "Keyword HasTransaction Name"},
	"RollbackStmt":           {"", "HasTransaction Name Savepoint SavepointKeyword"},
	"SavepointStmt":          {"", "Name"},
	"ReleaseStmt":            {"", "SavepointKeyword Name"},

	// Parts of statements.
	"SelectQuery":      {"Distinct Columns From Where GroupBy Having Windows OrderBy Limit", ""},
	"ValuesClause":     {"Rows", ""},
	"CompoundOp":       {"Op All", ""},
	"ResultColumn":     {"Expr Alias", "HasAs"},
	"JoinOperator":     {"Type Words", ""},
	"TableRef":         {"Join Name Args HasArgs Select List Alias On Using", "HasAs IndexedBy NotIndexed"},
	"OrderingTerm":     {"Expr", "Order Nulls"},
	"Limit":            {"Count Offset", "Comma"},
	"With":             {"CTEs", "Recursive"},
	"CTE":              {"Name Columns Select", "Materialized"},
	"FrameBound":       {"Expr", "Type"},
	"WindowDef":        {"Name Base Partition OrderBy StartBound EndBound", "NameOnly Frame Exclude"},
	"Upsert":           {"Target TargetWhere DoNothing Set Where", ""},
	"SetPair":          {"Columns Value", "Paren"},
	"QualifiedName":    {"Schema Name", ""},
	"TypeName":         {"Name", "Args Raw"},
	"ColumnDef":        {"Name Constraints", "Type"},
	"ColumnConstraint": {"Kind Expr References Collation", "Name OnConflict Order AutoIncrement GeneratedKind AlwaysWord Deferrable"},
	"TableConstraint":  {"Kind Columns Expr FKColumns References", "Name AutoIncrement OnConflict Deferrable"},
	"TableOption":      {"", "Without Name"},
	"IndexedColumn":    {"Name", "Collation Order"},
	"ForeignKeyClause": {"Table Columns", "Args"},
	"ForeignKeyArg":    {"", "Match Event Action"},
	"DeferClause":      {"", "Not InitiallyDeferred HasInitially"},

	// Expressions.
	"Ident":         {"Name Quote", "Raw"},
	"QualifiedRef":  {"Parts", ""},
	"Star":          {"Table", ""},
	"Literal":       {"Kind Value", "Raw"},
	"BindParam":     {"", "Kind Number Name Raw"}, // read from the tokens
	"BinaryExpr":    {"Op X Y", ""},
	"UnaryExpr":     {"Op X", ""},
	"ParenExpr":     {"X", ""},
	"LikeExpr":      {"Op Not X Y Escape", ""},
	"IsExpr":        {"Not Distinct X Y", ""},
	"NullCheckExpr": {"Test X", ""},
	"BetweenExpr":   {"X Lo Hi", "Not"},
	"InExpr":        {"Not X Parens List Select Table Args HasArgs", ""},
	"CaseExpr":      {"Operand Whens Else", ""},
	"CaseWhen":      {"When Then", ""},
	"CastExpr":      {"X Type", ""},
	"CollateExpr":   {"X Name", ""},
	"FuncCall":      {"Name Distinct All Star Args OrderBy Filter Over", ""},
	"ExistsExpr":    {"Select", ""},
	"SubqueryExpr":  {"Select", ""},
	"VectorExpr":    {"List", ""},
	"RaiseExpr":     {"", "Action Message"}, // refused
}

// grammar is what the source of the grammar's tree declares.
type grammar struct {
	structs   map[string][]string // fields by struct
	exprs     []string
	stmts     []string
	constants map[string][]string // by type, for those with a type of their own
}

// readGrammar reads the declarations, which reflection cannot list.
func readGrammar(t *testing.T) grammar {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/sqlc-dev/meyer/ast").Output()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no sources of the grammar: %v", err)
	}
	g := grammar{structs: make(map[string][]string), constants: make(map[string][]string)}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g.add(d)
		}
	}
	return g
}

func (g *grammar) add(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return
		}
		star, ok := d.Recv.List[0].Type.(*ast.StarExpr)
		if !ok {
			return
		}
		switch name := star.X.(*ast.Ident).Name; d.Name.Name {
		case "exprNode":
			g.exprs = append(g.exprs, name)
		case "stmtNode":
			g.stmts = append(g.stmts, name)
		}
	case *ast.GenDecl:
		kind := ""
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if st, ok := s.Type.(*ast.StructType); ok {
					g.structs[s.Name.Name] = fieldNames(st)
				}
			case *ast.ValueSpec:
				if id, ok := s.Type.(*ast.Ident); ok {
					kind = id.Name
				}
				if d.Tok == token.CONST && kind != "" {
					g.constants[kind] = append(g.constants[kind], s.Names[0].Name)
				}
			}
		}
	}
}

func fieldNames(st *ast.StructType) []string {
	var out []string
	for _, f := range st.Fields.List {
		for _, n := range f.Names {
			out = append(out, n.Name)
		}
	}
	return out
}

func TestEveryFieldIsDecided(t *testing.T) {
	g := readGrammar(t)
	delete(g.structs, "Span")
	for name, fields := range g.structs {
		if !ast.IsExported(name) {
			continue
		}
		c, ok := coverage[name]
		if !ok {
			t.Errorf("the grammar has a new node: %s", name)
			continue
		}
		want := append(strings.Fields(c.reads), strings.Fields(c.leaves)...)
		slices.Sort(want)
		slices.Sort(fields)
		if !slices.Equal(want, fields) {
			t.Errorf("%s: the grammar has the fields %v, decided are %v", name, fields, want)
		}
	}
	for name := range coverage {
		if _, ok := g.structs[name]; !ok {
			t.Errorf("the grammar has no node %s any more", name)
		}
	}
}

// TestEveryConstantIsDecided holds the enumerations that the lowering switches
// on, or leaves out, as a whole.
func TestEveryConstantIsDecided(t *testing.T) {
	want := map[string]string{
		"AlterAction":          "AlterRenameTable AlterRenameColumn AlterAddColumn AlterDropColumn AlterDropConstraint AlterDropNotNull AlterSetNotNull AlterAddConstraintCheck",
		"ColumnConstraintKind": "ColumnNull ColumnNotNull ColumnPrimaryKey ColumnUnique ColumnCheck ColumnDefault ColumnCollate ColumnReferences ColumnGenerated ColumnDeferrable",
		"ConflictAction":       "ConflictDefault ConflictRollback ConflictAbort ConflictFail ConflictIgnore ConflictReplace",
		"Distinct":             "DistinctNone DistinctDistinct DistinctAll",
		"ForeignKeyAction":     "FKNoAction FKSetNull FKSetDefault FKCascade FKRestrict",
		"FrameBoundType":       "BoundUnboundedPreceding BoundPreceding BoundCurrentRow BoundFollowing BoundUnboundedFollowing",
		"FrameExclude":         "ExcludeNone ExcludeNoOthers ExcludeCurrentRow ExcludeGroup ExcludeTies",
		"FrameType":            "FrameNone FrameRange FrameRows FrameGroups",
		"JoinType":             "JoinInner JoinCross JoinNatural JoinLeft JoinRight JoinOuter JoinComma",
		"LiteralKind":          "LitNull LitInteger LitFloat LitString LitBlob LitCurrentDate LitCurrentTime LitCurrentTimestamp",
		"Materialized":         "MaterializedAny MaterializedYes MaterializedNo",
		"NullTest":             "TestIsNull TestNotNull TestNotNullWords",
		"NullsOrder":           "NullsDefault NullsFirst NullsLast",
		"Operator":             "OpNone OpOr OpAnd OpEq OpNe OpLt OpLe OpGt OpGe OpBitAnd OpBitOr OpLShift OpRShift OpAdd OpSub OpMul OpDiv OpMod OpConcat OpPtr OpPtr2 OpNot OpBitNot OpPlus OpMinus",
		"ParamKind":            "ParamAnon ParamNumber ParamColon ParamAt ParamDollar",
		"QuoteStyle":           "QuoteNone QuoteDouble QuoteBack QuoteSquare QuoteSingle",
		"SortOrder":            "SortDefault SortAsc SortDesc",
		"TableConstraintKind":  "TablePrimaryKey TableUnique TableCheck TableForeignKey",
		"TransactionType":      "TxnDeferred TxnImmediate TxnExclusive",
		"TriggerTime":          "TriggerBefore TriggerAfter TriggerInsteadOf",
	}
	got := readGrammar(t).constants
	for _, kind := range slices.Sorted(maps.Keys(got)) {
		if s := strings.Join(got[kind], " "); s != want[kind] {
			t.Errorf("%s: the grammar has %q, decided are %q", kind, s, want[kind])
		}
	}
	if len(got) != len(want) {
		t.Errorf("the grammar has %d enumerations, decided are %d", len(got), len(want))
	}
}

// stmtSamples holds a statement of every kind.
var stmtSamples = map[string]string{
	"SelectStmt": "SELECT 1", "InsertStmt": "INSERT INTO t VALUES (1)", "UpdateStmt": "UPDATE t SET a = 1",
	"DeleteStmt": "DELETE FROM t", "ExplainStmt": "EXPLAIN SELECT 1", "CreateTableStmt": "CREATE TABLE t (a)",
	"CreateIndexStmt": "CREATE INDEX i ON t (a)", "CreateViewStmt": "CREATE VIEW v AS SELECT 1",
	"CreateTriggerStmt":      "CREATE TRIGGER r DELETE ON t BEGIN SELECT 1; END",
	"CreateVirtualTableStmt": "CREATE VIRTUAL TABLE v USING m", "AlterTableStmt": "ALTER TABLE t RENAME TO u",
	"DropTableStmt": "DROP TABLE t", "DropViewStmt": "DROP VIEW v", "DropIndexStmt": "DROP INDEX i",
	"DropTriggerStmt": "DROP TRIGGER r", "PragmaStmt": "PRAGMA encoding", "AttachStmt": "ATTACH 'f' AS x",
	"DetachStmt": "DETACH x", "VacuumStmt": "VACUUM", "AnalyzeStmt": "ANALYZE", "ReindexStmt": "REINDEX",
	"BeginStmt": "BEGIN", "CommitStmt": "COMMIT", "RollbackStmt": "ROLLBACK", "SavepointStmt": "SAVEPOINT s",
	"ReleaseStmt": "RELEASE s",
}

// exprSamples holds an expression of every kind.
var exprSamples = map[string]string{
	"Ident": "a", "QualifiedRef": "a.b", "Star": "*", "Literal": "1", "BindParam": "?", "BinaryExpr": "a + b",
	"UnaryExpr": "-a", "ParenExpr": "(a)", "LikeExpr": "a LIKE b", "IsExpr": "a IS b", "NullCheckExpr": "a ISNULL",
	"BetweenExpr": "a BETWEEN b AND c", "InExpr": "a IN (b)", "CaseExpr": "CASE WHEN a THEN b END",
	"CastExpr": "CAST(a AS text)", "CollateExpr": "a COLLATE b", "FuncCall": "f(a)", "ExistsExpr": "EXISTS (SELECT 1)",
	"SubqueryExpr": "(SELECT 1)", "VectorExpr": "(a, b)",
	"RaiseExpr": "", // refused
}

// TestEveryKindIsLowered parses a sample of every kind of statement and of
// expression that the grammar knows.
func TestEveryKindIsLowered(t *testing.T) {
	g := readGrammar(t)
	if len(g.stmts) != len(stmtSamples) || len(g.exprs) != len(exprSamples) {
		t.Errorf("the grammar has %d kinds of statements and %d of expressions, decided are %d and %d",
			len(g.stmts), len(g.exprs), len(stmtSamples), len(exprSamples))
	}
	for _, kind := range g.stmts {
		if sql, ok := stmtSamples[kind]; !ok {
			t.Errorf("the grammar has a new statement: %s", kind)
		} else {
			mustParse(t, sql)
		}
	}
	for _, kind := range g.exprs {
		if sql, ok := exprSamples[kind]; !ok {
			t.Errorf("the grammar has a new expression: %s", kind)
		} else if sql != "" {
			mustParse(t, "SELECT "+sql)
		}
	}
}
