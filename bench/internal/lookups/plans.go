package lookups

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// The texts that are planned. The first two are of programs; the last has sixty lines.
const (
	sealedText  = "SELECT id, email FROM users WHERE email = $1"
	forwardText = "SELECT id, total FROM orders WHERE id = $1"
)

func longText() string {
	var b strings.Builder
	b.WriteString("WITH recent AS (SELECT id, email FROM users WHERE note LIKE $1)\nSELECT u.id, u.email\n")
	for range 27 {
		b.WriteString(", CASE WHEN u.org = 7\n THEN u.note ELSE 'none' END\n")
	}
	b.WriteString("FROM users u JOIN recent r ON r.id = u.id\nWHERE u.email = $2\n AND u.org IN (1, 2, 3)\n ORDER BY u.id")
	return b.String()
}

// catalog is what the server would say.
type catalog struct{}

// Relation implements [sqlplan.Catalog].
func (catalog) Relation(_ context.Context, _, name string) (*dbcatalog.Relation, error) {
	columns := map[string][]dbcatalog.Column{
		"users": {{Name: "id", Type: "bigint", Storage: dbcatalog.StorageOther}, {Name: "email", Type: "bytea", Storage: dbcatalog.StorageBytes},
			{Name: "note", Type: "text", Storage: dbcatalog.StorageText}, {Name: "org", Type: "bigint", Storage: dbcatalog.StorageOther}},
		"orders": {{Name: "id", Type: "bigint", Storage: dbcatalog.StorageOther}, {Name: "total", Type: "numeric", Storage: dbcatalog.StorageOther}},
	}[name]
	if columns == nil {
		return nil, nil
	}
	return &dbcatalog.Relation{Schema: "public", Name: name, Columns: columns}, nil
}

func newPlanner(most int) (*sqlplan.Planner, *sqlplan.Env, error) {
	tables, err := schema.New(schema.Columns("users", schema.Column{Name: "email", Mode: schema.Deterministic, Kind: schema.Text}))
	if err != nil {
		return nil, nil, err
	}
	p := sqlplan.New(tables, dialect.Postgres, sqlplan.Options{MaxPlans: most})
	return p, &sqlplan.Env{Catalog: catalog{}, SearchPath: `"$user", public`}, nil
}

// planLookups finds plans that were made before.
func planLookups(o Options) ([]Result, error) {
	p, env, err := newPlanner(0)
	if err != nil {
		return nil, err
	}
	var lookups []lookup
	for _, l := range []struct{ name, text string }{
		{"plan of a statement that seals", sealedText},
		{"plan of one of 60 lines that seals", longText()},
		{"plan of a statement that is forwarded", forwardText},
	} {
		if _, err := p.Plan(context.Background(), l.text, env); err != nil {
			return nil, err
		}
		lookups = append(lookups, lookup{l.name, planning(p, env, l.text)})
	}
	return measure(o, lookups), nil
}

// planning plans the texts in turn.
func planning(p *sqlplan.Planner, env *sqlplan.Env, texts ...string) func(int) {
	ctx := context.Background()
	return func(n int) {
		for i := range n {
			if _, err := p.Plan(ctx, texts[i%len(texts)], env); err != nil {
				panic(err) // it was planned before
			}
		}
	}
}

// firstAnalyses plans texts that were never seen: a comment makes each another one.
func firstAnalyses(o Options) ([]Result, error) {
	var results []Result
	for _, l := range []struct{ name, text string }{
		{"first analysis of a point query", sealedText},
		{"first analysis of a query of 60 lines", longText()},
	} {
		p, env, err := newPlanner(16)
		if err != nil {
			return nil, err
		}
		seen := 0
		results = append(results, measureOne(o, l.name, func(n int) {
			for range n {
				seen++
				if _, perr := p.Plan(context.Background(), fmt.Sprintf("%s -- %d", l.text, seen), env); perr != nil {
					err = perr
				}
			}
		}))
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

func measureOne(o Options, name string, run func(int)) Result {
	return measureWidths(o, []int{1}, []lookup{{name, run}})[0]
}

// planAmong finds plans among so many, and for each does the least that a statement does
// with a plan that seals: it opens one cell.
func planAmong(size int) (func(int), error) {
	p, env, err := newPlanner(size)
	if err != nil {
		return nil, err
	}
	texts := make([]string, size)
	for i := range texts {
		texts[i] = fmt.Sprintf("SELECT id, email AS e%d FROM users WHERE email = $1", i)
		if _, err := p.Plan(context.Background(), texts[i], env); err != nil {
			return nil, err
		}
	}
	open, err := openAmong(inUse)
	if err != nil {
		return nil, err
	}
	plan := planning(p, env, spaced(texts)...)
	return func(n int) {
		for n > 0 {
			some := min(n, inUse)
			plan(some)
			open(some)
			n -= some
		}
	}, nil
}

// inUse is how many of many are looked up in turn. What they touch stays in the fastest
// cache of a processor, so that what is timed is the lookup and not the memory.
const inUse = 16

// spaced returns inUse of the values, from all over.
func spaced[T any](all []T) []T {
	some := make([]T, inUse)
	for i := range some {
		some[i] = all[i*len(all)/len(some)]
	}
	return some
}

func allocations(run func(int)) float64 { return testing.AllocsPerRun(100, func() { run(1) }) }
