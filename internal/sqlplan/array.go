package sqlplan

import (
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlparse"
)

// cast analyses a cast. The type of a parameter or literal that turns out sealed
// follows; a cast of a cell is refused, because it would show or change ciphertext.
func (a *analysis) cast(e *sqlparse.Cast, sc *scope) (*term, error) {
	if err := a.castsRow(e); err != nil {
		return nil, err
	}
	if e.Type.Array && !wholeValue(e.Arg) {
		t, err := a.element(e, sc, "a cast")
		if err != nil {
			return nil, err
		}
		return a.arrayOf(t, e.Pos(), "a cast to an array")
	}
	t, err := a.infer(e.Arg, sc)
	if err != nil {
		return nil, err
	}
	r := t.root()
	if r.state == sealed {
		return t, a.plainOnly(t, e.Pos(), "a cast")
	}
	if c, ok := e.Arg.(*sqlparse.Const); ok && c.Value == nil {
		a.typedHere(c)
	}
	if r.state == free {
		a.casts = append(a.casts, &recast{cast: e, t: t, of: a.castHere(e)})
	}
	return t, nil
}

// castHere returns the slot that is the operand of a cast, and tells it of the cast; nil if
// it is none. It must be the last one met.
func (a *analysis) castHere(e *sqlparse.Cast) *slot {
	s := a.slotHere(e.Arg)
	if s != nil {
		s.casts = append(s.casts, castOf(&e.Type))
	}
	return s
}

// slotHere returns the slot that an expression is, with or without casts; nil if it is
// none. It must be the last one met.
func (a *analysis) slotHere(e sqlparse.Expr) *slot {
	for {
		switch x := e.(type) {
		case *sqlparse.Cast:
			e = x.Arg
			continue
		case *sqlparse.Param:
		case *sqlparse.Const:
			if x.Value == nil {
				return nil
			}
		default:
			return nil
		}
		if n := len(a.slots); n > 0 && a.slots[n-1].pos() == e.Pos() {
			return a.slots[n-1]
		}
		return nil
	}
}

func castOf(t *sqlparse.Type) pgvalue.Cast {
	return pgvalue.Cast{Schema: t.Schema, Name: t.Name, Modified: t.Modified}
}

// wholeValue reports whether an operand of a cast to an array is given as a whole: the
// value of an array column, sealed as one, rather than an array of values.
func wholeValue(e sqlparse.Expr) bool {
	switch e := e.(type) {
	case *sqlparse.Param, *sqlparse.Const:
		return true
	case *sqlparse.Cast:
		return wholeValue(e.Arg)
	}
	return false
}

// arrayValue analyses ARRAY[…].
func (a *analysis) arrayValue(e *sqlparse.Array, sc *scope) (*term, error) {
	t, err := a.mergeAll(e.Elements, sc, "ARRAY[...]")
	if err != nil {
		return nil, err
	}
	return a.arrayOf(t, e.Pos(), "ARRAY[...]")
}

// arrayOf returns the term of arrays with the elements of t.
func (a *analysis) arrayOf(t *term, pos int, what string) (*term, error) {
	r := t.root()
	if r.state != sealed {
		return newPlain(), a.plainOnly(r, pos, what)
	}
	if r.array {
		return nil, a.refuseOperation(pos, r.first(), what+" would make an array of arrays of cells", "")
	}
	u := r.use()
	u.array = true
	return u, nil
}

// element analyses an expression that yields an array and returns the term of its
// elements.
func (a *analysis) element(e sqlparse.Expr, sc *scope, what string) (*term, error) {
	switch e := e.(type) {
	case *sqlparse.Param:
		return a.slot(&slot{param: e, t: newFree(), array: true, typed: true}), nil
	case *sqlparse.Const:
		if _, ok := e.Value.(string); ok {
			return a.slot(&slot{lit: e, t: newFree(), array: true}), nil
		}
		return newFree(), nil
	case *sqlparse.Cast:
		if !e.Type.Array {
			break
		}
		if err := a.castsRow(e); err != nil {
			return nil, err
		}
		t, err := a.element(e.Arg, sc, what)
		if err != nil {
			return nil, err
		}
		if t.root().state == sealed {
			return t, a.plainOnly(t, e.Pos(), "a cast")
		}
		a.casts = append(a.casts, &recast{cast: e, t: t, array: true, of: a.castHere(e)})
		return t, nil
	case *sqlparse.Array:
		return a.mergeAll(e.Elements, sc, "ARRAY[...]")
	case *sqlparse.Subquery:
		if e.Kind == sqlparse.ArrayQuery {
			outs, err := a.selectStmt(e.Query, sc, sc.with)
			if err != nil {
				return nil, err
			}
			if len(outs) == 1 && !outs[0].gap {
				return outs[0].t, nil
			}
			return newPlain(), a.plainOutputs(outs, e.Pos(), what)
		}
	}
	t, err := a.infer(e, sc)
	if err != nil {
		return nil, err
	}
	if r := t.root(); r.state == sealed && r.array {
		u := r.use()
		u.array = false
		return u, nil
	}
	return newPlain(), a.plainOnly(t, e.Pos(), what)
}

func (a *analysis) plainOutputs(outs []output, pos int, what string) error {
	for _, o := range outs {
		if o.gap {
			continue
		}
		if err := a.plainOnly(o.t, pos, what); err != nil {
			return err
		}
	}
	return nil
}
