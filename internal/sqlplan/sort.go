package sqlplan

import (
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// Cells sort as the values do only under one search key. A table has cells under as many keys as
// there are scopes, and the program cannot know how many there are when the statement runs. So what
// compares cells with each other by order (ORDER BY, windows, min and max) is allowed in two cases,
// while one search key of the scope is live: the table is declared unscoped, or the column is
// confined at that place.
//
// A column is confined in a query if a condition that all of its rows meet says so: a comparison
// with a value of the scope, for equality or by order, or that or NULL. What is confined in a query
// is so in what the query yields.

// A confinement says whether all cells that an occurrence of a column yields are under one key. The
// uses of one occurrence share it, because conditions are analysed after the columns were listed.
type confinement struct {
	here   bool
	source *confinement // of the query that it comes from; nil: none
	both   []*confinement
}

func (c *confinement) holds() bool {
	for ; c != nil; c = c.source {
		if c.here || len(c.both) == 2 && c.both[0].holds() && c.both[1].holds() {
			return true
		}
	}
	return false
}

// combined is that of an output of a set operation.
func combined(op sqlparse.SetOp, left, right *confinement) *confinement {
	switch op {
	case sqlparse.Union:
		return &confinement{both: []*confinement{left, right}}
	case sqlparse.Intersect:
		if right.holds() {
			return right
		}
	}
	return left
}

// occurrence gives the sealed columns of a FROM item, which are named there, confinements of their
// own.
func (a *analysis) occurrence(it *item) {
	for i := range it.cols {
		c := &it.cols[i]
		if c.gap || c.t.root().state != sealed || !c.t.first().Sorted() {
			continue
		}
		c.confined = &confinement{source: c.confined}
	}
}

func (a *analysis) noteConfined(e sqlparse.Expr, c *confinement) {
	if c == nil {
		return
	}
	if a.confined == nil {
		a.confined = map[sqlparse.Expr]*confinement{}
	}
	a.confined[e] = c
}

// confine records what an analysed condition says of columns of items. It confines no columns of
// other queries.
func (a *analysis) confine(cond sqlparse.Expr, items []*item) {
	if len(a.confined) == 0 || cond == nil {
		return
	}
	own := map[*confinement]bool{}
	for _, it := range items {
		for i := range it.cols {
			if c := it.cols[i].confined; c != nil {
				own[c] = true
			}
		}
	}
	if len(own) == 0 {
		return
	}
	for _, c := range a.confinedBy(cond) {
		if own[c] {
			c.here = true
		}
	}
	var equal [][2]*confinement
	var conjuncts func(e sqlparse.Expr)
	conjuncts = func(e sqlparse.Expr) {
		a.step(1)
		if l, ok := e.(*sqlparse.Logic); ok && l.Op == sqlparse.And {
			for _, x := range l.Args {
				conjuncts(x)
			}
			return
		}
		if c, ok := e.(*sqlparse.Compare); ok && c.Op == sqlparse.Equal && c.Quant == sqlparse.NoQuant {
			x, y := a.confined[c.Left], a.confined[c.Right]
			if x != nil && y != nil && isColumn(c.Left) && isColumn(c.Right) {
				equal = append(equal, [2]*confinement{x, y})
			}
		}
	}
	conjuncts(cond)
	for again := true; again; {
		again = false
		for _, e := range equal {
			for i, c := range e {
				if own[c] && !c.holds() && e[1-i].holds() {
					c.here, again = true, true
				}
			}
		}
	}
}

// confinedBy returns the confinements of the columns of which a condition leaves no other rows than
// NULLs and cells under the key of values: a row that meets an AND meets all of its parts, and one
// that meets an OR one of them.
func (a *analysis) confinedBy(e sqlparse.Expr) []*confinement {
	a.step(1)
	l, ok := e.(*sqlparse.Logic)
	if !ok {
		if c := a.confinedByLeaf(e); c != nil {
			return []*confinement{c}
		}
		return nil
	}
	if l.Op != sqlparse.And && l.Op != sqlparse.Or {
		return nil
	}
	var all []*confinement
	for i, x := range l.Args {
		cs := a.confinedBy(x)
		if l.Op == sqlparse.And || i == 0 {
			for _, c := range cs {
				if !slices.Contains(all, c) {
					all = append(all, c)
				}
			}
			continue
		}
		if all = slices.DeleteFunc(all, func(c *confinement) bool { return !slices.Contains(cs, c) }); len(all) == 0 {
			return nil
		}
	}
	return all
}

// confinedByLeaf returns the confinement of the column that a condition without AND and OR compares
// with values.
func (a *analysis) confinedByLeaf(e sqlparse.Expr) *confinement {
	switch e := e.(type) {
	case *sqlparse.IsNull:
		if e.Not {
			return nil
		}
		return a.confinedColumn(e.Arg)
	case *sqlparse.Compare:
		switch {
		case e.Op != sqlparse.Equal && (e.Op != sqlparse.NotDistinct || e.Quant != sqlparse.NoQuant), e.Quant == sqlparse.All:
			return nil
		case e.Quant == sqlparse.Any:
			if !areValues(e.Right) {
				return nil
			}
			return a.confinedColumn(e.Left)
		}
		return a.confinedPair(e.Left, e.Right)
	case *sqlparse.Order:
		left, lok := e.Left.(*sqlparse.Row)
		right, rok := e.Right.(*sqlparse.Row)
		switch {
		case lok && rok && isValue(right.Args[0]):
			return a.confinedColumn(left.Args[0])
		case lok && rok, e.Quant == sqlparse.All, e.Quant == sqlparse.Any && !areValues(e.Right):
			return nil
		case e.Quant == sqlparse.Any:
			return a.confinedColumn(e.Left)
		}
		return a.confinedPair(e.Left, e.Right)
	case *sqlparse.In:
		if e.Not || e.Query != nil {
			return nil
		}
		for _, x := range e.List {
			if !isValue(x) {
				return nil
			}
		}
		return a.confinedColumn(e.Left)
	case *sqlparse.Between:
		if e.Not || !isValue(e.Low) || !isValue(e.High) {
			return nil
		}
		return a.confinedColumn(e.Arg)
	}
	return nil
}

func (a *analysis) confinedColumn(e sqlparse.Expr) *confinement {
	if _, ok := isColumnName(e); !ok {
		return nil
	}
	return a.confined[e]
}

// confinedPair is that of a comparison of a column with a value, in either order.
func (a *analysis) confinedPair(l, r sqlparse.Expr) *confinement {
	switch {
	case isValue(r):
		return a.confinedColumn(l)
	case isValue(l):
		return a.confinedColumn(r)
	}
	return nil
}

// areValues reports whether an expression is an array of parameters and constants, or one itself.
func areValues(e sqlparse.Expr) bool {
	switch e := e.(type) {
	case *sqlparse.Param, *sqlparse.Const:
		return true
	case *sqlparse.Cast:
		return areValues(e.Arg)
	case *sqlparse.Array:
		for _, x := range e.Elements {
			if !isValue(x) {
				return false
			}
		}
		return true
	}
	return false
}

// sorts analyses an item of an ORDER BY, of which the term and confinement are known. meaning: what
// is made of the order is more than the order of rows.
func (a *analysis) sorts(s sqlparse.Sort, t *term, c *confinement, meaning bool) error {
	const what = "ORDER BY"
	if r := t.root(); r.state != sealed || !r.first().Sorted() || s.Using {
		return a.plainOnly(t, s.Expr.Pos(), what)
	}
	a.checked = append(a.checked, &check{t: t, pos: s.Expr.Pos(), what: what, need: sorted, confined: c, meaning: meaning})
	return nil
}

// verifySorted refuses a sorting of cells that may be under several keys.
func (a *analysis) verifySorted(c *check, t *term) error {
	col := t.first()
	if a.env.SearchKeys > 1 {
		return a.refuseSearchKeys(c.pos, col, c.what+" of cells cannot be answered while two search keys are live",
			"until all rows are sealed under the new search key and the old one is retired, the cells of the two do not sort together; sort in the program")
	}
	if a.ranged > 0 {
		return a.refuseOperation(a.ranged-1, col, "a frame of RANGE with an offset computes with what it is sorted by", "write the frame in ROWS, or sort by a plain column")
	}
	unscoped := true
	for _, s := range t.cols {
		unscoped = unscoped && s.col.Scopes() == schema.ScopesNever
	}
	if unscoped || c.confined.holds() {
		return nil
	}
	return a.refuseOperation(c.pos, col, c.what+" may sort cells of several scopes, which do not sort as their values do", confineHint(col))
}

// confineHint says how to confine a column.
func confineHint(col *schema.Column) string {
	idiom := "compare the column with a value of the scope in WHERE, as " + col.Name + " >= $1"
	switch {
	case col.Mode != schema.ModeOrdered:
	case col.Kind == schema.KindTime || col.Kind == schema.KindDate || col.Kind == schema.KindTimestamp:
		idiom = "write WHERE " + col.Name + " >= '-infinity' OR " + col.Name + " IS NULL"
	case col.Min != "":
		idiom = "write WHERE " + col.Name + " >= " + col.Min + " OR " + col.Name + " IS NULL"
	default:
		idiom = "write WHERE " + col.Name + " >= $1 OR " + col.Name + " IS NULL, with the least value as $1"
	}
	return idiom + ", directly in the query that sorts; or declare the table with schema.Unscoped if none of its rows has a scope"
}

// within analyses an ordered-set aggregate over a sealed column. Those of the hypothetical kind, as
// rank(…) WITHIN GROUP, compare their arguments with what is sorted.
func (a *analysis) within(c *sqlparse.Call, by *term, sc *scope) (*term, error) {
	if c.Name != "percentile_disc" || !builtin(c) || len(c.OrderBy) != 1 || len(c.Args) != 1 || !isValue(c.Args[0]) {
		what := "the function " + c.Name
		return newResult(what), a.plainOnly(by, c.Pos(), what)
	}
	if err := a.plainExpr(c.Args[0], sc, "the function "+c.Name); err != nil {
		return nil, err
	}
	a.noteConfined(c, a.confined[c.OrderBy[0].Expr])
	if _, cast := c.Args[0].(*sqlparse.Cast); !cast {
		a.fractions = append(a.fractions, fraction{c.Args[0], a.second})
	}
	return a.use(by), nil
}

// A fraction is the argument of a percentile. Over bytea, and not over numbers, the server cannot
// tell its type where neither a cast nor the text does.
type fraction struct {
	value  sqlparse.Expr
	second *second
}

// greatest analyses GREATEST and LEAST, and what SQLite has in their place, which yield one of
// their operands by its order.
func (a *analysis) greatest(e sqlparse.Expr, args []sqlparse.Expr, what string, sc *scope) (*term, error) {
	terms, err := a.terms(args, sc)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(terms, func(t *term) bool { return t.root().state == sealed && t.first().Sorted() }) {
		for i, t := range terms {
			if err := a.plainOnly(t, args[i].Pos(), what); err != nil {
				return nil, err
			}
		}
		return newResult(what), nil
	}
	t, all := newFree(), &confinement{here: true}
	for i, x := range terms {
		if t, err = a.unify(t, x, args[i].Pos(), what); err != nil {
			return nil, err
		}
		if c := a.confined[args[i]]; c != nil || !isValue(args[i]) {
			all = combined(sqlparse.Union, all, c)
		}
	}
	a.checked = append(a.checked, &check{t: t, pos: e.Pos(), what: what, need: sorted, confined: all, meaning: true})
	a.noteConfined(e, all)
	return t, nil
}

// An extreme is a call of min or max over cells. PostgreSQL before 18 has neither for bytea.
type extreme struct {
	call       *sqlparse.Call
	of         *schema.Column
	unlabelled bool // its label is the function's name
	alone      bool // it is all that a query over one table yields
	second     *second
}

// extreme analyses min(…) and max(…).
func (a *analysis) extreme(c *sqlparse.Call, sc *scope) (*term, error) {
	what := "the function " + c.Name
	t, err := a.infer(c.Args[0], sc)
	if err != nil {
		return nil, err
	}
	r := t.root()
	switch {
	case r.state != sealed, !r.first().Sorted():
		return newResult(what), a.plainOnly(t, c.Args[0].Pos(), what)
	case c.Over != nil:
		return newFree(), a.goOn(a.refuseOperation(c.Pos(), r.first(), what+" over a window cannot work on a sealed column",
			"write first_value(column) OVER (... ORDER BY column), with DESC for the greatest"))
	case c.Distinct:
		return newFree(), a.goOn(a.refuseOperation(c.Pos(), r.first(), what+" with DISTINCT is not analysed", "leave DISTINCT out: it changes nothing"))
	}
	confined := a.confined[c.Args[0]]
	a.checked = append(a.checked, &check{t: t, pos: c.Pos(), what: what, need: sorted, confined: confined, meaning: true})
	a.noteConfined(c, confined)
	if a.p.dialect == dialect.Postgres {
		a.extremes = append(a.extremes, extreme{call: c, of: r.first(), second: a.second})
	}
	return t, nil
}

// keepExtreme notes that an output without an alias is labelled by the function that it is.
func (a *analysis) keepExtreme(e sqlparse.Expr) {
	if n := len(a.extremes); n > 0 && sqlparse.Expr(a.extremes[n-1].call) == e {
		a.extremes[n-1].unlabelled = true
	}
}

// extremeAlone records that a query yields only the least or greatest cell of its one table, which
// an index finds.
func (a *analysis) extremeAlone(s *sqlparse.Select, sc *scope) {
	n := len(a.extremes)
	if n == 0 || len(s.Targets) != 1 || s.Targets[0].Expr != sqlparse.Expr(a.extremes[n-1].call) || len(s.From) != 1 || len(sc.items) != 1 || s.Into != nil {
		return
	}
	x := &a.extremes[n-1]
	table, ok := s.From[0].(*sqlparse.TableName)
	c, isName := isColumnName(x.call.Args[0])
	if !ok || !isName || len(table.Args) > 0 || !plainCall(x.call) || x.second != nil {
		return
	}
	confined := a.confined[c]
	x.alone = confined != nil && slices.ContainsFunc(sc.items[0].cols, func(o output) bool { return o.confined == confined })
}

// rewriteAlone writes SELECT min(c) FROM t WHERE … as SELECT (SELECT c FROM t WHERE (…) AND c IS
// NOT NULL ORDER BY c LIMIT 1) AS min. at is the first token of the call, open is its parenthesis,
// and end is what follows it. It returns false for other texts.
func (e *emission) rewriteAlone(x extreme, at, open, end int) bool {
	is := func(i int, words ...string) bool {
		return i >= 0 && i < len(e.tokens) && slices.Contains(words, strings.ToLower(e.tokenText(e.tokens[i])))
	}
	column, ok := e.spanOf(x.call.Args[0])
	begin := 0
	if is(0, "explain") {
		if begin = 1; is(1, "(") {
			begin, _ = e.groupEnd(1)
		}
		for is(begin, "analyze", "analyse", "verbose") {
			begin++
		}
	}
	if !x.alone || !ok || !is(at-1, "select") || at-1 != begin && !is(at-2, "(", ";") || slices.ContainsFunc(e.edits, func(d edit) bool { return d.start < column.end && d.end > column.start }) {
		return false
	}
	from := end
	for !is(from, "from") {
		if from++; from > end+2 {
			return false
		}
	}
	where, stop := 0, from
	for depth := 0; stop < len(e.tokens); stop++ {
		switch {
		case is(stop, "("):
			depth++
		case is(stop, ")"):
			depth--
		case depth > 0 || is(stop-1, "."): // a name
		case is(stop, "where"):
			where = stop
		case is(stop, "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset", "fetch", "for"):
			return false
		}
		if depth < 0 || is(stop, ";") {
			break
		}
	}
	label := dbcatalog.QuoteIdent(x.call.Name)
	if from > end { // the name alone: a comment beside it would take what follows with it
		label = e.tokenText(e.tokens[from-1])
	}
	c := e.file.Text[column.start:column.end]
	rest := " WHERE "
	put := func(start, end int, text string, after bool) {
		e.edits = append(e.edits, edit{start: start, end: end, text: text, label: after})
	}
	if where > 0 {
		rest = ") AND "
		put(e.tokens[where+1].Start, e.tokens[where+1].Start, "(", false)
	}
	rest += c + " IS NOT NULL ORDER BY " + c
	if x.call.Name == "max" {
		rest += " DESC"
	}
	put(e.tokens[at].Start, e.tokens[open].End, "(SELECT ", false)
	put(e.tokens[end-1].Start, e.tokens[from].Start, " ", false)
	put(e.tokens[stop-1].End, e.tokens[stop-1].End, rest+" LIMIT 1) AS "+label, true)
	return true
}

// rewriteExtremes writes min(c) as percentile_disc(0) WITHIN GROUP (ORDER BY c), and max(c) with 1,
// which yield the same, where there is no shorter way, and gives the argument of a percentile its
// type.
func (e *emission) rewriteExtremes() error {
	for _, f := range e.fractions {
		at, ok := e.spanOf(f.value)
		if !ok {
			return e.refuseRewriting(f.value.Pos(), nil, "the end of the argument of percentile_disc cannot be found", "write it with a cast to float8")
		}
		e.edits = append(e.edits, edit{start: at.end, end: at.end, text: "::pg_catalog.float8", second: f.second})
	}
	for _, x := range e.extremes {
		tokens, err := e.scan()
		if err != nil {
			return err
		}
		at := e.tokenAt(x.call.Pos())
		open := at
		for open < len(tokens) && e.tokenText(tokens[open]) != "(" {
			open++
		}
		end, ok := e.groupEnd(open)
		if !ok || open-at > 2 {
			return e.refuseRewriting(x.call.Pos(), nil, "the end of this function call cannot be found", "write percentile_disc(0) WITHIN GROUP (ORDER BY column), or 1 for the greatest")
		}
		if e.rewriteAlone(x, at, open, end) {
			continue
		}
		which := "0"
		if x.call.Name == "max" {
			which = "1"
		}
		e.edits = append(e.edits, edit{start: tokens[at].Start, end: tokens[open].End, text: "pg_catalog.percentile_disc(" + which + ") WITHIN GROUP (ORDER BY ", second: x.second})
		if !x.unlabelled {
			continue
		}
		if end+1 < len(tokens) && strings.EqualFold(e.tokenText(tokens[end]), "filter") {
			if end, ok = e.groupEnd(end + 1); !ok {
				return e.refuseRewriting(x.call.Pos(), nil, "the end of this function call cannot be found", "name the result column with AS")
			}
		}
		for at > 0 && end < len(tokens) && e.tokenText(tokens[at-1]) == "(" && e.tokenText(tokens[end]) == ")" {
			at, end = at-1, end+1
		}
		to := tokens[end-1].End
		e.edits = append(e.edits, edit{start: to, end: to, text: " AS " + dbcatalog.QuoteIdent(x.call.Name), label: true, second: x.second})
	}
	return nil
}

// groupEnd returns the index behind the parenthesis that closes the one of an index.
func (e *emission) groupEnd(i int) (int, bool) {
	for depth := 0; i < len(e.tokens); i++ {
		switch e.tokenText(e.tokens[i]) {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return 0, false
}
