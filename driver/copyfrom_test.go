package driver

import (
	"errors"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// COPY is refused what INSERT is refused: a default that the server would store unsealed, and
// a name that the server cuts to that of a sealed column.
func TestCopyFromRefuses(t *testing.T) {
	long := strings.Repeat("e", maxName)
	c := &conn{st: &state{cfg: Config{Schema: schema.Must(schema.Columns("users",
		schema.Column{Name: "email"}, schema.Column{Name: long}))}}}
	relation := func(email, id sqlplan.RelationColumn) *sqlplan.Relation {
		email.Name, email.Storage, id.Name = "email", sqlplan.StorageBytes, "id"
		return &sqlplan.Relation{Schema: "public", Name: "users",
			Columns: []sqlplan.RelationColumn{id, email, {Name: long, Storage: sqlplan.StorageBytes}}}
	}
	type column = sqlplan.RelationColumn
	for _, x := range []struct {
		name    string
		rel     *sqlplan.Relation
		columns []string
		refused bool
	}{
		{"plain default", relation(column{}, column{Default: true}), []string{"email"}, false},
		{"default, given", relation(column{Default: true}, column{}), []string{"id", "email"}, false},
		{"default", relation(column{Default: true}, column{}), []string{"id"}, true},
		{"generated", relation(column{Generated: true}, column{}), []string{"id"}, true},
		{"longest name", relation(column{}, column{}), []string{"id", long}, false},
		{"name that is cut", relation(column{}, column{}), []string{"id", long + "x"}, true},
	} {
		if _, err := c.copyUses(x.rel, x.columns); errors.Is(err, ErrRefused) != x.refused || !x.refused && err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
