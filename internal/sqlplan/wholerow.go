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
	rowValue   rowUse = iota // as a row of some columns, which may be had back from what is made of it
	rowRead                  // as a row of some columns, of which no row is made
	rowNulls                 // likewise, and nothing is asked but what is NULL
	rowShown                 // as a result, which is text to a driver that does not know the table's type
	rowFields                // as a list of its columns
	rowTyped                 // as a row of the table's type
	rowYielded               // likewise: it is yielded to where fields are selected
	rowSpread                // as a list of its columns that is written (u).*
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
	switch {
	case !builtin(c) || !harmlessFunctions()[c.Name] || strings.Contains(c.Name, "populate_record"):
		a.usesRows(rowTyped, c.Args...)
	case c.Name == "count" || strings.HasPrefix(c.Name, "concat") || strings.Contains(c.Name, "json"):
		a.usesRows(rowRead, c.Args...)
	}
}

// operandsRead notes it of the operands of an operator, or of a selection of fields. Only a row of
// the table's type has fields that the server knows by name, and somebody may have made an operator
// for that type, unless it joins texts.
func (a *analysis) operandsRead(e *sqlparse.Opaque) {
	switch {
	case e.What == "the operator ||" && slices.ContainsFunc(e.Args, isText):
		a.usesRows(rowRead, e.Args...)
	case e.What == sqlparse.AllFields:
		a.usesRows(rowSpread, columnsIn(e.Args)...)
	case e.What == sqlparse.Field, e.What == sqlparse.Subscript:
		a.usesRows(rowTyped, columnsIn(e.Args)...)
	default:
		a.usesRows(rowTyped, e.Args...)
	}
}

// columnsIn returns the references to columns and rows in expressions.
func columnsIn(tree any) (refs []sqlparse.Expr) {
	sqlparse.Inspect(tree, func(node any) bool {
		if c, ok := node.(*sqlparse.Column); ok {
			refs = append(refs, c)
		}
		return true
	})
	return refs
}

// yieldsRows notes that an expression is what an inner query yields, of which fields may be selected
// outside.
func (a *analysis) yieldsRows(e sqlparse.Expr) {
	if !a.copying {
		return
	}
	if one, all := a.fieldsOfRows(); all {
		a.usesRows(rowSpread, columnsIn(e)...)
	} else if one {
		a.usesRows(rowYielded, columnsIn(e)...)
	}
}

// isText reports whether an expression is a string or a cast to text.
func isText(e sqlparse.Expr) bool {
	switch e := e.(type) {
	case *sqlparse.Const:
		_, ok := e.Value.(string)
		return ok
	case *sqlparse.Cast:
		return !e.Type.Array && e.Type.Name == "text"
	}
	return false
}

// fieldsOfRows reports whether fields of rows are selected in the text: some by name, or all of them.
func (a *analysis) fieldsOfRows() (one, all bool) {
	for _, s := range a.file.Statements {
		sqlparse.Inspect(s.Stmt, func(node any) bool {
			if e, ok := node.(*sqlparse.Opaque); ok {
				one, all = one || e.What == sqlparse.Field || e.What == sqlparse.Subscript, all || e.What == sqlparse.AllFields
			}
			return true
		})
	}
	return one, all
}

// castsRow notes it of the operand of a cast. It refuses a cast to the row type of a sealed table:
// fields of such a row hold cells, and nothing seals what is written into them or compared with them.
func (a *analysis) castsRow(c *sqlparse.Cast) error {
	col, err := a.rowType(&c.Type)
	if err != nil {
		return err
	}
	if col != nil {
		a.touched = true
		return a.refuseOperation(c.Pos(), col, "a cast to the row type of a sealed table", a.hintForRowType(c.Type.Schema, c.Type.Name))
	}
	if c.Type.Array || !slices.Contains([]string{"text", "varchar", "bpchar", "name"}, c.Type.Name) {
		a.usesRows(rowTyped, c.Arg)
	}
	return nil
}

// rowType returns a column that a type has as a field, and that holds cells; nil for none.
func (a *analysis) rowType(t *sqlparse.Type) (*schema.Column, error) {
	if a.p.dialect != dialect.Postgres {
		return nil, nil
	}
	for _, name := range sqlparse.RowTypeOf(t.Schema, t.Name) {
		if c, err := a.cellsOf(&sqlparse.TableName{Schema: t.Schema, Name: name}); c != nil || err != nil {
			return c, err
		}
	}
	return nil, nil
}

// cellsOf returns a column that a relation's rows have, and that holds cells; nil for none.
func (a *analysis) cellsOf(tn *sqlparse.TableName) (*schema.Column, error) {
	cols, err := a.sealedOf(a.meant(tn))
	return a.firstWithCells(cols), err
}

// firstWithCells returns the first of some columns that holds cells, or will in the next stage; nil for
// none.
func (a *analysis) firstWithCells(cols []*schema.Column) *schema.Column {
	for _, c := range cols {
		if !c.Copied() || a.mode == copyAhead {
			return c
		}
	}
	return nil
}

// checkTypes refuses the row types of sealed tables that stand elsewhere than in casts.
func (a *analysis) checkTypes() error {
	for _, t := range a.file.Types {
		c, err := a.cellsOf(t)
		if c != nil {
			a.touched = true
			err = a.refuseOperation(t.Pos(), c, "a column, parameter or type made of the row type of a sealed table", a.hintForRowType(t.Schema, t.Name))
		}
		if err := a.goOn(err); err != nil {
			return err
		}
	}
	return nil
}

// hintForRowType says what to write instead of a type. One of the same name in another schema is told apart by its schema, unless
// a table is sealed in every one.
func (a *analysis) hintForRowType(in, name string) string {
	hint := "name the columns, or use a type of your own that has them as text"
	if in == "" && !slices.ContainsFunc(sqlparse.RowTypeOf(in, name), func(n string) bool { return pick(a.candidates(n), "") != nil }) {
		hint += "; if this is another type of the same name, write it with its schema"
	}
	return hint
}

// hasRowType reports whether an expression is a cast that castsRow refuses.
func (a *analysis) hasRowType(e sqlparse.Expr) bool {
	c, ok := e.(*sqlparse.Cast)
	if !ok {
		return false
	}
	col, err := a.rowType(&c.Type)
	return col != nil || err != nil
}

// rowOfNulls reports whether only NULLs are looked for in a row: a cell is NULL where its value is. So is a companion, but not
// in each stage. Where it cannot be left out, as in what the server keeps, the answer is no.
func (a *analysis) rowOfNulls(c *sqlparse.Column, it *item) bool {
	return a.rowUses[c] == rowNulls && (c.Star || len(c.Parts) == 1) && !slices.Contains(a.rows, it) && !slices.ContainsFunc(it.cols, func(o output) bool {
		s := o.more.source()
		return o.pair != nil && a.depth > 0 || o.pair == nil && s != nil
	})
}

// writeRowOut writes a reference to the whole row of an item out, if it has companions that are not the truth, or may be NULL
// where the truth is not.
func (a *analysis) writeRowOut(c *sqlparse.Column, it *item) error {
	use := a.rowUses[c]
	out := func(o output) bool { return o.pair.lags() || o.pair != nil && use == rowNulls }
	if !slices.ContainsFunc(it.cols, out) || use == rowTyped || !c.Star && len(c.Parts) > 1 || a.depth > 0 {
		return nil
	}
	if use == rowSpread {
		a.forbidden = true
		return a.refuseUnsupported(c.Pos(), nil, "the companion of a column that is on its way would be one of the fields of the row", "write "+it.name+".* without parentheses")
	}
	if use == rowYielded {
		a.rowsLeft++
		return nil
	}
	name := qualified(it)
	list, labels := make([]string, len(it.cols)), map[string]bool{}
	for i, o := range it.cols {
		if o.gap {
			return a.refuseUnknown(c.Pos(), nil, "the columns of a whole row are not known, and the companion of a sealed column may be one of them", "write the columns out")
		}
		label, stored := o.labelOf(a), ""
		if o.pair != nil {
			var t *term
			t, stored = a.seen(&it.cols[i])
			if err := a.standsIn(&it.cols[i], t, c.Pos()); err != nil {
				return err
			}
		}
		if labels[label] {
			a.forbidden = true
			return a.refuseUnsupported(c.Pos(), nil, "the companion of a column that is on its way would be one of the columns of the row, of which two have one name", "name the columns that are needed")
		}
		labels[label] = true
		list[i] = name + "." + dbcatalog.QuoteIdent(cmp.Or(stored, label))
		if it.called != nil && use != rowFields {
			list[i] += " AS " + dbcatalog.QuoteIdent(it.called[i])
		}
	}
	text := strings.Join(list, ", ")
	if use != rowFields {
		own := dbcatalog.QuoteIdent(it.name)
		text = "CASE WHEN " + name + " IS NOT DISTINCT FROM NULL THEN NULL ELSE (SELECT " + own + " FROM (SELECT " + text + ") AS " + own + ") END"
		if use == rowShown {
			text += "::pg_catalog.text"
		}
	}
	a.stars = append(a.stars, star{ref: c, text: text, second: a.second})
	return nil
}

// leftAsItIs refuses an output that is a row with a companion in it, but where a field is selected.
func (a *analysis) leftAsItIs(c *sqlparse.Column, o *output) error {
	if !o.row || a.rowUses[c] == rowTyped {
		return nil
	}
	a.forbidden = true
	return a.refuseUnsupported(c.Pos(), nil, "the companion of a column that is on its way would be one of the columns of the row", "yield the columns that are needed instead of the row")
}

// lags reports whether a pair has a companion that is not the truth.
func (p *pair) lags() bool {
	return p != nil && p.stage == schema.StageCopy && p.source == "" && p.col.Was == nil && p.cells != nil
}
