package sqlplan

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/schema"
)

// longest is how long the analysis of a fuzzed text may take. It is far more than any needs, so that
// only a hang is one.
const longest = 10 * time.Second

// FuzzPlan looks for texts that panic or hang, that are answered by anything but a plan or a refusal, and for
// plans that cannot be carried out.
func FuzzPlan(f *testing.F) {
	seeds := 0
	for _, name := range []string{"postgres", "sqlite", "postgres-ddl", "sqlite-ddl", "postgres-twokeys", "sqlite-twokeys"} {
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
	planners := []*Planner{New(testSchema, dialect.Postgres, Options{}), New(testSchema, dialect.SQLite, Options{})}
	f.Fuzz(func(t *testing.T, sql string) {
		for _, p := range planners {
			for keys := 1; keys <= 3; keys++ {
				began := time.Now()
				plan, _, err := p.analyse(t.Context(), sql, &Env{Catalog: testCatalog, SearchKeys: keys}, p.Known())
				if d := time.Since(began); d > longest {
					t.Errorf("dialect %d: %q takes %v", p.dialect, sql, d)
				}
				if err != nil {
					err = wellRefused(err, sql)
				} else {
					err = wellPlanned(p, plan, sql, keys)
				}
				if err != nil {
					t.Errorf("dialect %d, %d search keys: %q: %v", p.dialect, keys, sql, err)
				}
			}
		}
	})
}

// wellRefused says what is wrong with a refusal.
func wellRefused(err error, sql string) error {
	var r *Refusal
	switch {
	case !errors.As(err, &r) || !errors.Is(err, colseal.ErrRefused):
		return fmt.Errorf("%w is no refusal", err)
	case strings.Contains(r.Reason, "analysis failed") || strings.Contains(r.Reason, "parser failed"):
		return fmt.Errorf("a panic: %s", r.Reason)
	case r.Pos < 0 || r.Pos > len(sql) || r.Query != "" && len(r.Query) != len(sql):
		return fmt.Errorf("position %d in %q", r.Pos, r.Query)
	case r.Reason == "" || r.Column != "" && r.Table == "":
		return fmt.Errorf("it does not say what: %+v", r)
	}
	return nil
}

// wellPlanned says why a plan cannot be carried out.
func wellPlanned(p *Planner, plan *Plan, sql string, keys int) error {
	if !plan.Sealed {
		if len(plan.Literals)+len(plan.Params)+len(plan.Head)+len(plan.Tail) > 0 || len(plan.Chunks) > 1 {
			return fmt.Errorf("it is forwarded, and has parts: %+v", plan)
		}
		if !contains(plan.Text(sql), sql) {
			return fmt.Errorf("it is forwarded as another text: %q", plan.Text(sql))
		}
		return nil
	}
	if len(plan.Chunks) != len(plan.Literals)+1 {
		return fmt.Errorf("%d chunks for %d literals", len(plan.Chunks), len(plan.Literals))
	}
	cell := map[dialect.Dialect]string{dialect.Postgres: `'\x00'::bytea`, dialect.SQLite: `X'00'`}[p.dialect]
	sent := strings.Join(plan.Chunks, cell)
	file, err := p.parse(sent)
	if err != nil {
		return fmt.Errorf("what would be sent, %q, does not parse: %w", sent, err)
	}
	if len(file.Statements) != plan.Statements {
		return fmt.Errorf("what would be sent, %q, has %d statements, not %d", sent, len(file.Statements), plan.Statements)
	}
	if err := chosenKeys(plan, keys); err != nil {
		return err
	}
	return coveredParams(p, plan)
}

// coveredParams says which argument of the caller's a plan loses or invents.
func coveredParams(p *Planner, plan *Plan) error {
	used := make([]bool, plan.NumInput)
	for i, q := range plan.Params {
		switch {
		case q.From < 0 || int(q.From) > plan.NumInput || (q.From == 0) == (q.Name == 0):
			return fmt.Errorf("parameter %d is of argument %d %d of %d", i, q.From, q.Name, plan.NumInput)
		case q.From > 0:
			used[q.From-1] = true
		}
		if q.Use != nil && !q.Use.Answered() && (q.Use.Column == nil || q.Use.Storage == 0) {
			return fmt.Errorf("parameter %d is sealed for nothing", i)
		}
	}
	if i := slices.Index(used, false); i >= 0 && p.dialect == dialect.Postgres { // SQLite's ?5 leaves four out
		return fmt.Errorf("argument %d is not sent", i+1)
	}
	return nil
}

// chosenKeys says which use of a plan has a search key that it cannot have.
func chosenKeys(plan *Plan, keys int) error {
	uses := make([]*Use, 0, len(plan.Params)+len(plan.Literals))
	for i := range plan.Params {
		uses = append(uses, plan.Params[i].Use)
	}
	for i := range plan.Literals {
		uses = append(uses, &plan.Literals[i].Use)
	}
	for _, u := range uses {
		if u != nil && (u.Key < 0 || u.Key >= keys) {
			return fmt.Errorf("search key %d of %d", u.Key, keys)
		}
		if u != nil && u.Key > 0 && (!plan.Search || u.Column.Mode != schema.ModeDeterministic) {
			return errors.New("a search key for what is not searched")
		}
	}
	return nil
}

// contains reports whether text is part with more in between.
func contains(text, part string) bool {
	for i := range len(text) {
		if part != "" && text[i] == part[0] {
			part = part[1:]
		}
	}
	return part == ""
}
