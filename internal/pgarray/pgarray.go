// Package pgarray reads and writes PostgreSQL's array literals, by the rules of the server's
// array_in and array_out.
package pgarray

import (
	"bytes"
	"errors"
	"iter"
	"strings"
)

// Element is one element of an array. Null says that it is the word NULL without quotes, as Text
// spells it: NULL, unless the server's setting array_nulls is off.
type Element struct {
	Text string
	Null bool
}

var errLiteral = errors.New("not the literal of a one-dimensional array")

const space = " \t\n\r\v\f"

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// Trim removes what PostgreSQL's input functions skip around a value. It is faster than
// strings.Trim, which first makes a set of the characters.
func Trim(s string) string { return trimLeft(trimRight(s)) }

func trimLeft(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

func trimRight(s string) string {
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// Parse returns the elements of a literal of one dimension; of an empty array, an empty slice. The
// error holds nothing of the literal.
func Parse(s string) ([]Element, error) {
	elems := []Element{}
	for e, err := range Elements(s) {
		if err != nil {
			return nil, err
		}
		elems = append(elems, e)
	}
	return elems, nil
}

// Elements yields the elements of a literal of one dimension. An error is yielded last,
// possibly after elements that could be read. It holds nothing of the literal.
func Elements(s string) iter.Seq2[Element, error] {
	return func(yield func(Element, error) bool) {
		if readAll(s, yield) {
			yield(Element{}, errLiteral)
		}
	}
}

// First returns the index of a literal's first element: 1 unless the literal has bounds.
func First(s string) int {
	dims, _, ok := cutBounds(Trim(s))
	if !ok || dims == nil {
		return 1
	}
	return dims[0].Low
}

// readAll yields the elements and reports whether it has to be followed by an error.
func readAll(s string, yield func(Element, error) bool) (failed bool) {
	dims, body, ok := cutBounds(Trim(s))
	if !ok || len(dims) > 1 || !strings.HasPrefix(body, "{") {
		return true
	}
	body = trimLeft(body[1:])
	n := 0
	for done := body == "}"; !done; n++ {
		e, rest, ok := next(body)
		if !ok || rest != "}" && !strings.HasPrefix(rest, ",") {
			return true
		}
		if !yield(e, nil) {
			return false
		}
		done, body = rest == "}", rest[1:]
	}
	return dims != nil && n != dims[0].Len
}

// next reads one element up to the comma or brace that ends it.
func next(s string) (e Element, rest string, ok bool) {
	s = trimLeft(s)
	if strings.HasPrefix(s, `"`) {
		return nextQuoted(s[1:])
	}
	end := ends(s)
	if end < 0 || s[end] == '{' || s[end] == '"' {
		return e, "", false
	}
	if s[end] == '\\' {
		return nextEscaped(s)
	}
	text := trimRight(s[:end])
	if strings.EqualFold(text, "NULL") {
		return Element{Text: text, Null: true}, s[end:], true
	}
	return Element{Text: text}, s[end:], text != ""
}

// ends returns where an element without quotes ends, or what it cannot hold or a backslash stands;
// -1 for none.
func ends(s string) int {
	for i := range len(s) {
		switch s[i] {
		case ',', '}', '{', '"', '\\':
			return i
		}
	}
	return -1
}

// nextEscaped reads an element without quotes but with backslashes, which is never NULL.
func nextEscaped(s string) (e Element, rest string, ok bool) {
	var text []byte
	kept := 0 // up to where trailing space is part of the element, because it was escaped
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ',', '}':
			trimmed := bytes.TrimRight(text[kept:], space)
			return Element{Text: string(text[:kept+len(trimmed)])}, s[i:], true
		case '{', '"':
			return e, "", false
		case '\\':
			if i++; i == len(s) {
				return e, "", false
			}
			text = append(text, s[i])
			kept = len(text)
		default:
			text = append(text, s[i])
		}
	}
	return e, "", false
}

// nextQuoted reads the rest of an element after its opening quote.
func nextQuoted(s string) (e Element, rest string, ok bool) {
	if end := strings.IndexAny(s, `"\`); end >= 0 && s[end] == '"' {
		return Element{Text: s[:end]}, trimLeft(s[end+1:]), true
	}
	var text []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return Element{Text: string(text)}, trimLeft(s[i+1:]), true
		case '\\':
			if i++; i == len(s) {
				return e, "", false
			}
		}
		text = append(text, s[i])
	}
	return e, "", false
}

// AppendElement writes one element that is not NULL, in quotes where array_out puts them.
func AppendElement(dst []byte, s string) []byte {
	if !quoted(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// quoted reports whether array_out writes an element in quotes.
func quoted(s string) bool {
	if s == "" || strings.EqualFold(s, "NULL") || ends(s) >= 0 {
		return true
	}
	for i := range len(s) {
		if isSpace(s[i]) {
			return true
		}
	}
	return false
}

// Strings writes the literal of an array of text.
func Strings(elems []string) string {
	dst := []byte{'{'}
	for i, e := range elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendElement(dst, e)
	}
	return string(append(dst, '}'))
}
