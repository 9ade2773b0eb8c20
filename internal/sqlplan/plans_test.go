package sqlplan

import (
	"fmt"
	"testing"

	"github.com/colseal/colseal/internal/dialect"
)

// A plan is found under what it was made for, and under nothing else.
func TestPlanVariants(t *testing.T) {
	ps := newPlans(100)
	const text = "SELECT email FROM users"
	envs := []*Env{{SearchPath: "a"}, {SearchPath: "b"}, {SearchPath: "a", SearchKeys: 2}, {SearchPath: "c", SearchKeys: 1}}
	made := make([]*Plan, len(envs))
	for i, e := range envs {
		if ps.get(text, e, 0) != nil {
			t.Fatalf("a plan for %+v before one was made", e)
		}
		made[i] = &Plan{NumInput: i}
		ps.putVariant(&variantPlan{key: variantKey{text, e.SearchPath, max(e.SearchKeys, 1)}, plan: made[i], catalog: i%2 == 0})
	}
	for i, e := range envs {
		if got := ps.get(text, e, 0); got != made[i] {
			t.Errorf("%+v: got %+v", e, got)
		}
		want := made[i]
		if i%2 == 0 {
			want = nil // it used the catalog
		}
		if got := ps.get(text, e, 1); got != want {
			t.Errorf("%+v after a change of the catalog: got %+v", e, got)
		}
	}
	if ps.get(text, nil, 0) != nil {
		t.Error("a plan that depends on the session was found without one")
	}
	// What is made anew takes the place of the outdated.
	again := &Plan{NumInput: 9}
	ps.putVariant(&variantPlan{key: variantKey{text, "a", 1}, plan: again, generation: 1, catalog: true})
	if got := ps.get(text, envs[0], 1); got != again {
		t.Errorf("got %+v", got)
	}
	ps.putAlways(text, made[0])
	for _, e := range append(envs, nil) {
		if ps.get(text, e, 5) != made[0] {
			t.Errorf("%+v: not the plan that always holds", e)
		}
	}
}

func TestPlansAreBounded(t *testing.T) {
	ps := newPlans(10)
	for i := range 100 {
		text := fmt.Sprint(i)
		for _, path := range []string{"a", "b", "c"} {
			ps.putVariant(&variantPlan{key: variantKey{text, path, 1}, plan: &Plan{}})
		}
	}
	if ps.len() != 10 || ps.variants.Len() != 10 {
		t.Errorf("%d texts and %d variants are kept", ps.len(), ps.variants.Len())
	}
}

func TestCachedPlanAllocatesNothing(t *testing.T) {
	p := New(testSchema, dialect.Postgres, Options{})
	env := &Env{Catalog: testCatalog, SearchPath: `"$user", public`}
	for _, text := range []string{"SELECT id, email FROM users WHERE email = $1", "SELECT id FROM orders WHERE id = $1"} {
		plan := func() {
			if _, err := p.Plan(t.Context(), text, env); err != nil {
				t.Fatal(err)
			}
		}
		plan()
		if n := testing.AllocsPerRun(100, plan); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
