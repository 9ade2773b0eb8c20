package pgdump

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// maxToken bounds what is kept of one token, or of one field of a row. What belongs to other tables
// may be longer, and is skipped.
const maxToken = 1 << 20

// kind is what a token is.
type kind uint8

const (
	end    kind = iota // of the statement: ;
	word               // a keyword or a name without quotes, folded
	name               // a name in quotes
	str                // a string without escapes: '…'
	number             // digits, with point or exponent
	opaque             // a string of another form: E'…', U&'…', B'…', X'…', $$…$$; its text is not read
	symbol             // any other character
)

// token is one token of a statement.
type token struct {
	kind kind
	text string
	long bool // longer than maxToken: text is its beginning
}

func (t token) is(k kind, text string) bool { return t.kind == k && t.text == text }

// lexer splits a dump into tokens, as psql and the server do.
type lexer struct {
	in   *bufio.Reader
	line int
	buf  bytes.Buffer
	long bool
}

func (l *lexer) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{l.line}, args...)...)
}

// get returns the next byte. At the end of the dump the error is io.EOF.
func (l *lexer) get() (byte, error) {
	c, err := l.in.ReadByte()
	if c == '\n' && err == nil {
		l.line++
	}
	return c, err
}

// look returns the byte that get will return.
func (l *lexer) look() (byte, error) {
	b, err := l.in.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// peek returns whether text comes next.
func (l *lexer) peek(text string) bool {
	b, _ := l.in.Peek(len(text))
	return string(b) == text
}

func (l *lexer) keep(c byte) {
	if l.buf.Len() == maxToken {
		l.long = true
		return
	}
	l.buf.WriteByte(c)
}

// take returns what was kept.
func (l *lexer) take(k kind) token {
	t := token{k, l.buf.String(), l.long}
	l.buf.Reset()
	l.long = false
	return t
}

// restOfLine returns what is left of the line, without its end.
func (l *lexer) restOfLine() (token, error) {
	for {
		c, err := l.get()
		if err != nil {
			return l.take(opaque), err
		}
		if c == '\n' {
			t := l.take(opaque)
			t.text = strings.TrimSuffix(t.text, "\r")
			return t, nil
		}
		l.keep(c)
	}
}

// skipSpace skips blanks and comments.
func (l *lexer) skipSpace() error {
	for {
		c, err := l.look()
		switch {
		case err != nil:
			return err
		case strings.IndexByte(" \t\r\n\v\f", c) >= 0:
			_, err = l.get()
		case l.peek("--"):
			err = l.skipLine()
		case l.peek("/*"):
			err = l.skipComment()
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *lexer) skipLine() error {
	for {
		if c, err := l.get(); err != nil || c == '\n' {
			return err
		}
	}
}

// skipComment skips a comment that may hold comments.
func (l *lexer) skipComment() error {
	last, depth := byte(0), 0
	for {
		c, err := l.get()
		if err != nil {
			return unexpected(err)
		}
		switch {
		case last == '/' && c == '*':
			depth++
			c = 0
		case last == '*' && c == '/':
			depth--
			c = 0
		}
		if depth == 0 && c == 0 {
			return nil
		}
		last = c
	}
}

// unexpected returns the error of a dump that ends within something.
func unexpected(err error) error {
	if err == io.EOF {
		return fmt.Errorf("the dump is cut short: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// next returns the next token. At the end of the dump the error is io.EOF.
func (l *lexer) next() (token, error) {
	if err := l.skipSpace(); err != nil {
		return token{}, err
	}
	c, err := l.get()
	switch {
	case err != nil:
		return token{}, err
	case c == ';':
		return token{kind: end}, nil
	case c == '"':
		return l.quoted(name, '"')
	case c == '\'':
		return l.quoted(str, '\'')
	case c == '$':
		return l.dollar()
	case isDigit(c):
		return l.run(number, c, func(c byte) bool { return isDigit(c) || c == '.' || c|0x20 == 'e' })
	case isLetter(c):
		t, err := l.run(word, c, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '$' })
		if err != nil {
			return t, err
		}
		return l.prefixed(t)
	}
	return token{kind: symbol, text: string(c)}, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }

// run reads the rest of a word or number that begins with c.
func (l *lexer) run(k kind, c byte, belongs func(byte) bool) (token, error) {
	l.keep(c)
	for {
		c, err := l.look()
		if err != nil && err != io.EOF {
			return token{}, err
		}
		if err == io.EOF || !belongs(c) {
			t := l.take(k)
			t.text = dbcatalog.FoldASCII(t.text)
			return t, nil
		}
		_, _ = l.get() // it is there
		l.keep(c)
	}
}

// prefixed returns the string that a word of one letter may begin, or the word.
func (l *lexer) prefixed(t token) (token, error) {
	switch {
	case t.text == "e" && l.peek("'"):
		return l.escaped()
	case (t.text == "b" || t.text == "x" || t.text == "n") && l.peek("'"), t.text == "u" && l.peek("&'"), t.text == "u" && l.peek(`&"`):
		quote, err := l.get()
		if err == nil && quote == '&' {
			quote, err = l.get()
		}
		if err != nil {
			return token{}, err
		}
		t, err := l.quoted(opaque, quote)
		return token{kind: opaque, long: t.long}, err
	}
	return t, nil
}

// quoted reads a string or name after its quote, which stands twice where it belongs to it.
func (l *lexer) quoted(k kind, quote byte) (token, error) {
	for {
		c, err := l.get()
		if err != nil {
			return token{}, unexpected(err)
		}
		if c == quote {
			if !l.peek(string(quote)) {
				return l.take(k), nil
			}
			_, _ = l.get() // it is there
		}
		l.keep(c)
	}
}

// escaped reads a string with escapes.
func (l *lexer) escaped() (token, error) {
	_, _ = l.get() // the quote is there
	for {
		c, err := l.get()
		switch {
		case err != nil:
			return token{}, unexpected(err)
		case c == '\\':
			if _, err := l.get(); err != nil {
				return token{}, unexpected(err)
			}
		case c == '\'':
			if !l.peek("'") {
				return token{kind: opaque}, nil
			}
			_, _ = l.get() // it is there
		}
	}
}

// dollar reads a string in dollar quotes, or a parameter.
func (l *lexer) dollar() (token, error) {
	tag := []byte{'$'}
	for {
		c, err := l.look()
		if err != nil {
			return token{}, unexpected(err)
		}
		if c != '$' && !isLetter(c) && (len(tag) == 1 || !isDigit(c)) || len(tag) > maxTag {
			return token{kind: symbol, text: "$"}, nil
		}
		_, _ = l.get() // it is there
		if tag = append(tag, c); c == '$' {
			break
		}
	}
	window := make([]byte, 0, len(tag))
	for {
		c, err := l.get()
		if err != nil {
			return token{}, unexpected(err)
		}
		if len(window) == len(tag) {
			copy(window, window[1:])
			window = window[:len(tag)-1]
		}
		if window = append(window, c); bytes.Equal(window, tag) {
			return token{kind: opaque}, nil
		}
	}
}

const maxTag = 80 // of a dollar quote: a name with two signs
