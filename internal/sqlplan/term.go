package sqlplan

import (
	"slices"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/schema"
)

// A term stands for the values that one expression can have. Terms are the lattice
// of the analysis:
//
//	free    nothing is known yet: NULL, or parameters and literals awaiting a role
//	plain   ordinary values
//	sealed  cells of the columns in cols (and NULL)
//
// Merging two terms says that a value can go from one to the other, or is compared
// with it: they become one. Plain and sealed never merge; that is the refusal that
// keeps plaintext and cells apart. What a parameter or literal is to be follows, at the
// end, from the term that it has become part of.
type term struct {
	link  *term // the term that this one was merged into
	state state
	cols  []source
	array bool // the values are arrays of cells
	// folded: the values are those of lower(), of cells if sealed. A free term that is folded may
	// become plain, but no cell.
	folded bool
	why    string // what made a plain term plain, for a message; may be ""
	// forced is what demanded that a free term be plain, such as a function; "" when it
	// met a plain value.
	forced string
	// pending counts the columns of recursive queries under analysis that this is: more
	// may still flow in.
	pending int
}

type state uint8

const (
	free state = iota
	plain
	sealed
)

// A source is a sealed column that a cell comes from, and how it is stored there.
type source struct {
	col     *schema.Column
	storage dbcatalog.Storage
}

func newFree() *term  { return &term{} }
func newPlain() *term { return &term{state: plain} }

// newResult returns a plain term that something computed.
func newResult(what string) *term { return &term{state: plain, why: what} }

func newSealed(src source) *term { return &term{state: sealed, cols: []source{src}} }

// root follows the links of merged terms.
func (t *term) root() *term {
	for t.link != nil {
		if t.link.link != nil {
			t.link = t.link.link
		}
		t = t.link
	}
	return t
}

// use returns the term for one more use of a column of a derived table. What is sealed
// is copied, so that merging one use does not widen the others; what is free or not yet
// settled is shared: the parameters below have one role only, and what flows into a
// recursive query later has to be seen by every use.
func (t *term) use() *term {
	r := t.root()
	if r.state != sealed || r.pending > 0 {
		return r
	}
	return &term{state: r.state, cols: slices.Clone(r.cols), array: r.array, folded: r.folded, why: r.why}
}

// first returns one sealed column of the term, for a message.
func (t *term) first() *schema.Column {
	if r := t.root(); len(r.cols) > 0 {
		return r.cols[0].col
	}
	return nil
}

// identities returns how many different identities the cells may have.
func (t *term) identities() int {
	n := 0
	for i, c := range t.cols {
		if !slices.ContainsFunc(t.cols[:i], func(d source) bool { return d.col.Identity() == c.col.Identity() && d.col.Suite() == c.col.Suite() }) {
			n++
		}
	}
	return n
}

// merge makes one term of two. It returns a reason when they cannot be one.
func merge(a, b *term) (*term, *conflict) {
	a, b = a.root(), b.root()
	if a == b {
		return a, nil
	}
	if a.state == free {
		a, b = b, a
	}
	switch {
	case b.state == free && b.folded && a.state == sealed && !a.folded:
		return nil, &conflict{class: colseal.ClassPlaintext, col: a.first(), reason: "a sealed column meets the result of the function lower"}
	case b.state == free:
		a.folded = a.folded || b.folded && a.state == free
	case a.state != b.state:
		if a.state == plain {
			a, b = b, a
		}
		reason := "a sealed column meets a plain value"
		if b.why != "" {
			reason = "a sealed column meets the result of " + b.why
		}
		return nil, &conflict{class: colseal.ClassPlaintext, col: a.first(), reason: reason}
	case a.state == sealed:
		if c := joinable(a, b); c != nil {
			return nil, c
		}
		for _, s := range b.cols {
			if !slices.Contains(a.cols, s) {
				a.cols = append(a.cols, s)
			}
		}
	}
	a.pending += b.pending
	b.link = a
	return a, nil
}

// joinable says why cells of two sealed terms cannot stand in one place.
func joinable(a, b *term) *conflict {
	x, y := a.cols[0], b.cols[0]
	switch {
	case a.folded != b.folded:
		return &conflict{class: colseal.ClassPlaintext, col: x.col, reason: "a sealed column meets the result of the function lower"}
	case a.array != b.array:
		return &conflict{class: colseal.ClassIdentity, col: x.col, reason: "an array of cells meets a single cell"}
	case x.col.Kind != y.col.Kind:
		return &conflict{class: colseal.ClassIdentity, col: x.col, reason: "two sealed columns of different kinds meet (" +
			x.col.TableName() + "." + x.col.Name + " and " + y.col.TableName() + "." + y.col.Name + ")"}
	case x.storage != y.storage && x.storage != missing && y.storage != missing:
		return &conflict{class: colseal.ClassIdentity, col: x.col, reason: "two sealed columns with different storage types meet (" +
			x.col.TableName() + "." + x.col.Name + " and " + y.col.TableName() + "." + y.col.Name + ")"}
	}
	return nil
}

// A conflict is why two terms cannot be merged.
type conflict struct {
	class  colseal.Class
	col    *schema.Column
	reason string
}
