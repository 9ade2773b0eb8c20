package sqlplan

import "context"

// Catalog answers the few questions that only the server can: which relation a
// name means on this connection, its columns in order, and how they are stored.
// Answers are cached by the implementation; Planner.Invalidate goes with it.
type Catalog interface {
	// Relation describes the relation that the server resolves the name to.
	// schemaName is "" for an unqualified name, which is looked up along the
	// search path, temporary tables first. A nil Relation: there is none.
	Relation(ctx context.Context, schemaName, name string) (*Relation, error)
}

// Relation is a table or view as the server describes it.
type Relation struct {
	Schema, Name string
	Temporary    bool
	View         bool
	Columns      []RelationColumn // live columns, in attribute order, hidden ones included
}

// RelationColumn is one column of a Relation.
type RelationColumn struct {
	Name      string
	Type      string // as format_type prints it
	Storage   Storage
	Default   bool // there is a default other than NULL, or it is an identity column
	Generated bool // GENERATED ALWAYS AS (…)
	Hidden    bool // of a virtual table of SQLite: it can be named, but no star yields it
}

// Column returns the named column, or nil.
func (r *Relation) Column(name string) *RelationColumn {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return &r.Columns[i]
		}
	}
	return nil
}
