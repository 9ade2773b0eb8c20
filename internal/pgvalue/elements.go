package pgvalue

import (
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/pgarray"
)

// elementKinds are the kinds of the elements of the kinds of arrays.
var elementKinds = map[codec.Kind]codec.Kind{codec.KindTextArray: codec.KindText, codec.KindIntArray: codec.KindInt}

// Elements is As or AsSQLite for an array of values of a kind, or for a kind of arrays. It
// returns []any, with nil for NULL.
func (c Constant) Elements(kind codec.Kind, suite codec.Suite, as func(Constant, codec.Kind, codec.Suite) (any, *Error)) (any, *Error) {
	s, ok := c.Value.(string)
	if !ok {
		return nil, unfit(kind)
	}
	// Bounds would be lost, and the server's rules for them are its own.
	elems, err := pgarray.Parse(s)
	if err != nil || !strings.HasPrefix(strings.TrimSpace(s), "{") {
		return nil, &Error{"the literal is not that of a one-dimensional array without bounds", "write it as '{a,b}', or use a parameter"}
	}
	of, whole := elementKinds[kind]
	if !whole {
		of = kind
	}
	out := make([]any, len(elems))
	for i, e := range elems {
		if e.Null {
			continue
		}
		c.Value = e.Text
		v, err := as(c, of, suite)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}
