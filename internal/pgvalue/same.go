package pgvalue

import (
	"bytes"

	"github.com/colseal/colseal/codec"
)

// A Reading is what a column takes an argument or constant for: a value as codec takes it for the
// column's kind, or nil for NULL.
type Reading struct {
	Kind  codec.Kind
	Suite codec.Suite
	Value any
	Texts codec.Session // what texts mean
}

// Same reports whether two readings are the same value, which either kind has back from the other:
// 7 is as an int and as a text, and 007 is not.
func Same(a, b Reading) bool {
	if a.Value == nil || b.Value == nil {
		return a.Value == nil && b.Value == nil
	}
	x, err := a.Texts.AppendValue(nil, a.Kind, a.Suite, a.Value)
	if err != nil {
		return false
	}
	defer clear(x)
	y, err := b.Texts.AppendValue(nil, b.Kind, b.Suite, b.Value)
	if err != nil {
		return false
	}
	defer clear(y)
	return becomes(a, x, b, y) && becomes(b, y, a, x)
}

func becomes(from Reading, encoding []byte, to Reading, want []byte) bool {
	got, err := (codec.Session{}).AppendConverted(nil, to.Kind, to.Suite, from.Kind, encoding)
	defer clear(got)
	return err == nil && bytes.Equal(got, want)
}
