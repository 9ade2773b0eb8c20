package driver

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/schema"
)

// maxUnwrap bounds Valuers that yield Valuers and pointers to pointers.
const maxUnwrap = 16

// unwrapValue reduces an argument to nil for NULL or a value that codec seals: Valuers
// are asked once, pointers are followed. It does not convert; the codec does.
func unwrapValue(kind codec.Kind, v any) (any, error) {
	for range maxUnwrap {
		switch t := v.(type) {
		case nil:
			return nil, nil
		case string, int64, int, bool, float64:
			return v, nil
		case []byte:
			if t == nil {
				return nil, nil
			}
			return v, nil
		case *big.Int: // its methods are the pointer's
			if t == nil {
				return nil, nil
			}
			return v, nil
		case sql.Out, *sql.Out:
			return nil, fmt.Errorf("%w: an output parameter cannot be sealed", codec.ErrValue)
		case sqldriver.Valuer:
			next, err := callValuer(t)
			if err != nil {
				return nil, front.ValuerError{Cause: err}
			}
			v = next
			continue
		}
		rv := reflect.ValueOf(v)
		switch rv.Kind() {
		case reflect.Pointer:
			if rv.IsNil() {
				return nil, nil
			}
			if kind == schema.JSON && keepPointer(v, rv) {
				return v, nil
			}
			v = rv.Elem().Interface()
			continue
		case reflect.Slice, reflect.Map:
			if rv.IsNil() {
				return nil, nil
			}
		}
		if kind == schema.TextArray || kind == schema.IntArray {
			if elems, ok, err := pgxElements(v); ok {
				return orNull(elems), err
			}
		}
		return v, nil
	}
	return nil, fmt.Errorf("%w: Valuers or pointers nested too deep", codec.ErrValue)
}

// keepPointer reports whether a pointer is to be marshalled as it is: methods with a
// pointer receiver, on it or below it, would be lost with the pointer.
func keepPointer(v any, rv reflect.Value) bool {
	if _, ok := v.(json.Marshaler); ok {
		return true
	}
	switch rv.Type().Elem().Kind() {
	case reflect.Struct, reflect.Map, reflect.Array:
		return true
	}
	return false
}

// orNull makes a nil slice an untyped nil.
func orNull(elems []any) any {
	if elems == nil {
		return nil
	}
	return elems
}

// unwrapArray reduces an array argument to its elements, nil for NULL ones; nil means
// that the array itself is NULL. It takes a slice or array of anything, pgx's array
// types, and an array literal as a string or []byte.
func unwrapArray(kind codec.Kind, v any) ([]any, error) {
	for range maxUnwrap {
		switch t := v.(type) {
		case nil:
			return nil, nil
		case string:
			return front.ArrayElements(t)
		case []byte:
			if t == nil {
				return nil, nil
			}
			return front.ArrayElements(string(t))
		case sql.Out, *sql.Out:
			return nil, fmt.Errorf("%w: an output parameter cannot be sealed", codec.ErrValue)
		case sqldriver.Valuer:
			next, err := callValuer(t)
			if err != nil {
				return nil, front.ValuerError{Cause: err}
			}
			v = next
			continue
		}
		if elems, ok, err := pgxElements(v); ok {
			if err != nil || elems == nil {
				return nil, err
			}
			return unwrapElements(kind, reflect.ValueOf(elems))
		}
		rv := reflect.ValueOf(v)
		switch rv.Kind() {
		case reflect.Pointer:
			if rv.IsNil() {
				return nil, nil
			}
			v = rv.Elem().Interface()
			continue
		case reflect.String:
			return front.ArrayElements(rv.String())
		case reflect.Slice:
			if rv.IsNil() {
				return nil, nil
			}
			return unwrapElements(kind, rv)
		case reflect.Array:
			return unwrapElements(kind, rv)
		}
		return nil, front.ErrNoArray
	}
	return nil, front.ErrNoArray
}

func unwrapElements(kind codec.Kind, rv reflect.Value) ([]any, error) {
	if rv.Type().Elem().Kind() == reflect.Uint8 {
		return nil, front.ErrNoArray
	}
	elems := make([]any, rv.Len())
	for i := range elems {
		var err error
		if elems[i], err = unwrapValue(kind, rv.Index(i).Interface()); err != nil {
			return nil, err
		}
	}
	return elems, nil
}
