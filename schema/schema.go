package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Schema is the set of sealed columns of a database. It is made by [New], is
// never changed afterwards and is safe for concurrent use. A nil *Schema is an
// empty one.
type Schema struct {
	tables []*Table            // sorted by schema, then name
	byName map[string][]*Table // relation name to its registrations, in the order of tables
	plain  []*Table            // excluded by Plain; without columns

	functions []Function
}

// Table is one registered table or view.
type Table struct {
	Schema string // "" when registered without one: the name then matches in any schema
	Name   string // as the catalog has it, without quotes
	ViewOf string // for a view: the relation beneath it, as its String writes it; "" for a table

	Scopes ScopeRule // under which scopes its values are sealed; a view has that of its table

	columns []*Column
	origin  origin
}

// Tables returns all tables and views, sorted by schema and name. The slice is
// the caller's.
func (s *Schema) Tables() []*Table {
	if s == nil {
		return nil
	}
	return slices.Clone(s.tables)
}

// Lookup returns the registration that answers for a relation, or nil. Names
// are those of the catalog, case-sensitive and without quotes. A registration
// with the same schema wins over one without a schema. With schemaName "" (not
// known) it is the registration without a schema, else the first of those with
// one: see [Schema.LookupAll] where that is not enough.
func (s *Schema) Lookup(schemaName, table string) *Table {
	if s == nil {
		return nil
	}
	for _, t := range s.plain {
		if t.Schema == schemaName && t.Name == table {
			return nil
		}
	}
	var found *Table
	for _, t := range s.byName[table] {
		switch {
		case t.Schema == schemaName:
			return t
		case t.Schema == "", schemaName == "" && found == nil:
			found = t
		}
	}
	return found
}

// Excluded returns the tables that [Plain] excludes. They have no columns, and
// Tables does not have them. The slice is the caller's.
func (s *Schema) Excluded() []*Table {
	if s == nil {
		return nil
	}
	return slices.Clone(s.plain)
}

// Functions returns the functions that [Functions] lists. The slice is the
// caller's.
func (s *Schema) Functions() []Function {
	if s == nil {
		return nil
	}
	return slices.Clone(s.functions)
}

// LookupAll returns every registration with a relation name, in any schema,
// sorted by schema. The slice is the caller's.
func (s *Schema) LookupAll(table string) []*Table {
	if s == nil {
		return nil
	}
	return slices.Clone(s.byName[table])
}

// String lists the schema, one column per line, for people. It holds names
// only.
func (s *Schema) String() string {
	var b strings.Builder
	for _, t := range s.Tables() {
		b.WriteString(t.String())
		if t.ViewOf != "" {
			fmt.Fprintf(&b, " view of %s\n", t.ViewOf)
			continue
		}
		b.WriteByte('\n')
		for _, c := range t.columns {
			fmt.Fprintf(&b, "  %s %s %s identity %q tag %04x%s", identText(c.Name), c.Mode, c.Kind.String(), c.identity, c.tag, c.stageText())
			if c.Inbox {
				b.WriteString(" inbox")
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// newSchema indexes tables, which it takes over.
func newSchema(tables []*Table) *Schema {
	slices.SortFunc(tables, func(a, b *Table) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
	s := &Schema{tables: tables, byName: make(map[string][]*Table, len(tables))}
	for _, t := range tables {
		s.byName[t.Name] = append(s.byName[t.Name], t)
	}
	return s
}

// Columns returns the sealed columns in the order of their declaration. A
// view's columns are those of the table beneath it: the same pointers, or
// copies with other names if it renames any. The slice is the caller's.
func (t *Table) Columns() []*Column { return slices.Clone(t.columns) }

// Column returns the sealed column of that name (case-sensitive), or nil.
func (t *Table) Column(name string) *Column {
	for _, c := range t.columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// String returns the name as SQL writes it, quoted where that is needed:
// users, app.users, "Users".
func (t *Table) String() string { return relationText(t.Schema, t.Name) }

// identity returns the table's part of its columns' default identities: names
// without quotes, so that quoting more than needed changes no identity.
func (t *Table) identity() string {
	if t.Schema == "" {
		return t.Name
	}
	return t.Schema + "." + t.Name
}
