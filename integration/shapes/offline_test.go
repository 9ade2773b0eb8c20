package shapes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
)

// offline asks the analysis alone about random statements, of which it can be asked far more than a server: no canary
// may be left in what would be sent.
type offline struct {
	planner  *sqlplan.Planner
	canaries *canaries
}

func newOffline() *offline {
	return &offline{planner: sqlplan.New(sealedTables, dialect.Postgres, sqlplan.Options{MaxPlans: 16}), canaries: newCanaries()}
}

// judge says what is wrong with the plan of a statement while so many search keys are live.
func (o *offline) judge(ctx context.Context, s statement, searchKeys int) error {
	sql := o.canaries.text.Replace(s.sql)
	plan, err := o.planner.Plan(ctx, sql, &sqlplan.Env{Catalog: ddlCatalog, SearchKeys: searchKeys, SearchPath: "public"})
	switch {
	case err != nil && strings.Contains(err.Error(), "analysis failed"):
		return fmt.Errorf("a panic: %w", err)
	case err != nil:
		return nil
	case !plan.Sealed:
		plan = &sqlplan.Plan{Chunks: []string{sql}}
		for i := range s.args {
			plan.Params = append(plan.Params, sqlplan.Param{From: int32(i + 1)})
		}
	}
	if sent := strings.Join(plan.Chunks, "'cell'"); o.canaries.leaks([]byte(sent)) {
		return fmt.Errorf("a literal is sent: %s", sent)
	}
	for i, p := range plan.Params {
		if p.Use == nil && o.canaries.leaks(fmt.Append(nil, o.canaries.in(s.args[p.From-1:p.From])...)) {
			return fmt.Errorf("argument %d is sent as it is as $%d: %s", p.From, i+1, strings.Join(plan.Chunks, "'cell'"))
		}
	}
	return nil
}

// TestOffline needs no server.
func TestOffline(t *testing.T) {
	seed, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("COLSEAL_SHAPES_SEED=%d repeats this", seed)
	o, drawn := newOffline(), statementsOver(17, 2*shards, false, false)
	n := 30000
	if testing.Short() {
		n = 3000
	}
	for i := range n {
		s := drawn.Example(int(seed) + i)
		for keys := 1; keys <= 2; keys++ {
			if err := o.judge(t.Context(), s, keys); err != nil {
				t.Errorf("%d search keys: %v\n%#v", keys, err, s)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d statements, under one search key and under two", n)
}

// FuzzOffline has the fuzzer choose the statements.
func FuzzOffline(f *testing.F) {
	o, drawn := newOffline(), statementsOver(17, 0, false, false)
	choices := make([]byte, 8<<10) // enough for most statements
	for i := range byte(8) {
		_, _ = rand.NewChaCha8([32]byte{i}).Read(choices) // never fails
		f.Add(slices.Clone(choices))
	}
	f.Fuzz(rapid.MakeFuzz(func(rt *rapid.T) {
		s := drawn.Draw(rt, "statement")
		for keys := 1; keys <= 2; keys++ {
			if err := o.judge(rt.Context(), s, keys); err != nil {
				rt.Fatalf("%d search keys: %v", keys, err)
			}
		}
	}))
}
