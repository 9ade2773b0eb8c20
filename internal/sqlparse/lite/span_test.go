package lite

import (
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

// The span of an expression is its text, wherever it stands, without the parentheses around
// it.
func TestSpan(t *testing.T) {
	for _, e := range []string{
		"a", "a.b", `"a b".c`, "?", "?2", ":a", "'x'", "-5", "NULL", "a = ?", "? == a", "(a) = (?)", "a <> 'x'", "a IS NOT ?", "a IS ?",
		"a IN (?, 'x')", "a NOT IN ((?))", "a IN (SELECT 1)", "(a, b) = (?, ?)", "coalesce(a, ?)", "ifnull(a, ?) = 'x'", "nullif(a, ?)",
		"CASE WHEN a THEN 1 END", "CAST(? AS TEXT)", "(SELECT 1)", "a = ? COLLATE nocase", "iif(a, 1, 2) IN (1)",
	} {
		for _, frame := range []string{"SELECT §", "SELECT x, §, y", "SELECT (§)", "SELECT ((§)), 1", "SELECT 1 WHERE § AND z"} {
			if strings.HasPrefix(e, "(SELECT") && strings.Contains(frame, "(§") {
				continue // all the parentheses around a subquery are its own
			}
			text := strings.Replace(frame, "§", e, 1)
			f, err := Parse(text, sqlparse.Limits{})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			s := f.Statements[0].Stmt.(*sqlparse.Select)
			var x sqlparse.Expr
			switch {
			case s.Where != nil:
				x = s.Where.(*sqlparse.Logic).Args[0]
			case len(s.Targets) == 3:
				x = s.Targets[1].Expr
			default:
				x = s.Targets[0].Expr
			}
			start, end, ok := f.Span(nil, x)
			if !ok || text[start:end] != e {
				t.Errorf("%s: got %q, %v", text, text[start:end], ok)
			}
		}
	}
}
