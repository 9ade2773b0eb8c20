package sqlplan

import (
	"errors"
	"slices"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// resolveValues computes what the server would have made of each literal that is sealed, and
// what the casts of a parameter ask of its value. A cast of something made of several slots
// counts for each of them.
func (e *emission) resolveValues() error {
	if err := e.goOn(e.resolveQuestions()); err != nil {
		return err
	}
	around := map[*term][]pgvalue.Cast{}
	for _, c := range e.casts {
		if t := c.t.root(); c.of == nil && t.state == sealed && !slices.Contains(around[t], castOf(&c.cast.Type)) {
			around[t] = append(around[t], castOf(&c.cast.Type))
		}
	}
	if err := e.checkReals(around); err != nil {
		return err
	}
	cast := map[*term]bool{} // terms with slots, whose casts are looked at here
	for _, s := range e.slots {
		u := s.use()
		if u == nil {
			continue
		}
		t := s.t.root()
		cast[t] = true
		var err *pgvalue.Error
		if s.param != nil {
			s.limit, err = e.limitOf(u, append(slices.Clip(s.casts), around[t]...))
		} else {
			s.value, err = e.valueOf(s, u, around[t])
			if err == nil && u.Match.Form != NoMatch && !u.Array {
				err = searchError(u, s.value)
			}
			if err == nil && u.Beside != nil {
				err = e.besideError(s, u, around[t])
			}
		}
		if err != nil {
			if err := e.goOn(e.refuseValue(s.pos(), u.Column, err.Reason, err.Hint)); err != nil {
				return err
			}
		}
	}
	for _, c := range e.casts { // those of NULLs alone
		t := c.t.root()
		if t.state != sealed || cast[t] {
			continue
		}
		if _, err := e.limitOf(&Use{Column: t.cols[0].col}, []pgvalue.Cast{castOf(&c.cast.Type)}); err != nil {
			if err := e.goOn(e.refuseValue(c.cast.Pos(), t.first(), err.Reason, err.Hint)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkReals refuses a cast to real of some of several values of which one is the result: the
// server may compute the others as real, too, and then store or compare other values than they are.
func (e *emission) checkReals(around map[*term][]pgvalue.Cast) error {
	toReal := func(c pgvalue.Cast) bool {
		return c.Name == "float4" && (c.Schema == "" || c.Schema == "pg_catalog")
	}
	reals, others := map[*term]bool{}, map[*term]*slot{}
	for _, s := range e.slots {
		t := s.t.root()
		if u := s.use(); u == nil || u.Kind() != schema.KindFloat || e.p.dialect == dialect.SQLite {
			continue
		}
		if slices.ContainsFunc(s.casts, toReal) {
			reals[t] = true
			continue
		}
		others[t] = s
		reals[t] = reals[t] || slices.ContainsFunc(around[t], toReal)
	}
	for _, s := range e.slots {
		if t := s.t.root(); reals[t] && others[t] == s {
			if err := e.goOn(e.refuseValue(s.pos(), t.first(), "a cast to real of one of several values makes the others real, too", "cast to double precision")); err != nil {
				return err
			}
		}
	}
	return nil
}

// searchError returns why a literal is not searched for.
func searchError(u *Use, value any) *pgvalue.Error {
	encoding, err := codec.AppendValue(nil, u.Kind(), u.Column.Suite(), value)
	if err == nil {
		_, err = u.TermsOf(encoding)
	}
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return &pgvalue.Error{Reason: r.Reason, Hint: r.Hint}
	case err != nil:
		return &pgvalue.Error{Reason: "a literal that the column cannot hold", Hint: "use a parameter"}
	}
	return nil
}

// besideError returns why a literal does not go to a column of another kind as well.
func (e *emission) besideError(s *slot, u *Use, around []pgvalue.Cast) *pgvalue.Error {
	had, err := e.valueOf(s, &Use{Column: u.Beside, Array: u.Array}, around)
	if err != nil {
		return err
	}
	values, array := s.value.([]any)
	others, _ := had.([]any)
	if !array {
		values, others = []any{s.value}, []any{had}
	}
	same := len(values) == len(others)
	for i := 0; same && i < len(values); i++ {
		same = pgvalue.Same(pgvalue.Reading{Kind: u.Column.Kind, Suite: u.Column.Suite(), Value: values[i]},
			pgvalue.Reading{Kind: u.Beside.Kind, Suite: u.Beside.Suite(), Value: others[i]})
	}
	if same {
		return nil
	}
	return &pgvalue.Error{Reason: "the literal is another value for the kind that the column had, " + u.Beside.Kind.String(), Hint: HintBeside}
}

// HintBeside is the hint of a value that is another one for each of two kinds.
const HintBeside = "while the kind changes, write the value as PostgreSQL writes it: 7 instead of 007"

// limitOf returns what casts ask of a parameter.
func (e *emission) limitOf(u *Use, casts []pgvalue.Cast) (pgvalue.Limit, *pgvalue.Error) {
	if e.p.dialect == dialect.SQLite {
		return pgvalue.NoLimit, pgvalue.SQLiteCasts(u.Kind(), casts)
	}
	return pgvalue.LimitOf(u.Kind(), casts)
}

// valueOf returns the value of a literal. around are the casts of what it is a part of.
func (e *emission) valueOf(s *slot, u *Use, around []pgvalue.Cast) (any, *pgvalue.Error) {
	c := pgvalue.Constant{Value: s.lit.Value, Casts: append(slices.Clip(s.casts), around...), Assigned: s.assigned, Part: len(around) > 0, NullWords: e.env.NullWords}
	if n, ok := s.lit.Value.(sqlparse.Number); ok {
		c.Value = pgvalue.Number(n)
	}
	as := pgvalue.Constant.As
	if e.p.dialect == dialect.SQLite {
		as = pgvalue.Constant.AsSQLite
	}
	kind := u.Kind()
	if u.Array || kind == schema.KindTextArray || kind == schema.KindIntArray {
		return c.Elements(kind, u.Column.Suite(), as)
	}
	return as(c, kind, u.Column.Suite())
}
