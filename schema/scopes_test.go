package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

type scopedUser struct {
	_     struct{} `seal:"scoped"`
	Email string   `seal:"deterministic"`
}

type unscopedUser struct {
	_     struct{} `seal:"unscoped"`
	Email string   `seal:"deterministic"`
}

type bothUser struct {
	_     struct{} `seal:"scoped"`
	_     struct{} `seal:"unscoped"`
	Email string   `seal:"deterministic"`
}

func TestScopes(t *testing.T) {
	email := Column{Name: "email", Mode: ModeDeterministic}
	s := Must(Model("a", scopedUser{}), Model("b", unscopedUser{}), Scoped(Columns("c", email)), Unscoped(Columns("d", email)),
		Columns("e", email), Scoped(Model("f", scopedUser{})), View("v", "c"))
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Schema{s, again} {
		for name, want := range map[string]ScopeRule{"a": ScopesRequired, "b": ScopesNever, "c": ScopesRequired, "d": ScopesNever,
			"e": ScopesConfigured, "f": ScopesRequired, "v": ScopesRequired} {
			table := s.Lookup("", name)
			if table.Scopes != want || table.Columns()[0].Scopes() != want {
				t.Errorf("%s: %v, column %v, want %v", name, table.Scopes, table.Columns()[0].Scopes(), want)
			}
		}
	}
	if again, err := json.Marshal(again); err != nil || string(again) != string(text) {
		t.Errorf("%v\n%s\n%s", err, text, again)
	}
	group := Column{Name: "email", Mode: ModeDeterministic, JoinGroup: "mail"}
	for want, sources := range map[string][]Source{
		"it is both scoped and unscoped": {Model("a", bothUser{})},
		"their cells are never equal":    {Scoped(Columns("a", group)), Unscoped(Columns("b", group))},
		"are for tables":                 {Columns("a", email), Scoped(View("v", "a"))},
		"is nil":                         {Scoped(nil)},
	} {
		if _, err := New(sources...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, text := range map[string]string{
		`unknown scopes "x"`:   `{"version":1,"tables":[{"name":"a","scopes":"x","columns":[{"name":"e","mode":"random","kind":"text"}]}]}`,
		"both view_of and sco": `{"version":1,"tables":[{"name":"a","columns":[{"name":"e","mode":"random","kind":"text"}]},{"name":"v","scopes":"scoped","view_of":{"name":"a"}}]}`,
	} {
		if _, err := ParseJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
