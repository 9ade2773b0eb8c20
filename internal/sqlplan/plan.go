// Package sqlplan decides what must happen to one SQL text so that no plaintext
// of a sealed column ever leaves the program: which parameters and literals are
// sealed, for which column, and which result columns may hold cells. A text that
// it does not fully understand is refused; it never guesses.
//
// A Plan is plain data. Nothing here sees a value that is bound at run time, a key
// or a connection: the driver applies Plans.
package sqlplan

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/pg"
	"github.com/colseal/colseal/schema"
)

// Plan is what to do with one SQL text. It is immutable and shared between
// goroutines; callers must not change what it points to.
type Plan struct {
	// Sealed says that the text touches a sealed column. When false, its arguments
	// are forwarded exactly as they are, so is the text unless there is a chunk, which
	// then is sent in its place, and every other field but Backslash, Bare, Effects and Statements is
	// zero.
	Sealed bool

	// Backslash says that the text, or what is sent in its place, has or gets a backslash. Else its
	// string literals are the same in every session.
	Backslash bool

	// Bare says that a name in the text has a letter beyond ASCII and no quotes. The analysis takes it
	// as it is written. A server with an encoding of one byte may fold its case.
	Bare bool

	// ComparesNull says that the text compares with NULL by =, which is a test for NULL where
	// transform_null_equals is on.
	ComparesNull bool

	// AsksTerms says that what is sent asks an index over terms, which with gin_fuzzy_search_limit leaves
	// rows out.
	AsksTerms bool

	// Statements is the number of statements in the text; 0 if it cannot be parsed. More
	// than one can only be executed, not queried or prepared, when Sealed.
	Statements int

	// Chunks is the text to send, cut at the literals that have to be sealed:
	// Chunks[0] + Literals[0] sealed + Chunks[1] + … There is always one chunk
	// more than there are literals.
	Chunks   []string
	Literals []Literal

	// Params are the parameters to send, in order: Params[i] becomes $i+1. A
	// caller's argument may stand several times (one parameter in several roles)
	// and Params covers every argument that the text names.
	Params []Param

	// Shared are the indexes of the parameters with a use whose argument goes to others, too.
	Shared []int32

	// Names are the names of the caller's arguments, without their prefixes.
	Names []string

	// NumInput is the number of positional arguments that the caller gives.
	// NamedInput says that parameters are matched by name instead.
	NumInput   int
	NamedInput bool

	// Head and Tail describe the result columns, first and last. When Open is
	// false, Head is all of them. When Open is true, columns of unknown number
	// that hold nothing sealed stand between Head and Tail.
	Head, Tail []Result
	Open       bool

	// Search says that a deterministic column is written, compared or grouped,
	// so that the plan depends on how many search keys are live (SearchKeys).
	Search     bool
	SearchKeys int

	// UnlistedInsert says that an INSERT into a sealed table has no column list, and that no
	// catalog was at hand: which value goes to which column is a guess.
	UnlistedInsert bool

	// TextOnly says that the statement takes no parameters but its own, so that its literals must
	// stay in the text.
	TextOnly bool

	// Returns says that the statement produces rows.
	Returns bool

	// StoresNothing says that no value of the statement is stored: it selects or deletes.
	StoresNothing bool

	// Spare says that only columns in schema.StageCopy have something to seal, so that the
	// statement is right without it.
	Spare bool

	// Observed is why the statement will be refused when its columns are in schema.StageSealed. It
	// is nil if it will not be, or has no column in schema.StageCopy.
	Observed *Refusal

	Effects Effects
}

// Use is the purpose for which a parameter or literal is sealed, or a parameter compared.
type Use struct {
	Column  *schema.Column
	Storage dbcatalog.Storage
	// Array: the value is an array whose elements are sealed one by one
	// (email = ANY($1)).
	Array bool
	// Key is the index into the live search keys of a deterministic column; 0
	// is the one that seals new cells.
	Key int
	// Compared: the value is compared with cells, and not stored. It need not be one that the
	// column can hold.
	Compared bool
	// Bound: no value, but what is less than all cells under the key, or greater.
	Bound Bound
	// Copy: NULL is stored where the value cannot be sealed, as the plain column has it.
	Copy bool
	// Limit is what the value of a parameter has to keep to, because of a cast.
	Limit pgvalue.Limit
	// Folded: it is compared with what colseal.fold1 yields, instead of a cell. Lowered: and so
	// is its lower case; else it matches only if it is in lower case.
	Folded, Lowered bool
	// Match: it is searched for among the terms of the column.
	Match Match
	// Beside is what the column was, if it was of another kind and the value goes to both: it has
	// to be the same value for the two.
	Beside *schema.Column
	// Ask is what the program asks of a parameter instead of sealing it, or before; nil:
	// nothing.
	Ask *Ask
}

// Bound is an end of the cells under one key.
type Bound uint8

// The bounds.
const (
	NoBound Bound = iota
	Least
	Greatest
)

// Answered reports whether the answer to a question is sent instead of a cell.
func (u *Use) Answered() bool { return u.Ask != nil && !u.Ask.NullIf }

// TakesText reports whether a text is sealed as it is given, in a randomized cell, and nothing is
// asked of it before.
func (u *Use) TakesText() bool {
	c := u.Column
	return c.Kind == schema.KindText && c.Suite() == codec.SuiteRandomized && u.Storage != dbcatalog.StorageOther &&
		u.Ask == nil && u.Match.Form == NoMatch && u.Bound == NoBound && u.Limit == pgvalue.NoLimit && !u.Compared && u.Beside == nil
}

// Param is one parameter to send. A batch insert has thousands, in a plan that is kept.
type Param struct {
	From int32 // 1-based position of the caller's argument; 0 when named
	Name int32 // 1-based index in Plan.Names; 0 when positional
	Use  *Use  // nil: the argument is passed as it is; equal ones are shared
}

// Literal is a constant of the text that is sealed in place.
type Literal struct {
	// Value is what the server would have made of the constant, as codec takes it for
	// the column's kind; []any of such values, or nil for NULL, if it is an array. It is
	// plaintext: it must not be printed.
	Value any
	Use   Use
}

// Equal reports whether two literals are sealed in the same way, with the same value.
func (l *Literal) Equal(m *Literal) bool {
	return l.Use == m.Use && reflect.DeepEqual(l.Value, m.Value)
}

// Result describes one result column.
type Result struct {
	// Name is the column label that the server will report; "" when unknown.
	Name string
	// Columns are the sealed columns that a cell here may come from. All are of
	// one kind. Empty: the column is passed through as it is.
	Columns []*schema.Column
	// Array: the value is an array of cells.
	Array bool
}

// Effects are what a text may change for later ones on the same connection or
// database.
type Effects uint16

// The effects of a text.
const (
	// ChangesCatalog: tables, columns or types may change. The catalog facts of
	// all connections are read again.
	ChangesCatalog Effects = 1 << iota
	// ChangesSession: the search path or other settings of this connection may
	// change, now or when the transaction ends.
	ChangesSession
	// EndsTransaction: a transaction, or a part of it, may end: what earlier statements
	// changed may be undone, or be seen by others.
	EndsTransaction
	// CallsUnknown: a function is called that is not known to leave the session alone.
	CallsUnknown
	// Prepares: a statement that names a registered table is prepared by SQL, its names as they
	// mean now. Executes: one that was prepared is executed.
	Prepares
	Executes
	// ChangesDependents: views, children, rules or routines of registered tables may come, go or
	// change. It comes with ChangesCatalog.
	ChangesDependents
	// ImportsSnapshot: the transaction sees what another one sees, which may have begun long
	// before.
	ImportsSnapshot
	// ChangesTemporary: the session may have another temporary table. What others know of the
	// catalog still holds.
	ChangesTemporary
)

// hasBackslash is for Backslash. A literal that is sealed in place may become that of a bytea, which
// has one.
func (p *Plan) hasBackslash(sql string) bool {
	return len(p.Literals) > 0 || strings.Contains(sql, `\`) ||
		slices.ContainsFunc(p.Chunks, func(chunk string) bool { return strings.Contains(chunk, `\`) })
}

// asksTerms is for AsksTerms.
func (p *Plan) asksTerms() bool {
	return slices.ContainsFunc(p.Chunks, func(chunk string) bool { return strings.Contains(chunk, TermsFunction+"(") })
}

// hasBare is for Bare.
func (p *Planner) hasBare(sql string, known *Known) bool {
	if p.dialect != dialect.Postgres || isASCII(sql) || !p.mentions(sql, known) {
		return false
	}
	tokens, err := pg.Tokens(sql)
	return err != nil || slices.ContainsFunc(tokens, func(t sqlparse.Token) bool {
		word := sql[t.Start:t.End]
		return t.Kind == sqlparse.TokenWord && !isASCII(word) && !strings.Contains(word, `"`)
	})
}

// comparesNull is for ComparesNull.
func (p *Planner) comparesNull(sql string) (found bool) {
	if p.dialect != dialect.Postgres || !strings.Contains(strings.ToLower(sql), "null") {
		return false
	}
	file, err := p.parse(sql)
	if err != nil {
		return true
	}
	null := func(e sqlparse.Expr) bool {
		c, ok := e.(*sqlparse.Const)
		return ok && c.Value == nil
	}
	for i := range file.Statements {
		sqlparse.Inspect(file.Statements[i].Stmt, func(node any) bool {
			c, ok := node.(*sqlparse.Compare)
			found = found || ok && c.Op == sqlparse.Equal && c.Quant == sqlparse.NoQuant && (null(c.Left) || null(c.Right))
			return !found
		})
	}
	return found
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Text returns what is sent for a text that touches nothing sealed.
func (p *Plan) Text(query string) string {
	if len(p.Chunks) > 0 {
		return p.Chunks[0]
	}
	return query
}

// DependsOnNames reports whether the plan depends on what the name of a registered table means.
func (p *Plan) DependsOnNames() bool { return p.Sealed || len(p.Chunks) > 0 }

// Result returns what is known of result column i of n.
func (p *Plan) Result(i, n int) Result {
	if i < len(p.Head) {
		return p.Head[i]
	}
	if p.Open && i >= n-len(p.Tail) && i < n {
		return p.Tail[i-(n-len(p.Tail))]
	}
	return Result{}
}

// Width returns the least number of result columns, and whether there are never
// more.
func (p *Plan) Width() (n int, exact bool) {
	return len(p.Head) + len(p.Tail), !p.Open
}

// ResultsSealed reports whether any result column may hold cells.
func (p *Plan) ResultsSealed() bool {
	for _, rs := range [2][]Result{p.Head, p.Tail} {
		for i := range rs {
			if len(rs[i].Columns) > 0 {
				return true
			}
		}
	}
	return false
}

// SealsValues reports whether a parameter or literal is sealed, or compared for one that is.
func (p *Plan) SealsValues() bool {
	for i := range p.Params {
		if p.Params[i].Use != nil {
			return true
		}
	}
	return len(p.Literals) > 0
}

// SendsGiven reports whether the arguments are sent as they are given.
func (p *Plan) SendsGiven() bool {
	if p.NamedInput || len(p.Literals) > 0 || len(p.Params) != p.NumInput {
		return false
	}
	for i := range p.Params {
		if p.Params[i].Use != nil || int(p.Params[i].From) != i+1 {
			return false
		}
	}
	return true
}

// Describes reports whether the plan fits the labels of a result.
func (p *Plan) Describes(labels []string, d dialect.Dialect) bool {
	n := len(labels)
	if width, exact := p.Width(); n < width || (exact && n != width) {
		return false
	}
	for i, label := range labels {
		want := p.Result(i, n).Name
		// SQLite reports a column as it was declared or as it was written.
		if want != "" && want != label && (d != dialect.SQLite || !strings.EqualFold(want, label)) {
			return false
		}
	}
	return true
}

// NameOf returns the name of the caller's argument for a parameter; "" when it is matched
// by its position.
func (p *Plan) NameOf(param *Param) string {
	if param.Name == 0 {
		return ""
	}
	return p.Names[param.Name-1]
}

// Describe names the caller's argument for a parameter.
func (p *Plan) Describe(param *Param) string {
	if name := p.NameOf(param); name != "" {
		return "argument " + strconv.Quote(name)
	}
	return "argument $" + strconv.Itoa(int(param.From))
}
