package corpus

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/lite"
	"github.com/colseal/colseal/internal/sqlparse/pg"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/testdiff"
)

// longest is how long one statement may take: far longer than any does, even on a machine that is busy.
const longest = 10 * time.Second

var update = flag.Bool("update", false, "rewrite the golden files")

// TestPostgreSQL has every statement of PostgreSQL's regression tests analysed, with and without a catalog.
func TestPostgreSQL(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: some 46,000 statements")
	}
	all := readCorpus(t, "github.com/sqlc-dev/oliphant", "parser/testdata/parse/postgres_regress", "== ", "--")
	if len(all) < 40000 {
		t.Fatalf("only %d statements were found: this looks in the wrong place", len(all))
	}
	var forwarded []string
	for _, env := range []*sqlplan.Env{{Catalog: newCatalog(tables), SearchKeys: 1}, {Catalog: newCatalog(tables), SearchKeys: 2}, {SearchKeys: 1}} {
		j := newJudge(dialect.Postgres, tables, env)
		for _, c := range all {
			if err := j.judge(t, c); err != nil {
				t.Errorf("%s: %v\n%s", c.id, err, c.sql)
			}
		}
		t.Logf("%d statements (catalog: %t, search keys: %d): %v", len(all), env.Catalog != nil, env.SearchKeys, j.count)
		if forwarded == nil {
			forwarded = j.forwarded
		}
	}
	golden(t, forwarded)
}

// TestSQLite has every text of SQLite's own tests analysed that needs no scripting language.
func TestSQLite(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: some 38,000 statements")
	}
	all := readCorpus(t, "github.com/sqlc-dev/meyer", "parser/testdata", "==== ", "----")
	if len(all) < 10000 {
		t.Fatalf("only %d texts were found: this looks in the wrong place", len(all))
	}
	j := newJudge(dialect.SQLite, liteTables, &sqlplan.Env{Catalog: newCatalog(liteTables), SearchKeys: 1})
	for _, c := range all {
		if err := j.judge(t, c); err != nil {
			t.Errorf("%s: %v\n%s", c.id, err, c.sql)
		}
	}
	t.Logf("%d texts: %v", len(all), j.count)
}

// golden holds which statements that have the name of a sealed table and of one of its sealed columns in them
// were analysed and found to touch no cell. Each has been looked at.
func golden(t *testing.T, forwarded []string) {
	t.Helper()
	slices.Sort(forwarded)
	testdiff.Golden(t, "testdata/forwarded.txt", strings.Join(forwarded, "\n")+"\n", *update)
}

// judge holds the plans of statements against a second opinion.
type judge struct {
	dialect   dialect.Dialect
	planner   *sqlplan.Planner
	env       *sqlplan.Env
	sealed    map[string][]string // the sealed columns of each table
	count     map[string]int
	forwarded []string
}

func newJudge(d dialect.Dialect, tables map[string]string, env *sqlplan.Env) *judge {
	return &judge{dialect: d, planner: sqlplan.New(declared(tables), d, sqlplan.Options{}), env: env, sealed: sealedNames(tables), count: map[string]int{}}
}

func (j *judge) judge(t *testing.T, c testCase) error {
	hang := time.AfterFunc(longest, func() { panic("the analysis hangs on " + c.id) })
	plan, err := j.planner.Plan(t.Context(), c.sql, j.env)
	hang.Stop()
	var r *sqlplan.Refusal
	switch {
	case errors.As(err, &r):
		j.count["refused"]++
		if strings.Contains(r.Reason, "analysis failed") || strings.Contains(r.Reason, "parser failed") {
			return fmt.Errorf("a panic: %s", r.Reason)
		}
		return nil
	case err != nil:
		return err
	case plan.Sealed:
		j.count["rewritten"]++
		return j.sound(plan)
	}
	table, column, star := j.touches(c.sql)
	switch {
	case table == "":
		j.count["names no sealed table"]++
	case plan.Statements == 0 && (column != "" || star):
		return fmt.Errorf("it is forwarded unanalysed, and names %s and %s (star: %t)", table, column, star)
	case column != "":
		j.count["analysed, no cell touched"]++
		j.forwarded = append(j.forwarded, c.id+": "+table+"."+column)
	default:
		j.count["names no sealed column"]++
	}
	return nil
}

// touches is the second opinion: which sealed table and which of its sealed columns a statement names, and whether
// it has a star.
func (j *judge) touches(sql string) (table, column string, star bool) {
	names, star := words(sql)
	for t, columns := range j.sealed {
		if !names[t] {
			continue
		}
		if table == "" || t < table {
			table = t
		}
		for _, c := range columns {
			if _, ok := names[c]; ok && (column == "" || c < column) {
				column = c
			}
		}
	}
	return table, column, star
}

// sound says what is wrong with a plan that rewrites.
func (j *judge) sound(plan *sqlplan.Plan) error {
	if len(plan.Chunks) != len(plan.Literals)+1 {
		return fmt.Errorf("%d chunks for %d literals", len(plan.Chunks), len(plan.Literals))
	}
	parse, cell := pg.Parse, `'\x00'::bytea`
	if j.dialect == dialect.SQLite {
		parse, cell = lite.Parse, "X'00'"
	}
	sent := strings.Join(plan.Chunks, cell)
	file, err := parse(sent, sqlparse.Limits{})
	if err != nil {
		return fmt.Errorf("what would be sent is no SQL: %w\n%s", err, sent)
	}
	if len(file.Statements) != plan.Statements {
		return fmt.Errorf("what would be sent has %d statements, not %d:\n%s", len(file.Statements), plan.Statements, sent)
	}
	return nil
}
