// Package sqlparse is a small syntax tree of SQL, made for one question: where
// does each value of a statement flow? It is the one place that the grammars are
// seen from: the packages pg and lite below it turn the trees of a PostgreSQL and
// a SQLite parser into this one, and either parser can be replaced or forked by
// rewriting that one package.
//
// The tree is faithful about what it shows and loud about what it does not: a node
// or a field of the grammar that a lowering does not know becomes an error, never
// a silent omission.
package sqlparse

import (
	"errors"
	"fmt"
)

// File is one SQL text, parsed.
type File struct {
	Text       string
	Statements []Statement

	// Types are the relations whose row types may stand in it elsewhere than in a cast: of columns of a
	// table, a type or a function, of SQL/JSON, and of the parameters of PREPARE.
	Types []*TableName

	// Calls are functions that may be called where no Call shows it: (x).f may be f(x), and some queries are not
	// analysed.
	Calls []*TableName
	// Programs are the texts that functions run.
	Programs []Program

	// Tokens returns the tokens of Text in order, without white space and
	// comments. It is called only when the text has to be edited.
	Tokens func() ([]Token, error)

	// Span returns the bytes that an expression spans, without the parentheses around
	// it; false when they cannot be told. tokens are those that Tokens returned.
	Span func(tokens []Token, e Expr) (start, end int, ok bool)
}

// Program is a string constant among the arguments of a function that runs what stands in it.
type Program struct {
	At
	Function string
	Words    []string // of the constant: any of them may be a name
}

// Statement is one statement of a text.
type Statement struct {
	Stmt       Stmt
	Start, End int // byte offsets in the text, End exclusive
}

// Token is one lexical token: its byte span, and the class that editing needs.
type Token struct {
	Start, End int
	Kind       TokenKind
}

// TokenKind is the class of a Token.
type TokenKind uint8

// The classes of tokens.
const (
	TokenOther  TokenKind = iota // operators, punctuation
	TokenWord                    // keywords and identifiers, quoted or not
	TokenString                  // string, bit and blob constants
	TokenNumber                  // numeric constants
	TokenParam                   // $1, ?, ?1, :a, @a, $a
)

// Error is a text that is not understood. Its message never quotes the text.
type Error struct {
	Pos    int // byte offset
	Reason string
	// Unsupported: the text is well-formed, but holds a construct that this tree
	// does not show.
	Unsupported bool
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Pos) }

// Unsupportedf makes the error for a construct that the tree does not show.
func Unsupportedf(pos int, format string, args ...any) *Error {
	return &Error{Pos: pos, Reason: fmt.Sprintf(format, args...), Unsupported: true}
}

// AsError returns err as an *Error if it is one.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Limits bound what is parsed. The zero value means the defaults. What exceeds
// them is an *Error; the parsers' cost is bounded by them.
type Limits struct {
	Bytes   int // length of the text; default 1 MiB
	Nesting int // depth of parentheses, brackets and CASE; default 500
}

// OrDefault returns l with the defaults in the place of zeros.
func (l Limits) OrDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = 1 << 20
	}
	if l.Nesting == 0 {
		l.Nesting = 500
	}
	return l
}
