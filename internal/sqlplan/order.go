package sqlplan

import (
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// The cells of an ordered column sort as the values do, but only those under one key: behind the
// header of eight bytes, in which the key stands, comes the order term. H is the header under a
// search key, and H' is H + 1, so that all cells under the key are between the two. What a
// comparison by order would say of a cell under another key means nothing, so it is made false, and
// so is its negation:
//
//	age < $1         becomes  (age < $1 AND age >= H)
//	NOT (age < $1)   becomes  NOT (age < $1 OR age >= H')
//
// Which of the two is meant is told by the number of NOTs above, through AND, OR and NOT only.
// While two search keys are live, there is a copy for each, joined by OR, or by AND under an odd
// number.
//
// Cells of deterministic columns that are declared cursor are compared in the same way, by an order
// that means nothing.

// A leaf is a comparison by order of stored cells with values.
type leaf struct {
	odd             bool // under an odd number of NOTs
	column          *sqlparse.Column
	col             *schema.Column // known at the end
	storage         dbcatalog.Storage
	least, greatest bool // which ends of the key's cells have to be written
	enclosed        bool // no end has to be while one search key is live: see enclose

	// Of a row whose members before the column are plain: these, on both sides, and whether the
	// operator is > or >=.
	before, beforeValues []sqlparse.Expr
	greater              bool

	// Of a comparison with the members of an array, if it matters that there are none: it, and
	// whether that is with ALL.
	array sqlparse.Expr
	all   bool
}

// A part is a part of what stands behind a copy of a leaf: a bound, a text, or a part of the
// comparison itself.
type part struct {
	span
	text  string
	bound *Use
}

// greater reports whether an operator asks for what is greater.
func greater(op string) bool { return op[0] == '>' }

// isValue reports whether an expression is a parameter or constant, with its casts.
func isValue(e sqlparse.Expr) bool {
	p, c := bare(e)
	return p != nil || c != nil
}

func isColumnName(e sqlparse.Expr) (*sqlparse.Column, bool) {
	c, ok := e.(*sqlparse.Column)
	return c, ok && !c.Star
}

// noteCompared records that the parameters and literals of an expression are compared with what is
// stored.
func (a *analysis) noteCompared(e sqlparse.Expr) {
	switch e := e.(type) {
	case *sqlparse.Param, *sqlparse.Const:
		if a.compared == nil {
			a.compared = map[int]bool{}
		}
		a.compared[e.Pos()] = true
	case *sqlparse.Cast:
		a.noteCompared(e.Arg)
	case *sqlparse.Array:
		for _, x := range e.Elements {
			a.noteCompared(x)
		}
	}
}

// order analyses a comparison by order.
func (a *analysis) order(o *sqlparse.Order, sc *scope, odd bool) error {
	if o.Quant != sqlparse.NoQuant {
		return a.orderArray(o, sc, odd)
	}
	if a.asks(o.Op, o.Left, o.Right) {
		return nil
	}
	what := "the operator " + o.Op
	left, lok := o.Left.(*sqlparse.Row)
	right, rok := o.Right.(*sqlparse.Row)
	if lok && rok && len(left.Args) == len(right.Args) {
		return a.orderRows(o, left.Args, right.Args, sc, odd)
	}
	x, y, err := a.pair(o.Left, o.Right, sc)
	if err != nil {
		return err
	}
	if x.root().state != sealed && y.root().state != sealed {
		if err := a.plainOnly(x, o.Left.Pos(), what); err != nil {
			return err
		}
		return a.plainOnly(y, o.Right.Pos(), what)
	}
	l := &leaf{odd: odd, greater: greater(o.Op)}
	column, value := o.Left, o.Right
	if y.root().state == sealed && isValue(o.Left) {
		column, value, l.greater = o.Right, o.Left, !l.greater
	}
	// Under an odd number of NOTs it is the other end that is let in.
	l.least, l.greatest = l.greater == odd, l.greater != odd
	return a.leaf(o, what, l, column, []sqlparse.Expr{value}, []*term{x, y})
}

// orderArray analyses a comparison by order with the members of an array. With an empty array it is
// false for every cell, or with ALL true.
func (a *analysis) orderArray(o *sqlparse.Order, sc *scope, odd bool) error {
	what := "the operator " + o.Op + [...]string{"", " ANY", " ALL"}[o.Quant]
	x, err := a.infer(o.Left, sc)
	if err != nil {
		return err
	}
	y, err := a.element(o.Right, sc, what)
	if err != nil {
		return err
	}
	if x.root().state != sealed && y.root().state != sealed {
		if err := a.plainOnly(x, o.Left.Pos(), what); err != nil {
			return err
		}
		return a.plainOnly(y, o.Right.Pos(), what)
	}
	if k, ok := o.Right.(*sqlparse.Const); ok && k.Value == nil {
		return nil // it is NULL
	}
	l := &leaf{odd: odd, greater: greater(o.Op)}
	l.least, l.greatest = l.greater == odd, l.greater != odd
	if (o.Quant == sqlparse.Any) == odd && !hasMembers(o.Right) {
		l.array, l.all = o.Right, o.Quant == sqlparse.All
	}
	return a.leaf(o, what, l, o.Left, []sqlparse.Expr{o.Right}, []*term{x, y})
}

// hasMembers reports whether an array has members, as far as the text tells.
func hasMembers(e sqlparse.Expr) bool {
	for {
		switch x := e.(type) {
		case *sqlparse.Cast:
			e = x.Arg
			continue
		case *sqlparse.Array:
			return len(x.Elements) > 0
		}
		return false
	}
}

// pair analyses the two sides of a comparison.
func (a *analysis) pair(l, r sqlparse.Expr, sc *scope) (x, y *term, err error) {
	if x, err = a.infer(l, sc); err != nil {
		return nil, nil, err
	}
	a.typedBy(r, l)
	if y, err = a.infer(r, sc); err != nil {
		return nil, nil, err
	}
	a.typedBy(l, r)
	return x, y, nil
}

// between analyses BETWEEN.
func (a *analysis) between(b *sqlparse.Between, sc *scope, odd bool) error {
	const what = "BETWEEN"
	terms := make([]*term, 3)
	for i, e := range []sqlparse.Expr{b.Arg, b.Low, b.High} {
		var err error
		if terms[i], err = a.infer(e, sc); err != nil {
			return err
		}
		if i > 0 {
			a.typedBy(b.Arg, e)
		}
		if i == 0 && terms[0].root().state != sealed {
			if err := a.plainOnly(terms[0], e.Pos(), what); err != nil {
				return err
			}
		} else if terms[0].root().state != sealed {
			if err := a.plainOnly(terms[i], e.Pos(), what); err != nil {
				return err
			}
		}
	}
	if terms[0].root().state != sealed {
		return nil
	}
	open := b.Not != odd // else the two values are bounds themselves
	return a.leaf(b, what, &leaf{odd: odd, least: open, greatest: open}, b.Arg, []sqlparse.Expr{b.Low, b.High}, terms)
}

// leaf notes a comparison of a column with values.
func (a *analysis) leaf(e sqlparse.Expr, what string, l *leaf, column sqlparse.Expr, values []sqlparse.Expr, terms []*term) error {
	t := terms[0]
	for _, u := range terms[1:] {
		var err error
		if t, err = a.unify(t, u, e.Pos(), what); err != nil {
			return err
		}
	}
	of := t.first()
	if of == nil { // refused
		return nil
	}
	if !of.Sorted() {
		return a.plainOnly(t, column.Pos(), what)
	}
	c, ok := isColumnName(column)
	for _, v := range values {
		ok = ok && areValues(v)
	}
	if !ok {
		return a.goOn(a.refuseOperation(column.Pos(), of, what+" compares a sealed column with something else than a parameter or literal",
			"compare the column itself with a parameter: read the other value first, or compare in the program"))
	}
	l.column = c
	if a.leaves == nil {
		a.leaves = map[sqlparse.Expr]*leaf{}
	}
	a.leaves[e] = l
	s := &search{expr: e, negated: l.odd, leaf: l}
	for _, v := range values {
		a.noteCompared(v)
		a.checked = append(a.checked, &check{t: t, pos: column.Pos(), what: what, need: ordered, meaning: what == "BETWEEN", sides: between(c, v, s)})
	}
	return nil
}

// enclose finds among the conjuncts of a condition those that keep a column between two values
// under one key. A cell that meets both is between the ends of the key's cells, as with BETWEEN. So
// no ends are written: age >= $1 AND age < $2 stays as it is.
func (a *analysis) enclose(conjuncts []sqlparse.Expr) {
	if len(a.leaves) == 0 {
		return
	}
	type sides struct{ above, below []*leaf }
	columns := map[string]*sides{}
	for _, x := range conjuncts {
		l := a.leaves[x]
		if o, ok := x.(*sqlparse.Order); !ok || l == nil || len(l.before) > 0 || o.Quant == sqlparse.All { // of no members
			continue
		}
		name := strings.Join(l.column.Parts, "\x00") // in one scope the same column
		of := columns[name]
		if of == nil {
			of = &sides{}
			columns[name] = of
		}
		if l.greater {
			of.above = append(of.above, l)
		} else {
			of.below = append(of.below, l)
		}
	}
	for _, of := range columns {
		if len(of.above) == 0 || len(of.below) == 0 {
			continue
		}
		for _, l := range append(of.above, of.below...) {
			l.enclosed = true
		}
	}
}

// orderRows analyses a comparison of rows by order, as keyset pagination has it.
func (a *analysis) orderRows(o *sqlparse.Order, left, right []sqlparse.Expr, sc *scope, odd bool) error {
	what := "the operator " + o.Op
	for _, row := range [][]sqlparse.Expr{left, right} {
		if err := a.checkNoStar(row); err != nil {
			return err
		}
	}
	at := -1
	var terms []*term
	for i := range left {
		x, y, err := a.pair(left[i], right[i], sc)
		if err != nil {
			return err
		}
		if x.root().state == sealed && at < 0 && x.first().Sorted() {
			at, terms = i, []*term{x, y}
			continue
		}
		if err := a.plainOnly(x, left[i].Pos(), what); err != nil {
			return err
		}
		if err := a.plainOnly(y, right[i].Pos(), what); err != nil {
			return err
		}
	}
	if at < 0 {
		return nil
	}
	l := &leaf{odd: odd, greater: greater(o.Op), before: left[:at], beforeValues: right[:at]}
	l.least, l.greatest = l.greater == odd, l.greater != odd
	for _, v := range right[:at] {
		if !isValue(v) {
			return a.goOn(a.refuseOperation(o.Pos(), terms[0].first(), what+" compares a row with something else than parameters and literals", "write it with a row of parameters"))
		}
	}
	return a.leaf(o, what, l, left[at], []sqlparse.Expr{right[at]}, terms)
}

// verifyOrder refuses a comparison by order, or a sorting, that would say something else of cells
// than of the values.
func (a *analysis) verifyOrder(c *check, t *term) error {
	col := t.first()
	switch {
	case !col.Sorted() || c.meaning && col.Mode != schema.ModeOrdered:
		return a.refuseOperation(c.pos, col, c.what+" cannot work on a sealed column", a.hintForOrder(col, c.what))
	case t.array:
		return a.refuseOperation(c.pos, col, c.what+" cannot work on an array of cells", "take its elements apart first: unnest(...)")
	case t.cols[0].storage == dbcatalog.StorageText:
		return a.refuseText(c.pos, col)
	case t.missing() != nil:
		return a.refuseMissing(c.pos, col)
	case c.need == sorted:
		return a.verifySorted(c, t)
	}
	l := c.sides.search.leaf
	l.col, l.storage = col, t.cols[0].storage
	return a.copyPerKey(c, col)
}

func (a *analysis) refuseText(pos int, col *schema.Column) error {
	return a.refuseStorage(pos, col, "the column has a type of text, which sorts by its collation and not by bytes", "make it bytea, as colseal ddl does: cells sort there")
}

func (a *analysis) hintForOrder(col *schema.Column, what string) string {
	if col.Cursor {
		return "the order of a cursor column means nothing; it is for paging by ORDER BY, < and >"
	}
	return a.hintFor(what, col)
}

// behind returns what stands behind each copy of a leaf.
func (e *emission) behind(l *leaf) ([]part, bool) {
	column, ok := e.spanOf(l.column)
	if !ok {
		return nil, false
	}
	if l.enclosed && e.env.SearchKeys < 2 {
		return nil, true
	}
	word := " AND "
	if l.odd {
		word = " OR "
	}
	parts := []part{{text: word}}
	bound := func(op string, b Bound) {
		parts = append(parts, part{span: column}, part{text: op}, part{bound: &Use{Column: l.col, Storage: l.storage, Bound: b}})
	}
	if l.all { // with no members it is true of every cell
		parts = append(parts, part{text: "("})
	}
	if len(l.before) == 0 {
		switch {
		case !l.least && !l.greatest:
			return nil, true
		case l.least && l.greatest && !l.odd:
			bound(" >= ", Least)
			parts = append(parts, part{text: word})
			bound(" < ", Greatest)
		case l.least && l.greatest:
			bound(" < ", Least)
			parts = append(parts, part{text: word})
			bound(" >= ", Greatest)
		case l.least && !l.odd:
			bound(" >= ", Least)
		case l.least:
			bound(" < ", Least)
		case l.greatest && !l.odd:
			bound(" < ", Greatest)
		default:
			bound(" >= ", Greatest)
		}
		if l.array == nil {
			return parts, true
		}
		array, ok := e.spanOf(l.array)
		// Where pgx writes an argument into the text, nothing but the cast tells the array's type.
		joiner, count := " AND pg_catalog.cardinality((", ")::pg_catalog.bytea[]) > 0"
		if l.all {
			joiner, count = " OR pg_catalog.cardinality((", ")::pg_catalog.bytea[]) = 0)"
		}
		return append(parts, part{text: joiner}, part{span: array}, part{text: count}), ok
	}
	// A row whose first members decide it is true or false by them, whatever key the cell is under.
	row := func(members []sqlparse.Expr) bool {
		parts = append(parts, part{text: "("})
		for i, m := range members {
			s, ok := e.spanOf(m)
			if !ok {
				return false
			}
			if i > 0 {
				parts = append(parts, part{text: ", "})
			}
			parts = append(parts, part{span: s})
		}
		parts = append(parts, part{text: ")"})
		return true
	}
	op, end, outside := " < ", Least, " >= "
	if l.greater {
		op, end, outside = " > ", Greatest, " < "
	}
	joiner := " OR "
	if l.odd {
		// The other end: a cell beyond it makes the row's comparison false, and must not make it
		// so.
		op, joiner = " = ", " AND "
		if l.greater {
			end, outside = Least, " < "
		} else {
			end, outside = Greatest, " >= "
		}
	}
	parts = append(parts, part{text: "("})
	if !row(l.before) {
		return nil, false
	}
	parts = append(parts, part{text: op})
	if !row(l.beforeValues) {
		return nil, false
	}
	parts = append(parts, part{text: joiner})
	bound(outside, end)
	return append(parts, part{text: ")"}), true
}
