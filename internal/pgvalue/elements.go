package pgvalue

import (
	"fmt"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/pgarray"
)

// elementKinds are the kinds of the elements of the kinds of arrays.
var elementKinds = map[codec.Kind]codec.Kind{codec.KindTextArray: codec.KindText, codec.KindIntArray: codec.KindInt}

// Elements is As or AsSQLite for an array of values of a kind, or for a kind of arrays. It
// returns []any, with nil for NULL; or, for a kind of arrays, the literal of an array of more
// dimensions or with bounds.
func (c Constant) Elements(kind codec.Kind, suite codec.Suite, as func(Constant, codec.Kind, codec.Suite) (any, *Error)) (any, *Error) {
	s, ok := c.Value.(string)
	if !ok {
		return nil, unfit(kind)
	}
	of, whole := elementKinds[kind]
	if !whole {
		of = kind
	}
	a, err := pgarray.ParseArray(s)
	// What becomes of dimensions and bounds is for the statement to say.
	simple := strings.HasPrefix(strings.TrimSpace(s), "{") && len(a.Dims) < 2
	if err != nil || !simple && !whole {
		return nil, &Error{"the literal is not that of a one-dimensional array without bounds", "write it as '{a,b}', or use a parameter"}
	}
	out := make([]any, len(a.Elems))
	for i, e := range a.Elems {
		if a.Elems[i].Null = e.Null && !c.NullWords; a.Elems[i].Null {
			continue
		}
		c.Value = e.Text
		v, err := as(c, of, suite)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	if simple {
		return out, nil
	}
	for i, v := range out {
		if v != nil {
			a.Elems[i].Text = fmt.Sprint(v) // a string or an integer
		}
	}
	literal, _ := a.Append(nil, func(dst []byte, e pgarray.Element) ([]byte, error) { return pgarray.AppendElement(dst, e.Text), nil })
	return string(literal), nil
}
