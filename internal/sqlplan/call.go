package sqlplan

import (
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// A function is understood when its result is one of its arguments unchanged, or
// depends on their NULL-ness alone. All others must not see cells.
type understanding uint8

const (
	notUnderstood understanding = iota
	countsRows                  // count: NULL-ness, or equality with DISTINCT
	countsNulls                 // NULL-ness of every argument
	picksFirst                  // one of the values of the first argument
	picksShifted                // the same, or the third argument
	collects                    // an array of the values of the argument
	folds                       // lower: of a column with terms of its folded values, these
)

var functions = map[string]understanding{
	"count":        countsRows,
	"num_nulls":    countsNulls,
	"num_nonnulls": countsNulls,
	"any_value":    picksFirst,
	"first_value":  picksFirst,
	"last_value":   picksFirst,
	"nth_value":    picksFirst,
	"lag":          picksShifted,
	"lead":         picksShifted,
	"array_agg":    collects,
	"lower":        folds,
}

// builtin reports whether a call names a function of the server's own, as far as the
// text can tell.
func builtin(c *sqlparse.Call) bool { return c.Schema == "" || c.Schema == "pg_catalog" }

// call analyses a function call.
func (a *analysis) call(c *sqlparse.Call, sc *scope) (*term, error) {
	if err := a.condition(c.Filter, sc); err != nil {
		return nil, err
	}
	if err := a.window(c.Over, sc); err != nil {
		return nil, err
	}
	var sorted *term // a sealed one that is sorted by
	for _, s := range c.OrderBy {
		by, err := a.infer(s.Expr, sc)
		if err != nil {
			return nil, err
		}
		if err := a.sorts(s, by, a.confined[s.Expr], c.Within); err != nil {
			return nil, err
		}
		if sorted == nil && by.root().state == sealed {
			sorted = by
		}
	}
	if c.Within && sorted != nil {
		return a.within(c, sorted, sc)
	}
	if (c.Name == "min" || c.Name == "max") && builtin(c) && len(c.Args) == 1 && !c.ArgNames && !c.Variadic && len(c.OrderBy) == 0 {
		return a.extreme(c, sc)
	}
	if (c.Name == "min" || c.Name == "max") && a.p.dialect == dialect.SQLite && plainCall(c) && len(c.Args) > 1 {
		return a.greatest(c, c.Args, "the function "+c.Name+" of several", sc)
	}
	if c.Name == "unnest" && builtin(c) && len(c.Args) == 1 {
		return a.element(c.Args[0], sc, "unnest")
	}
	if c.Name == "set_config" {
		if len(c.Args) > 0 {
			if k, ok := c.Args[0].(*sqlparse.Const); ok && k.Value == "standard_conforming_strings" {
				a.forbidden = true
				return nil, a.refuseSession(c.Pos(), nil, "standard_conforming_strings must stay on: without it the statements cannot be read as the server reads them", "leave the setting as it is")
			}
		}
	}
	a.argumentsOf(c)
	kind := functions[c.Name]
	if !builtin(c) || c.ArgNames || c.Variadic || c.Within || len(c.Args) == 0 && !c.Star {
		kind = notUnderstood
	}
	switch kind {
	case countsRows:
		return newPlain(), a.counts(c, sc)
	case countsNulls:
		for _, e := range c.Args {
			if err := a.isNull(e, sc); err != nil {
				return nil, err
			}
		}
		return newPlain(), nil
	case picksFirst, picksShifted:
		return a.picks(c, sc, kind)
	case collects:
		t, err := a.infer(c.Args[0], sc)
		if err != nil {
			return nil, err
		}
		if c.Distinct {
			a.demand(t, group, c.Pos(), "array_agg(DISTINCT ...)")
		}
		return a.arrayOf(t, c.Pos(), "array_agg")
	case folds:
		return a.lower(c, sc)
	}
	what := "the function " + c.Name
	return newResult(what), a.plainExprs(c.Args, sc, what)
}

// counts analyses count(…).
func (a *analysis) counts(c *sqlparse.Call, sc *scope) error {
	if c.Star {
		return nil
	}
	if !c.Distinct {
		a.usesRows(rowNulls, c.Args...)
	}
	for _, e := range c.Args {
		t, err := a.infer(e, sc)
		if err != nil {
			return err
		}
		if c.Distinct {
			a.demand(t, group, c.Pos(), "count(DISTINCT ...)")
		}
	}
	return nil
}

// picks analyses functions that yield a value of their first argument.
func (a *analysis) picks(c *sqlparse.Call, sc *scope, kind understanding) (*term, error) {
	t, err := a.infer(c.Args[0], sc)
	if err != nil {
		return nil, err
	}
	if c.Distinct {
		a.demand(t, group, c.Pos(), c.Name+"(DISTINCT ...)")
	}
	for i, e := range c.Args[1:] {
		x, err := a.infer(e, sc)
		if err != nil {
			return nil, err
		}
		if kind == picksShifted && i == 1 {
			t, err = a.unify(t, x, e.Pos(), "the function "+c.Name)
		} else {
			err = a.plainOnly(x, e.Pos(), "the function "+c.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}
