package audit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestPageListsEvents(t *testing.T) {
	var b strings.Builder
	b.WriteString("| event | level | attributes | when |\n|---|---|---|---|\n")
	for _, e := range Events() {
		attrs := "—"
		if len(e.Attrs) > 0 {
			attrs = "`" + strings.Join(e.Attrs, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Name, e.Level, attrs, e.Meaning)
	}
	page, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), b.String()) {
		t.Errorf("docs/events.md must hold this table:\n%s", b.String())
	}
	for _, attr := range []string{
		KeyID, Purpose, Scope, Epoch, KEK, OldKEK, By, Why, Op, ErrorClass, ErrorText, Table, Column,
		Class, Reason, Line, Position, Statement, Suppressed, Missing, Because,
	} {
		if !strings.Contains(string(page), "\n| `"+attr+"` |") {
			t.Errorf("docs/events.md does not say what %s is", attr)
		}
	}
}
