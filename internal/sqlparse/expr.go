package sqlparse

import "strings"

// Expr is an expression. Every expression knows the byte offset where it, or its
// operator, stands in the text.
type Expr interface {
	Pos() int
	expr()
}

// At is the position of a node: a byte offset in the text.
type At int

// Pos returns the byte offset.
func (a At) Pos() int { return int(a) }

func (At) expr() {}

// Column is a reference to a column or, with Star, to all columns of a table or
// of everything in FROM. Parts are the names as the server compares them (folded,
// unquoted), most qualified first. A whole-row reference looks like a Column with
// one part.
type Column struct {
	At
	Parts []string
	Star  bool
}

// Param is a parameter. Number is its position among the caller's arguments, from
// 1; Name is set instead for parameters matched by name (no prefix).
type Param struct {
	At
	End    int // exclusive
	Number int
	Name   string
}

// Const is a constant. Value is nil for NULL, a string, an int64 or a bool; a
// number that is no int64 is its text as a Number.
type Const struct {
	At
	End   int // exclusive; 0 when it has to be found among the tokens
	Value any
}

// Number is a numeric constant that is no int64, as decimal text.
type Number string

// Cast is a type cast, in any spelling.
type Cast struct {
	At
	Arg  Expr
	Type Type
}

// Type is the name of a type in the text.
type Type struct {
	At                  // where it starts; -1 when it is not written in the text (as for implied casts)
	End          int    // exclusive; 0 when it has to be found among the tokens
	Schema, Name string // folded, as the grammar names it: "text", "int4"; Schema is "" unless it is known
	Modified     bool   // it has a length, precision or scale
	Array        bool
}

// RowTypeOf returns the names of the relations that a type of PostgreSQL may be the row type of, or the
// array type of that, which is named so with a _ before it. Of PostgreSQL's own types it returns none.
func RowTypeOf(schema, name string) []string {
	if schema == "pg_catalog" || schema == "" && serverTypes[name] {
		return nil
	}
	if of, ok := strings.CutPrefix(name, "_"); ok {
		return []string{name, of}
	}
	return []string{name}
}

// serverTypes are those that a table may well have the name of.
var serverTypes = map[string]bool{
	"bool": true, "box": true, "bpchar": true, "bytea": true, "char": true, "cidr": true, "circle": true, "date": true, "float4": true, "float8": true,
	"inet": true, "int2": true, "int4": true, "int8": true, "json": true, "jsonb": true, "line": true, "money": true, "name": true, "numeric": true,
	"oid": true, "path": true, "point": true, "polygon": true, "record": true, "text": true, "timestamptz": true, "trigger": true, "uuid": true,
	"varchar": true, "void": true, "xml": true,
}

// Compare is a comparison by equality, or its negation. With a quantifier, Right
// is an array or a Subquery.
type Compare struct {
	At
	Op          CompareOp
	Quant       Quant
	Left, Right Expr
	End         int // end of the whole expression; 0 when it has to be found
}

// CompareOp is the operator of a Compare.
type CompareOp uint8

// The comparison operators that equality of cells can serve.
const (
	Equal       CompareOp = iota // =
	NotEqual                     // <> or !=
	Distinct                     // IS DISTINCT FROM, SQLite's IS NOT
	NotDistinct                  // IS NOT DISTINCT FROM, SQLite's IS
)

// Order is a comparison by order: Op is <, <=, > or >=.
type Order struct {
	At
	Op          string
	Quant       Quant
	Left, Right Expr
}

// Between is [NOT] BETWEEN [SYMMETRIC].
type Between struct {
	At
	Not            bool
	Arg, Low, High Expr
}

// Quant is the quantifier of a Compare or an Order.
type Quant uint8

// The quantifiers.
const (
	NoQuant Quant = iota
	Any
	All
)

// In is IN over a list or a query.
type In struct {
	At
	Not   bool
	Left  Expr
	List  []Expr  // nil when Query is set
	Query *Select // nil when List is set
}

// IsNull is IS [NOT] NULL.
type IsNull struct {
	At
	Not bool
	Arg Expr
}

// Logic is AND, OR or NOT, or a test that only sees a truth value (IS TRUE …).
type Logic struct {
	At
	Op   LogicOp
	Args []Expr
}

// LogicOp is the operator of a Logic.
type LogicOp uint8

// The operators of truth values.
const (
	And LogicOp = iota
	Or
	Not
	Truth // IS [NOT] TRUE, FALSE, UNKNOWN
)

// Case is CASE. Arg is nil in the searched form; then each When is a condition,
// else it is compared with Arg for equality.
type Case struct {
	At
	Arg   Expr
	Whens []When
	Else  Expr // nil when absent
}

// When is one branch of a Case.
type When struct{ Cond, Then Expr }

// Coalesce is COALESCE, and SQLite's IFNULL.
type Coalesce struct {
	At
	Args []Expr
}

// NullIf is NULLIF.
type NullIf struct {
	At
	Left, Right Expr
}

// Row is a row constructor: (a, b) or ROW(a, b). Explicit: the word ROW was written.
type Row struct {
	At
	Args     []Expr
	Explicit bool
}

// Array is ARRAY[…].
type Array struct {
	At
	Elements []Expr
}

// Element is one element of an array: x[1]. Its At is near it only.
type Element struct {
	At
	Array, Index Expr
}

// Subquery is a query as an expression.
type Subquery struct {
	At
	Kind  SubqueryKind
	Query *Select
}

// SubqueryKind says what a Subquery yields.
type SubqueryKind uint8

// The kinds of subqueries.
const (
	ScalarQuery SubqueryKind = iota // (SELECT …): one value, or one row
	ExistsQuery                     // EXISTS (SELECT …)
	ArrayQuery                      // ARRAY(SELECT …)
)

// Call is a function call. Name is folded; Schema is "" unless it was written.
type Call struct {
	At
	Schema, Name string
	Args         []Expr
	ArgNames     bool // an argument is given by name
	Star         bool // f(*)
	Distinct     bool
	Variadic     bool
	Within       bool // WITHIN GROUP (ORDER BY …)
	OrderBy      []Sort
	Filter       Expr
	Over         *Window
}

// Match is a test of a text's parts or an array's members: LIKE, and its like. Op is the operator,
// in PostgreSQL's spelling and without its negation: ~~, ~~*, ^@, @>, <@ or &&, or GLOB. What
// describes it to a person.
type Match struct {
	At
	What        string
	Op          string
	Not         bool
	Left, Right Expr
	Escape      Expr // nil when absent
}

// Opaque is any other expression whose operands are known but whose working is
// not: every operand must be plain. What describes it to a person: "the operator ~",
// "SIMILAR TO", "GREATEST", "a subscript".
type Opaque struct {
	At
	What string
	Args []Expr
}

// Grouping is the What of GROUPING(…), which does not look at the values of its operands.
const Grouping = "GROUPING"

// Greatest and Least are the What of GREATEST(…) and LEAST(…).
const (
	Greatest = "GREATEST"
	Least    = "LEAST"
)

// OperatorClass is the What of an operator class or a collation of an index.
const OperatorClass = "an operator class or collation"

// Field is the What of (row).name.
const Field = "a field of a row"

// Subscript is the What of a selection with a subscript in it: a[1:2], (a[1]).name.
const Subscript = "a subscript"

// AllFields is the What of (row).*, which stands for several values in a list.
const AllFields = "all fields of a row"

// Default is the word DEFAULT in VALUES or SET.
type Default struct{ At }

// Sort is one item of an ORDER BY.
type Sort struct {
	Expr Expr
	// Using: an operator was named (ORDER BY a USING <).
	Using bool
}

// Window is what stands after OVER or in a WINDOW clause.
type Window struct {
	Name      string // of the definition in a WINDOW clause; else ""
	Ref       string // the window that this one refers to or extends
	Partition []Expr
	OrderBy   []Sort
	Frame     []Expr // the offsets of the frame
	Range     bool   // they are differences of the value that is sorted by
}

// RunsText reports whether a word of a program executes what stands in its strings: a function's name,
// or EXECUTE. pg_cron's schedule may be anything, without its schema before it.
func RunsText(word string) bool { return runsText[word] || word == "cron" }

// MayRunText reports whether a text in lower case may call a function that executes what stands in its
// strings.
func MayRunText(lower string) bool {
	for name := range runsText {
		if strings.Contains(lower, name) {
			return true
		}
	}
	return strings.Contains(lower, "schedule") || strings.Contains(lower, "pgr_") || strings.Contains(lower, "u&")
}

// FunctionRunsText reports whether a call executes what stands in its strings.
func FunctionRunsText(schema, name string) bool {
	return runsText[name] || name == "schedule" && (schema == "" || schema == "cron") || strings.HasPrefix(name, "pgr_")
}

var runsText = map[string]bool{
	"execute": true, "dblink": true, "dblink_exec": true, "dblink_open": true, "dblink_send_query": true,
	"crosstab": true, "crosstab2": true, "crosstab3": true, "crosstab4": true, "crosstab_hash": true, "connectby": true,
	"query_to_xml": true, "query_to_xmlschema": true, "query_to_xml_and_xmlschema": true, "ts_stat": true, "ts_rewrite": true, "xpath_table": true,
	"table_to_xml": true, "table_to_xmlschema": true, "table_to_xml_and_xmlschema": true,
	"schedule_in_database": true, "alter_job": true, // of pg_cron
	"pg_background_launch": true, "hypopg_create_index": true, "replicate_ddl_command": true, "bdr_replicate_ddl_command": true,
	"run_command_on_workers": true, "run_command_on_shards": true, "run_command_on_placements": true, // of Citus
	"run_command_on_colocated_placements": true, "run_command_on_coordinator": true, "run_command_on_all_nodes": true,
}
