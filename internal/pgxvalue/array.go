package pgxvalue

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/pgarray"
)

// array is the binary form of an array, decoded.
type array struct {
	dims  []dimension
	elems []any // nil for NULL ones; never nil
}

type dimension struct{ length, low int32 }

// decodeArray decodes the binary form of an array of values of kind: how many dimensions, whether
// any element is NULL, the type, the length and lower bound of each dimension, and the elements
// with their lengths.
func decodeArray(kind codec.Kind, wire []byte) (array, error) {
	r := reader{rest: wire}
	dims := r.int32()
	r.int32()
	r.int32()
	if r.failed || dims < 0 || dims > 6 {
		return array{}, errWire
	}
	a := array{elems: []any{}}
	n := 1
	for range dims {
		d := dimension{r.int32(), r.int32()}
		if r.failed || d.length < 0 || n > len(wire) {
			return array{}, errWire
		}
		a.dims = append(a.dims, d)
		n *= int(d.length)
	}
	if dims == 0 {
		n = 0
	}
	for range n {
		size := r.int32()
		if size < 0 && !r.failed {
			a.elems = append(a.elems, nil)
			continue
		}
		elem := r.bytes(int(size))
		if r.failed {
			return array{}, errWire
		}
		v, err := decode(kind, pgtype.BinaryFormatCode, elem)
		if err != nil {
			return array{}, err
		}
		a.elems = append(a.elems, v)
	}
	if len(r.rest) > 0 {
		return array{}, errWire
	}
	return a, nil
}

// simple reports whether an array has one dimension and begins at 1, or is empty.
func (a array) simple() bool {
	return len(a.elems) == 0 || len(a.dims) == 1 && a.dims[0].low == 1
}

// value returns an array of texts or integers as codec takes one.
func (a array) value() (any, error) {
	if a.simple() {
		return a.elems, nil
	}
	out := pgarray.Array{}
	for _, d := range a.dims {
		out.Dims = append(out.Dims, pgarray.Dim{Low: int(d.low), Len: int(d.length)})
	}
	for _, e := range a.elems {
		switch t := e.(type) {
		case nil:
			out.Elems = append(out.Elems, pgarray.Element{Null: true})
		case int64:
			out.Elems = append(out.Elems, pgarray.Element{Text: strconv.FormatInt(t, 10)})
		default:
			out.Elems = append(out.Elems, pgarray.Element{Text: t.(string)})
		}
	}
	b, err := out.Append(nil, func(dst []byte, e pgarray.Element) ([]byte, error) { return pgarray.AppendElement(dst, e.Text), nil })
	return string(b), err
}

// ErrNoArray is the error of an argument of which a statement takes the elements one by one, and
// which is not an array for that.
var ErrNoArray = hint.With(fmt.Errorf("%w: the statement takes an array of one dimension here, whose first index is 1", codec.ErrValue), "give a slice, or a literal without bounds")

// ParseArray returns the elements of an array literal of one dimension that begins at 1, nil for
// NULL ones. The error is codec.ErrValue.
func ParseArray(literal string) ([]any, error) {
	parsed, err := pgarray.Parse(literal)
	if err != nil || pgarray.First(literal) != 1 {
		return nil, ErrNoArray
	}
	elems := make([]any, len(parsed))
	for i, e := range parsed {
		if !e.Null {
			elems[i] = e.Text
		}
	}
	return elems, nil
}

// reader reads a wire form from the left. After a failure it only fails.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) bytes(n int) []byte {
	if r.failed || n < 0 || n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) int32() int32 {
	b := r.bytes(4)
	if b == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}
