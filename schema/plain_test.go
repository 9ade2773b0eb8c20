package schema

import (
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	s := Must(Columns("users", Column{Name: "email"}), Plain("other.users"), Plain(`"We.ird".users`))
	for name, sealed := range map[string]bool{"": true, "public": true, "app": true, "other": false, "We.ird": false, "Other": true} {
		if got := s.Lookup(name, "users") != nil; got != sealed {
			t.Errorf("Lookup(%q, users) is sealed: %t, want %t", name, got, sealed)
		}
	}
	if n := len(s.Tables()); n != 1 {
		t.Errorf("%d tables, want 1", n)
	}
	data, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseJSON(data)
	if err != nil || again.Lookup("other", "users") != nil || again.Lookup("app", "users") == nil || len(again.Excluded()) != 2 {
		t.Errorf("%s read back: %v, %v", data, again, err)
	}
}

func TestPlainMistakes(t *testing.T) {
	for want, sources := range map[string][]Source{
		"Plain names no schema":                           {Columns("users", Column{Name: "email"}), Plain("orders")},
		"no table of this name is registered":             {Plain("other.users")},
		"the name is registered twice":                    {Columns("users", Column{Name: "a"}), Columns("other.users", Column{Name: "a", ID: "x"}), Plain("other.users")},
		"and no table of this name is registered without": {Columns("app.users", Column{Name: "a"}), Plain("other.users")},
	} {
		if _, err := New(sources...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want an error with %q", err, want)
		}
	}
}
