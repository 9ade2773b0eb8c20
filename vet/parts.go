package vet

import (
	"go/token"
	"slices"

	"github.com/colseal/colseal/ops/explain"
)

// What may stand for a piece that is not constant. A text that is refused with each of them that
// can be read is refused for its constant parts.
var (
	fillAnything = []string{"x", "1", "", "x = 1", "AND x = 1", "WHERE x = 1", "LIMIT 1", "x, y", ", x", "(1)", "'a'", "NULL", "ASC", "x AS y"}
	fillNumber   = []string{"1", "2", "7", "0"}
)

// maxFillings bounds how many texts are tried for one that is not constant.
const maxFillings = 400

// verdict is what happens to a text, and where in it.
type verdict struct {
	works         bool
	reason        string
	table, column string
	piece, offset int // of the refusal
}

// judgeParts judges a text that is not all constant by its constant parts, where these decide.
func (c *checker) judgeParts(s *site, t text) (Note, error) {
	undecided := Note{Why: "a part of the text is put together when it runs"}
	if c.isPast(s.through) || t.pieces[0].kind == anything {
		return undecided, nil
	}
	base, first, err := c.readable(s, t)
	if err != nil || base == nil {
		return undecided, err
	}
	same := true
	for i, p := range t.pieces {
		if p.kind == constant {
			continue
		}
		for _, filling := range append(fillingsOf(p), renamed(p, first.verdict)...) {
			tried := slices.Clone(base)
			tried[i] = filling
			next, err := c.filled(s, t, tried)
			if err != nil {
				return Note{}, err
			}
			same = same && (next == nil || next.verdict == first.verdict && !next.doubtful)
		}
	}
	onlyNumbers := !slices.ContainsFunc(t.pieces, func(p piece) bool { return p.kind == anything })
	switch {
	case !same || first.doubtful || first.works && !onlyNumbers:
		return undecided, nil
	case first.works:
		_, rest := certain(first.explanation, first.bound)
		return rest, nil
	case t.pieces[first.piece].kind != constant:
		return undecided, nil
	}
	r := faults(first.explanation)[0]
	c.report(s.call, first.at, "refused", join(refused(first.explanation)+", whatever stands for the parts that are not constant: "+r.Reason, column(r), r.Hint))
	return Note{}, nil
}

func fillingsOf(p piece) []string {
	if p.kind == number {
		return fillNumber
	}
	return fillAnything
}

// renamed are fillings in which another column gets the name of the one that a refusal is about.
func renamed(p piece, v verdict) []string {
	if p.kind == number || v.column == "" {
		return nil
	}
	return []string{"1 AS " + v.column, "x " + v.column, ", 1 AS " + v.column}
}

// trial is a text with fillings, and what happens to it.
type trial struct {
	verdict
	doubtful    bool
	at          token.Pos
	explanation *explain.Explanation
	bound       *bound
}

// readable finds fillings with which the text can be read; nil if there are none.
func (c *checker) readable(s *site, t text) ([]string, *trial, error) {
	fillings := make([]string, len(t.pieces))
	tries := 0
	var fill func(i int) (*trial, error)
	fill = func(i int) (*trial, error) {
		if i == len(t.pieces) {
			if tries++; tries > maxFillings {
				return nil, nil
			}
			return c.filled(s, t, fillings)
		}
		if t.pieces[i].kind == constant {
			return fill(i + 1)
		}
		for _, f := range fillingsOf(t.pieces[i]) {
			fillings[i] = f
			if found, err := fill(i + 1); found != nil || err != nil || tries > maxFillings {
				return found, err
			}
		}
		return nil, nil
	}
	found, err := fill(0)
	if found == nil {
		return nil, nil, err
	}
	return fillings, found, nil
}

// filled judges a text with fillings; nil if it cannot be read.
func (c *checker) filled(s *site, t text, fillings []string) (*trial, error) {
	whole := text{}
	for i, p := range t.pieces {
		value := t.piece(i)
		if p.kind != constant {
			value = fillings[i]
		}
		p.from = len(whole.value)
		whole.value += value
		whole.pieces = append(whole.pieces, p)
	}
	e, b, err := c.explain(s, whole.value)
	if err != nil || b == nil {
		return nil, err
	}
	out := &trial{explanation: e, bound: b, verdict: verdict{works: len(faults(e)) == 0}}
	if out.works {
		return out, nil
	}
	if unreadable(e) {
		return nil, nil
	}
	r := faults(e)[0]
	out.doubtful = doubt(e, r, b).Why != ""
	offset := b.origin(r.Pos)
	for i, p := range whole.pieces {
		if p.from <= offset {
			out.piece, out.offset = i, offset-p.from
		}
	}
	out.at = whole.pos(offset)
	out.reason, out.table, out.column = r.Reason, r.Table, r.Column
	return out, nil
}
