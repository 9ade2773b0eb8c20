package codec

import (
	"bytes"
	"database/sql/driver"
	"reflect"
	"strconv"
	"strings"
)

// appendArray writes a one-dimensional array as PostgreSQL's array_out does. It takes a slice of anything that one
// element may be, nil elements being NULL, or an array literal.
func appendArray(dst []byte, kind Kind, v any) ([]byte, error) {
	for range maxIndirect {
		switch v := v.(type) {
		case string:
			return appendArrayLiteral(dst, kind, v)
		case []byte:
			if v == nil {
				return nil, ErrNull
			}
			return appendArrayLiteral(dst, kind, string(v))
		}
		if isNil(v) {
			return nil, ErrNull
		}
		if valuer, ok := v.(driver.Valuer); ok {
			next, err := valuer.Value()
			if err != nil {
				return nil, &valueError{kind: kind, reason: "its Value method failed", cause: err}
			}
			v = next
			continue
		}
		rv := reflect.ValueOf(v)
		switch rv.Kind() {
		case reflect.Pointer:
			v = rv.Elem().Interface()
			continue
		case reflect.Slice, reflect.Array:
			return appendSlice(dst, kind, rv)
		case reflect.String:
			return appendArrayLiteral(dst, kind, rv.String())
		}
		return nil, refuse(kind, "a "+rv.Type().String()+" cannot be sealed as it")
	}
	return nil, refuse(kind, "pointers or Value methods nested too deep")
}

func appendSlice(dst []byte, kind Kind, rv reflect.Value) ([]byte, error) {
	dst = append(dst, '{')
	for i := range rv.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		in, err := read(kind, rv.Index(i).Interface())
		if err == ErrNull {
			dst = append(dst, "NULL"...)
			continue
		}
		if err == nil {
			dst, err = appendElement(dst, kind, in)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendElement(dst []byte, kind Kind, in input) ([]byte, error) {
	if kind == KindIntArray {
		i, err := in.toInt(kind)
		if err != nil {
			return nil, err
		}
		return strconv.AppendInt(dst, i, 10), nil
	}
	s, ok := in.text()
	if !ok {
		return nil, refuse(kind, "an element is neither a string nor bytes")
	}
	if !validTextString(s) {
		return nil, refuse(kind, "an element is not valid UTF-8 without NUL, as PostgreSQL's text is")
	}
	return appendQuoted(dst, s), nil
}

func badArray(kind Kind) error {
	return refuse(kind, "not the literal of a one-dimensional array")
}

const arraySpace = " \t\n\r\v\f"

// appendQuoted writes one text element, in quotes where array_out puts them.
func appendQuoted(dst []byte, s string) []byte {
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

// appendArrayLiteral reads an array literal by the rules of array_in and writes it in the canonical form.
func appendArrayLiteral(dst []byte, kind Kind, s string) ([]byte, error) {
	body, open := strings.CutPrefix(strings.Trim(s, arraySpace), "{")
	body = strings.TrimLeft(body, arraySpace)
	if !open {
		return nil, badArray(kind)
	}
	dst = append(dst, '{')
	if body == "}" {
		return append(dst, '}'), nil
	}
	for {
		element, rest, ok := nextElement(body)
		if !ok {
			return nil, badArray(kind)
		}
		var err error
		if element.null {
			dst = append(dst, "NULL"...)
		} else if dst, err = appendElement(dst, kind, input{form: formString, s: element.text}); err != nil {
			return nil, err
		}
		switch {
		case rest == "}":
			return append(dst, '}'), nil
		case strings.HasPrefix(rest, ","):
			dst = append(dst, ',')
			body = rest[1:]
		default:
			return nil, badArray(kind)
		}
	}
}

type element struct {
	text string
	null bool
}

// nextElement reads one element of an array literal up to the comma or brace that ends it.
func nextElement(s string) (e element, rest string, ok bool) {
	s = strings.TrimLeft(s, arraySpace)
	if strings.HasPrefix(s, `"`) {
		return quotedElement(s[1:])
	}
	end := strings.IndexAny(s, `,}{"\`)
	if end < 0 || s[end] == '{' || s[end] == '"' {
		return e, "", false
	}
	if s[end] == '\\' {
		return escapedElement(s)
	}
	text := strings.TrimRight(s[:end], arraySpace)
	return element{text: text, null: strings.EqualFold(text, "NULL")}, s[end:], text != ""
}

// escapedElement reads an element without quotes but with backslashes: rare, and never NULL.
func escapedElement(s string) (e element, rest string, ok bool) {
	var text []byte
	kept := 0 // up to where trailing space is part of the element, because it was escaped
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ',', '}':
			trimmed := bytes.TrimRight(text[kept:], arraySpace)
			return element{text: string(text[:kept+len(trimmed)])}, s[i:], true
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

// quotedElement reads the rest of an element after its opening quote.
func quotedElement(s string) (e element, rest string, ok bool) {
	if end := strings.IndexAny(s, `"\`); end >= 0 && s[end] == '"' {
		return element{text: s[:end]}, strings.TrimLeft(s[end+1:], arraySpace), true
	}
	var text []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return element{text: string(text)}, strings.TrimLeft(s[i+1:], arraySpace), true
		case '\\':
			if i++; i == len(s) {
				return e, "", false
			}
		}
		text = append(text, s[i])
	}
	return e, "", false
}

// canonicalArray reports whether s is what appendArray writes.
func canonicalArray(kind Kind, s string) bool {
	again, err := appendArrayLiteral(make([]byte, 0, len(s)), kind, s)
	return err == nil && string(again) == s
}
