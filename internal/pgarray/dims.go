package pgarray

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Array is an array of any number of dimensions.
type Array struct {
	Dims  []Dim     // nil for an empty array
	Elems []Element // in order, the last dimension's index changing first
}

// Dim is one dimension: the index of its first element, and how many there are.
type Dim struct{ Low, Len int }

// maxDims is PostgreSQL's limit.
const maxDims = 6

var errArray = errors.New("not the literal of an array")

// ParseArray returns the array of a literal. It takes no empty array within another, of which
// releases of PostgreSQL think differently. The error holds nothing of the literal.
func ParseArray(s string) (Array, error) {
	given, body, ok := cutBounds(Trim(s))
	if !ok || !strings.HasPrefix(body, "{") {
		return Array{}, errArray
	}
	if given == nil && trimLeft(body[1:]) == "}" {
		return Array{}, nil
	}
	p := parser{rest: body}
	if !p.array(0) || p.rest != "" || given != nil && len(given) != len(p.dims) {
		return Array{}, errArray
	}
	for i := range given {
		if given[i].Len != p.dims[i].Len {
			return Array{}, errArray
		}
		p.dims[i].Low = given[i].Low
	}
	return Array{p.dims, p.elems}, nil
}

// parser reads an array without bounds.
type parser struct {
	rest  string
	dims  []Dim
	elems []Element
	leaf  bool // all dimensions are known
}

// array reads the braces at a depth and what is in them, and reports whether it is as deep and as
// long as what stands beside it.
func (p *parser) array(depth int) bool {
	if depth == maxDims || p.leaf && depth == len(p.dims) {
		return false
	}
	if depth == len(p.dims) {
		p.dims = append(p.dims, Dim{Low: 1})
	}
	first := p.dims[depth].Len == 0 // the first of its depth says how long all are
	p.rest = trimLeft(p.rest[1:])
	n := 0
	for {
		if strings.HasPrefix(p.rest, "{") {
			if !p.array(depth + 1) {
				return false
			}
		} else {
			if p.leaf = p.leaf || depth == len(p.dims)-1; depth != len(p.dims)-1 {
				return false
			}
			e, rest, ok := next(p.rest)
			if !ok {
				return false
			}
			p.elems, p.rest = append(p.elems, e), rest
		}
		n++
		if p.rest == "" {
			return false
		}
		end := p.rest[0]
		p.rest = trimLeft(p.rest[1:])
		switch {
		case end == '}':
			if first {
				p.dims[depth].Len = n
			}
			return p.dims[depth].Len == n
		case end != ',':
			return false
		}
	}
}

// Append appends the literal of a, as array_out writes it, with elements by elem.
func (a Array) Append(dst []byte, elem func(dst []byte, e Element) ([]byte, error)) ([]byte, error) {
	if len(a.Elems) == 0 {
		return append(dst, '{', '}'), nil
	}
	if a.bounded() {
		for _, d := range a.Dims {
			dst = append(dst, '[')
			dst = strconv.AppendInt(dst, int64(d.Low), 10)
			dst = append(dst, ':')
			dst = strconv.AppendInt(dst, int64(d.Low+d.Len-1), 10)
			dst = append(dst, ']')
		}
		dst = append(dst, '=')
	}
	for i, e := range a.Elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		for size, d := 1, len(a.Dims)-1; d >= 0; d-- {
			if size *= a.Dims[d].Len; i%size == 0 {
				dst = append(dst, '{')
			}
		}
		if e.Null {
			dst = append(dst, "NULL"...)
		} else {
			var err error
			if dst, err = elem(dst, e); err != nil {
				return nil, err
			}
		}
		for size, d := 1, len(a.Dims)-1; d >= 0; d-- {
			if size *= a.Dims[d].Len; (i+1)%size == 0 {
				dst = append(dst, '}')
			}
		}
	}
	return dst, nil
}

// bounded reports whether a dimension begins elsewhere than at 1, so that the literal has bounds.
func (a Array) bounded() bool {
	for _, d := range a.Dims {
		if d.Low != 1 {
			return true
		}
	}
	return false
}

// cutBounds cuts the bounds off the front of a literal: "[2:3]=", or "[2]=" for [1:2], for each
// dimension. dims is nil if there are none.
func cutBounds(s string) (dims []Dim, body string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return nil, s, true
	}
	for strings.HasPrefix(s, "[") {
		inside, rest, found := strings.Cut(s[1:], "]")
		from, to, both := strings.Cut(inside, ":")
		if !both {
			from, to = "1", inside
		}
		low, err1 := strconv.ParseInt(from, 10, 32)
		high, err2 := strconv.ParseInt(to, 10, 32)
		if !found || err1 != nil || err2 != nil || high < low || high == math.MaxInt32 {
			return nil, "", false
		}
		dims = append(dims, Dim{int(low), int(high - low + 1)})
		s = trimLeft(rest)
	}
	if s, ok = strings.CutPrefix(s, "="); !ok {
		return nil, "", false
	}
	return dims, trimLeft(s), true
}
