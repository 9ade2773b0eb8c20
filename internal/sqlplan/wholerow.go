package sqlplan

import (
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/schema"
)

// In StageCopy the server's row of a table has a companion in it that the program's has not. A reference to the
// whole row is written out:
//
//	row_to_json(u)  becomes  row_to_json(CASE WHEN u IS NOT DISTINCT FROM NULL THEN NULL ELSE (SELECT u FROM (SELECT u."id", u."email") AS u) END)
//	ROW(u.*)        becomes  ROW(u."id", u."email")
//
// The condition is for the rows of an outer join that have no u.

// rowUse says what a reference to a whole row is used for.
type rowUse uint8

const (
	rowValue  rowUse = iota // as a row of some columns
	rowShown                // as a result, which is text to a driver that does not know the table's type
	rowFields               // as a list of its columns
	rowTyped                // as a row of the table's type
	rowSpread               // as a list of its columns that is written (u).*
)

// usesRows notes what the references to whole rows among operands are used for.
func (a *analysis) usesRows(use rowUse, operands ...sqlparse.Expr) {
	if a.p.dialect != dialect.Postgres {
		return
	}
	for _, e := range operands {
		c, ok := e.(*sqlparse.Column)
		if !ok || use == rowFields && !c.Star {
			continue
		}
		if a.rowUses == nil {
			a.rowUses = map[*sqlparse.Column]rowUse{}
		}
		a.rowUses[c] = use
	}
}

// argumentsOf notes it of the arguments of a function: one that somebody else made may be for the table's type.
func (a *analysis) argumentsOf(c *sqlparse.Call) {
	if !builtin(c) || !harmlessFunctions()[c.Name] || strings.Contains(c.Name, "populate_record") {
		a.usesRows(rowTyped, c.Args...)
	}
}

// castsRow notes it of the operand of a cast.
func (a *analysis) castsRow(c *sqlparse.Cast) {
	if c.Type.Array || !slices.Contains([]string{"text", "varchar", "bpchar", "name"}, c.Type.Name) {
		a.usesRows(rowTyped, c.Arg)
	}
}

// writeRowOut writes a reference to the whole row of an item out, if it has companions that are not the truth.
func (a *analysis) writeRowOut(c *sqlparse.Column, it *item) error {
	use := a.rowUses[c]
	if !slices.ContainsFunc(it.cols, func(o output) bool { return o.pair.lags() }) || use == rowTyped || !c.Star && len(c.Parts) > 1 || a.depth > 0 {
		return nil
	}
	if use == rowSpread {
		a.forbidden = true
		return a.refuseUnsupported(c.Pos(), nil, "the companion of a column that is on its way would be one of the fields of the row", "write "+it.name+".* without parentheses")
	}
	name := qualified(it)
	list := make([]string, len(it.cols))
	for i, o := range it.cols {
		if o.gap {
			return a.refuseUnknown(c.Pos(), nil, "the columns of a whole row are not known, and the companion of a sealed column may be one of them", "write the columns out")
		}
		list[i] = name + "." + dbcatalog.QuoteIdent(o.labelOf(a))
	}
	text := strings.Join(list, ", ")
	if use == rowValue || use == rowShown {
		own := dbcatalog.QuoteIdent(it.name)
		text = "CASE WHEN " + name + " IS NOT DISTINCT FROM NULL THEN NULL ELSE (SELECT " + own + " FROM (SELECT " + text + ") AS " + own + ") END"
		if use == rowShown {
			text += "::pg_catalog.text"
		}
	}
	a.stars = append(a.stars, star{ref: c, text: text, second: a.second})
	return nil
}

// lags reports whether a pair has a companion that is not the truth.
func (p *pair) lags() bool {
	return p != nil && p.stage == schema.StageCopy && p.source == "" && p.col.Was == nil && p.cells != nil
}
