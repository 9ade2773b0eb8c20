package front

import (
	"errors"
	"strings"
	"testing"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/schema"
)

// COPY is refused what INSERT is refused: a default that the server would store unsealed, and
// a name that the server cuts to that of a sealed column.
func TestCopyFromRefuses(t *testing.T) {
	long := strings.Repeat("e", dbcatalog.MaxName)
	sc := schema.Must(schema.Columns("users", schema.Column{Name: "email"}, schema.Column{Name: long}))
	relation := func(email, id dbcatalog.Column) *dbcatalog.Relation {
		email.Name, email.Storage, id.Name = "email", dbcatalog.StorageBytes, "id"
		return &dbcatalog.Relation{Schema: "public", Name: "users",
			Columns: []dbcatalog.Column{id, email, {Name: long, Storage: dbcatalog.StorageBytes}}}
	}
	type column = dbcatalog.Column
	for _, x := range []struct {
		name    string
		rel     *dbcatalog.Relation
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
		if _, err := copyUses(sc, sc.Lookup("", "users").Columns(), x.rel, x.columns, nil); errors.Is(err, colseal.ErrRefused) != x.refused || !x.refused && err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
