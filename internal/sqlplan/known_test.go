package sqlplan

import (
	"testing"

	"github.com/colseal/colseal/internal/dialect"
)

// The body of a routine is read token by token.
func TestNamesInBodies(t *testing.T) {
	p := New(testSchema, dialect.Postgres, Options{})
	for body, want := range map[string]bool{
		"SELECT id FROM users":                                          true,
		`SELECT id FROM "users"`:                                        true,
		"SELECT id FROM USERS":                                          true,
		`SELECT id FROM U&"\0075sers"`:                                  true, // a name that is spelled with escapes may be any
		"SELECT id FROM orders -- of users":                             false,
		"SELECT 'users'":                                                false,
		"EXECUTE 'SELECT id FROM users'":                                true,
		`SELECT "users_of" FROM orders`:                                 false,
		"BEGIN RETURN (SELECT 1 FROM users); END":                       true,
		"this is no program 'with users":                                true,
		"SELECT query_to_xml('TABLE users', true, true, '')":            true,
		"SELECT lower('users') /* EXECUTE */":                           false,
		`BEGIN PERFORM 1 FROM public . "users"; END`:                    true,
		`SELECT U&'\0061' FROM orders WHERE note = 'users and no more'`: false,
	} {
		names := map[string]bool{}
		note(names, "users")
		if got := p.namesAny(body, names); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}
