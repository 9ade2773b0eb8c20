package front

import (
	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// refuseWriteOnly returns why a write-only program may not run a statement: it would return sealed
// values, compare them, or seal one in a column that such programs may not write.
func refuseWriteOnly(p *sqlplan.Plan) *sqlplan.Refusal {
	for _, results := range [2][]sqlplan.Result{p.Head, p.Tail} {
		for i := range results {
			if cols := results[i].Columns; len(cols) > 0 {
				return writeOnlyRefusal(cols[0], "the statement returns sealed values, and the program only writes",
					"leave the column out of the result; a program that has a KMS reads it")
			}
		}
	}
	for i := range p.Params {
		if use := p.Params[i].Use; use != nil && !use.Answered() && !writable(use) {
			return notInbox(use.Column)
		}
	}
	for i := range p.Literals {
		if use := &p.Literals[i].Use; !writable(use) {
			return notInbox(use.Column)
		}
	}
	if p.Search && !p.Spare {
		return writeOnlyRefusal(nil, "the statement compares sealed values, and the program only writes", "leave that to a program that has a KMS")
	}
	return nil
}

// writable reports whether a write-only program may run a use. It may for a column with inbox, and
// for the companion of a column in schema.StageCopy, which becomes NULL without a key.
func writable(use *sqlplan.Use) bool { return use.Column.Inbox || use.Copy }

func notInbox(col *schema.Column) *sqlplan.Refusal {
	if col.EqualCells() {
		return writeOnlyRefusal(col, "the program only writes, and has no key of columns whose equal values have equal cells", "leave the column to a program that has a KMS")
	}
	if col.Suite().HasTerms() {
		return writeOnlyRefusal(col, "the program only writes, and has no key of columns with terms", "leave the column to a program that has a KMS")
	}
	return writeOnlyRefusal(col, "the program only writes, and the column is not one that such programs may write",
		"if it is to be, add inbox to its tag, in every program")
}

func writeOnlyRefusal(col *schema.Column, reason, hint string) *sqlplan.Refusal {
	r := &sqlplan.Refusal{Class: colseal.ClassWriteOnly, Reason: reason, Hint: hint, Cause: keyring.ErrWriteOnly}
	if col != nil {
		r.Table, r.Column = col.TableName(), col.Name
	}
	return r
}
