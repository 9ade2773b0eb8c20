package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/colseal/colseal/cmd/colseal/internal/vet"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/ops/explain"
)

func newVet() *cobra.Command {
	var src source
	var dsn, dialectName string
	var tags []string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "vet [PACKAGES]",
		Short: "Find constant SQL texts in Go packages that Colseal would refuse, or never gets to see",
		Long: "Find constant SQL texts in Go packages that Colseal would refuse, or never gets to see.\n" +
			"Without --models and --schema the schema is in the file that " + schemaEnv + " names, in " + schemaFile + " beside\n" +
			"go.mod, or else in the packages of the module. Also runs as go vet -vettool=$(which colseal) ./...",
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := dialect.Parse(dialectName)
			if err != nil {
				return err
			}
			if d == dialect.SQLite && dsn != "" {
				return errors.New("--dsn is for PostgreSQL only; leave it out")
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			v := &vetting{src: &src, dialect: d, dsn: dsn}
			defer v.close()
			pkgs, err := loadPackages(cmd.Context(), tags, args)
			if err != nil {
				return err
			}
			analyzer := vet.New(vet.Config{
				Open:    func() (vet.Explain, error) { return v.open(cmd.Context()) },
				Native:  func() bool { return usesPgxseal(pkgs) },
				Dialect: func() dialect.Dialect { return v.dialect },
			})
			graph, err := checker.Analyze([]*analysis.Analyzer{analyzer}, pkgs, nil)
			if err != nil {
				return err
			}
			return printReports(cmd, graph.Roots, verbose)
		},
	}
	src.optionalFlags(cmd)
	dialectFlag(cmd, &dialectName)
	cmd.Flags().StringVar(&dsn, "dsn", "", "PostgreSQL database whose catalog is asked")
	cmd.Flags().StringSliceVar(&tags, "tags", nil, "build tags")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also say what was not judged, and count")
	return cmd
}

// loadPackages loads packages with their tests, as go vet does.
func loadPackages(ctx context.Context, tags, patterns []string) ([]*packages.Package, error) {
	cfg := &packages.Config{Context: ctx, Mode: packages.LoadSyntax | packages.NeedModule, Tests: true}
	for _, t := range tags {
		cfg.BuildFlags = append(cfg.BuildFlags, "-tags="+t)
	}
	pkgs, err := packages.Load(cfg, patterns...)
	if err != nil {
		return nil, err
	}
	var broken []error
	for _, p := range pkgs {
		for _, e := range p.Errors {
			broken = append(broken, e)
		}
	}
	return pkgs, errors.Join(broken...)
}

// usesPgxseal reports whether any of the packages imports pgxseal. Then generated code of pgx's interfaces is taken to run on it.
func usesPgxseal(pkgs []*packages.Package) bool {
	return slices.ContainsFunc(pkgs, func(p *packages.Package) bool {
		_, ok := p.Imports["github.com/colseal/colseal/pgxseal"]
		return ok
	})
}

// vetting knows where the answers come from.
type vetting struct {
	src     *source
	dialect dialect.Dialect
	dsn     string
	shut    func() error
}

// open makes the function that answers. It is called at the first SQL text.
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
		return cmp.Or(cmp.Compare(a.at.Filename, b.at.Filename), cmp.Compare(a.at.Offset, b.at.Offset), cmp.Compare(a.what, b.what))
	})
	for _, one := range inOrder {
		if rel, err := filepath.Rel(wd, one.at.Filename); err == nil && filepath.IsLocal(rel) {
			one.at.Filename = rel
		}
		fmt.Fprintf(w, "%s: %s\n", one.at, one.what)
	}
}

func printReports(cmd *cobra.Command, actions []*checker.Action, verbose bool) error {
	found, dynamic, undecided := reports{}, reports{}, reports{}
	checked := 0
	for _, a := range actions {
		if a.Err != nil {
			return a.Err
		}
		at := func(p token.Pos) token.Position { return a.Package.Fset.Position(p) }
		for _, d := range a.Diagnostics {
			found[report{at(d.Pos), d.Message}] = true
		}
		r := a.Result.(*vet.Result)
		for _, n := range r.Dynamic {
			dynamic[report{at(n.Pos), "not checked: " + n.Why}] = true
		}
		for _, n := range r.Undecided {
			undecided[report{at(n.Pos), "not decided: " + n.Why}] = true
		}
		checked += r.Checked
	}
	found.print(cmd.OutOrStdout())
	if verbose {
		undecided.print(cmd.ErrOrStderr())
		dynamic.print(cmd.ErrOrStderr())
		fmt.Fprintf(cmd.ErrOrStderr(), "%d statements checked, %d found, %d not decided, %d not constant\n", checked, len(found), len(undecided), len(dynamic))
	}
	if len(found) > 0 {
		return errFound
	}
	return nil
}
