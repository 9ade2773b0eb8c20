package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// update analyses UPDATE.
func (a *analysis) update(s *sqlparse.Update, with *withScope) ([]output, error) {
	sc, w, err := a.openWrite(s.With, s.Table, with)
	if err != nil {
		return nil, err
	}
	sc.items = []*item{w.item}
	star, err := a.from(s.From, sc)
	if err != nil {
		return nil, err
	}
	if err := a.assignments(s.Set, w, sc); err != nil {
		return nil, err
	}
	if s.Replace {
		for _, set := range s.Set {
			a.anyConflict(set.Columns, w, s.Pos(), "OR REPLACE or OR IGNORE")
		}
	}
	if err := a.condition(s.Where, sc); err != nil {
		return nil, err
	}
	if a.p.dialect == dialect.SQLite {
		return a.returning(s.Returning, w, sc.with)
	}
	return a.returningIn(s.Returning, w, star, sc)
}

// delete analyses DELETE.
func (a *analysis) delete(s *sqlparse.Delete, with *withScope) ([]output, error) {
	sc, w, err := a.openWrite(s.With, s.Table, with)
	if err != nil {
		return nil, err
	}
	sc.items = []*item{w.item}
	star, err := a.from(s.Using, sc)
	if err != nil {
		return nil, err
	}
	if err := a.condition(s.Where, sc); err != nil {
		return nil, err
	}
	if a.p.dialect == dialect.SQLite {
		return a.returning(s.Returning, w, sc.with)
	}
	return a.returningIn(s.Returning, w, star, sc)
}

// merge analyses MERGE.
func (a *analysis) merge(s *sqlparse.Merge, with *withScope) ([]output, error) {
	sc, w, err := a.openWrite(s.With, s.Table, with)
	if err != nil {
		return nil, err
	}
	star, err := a.table(s.Source, sc)
	if err != nil {
		return nil, err
	}
	sources := sc.items
	sc.items = append([]*item{w.item}, sources...)
	if err := a.condition(s.On, sc); err != nil {
		return nil, err
	}
	insert := &scope{parent: sc.parent, with: sc.with, items: sources} // which does not see the target
	for _, m := range s.Whens {
		in := sc
		if m.Insert {
			in = insert
		}
		if err := a.mergeWhen(m, w, in); err != nil {
			return nil, err
		}
	}
	if s.Returning == nil {
		return nil, nil
	}
	// RETURNING * yields the source's columns first.
	own := []output{{gap: true, lazy: true, from: w.item}}
	if w.item.ask == nil {
		own = w.item.cols
	}
	a.step(outputSteps * (len(own) + len(star)))
	return a.returningStar(s.Returning, w, append(append([]output{}, star...), own...), sc)
}

// mergeWhen analyses one WHEN of a MERGE.
func (a *analysis) mergeWhen(m sqlparse.MergeWhen, w *writeTarget, sc *scope) error {
	if err := a.condition(m.Cond, sc); err != nil {
		return err
	}
	if err := a.assignments(m.Set, w, sc); err != nil {
		return err
	}
	if !m.Insert {
		return nil
	}
	names := m.Columns
	if names == nil {
		names = a.allColumns(w)
		if err := a.checkNoneMissing(w, m.Pos()); err != nil && m.Values != nil {
			return err
		}
		if m.Values != nil && slices.ContainsFunc(w.item.cols, func(o output) bool { return o.pair != nil }) {
			return a.refuseUnsupported(m.Pos(), nil, "INSERT of a MERGE without a column list, while a column is on its way", "write the column list")
		}
	}
	if err := a.insertRow(w, names, m.Values, sc, m.Pos()); err != nil {
		return err
	}
	given := map[string]bool{}
	for _, n := range names[:min(len(m.Values), len(names))] {
		given[n.Name] = true
	}
	return a.checkDefaults(w, given, m.Pos())
}

// returning analyses RETURNING where only the target is in scope. SQLite knows it by the
// table's name, never by an alias.
func (a *analysis) returning(r *sqlparse.Returning, w *writeTarget, with *withScope) ([]output, error) {
	if a.p.dialect == dialect.SQLite {
		own := *w.item
		own.name, own.schema = w.name, ""
		w = &writeTarget{name: w.name, item: &own, rel: w.rel}
	}
	return a.returningIn(r, w, nil, &scope{with: with, items: []*item{w.item}})
}

// returningIn analyses RETURNING. Its star yields the target's columns, then those of
// the other items.
func (a *analysis) returningIn(r *sqlparse.Returning, w *writeTarget, star []output, sc *scope) ([]output, error) {
	if r == nil {
		return nil, nil
	}
	own := []output{{gap: true, lazy: true, from: w.item}}
	if w.item.ask == nil {
		own = w.item.cols
	}
	a.step(outputSteps * (len(own) + len(star)))
	return a.returningStar(r, w, append(append([]output{}, own...), star...), sc)
}

func (a *analysis) returningStar(r *sqlparse.Returning, w *writeTarget, star []output, sc *scope) ([]output, error) {
	in := &scope{parent: sc.parent, with: sc.with, items: sc.items}
	for _, name := range []string{r.Old, r.New} {
		if name != "" && !slices.ContainsFunc(sc.items, func(it *item) bool { return it.name == name }) {
			in.items = append(in.items[:len(in.items):len(in.items)], &item{name: name, cols: w.item.cols,
				open: w.item.open, table: w.item.table, ask: w.item.ask, hidden: allHidden(w.item)})
		}
	}
	outs, err := a.targets(r.Targets, star, in)
	if outs == nil {
		outs = []output{}
	}
	return outs, err
}
