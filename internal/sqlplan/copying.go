package sqlplan

import (
	"errors"
	"slices"
	"strings"

	"github.com/colseal/colseal/schema"
)

// While a column is in schema.StageCopy its plain column is the truth, and no statement is refused because
// of it. What cannot be written to the companion too makes it NULL, and what is not understood is sent as it
// is: the trigger of colseal seal makes the companions NULL then. Where the options of a sealed column change, what is refused because
// of those that it had is refused.

// analyseCopies makes a plan where there are columns in StageCopy, and finds out what will become of the
// statement in the next stage.
func (p *Planner) analyseCopies(begun *analysis) (*Plan, bool, error) {
	var first *Refusal
	used, copying := false, false
	for _, m := range []mode{copyBoth, copyNull, copyPlain} {
		a := begun.as(m)
		plan, err := p.run(a)
		used, copying = used || a.usedCatalog, copying || a.copying
		if err == nil {
			if m == copyPlain && p.namesNew(begun.file.Text) { // as a column that is not sealed
				return nil, used, first
			}
			if plan.Observed = p.ahead(begun); plan.Observed == nil && m != copyBoth {
				plan.Observed = first
			}
			return plan, used, nil
		}
		var r *Refusal
		if !errors.As(err, &r) || a.forbidden {
			return nil, used, err
		}
		if first == nil {
			first = r
		}
		if m == copyPlain && !copying { // what is refused has nothing to do with these columns
			return nil, used, first
		}
		if m == copyPlain {
			return nil, used, err
		}
	}
	panic("not reached")
}

// namesNew reports whether a text may name the companion of a column whose options change. Nothing of the column stands in plaintext
// in the database, and nothing may come there.
func (p *Planner) namesNew(text string) bool {
	lower := strings.ToLower(text)
	for _, t := range p.registered {
		for _, c := range t.Columns() {
			if c.Stage == schema.StageCopy && c.Was != nil && (containsName(lower, strings.ToLower(c.CellColumn())) || strings.Contains(lower, "u&")) {
				return true
			}
		}
	}
	return false
}

// as begins the analysis of the same text, with the columns in StageCopy taken as m says.
func (a *analysis) as(m mode) *analysis { return a.p.newAnalysis(a.ctx, a.file, a.env, a.known, m) }

// refuses reports whether a statement is refused as the analysis takes it.
func (a *analysis) refuses() bool {
	_, err := a.p.run(a)
	return err != nil
}

// ahead returns why a statement will be refused in the next stage; nil if it will not be. What an error of
// the catalog leaves open is not told.
func (p *Planner) ahead(begun *analysis) *Refusal {
	_, err := p.run(begun.as(copyAhead))
	var r *Refusal
	if errors.As(err, &r) && r.Query == "" { // of Options.Refuse: a log names the statement
		r.Query = p.Redact(begun.file.Text)
	}
	return r
}

// copiesOnly reports whether all registered columns are in StageCopy.
func (p *Planner) copiesOnly() bool { return p.copies && !p.sealing }

// namesCopiesOnly reports whether a text that cannot be parsed names no table with other columns than those
// in StageCopy.
func (p *Planner) namesCopiesOnly(sql string, known *Known) bool {
	lower := strings.ToLower(sql)
	switch {
	case !p.copies || p.strict.in(lower) || strings.Contains(lower, "standard_conforming_strings"):
		return false
	case p.copiesOnly():
		return true
	}
	return !known.words.in(lower) && !strings.Contains(lower, "u&") && !containsName(lower, "schema")
}

// copiesAll reports whether all of the columns are in StageCopy, and were plain.
func copiesAll(cols []*schema.Column) bool {
	return len(cols) > 0 && !slices.ContainsFunc(cols, func(c *schema.Column) bool { return !c.Copied() })
}

// strict returns columns without those that are plain for this analysis, and those whose options change as they were.
func (a *analysis) strict(cols []*schema.Column) []*schema.Column {
	if a.mode != copyPlain {
		return cols
	}
	cols = slices.DeleteFunc(slices.Clone(cols), (*schema.Column).Copied)
	for i, c := range cols {
		if c.Stage == schema.StageCopy {
			cols[i] = c.Was
		}
	}
	return cols
}

// changing returns the column whose options change that has a companion of this name, where it is taken as it was: the companion holds
// cells all the same.
func (a *analysis) changing(t *schema.Table, name string) *schema.Column {
	if a.mode != copyPlain {
		return nil
	}
	cols := t.Columns()
	if d := a.known.dependents[t]; d != nil {
		cols = d.columns
	}
	for _, c := range cols {
		if c.Stage == schema.StageCopy && c.Was != nil && a.p.fold(c.Stored) == a.p.fold(name) {
			return c
		}
	}
	return nil
}

// columnsOf returns the sealed columns of a registered table.
func (a *analysis) columnsOf(t *schema.Table) []*schema.Column { return a.strict(t.Columns()) }

// strictTables returns tables without those that are plain for this analysis.
func (a *analysis) strictTables(tables []*schema.Table) []*schema.Table {
	if a.p.copiesOnly() {
		return nil
	}
	return slices.DeleteFunc(tables, func(t *schema.Table) bool {
		if d := a.known.dependents[t]; d != nil {
			return copiesAll(d.columns)
		}
		return copiesAll(t.Columns())
	})
}
