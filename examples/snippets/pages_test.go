package snippets

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/schema"
)

const root = "../.."

// pages returns the Markdown pages that users read, by path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		paths = append(paths, filepath.Join(root, name))
	}
	all := map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(filepath.ToSlash(p), root+"/")] = string(text)
	}
	return all
}

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// blocks returns the code blocks of a language.
func blocks(page, language string) []string {
	var out []string
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

// plain takes away what differs between a block on a page and the source: the
// indentation, and how much blank space there is.
func plain(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// TestGoCompiles finds every Go block of the pages, and every line that a diff adds, in
// the sources of this package, which are compiled.
func TestGoCompiles(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources += "\n" + plain(string(text))
	}
	found := 0
	for name, page := range pages(t) {
		for _, block := range blocks(page, "go") {
			found++
			if !strings.Contains(sources, "\n"+plain(block)) {
				t.Errorf("%s: this block is not in the sources of this package:\n%s", name, block)
			}
		}
		for _, block := range blocks(page, "diff") {
			for line := range strings.Lines(block) {
				if added, ok := strings.CutPrefix(line, "+"); ok && !strings.Contains(sources, plain(added)) {
					t.Errorf("%s: this line of a diff is not in the sources of this package: %s", name, added)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d Go blocks were found: the test looks in the wrong place", found)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for name, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			target := filepath.Join(root, filepath.Dir(name), m[1])
			if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}

func TestKeyringDDL(t *testing.T) {
	page := pages(t)["docs/keys.md"]
	ddl := keycache.OpenStore(nil, keycache.Postgres, "").DDL()
	if !strings.Contains(plain(page), plain(ddl)) {
		t.Errorf("docs/keys.md does not hold the statement that the program prints:\n%s", ddl)
	}
}

// The tables that the pages' SQL is about.
var documented = schema.Must(
	schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.Deterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"}),
	schema.Columns("archive",
		schema.Column{Name: "email", Mode: schema.Deterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"}),
)

type catalog struct{}

func (catalog) Relation(_ context.Context, _, name string) (*sqlplan.Relation, error) {
	columns := []sqlplan.RelationColumn{
		{Name: "id", Type: "bigint"},
		{Name: "email", Type: "bytea", Storage: sqlplan.StorageBytes},
		{Name: "ssn", Type: "bytea", Storage: sqlplan.StorageBytes},
	}
	switch name {
	case "users":
		columns = append(columns,
			sqlplan.RelationColumn{Name: "note", Type: "text", Storage: sqlplan.StorageText},
			sqlplan.RelationColumn{Name: "org", Type: "bigint"})
	case "archive":
	case "orders":
		columns = []sqlplan.RelationColumn{{Name: "id", Type: "bigint"}, {Name: "user_id", Type: "bigint"}}
	default:
		return nil, nil
	}
	return &sqlplan.Relation{Schema: "public", Name: name, Columns: columns}, nil
}

var (
	sqlTable = regexp.MustCompile(`(?ms)^<!-- checked: (postgres|sqlite) -->\n(.*?)^$`)
	sqlCode  = regexp.MustCompile("`([^`]+)`")
)

// TestSQLTables asks the analysis about every statement of the marked tables. The last
// cell of a row says "works" or "refused".
func TestSQLTables(t *testing.T) {
	for name, least := range map[string]int{"README.md": 15, "docs/sql.md": 60} {
		checked := 0
		for _, m := range sqlTable.FindAllStringSubmatch(pages(t)[name], -1) {
			dialect := map[string]sqlplan.Dialect{"postgres": sqlplan.Postgres, "sqlite": sqlplan.SQLite}[m[1]]
			planner := sqlplan.New(documented, dialect, sqlplan.Options{})
			for line := range strings.Lines(m[2]) {
				cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "| \n"), `\|`, "\x00"), "|")
				if len(cells) < 2 {
					continue
				}
				verdict := strings.TrimSpace(cells[len(cells)-1])
				for _, code := range sqlCode.FindAllStringSubmatch(cells[0], -1) {
					checked++
					checkSQL(t, planner, strings.ReplaceAll(code[1], "\x00", "|"), verdict)
				}
			}
		}
		if checked < least {
			t.Errorf("%s: only %d statements were checked, want %d: the test does not find its tables", name, checked, least)
		}
	}
}

func checkSQL(t *testing.T, p *sqlplan.Planner, sql, verdict string) {
	t.Helper()
	_, err := p.Plan(t.Context(), sql, &sqlplan.Env{Catalog: catalog{}, SearchKeys: 1})
	got := "works"
	switch {
	case errors.Is(err, sqlplan.ErrRefused):
		got = "refused"
	case err != nil:
		t.Fatalf("%s: %v", sql, err)
	}
	if got != verdict {
		t.Errorf("the page says %q, the analysis says %q: %s", verdict, got, sql)
	}
}
