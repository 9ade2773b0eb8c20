package sqlparse

import (
	"fmt"
	"slices"
	"testing"
)

func TestInspect(t *testing.T) {
	tree := []Statement{{Stmt: &Explain{Stmt: &Select{
		From:  []Table{&TableName{Name: "a"}, &TableName{Name: "b"}},
		Where: &Cast{Arg: &Call{Name: "f", Args: []Expr{&Param{Number: 1}}}},
	}}}}
	visit := func(skip string) []string {
		var seen []string
		Inspect(tree, func(node any) bool {
			switch n := node.(type) {
			case *TableName:
				seen = append(seen, n.Name)
			case *Call:
				seen = append(seen, n.Name)
			case *Param:
				seen = append(seen, fmt.Sprint(n.Number))
			}
			return fmt.Sprintf("%T", node) != skip
		})
		return seen
	}
	for skip, want := range map[string][]string{
		"":                 {"a", "b", "f", "1"},
		"*sqlparse.Call":   {"a", "b", "f"},
		"*sqlparse.Select": nil,
	} {
		if got := visit(skip); !slices.Equal(got, want) {
			t.Errorf("Inspect not inside %q visits %q, want %q", skip, got, want)
		}
	}
}
