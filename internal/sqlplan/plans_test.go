package sqlplan

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/schema"
)

// A program may write another text into the memory of one that it had planned.
func TestPlanOfMemoryUsedAgain(t *testing.T) {
	memory := []byte("UPDATE orders SET memo = $1")
	text := unsafe.String(&memory[0], len(memory))
	p := New(nil, dialect.Postgres, Options{})
	env := &Env{Recent: &Recent{}}
	var before *Plan
	for range 3 {
		var err error
		if before, err = p.Plan(t.Context(), text, env); err != nil {
			t.Fatal(err)
		}
	}
	if copy(memory, "UPDATE people SET mail = $1"); text != "UPDATE people SET mail = $1" {
		t.Fatal("the text is another one")
	}
	if after, err := p.Plan(t.Context(), text, env); err != nil || after == before {
		t.Errorf("the plan of the text that stood there before; error %v", err)
	}
}

// A plan is found under what it was made for, and under nothing else, whatever a connection remembers.
func TestPlanVariants(t *testing.T) {
	for _, connection := range []*Recent{nil, {}} {
		testPlanVariants(t, connection)
	}
}

func testPlanVariants(t *testing.T, connection *Recent) {
	ps := newPlans(100, 1<<20)
	const text = "SELECT email FROM users"
	envs := []*Env{{SearchPath: "a"}, {SearchPath: "b"}, {SearchPath: "a", SearchKeys: 2}, {SearchPath: "c", SearchKeys: 1}}
	made := make([]*Plan, len(envs))
	for i, e := range envs {
		e.Recent = connection
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
	if other := newPlans(100, 1<<20); other.get(text, envs[1], 0) != nil {
		t.Error("a plan of other knowledge was found")
	}
	if ps.get(text, nil, 0) != nil {
		t.Error("a plan that depends on the session was found without one")
	}
	// What is made again takes the place of the outdated.
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
	ps := newPlans(10, 1<<20)
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

var full = flag.Bool("full", false, "plan as many texts as the documents speak of")

// heap returns the bytes on the heap.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// batch is an INSERT of n rows of twenty values each, as ORMs make them.
func batch(n int) string {
	return "INSERT INTO users(id,email,ssn,note,org) VALUES " + join(4*n, ",", func(i int) string {
		return fmt.Sprintf("($%d,$%d,$%d,$%d,$%d)", 5*i+1, 5*i+2, 5*i+3, 5*i+4, 5*i+5)
	})
}

// What a plan is said to take is about what it takes.
func TestPlanBytes(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect dialect.Dialect
		n       int
		text    func(i int) string
	}{
		{"points", dialect.Postgres, 2000, func(i int) string {
			return fmt.Sprintf("SELECT id, email AS e%d /* %d */ FROM users WHERE email=$1 LIMIT %d", i, i, i)
		}},
		{"forwarded", dialect.Postgres, 2000, func(i int) string { return fmt.Sprintf("SELECT id, total FROM orders WHERE id=$1 LIMIT %d", i) }},
		{"stars", dialect.Postgres, 20, func(i int) string { return fmt.Sprintf("SELECT w.*, u.* FROM wide w, users u LIMIT %d", i) }},
		{"batches", dialect.Postgres, 30, func(i int) string { return batch(20 + i) }},
		{"literals", dialect.Postgres, 100, func(i int) string {
			return "INSERT INTO users(id,email,ssn) VALUES " + join(100+i, ",", func(j int) string { return fmt.Sprintf("(%d,'mail %d','ssn %d')", i, j, j) })
		}},
		{"IN", dialect.Postgres, 100, func(i int) string {
			return "SELECT id FROM users WHERE email IN (" + join(100+i, ",", numbered("$#")) + ")"
		}},
		{"SQLite", dialect.SQLite, 100, func(i int) string {
			return "SELECT email=:a FROM users WHERE email IN (" + join(100+i, ",", always("?")) + ")"
		}},
	} {
		for keys := 1; keys <= 2; keys++ {
			plan := func(p *Planner, i int) {
				if _, err := p.Plan(t.Context(), c.text(i), &Env{Catalog: testCatalog, SearchKeys: keys}); err != nil {
					t.Fatal(c.name, err)
				}
			}
			plan(New(testSchema, c.dialect, Options{}), 0) // what the grammars keep is not a plan's
			before := heap()
			p := New(testSchema, c.dialect, Options{})
			for i := range c.n {
				plan(p, i)
			}
			took, said := heap()-before, 0
			for _, plan := range p.Known().plans.texts.All() {
				said += plan.bytes
			}
			t.Logf("%s, %d search keys: %d bytes, said to be %d", c.name, keys, took, said)
			if said < took*2/3 || said > took*3/2 {
				t.Errorf("%s, %d search keys: plans are said to take %d bytes and take %d", c.name, keys, said, took)
			}
			runtime.KeepAlive(p)
		}
	}
}

// The plans of long texts do not fill the memory.
func TestPlansAreBoundedByBytes(t *testing.T) {
	limit, texts, batches := 1<<20, 300, 60
	if *full {
		limit, texts, batches = 32<<20, 2000, 196
	}
	lists := func(i int) string {
		return "SELECT id FROM users WHERE email IN (" + join(i, ",", numbered("$#")) + ")"
	}
	for _, c := range []struct {
		name string
		n    int
		text func(i int) string
	}{{"growing IN lists", texts, lists}, {"batches", batches, batch}} {
		before := heap()
		p := New(testSchema, dialect.Postgres, Options{MaxPlanBytes: limit})
		for i := 1; i <= c.n; i++ {
			if _, err := p.Plan(t.Context(), c.text(i), &Env{Catalog: testCatalog}); err != nil {
				t.Fatal(err)
			}
		}
		took := heap() - before
		t.Logf("%d %s: %d plans are kept, in %d KiB", c.n, c.name, p.Stats().Plans, took>>10)
		if took > limit*5/4 || p.Stats().Plans == 0 {
			t.Errorf("%d %s: %d plans take %d bytes, with a limit of %d", c.n, c.name, p.Stats().Plans, took, limit)
		}
		runtime.KeepAlive(p)
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

// Which name it is that has letters beyond ASCII and no quotes depends on the server.
func TestPlanTellsOfBareNames(t *testing.T) {
	p := New(testSchema, dialect.Postgres, Options{})
	for text, want := range map[string]bool{
		"SELECT id AS é FROM users":                    true,
		`SELECT 'é', "note" AS "é" FROM users -- é`:    false,
		`SELECT id AS U&"é" FROM users`:                false,
		"SELECT id FROM users u /* é */, plain Ünï":    true,
		"SELECT id AS é FROM plain":                    false,
		"INSERT INTO users (id, note) VALUES (1, 'é')": false,
	} {
		if plan, err := p.Plan(t.Context(), text, &Env{Catalog: testCatalog}); err != nil || plan.Bare != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What a backslash means depends on the session, whatever else is in the text.
func TestPlanTellsOfBackslash(t *testing.T) {
	copying := schema.Must(schema.Columns("users", schema.Column{Name: "email", Stage: schema.StageCopy}))
	for _, s := range []*schema.Schema{nil, testSchema, copying} {
		p := New(s, dialect.Postgres, Options{})
		for _, text := range []string{`SELECT '\'`, `SELECT note FROM users WHERE note = '\'`, `SELECT '\' FROM plain --`, `\`, `UPDATE users SET note = '\'`} {
			for range 3 { // made, and found
				plan, err := p.Plan(t.Context(), text, &Env{Catalog: testCatalog, Recent: &Recent{}})
				if err == nil && !plan.Backslash {
					t.Errorf("%s: not told", text)
				}
			}
		}
		for _, text := range []string{"SELECT '/'", "SELECT email FROM users WHERE note = '/'", "UPDATE users SET email = $1"} {
			if plan, err := p.Plan(t.Context(), text, &Env{Catalog: testCatalog}); err != nil || plan.Backslash {
				t.Errorf("%s, no backslash: told, or %v", text, err)
			}
		}
		// The literal may become that of a bytea.
		if plan, err := p.Plan(t.Context(), "UPDATE users SET email = 'x'", &Env{Catalog: testCatalog}); err != nil || plan.Backslash != plan.Sealed {
			t.Errorf("a literal that is sealed: Backslash is %v, or %v", plan.Backslash, err)
		}
	}
}

// A text is sealed as it is given only where nothing else is to be done with it.
func TestTakesText(t *testing.T) {
	of := func(c schema.Column) *schema.Column {
		return schema.Must(schema.Columns("users", c)).Tables()[0].Columns()[0]
	}
	text := of(schema.Column{Name: "email"})
	if u := (Use{Column: text}); !u.TakesText() {
		t.Error("a text for a randomized column is not taken")
	}
	for name, u := range map[string]Use{
		"another kind":        {Column: of(schema.Column{Name: "email", Kind: schema.KindInt})},
		"equal cells":         {Column: of(schema.Column{Name: "email", Mode: schema.ModeDeterministic})},
		"an order":            {Column: of(schema.Column{Name: "email", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "9"})},
		"terms":               {Column: of(schema.Column{Name: "email", Terms: codec.Terms{Fold: true}})},
		"no place for a cell": {Column: text, Storage: dbcatalog.StorageOther},
		"a question":          {Column: text, Ask: &Ask{NullIf: true}},
		"a search for terms":  {Column: text, Match: Match{Form: MatchMember}},
		"a bound":             {Column: text, Bound: Least},
		"a limit":             {Column: text, Limit: pgvalue.FitsInt2},
		"a comparison":        {Column: text, Compared: true},
	} {
		if u.TakesText() {
			t.Errorf("taken in spite of %s", name)
		}
	}
}

// What a connection found is counted at once.
func TestHitsAreCounted(t *testing.T) {
	p, env := New(nil, dialect.Postgres, Options{}), &Env{Recent: &Recent{}}
	for range 11 {
		if _, err := p.Plan(t.Context(), "SELECT 1", env); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s.Hits != 10 || s.Misses != 1 {
		t.Errorf("%+v", s)
	}
}
