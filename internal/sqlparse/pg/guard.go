package pg

import (
	"strings"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/sqlparse"
)

const (
	// maxBytes keeps offsets within the int32 of the parser's locations.
	maxBytes = 1 << 30
	// maxNesting is far from what overflows the stack, at 4 KB or so per level.
	maxNesting = 10_000
	// maxRetries bounds the tokens that the parser may read again. It tries a "(("
	// before SELECT as a query and then as an expression, and substring(…) in two
	// forms: nested, that doubles per level.
	maxRetries = 2_000_000
)

// guard returns text with its comments blanked out by as many spaces, or an error
// when the text would cost the parser too much.
//
// Comments are blanked since the parser lets them interrupt what PostgreSQL reads
// as one: NOT /**/ IN, and a string constant that continues on the next line.
func guard(text string, lim sqlparse.Limits) (string, *sqlparse.Error) {
	if len(text) > min(lim.Bytes, maxBytes) {
		return "", &sqlparse.Error{Pos: lim.Bytes, Reason: "the SQL text is longer than the limit"}
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return "", &sqlparse.Error{Pos: i, Reason: "the SQL text holds a NUL byte"}
	}
	if !utf8.ValidString(text) {
		return "", &sqlparse.Error{Pos: invalidUTF8(text), Reason: "the SQL text is not valid UTF-8"}
	}
	g := scanner{text: text, nest: nesting{limit: min(lim.Nesting, maxNesting)}}
	g.nest.frames = append(g.frames[:0], frame{retries: 1})
	for g.pos < len(text) {
		g.token()
		if g.err != nil {
			return "", g.err
		}
	}
	if g.blank != nil {
		return string(g.blank), nil
	}
	return text, nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8.
func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return len(s)
}

// scanner walks the bytes of a text as PostgreSQL's lexer would, only telling apart
// what matters for nesting: it must agree with the lexer on where constants, quoted
// names and comments end.
type scanner struct {
	text   string
	pos    int
	signs  int    // before this point, each sign is an operator
	blank  []byte // the text without comments, once there was one
	nest   nesting
	err    *sqlparse.Error
	frames [16]frame
}

// token passes over one token, comment or white space.
func (g *scanner) token() {
	c := g.text[g.pos]
	switch {
	case isSpace(c):
		g.pos++
	case c == '-' && g.at(1) == '-', c == '/' && g.at(1) == '*':
		g.comment()
	case isIdentStart(c):
		g.word()
	case c == '\'':
		g.quoted('\'')
		g.nest.operand()
	case c == '"':
		g.quoted('"')
		g.nest.operand()
	case c == '$':
		g.dollar()
	case c >= '0' && c <= '9':
		for g.pos < len(g.text) && isNumberPart(g.text[g.pos]) {
			g.pos++
		}
		g.nest.operand()
	case c == '(' || c == '[':
		g.err = g.nest.open(g.pos, c == '(')
		g.pos++
	case c == ')' || c == ']':
		g.nest.close()
		g.pos++
	case c == ',' || c == ';':
		g.nest.separate()
		g.pos++
	case isOpChar(c):
		g.operator()
		g.err = g.nest.operator(g.pos)
	case c == '.':
		g.pos++
		g.nest.dot()
	default: // : and what the lexer refuses
		g.pos++
		g.nest.other()
	}
}

// operator passes over one operator. The lexer takes the signs from the end of one, unless a
// character is in it that no operator of the standard has: "*+-" is three operators, "@+-" is one.
func (g *scanner) operator() {
	if g.pos < g.signs {
		g.pos++
		return
	}
	end, own := g.pos+1, false
	for g.pos < len(g.text) && isOpChar(g.text[g.pos]) && !g.commentStarts(g.pos) {
		c := g.text[g.pos]
		g.pos++
		if c != '+' && c != '-' {
			end, own = g.pos, own || strings.IndexByte("~!@#^&|`?%", c) >= 0
		}
	}
	if !own {
		g.pos, g.signs = end, g.pos
	}
}

func (g *scanner) at(off int) byte {
	if g.pos+off < len(g.text) {
		return g.text[g.pos+off]
	}
	return 0
}

func (g *scanner) commentStarts(i int) bool {
	return i+1 < len(g.text) && (g.text[i:i+2] == "--" || g.text[i:i+2] == "/*")
}

// word passes over an identifier or keyword, or a constant that starts like one.
func (g *scanner) word() {
	start := g.pos
	c := g.text[start] | 0x20
	switch {
	case c == 'e' && g.at(1) == '\'':
		g.pos++
		g.escaped()
		g.nest.operand()
		return
	case c == 'u' && g.at(1) == '&' && (g.at(2) == '\'' || g.at(2) == '"'):
		g.pos += 2
		g.quoted(g.text[g.pos])
		g.nest.operand()
		return
	}
	for g.pos < len(g.text) && isIdentPart(g.text[g.pos]) {
		g.pos++
	}
	g.err = g.nest.word(start, g.text[start:g.pos])
}

// quoted passes over a constant or name without backslash escapes. A doubled quote
// ends it and starts the next, which covers the same bytes.
func (g *scanner) quoted(q byte) {
	i := strings.IndexByte(g.text[g.pos+1:], q)
	if i < 0 {
		g.pos = len(g.text)
		return
	}
	g.pos += i + 2
}

// escaped passes over the quoted part of E'…'. It goes on where another quote
// follows on a later line: that part has backslash escapes as well.
func (g *scanner) escaped() {
	for {
		for g.pos++; g.pos < len(g.text) && g.text[g.pos] != '\''; g.pos++ {
			if g.text[g.pos] == '\\' {
				g.pos++
			}
		}
		g.pos = min(g.pos+1, len(g.text))
		if g.at(0) == '\'' { // doubled
			continue
		}
		if !g.continues() {
			return
		}
	}
}

// continues passes over the space before a quote on a later line. The comments
// there are blanked before the parser sees them, so they count as space.
func (g *scanner) continues() bool {
	start := g.pos
	newline := false
	for g.pos < len(g.text) {
		c := g.text[g.pos]
		switch {
		case isSpace(c):
			newline = newline || c == '\n' || c == '\r'
			g.pos++
		case g.commentStarts(g.pos):
			g.comment()
		case c == '\'' && newline:
			return true
		default:
			g.pos = start
			return false
		}
	}
	g.pos = start
	return false
}

// dollar passes over $1, $$…$$ or $tag$…$tag$.
func (g *scanner) dollar() {
	start := g.pos
	g.pos++
	switch c := g.at(0); {
	case c >= '0' && c <= '9':
		for c := g.at(0); c >= '0' && c <= '9'; c = g.at(0) {
			g.pos++
		}
		g.nest.operand()
		return
	case isIdentStart(c):
		for g.pos < len(g.text) && isIdentPart(g.text[g.pos]) && g.text[g.pos] != '$' {
			g.pos++
		}
	}
	if g.at(0) != '$' { // a lone dollar sign, which the lexer refuses
		g.pos = start + 1
		return
	}
	g.pos++
	tag := g.text[start:g.pos]
	i := strings.Index(g.text[g.pos:], tag)
	if i < 0 {
		g.pos = len(g.text)
		return
	}
	g.pos += i + len(tag)
	g.nest.operand()
}

// comment blanks a comment out, and passes over it.
func (g *scanner) comment() {
	start := g.pos
	if g.text[start] == '-' {
		for g.pos < len(g.text) && g.text[g.pos] != '\n' && g.text[g.pos] != '\r' {
			g.pos++
		}
	} else if !g.block() {
		return // not closed: leave it for the parser to refuse
	}
	if g.blank == nil {
		g.blank = []byte(g.text)
	}
	for i := start; i < g.pos; i++ {
		g.blank[i] = ' '
	}
}

// block passes over a comment in /* */, which nests, and reports whether it ends.
func (g *scanner) block() bool {
	depth := 0
	for g.pos < len(g.text) {
		switch {
		case g.text[g.pos] == '/' && g.at(1) == '*':
			depth++
			g.pos += 2
		case g.text[g.pos] == '*' && g.at(1) == '/':
			depth--
			g.pos += 2
			if depth == 0 {
				return true
			}
		default:
			g.pos++
		}
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isIdentStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isIdentPart(c byte) bool { return isIdentStart(c) || c >= '0' && c <= '9' || c == '$' }

// isNumberPart is generous: what is no number after all, the lexer refuses.
func isNumberPart(c byte) bool { return c != '$' && isIdentPart(c) && c < 0x80 }

func isOpChar(c byte) bool { return strings.IndexByte("~!@#^&|`?+-*/%<>=", c) >= 0 }
