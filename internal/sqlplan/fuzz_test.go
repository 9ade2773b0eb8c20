package sqlplan

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzPlan looks for texts that panic, or that are answered by anything but a plan or
// a refusal, and for plans that lose a parameter.
func FuzzPlan(f *testing.F) {
	seeds := 0
	for _, name := range []string{"postgres", "sqlite"} {
		text, err := os.ReadFile("testdata/" + name + ".sql")
		if err != nil {
			f.Fatal(err)
		}
		for sql := range strings.Lines(string(text)) {
			f.Add(strings.TrimSpace(sql))
			seeds++
		}
	}
	if seeds < 100 {
		f.Fatalf("only %d seeds", seeds)
	}
	planners := []*Planner{New(testSchema, Postgres, Options{}), New(testSchema, SQLite, Options{})}
	f.Fuzz(func(t *testing.T, sql string) {
		for _, p := range planners {
			plan, _, err := p.analyse(t.Context(), sql, &Env{Catalog: testCatalog})
			if err != nil {
				if !errors.Is(err, ErrRefused) {
					t.Fatalf("%q: %v is no refusal", sql, err)
				}
				continue
			}
			if plan.Sealed && len(plan.Chunks) != len(plan.Literals)+1 {
				t.Fatalf("%q: %d chunks for %d literals", sql, len(plan.Chunks), len(plan.Literals))
			}
		}
	})
}
