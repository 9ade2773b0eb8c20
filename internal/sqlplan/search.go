package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// While several search keys are live, a stored cell of a deterministic column is under any
// of them, and equal values need not have equal cells. A comparison of such a column with
// parameters and literals is then written once for each key:
//
//	email = $1        becomes  (email = $1 OR email = $2)
//	email NOT IN ($1) becomes  (email NOT IN ($1) AND email NOT IN ($2))
//
// with everything that is sealed inside one copy sealed under that copy's key. In the copy
// of the key that the stored cell is under, the answer is the one that plaintext gives. In
// every other copy each cell that is re-sealed differs from the stored one, while NULLs
// stay what they are, so that OR, or AND for a negated comparison, yields the first copy's
// answer, NULL included. In a row each sealed column has its own key, so that there is a
// copy for each combination.
//
// What is sealed on both sides of a comparison is under one key, and needs no copies.
//
// NULLIF and the simple form of CASE compare one value with others, and are repeated in
// another way:
//
//	NULLIF(email, $1)          becomes  NULLIF(NULLIF(email, $1), $2)
//	CASE email WHEN $1 THEN 7  becomes  CASE email WHEN $1 THEN 7 WHEN $2 THEN 7

// A search is a comparison that may have to be written once per search key.
type search struct {
	form form
	expr sqlparse.Expr // what is copied: a Compare, an In, a NullIf, or the value after WHEN
	then sqlparse.Expr // of a branch: what stands after THEN
	// negated: it asks for difference, so that the copies are joined by AND.
	negated bool
	// allOf: it holds only if each member on the right is equal (= ALL, and the negation
	// of <> ANY), so that stored cells there cannot take part: each has its own key.
	allOf bool
	dims  []*dimension
	leaf  *leaf // of a comparison by order
	// once is what the checks of the search have in common, when the first was made.
	once *searchOnce
}

// A searchOnce is what is the same for each of the many comparisons of a list.
type searchOnce struct {
	repeatable, thenRepeats bool
	expr                    sqlparse.Expr
	stored                  stored // of expr, the left side
}

// form is how a search is written several times.
type form uint8

const (
	wholeCopies  form = iota // the comparison is copied
	aroundItself             // NULLIF, around itself
	behindItself             // WHEN … THEN …, behind itself
)

// A dimension is one choice among the search keys: for one stored value of a search, and
// all that it is compared with.
type dimension struct {
	left  sqlparse.Expr // tells the members of a row apart
	parts []sqlparse.Expr
	spans []span // of the parts
	key   int    // while copies are written
}

type span struct{ start, end int }

// sides are the expressions that a comparison is about, and the search that it is part of.
// Without a search it cannot be written once per key.
type sides struct {
	left, right side
	search      *search
}

// A side is an expression, or a column of a query. The zero value is something stored.
type side struct {
	expr   sqlparse.Expr
	query  *sqlparse.Select
	column int
}

// stored lists where a side takes stored cells from: the column references that it can
// yield. other says that it has further sources, which cannot be told.
type stored struct {
	a       *analysis
	columns []*sqlparse.Column
	other   bool
}

func (s *stored) any() bool { return s.other || len(s.columns) > 0 }

// take adds the sources of a side.
func (s *stored) take(from side) {
	switch {
	case from.expr != nil:
		s.addExpr(from.expr)
	case from.query != nil:
		s.addQueryColumn(from.query, from.column)
	default:
		s.other = true
	}
}

func (s *stored) addExpr(e sqlparse.Expr) {
	s.a.step(1)
	switch e := e.(type) {
	case *sqlparse.Param, *sqlparse.Const:
	case *sqlparse.Column:
		s.columns = append(s.columns, e)
	case *sqlparse.Cast:
		s.addExpr(e.Arg)
	case *sqlparse.Call:
		if s.other = s.other || functions[e.Name] != folds || !builtin(e) || len(e.Args) != 1; !s.other {
			s.addExpr(e.Args[0])
		}
	case *sqlparse.Coalesce:
		s.addExprs(e.Args)
	case *sqlparse.Array:
		s.addExprs(e.Elements)
	case *sqlparse.NullIf:
		s.addExpr(e.Left)
	case *sqlparse.Case:
		for _, w := range e.Whens {
			s.addExpr(w.Then)
		}
		if e.Else != nil {
			s.addExpr(e.Else)
		}
	case *sqlparse.Subquery:
		s.addQueryColumn(e.Query, 0)
	default:
		s.other = true
	}
}

// addExprs adds the sources of several expressions.
func (s *stored) addExprs(es []sqlparse.Expr) {
	for _, e := range es {
		s.addExpr(e)
	}
}

// addQueryColumn adds the sources of one column of a query.
func (s *stored) addQueryColumn(q *sqlparse.Select, i int) {
	if q.Op != sqlparse.NoSetOp {
		s.addQueryColumn(q.Left, i)
		s.addQueryColumn(q.Right, i)
		return
	}
	for _, row := range q.Values {
		s.addNth(row, i)
	}
	if q.Values != nil {
		return
	}
	s.a.step(len(q.Targets))
	targets := make([]sqlparse.Expr, len(q.Targets))
	for j, t := range q.Targets {
		targets[j] = t.Expr
	}
	s.addNth(targets, i)
}

// addNth adds the sources of one expression of a list. A column inside a query is not the one
// of the same name outside.
func (s *stored) addNth(es []sqlparse.Expr, i int) {
	in := stored{a: s.a}
	if i >= len(es) || slices.ContainsFunc(es, expands) {
		s.other = true
		return
	}
	in.addExpr(es[i])
	s.other = s.other || in.any()
}

// oneColumn reports whether all stored cells of both sides are those of one column of one
// row, which are equal under whatever key they are.
func oneColumn(l, r *stored) bool {
	if l.other || r.other {
		return false
	}
	all := append(slices.Clone(l.columns), r.columns...)
	for _, c := range all {
		if c.Star || !slices.Equal(c.Parts, all[0].Parts) {
			return false
		}
	}
	return true
}

// copyPerKey sees to it that a comparison of deterministic cells is right for every live
// search key, or refuses it.
func (a *analysis) copyPerKey(c *check, col *schema.Column) error {
	const meanwhile = "until all rows are sealed under the new search key and the old one is retired, equal values have different cells"
	s := c.sides.search
	l, r := a.leftStored(c.sides), stored{a: a}
	r.take(c.sides.right)
	reason, hint := "", ""
	switch {
	case c.need != equal && c.need != ordered:
		reason, hint = c.what, "do it in the program"
		if c.need == unique {
			hint = "name the columns of a plain unique key: ON CONFLICT (id)"
		}
	case !l.any() && !r.any():
		return nil
	case s == nil:
		reason, hint = c.what+" between stored cells", "compare the column with parameters: read one side first, then column = ANY($1)"
	case l.any() && r.any() && (!oneColumn(&l, &r) || s.allOf || s.form != wholeCopies):
		reason, hint = c.what+" between stored cells", "compare the column with parameters: read one side first, then column = ANY($1)"
	case r.any() && s.allOf:
		reason, hint = c.what+" with stored cells on its right", "compare each column with the value, joined by AND or OR"
	case r.any() && s.form != wholeCopies:
		reason, hint = c.what+" with stored cells on its right", "write it as CASE WHEN column = $1 THEN ..."
	case !s.once.repeatable:
		reason, hint = "a comparison that calls a function", "compare the column itself with a parameter"
	case !s.once.thenRepeats:
		reason, hint = c.what+" with a query behind it that calls a function", "write it as CASE WHEN column = $1 THEN ..."
	}
	if reason != "" {
		return a.refuseSearchKeys(c.pos, col, reason+" cannot be answered while two search keys are live", meanwhile+"; "+hint)
	}
	if len(s.dims) == 0 {
		a.copied = append(a.copied, s)
	}
	a.step(len(s.dims))
	s.addPair(c.sides)
	return nil
}

// leftStored lists where the left side of a comparison takes stored cells from. The list of
// an IN has one left side, and is looked through once.
func (a *analysis) leftStored(of sides) stored {
	s := of.search
	if s != nil && s.once != nil && s.once.expr == of.left.expr && of.left.expr != nil {
		return s.once.stored
	}
	l := stored{a: a}
	l.take(of.left)
	if s == nil {
		return l
	}
	if s.once == nil {
		s.once = &searchOnce{
			repeatable:  a.repeatable(s.expr),
			thenRepeats: s.then == nil || a.queriesRepeat(s.then),
		}
	}
	s.once.expr, s.once.stored = of.left.expr, l
	return l
}

// addPair records a pair of expressions of the search that has to be tried with every key.
func (s *search) addPair(p sides) {
	i := slices.IndexFunc(s.dims, func(d *dimension) bool { return d.left == p.left.expr })
	if i < 0 {
		s.dims = append(s.dims, &dimension{left: p.left.expr, parts: []sqlparse.Expr{p.left.expr}})
		i = len(s.dims) - 1
	}
	s.dims[i].parts = append(s.dims[i].parts, p.right.expr) // nil for a query's column
}

// repeatable reports whether a part of the tree can be evaluated several times instead of
// once: it calls no function but those that are known to have no effect.
func (a *analysis) repeatable(tree any) bool {
	repeats := true
	sqlparse.Inspect(tree, func(node any) bool {
		a.step(1)
		switch n := node.(type) {
		case *sqlparse.Call:
			repeats = repeats && functions[n.Name] != notUnderstood && builtin(n)
		case *sqlparse.FuncTable, *sqlparse.OpaqueTable, *sqlparse.With:
			repeats = false
		case *sqlparse.TableName:
			repeats = repeats && len(n.Args) == 0 // TABLESAMPLE
			return false
		}
		return repeats
	})
	return repeats
}

// queriesRepeat reports whether every query in a part of the tree is repeatable. What stands
// after THEN is evaluated in one of the copies only; but PostgreSQL runs a query that does not
// depend on the row once for all rows, and would run each copy once.
func (a *analysis) queriesRepeat(e sqlparse.Expr) bool {
	repeat := true
	sqlparse.Inspect(e, func(node any) bool {
		a.step(1)
		if q, ok := node.(*sqlparse.Select); ok {
			repeat = repeat && a.repeatable(q)
			return false
		}
		return repeat
	})
	return repeat
}
