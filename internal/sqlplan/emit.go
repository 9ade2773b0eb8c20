package sqlplan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// emission writes the plan once every term is settled.
type emission struct {
	*analysis
	tokens  []sqlparse.Token
	edits   []edit
	regions []*region // by where they start, outer ones first
	plan    *Plan

	uses     map[Use]*Use     // one of each: plans are kept
	names    map[string]int32 // the indices in plan.Names, from 1
	labelled map[int]bool     // where outputs got their labels
}

// emit makes the plan.
func (a *analysis) emit() (*Plan, error) {
	e := &emission{analysis: a, plan: &Plan{
		Statements: len(a.file.Statements), SearchKeys: max(a.env.SearchKeys, 1), Effects: a.effects, Returns: a.returns,
		UnlistedInsert: a.unlistedInsert,
	}}
	e.edits = append(e.edits, a.columns...)
	if err := e.placeSeconds(); err != nil {
		return nil, err
	}
	e.resolveNulls()
	e.typeNulls()
	if err := e.results(); err != nil {
		return nil, err
	}
	if err := e.rewriteExtremes(); err != nil {
		return nil, err
	}
	sealedSlots := slices.ContainsFunc(a.slots, func(s *slot) bool { return s.use() != nil })
	sealedCasts := slices.ContainsFunc(a.casts, func(c *recast) bool { return c.t.root().state == sealed })
	sealedBefore := slices.ContainsFunc(a.earlier, func(o output) bool { return !o.gap && o.t.root().state == sealed })
	sealedMatches := len(a.matched) > 0
	sealedFolds := slices.ContainsFunc(a.folds, func(f *foldCall) bool { return f.t.root().state == sealed })
	if !sealedSlots && !sealedCasts && !sealedFolds && !sealedMatches && !e.plan.ResultsSealed() && !sealedBefore && len(e.edits) == 0 {
		p, err := a.forwarded()
		if err == nil {
			p.Search, p.StoresNothing = e.searches(), a.storesNothing()
		}
		return p, err
	}
	e.edits = append(e.edits, a.names...)
	e.plan.Sealed = true
	e.plan.TextOnly = slices.ContainsFunc(e.file.Statements, func(s sqlparse.Statement) bool {
		_, ok := s.Stmt.(*sqlparse.Utility)
		return ok
	})
	e.plan.Search, e.plan.StoresNothing = e.searches(), a.storesNothing()
	if err := e.resolveValues(); err != nil || len(e.noted) > 0 {
		return nil, err
	}
	if err := e.findRegions(); err != nil {
		return nil, err
	}
	if err := e.matchEdits(); err != nil {
		return nil, err
	}
	if err := e.number(); err != nil {
		return nil, err
	}
	if err := e.literals(); err != nil {
		return nil, err
	}
	if err := e.recasts(); err != nil {
		return nil, err
	}
	if err := e.foldCalls(); err != nil {
		return nil, err
	}
	if err := e.keepTexts(); err != nil {
		return nil, err
	}
	if err := e.cut(); err != nil {
		return nil, err
	}
	e.plan.Spare = e.spare()
	e.plan.Params, e.plan.Head, e.plan.Tail = exact(e.plan.Params), exact(e.plan.Head), exact(e.plan.Tail)
	return e.plan, nil
}

// storesNothing reports whether all statements are queries and deletions, and so are the queries
// inside them. A definition, or what is prepared or declared for later, stores its text.
func (a *analysis) storesNothing() bool {
	nothing := true
	for _, s := range a.file.Statements {
		switch s.Stmt.(type) {
		case *sqlparse.Select, *sqlparse.Delete:
		default:
			return false
		}
		sqlparse.Inspect(s.Stmt, func(node any) bool {
			switch n := node.(type) {
			case *sqlparse.Select:
				nothing = nothing && n.Into == nil
			case *sqlparse.Delete, sqlparse.Expr, sqlparse.Table:
			case sqlparse.Stmt:
				nothing = false
			}
			return nothing
		})
	}
	return nothing
}

// spare reports whether all that is sealed is for companions of columns in StageCopy.
func (e *emission) spare() bool {
	for _, s := range e.slots {
		if u := s.use(); u != nil && !u.Copy || u == nil && s.ask != nil {
			return false
		}
	}
	return !e.plan.ResultsSealed() && !slices.ContainsFunc(e.checked, func(c *check) bool {
		return c.second == nil && c.need != single && c.t.root().state == sealed
	})
}

// use returns what a slot is sealed for, or nil.
func (s *slot) use() *Use {
	t := s.t.root()
	if t.state != sealed {
		return nil
	}
	return &Use{Column: t.cols[0].col, Storage: t.cols[0].storage, Array: s.array || t.array, Limit: s.limit, Beside: s.beside(t.cols[0].col),
		Compared: s.compared && t.cols[0].col.Layout().Order != nil, Folded: t.folded, Lowered: t.folded && s.lowered, Copy: s.second.fromCopy(), Match: s.match}
}

// beside returns what a column was, if that was of another kind, and a slot is a value that goes to
// both.
func (s *slot) beside(col *schema.Column) *schema.Column {
	if s.second == nil || s.second.pair.col != col || s.compared || s.match.Form != NoMatch {
		return nil
	}
	return Beside(col)
}

// Beside returns what a column is of another kind beside, for values that go to both; nil for
// nothing.
func Beside(col *schema.Column) *schema.Column {
	if both := col.Stage == schema.StageCopy || col.Stage == schema.StageSealed; !both || col.Was == nil || col.Was.Kind == col.Kind {
		return nil
	}
	return col.Was
}

// answered reports whether a slot is the parameter of a comparison that the program answers.
func (s *slot) answered() bool {
	return s.question != nil && s.question.of != nil && !s.question.nullIf
}

// searches reports whether the plan depends on the number of live search keys.
func (e *emission) searches() bool {
	if e.compares {
		return true
	}
	for _, c := range e.checked {
		if t := c.t.root(); t.state == sealed && c.need != single {
			return true
		}
	}
	for _, s := range e.slots {
		if u := s.use(); u != nil && (u.Column.EqualCells() || u.Folded || u.Match.PerKey) {
			return true
		}
	}
	return false
}

// resolveNulls gives a role to the parameters of which only NULL-ness is asked: the
// plain role when the parameter has one, else that of a sealed occurrence, so that the
// server can infer one type for it. A comparison that the program answers may have been
// what gave the plain role its type: then a sealed occurrence, which has one.
func (e *emission) resolveNulls() {
	if len(e.nulls) == 0 {
		return
	}
	roles := map[argument]*slot{} // nil: the plain role
	answered := map[argument]*slot{}
	for _, s := range e.slots {
		if s.param == nil {
			continue
		}
		arg := argumentOf(s.param)
		if s.answered() {
			answered[arg] = s.question.of
			continue
		}
		if _, ok := roles[arg]; s.t.root().state != sealed {
			roles[arg] = nil
		} else if !ok {
			roles[arg] = s
		}
	}
	for _, n := range e.nulls {
		if role := cmp.Or(roles[argumentOf(n.param)], answered[argumentOf(n.param)]); role != nil {
			n.t.link, n.array, n.lowered, n.match = role.t.root(), role.array, role.lowered, role.match
		}
		n.null = true
		e.slots = append(e.slots, n)
	}
	e.nulls = nil
}

// typeNulls gives NULLs the type of the cells they meet.
func (e *emission) typeNulls() {
	for _, n := range e.bare {
		t := n.t.root()
		if t.state != sealed {
			continue
		}
		end := n.pos + len("NULL")
		if end > len(e.file.Text) || !strings.EqualFold(e.file.Text[n.pos:end], "NULL") {
			continue
		}
		u := &Use{Column: t.cols[0].col, Storage: t.cols[0].storage, Array: t.array}
		e.edits = append(e.edits, edit{start: end, end: end, text: "::" + e.typeName(u), second: n.second})
	}
}

// results describes the result columns.
func (e *emission) results() error {
	gaps := 0
	for _, o := range e.analysis.results {
		if o.gap {
			gaps++
			continue
		}
		r := Result{}
		if o.sure {
			r.Name = o.name
		}
		if t := o.t.root(); t.state == sealed {
			if col := t.missing(); col != nil {
				return e.refuseMissing(0, col)
			}
			if t.folded {
				return e.refuseOperation(0, t.first(), "the result of lower() of a sealed column cannot be shown", "select the column itself, and lower it in the program")
			}
			e.keepLabel(o.more.value())
			r.Array = t.array
			for _, s := range t.cols {
				if !slices.Contains(r.Columns, s.col) {
					r.Columns = append(r.Columns, s.col)
				}
			}
		}
		if gaps == 0 {
			e.plan.Head = append(e.plan.Head, r)
		} else {
			e.plan.Tail = append(e.plan.Tail, r)
		}
		if len(r.Columns) > 0 && gaps > 0 && moreGaps(e.analysis.results, o) {
			return e.refuseUnknown(0, r.Columns[0], "the position of a sealed column in the result is not known", "write the columns out instead of *")
		}
	}
	e.plan.Open = gaps > 0
	if gaps > 1 {
		// What stands between the gaps is plain; keep what stands after the last one.
		e.plan.Tail = afterLastGap(e.analysis.results, e.plan.Tail)
	}
	return nil
}

// moreGaps reports whether a gap follows the output o.
func moreGaps(outs []output, o output) bool {
	seen := false
	for _, x := range outs {
		if seen && x.gap {
			return true
		}
		seen = seen || !x.gap && x.t == o.t
	}
	return false
}

func afterLastGap(outs []output, tail []Result) []Result {
	n := 0
	for _, o := range slices.Backward(outs) {
		if o.gap {
			break
		}
		n++
	}
	return tail[len(tail)-n:]
}
