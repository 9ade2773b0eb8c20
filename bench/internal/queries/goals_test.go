package queries

import (
	"slices"
	"testing"
)

func TestGoals(t *testing.T) {
	for _, g := range goals {
		if !slices.Contains(Names(), g.of) {
			t.Errorf("there is no case %q", g.of)
		}
	}
	if got := connsOf(nativeFront+selectMany, false); !slices.Equal(got, []int{1, 8}) {
		t.Errorf("a case with goals for 1 and 8 connections is measured over %v", got)
	}
	o := Options{goals: true, Conns: []int{3}}
	if got := o.cases(); len(got) != 7 || !slices.Equal(got[0].conns(o), []int{1}) {
		t.Errorf("%d cases with goals on a server, want 7", len(got))
	}
	const of = nativeFront + selectOne
	results := func(ratio, again, allocs float64) []Result {
		return []Result{
			{Case: of, Conns: 1, Name: namePlain, Allocs: 18},
			{Case: of, Conns: 1, Name: nameAgain, Plain: Ratio{again, again, again}},
			{Case: of, Conns: 1, Name: nameSealed, Plain: Ratio{Median: ratio}, More: Difference{Median: 0.5}, Allocs: allocs},
		}
	}
	for _, tt := range []struct {
		results  []Result
		replayed bool
		want     []string
	}{
		{results(1.03, 1, 0), false, []string{"yes"}},
		{results(1.05, 1, 0), false, []string{"no"}},
		{results(1.03, 1.04, 0), false, []string{"yes, but A/A does not"}},
		{results(9, 9, 18), true, []string{"yes", "yes"}},
		{results(9, 9, 19), true, []string{"yes", "no"}},
	} {
		rows := goalTable("", tt.results, tt.replayed).Rows
		for i, want := range tt.want {
			if got := rows[i][len(rows[i])-1]; got != want {
				t.Errorf("%v: %q, want %q", rows[i], got, want)
			}
		}
	}
}
