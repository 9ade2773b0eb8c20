package schema

import (
	"fmt"
	"strings"

	"github.com/colseal/colseal/internal/hint"
)

// Source is one part of a schema: a [Model], a [View], [Columns], [Plain] or
// [Functions]. Mistakes in a source are reported by [New].
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
			b.errs = append(b.errs, &FieldError{Reason: fmt.Sprintf("source %d of New is nil", i+1), Hint: "pass a Model, View or Columns"})
			continue
		}
		src.addTo(b)
	}
	b.resolveViews()
	b.checkPlain()
	b.checkOwners()
	b.checkIdentities()
	if len(b.errs) > 0 {
		return nil, hint.Join(b.errs...)
	}
	s := newSchema(b.tables)
	s.plain, s.functions = b.plain, b.functions
	return s, nil
}

// Must is [New] for package-level variables. It panics with New's error, and the panic's text
// includes the hints.
func Must(sources ...Source) *Schema {
	s, err := New(sources...)
	if err != nil {
		panic(mistakes{err})
	}
	return s
}

// mistakes are New's error as whoever reads a panic needs it.
type mistakes struct{ error }

func (m mistakes) Error() string { return hint.Text(m.error) }
func (m mistakes) Unwrap() error { return m.error }

// Columns declares the sealed columns of a table without a struct. The table's
// name is written as in SQL: users, app.users, "Users". Without a schema it means
// the tables of that name in every schema but those that [Plain] excludes, and
// their columns have one identity: a cell of one opens in the other.
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

// Plain excludes a table from a registration that names no schema: with Model("users", …)
// and Plain("other.users"), users is sealed in every schema but other. The name is written
// with its schema, and as in SQL.
func Plain(table string) Source { return plainSource{table: table} }

type plainSource struct{ table string }

func (s plainSource) addTo(b *builder) {
	t := b.newTable(s.table, origin{})
	switch {
	case t == nil:
	case t.Schema == "":
		b.fail(t, origin{}, "Plain names no schema", "write the schema before the name, as in other.users")
	default:
		b.plain = append(b.plain, t)
	}
}

// checkPlain reports exclusions from nothing.
func (b *builder) checkPlain() {
	for _, t := range b.plain {
		if b.registered[relation{"", t.Name}] == nil {
			b.fail(t, origin{}, "Plain excludes it, and no table of this name is registered without a schema",
				"remove it: a table that is not registered is plain")
		}
	}
}

// View declares a view that exposes all sealed columns of table, under the same
// names but for those that a [Renamed] names. The table is a Model, Columns or
// View in the same New; the view's columns have the identities of the table's.
func View(view, table string, renamed ...Renamed) Source {
	return viewSource{view: view, table: table, renamed: renamed}
}

// Renamed is a column that a view shows under another name: CREATE VIEW v AS
// SELECT ssn AS s has {Column: "ssn", As: "s"}. Names are those of the catalog.
type Renamed struct{ Column, As string }

type viewSource struct {
	view, table string
	renamed     []Renamed
}

func (s viewSource) addTo(b *builder) {
	if t := b.newTable(s.view, origin{}); t != nil {
		b.views = append(b.views, pendingView{view: t, of: s.table, renamed: s.renamed})
	}
}

// Functions lists functions and procedures of the database that statements may
// call although their bodies name a sealed table: a statement that calls another
// one is refused. reason says why they are harmless: that they neither read nor
// write the sealed columns, say. It is for people. A name without a schema means
// the functions of that name in every schema; all of one name are meant, whatever
// their arguments are.
func Functions(reason string, names ...string) Source {
	return functionsSource{reason: reason, names: names}
}

// Function is a function or procedure that [Functions] lists.
type Function struct {
	Schema string // "" for any
	Name   string // as the catalog has it, without quotes
	Reason string
}

type functionsSource struct {
	reason string
	names  []string
}

func (s functionsSource) addTo(b *builder) {
	if strings.TrimSpace(s.reason) == "" || len(s.names) == 0 {
		b.errs = append(b.errs, &FieldError{Reason: "Functions lacks a reason, or names", Hint: "say why the functions are harmless, and name them"})
		return
	}
	for _, name := range s.names {
		schemaName, rel, err := parseRelation(name)
		if err != nil {
			b.errs = append(b.errs, &FieldError{Reason: fmt.Sprintf("Functions lists %q: %v", name, err), Hint: "write the name as SQL does, without arguments: app.user_count"})
			continue
		}
		b.functions = append(b.functions, Function{Schema: schemaName, Name: rel, Reason: s.reason})
	}
}
