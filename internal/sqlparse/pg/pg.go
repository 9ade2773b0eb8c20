// Package pg turns PostgreSQL text into the tree of package sqlparse. It is the one
// place of the project that knows the parser: github.com/sqlc-dev/oliphant, which
// carries PostgreSQL 18's grammar.
//
// Nothing is dropped on the way. Every node kind and every field of the grammar's
// tree is either lowered, or listed here as without influence on where values flow,
// or makes the whole text an Unsupported error.
//
// The parser recurses on what nests, and a Go stack overflow cannot be recovered,
// so a text is measured by a scan of its bytes before it is parsed; see guard.go.
//
// The parser's protobuf types are registered globally under the same names as those
// of github.com/pganalyze/pg_query_go: a program that links both panics at start.
package pg

import (
	"errors"
	"strings"
	"unicode/utf8"

	pgquery "github.com/sqlc-dev/oliphant"
	"github.com/sqlc-dev/oliphant/parser"

	"github.com/colseal/colseal/internal/sqlparse"
)

// Parse parses text as PostgreSQL 18 does with standard_conforming_strings on.
// Every error is a *sqlparse.Error, and none quotes the text. It is safe for
// concurrent use.
func Parse(text string, lim sqlparse.Limits) (file *sqlparse.File, err error) {
	// The parser and the lowering below fail by panicking; a bug in either must
	// refuse the statement, not end the process.
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *sqlparse.Error:
			file, err = nil, r
		default:
			file, err = nil, &sqlparse.Error{Reason: "the SQL parser failed"}
		}
	}()
	lim = lim.OrDefault()
	clean, gerr := guard(text, lim)
	if gerr != nil {
		return nil, gerr
	}
	tree, perr := pgquery.Parse(clean)
	if perr != nil {
		return nil, parseError(clean, perr)
	}
	l := &lowering{text: clean, maxDepth: 10 * min(lim.Nesting, maxNesting)}
	file = &sqlparse.File{
		Text:       text,
		Statements: make([]sqlparse.Statement, 0, len(tree.Stmts)),
		Tokens:     func() ([]sqlparse.Token, error) { return scan(clean) },
		Span: func(tokens []sqlparse.Token, e sqlparse.Expr) (start, end int, ok bool) {
			return Span(tokens, clean, e)
		},
	}
	runs := sqlparse.MayRunText(strings.ToLower(clean))
	for _, raw := range tree.Stmts {
		start, end := int(raw.StmtLocation), int(raw.StmtLocation+raw.StmtLen)
		if raw.StmtLen == 0 {
			end = len(text)
		}
		l.near = start
		file.Statements = append(file.Statements, sqlparse.Statement{
			Stmt: l.stmt(raw.Stmt), Start: start, End: end,
		})
		if runs {
			l.texts(raw.Stmt)
		}
	}
	file.Types, file.Programs, file.Calls = l.types, l.programs, l.calls
	return file, nil
}

// Tokens returns the tokens of text, without white space and comments. A constant
// or an identifier with UESCAPE is three tokens.
func Tokens(text string) ([]sqlparse.Token, error) {
	clean, err := guard(text, sqlparse.Limits{Bytes: maxBytes, Nesting: maxNesting})
	if err != nil {
		return nil, err
	}
	return scan(clean)
}

// parseError returns the parser's error without its text, which quotes the statement.
func parseError(text string, err error) error {
	e := &sqlparse.Error{Reason: "not valid as PostgreSQL"}
	var pe *parser.Error
	if errors.As(err, &pe) {
		e.Pos = byteOffset(text, pe.Cursorpos)
	}
	return e
}

// byteOffset turns the parser's cursor, a count of characters from 1, into bytes.
func byteOffset(text string, cursor int) int {
	pos := 0
	for i := 1; i < cursor && pos < len(text); i++ {
		_, n := utf8.DecodeRuneInString(text[pos:])
		pos += n
	}
	return pos
}
