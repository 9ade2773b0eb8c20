package front

import (
	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// checkWriteOnly refuses a statement of a write-only program that would return sealed values, compare them, or seal one in a
// column that such programs may not write.
func checkWriteOnly(p *sqlplan.Plan) error {
	for _, results := range [2][]sqlplan.Result{p.Head, p.Tail} {
		for i := range results {
			if cols := results[i].Columns; len(cols) > 0 {
				return refuseWriteOnly(cols[0], "the statement returns sealed values, and the program only writes",
					"leave the column out of the result; a program that has a KMS reads it")
			}
		}
	}
	for i := range p.Params {
		if use := p.Params[i].Use; use != nil && !use.Answered() && !use.Column.Inbox {
			return notInbox(use.Column)
		}
	}
	for i := range p.Literals {
		if col := p.Literals[i].Use.Column; !col.Inbox {
			return notInbox(col)
		}
	}
	if p.Search {
		return refuseWriteOnly(nil, "the statement compares sealed values, and the program only writes", "leave that to a program that has a KMS")
	}
	return nil
}

func notInbox(col *schema.Column) error {
	if col.EqualCells() {
		return refuseWriteOnly(col, "the program only writes, and has no key of columns whose equal values have equal cells", "leave the column to a program that has a KMS")
	}
	if col.Suite().HasTerms() {
		return refuseWriteOnly(col, "the program only writes, and has no key of columns with terms", "leave the column to a program that has a KMS")
	}
	return refuseWriteOnly(col, "the program only writes, and the column is not one that such programs may write",
		"if it is to be, add inbox to its tag, in every program")
}

func refuseWriteOnly(col *schema.Column, reason, hint string) error {
	r := &sqlplan.Refusal{Class: colseal.ClassWriteOnly, Reason: reason, Hint: hint, Cause: keyring.ErrWriteOnly}
	if col != nil {
		r.Table, r.Column = col.TableName(), col.Name
	}
	return r
}
