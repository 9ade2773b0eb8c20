// Package lite parses SQLite's SQL into the tree of package sqlparse. It is the
// only package that sees the grammar (github.com/sqlc-dev/meyer).
//
// # Names
//
// SQLite compares names without regard to ASCII case, quoted or not, so every
// name in the tree is folded to lower case (ASCII only, as SQLite does), column
// aliases too: look-ups in a schema must fold likewise. A "double-quoted" name is
// always a column here, although SQLite falls back to a string when there is none:
// a name that does not resolve must be refused, never taken for a string. TRUE and
// FALSE are constants, although SQLite prefers a column of that name.
//
// # Parameters
//
// SQLite numbers the parameters of each statement from 1 in the order of the
// text, a name counting once; modernc.org/sqlite (v1.62) then finds the caller's
// argument for each number so:
//
//	?      the argument whose ordinal is the parameter's own number. A bare ?
//	       is one more than the highest number before it: in "?2, ?" it is 3,
//	       in "?2, ?, ?1" too, and in "$2, ?" it is 2, as $2 is a name like :a
//	?2     the 2nd argument; ?02 finds nothing
//	$2     the 2nd argument, wherever it stands and however often (an
//	       exception for PostgreSQL's spelling; "$02", ":2" and "@2" find nothing)
//	:a @a  the argument sql.Named("a", …), case-sensitively; an argument without
//	$a #a  that name is never used for it. :a and @a are two parameters of
//	       SQLite, but take the same argument
//
// An ordinal counts all arguments: "?" also takes a first argument that has a
// name, and in "?, :a" called with one argument sql.Named("a", 1) both are 1. More
// arguments than parameters are no error. Every statement of a text is numbered
// from 1 and gets the same arguments: "SELECT ?; SELECT ?" uses the first twice.
//
// So Param.Number here is the ordinal for ?, ?N and $N, and Param.Name is set for
// the rest. A text that is rewritten should use ?N throughout, with arguments that
// have no names. The tests hold all of this against the driver.
//
// # Scopes
//
// Where SQLite's rules for names differ from PostgreSQL's, the tree is shaped so
// that the latter's rules give the same answer: ON conditions see every table of
// FROM, also those to their right, and so they are lowered into WHERE; a comma
// binds as tightly as JOIN; the tables of one WITH see each other in any order,
// RECURSIVE or not, and so With.Recursive is always set. One rule remains to the
// analysis: a name that is no column of the FROM of its query may be an alias of
// that query's outputs, even in WHERE, before outer queries are searched.
//
// Positions: At is where an expression starts, not where its operator stands, and
// every End is set.
//
// Anything that this package does not know is an error, never left out.
package lite

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/lexer"
	"github.com/sqlc-dev/meyer/parser"
	"github.com/sqlc-dev/meyer/token"

	"github.com/colseal/colseal/internal/sqlparse"
)

// Parse parses a text of any number of statements. Every error is a
// *sqlparse.Error, which never quotes the text. It is safe for concurrent use and
// does not panic.
func Parse(text string, lim sqlparse.Limits) (file *sqlparse.File, err error) {
	toks, err := guard(text, lim.OrDefault())
	if err != nil {
		return nil, err
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case bail:
			file, err = nil, r.err
		default:
			// The panic's own text may quote the statement.
			file, err = nil, &sqlparse.Error{Reason: "the SQL parser failed"}
		}
	}()
	stmts, err := parser.ParseString(text)
	if err != nil {
		return nil, syntaxError(err)
	}
	file = &sqlparse.File{
		Text:       text,
		Statements: make([]sqlparse.Statement, 0, len(stmts)),
		Tokens:     func() ([]sqlparse.Token, error) { return tokens(toks) },
	}
	spans := map[sqlparse.Expr]span{}
	file.Span = func(_ []sqlparse.Token, e sqlparse.Expr) (start, end int, ok bool) {
		s, ok := spans[e]
		return s.start, s.end, ok
	}
	rest := toks
	for _, s := range stmts {
		var own []token.Token
		own, rest = tokensOf(s, rest)
		params, err := numberParams(text, own)
		if err != nil {
			return nil, err
		}
		l := &lowerer{text: text, params: params, spans: spans}
		st := sqlparse.Statement{Stmt: l.stmt(s), Start: s.Pos(), End: s.End()}
		if len(own) > 0 {
			st.End = own[len(own)-1].End
		}
		file.Statements = append(file.Statements, st)
	}
	return file, nil
}

// Tokens returns the tokens of a text that Parse may not accept, within the same
// limits. An error says that the text cannot be cut into tokens.
func Tokens(text string, lim sqlparse.Limits) ([]sqlparse.Token, error) {
	toks, err := guard(text, lim.OrDefault())
	if err != nil {
		return nil, err
	}
	return tokens(toks)
}

// guard refuses what the parser must not see: a NUL ends the text for SQLite, and
// deep nesting costs stack. The parser bounds its own recursion too, which covers
// chains of prefix operators.
func guard(text string, lim sqlparse.Limits) ([]token.Token, error) {
	switch {
	case len(text) > lim.Bytes:
		return nil, &sqlparse.Error{Pos: lim.Bytes, Reason: "the SQL text is too long"}
	case strings.IndexByte(text, 0) >= 0:
		return nil, &sqlparse.Error{Pos: strings.IndexByte(text, 0), Reason: "a NUL byte in the SQL text"}
	case !utf8.ValidString(text):
		return nil, &sqlparse.Error{Pos: invalidAt(text), Reason: "the SQL text is not valid UTF-8"}
	}
	toks := lexer.Lex(text)
	depth := 0
	for _, t := range toks {
		switch t.Kind {
		case token.LP, token.CASE:
			depth++
		case token.RP, token.END:
			depth = max(depth-1, 0)
		}
		if depth > lim.Nesting {
			return nil, &sqlparse.Error{Pos: t.Pos, Reason: "the SQL text is nested too deeply"}
		}
	}
	return toks, nil
}

func invalidAt(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return i
		}
	}
	return len(text)
}

// syntaxError drops the parser's message, which quotes a token.
func syntaxError(err error) *sqlparse.Error {
	out := &sqlparse.Error{Reason: "syntax error"}
	var pe *parser.Error
	if !errors.As(err, &pe) {
		return out
	}
	out.Pos = max(pe.Offset, 0)
	switch {
	case pe.Message == "incomplete input":
		out.Reason = "the SQL text is incomplete"
	case pe.Message == "Recursion limit":
		out.Reason = "the SQL text is nested too deeply"
	case strings.HasPrefix(pe.Message, "unrecognized token"):
		out.Reason = "unrecognized token"
	}
	return out
}

// tokensOf splits off the tokens of s, without its semicolon.
func tokensOf(s ast.Stmt, toks []token.Token) (own, rest []token.Token) {
	i := 0
	for i < len(toks) && toks[i].Pos < s.Pos() {
		i++
	}
	j := i
	for j < len(toks) && toks[j].Kind != token.EOF && toks[j].End <= s.End() {
		j++
	}
	own, rest = toks[i:j], toks[j:]
	if n := len(own); n > 0 && own[n-1].Kind == token.SEMI {
		own = own[:n-1]
	}
	return own, rest
}

func tokens(toks []token.Token) ([]sqlparse.Token, error) {
	out := make([]sqlparse.Token, 0, len(toks))
	for _, t := range toks {
		st := sqlparse.Token{Start: t.Pos, End: t.End}
		switch k := t.Kind; {
		case k == token.EOF:
			return out, nil
		case k == token.ILLEGAL:
			return nil, &sqlparse.Error{Pos: t.Pos, Reason: "unrecognized token"}
		case k == token.STRING, k == token.BLOB:
			st.Kind = sqlparse.TokenString
		case k == token.INTEGER, k == token.FLOAT, k == token.QNUMBER:
			st.Kind = sqlparse.TokenNumber
		case k == token.VARIABLE:
			st.Kind = sqlparse.TokenParam
		case k == token.ID, k >= token.ABORT: // the keywords follow the operators
			st.Kind = sqlparse.TokenWord
		}
		out = append(out, st)
	}
	return out, nil
}
