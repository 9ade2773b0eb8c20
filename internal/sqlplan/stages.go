package sqlplan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// A column that has a stage stands in two columns of its table: the plain one, by whose name statements
// mean it, and the companion with the cells (schema.Stage). Statements are mapped to them:
//
//	references, targets of ON CONFLICT   to the column that is the truth; labels stay
//	*, u.*, RETURNING *                  written out, without the companion
//	what is written                      to both, while both are written: the expression is analysed twice,
//	                                     once as values and once as cells, and stands in the text twice
//
//	INSERT INTO users (email) VALUES ($1)  becomes  INSERT INTO users ("email_sealed", email) VALUES ($2, $1)
//	UPDATE users SET email = $1            becomes  UPDATE users SET "email_sealed" = $2, email = $1
//
// Where the options of a sealed column change, what is said of the plain column is true of the one with the
// cells that it had (schema.Column.Was): values are sealed twice, in two ways.

// A pair is what a column with a stage stands in.
type pair struct {
	col    *schema.Column
	stage  schema.Stage // for this analysis
	label  string       // the plain column's name in the catalog
	source string       // the name of the column with the cells that it had, if that is not the label
	stored string       // the companion's name
	before int          // how many columns of the table stand before the first that no statement sees
	plain  *term        // of the plain column, or of the cells that it had; nil: it is not written
	cells  *term        // nil: there is no companion yet
}

// stored is the name that the column of the truth has, if that is not the output's.
func (o *output) stored() string {
	switch {
	case o.pair == nil:
		return ""
	case o.pair.stage == schema.StageCopy:
		return o.pair.source
	}
	return o.pair.stored
}

// both reports whether what is written goes to both columns.
func (p *pair) both() bool { return p != nil && p.plain != nil && p.cells != nil }

// world says which of the two columns of a pair references mean.
type world uint8

const (
	inTruth world = iota
	inValues
	inCells
)

// mode says how an analysis takes the columns in schema.StageCopy.
type mode uint8

const (
	copyBoth  mode = iota
	copyNull       // what is written makes their companions NULL
	copyPlain      // they are plain, and the companion is another column
	copyAhead      // as in the next stage: what will be refused?
)

// A second is an expression that stands in the text once more, for the companion.
type second struct {
	pair *pair
	expr sqlparse.Expr // nil: NULL
	span span          // of expr; when the plan is written
}

// A rename is a reference, in the text, to the companion.
type rename struct {
	ref    *sqlparse.Column
	stored string
	second *second
}

// staged makes the column of a registered table that has a stage. plain and cells are its columns on the
// server; nil where they are not there.
// before is how many columns stand before the first that no statement sees.
func (a *analysis) staged(c *schema.Column, plain, cells *dbcatalog.Column, before int) (output, error) {
	p := &pair{col: c, stage: c.Stage, label: c.Name, stored: c.Stored, before: before}
	if source := c.Source(); source != c.Name {
		p.source = source
	}
	if a.mode == copyAhead && p.stage == schema.StageCopy {
		p.stage = schema.StageSealed
		if cells == nil {
			cells = &dbcatalog.Column{Name: c.Stored, Storage: dbcatalog.StorageBytes}
		}
	}
	o := output{name: a.p.fold(c.Name), sure: a.p.dialect == dialect.Postgres, pair: p}
	if cells != nil && cells.Storage == dbcatalog.StorageOther {
		return o, a.refuseStorage(0, c, "the companion column "+c.Stored+" has type "+cells.Type+", which cannot hold a cell", "make it bytea")
	}
	storage := missing
	if cells != nil {
		storage = cells.Storage
	}
	sealedTerm := newSealed(source{c, storage})
	if plain != nil && p.source == "" {
		p.label = plain.Name
	}
	values := newPlain
	if c.Was != nil {
		had := missing
		if plain != nil {
			had = plain.Storage
		}
		if had == dbcatalog.StorageOther && p.stage != schema.StageOnly {
			return o, a.refuseStorage(0, c.Was, "the column "+plain.Name+" has type "+plain.Type+", which cannot hold a cell", "make it bytea")
		}
		values = func() *term { return newSealed(source{c.Was, had}) }
	}
	switch {
	case p.stage == schema.StageCopy:
		a.copying = true
		o.t, p.plain = values(), values()
		if cells != nil {
			p.cells = sealedTerm
		}
	case p.stage == schema.StageOnly:
		o.t = sealedTerm
	case plain == nil && a.env.Catalog != nil:
		return o, a.refuseStorage(0, c, "the table on the server has no plain column any more, and what is written goes to both in this stage",
			"go on with stage=only in every program, or add the column again with colseal unseal")
	default:
		o.t, p.plain, p.cells = sealedTerm, values(), sealedTerm
	}
	return o, nil
}

// asks reports whether an expression says something of its operands, and yields none of them. It is asked of the
// columns of the truth, wherever it stands: the other ones may not hold yet, or no more, what is asked for.
func asks(e sqlparse.Expr) bool {
	switch e.(type) {
	case *sqlparse.Compare, *sqlparse.Order, *sqlparse.Between, *sqlparse.In, *sqlparse.IsNull, *sqlparse.Logic, *sqlparse.Match:
		return true
	}
	return false
}

// A guard is an expression in a value for two columns that yields something else where a column in it is NULL:
// COALESCE and the like. In the copy for the column that is not the truth it is NULL where a column in it is not up to
// date: that one is filled later, as that column is.
type guard struct {
	expr   sqlparse.Expr
	refs   []lagged
	second *second
}

// lagged is a reference to a column that may not be up to date: it is not where it is NULL, and the one of the truth is
// not NULL.
type lagged struct {
	ref         *sqlparse.Column
	name, truth string
}

// guarded analyses such an expression.
func (a *analysis) guarded(e sqlparse.Expr, analyse func() (*term, error)) (*term, error) {
	if a.world == inTruth || a.guarding != nil { // the one around is NULL
		return analyse()
	}
	var refs []lagged
	a.guarding = &refs
	t, err := analyse()
	if a.guarding = nil; len(refs) > 0 {
		a.guards = append(a.guards, guard{e, refs, a.second})
	}
	return t, err
}

// noteLag notes a reference if it is to the column that is not the one of the truth.
func (a *analysis) noteLag(c *sqlparse.Column, p *pair) {
	if !p.both() || a.world == inTruth || (a.world == inCells) != (p.stage == schema.StageCopy) {
		return
	}
	a.lags++
	if a.guarding == nil {
		return
	}
	l := lagged{c, cmp.Or(p.source, p.label), p.stored}
	if a.world == inCells {
		l.name, l.truth = l.truth, l.name
	}
	*a.guarding = append(*a.guarding, l)
}

// refuseLag refuses what would compute something else of columns that are not up to date.
func (a *analysis) refuseLag(pos int, within string) error {
	return a.refuseUnsupported(pos, nil, "a query of a column that is on its way between plain and sealed, within "+within+" in a value for such a column",
		"compute the value in the program")
}

// placeGuards makes the edits of guards.
func (e *emission) placeGuards() error {
	for _, g := range e.guards {
		at, ok := e.spanOf(g.expr)
		var b strings.Builder
		for i, r := range g.refs {
			last, found := e.lastPart(r.ref)
			ok = ok && found
			if !ok {
				return e.refuseRewriting(g.expr.Pos(), nil, "the parts of this value cannot be found in the text", "use a parameter")
			}
			of := e.file.Text[r.ref.Pos():last.start]
			b.WriteString([]string{"(CASE WHEN ", " OR "}[min(i, 1)] + of + dbcatalog.QuoteIdent(r.name) + " IS NULL AND " + of + dbcatalog.QuoteIdent(r.truth) + " IS NOT NULL")
		}
		e.edits = append(e.edits, edit{start: at.start, end: at.start, text: b.String() + " THEN NULL ELSE ", second: g.second},
			edit{start: at.end, end: at.end, text: " END)", second: g.second})
	}
	return nil
}

// seen returns the term of a column in the world of the analysis, and the name that it has there if that is
// another one.
func (a *analysis) seen(o *output) (t *term, stored string) {
	if p := o.pair; p != nil {
		switch {
		case a.world == inValues && p.plain != nil:
			return a.use(p.plain), p.source
		case a.world == inCells && p.cells != nil:
			return a.use(p.cells), p.stored
		}
	}
	return a.use(o.t), o.stored()
}

// refer returns the term of a column that a reference means, and notes what it is called in the text sent.
func (a *analysis) refer(c *sqlparse.Column, o *output) (*term, error) {
	a.referred, a.referredBy = o, c
	if s := o.more.source(); s != nil && s.part != partCells && a.past(s.col) {
		a.pasts = append(a.pasts, past{c, s.col})
	}
	t, stored := a.seen(o)
	a.noteLag(c, o.pair)
	if err := a.standsIn(o, t, c.Pos()); err != nil {
		return nil, err
	}
	if err := a.leftAsItIs(c, o); err != nil {
		return nil, err
	}
	if stored != "" && !slices.ContainsFunc(a.renames, func(r rename) bool { return r.ref == c && r.second == a.second }) {
		a.renames = append(a.renames, rename{c, stored, a.second})
	}
	return t, nil
}

// standsIn refuses a column whose cells stand in a column that the relation lacks, as a view may: the server would speak of a name that
// the statement has not.
func (a *analysis) standsIn(o *output, t *term, pos int) error {
	if r := t.root(); o.pair != nil && r.state == sealed && r.missing() != nil {
		return a.refuseMissing(pos, r.missing())
	}
	return a.byItself(o, pos)
}

// byItself refuses one of the columns of a pair under a name of its own, as a view may have for it, in
// a stage in which it may lag behind: the companion in StageCopy, and in StageOnly the one with the
// cells that it had. What is written to it alone is not what the column holds.
func (a *analysis) byItself(o *output, pos int) error {
	s := o.more.source()
	if s == nil || o.pair != nil || a.depth > 0 {
		return nil
	}
	what := "the companion of a column"
	switch {
	case s.part == partCells && s.col.Stage == schema.StageCopy && a.mode != copyAhead:
	case s.part == partSource && s.col.Stage == schema.StageOnly:
		what = "the former companion of a column"
	default:
		return nil
	}
	a.forbidden = true
	return a.refuseOperation(pos, s.col, what+" is named by itself, which lags behind in this stage",
		"name the column; a view needs it before its companion")
}

// refersElsewhere reports whether a reference is another column's in the text sent.
func (a *analysis) refersElsewhere(c *sqlparse.Column) bool {
	return slices.ContainsFunc(a.renames, func(r rename) bool { return r.ref == c && r.second == a.second })
}

// keepName gives an output without an alias, whose label comes from a reference to the companion, the label
// that it had.
func (a *analysis) keepName(e sqlparse.Expr, name string) {
	c := labelling(e)
	if _, ok := e.(*sqlparse.Column); !ok && a.p.dialect == dialect.SQLite {
		return // its text is the label
	}
	if c != nil && a.refersElsewhere(c) {
		a.relabels = append(a.relabels, relabel{e, name, a.second})
	}
}

// A relabel is an output that gets an alias.
type relabel struct {
	expr   sqlparse.Expr
	name   string
	second *second
}

// labelling returns the reference that gives an expression its label on PostgreSQL, and on SQLite if it is
// all of the expression; nil for none.
func labelling(e sqlparse.Expr) *sqlparse.Column {
	switch e := e.(type) {
	case *sqlparse.Column:
		return e
	case *sqlparse.Cast:
		return labelling(e.Arg)
	case *sqlparse.Case:
		if e.Else != nil {
			return labelling(e.Else)
		}
	}
	return nil
}

// assignBoth makes a value go to both columns of a pair. listed: the columns and the values are two lists.
func (a *analysis) assignBoth(w *writeTarget, n sqlparse.Name, o *output, e sqlparse.Expr, sc *scope, listed bool) error {
	if n.Indirect {
		return a.refuseOperation(n.Pos(), o.pair.col, "a part of a sealed value cannot be written", "write the whole value")
	}
	if err := a.standsIn(o, o.pair.cells, n.Pos()); err != nil {
		return err
	}
	if a.world != inTruth {
		return a.refuseUnsupported(n.Pos(), o.pair.col, "a write within the value of another one is not analysed while a column is on its way", "write them one by one")
	}
	if _, ok := e.(*sqlparse.Default); ok {
		if o.pair.stage == schema.StageSealed {
			if err := a.defaultValue(w, n.Name, e.Pos()); err != nil {
				return err
			}
		}
		a.writeSecond(n, &second{pair: o.pair}, e, listed)
		return nil
	}
	a.world, a.first = inValues, true
	err := a.assignTo(a.use(o.pair.plain), e, sc)
	a.world, a.first = inTruth, false
	if err != nil {
		return err
	}
	s := &second{pair: o.pair, expr: e}
	if a.copiesNull(o.pair) {
		s.expr = nil
		a.writeSecond(n, s, e, listed)
		return nil
	}
	if err := a.inSecond(s, func() error { return a.assignTo(a.use(o.pair.cells), e, sc) }); err != nil {
		return err
	}
	if !a.repeats(e) {
		return a.refuseUnsupported(e.Pos(), o.pair.col, "the value is computed for the plain column and for its companion, by what need not do the same twice: a function, or a query with LIMIT",
			"compute it in the program")
	}
	a.writeSecond(n, s, e, listed)
	return nil
}

// copiesNull reports whether the companion of a pair becomes NULL by what is written.
func (a *analysis) copiesNull(p *pair) bool { return a.mode == copyNull && p.stage == schema.StageCopy }

// inSecond analyses what stands in the text once more.
func (a *analysis) inSecond(s *second, analyse func() error) error {
	slots, nulls, bare, casts, checked, questions := len(a.slots), len(a.nulls), len(a.bare), len(a.casts), len(a.checked), len(a.questions)
	a.world, a.second = inCells, s
	err := analyse()
	a.world, a.second = inTruth, nil
	for _, x := range a.slots[slots:] {
		x.second = s
	}
	for _, x := range a.nulls[nulls:] {
		x.second = s
	}
	for i := bare; i < len(a.bare); i++ {
		a.bare[i].second = s
	}
	for _, x := range a.casts[casts:] {
		x.second = s
	}
	for _, x := range a.checked[checked:] {
		x.second = s
	}
	for _, q := range a.questions[questions:] {
		q.second = s
	}
	return err
}

// writeSecond notes where the companion and its value stand: each before the plain one.
func (a *analysis) writeSecond(n sqlparse.Name, s *second, e sqlparse.Expr, listed bool) {
	a.retarget(n, s.pair.source)
	name := dbcatalog.QuoteIdent(s.pair.stored)
	if !listed {
		a.seconds = append(a.seconds, placedSecond{at: n.Pos(), before: name + " = ", second: s})
		return
	}
	if n.Pos() > 0 && !slices.ContainsFunc(a.seconds, func(p placedSecond) bool { return p.at == n.Pos() && p.expr == nil }) {
		a.seconds = append(a.seconds, placedSecond{at: n.Pos(), before: name})
	}
	a.seconds = append(a.seconds, placedSecond{expr: e, second: s})
}

// retarget has a target of a write be called otherwise in the text, unless the name is "".
func (a *analysis) retarget(n sqlparse.Name, name string) {
	if name == "" || n.Pos() <= 0 {
		return
	}
	if a.retargets == nil {
		a.retargets = map[int]string{}
	}
	a.retargets[n.Pos()] = name
}

// A placedSecond is what is put in before a name or before an expression.
type placedSecond struct {
	at     int           // where it stands; unless
	expr   sqlparse.Expr // it stands before this
	before string
	second *second // nil: before alone
}

// fromCopy reports whether a slot or the like is for the companion of a column in StageCopy, which becomes NULL
// where it cannot be sealed.
func (s *second) fromCopy() bool { return s != nil && s.pair.stage == schema.StageCopy }

// besidePlain reports whether it stands beside a plain column in StageCopy, and decides nothing about what else
// the statement does: the server is given the values in the clear. Beside cells it is given none.
func (s *second) besidePlain() bool { return s.fromCopy() && s.pair.col.Was == nil }

// placeSeconds makes the edits of what stands in the text twice, of references, and of labels.
func (e *emission) placeSeconds() error {
	for _, p := range e.seconds {
		if p.expr != nil {
			at, ok := e.valueSpan(p.expr)
			if !ok {
				return e.refuseRewriting(p.expr.Pos(), p.second.pair.col, "the start of this value cannot be found", "use a parameter")
			}
			p.at = at.start
		}
		if p.expr == nil && p.second != nil { // an assignment, whose names may be in parentheses
			if _, err := e.scan(); err != nil {
				return err
			}
			for i := e.tokenAt(p.at) - 1; i >= 0 && e.tokenText(e.tokens[i]) == "("; i-- {
				p.at = e.tokens[i].Start
			}
		}
		if s := p.second; s != nil && s.expr != nil {
			var ok bool
			if s.span, ok = e.operandSpan(s.expr); !ok {
				return e.refuseRewriting(s.expr.Pos(), s.pair.col, "the end of this value cannot be found", "use a parameter")
			}
		}
		e.edits = append(e.edits, edit{start: p.at, end: p.at, put: &put{before: p.before, second: p.second}})
	}
	for at, stored := range e.retargets {
		if _, err := e.scan(); err != nil {
			return err
		}
		i := e.tokenAt(at)
		if i >= len(e.tokens) || e.tokens[i].Start != at {
			return e.refuseRewriting(at, nil, "the name of a column cannot be found in the text", "write the name plainly")
		}
		e.edits = append(e.edits, edit{start: at, end: e.tokens[i].End, text: dbcatalog.QuoteIdent(stored)})
	}
	for _, r := range e.renames {
		at, ok := e.lastPart(r.ref)
		if !ok {
			return e.refuseRewriting(r.ref.Pos(), nil, "the name of a column cannot be found in the text", "write the name plainly")
		}
		e.edits = append(e.edits, edit{start: at.start, end: at.end, text: dbcatalog.QuoteIdent(r.stored), second: r.second})
	}
	if err := e.placeGuards(); err != nil {
		return err
	}
	for _, r := range e.relabels {
		at, ok := e.operandSpan(r.expr)
		if !ok {
			return e.refuseRewriting(r.expr.Pos(), nil, "the end of this expression cannot be found", "name it with AS")
		}
		e.edits = append(e.edits, edit{start: at.end, end: at.end, text: " AS " + dbcatalog.QuoteIdent(r.name), label: true, second: r.second})
	}
	for _, s := range e.stars {
		at, ok := e.starSpan(s.ref)
		if !s.ref.Star {
			at, ok = e.lastPart(s.ref)
		}
		if !ok && s.of != nil {
			at, ok = e.tableCommand(s.of)
			s.text = "SELECT " + s.text + " FROM"
		}
		if !ok {
			return e.refuseRewriting(s.ref.Pos(), nil, "* cannot be found in the text", "write the columns out")
		}
		e.edits = append(e.edits, edit{start: at.start, end: at.end, text: s.text, second: s.second})
	}
	return nil
}

// A put is what an edit puts in: text, and a second with it.
type put struct {
	before string
	second *second
}

// write writes it into the text of a plan.
func (p *put) write(w *cutter) error {
	w.put(p.before)
	switch s := p.second; {
	case s == nil:
	case s.expr == nil:
		w.put("NULL")
	default:
		if err := w.write(s.span.start, s.span.end, w.piecesOf(s)); err != nil {
			return err
		}
	}
	w.put(", ")
	return nil
}

// valueSpan is the span of a value in a list: of an expression, or of DEFAULT.
func (e *emission) valueSpan(x sqlparse.Expr) (span, bool) {
	d, ok := x.(*sqlparse.Default)
	if !ok {
		return e.operandSpan(x)
	}
	if _, err := e.scan(); err != nil {
		return span{}, false
	}
	i := e.tokenAt(d.Pos())
	if i >= len(e.tokens) || !strings.EqualFold(e.tokenText(e.tokens[i]), "default") {
		return span{}, false
	}
	return span{e.tokens[i].Start, e.tokens[i].End}, true
}

// lastPart is the span of the last part of a column's name.
func (e *emission) lastPart(c *sqlparse.Column) (span, bool) {
	if _, err := e.scan(); err != nil {
		return span{}, false
	}
	i := e.tokenAt(c.Pos())
	if i < len(e.tokens) && e.tokenText(e.tokens[i]) == "(" { // of ON CONFLICT, whose columns have no places of their own
		return e.listedName(i, c.Parts[len(c.Parts)-1])
	}
	i += 2 * (len(c.Parts) - 1)
	if i >= len(e.tokens) || e.tokens[i].Kind != sqlparse.TokenWord && e.tokens[i].Kind != sqlparse.TokenString {
		return span{}, false
	}
	return span{e.tokens[i].Start, e.tokens[i].End}, true
}

// listedName is the span of a name in the list in parentheses that starts at a token. A string is none.
func (e *emission) listedName(open int, name string) (span, bool) {
	depth, first := 0, false // of an element
	for _, t := range e.tokens[open:] {
		text := e.tokenText(t)
		switch {
		case text == "(":
			depth++
		case text == ")":
			if depth--; depth == 0 {
				return span{}, false
			}
		case first && depth == 1 && e.p.identOf(text) == name:
			return span{t.Start, t.End}, true
		}
		first = depth == 1 && (text == "(" || text == ",")
	}
	return span{}, false
}

// identOf returns the name that a token is, as the dialect compares names; "" for a string or a name with escapes.
func (p *Planner) identOf(token string) string {
	last := len(token) - 1
	if last < 1 || token[0] != '"' && (p.dialect == dialect.Postgres || token[0] != '`' && token[0] != '[') {
		if strings.ContainsAny(token, `'"&`) {
			return ""
		}
		return p.fold(dbcatalog.FoldASCII(token))
	}
	inside := token[1:last]
	if token[0] != '[' {
		inside = strings.ReplaceAll(inside, token[:1]+token[:1], token[:1])
	}
	return p.fold(inside)
}

// starSpan is the span of a star with the names before it.
func (e *emission) starSpan(c *sqlparse.Column) (span, bool) {
	if _, err := e.scan(); err != nil {
		return span{}, false
	}
	from := e.tokenAt(c.Pos())
	to := from + 2*len(c.Parts)
	if to >= len(e.tokens) || e.tokenText(e.tokens[to]) != "*" {
		return span{}, false
	}
	return span{e.tokens[from].Start, e.tokens[to].End}, true
}

// A star is one that is written out, or a whole row.
type star struct {
	ref    *sqlparse.Column
	text   string
	second *second
	of     *item // the only one that it is over; nil for several
}

// tableCommand is the span of TABLE, as in TABLE users.
func (e *emission) tableCommand(it *item) (span, bool) {
	i := e.tokenAt(it.at) - 1
	if i > 0 && strings.EqualFold(e.tokenText(e.tokens[i]), "only") {
		i--
	}
	if i < 0 || !strings.EqualFold(e.tokenText(e.tokens[i]), "table") {
		return span{}, false
	}
	return span{e.tokens[i].Start, e.tokens[i].End}, true
}

// writeOut writes a star over a table with companions out, and returns the columns as they are labelled then.
func (a *analysis) writeOut(c *sqlparse.Column, cols []output) ([]output, error) {
	pairs := func(o output) bool { return o.pair != nil }
	if !slices.ContainsFunc(cols, pairs) {
		return cols, nil
	}
	out := make([]output, 0, len(cols))
	var list []string
	for i := 0; i < len(cols); {
		o := cols[i]
		if from := o.from; from != nil && from.name != "" && !from.companions && len(from.hidden) == 0 {
			list = append(list, qualified(from)+".*")
			for ; i < len(cols) && cols[i].from == from; i++ {
				out = append(out, cols[i])
			}
			continue
		}
		i++
		if o.gap {
			if a.env.Catalog == nil {
				return unpaired(cols), nil
			}
			return nil, a.refuseUnknown(c.Pos(), nil, "the columns that * stands for are not known, and the companion of a sealed column may be one of them", "write the columns out instead of *")
		}
		name := o.name
		stored := o.stored()
		if o.pair != nil {
			var t *term
			if t, stored = a.seen(&o); a.standsIn(&o, t, c.Pos()) != nil {
				return nil, a.standsIn(&o, t, c.Pos())
			}
		}
		text := dbcatalog.QuoteIdent(name)
		if stored != "" {
			text = dbcatalog.QuoteIdent(stored)
		}
		if o.from != nil && o.from.name != "" && !o.from.merged {
			text = qualified(o.from) + "." + text
		}
		if stored != "" {
			text += " AS " + dbcatalog.QuoteIdent(o.labelOf(a))
		}
		list = append(list, text)
		out = append(out, o)
	}
	of := cols[0].from
	if slices.ContainsFunc(cols, func(o output) bool { return o.from != of }) {
		of = nil
	}
	a.stars = append(a.stars, star{c, strings.Join(list, ", "), a.second, of})
	return unpaired(out), nil
}

// labelOf is the label that the server gives the plain column of a pair.
func (o *output) labelOf(a *analysis) string {
	if o.pair != nil && o.name == a.p.fold(o.pair.label) {
		return o.pair.label
	}
	return o.name
}

// unpaired returns columns as a query yields them.
func unpaired(cols []output) []output {
	out := slices.Clone(cols)
	for i := range out {
		out[i].pair, out[i].from = nil, nil
	}
	return out
}

// qualified is the name by which an item's columns are referred to.
func qualified(it *item) string {
	if it.schema != "" {
		return dbcatalog.QuoteIdent(it.schema) + "." + dbcatalog.QuoteIdent(it.name)
	}
	return dbcatalog.QuoteIdent(it.name)
}

// companionOf returns the column that has cells in one of this name beside it, or nil.
func (a *analysis) companionOf(cols []*schema.Column, name string) *schema.Column {
	for _, c := range cols {
		for _, hidden := range [2]string{c.Stored, c.Source()} {
			if hidden != "" && hidden != c.Name && a.p.fold(hidden) == a.p.fold(name) {
				return c
			}
		}
	}
	return nil
}

// shownAs returns the column of a relation that stands for one with a stage: the plain one, or else where the
// cells are.
func (a *analysis) shownAs(rel *dbcatalog.Relation, c *schema.Column) *dbcatalog.Column {
	for _, name := range [3]string{c.Name, c.Source(), c.Stored} {
		if rc := a.relColumn(rel, name); rc != nil {
			return rc
		}
	}
	return nil
}

// stagedIn makes the column rc of a relation, which is the plain column of a column with a stage or, where
// there is none, its companion. In a view's definition each of the two is a column of its own.
func (a *analysis) stagedIn(c *schema.Column, rel *dbcatalog.Relation, rc *dbcatalog.Column) (output, error) {
	plain, cells := a.relColumn(rel, c.Source()), a.relColumn(rel, c.Stored)
	if a.depth == 0 {
		before := len(rel.Columns)
		for i := range rel.Columns {
			if at := &rel.Columns[i]; at != rc && (at == cells || at == plain) {
				before = min(before, i)
			}
		}
		o, err := a.staged(c, plain, cells, before)
		if o.pair != nil && a.p.fold(rc.Name) == a.p.fold(c.Name) {
			o.pair.label = rc.Name
		}
		return o, err
	}
	o := output{name: a.p.fold(rc.Name), sure: a.p.dialect == dialect.Postgres, t: newPlain(), more: &details{origin: &origin{c, partName}}}
	a.copying = a.copying || c.Stage == schema.StageCopy
	as := c
	switch {
	case rc == cells:
		o.more.origin.part = partCells
	case rc == plain && c.Was != nil:
		if as = c.Was; c.Source() != c.Name {
			o.more.origin.part = partSource
		}
	default:
		return o, nil
	}
	if rc.Storage == dbcatalog.StorageOther {
		return o, a.refuseStorage(0, as, "the column "+rc.Name+" has type "+rc.Type+", which cannot hold a cell", "make it bytea")
	}
	o.t = newSealed(source{as, rc.Storage})
	return o, nil
}

// An origin is a column of a table with a stage.
type origin struct {
	col  *schema.Column
	part columnPart
}

// columnPart says which of the columns that one with a stage stands in.
type columnPart uint8

const (
	partName   columnPart = iota // the one of its name
	partSource                   // the one with the cells that it had, if that is another one
	partCells                    // its companion
)

// A past is a reference, in a view's definition, to a plain column that is not the truth any more.
type past struct {
	ref *sqlparse.Column // nil: in USING
	col *schema.Column
}

// past reports whether the plain column of c is not the truth any more.
func (a *analysis) past(c *schema.Column) bool {
	return c.Stage >= schema.StageSealed || a.mode == copyAhead && c.Stage == schema.StageCopy
}

// shownOnly refuses a view's definition that does more with such plain columns than show them: pairUp finds their companions.
func (a *analysis) shownOnly(q *sqlparse.Select) error {
	for _, p := range a.pasts {
		shown := q.Op == sqlparse.NoSetOp && !q.Distinct && q.DistinctOn == nil && slices.ContainsFunc(q.Targets, func(t sqlparse.Target) bool { return t.Expr == p.ref })
		if !shown {
			return a.refuseOperation(0, p.col, "the plain column of a sealed column is used, which is not kept up in this stage", "")
		}
	}
	return nil
}

// originOf returns the origin of an output that is nothing but a column.
func (a *analysis) originOf(e sqlparse.Expr) *details {
	if c, ok := e.(*sqlparse.Column); ok && a.depth > 0 && a.referred != nil && a.referredBy == c {
		return a.referred.more
	}
	return nil
}

// pairUp makes the columns of a view that are a plain column and its companion the one that they stand for.
func (a *analysis) pairUp(cols []output) ([]output, error) {
	out := make([]output, 0, len(cols))
	for i, o := range cols {
		from := o.more.source()
		if from == nil {
			out = append(out, o)
			continue
		}
		c := from.col
		if a.depth > 0 || a.mode == copyPlain && c.Stage == schema.StageCopy {
			out = append(out, o)
			continue
		}
		find := func(p columnPart) int {
			return slices.IndexFunc(cols, func(x output) bool { s := x.more.source(); return s != nil && *s == origin{c, p} })
		}
		if from.part != partName {
			if find(partName) < 0 { // it stands for itself
				out = append(out, o)
			}
			continue
		}
		as := *c
		as.Name = o.name
		plain, cells, before := &dbcatalog.Column{Name: o.name}, (*dbcatalog.Column)(nil), len(cols)
		column := func(i int) *dbcatalog.Column {
			before = min(before, i)
			return &dbcatalog.Column{Name: cols[i].name, Storage: cols[i].t.root().cols[0].storage}
		}
		if other := find(partCells); other >= 0 {
			cells = column(other)
			as.Stored = cells.Name
		}
		if c.Was != nil {
			was := *c.Was
			was.Name, as.Was = o.name, &was
			switch other := find(partSource); {
			case was.Stored == "":
				plain.Storage = o.t.root().cols[0].storage
			case other < 0:
				plain = nil
			default:
				plain = column(other)
				was.Stored = plain.Name
			}
		}
		s, err := a.staged(&as, plain, cells, before)
		if err != nil {
			return nil, err
		}
		s.name, s.sure = o.name, o.sure
		if i >= before {
			return nil, a.refuseUnsupported(0, c, "a view has the companion of a sealed column before the column itself", "define the view with the companion last")
		}
		out = append(out, s)
	}
	return out, nil
}

// A double is an output of a query that goes to a column and its companion.
type double struct {
	pair   *pair
	second *second
	cells  *term
}

// doublesOf finds the outputs of the source of an INSERT that go to two columns, where they can be given twice.
func (a *analysis) doublesOf(q *sqlparse.Select, w *writeTarget, names []sqlparse.Name) map[int]*double {
	if q.Op != sqlparse.NoSetOp || q.Values != nil || q.Distinct || q.DistinctOn != nil || q.GroupBy != nil || a.world != inTruth {
		return nil
	}
	for _, s := range q.OrderBy {
		if _, ok := s.Expr.(*sqlparse.Const); ok {
			return nil
		}
	}
	for _, t := range q.Targets {
		if expands(t.Expr) {
			return nil
		}
	}
	var out map[int]*double
	for i, t := range q.Targets {
		if i >= len(names) {
			break
		}
		o := a.find(w.item, names[i].Name)
		if o == nil || !o.pair.both() || a.copiesNull(o.pair) || names[i].Indirect || !a.repeats(t.Expr) {
			continue
		}
		if out == nil {
			out = map[int]*double{}
		}
		if a.doubles == nil {
			a.doubles = map[sqlparse.Expr]*double{}
		}
		out[i] = &double{pair: o.pair, second: &second{pair: o.pair, expr: t.Expr}}
		a.doubles[t.Expr] = out[i]
	}
	return out
}

// repeats reports whether an expression has the same value where it stands twice.
func (a *analysis) repeats(e sqlparse.Expr) bool {
	p, k := bare(e)
	return p != nil || k != nil || a.repeatable(e) && !limits(e)
}

// limits reports whether a query within an expression picks some of its rows: which ones need not be the same twice.
func limits(e sqlparse.Expr) (found bool) {
	sqlparse.Inspect(e, func(node any) bool {
		if q, ok := node.(*sqlparse.Select); ok {
			found = found || q.Limit != nil || q.DistinctOn != nil
		}
		return !found
	})
	return found
}

// targetValue returns the term of an output, and analyses one that goes to two columns twice.
func (a *analysis) targetValue(e sqlparse.Expr, sc *scope) (*term, error) {
	d := a.doubles[e]
	if d == nil {
		return a.infer(e, sc)
	}
	a.world, a.first = inValues, true
	t, err := a.infer(e, sc)
	a.world, a.first = inTruth, false
	if err != nil {
		return nil, err
	}
	return t, a.inSecond(d.second, func() (err error) {
		d.cells, err = a.infer(e, sc)
		return err
	})
}

// storeBoth makes an output that was analysed twice go to both columns.
func (a *analysis) storeBoth(d *double, n sqlparse.Name, t *term) error {
	pos := d.second.expr.Pos()
	if err := a.store(a.use(d.pair.plain), t, pos); err != nil {
		return err
	}
	if err := a.inSecond(d.second, func() error { return a.store(a.use(d.pair.cells), d.cells, pos) }); err != nil {
		return err
	}
	a.writeSecond(n, d.second, d.second.expr, true)
	return nil
}

// emptySeconds makes the companions of columns NULL that are assigned together what is not analysed.
func (a *analysis) emptySeconds(s sqlparse.Assign, w *writeTarget) error {
	for _, n := range s.Columns {
		if o := a.find(w.item, n.Name); o != nil && o.pair.both() {
			a.retarget(n, o.pair.source)
			a.seconds = append(a.seconds, placedSecond{at: s.Columns[0].Pos(), before: dbcatalog.QuoteIdent(o.pair.stored) + " = ", second: &second{pair: o.pair}})
		}
	}
	return nil
}

// isCompanion reports whether a column of the target of a write is one that no statement sees, or stands for
// one that does.
func (a *analysis) isCompanion(w *writeTarget, name string) bool {
	return slices.ContainsFunc(w.item.cols, func(o output) bool {
		return o.pair.hides(a.p.fold(name), a.p.fold)
	})
}

// hidden are the names of the columns of a pair that no statement sees.
func (p *pair) hidden() []string {
	if p.source != "" {
		return []string{p.stored, p.source}
	}
	return []string{p.stored}
}

// hides reports whether a name, as the dialect compares names, is that of such a column.
func (p *pair) hides(name string, fold func(string) string) bool {
	return p != nil && slices.ContainsFunc(p.hidden(), func(n string) bool { return n != "" && fold(n) == name })
}

// plainsThere refuses an INSERT without a column list into a table whose plain column is dropped: its place
// among the columns is gone with it.
func (a *analysis) plainsThere(w *writeTarget, pos int) error {
	for _, o := range w.item.cols {
		if o.pair != nil && w.rel != nil && a.relColumn(w.rel, o.name) == nil {
			return a.refuseStorage(pos, o.pair.col, "the plain column is dropped, so that it is not known which value of the INSERT is for it", "write the column list")
		}
	}
	return nil
}

// listColumn writes a column of the list of an INSERT that has none.
func (a *analysis) listColumn(w *writeTarget, name string) string {
	o := a.find(w.item, name)
	switch {
	case o == nil || o.pair == nil:
		return dbcatalog.QuoteIdent(name)
	case slices.ContainsFunc(a.seconds, func(p placedSecond) bool { return p.second != nil && p.second.pair == o.pair }):
		return dbcatalog.QuoteIdent(o.pair.stored) + "," + dbcatalog.QuoteIdent(cmp.Or(o.pair.source, name))
	case o.stored() != "":
		return dbcatalog.QuoteIdent(o.stored())
	}
	return dbcatalog.QuoteIdent(name)
}

// companionsApart refuses a NATURAL JOIN whose sides have a column of the name of a companion: the server would
// compare it.
func (a *analysis) companionsApart(j *sqlparse.Join, l, r []output) error {
	for _, sides := range [2][2][]output{{l, r}, {r, l}} {
		for _, o := range sides[0] {
			if o.pair == nil || o.pair.cells == nil && o.pair.source == "" && o.pair.stage != schema.StageOnly {
				continue
			}
			for _, name := range o.pair.hidden() {
				name = a.p.fold(name)
				if findOutput(sides[1], name) != nil || slices.ContainsFunc(sides[1], func(x output) bool { return x.pair.hides(name, a.p.fold) }) {
					a.forbidden = true
					return a.refuseUnsupported(j.Pos(), o.pair.col, "NATURAL JOIN would compare the companion of a sealed column", "write JOIN ... USING or ON")
				}
			}
		}
	}
	return nil
}
