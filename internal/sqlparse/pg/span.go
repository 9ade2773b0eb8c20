package pg

import (
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/sqlparse"
)

// The functions of this file find where a part of a statement ends, for which the
// grammar's tree only tells where it starts. Tokens are those of the text. Each
// reports false when the tokens at the position are not what it is asked for.

// ConstEnd returns the end of the constant that starts at the byte offset at. Its
// signs are a part of it, and so are parentheses after them.
func ConstEnd(tokens []sqlparse.Token, text string, at int) (int, bool) {
	return reader{tokens, text}.end(reader.constant, at)
}

// TypeEnd returns the end of the name of a type that starts at the byte offset at,
// with its modifiers and array bounds.
func TypeEnd(tokens []sqlparse.Token, text string, at int) (int, bool) {
	return reader{tokens, text}.end(reader.typeName, at)
}

// NameEnd returns the end of a name, which may be qualified, that starts at the byte offset at.
func NameEnd(tokens []sqlparse.Token, text string, at int) (int, bool) {
	return reader{tokens, text}.end(reader.name, at)
}

// SourceStart returns where the source of an INSERT starts: VALUES, SELECT, WITH, a
// parenthesis, or DEFAULT VALUES.
func SourceStart(tokens []sqlparse.Token, text string, ins *sqlparse.Insert) (int, bool) {
	r := reader{tokens, text}
	i, ok := r.name(r.find(ins.Table.Pos()))
	if !ok {
		return 0, false
	}
	if r.is(i, "as") {
		i = r.identifier(i + 1)
	}
	if ins.Columns != nil {
		if i, ok = r.group(i); !ok {
			return 0, false
		}
	}
	if r.is(i, "overriding") {
		i += 3 // USER or SYSTEM, VALUE
	}
	if i >= len(tokens) {
		return 0, false
	}
	return tokens[i].Start, true
}

// reader reads tokens. Its methods take an index and return the one behind what they
// read; an index beyond the tokens is none of anything.
type reader struct {
	tokens []sqlparse.Token
	text   string
}

func (r reader) end(read func(reader, int) (int, bool), at int) (int, bool) {
	i, ok := read(r, r.find(at))
	if !ok {
		return 0, false
	}
	return r.tokens[i-1].End, true
}

// find returns the index of the token that starts at a byte offset.
func (r reader) find(at int) int {
	i, ok := slices.BinarySearchFunc(r.tokens, at, func(t sqlparse.Token, at int) int { return t.Start - at })
	if !ok {
		return len(r.tokens)
	}
	return i
}

func (r reader) kind(i int) sqlparse.TokenKind {
	if i < 0 || i >= len(r.tokens) {
		return sqlparse.TokenOther
	}
	return r.tokens[i].Kind
}

func (r reader) str(i int) string {
	if i < 0 || i >= len(r.tokens) {
		return ""
	}
	return r.text[r.tokens[i].Start:r.tokens[i].End]
}

// is tells whether a token is one of the symbols or unquoted words.
func (r reader) is(i int, words ...string) bool {
	s := r.str(i)
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(s, w) })
}

// unicode passes the UESCAPE 'x' that may follow a constant or a name in U&.
func (r reader) unicode(i int) int {
	if strings.HasPrefix(strings.ToLower(r.str(i-1)), "u&") && r.is(i, "uescape") {
		return i + 2
	}
	return i
}

// identifier passes one identifier.
func (r reader) identifier(i int) int { return r.unicode(i + 1) }

// name passes a qualified name, and the star at its end.
func (r reader) name(i int) (int, bool) {
	if r.kind(i) != sqlparse.TokenWord {
		return 0, false
	}
	i = r.identifier(i)
	for r.is(i, ".") {
		if r.is(i+1, "*") {
			return i + 2, true
		}
		if r.kind(i+1) != sqlparse.TokenWord {
			return 0, false
		}
		i = r.identifier(i + 1)
	}
	return i, true
}

// constant passes a constant.
func (r reader) constant(i int) (int, bool) {
	open := 0
	for signed := false; ; i++ {
		switch {
		case r.is(i, "-", "+"):
			signed = true
			continue
		case signed && r.is(i, "("):
			open++
			continue
		}
		break
	}
	switch r.kind(i) {
	case sqlparse.TokenString:
		i = r.unicode(i + 1)
	case sqlparse.TokenNumber:
		i++
	case sqlparse.TokenWord:
		if !r.is(i, "true", "false", "null") {
			return 0, false
		}
		i++
	default:
		return 0, false
	}
	for ; open > 0; open-- {
		if !r.is(i, ")") {
			return 0, false
		}
		i++
	}
	return i, true
}

// group passes a pair of parentheses or brackets and what is inside.
func (r reader) group(i int) (int, bool) {
	if !r.is(i, "(", "[") {
		return 0, false
	}
	for depth := 0; i < len(r.tokens); i++ {
		switch {
		case r.is(i, "(", "["):
			depth++
		case r.is(i, ")", "]"):
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return 0, false
}

// maybeGroup passes a pair of parentheses that may be absent.
func (r reader) maybeGroup(i int) int {
	if r.is(i, "(") {
		if end, ok := r.group(i); ok {
			return end
		}
	}
	return i
}
