package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/pg"
)

// The cells of a deterministic column with fold hold a token of the value in lower case. The
// function colseal.fold1 extracts it, with the header. So lower(email) becomes
// colseal.fold1(email), and what it is compared with is sealed as lower() would compare it:
//
//	lower(email) = lower($1)  becomes  colseal.fold1(email) = ($1), $1 sealed as the token of its lower case
//	lower(email) = $1         the same, but a value that is not in lower case is sent as what no cell yields
//	ON CONFLICT (lower(email))  becomes  ON CONFLICT (colseal.fold1(email))

// FoldFunction is the function that yields what stands in a cell for its value in lower case.
const FoldFunction = "colseal.fold1"

// A foldCall is a call of lower() that may have to be rewritten.
type foldCall struct {
	call *sqlparse.Call
	t    *term // of its result
	slot *slot // its operand, if that is one

	second *second // that it stands in
}

// lower analyses lower(…).
func (a *analysis) lower(c *sqlparse.Call, sc *scope) (*term, error) {
	const what = "the function lower"
	if len(c.Args) != 1 || c.Distinct || c.Filter != nil || c.Over != nil || len(c.OrderBy) > 0 {
		return newResult(what), a.plainExprs(c.Args, sc, what)
	}
	t, err := a.infer(c.Args[0], sc)
	if err != nil {
		return nil, err
	}
	r := t.root()
	s := a.slotHere(c.Args[0])
	switch {
	case a.p.dialect != dialect.Postgres || a.depth > 0 || a.rows != nil || r.folded || r.array || s != nil && s.array:
	case r.state == sealed && r.pending == 0 && hasFold(r):
		if err := a.checkFold(c, r); err != nil {
			return nil, err
		}
		out := r.use()
		out.folded = true
		a.folds = append(a.folds, &foldCall{call: c, t: out, second: a.second})
		return out, nil
	case r.state == free && s != nil:
		r.folded, s.lowered = true, true
		a.folds = append(a.folds, &foldCall{call: c, t: r, slot: s, second: a.second})
		return r, nil
	}
	return newResult(what), a.goOn(a.plainOnly(t, c.Args[0].Pos(), what))
}

// hasFold reports whether all columns of a term have fold.
func hasFold(t *term) bool {
	return !slices.ContainsFunc(t.cols, func(s source) bool { return !s.col.Terms.Fold })
}

// checkFold refuses lower() of columns whose cells do not have what it needs.
func (a *analysis) checkFold(c *sqlparse.Call, t *term) error {
	for _, s := range t.cols {
		switch s.storage {
		case missing:
			return a.refuseMissing(c.Pos(), s.col)
		case dbcatalog.StorageText:
			return a.refuseStorage(c.Pos(), s.col, "lower() needs cells that are stored as bytes", "make the column bytea")
		}
	}
	return nil
}

// resolveFolds gives the operand of lower() a plain role where the result is not one of cells,
// because the server needs its plaintext.
func (a *analysis) resolveFolds() {
	for _, f := range a.folds {
		r := f.t.root()
		if f.slot == nil || r.state == sealed {
			continue
		}
		if r.state == free {
			r.state, r.forced = plain, "the function lower"
		}
		f.slot.t = &term{state: plain, forced: "the function lower"}
	}
}

// foldCalls rewrites the calls of lower() on what turned out sealed.
func (e *emission) foldCalls() error {
	for _, f := range e.folds {
		if f.t.root().state != sealed {
			continue
		}
		tokens, err := e.scan()
		if err != nil {
			return err
		}
		end, ok := pg.NameEnd(tokens, e.file.Text, f.call.Pos())
		if !ok {
			return e.refuseRewriting(f.call.Pos(), f.t.first(), "the end of the function's name cannot be found", "write lower(...)")
		}
		d := edit{start: f.call.Pos(), end: end, text: FoldFunction, second: f.second}
		if f.slot != nil {
			d.text = ""
		}
		e.edits = append(e.edits, d)
	}
	return nil
}
