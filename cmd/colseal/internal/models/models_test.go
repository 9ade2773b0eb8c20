package models

import (
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: compiles packages")
	}
	for _, c := range []struct {
		patterns []string
		want     []string // lines of the schema, or what the error says
		fails    bool
	}{
		{patterns: []string{"./testdata/tagged"}, want: []string{"app.users", "  born random time", "  email deterministic text", "leads\n", "old_leads", "  phone deterministic int identity \"old_leads.phone\""}},
		{patterns: []string{"./testdata/declared"}, want: []string{"mails view of users", "  email deterministic text"}},
		{patterns: []string{"./testdata/tagged", "./testdata/declared", "./testdata/nothing"}, want: []string{"app.users", "old_leads", "mails"}},
		{patterns: []string{"./testdata/broken"}, want: []string{"broken.User", "User.Email", "did you mean deterministic"}, fails: true},
		{patterns: []string{"./testdata/mistaken"}, want: []string{"schema: User.Email", "\nhint: did you mean deterministic", "\nschema: User.Born", "did you mean date?"}, fails: true},
		{patterns: []string{"./testdata/lost"}, want: []string{"no table is known for User", "TableName"}, fails: true},
		{patterns: []string{"./testdata/nothing"}, want: []string{"no seal tag"}, fails: true},
		{patterns: []string{"./testdata/absent"}, want: []string{"absent"}, fails: true},
	} {
		t.Run(strings.ReplaceAll(strings.Join(c.patterns, " "), "./testdata/", ""), func(t *testing.T) {
			t.Parallel()
			s, err := Load(t.Context(), "", c.patterns...)
			if (err != nil) != c.fails {
				t.Fatal(err)
			}
			got := s.String()
			if c.fails {
				got = err.Error()
			}
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q is missing in\n%s", w, got)
				}
			}
		})
	}
}
