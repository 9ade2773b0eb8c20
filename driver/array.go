package driver

import (
	"errors"
	"strings"
)

// element is one element of an array literal.
type element struct {
	text string
	null bool
}

var errArray = errors.New("not the literal of a one-dimensional array")

const arraySpace = " \t\n\r\v\f"

// parseArray reads a PostgreSQL array literal of one dimension, with or without bounds
// ("[2:3]={a,b}"), by the rules of array_in. Errors hold nothing of the literal.
func parseArray(s string) ([]element, error) {
	s = strings.Trim(s, arraySpace)
	if strings.HasPrefix(s, "[") {
		_, body, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errArray
		}
		s = strings.TrimLeft(body, arraySpace)
	}
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, errArray
	}
	body := strings.Trim(s[1:len(s)-1], arraySpace)
	elems := []element{}
	if body == "" {
		return elems, nil
	}
	for {
		e, rest, err := parseElement(body)
		if err != nil {
			return nil, err
		}
		elems = append(elems, e)
		if rest == "" {
			return elems, nil
		}
		body = rest[1:] // after the comma
	}
}

// parseElement reads one element up to the comma that ends it or the end of s.
func parseElement(s string) (element, string, error) {
	s = strings.TrimLeft(s, arraySpace)
	if strings.HasPrefix(s, `"`) {
		return parseQuoted(s[1:])
	}
	end := strings.IndexByte(s, ',')
	if end < 0 {
		end = len(s)
	}
	raw := strings.TrimRight(s[:end], arraySpace)
	// A backslash outside quotes is legal and written by nobody.
	if raw == "" || strings.ContainsAny(raw, `{}"\`) {
		return element{}, "", errArray
	}
	if strings.EqualFold(raw, "NULL") {
		return element{null: true}, s[end:], nil
	}
	return element{text: raw}, s[end:], nil
}

func parseQuoted(s string) (element, string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			rest := strings.TrimLeft(s[i+1:], arraySpace)
			if rest != "" && rest[0] != ',' {
				return element{}, "", errArray
			}
			return element{text: b.String()}, rest, nil
		case '\\':
			if i++; i == len(s) {
				return element{}, "", errArray
			}
		}
		b.WriteByte(s[i])
	}
	return element{}, "", errArray
}

// appendElement writes one text element, in quotes where array_out puts them.
func appendElement(dst []byte, s string) []byte {
	if s != "" && !strings.EqualFold(s, "NULL") && !strings.ContainsAny(s, `{},"\`+arraySpace) {
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
