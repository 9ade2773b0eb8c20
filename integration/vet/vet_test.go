// Package vet_test compares what package vet says of a program with what Colseal does when it runs.
package vet_test

import (
	"database/sql"
	"errors"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/vet/shapes"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
	"github.com/colseal/colseal/vet"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var people = schema.Must(schema.Columns("vet_people",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic},
	schema.Column{Name: "ssn"}))

// outcome is what is said of a shape: that it is refused, that it works, or nothing.
type outcome struct{ checked, found, notJudged bool }

// TestShapes: each shape is judged or counted, and what is judged is what happens.
func TestShapes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs PostgreSQL, and loads packages")
	}
	said := judge(t)
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		e := environment(t, db)
		for name, run := range shapes.All {
			refused := false
			for _, e.Flag = range []bool{false, true} {
				err := run(t.Context(), e)
				var q *driver.QueryError
				if refused = refused || errors.As(err, &q); err != nil && !errors.As(err, &q) {
					t.Errorf("%s: %v", name, err)
				}
			}
			switch o := said[name]; {
			case !o.checked && !o.found && !o.notJudged:
				t.Errorf("%s is neither judged nor counted", name)
			case o.found && !refused:
				t.Errorf("%s: vet says that it is refused, and it works", name)
			case o.checked && !o.found && !o.notJudged && refused:
				t.Errorf("%s: vet says that it works, and it is refused", name)
			}
		}
	})
	for _, name := range []string{"AppendedInLoop", "SprintfOpen", "SquirrelOpen", "GORMBuilt", "FromMap"} {
		if !said[name].notJudged {
			t.Errorf("%s is not counted as not judged", name)
		}
		delete(said, name)
	}
	for name, o := range said {
		if o.notJudged {
			t.Errorf("%s is not judged", name)
		}
	}
}

// TestFile: each query of a file is judged or counted, and what is judged is what happens.
func TestFile(t *testing.T) {
	content, err := os.ReadFile("testdata/queries.sql")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(query string) (*explain.Explanation, error) {
		return explain.Offline(people, driver.DialectPostgres, query)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		e := environment(t, db)
		counts := map[string]int{}
		for _, query := range strings.Split(string(content), "-- name: ")[1:] {
			name, text, _ := strings.Cut(query, "\n")
			said, err := vet.CheckSQL("-- name: "+query, "", ask)
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.SQLX.NamedExecContext(t.Context(), text, map[string]any{"email": "a", "other": "b"})
			var q *driver.QueryError
			if err != nil && !errors.As(err, &q) {
				t.Errorf("%s: %v", name, err)
			}
			switch refused := err != nil; {
			case len(said.NotJudged) > 0:
				counts["not judged"]++
			case said.Checked != 1:
				t.Errorf("%s is neither judged nor counted", name)
			case refused != (len(said.Found) > 0):
				t.Errorf("%s: vet found %v, and it ended with %v", name, said.Found, err)
			case refused:
				counts["refused"]++
			default:
				counts["works"]++
			}
		}
		if want := (map[string]int{"works": 5, "refused": 6, "not judged": 1}); !maps.Equal(counts, want) {
			t.Errorf("%v, want %v", counts, want)
		}
	})
}

// judge runs the analysis over the shapes, and says which function each of its words is about.
func judge(t *testing.T) map[string]outcome {
	t.Helper()
	cfg := &packages.Config{Context: t.Context(), Mode: packages.LoadSyntax}
	pkgs, err := packages.Load(cfg, "./shapes", "./shapes/queries")
	if err != nil || packages.PrintErrors(pkgs) > 0 {
		t.Fatal("the packages cannot be loaded: ", err)
	}
	for _, p := range pkgs {
		for path := range p.Imports {
			if !strings.HasSuffix(path, "/shapes/queries") {
				delete(p.Imports, path)
			}
		}
	}
	a := vet.New(vet.Config{Open: func() (vet.Explain, error) {
		return func(query string) (*explain.Explanation, error) {
			return explain.Offline(people, driver.DialectPostgres, query)
		}, nil
	}})
	graph, err := checker.Analyze([]*analysis.Analyzer{a}, pkgs, nil)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]outcome{}
	for _, root := range graph.Roots {
		if root.Err != nil {
			t.Fatal(root.Err)
		}
		say := func(pos token.Pos, what outcome) {
			for _, name := range about(root.Package, pos) {
				o := said[name]
				said[name] = outcome{o.checked || what.checked, o.found || what.found, o.notJudged || what.notJudged}
			}
		}
		r := root.Result.(*vet.Result)
		for _, d := range root.Diagnostics {
			say(d.Pos, outcome{found: true})
		}
		for _, p := range r.Checked {
			say(p, outcome{checked: true})
		}
		for _, n := range r.NotJudged {
			say(n.Pos, outcome{notJudged: true})
		}
	}
	return said
}

// about names the shapes that a place is in. Files have theirs.
func about(p *packages.Package, pos token.Pos) []string {
	switch filepath.Base(p.Fset.Position(pos).Filename) {
	case "by_ssn.sql":
		return []string{"EmbeddedRefused", "TreeRefused"}
	case "longest.sql":
		return []string{"FileOfAnotherPackage"}
	}
	for _, f := range p.Syntax {
		for _, d := range f.Decls {
			if fun, ok := d.(*ast.FuncDecl); ok && fun.Pos() <= pos && pos < fun.End() && shapes.All[fun.Name.Name] != nil {
				return []string{fun.Name.Name}
			}
		}
	}
	return nil
}

func environment(t *testing.T, db *pgtest.DB) *shapes.Env {
	t.Helper()
	key, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	pg, err := pgx.ParseConfig(db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), driver.Config{Schema: people, KMS: key, AutoCreateKeyTable: true})
	if err != nil {
		t.Fatal(err)
	}
	sealed := sql.OpenDB(cn)
	t.Cleanup(func() { _ = sealed.Close() })
	if _, err := sealed.ExecContext(t.Context(), "CREATE TABLE vet_people (id bigint PRIMARY KEY, email bytea, ssn bytea, note text)"); err != nil {
		t.Fatal(err)
	}
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: sealed}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return &shapes.Env{DB: sealed, SQLX: sqlx.NewDb(sealed, "pgx"), GORM: g}
}
