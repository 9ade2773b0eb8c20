package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/vet"
)

func newVet() *cobra.Command {
	v := &vetting{src: &source{}}
	var tags, files []string
	var verbose, strict bool
	cmd := &cobra.Command{
		Use:   "vet [PACKAGES]",
		Short: "Find SQL in Go packages and files that Colseal would refuse, or never gets to see",
		Long: "Find SQL in Go packages and files that Colseal would refuse, or never gets to see.\n" +
			"Without --models and --schema the schema is in the file that " + vet.SchemaEnv + " names, in " + vet.SchemaFile + " beside\n" +
			"go.mod, or else in the packages of the module. Also runs as go vet -vettool=$(which colseal) ./...\n\n" +
			"With --sql it looks at files of SQL instead: queries with name comments, as goyesql and sqlc read them, or migrations.\n\n" +
			"It ends in one line: how many statements were checked, how many of them were found to be refused, and how many were\n" +
			"not judged, for which --strict ends with the exit status 1, too. -v and --strict list those.",
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := dialect.Parse(v.dialectName)
			if err != nil {
				return err
			}
			v.dialect = d
			if d == dialect.SQLite && v.dsn != "" {
				return errors.New("--dsn is for PostgreSQL only; leave it out")
			}
			if len(files) > 0 && (len(args) > 0 || len(tags) > 0) {
				return errors.New("--sql is for files of SQL: name packages and --tags in a run of their own")
			}
			defer v.close()
			var r *vetted
			if len(files) > 0 {
				r, err = v.files(cmd.Context(), files)
			} else {
				r, err = v.packages(cmd.Context(), tags, args)
			}
			if err != nil {
				return err
			}
			return r.print(cmd, verbose, strict)
		},
	}
	v.src.optionalFlags(cmd)
	dialectFlag(cmd, &v.dialectName)
	cmd.Flags().StringVar(&v.dsn, "dsn", "", "PostgreSQL database whose catalog is asked")
	cmd.Flags().StringSliceVar(&tags, "tags", nil, "build tags")
	cmd.Flags().StringSliceVar(&files, "sql", nil, "`files` of SQL, or folders of them; patterns such as 'queries/*.sql' are read")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also list what was not judged")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 if anything was not judged")
	return cmd
}

// packages looks at Go packages.
func (v *vetting) packages(ctx context.Context, tags, patterns []string) (*vetted, error) {
	explained, err := v.open(ctx) // at once: else only packages with SQL would tell that there is no schema, or a wrong one
	if err != nil {
		return nil, err
	}
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	pkgs, asked, err := loadPackages(ctx, tags, patterns)
	if err != nil {
		return nil, err
	}
	analyzer := vet.New(vet.Config{
		Open:    func() (vet.Explain, error) { return explained, nil },
		Native:  func() bool { return usesPgxseal(pkgs) },
		Dialect: v.dialectName,
	})
	graph, err := checker.Analyze([]*analysis.Analyzer{analyzer}, pkgs, nil)
	if err != nil {
		return nil, err
	}
	return collect(graph.Roots, asked)
}

// knownLibraries send SQL in ways that the analysis knows: it does not look into them.
var knownLibraries = []string{
	"github.com/colseal/colseal", "github.com/jackc", "github.com/jmoiron/sqlx", "gorm.io", "github.com/uptrace/bun", "github.com/Masterminds/squirrel",
	"github.com/lib/pq", "modernc.org", "github.com/mattn/go-sqlite3",
}

// sqlPackages are those that helpers of other modules send SQL by.
var sqlPackages = []string{"database/sql", "github.com/jmoiron/sqlx", "github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgxpool", "github.com/colseal/colseal/pgxseal"}

// loadPackages loads packages with their tests, as go vet does, and those that they import and that
// may have helpers for SQL. asked are the packages that the patterns name.
func loadPackages(ctx context.Context, tags, patterns []string) (pkgs []*packages.Package, asked map[string]bool, err error) {
	cfg := &packages.Config{Context: ctx, Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedModule, Tests: true}
	for _, t := range tags {
		cfg.BuildFlags = append(cfg.BuildFlags, "-tags="+t)
	}
	listed, err := packages.Load(cfg, patterns...)
	if err != nil {
		return nil, nil, err
	}
	if err := loadErrors(listed); err != nil {
		return nil, nil, err
	}
	asked = map[string]bool{}
	for _, p := range listed {
		asked[p.PkgPath] = true
	}
	packages.Visit(listed, nil, func(p *packages.Package) {
		if !asked[p.PkgPath] && mayHelp(p) {
			patterns = append(patterns, p.PkgPath)
		}
	})
	cfg.Mode = packages.LoadSyntax | packages.NeedModule
	if pkgs, err = packages.Load(cfg, patterns...); err != nil {
		return nil, nil, err
	}
	loaded := map[*packages.Package]bool{}
	for _, p := range pkgs {
		loaded[p] = true
	}
	for _, p := range pkgs {
		maps.DeleteFunc(p.Imports, func(_ string, of *packages.Package) bool { return !loaded[of] }) // of these only the types are there
	}
	return pkgs, asked, loadErrors(pkgs)
}

// mayHelp reports whether a package that is imported may have helpers for SQL.
func mayHelp(p *packages.Package) bool {
	if p.Module == nil || isKnownLibrary(p.PkgPath) && !p.Module.Main {
		return false
	}
	return p.Module.Main || slices.ContainsFunc(sqlPackages, func(path string) bool { return p.Imports[path] != nil })
}

func isKnownLibrary(pkg string) bool {
	return slices.ContainsFunc(knownLibraries, func(path string) bool { return pkg == path || strings.HasPrefix(pkg, path+"/") })
}

func loadErrors(pkgs []*packages.Package) error {
	var broken []error
	for _, p := range pkgs {
		for _, e := range p.Errors {
			broken = append(broken, e)
		}
	}
	return errors.Join(broken...)
}

// usesPgxseal reports whether any of the packages imports pgxseal. Then generated code of pgx's
// interfaces is taken to run on it.
func usesPgxseal(pkgs []*packages.Package) bool {
	return slices.ContainsFunc(pkgs, func(p *packages.Package) bool {
		return slices.ContainsFunc(p.Types.Imports(), func(i *types.Package) bool { return i.Path() == "github.com/colseal/colseal/pgxseal" })
	})
}

// vetting knows where the answers come from.
type vetting struct {
	src         *source
	dialectName string
	dialect     dialect.Dialect
	dsn         string
	shut        func() error
}

// open makes the function that answers.
func (v *vetting) open(ctx context.Context) (vet.Explain, error) {
	s, err := v.src.loadOrFind(ctx)
	if err != nil {
		return nil, err
	}
	if v.dsn == "" {
		return func(query string) (*explain.Explanation, error) { return explain.Offline(s, v.dialect, query) }, nil
	}
	db, err := openDB(v.dsn, driver.Config{Schema: s})
	if err != nil {
		return nil, err
	}
	v.shut = db.Close
	return func(query string) (*explain.Explanation, error) { return explain.Query(ctx, db, query) }, nil
}

func (v *vetting) close() {
	if v.shut != nil {
		_ = v.shut() // nothing was written
	}
}

// report is what is said of a place. A package and its test variant say the same of one file.
type report struct {
	at   token.Position
	what string
}

type reports map[report]bool

func (r reports) print(w io.Writer) {
	wd, _ := os.Getwd() // "": paths stay as they are
	inOrder := slices.SortedFunc(maps.Keys(r), func(a, b report) int {
		return cmp.Or(cmp.Compare(a.at.Filename, b.at.Filename), cmp.Compare(a.at.Line, b.at.Line), cmp.Compare(a.at.Column, b.at.Column), cmp.Compare(a.what, b.what))
	})
	for _, one := range inOrder {
		if rel, err := filepath.Rel(wd, one.at.Filename); err == nil && filepath.IsLocal(rel) {
			one.at.Filename = rel
		}
		fmt.Fprintf(w, "%s: %s\n", one.at, one.what)
	}
}

// vetted is what was seen.
type vetted struct {
	checked          map[token.Position]bool
	found, notJudged reports
	catalog          int // of what was not judged, how many a database's catalog would decide
}

// collect puts together what was said of the packages.
func collect(actions []*checker.Action, asked map[string]bool) (*vetted, error) {
	out := &vetted{checked: map[token.Position]bool{}, found: reports{}, notJudged: reports{}}
	taken := map[string]bool{}
	type offer struct {
		vet.Offer
		at token.Position
	}
	var offers []offer
	for _, a := range actions {
		if a.Err != nil {
			return nil, a.Err
		}
		at := func(p token.Pos) token.Position { return a.Package.Fset.Position(p) }
		r := a.Result.(*vet.Result)
		for _, name := range r.Takes {
			taken[name] = true
		}
		if !asked[strings.TrimSuffix(a.Package.PkgPath, "_test")] && !asked[a.Package.PkgPath] {
			continue // it was loaded for its helpers
		}
		for _, d := range a.Diagnostics {
			out.found[report{at(d.Pos), d.Message}] = true
		}
		for _, n := range r.NotJudged {
			out.not(at(n.Pos), n)
		}
		for _, p := range r.Checked {
			out.checked[at(p)] = true
		}
		for _, o := range r.Offers {
			offers = append(offers, offer{o, at(o.Pos)})
		}
	}
	for _, o := range offers {
		if !taken[o.Name] {
			out.not(o.at, o.Note)
		}
	}
	return out, nil
}

func (r *vetted) not(at token.Position, n vet.Note) {
	one := report{at, "not judged: " + n.Why}
	if !r.notJudged[one] && n.Catalog {
		r.catalog++
	}
	r.notJudged[one] = true
}

func (r *vetted) print(cmd *cobra.Command, verbose, strict bool) error {
	r.found.print(cmd.OutOrStdout())
	if verbose || strict {
		r.notJudged.print(cmd.ErrOrStderr())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s checked, %d found, %d not judged", count(len(r.checked), "statement"), len(r.found), len(r.notJudged))
	if r.catalog > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), " (%d of these --dsn can decide)", r.catalog)
	}
	fmt.Fprintln(cmd.ErrOrStderr())
	if len(r.found) > 0 || strict && len(r.notJudged) > 0 {
		return errFound
	}
	return nil
}

// files looks at files of SQL.
func (v *vetting) files(ctx context.Context, patterns []string) (*vetted, error) {
	names, err := sqlFiles(patterns)
	if err != nil {
		return nil, err
	}
	ask, err := v.open(ctx)
	if err != nil {
		return nil, err
	}
	out := &vetted{checked: map[token.Position]bool{}, found: reports{}, notJudged: reports{}}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		r, err := vet.CheckSQL(string(content), v.dialectName, ask)
		if err != nil {
			return nil, err
		}
		at := func(n vet.FileNote) token.Position {
			return token.Position{Filename: name, Line: n.Line, Column: n.Column}
		}
		for i := range r.Checked {
			out.checked[token.Position{Filename: name, Offset: i}] = true
		}
		for _, n := range r.Found {
			out.found[report{at(n), n.What}] = true
		}
		for _, n := range r.NotJudged {
			out.notJudged[report{at(n), n.What}] = true
			if n.Catalog {
				out.catalog++
			}
		}
	}
	return out, nil
}

// sqlFiles lists the files that patterns name.
func sqlFiles(patterns []string) (names []string, err error) {
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("--sql %s: there is no such file", p)
		}
		for _, f := range found {
			err := filepath.WalkDir(f, func(name string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() && (name == f || filepath.Ext(name) == ".sql") && !slices.Contains(names, name) {
					names = append(names, name)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	if len(names) == 0 {
		return nil, errors.New("--sql: there is no file with the ending .sql in these folders")
	}
	return names, nil
}
