package stages

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/sql-stages.md")

// The table of docs/sql-stages.md lists the statements that TestPairs runs, and what it demands of them.
func TestPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("| statement | `copy` | `sealed`, `only` |\n|---|---|---|\n")
	for _, k := range kinds {
		copies, later := "as without Colseal", "yes"
		switch {
		case k.empties:
			copies, later = "sent, observed; the companion becomes NULL", "**refused**"
		case k.terms:
			copies, later = "as without Colseal with the terms; otherwise sent, observed", "yes with the terms; otherwise **refused**"
		case k.refused:
			copies, later = "sent, observed", "**refused**"
		}
		where := ""
		if k.only != "" {
			where = " (" + k.only + ")"
		}
		b.WriteString("| `" + strings.ReplaceAll(k.sql, "|", `\|`) + "`" + where + " | " + copies + " | " + later + " |\n")
	}
	const path, begin, end = "../../docs/sql-stages.md", "<!-- stages -->\n", "<!-- end of stages -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("the page has no place for the table")
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Error("docs/sql-stages.md is not up to date: go test ./integration/stages -run TestPage -update")
	}
}
