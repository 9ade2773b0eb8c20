package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// The relations that are not registered are asked for only where their columns matter.

// load asks the catalog for the columns of an unregistered relation.
func (a *analysis) load(it *item) error {
	if it.ask == nil {
		return nil
	}
	tn := it.ask
	it.ask = nil
	rel, err := a.relation(tn)
	if err != nil {
		return err
	}
	if rel == nil || a.unsettled || a.changed(tn) != nil {
		it.open = true
		it.cols = append(it.cols, output{gap: true})
		it.own()
		return nil
	}
	var names []string
	if tn.Alias != nil {
		names = tn.Alias.Columns
	}
	a.step(outputSteps * len(rel.Columns))
	ordinary := newPlain()
	for i, c := range rel.Columns {
		name := a.p.fold(c.Name)
		if i < len(names) {
			name = names[i]
		}
		o := output{name: name, t: ordinary, sure: a.p.dialect == dialect.Postgres}
		if c.Hidden {
			it.unlisted = append(it.unlisted, o)
			continue
		}
		it.cols = append(it.cols, o)
	}
	it.own()
	return nil
}

// relation asks the catalog what a name means; nil when there is no such relation or
// no catalog.
func (a *analysis) relation(tn *sqlparse.TableName) (*dbcatalog.Relation, error) {
	a.usedCatalog = true
	if a.env.Catalog == nil {
		return nil, nil
	}
	in := tn.Schema
	if in == "" {
		in = a.home
	}
	return a.env.Catalog.Relation(a.ctx, in, tn.Name)
}

// expand replaces the gaps of a star that the catalog can fill.
func (a *analysis) expand(star []output) ([]output, error) {
	if !slices.ContainsFunc(star, func(c output) bool { return c.lazy }) {
		return star, nil
	}
	var out []output
	for _, c := range star {
		if !c.lazy {
			out = append(out, c)
			continue
		}
		if err := a.load(c.from); err != nil {
			return nil, err
		}
		a.step(outputSteps * len(c.from.cols))
		for _, col := range c.from.cols {
			if !c.from.hidden[col.name] || col.gap {
				out = append(out, col)
			}
		}
	}
	return out, nil
}
