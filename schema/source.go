package schema

import (
	"errors"
	"fmt"
)

// Source is one part of a schema: a [Model], a [View] or [Columns]. Mistakes
// in a source are reported by [New].
type Source interface {
	addTo(b *builder)
}

// New makes a schema of its sources; their order does not matter. Its error
// joins a [FieldError] for every mistake in any of them. Without sources the
// schema is empty, and nothing is sealed.
func New(sources ...Source) (*Schema, error) {
	b := &builder{registered: map[relation]*Table{}}
	for i, src := range sources {
		if src == nil {
			b.errs = append(b.errs, &FieldError{Reason: fmt.Sprintf("source %d of New is nil", i+1), Mend: "pass a Model, View or Columns"})
			continue
		}
		src.addTo(b)
	}
	b.resolveViews()
	b.checkOwners()
	b.checkIdentities()
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return newSchema(b.tables), nil
}

// Must is [New] for package-level variables: it panics with New's error.
func Must(sources ...Source) *Schema {
	s, err := New(sources...)
	if err != nil {
		panic(err)
	}
	return s
}

// Columns declares the sealed columns of a table without a struct. The table's
// name is written as in SQL: users, app.users, "Users".
func Columns(table string, cols ...Column) Source {
	return columnsSource{table: table, cols: cols}
}

type columnsSource struct {
	table string
	cols  []Column
}

func (s columnsSource) addTo(b *builder) {
	t := b.newTable(s.table, origin{})
	if t == nil {
		return
	}
	if len(s.cols) == 0 {
		b.fail(t, origin{}, "it has no sealed columns", "give Columns at least one Column")
	}
	b.addTable(t, s.cols)
}

// View declares a view that exposes all sealed columns of table under the same
// names. The table is a Model, Columns or View in the same New; the view's
// columns have the identities of the table's.
func View(view, table string) Source {
	return viewSource{view: view, table: table}
}

type viewSource struct{ view, table string }

func (s viewSource) addTo(b *builder) {
	if t := b.newTable(s.view, origin{}); t != nil {
		b.views = append(b.views, pendingView{view: t, of: s.table})
	}
}
