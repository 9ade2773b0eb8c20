package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/ops/dbcheck"
)

var findings = []dbcheck.Finding{
	{Severity: dbcheck.SeverityDanger, Rule: "trigger", Table: "users", Object: "users_audit", What: "it reads cells", Hint: "drop it"},
	{Severity: dbcheck.SeverityWarning, Rule: "index", Table: "users", Column: "born", Object: "by_year", What: "it finds nothing", Hint: "drop it"},
}

func TestAcceptances(t *testing.T) {
	now := time.Date(2027, 3, 1, 23, 0, 0, 0, time.Local)
	for _, tt := range []struct {
		name, file string
		open       int
		want       []string
	}{
		{"none", "", 2, []string{"danger   trigger  users (users_audit)   it reads cells\n                                        hint: drop it\n", "warning  index    users.born (by_year)  it finds nothing\n"}},
		{"one, on its last day", "# known\n\ntrigger; users (users_audit); 2027-03-01; it hashes; see ticket 812\n", 1,
			[]string{"warning  index  users.born", "accepted until 2027-03-01  trigger: users (users_audit): it hashes; see ticket 812\n"}},
		{"one that has expired", "trigger; users (users_audit); 2027-02-28; it hashes", 2,
			[]string{"danger   trigger  users", "was accepted until 2027-02-28: it hashes\n"}},
		{"all", "trigger; users (users_audit); 2027-03-02; a\nindex ; users.born (by_year) ; 2028-01-01 ; b", 0, []string{"accepted until 2028-01-01  index"}},
		{"another rule, another column", "index; users (users_audit); 2027-03-02; a\nindex; users.name (by_year); 2028-01-01; b", 2,
			[]string{"line 1 of the accepted findings matches none: index; users (users_audit)\n", "line 2 of the accepted findings"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := parseAcceptances(strings.NewReader(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			r := a.apply(findings, now)
			var text, js strings.Builder
			err = r.print(&text)
			if jsonErr := r.printJSON(&js); !errors.Is(jsonErr, err) || r.open() != tt.open || errors.Is(err, errFound) != (tt.open > 0) {
				t.Errorf("%d open, %v, want %d", r.open(), err, tt.open)
			}
			for _, want := range tt.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("%q is not in\n%s", want, &text)
				}
			}
			var out struct {
				Open     int
				Findings []struct{ Rule, Where string }
			}
			if err := json.Unmarshal([]byte(js.String()), &out); err != nil || out.Open != tt.open || len(out.Findings) != 2 || out.Findings[0].Where != "users (users_audit)" {
				t.Errorf("%v: %s", err, &js)
			}
		})
	}
	for _, bad := range []string{"trigger", "trigger; users; 2027-03-01", "trigger; users; 2027-03-01;", "; users; 2027-03-01; x", "trigger; users; tomorrow; x", "trigger; users; 2027-02-30; x"} {
		if a, err := parseAcceptances(strings.NewReader("# a comment\n" + bad)); err == nil || !strings.Contains(err.Error(), "line 2: ") {
			t.Errorf("%q: %v, %v", bad, a, err)
		}
	}
}
