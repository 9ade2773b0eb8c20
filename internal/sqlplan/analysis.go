package sqlplan

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// analysis is the work on one text. It walks the statements once, merging terms, and
// then reads off what each parameter, literal and result is.
type analysis struct {
	p    *Planner
	ctx  context.Context // for the catalog; an analysis lives for one call
	env  *Env
	file *sqlparse.File

	mode       mode
	copying    bool  // a column in StageCopy was met
	world      world // of the expression under analysis
	second     *second
	first      bool      // the first of two copies is under analysis
	guarding   *[]lagged // of the guard around
	lags       int       // how many references were to columns that may not be
	guards     []guard
	referred   *output // that the last reference means, and
	referredBy *sqlparse.Column
	renames    []rename
	relabels   []relabel
	pasts      []past
	stars      []star
	rowUses    map[*sqlparse.Column]rowUse
	rowsLeft   int                       // how many rows stayed as they are because of rowYielded
	lagging    int                       // how often tables are named that have companions which are not the truth
	retargets  map[int]string            // names of columns that are written, by where they stand
	doubles    map[sqlparse.Expr]*double // outputs of a query that go to a column and its companion
	seconds    []placedSecond

	known    *Known
	home     string                             // SQLite: the database in which a view's names are looked up
	depth    int                                // of views around
	views    map[*dbcatalog.Relation]*trace     // that were traced
	meanings map[*sqlparse.TableName]*dependent // what names of dependents were found to mean
	compares bool                               // a view compares cells

	every   bool       // refusals are noted, and the analysis goes on behind them: see goOn
	noted   []*Refusal // so far
	blanked string     // the text for refusals, when the first was made

	steps  int // of work done
	lookAt int // how many of them make another look at the context due

	touched   bool // a sealed table was named
	forbidden bool // the refusal does not depend on sealed tables
	unsettled bool // an earlier statement of the text may change what any name means
	// rows are what the definition under analysis sees of its table.
	rows []*item
	// changes are what earlier statements of the text change, by relation name.
	changes     map[string]*changes
	adopted     map[string][]*schema.Table // the tables whose columns it gave relations, by their names
	lineage     map[string][]descent       // how, by both names
	usedCatalog bool
	effects     Effects
	// unlistedInsert: see Plan.
	unlistedInsert bool

	slots     []*slot // parameters and literals, in the order met
	nulls     []*slot // parameters of which only NULL-ness is asked
	bare      []bareNull
	questions []*question // comparisons of parameters with constants
	casts     []*recast   // casts of what may turn out sealed
	folds     []*foldCall // calls of lower() on what is sealed, or may turn out so
	matched   []*matching // searches for terms
	noSlots   []*slot     // NULLs that are searched for
	checked   []*check    // demands on terms, verified at the end
	// copied are the comparisons to write once per search key.
	copied   []*search
	compared map[int]bool // where parameters and literals stand that are compared and not stored
	// confined says of expressions whether their values are under one key: see sort.go.
	confined  map[sqlparse.Expr]*confinement
	leaves    map[sqlparse.Expr]*leaf // the comparisons by order
	extremes  []extreme
	fractions []fraction
	ranged    int             // where a window's frame has offsets of the value that is sorted by, from 1
	columns   []edit          // column lists added to INSERTs
	names     []edit          // schemas added to the names of registered tables
	namedAt   map[int]bool    // where they stand
	labels    []sqlparse.Expr // outputs without an alias whose labels are seen
	inner     int             // how many queries of FROM and WITH are around
	results   []output        // of the last statement that returns rows
	earlier   []output        // of the statements before the last
	returns   bool
	into      bool // the rows of the statement under analysis go into a table (SELECT INTO)
}

// A slot is one occurrence of a parameter or of a literal.
type slot struct {
	param *sqlparse.Param // one of param
	lit   *sqlparse.Const // and lit is set
	t     *term
	array bool // its value is an array of the values of t
	typed bool // the server infers its type from where it stands
	// compared: it is compared with what is stored, and not stored itself.
	compared bool
	null     bool // only its NULL-ness is asked

	lowered bool // it is the operand of lower()

	match Match         // what it asks of a column's terms
	from  sqlparse.Expr // of a value that is searched for: all that it is computed by

	casts    []pgvalue.Cast // that it is the operand of, the innermost first
	assigned bool           // a column is assigned just this
	value    any            // of a literal that is sealed
	limit    pgvalue.Limit  // that a parameter keeps to

	question *question // that is asked of a parameter
	ask      *Ask      // the same, when the program answers
	second   *second   // that it stands in
	first    bool      // it stands in a value for the plain column of a pair, which stands once more for its cells
	stands   string    // what stands for a literal of a question
}

func (s *slot) pos() int {
	if s.param != nil {
		return s.param.Pos()
	}
	return s.lit.Pos()
}

// A bareNull is a NULL that stands where the server may take it for text before it sees
// what it meets, such as an output of a query or an element of an array.
type bareNull struct {
	pos    int
	t      *term
	second *second // that it stands in
}

// A recast is a cast whose type has to follow when its operand is sealed.
type recast struct {
	cast  *sqlparse.Cast
	t     *term
	slot  *slot // of a cast whose NULL-ness alone is asked
	array bool
	of    *slot // its operand, if that is one, which knows the cast

	second *second // that it stands in
}

// A check is a demand on a term.
type check struct {
	t    *term
	pos  int
	what string
	need demand
	// conflict: what is compared was refused by itself.
	conflict bool
	// sides are what is compared; of equal and ordered alone.
	sides sides
	// confined is that of what is sorted; meaning: the order has to mean something. Of ordered and sorted alone.
	confined *confinement
	meaning  bool
	second   *second // that it stands in
}

type demand uint8

const (
	single  demand = iota // one identity
	equal                 // and deterministic, and comparable
	ordered               // and compared by order with values
	sorted                // and by order with each other
	group                 // and with one live search key
	unique                // the same: whether the column is unique decides what happens
)

// run analyses every statement of the text and makes the plan.
func (a *analysis) run() (*Plan, error) {
	var effects Effects
	for i := range a.file.Statements {
		a.earlier = append(a.earlier, a.results...)
		a.effects = a.p.effects(a.file.Statements[i].Stmt)
		if err := a.goOn(a.statement(a.file.Statements[i].Stmt)); err != nil {
			return a.unless(err)
		}
		a.passed(a.file.Statements[i].Stmt)
		effects |= a.effects
	}
	if err := a.checkTypes(); err != nil {
		return nil, err
	}
	if err := a.checkPrograms(); err != nil {
		return nil, err
	}
	if a.effects = effects; effects&ChangesCatalog != 0 {
		a.effects |= ChangesDependents
	}
	if !a.touched && len(a.names) == 0 {
		a.effects &^= Prepares
	}
	if !a.touched {
		return a.forwarded()
	}
	a.resolveFolds()
	if err := a.goOn(a.resolveRoles()); err != nil {
		return nil, err
	}
	if err := a.verify(); err != nil {
		return nil, err
	}
	if len(a.noted) > 0 { // the values are what is left to look at
		return nil, (&emission{analysis: a}).resolveValues()
	}
	return a.emit()
}

// maxNoted is how many refusals of one text are noted; there is one that everything may be wrong with.
const maxNoted = 100

// goOn returns err, unless every refusal is asked for: then it notes a refusal and returns nil, and the
// analysis goes on as if what was refused were not there. Where that is not possible, as behind a relation
// whose columns are not known, the refusal ends the statement.
func (a *analysis) goOn(err error) error {
	var r *Refusal
	if !a.every || !errors.As(err, &r) || len(a.noted) == maxNoted {
		return err
	}
	if !slices.ContainsFunc(a.noted, func(n *Refusal) bool {
		return n.Pos == r.Pos && n.Reason == r.Reason && n.Table == r.Table && n.Column == r.Column
	}) {
		a.noted = append(a.noted, r)
	}
	return nil
}

// forwarded is the plan of a text that touches nothing sealed.
func (a *analysis) forwarded() (*Plan, error) {
	p := &Plan{Effects: a.effects, Statements: len(a.file.Statements)}
	if len(a.names) == 0 {
		return p, nil
	}
	e := &emission{analysis: a, plan: p, edits: slices.Clone(a.names)}
	if err := e.keepTexts(); err != nil {
		return nil, err
	}
	return p, e.cut()
}

// unless returns an error, unless it is the refusal of a text that can touch nothing sealed.
func (a *analysis) unless(err error) (*Plan, error) {
	var r *Refusal
	if errors.As(err, &r) && a.harmless() {
		return &Plan{Effects: ChangesCatalog | ChangesSession | ChangesDependents}, nil
	}
	return nil, err
}

// harmless reports whether the text can touch nothing sealed, whatever is wrong with it.
func (a *analysis) harmless() bool { return !a.touched && !a.forbidden && !a.namesSealedTable() }

// statement analyses one statement of the text.
func (a *analysis) statement(s sqlparse.Stmt) error {
	a.into = false
	if err := a.goOn(a.refuseRoutineCalls(s)); err != nil {
		return err
	}
	switch s := s.(type) {
	case *sqlparse.Utility:
		return a.utility(s)
	case *sqlparse.Explain:
		if u, ok := s.Stmt.(*sqlparse.Utility); ok && u.Forbidden != "" {
			return a.utility(u) // a PRAGMA acts when it is prepared
		}
		if _, err := a.query(s.Stmt, nil, nil); err != nil {
			return err
		}
		a.results, a.returns = nil, true
		return nil
	}
	outs, err := a.query(s, nil, nil)
	if err != nil {
		return err
	}
	a.shown(outs)
	a.results, a.returns = outs, outs != nil
	if a.into {
		a.results, a.returns = nil, false
	}
	return nil
}

// query analyses a statement that can stand in a WITH clause and returns its output
// columns; nil when it has none.
func (a *analysis) query(s sqlparse.Stmt, parent *scope, with *withScope) ([]output, error) {
	switch s := s.(type) {
	case *sqlparse.Select:
		return a.selectStmt(s, parent, with)
	case *sqlparse.Insert:
		return a.insert(s, with)
	case *sqlparse.Update:
		return a.update(s, with)
	case *sqlparse.Delete:
		return a.delete(s, with)
	case *sqlparse.Merge:
		return a.merge(s, with)
	}
	return nil, a.refuseUnsupported(s.Pos(), nil, fmt.Sprintf("this kind of statement (%T) is not analysed", s), "")
}

// unify merges the terms of two things that meet at pos. what says how they meet.
func (a *analysis) unify(x, y *term, pos int, what string) (*term, error) {
	t, c := merge(x, y)
	if c == nil {
		return t, nil
	}
	if x.root().state != sealed {
		x = y
	}
	return x, a.goOn(a.refusal(c.class, pos, c.col, c.reason+" in "+what,
		"a sealed column takes parameters, literals and columns of its own identity only; compute the value in the program, or give both columns one join= group"))
}

// demand notes a check of a term for the end, when it is known what it is.
func (a *analysis) demand(t *term, need demand, pos int, what string) {
	a.checked = append(a.checked, &check{t: t, pos: pos, what: what, need: need})
}

// plainOnly demands that a term holds nothing sealed, now and later.
func (a *analysis) plainOnly(t *term, pos int, what string) error {
	r := t.root()
	if r.state == sealed {
		return a.goOn(a.refuseOperation(pos, r.first(), what+" cannot work on a sealed column", a.hintFor(what, r.first())))
	}
	if r.state == free {
		r.state, r.forced = plain, what
	}
	return nil
}

// hintFor says what to do instead of what cannot work on a column.
func (a *analysis) hintFor(what string, c *schema.Column) string {
	const noOrder = "the database holds only ciphertext, which has no order and no parts; fetch the rows by a plain or deterministic column and do this in the program"
	switch what {
	case "a cast":
		return "without the cast the column is read as what was written; convert it in the program"
	case sqlparse.OperatorClass:
		return "the column holds bytes, or text whose order means nothing: leave it out"
	case "LIKE", "NOT LIKE", "ILIKE", "GLOB", "the operator ^@", "the function starts_with":
		if a.p.dialect == dialect.SQLite { // where LIKE takes the case of ASCII for equal, and of no other letter
			return "the database holds only ciphertext, which has no parts; tag the column prefix= or suffix= and write column GLOB 'abc*' to find it by its beginning or end, or do this in the program"
		}
		return "the database holds only ciphertext, which has no parts; tag the column prefix= or suffix= to find it by its beginning or end, or do this in the program"
	case "ORDER BY", "BETWEEN", "the operator <", "the operator <=", "the operator >", "the operator >=",
		"the function min", "the function max", "GREATEST", "LEAST", "the function min of several", "the function max of several":
		_, ok := codec.Orderable(c.Kind)
		switch {
		case ok && !c.Sorted():
			return `cells of the column have no order; tag it seal:"ordered,min=...,max=...", which compares and sorts in the database, and shows the order of the values; or do this in the program`
		case !c.Sorted() || what == "ORDER BY" || what == "BETWEEN":
			return noOrder
		}
	case "SIMILAR TO":
		return noOrder
	}
	if hint := hintForTerms(what, c); hint != "" && a.p.dialect == dialect.Postgres {
		return hint
	}
	return "the database sees only ciphertext; compute it in the program, or keep what it needs in a plain column"
}

// hintForTerms says how else to ask a column for what terms answer.
func hintForTerms(what string, c *schema.Column) string {
	t := c.Terms
	switch what {
	case "the operator ~~", "the operator ~~*":
		if t.Prefix.Max+t.Suffix.Max > 0 {
			return "write one comparison for each pattern: column LIKE $1 OR column LIKE $2"
		}
	case "the operator ~", "the operator ~*", "the function substring", "the function substr", "the function position", "the function strpos":
		switch {
		case t.Prefix.Max > 0:
			return "the column is searched by its beginning: write left(column, 3) = $1, or column LIKE 'abc%'; for anything else, filter in the program"
		case t.Suffix.Max > 0:
			return "the column is searched by its end: write right(column, 3) = $1, or column LIKE '%abc'; for anything else, filter in the program"
		}
	case "the function lower", "the function upper":
		switch {
		case t.Fold:
			return "the column is searched in lower case: write lower(column) = lower($1)"
		case c.Kind == schema.KindText && !c.Inbox:
			return `compute it in the program; to search in lower case, tag the column seal:"` + c.Mode.String() + `,fold" and write lower(column) = lower($1)`
		}
	}
	return ""
}

// verify checks every demand.
func (a *analysis) verify() error {
	told := map[sqlparse.Expr]bool{} // left sides: what is wrong with a list is told once
	for _, c := range a.checked {
		left := c.sides.left.expr
		if left != nil && told[left] {
			continue
		}
		noted := len(a.noted)
		if err := a.verifyCheck(c); err != nil {
			return err
		}
		if len(a.noted) > noted {
			told[left] = true
		}
	}
	for _, s := range a.slots {
		s.compared = a.compared[s.pos()]
		if err := a.goOn(a.verifySlot(s)); err != nil {
			return err
		}
	}
	return nil
}

func (a *analysis) verifyCheck(c *check) error {
	t := c.t.root()
	if t.state != sealed {
		return nil
	}
	if t.identities() > 1 {
		if err := a.goOn(a.refuseIdentity(c.pos, t.first(), "two sealed columns of different identities meet in "+c.what,
			"their cells are never equal and do not open in each other's place; give both one join= group, or do it in the program")); err != nil {
			return err
		}
	}
	switch {
	case c.need == single:
		return nil
	case c.second != nil && (c.need == ordered || c.need == sorted || a.env.SearchKeys > 1 && !c.conflict):
		return a.goOn(a.refuseUnsupported(c.pos, t.first(), "a comparison within a value that is written to a column and to its companion, which would have to be written several times itself",
			"compute the value in the program"))
	case c.need == ordered || c.need == sorted:
		return a.goOn(a.verifyOrder(c, t))
	case !t.first().EqualCells() && !t.folded:
		hint := hintForEqual(c.what, t.first())
		if c.need == equal && c.sides.right.expr != nil && isSearchValue(c.sides.right.expr) {
			hint = `cells of a randomized column are all different; tag the column seal:"deterministic", or seal:"random,equal", or search by another column`
			if t.first().Terms.Equal {
				hint = hintForTokens(c.what)
			}
		}
		return a.goOn(a.refuseMode(c.pos, t.first(), c.what+" needs a deterministic column", hint))
	case a.env.SearchKeys > 1 && !c.conflict:
		return a.goOn(a.copyPerKey(c, t.first()))
	}
	return nil
}

// hintForEqual says what to do where cells of equal values would have to be equal.
func hintForEqual(what string, c *schema.Column) string {
	const all = `cells of a randomized column are all different; `
	switch what {
	case "DISTINCT":
		return all + `leave DISTINCT out if no row can come twice, or find the rows' keys first: SELECT ` + c.Name + ` FROM ... WHERE id IN (SELECT ...); or tag the column seal:"deterministic"`
	case "GROUP BY":
		return all + `group by the table's primary key, or tag the column seal:"deterministic"`
	}
	return all + `tag the column seal:"deterministic", or search by another column`
}

// hintForTokens says how a column with the term equal is searched.
func hintForTokens(what string) string {
	switch what {
	case "IS DISTINCT FROM":
		return "the column is searched by =, <>, IN, = ANY and <> ALL: write column <> $1 OR column IS NULL, for a value that is not NULL"
	case "IS NOT DISTINCT FROM":
		return "the column is searched by =, <>, IN, = ANY and <> ALL: write column = $1, or column IS NULL for NULL"
	}
	return "the column is searched by =, <>, IN, = ANY and <> ALL: write one condition for each column of a row, as a = $1 AND b = $2"
}

func (a *analysis) verifySlot(s *slot) error {
	t := s.t.root()
	if t.state == sealed && t.missing() != nil {
		return a.refuseMissing(s.pos(), t.missing())
	}
	if t.state == sealed && t.first().Mode == schema.ModeOrdered && t.cols[0].storage == dbcatalog.StorageText {
		return a.refuseText(s.pos(), t.first())
	}
	if t.state == sealed && t.identities() > 1 {
		return a.refuseIdentity(s.pos(), t.first(), "it is not clear for which of two sealed columns this value has to be sealed", "write the value in a statement or a branch of its own")
	}
	return nil
}
