package sqlplan

import (
	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dialect"
)

// The work on a text is counted in steps: a node, a name that is compared, a source of a
// column that is copied. An output costs several, for the memory that it takes. A text
// that needs more than freeSteps and stepsPerByte for each of its bytes is refused, so that
// what an analysis costs is bounded by the length of its text. Statements that programs
// write need less than a tenth of that.
const (
	freeSteps    = 1 << 20
	stepsPerByte = 32
	outputSteps  = 10
	// lookEvery is how many steps are made before the context is looked at again.
	lookEvery = 1 << 12
)

// stopped is thrown when an analysis has to end here and now.
type stopped struct{ err error }

// step counts n steps of work.
func (a *analysis) step(n int) {
	if a.steps += n; a.steps >= a.lookAt {
		a.look()
	}
}

// look ends the analysis of a text that needs too much work, or that nobody waits for.
func (a *analysis) look() {
	if a.steps > freeSteps+stepsPerByte*len(a.file.Text) {
		panic(stopped{a.refusal(colseal.ClassUnreadable, 0, nil, "the analysis of the statement needs too much work for its length",
			"split it: give values as one array, name columns instead of *, or join fewer tables")})
	}
	if err := a.ctx.Err(); err != nil {
		panic(stopped{err})
	}
	a.lookAt = a.steps + lookEvery
}

// maxOutputs is how many result columns a query can have: PostgreSQL's
// MaxTupleAttributeNumber, SQLite's default of SQLITE_MAX_COLUMN.
var maxOutputs = map[dialect.Dialect]int{dialect.Postgres: 1664, dialect.SQLite: 2000}

// checkWidth refuses a query with more result columns than the server takes. more are those
// that come to the n that were counted.
func (a *analysis) checkWidth(n *int, more []output, pos int) error {
	for _, o := range more {
		if !o.gap {
			*n++
		}
	}
	if *n > maxOutputs[a.p.dialect] {
		return a.refuseUnsupported(pos, nil, "the query has more result columns than the server takes", "name the columns that are needed")
	}
	return nil
}

// use returns the term of a column for one more use of it.
func (a *analysis) use(t *term) *term {
	a.step(1 + len(t.root().cols))
	return t.use()
}
