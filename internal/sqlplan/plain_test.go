package sqlplan

import (
	"testing"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// A table that the schema excludes is plain, and its namesakes are sealed.
func TestExcluded(t *testing.T) {
	s := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}), schema.Plain("other.users"))
	p := New(s, dialect.Postgres, Options{})
	for sql, sealed := range map[string]bool{
		"INSERT INTO other.users(id, email) VALUES (1, $1)":        false,
		"SELECT * FROM other.users WHERE email LIKE 'x'":           false,
		"INSERT INTO users(id, email) VALUES (1, $1)":              true,
		"UPDATE public.users SET email = $1":                       true,
		"SELECT u.email FROM users u JOIN other.users o USING(id)": true,
	} {
		plan, err := p.Plan(t.Context(), sql, &Env{Catalog: testCatalog})
		if err != nil {
			t.Errorf("Plan(%q) = %v", sql, err)
		} else if got := plan.ResultsSealed() || len(plan.Params) > 0 && plan.Params[0].Use != nil; got != sealed {
			t.Errorf("Plan(%q) seals or opens: %t, want %t", sql, got, sealed)
		}
	}
}
