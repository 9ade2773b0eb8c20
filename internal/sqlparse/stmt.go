package sqlparse

// Stmt is a statement.
type Stmt interface {
	Pos() int
	stmt()
}

// Select is a SELECT, VALUES, TABLE or set operation. Exactly one form is set: a set
// operation (Op != NoSetOp), VALUES (Values != nil), or a plain select.
type Select struct {
	At
	With *With

	Op          SetOp
	All         bool
	Left, Right *Select

	Values [][]Expr

	Distinct   bool // DISTINCT without ON
	DistinctOn []Expr
	Targets    []Target
	From       []Table
	On         Expr // SQLite: what the joins of FROM ask, which may name any of their tables
	Where      Expr
	GroupBy    []Expr // grouping sets flattened to their expressions
	Having     Expr
	Windows    []*Window

	OrderBy []Sort
	Limit   []Expr // LIMIT and OFFSET, in any order
	Into    *TableName
}

// SetOp is a set operation.
type SetOp uint8

// The set operations.
const (
	NoSetOp SetOp = iota
	Union
	Intersect
	Except
)

// Target is one output of a SELECT or RETURNING: an expression, perhaps named.
type Target struct {
	Expr Expr
	Name string // the alias; "" when none was written
}

// With is a WITH clause.
type With struct {
	Recursive bool
	CTEs      []*CTE
}

// CTE is one query of a WITH clause.
type CTE struct {
	At
	Name    string
	Columns []string // names of the first columns; may be shorter than the query's
	Query   Stmt
	// Extra are columns that SEARCH or CYCLE append; they are plain.
	Extra []string
	// Refs are columns of the query that SEARCH or CYCLE compare or order by.
	Refs []string
}

// Table is an item of FROM.
type Table interface {
	Pos() int
	table()
}

// Alias is the name of a FROM item and of its first columns.
type Alias struct {
	Name    string
	Columns []string
}

// TableName is a relation named in FROM, or the target of a write.
type TableName struct {
	At
	End          int // of the name (not the alias), exclusive; 0 when it has to be found
	Schema, Name string
	Alias        *Alias
	Args         []Expr // of TABLESAMPLE
}

// SubqueryTable is a query in FROM.
type SubqueryTable struct {
	At
	Query   *Select
	Alias   *Alias
	Lateral bool
}

// FuncTable is one or more functions in FROM. With one call that is no ROWS FROM,
// Calls has one element.
type FuncTable struct {
	At
	Calls      []Expr
	Alias      *Alias
	Lateral    bool
	Ordinality bool
	RowsFrom   bool
	// Columns are the names of a column definition list, if there is one.
	Columns []string
}

// OpaqueTable is any other producer of rows (XMLTABLE, JSON_TABLE): every operand
// must be plain, and so are its columns, whose number may be unknown.
type OpaqueTable struct {
	At
	What    string
	Args    []Expr
	Alias   *Alias
	Lateral bool
}

// Join is a join of two items.
type Join struct {
	At
	Left, Right Table
	Natural     bool
	Using       []string
	UsingAlias  string
	On          Expr
	Alias       *Alias
	// NullLeft, NullRight: rows of that side may be missing (outer joins).
	NullLeft, NullRight bool
}

func (At) stmt()  {}
func (At) table() {}

// Insert is INSERT, REPLACE and so on.
type Insert struct {
	At
	With      *With
	Table     *TableName
	Columns   []Name  // nil: all columns, in the table's order
	Source    *Select // nil: DEFAULT VALUES
	SourceAt  int     // where VALUES or SELECT starts (a WITH or a parenthesis included)
	Conflicts []*Conflict
	Returning *Returning
	// Replace: rows in conflict over any unique column are replaced or left out (SQLite's
	// OR REPLACE and OR IGNORE).
	Replace bool
}

// Name is a column named as the target of a write. Indirect: only a part of it is
// written (a field or an element).
type Name struct {
	At
	Name     string
	Indirect bool
}

// Conflict is ON CONFLICT.
type Conflict struct {
	At
	Targets     []Expr // columns or expressions; nil when none are named
	Constraint  string
	TargetWhere Expr
	DoNothing   bool
	Set         []Assign
	Where       Expr
}

// Assign is one assignment of SET. With several columns, Value is a Row, a Subquery,
// or an expression that yields a row.
type Assign struct {
	Columns []Name
	Value   Expr
}

// Returning is RETURNING. Old and New are the names of the old and new row, "old"
// and "new" when they were not renamed (PostgreSQL 18), "" where there is no such thing.
type Returning struct {
	At
	Targets  []Target
	Old, New string
}

// Update is UPDATE.
type Update struct {
	At
	With      *With
	Table     *TableName
	Set       []Assign
	From      []Table
	Where     Expr // nil also for WHERE CURRENT OF
	Returning *Returning
	// Replace is that of an Insert.
	Replace bool
}

// Delete is DELETE.
type Delete struct {
	At
	With      *With
	Table     *TableName
	Using     []Table
	Where     Expr // nil also for WHERE CURRENT OF
	Returning *Returning
}

// Merge is MERGE.
type Merge struct {
	At
	With      *With
	Table     *TableName
	Source    Table
	On        Expr
	Whens     []MergeWhen
	Returning *Returning
}

// MergeWhen is one WHEN of a MERGE: an update (Set), an insert (Insert) or neither.
type MergeWhen struct {
	At
	// Target, Source: which row exists in this branch.
	Target, Source bool
	Cond           Expr
	Set            []Assign
	Insert         bool
	Columns        []Name // of the insert; nil: all columns
	Values         []Expr // of the insert; nil: DEFAULT VALUES
}

// Explain is EXPLAIN: the statement is analysed, its rows are plain text.
type Explain struct {
	At
	Stmt Stmt
}

// Utility is every other statement. What describes it to a person ("CREATE INDEX").
type Utility struct {
	At
	What string
	// Names are the relations that it names.
	Names []*TableName
	// Reads: it leaves the rows and the definitions of the relations that it names as they are.
	Reads bool
	// Carries: it may carry values or statements into a table, or hide them from
	// analysis (COPY, DO, PREPARE, CREATE FUNCTION …): refused when a sealed
	// table is named.
	Carries bool
	// Kept is the query inside, where that is all that it carries; nil otherwise.
	Kept *Kept
	// Args are expressions whose value it is given at run time (ATTACH ? AS ?):
	// every one must be plain.
	Args []Expr
	// Definitions are the expressions that it has the server keep or compute for a table.
	Definitions []Definition
	// Computes: it computes Definitions for the rows that are there.
	Computes bool
	// Renames are the tables and columns that get another name.
	Renames []Rename
	// Moves are the functions and types that get another name or schema.
	Moves []*TableName
	// Schemas are the schemas that it renames or drops with what they contain.
	Schemas []SchemaChange
	// Catalog, Session: what it may change for later statements. Ends: it may end a transaction,
	// or go back in it.
	Catalog, Session, Ends bool
	// Temporary: what it may change of the catalog is a temporary table, which no other session
	// sees.
	Temporary bool
	// Imports: the transaction sees what another one sees from here on (SET TRANSACTION SNAPSHOT).
	Imports bool
	// Runs is the name of the prepared statement that it executes (EXECUTE); "" for none.
	Runs string
	// Changes are the relations and columns that a name may mean otherwise for the later
	// statements of the text. When Bounded is false, any name may.
	Changes []Change
	Bounded bool
	// Forbidden is the reason why no connection may run it at all; "" for nearly all.
	Forbidden string
	// Everything: it may drop any relation of the database (DROP OWNED).
	Everything bool
}

// Kept is a query that a statement keeps, or makes a relation of.
type Kept struct {
	Kind    KeptKind
	Name    *TableName // the relation that is made; nil for none
	Columns []string   // names of its first columns
	Query   Stmt
}

// KeptKind says what becomes of a Kept query.
type KeptKind uint8

// The kinds of kept queries.
const (
	KeptView      KeptKind = iota // it is run again by others: CREATE [MATERIALIZED] VIEW
	KeptRows                      // its rows become a table: CREATE TABLE AS
	KeptCursor                    // its rows are fetched later: DECLARE CURSOR
	KeptStatement                 // it is executed later: PREPARE
)

// Definition is an expression that the server keeps with a table, or computes for its rows.
type Definition struct {
	At
	What  string     // "CHECK", "DEFAULT", "an index predicate"
	Table *TableName // the table whose columns it names
	// Rows are the names by which it sees rows of the table, where that is not the table's
	// own: OLD and NEW.
	Rows []string
	// Column is the column that gets the value; "" for a condition and for what an index,
	// statistics or a partition key are made of.
	Column string
	// Type is the type that Column gets (ALTER … TYPE); nil elsewhere.
	Type *Type
	// Expr is nil for values that the server makes up (identity), for keys, for a partition's
	// bounds, and for a change of type without USING.
	Expr Expr
	// Condition: its truth is asked.
	Condition bool
	// Keys are the columns that UNIQUE, PRIMARY KEY and FOREIGN KEY compare; References is
	// what those of a FOREIGN KEY are compared with.
	Keys       []string
	References *Reference
	// Bounds: the values of a partition key are written here.
	Bounds bool
	// Text is the text of a CHECK, with its parentheses.
	Text string
}

// Reference is what a FOREIGN KEY refers to. Columns is nil for the primary key.
type Reference struct {
	Table   *TableName
	Columns []string
}

// Rename gives a table, or a column of it, another name or another schema.
type Rename struct {
	Table    *TableName
	Column   string // "" for the table itself
	To       string
	ToSchema string // of SET SCHEMA, where To is ""
}

// SchemaChange renames a schema, or drops it with all that it contains, where To is "".
type SchemaChange struct{ Name, To string }

// Change is a relation that a name may mean otherwise after a statement, or, with
// Columns, a relation of which these columns change and no others.
type Change struct {
	Table   *TableName
	Columns []string
	// Parents are relations whose columns it has from then on: it stands for their rows, or for some.
	Parents []*TableName
}
