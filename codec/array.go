package codec

import (
	"database/sql/driver"
	"reflect"
	"strconv"
	"strings"

	"github.com/colseal/colseal/internal/pgarray"
)

// appendArray writes an array as PostgreSQL's array_out does. It takes a slice of anything that one
// element may be, nil elements being NULL, or an array literal, of any dimensions.
func (s Session) appendArray(dst []byte, kind Kind, v any) ([]byte, error) {
	held, _, err := follow(kind, v)
	if err != nil {
		return nil, err
	}
	switch rv := reflect.ValueOf(held); {
	case rv.Kind() == reflect.String:
		return s.appendArrayLiteral(dst, kind, rv.String())
	case rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() == reflect.Uint8:
		return s.appendArrayLiteral(dst, kind, string(rv.Bytes()))
	case rv.Kind() == reflect.Slice, rv.Kind() == reflect.Array:
		return appendSlice(dst, kind, rv)
	default:
		return nil, refuse(kind, "a "+rv.Type().String()+" cannot be sealed as it")
	}
}

func appendSlice(dst []byte, kind Kind, rv reflect.Value) ([]byte, error) {
	if nested(rv.Type().Elem()) {
		return nil, refuse(kind, "an array of more than one dimension")
	}
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
			dst, err = appendElement(dst, kind, &in)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// nested reports whether the elements of a slice are slices themselves, other than of bytes.
func nested(elem reflect.Type) bool {
	for elem.Kind() == reflect.Pointer {
		elem = elem.Elem()
	}
	switch elem.Kind() {
	case reflect.Slice, reflect.Array:
		return elem.Elem().Kind() != reflect.Uint8 && !elem.Implements(reflect.TypeFor[driver.Valuer]())
	}
	return false
}

func appendElement(dst []byte, kind Kind, in *input) ([]byte, error) {
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
	return pgarray.AppendElement(dst, s), nil
}

// appendArrayLiteral reads an array literal and writes it in the canonical form.
func (s Session) appendArrayLiteral(dst []byte, kind Kind, literal string) ([]byte, error) {
	if !oneDimensional(literal) {
		a, err := pgarray.ParseArray(literal)
		if err != nil {
			return nil, refuse(kind, err.Error())
		}
		for i := range a.Elems {
			a.Elems[i].Null = a.Elems[i].Null && !s.NullWords
		}
		return a.Append(dst, func(dst []byte, e pgarray.Element) ([]byte, error) {
			return appendElement(dst, kind, &input{form: formString, s: e.Text})
		})
	}
	dst = append(dst, '{')
	empty := len(dst)
	for e, err := range pgarray.Elements(literal) {
		if err != nil {
			return nil, refuse(kind, err.Error())
		}
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		if e.Null && !s.NullWords {
			dst = append(dst, "NULL"...)
		} else if dst, err = appendElement(dst, kind, &input{form: formString, s: e.Text}); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// oneDimensional reports whether an array literal has neither bounds nor arrays in it.
func oneDimensional(s string) bool {
	s, ok := strings.CutPrefix(trimSpace(s), "{")
	return ok && !strings.HasPrefix(trimSpace(s), "{")
}

// canonicalArray reports whether s is what appendArray writes.
func canonicalArray(kind Kind, s string) bool {
	again, err := Session{}.appendArrayLiteral(make([]byte, 0, len(s)), kind, s)
	return err == nil && string(again) == s
}
