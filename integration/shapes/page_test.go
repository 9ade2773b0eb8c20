package shapes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

var update = flag.Bool("update", false, "rewrite the tables of statements in docs")

const root = "../../"

// groups are the tables of the pages, by the name in the comments that they stand between.
var groups = map[string][]shape{
	"inserts": inserts, "upserts": upserts, "updates": updates, "predicates": predicates, "reads": reads, "grouping": grouping, "literals": literals,
	"parameters": rolesOfParameters, "definitions": definitions, "sessions": sessions,
}

var generated = regexp.MustCompile(`(?s)<!-- shapes: (\w+) -->\n.*?<!-- end -->`)

// TestPages holds the tables of the pages: every shape, what becomes of it, and why. The other tests of this package
// hold the same shapes on real servers.
func TestPages(t *testing.T) {
	files, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page := generated.ReplaceAllStringFunc(string(text), func(section string) string {
			name := generated.FindStringSubmatch(section)[1]
			shown += len(groups[name])
			return "<!-- shapes: " + name + " -->\n" + table(t, groups[name]) + "<!-- end -->"
		})
		if page == string(text) {
			continue
		}
		if !*update {
			t.Errorf("%s is not as the tests are: go test ./integration/shapes -run TestPages -update", file)
			continue
		}
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if all := len(allShapes()) - len(dependents); shown != all { // those are about one database
		t.Errorf("the pages have %d of %d shapes", shown, all)
	}
}

// newPlanner makes the analysis that the driver makes.
func newPlanner(s *schema.Schema, d dialect.Dialect) *sqlplan.Planner {
	return sqlplan.New(s, d, sqlplan.Options{KeyTable: dbcatalog.Name{Table: "colseal_keys"}})
}

// table writes one table.
func table(t *testing.T, shapes []shape) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| statement | |\n|---|---|\n")
	planner := newPlanner(sealedTables, dialect.Postgres)
	last := ""
	for _, s := range shapes {
		if s.sql == last { // the same with other values
			continue
		}
		last = s.sql
		r := refusalOf(t, planner, s.sql, 1)
		if (r != nil) != (s.want == refused) {
			t.Errorf("%s: the servers' tests want otherwise than the analysis: %v", s.sql, r)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", shownSQL(s.sql), outcomeOf(t, planner, s, r))
	}
	return b.String()
}

// shownSQL is a statement as the page has it.
func shownSQL(sql string) string {
	sql = strings.NewReplacer(mark+"-", "secret-", mark, "secret", "\n", " ⏎ ", "|", `\|`).Replace(sql)
	return "`" + strings.Join(strings.Fields(sql), " ") + "`"
}

// outcomeOf says what becomes of a shape.
func outcomeOf(t *testing.T, p *sqlplan.Planner, s shape, r *sqlplan.Refusal) string {
	t.Helper()
	cell := func(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
	if r != nil {
		text := "**refused**: " + cell(r.Reason)
		if r.Hint != "" {
			text += ". " + strings.ToUpper(r.Hint[:1]) + cell(r.Hint[1:])
		}
		return text
	}
	text := "works"
	if s.since > 0 {
		text += fmt.Sprintf(", from PostgreSQL %d on", s.since)
	}
	if refusalOf(t, p, s.sql, 2) != nil {
		text += "; not while two search keys are live"
	}
	return text
}

// refusalOf asks the analysis about a statement; nil when it works.
func refusalOf(t *testing.T, p *sqlplan.Planner, sql string, searchKeys int) *sqlplan.Refusal {
	t.Helper()
	_, err := p.Plan(t.Context(), sql, &sqlplan.Env{Catalog: ddlCatalog, SearchKeys: searchKeys, SearchPath: "public"})
	var r *sqlplan.Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatalf("%s: %v", sql, err)
	}
	return r
}

// catalogOf is a server that has the tables of ddl.
type catalogOf map[string]*dbcatalog.Relation

var ddlCatalog = func() catalogOf {
	all := catalogOf{}
	for _, m := range regexp.MustCompile(`CREATE TABLE (?:(\w+)\.)?(\w+) \((.*)\);`).FindAllStringSubmatch(ddl+plainDDL, -1) {
		r := &dbcatalog.Relation{Schema: m[1], Name: m[2]}
		if r.Schema == "" {
			r.Schema = "public"
		}
		for def := range strings.SplitSeq(m[3], ", ") {
			name, typ, _ := strings.Cut(def, " ")
			col := dbcatalog.Column{Name: name, Type: strings.Fields(typ)[0], Storage: dbcatalog.StorageText}
			if strings.HasPrefix(typ, "%") {
				col.Type, col.Storage = "bytea", dbcatalog.StorageBytes
			}
			r.Columns = append(r.Columns, col)
		}
		all[r.Schema+"."+r.Name] = r
	}
	view := &dbcatalog.Relation{Schema: "public", Name: "user_view", View: true}
	for _, i := range []int{0, 1, 3} { // as ddl has it: id, email, note
		view.Columns = append(view.Columns, all["public.users"].Columns[i])
	}
	all["public.user_view"] = view
	return all
}()

// Relation implements sqlplan.Catalog.
func (c catalogOf) Relation(_ context.Context, schemaName, name string) (*dbcatalog.Relation, error) {
	if schemaName == "" || schemaName == "main" {
		schemaName = "public"
	}
	return c[schemaName+"."+name], nil
}

// liteTables are those that the pages' SQLite statements are about.
var liteTables = schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}))

var (
	checked = regexp.MustCompile(`(?ms)^<!-- checked: (postgres|sqlite) -->\n(.*?)^$`)
	inCode  = regexp.MustCompile("`([^`]+)`")
)

// TestCheckedTables asks the analysis about the statements of the tables that are not generated: those of README.md and
// of SQLite. The last cell of a row says "works" or "refused".
func TestCheckedTables(t *testing.T) {
	planners := map[string]*sqlplan.Planner{
		"postgres": newPlanner(sealedTables, dialect.Postgres),
		"sqlite":   newPlanner(liteTables, dialect.SQLite),
	}
	for name, least := range map[string]int{"README.md": 15, "docs/sql-sqlite.md": 8} {
		text, err := os.ReadFile(root + name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range checked.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(m[2]) {
				cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "| \n"), `\|`, "\x00"), "|")
				verdict := strings.TrimSpace(cells[len(cells)-1])
				for _, c := range inCode.FindAllStringSubmatch(cells[0], -1) {
					n++
					sql := strings.ReplaceAll(c[1], "\x00", "|")
					if r := refusalOf(t, planners[m[1]], sql, 1); (r != nil) != (verdict == "refused") {
						t.Errorf("%s says %q of a statement, the analysis says otherwise: %s", name, verdict, sql)
					}
				}
			}
		}
		if n < least {
			t.Errorf("%s: only %d statements were found, want %d: the test looks in the wrong place", name, n, least)
		}
	}
}
