package sqlplan

import (
	"context"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// Catalog answers the few questions that only the server can: which relation a
// name means on this connection, its columns in order, and how they are stored.
// Answers are cached by the implementation; Planner.Invalidate goes with it.
type Catalog interface {
	// Relation describes the relation that the server resolves the name to.
	// schemaName is "" for an unqualified name, which is looked up along the
	// search path, temporary tables first. A nil Relation: there is none.
	Relation(ctx context.Context, schemaName, name string) (*dbcatalog.Relation, error)
}
