package schema

import (
	"strings"
	"testing"
)

func TestRenamedViewColumns(t *testing.T) {
	s := Must(Columns("users", Column{Name: "email", Mode: ModeDeterministic}, Column{Name: "ssn"}),
		View("v", "users", Renamed{Column: "ssn", As: "s"}), View("w", "v", Renamed{Column: "email", As: "mail"}))
	w := s.Lookup("", "w")
	if c := w.Column("s"); c == nil || c.Identity() != "users.ssn" || w.Column("ssn") != nil {
		t.Errorf("column s of w is %+v, want that of users.ssn", c)
	}
	if c := w.Column("mail"); c == nil || c.Identity() != "users.email" {
		t.Errorf("column mail of w is %+v, want that of users.email", c)
	}
	data, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseJSON(data)
	if err != nil || again.Lookup("", "w").Column("mail") == nil || again.Lookup("", "v").Column("s") == nil {
		t.Errorf("%s read back: %v, %v", data, again, err)
	}
}

func TestRenamedMistakes(t *testing.T) {
	users := Columns("users", Column{Name: "email"}, Column{Name: "ssn"})
	for _, tt := range []struct {
		want    string
		renamed []Renamed
	}{
		{"which cannot be", []Renamed{{"nosuch", "s"}}},
		{"which cannot be", []Renamed{{"ssn", ""}}},
		{"which cannot be", []Renamed{{"ssn", "a"}, {"ssn", "b"}}},
		{"two of its columns", []Renamed{{"ssn", "email"}}},
	} {
		if _, err := New(users, View("v", "users", tt.renamed...)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New with %v = %v, want an error with %q", tt.renamed, err, tt.want)
		}
	}
}
