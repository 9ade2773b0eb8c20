// Package vet finds constant SQL texts in Go code and reports those that Colseal would refuse, before they
// run, and those that native pgx calls send past it. It is an analysis of golang.org/x/tools/go/analysis.
//
// It reports only what is certain. A text that is put together at run time is counted and not judged; nor is one
// whose fate only the catalog of a database can tell.
package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"sync"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/ops/explain"
)

// Explain says what happens to a statement, as [explain.Query] and [explain.Offline] do. It must be safe for
// concurrent use.
type Explain func(query string) (*explain.Explanation, error)

// Config is what an analysis needs to know.
type Config struct {
	// Open is called once, at the first SQL text that is found: programs without any need no schema.
	Open func() (Explain, error)
	// Native reports whether the program uses package pgxseal, so that interfaces of native pgx are taken for it. Default: whether
	// the package at hand imports it.
	Native func() bool
	// Dialect is the one that Explain reads; default PostgreSQL.
	Dialect func() dialect.Dialect
}

// Result counts what stands in one package.
type Result struct {
	Checked   int    // constant texts that were judged, findings included
	Dynamic   []Note // calls whose text is no constant
	Undecided []Note // texts that need a catalog, or the values of their arguments, to be judged
}

// Note is a place, and what is to be said of it.
type Note struct {
	Pos token.Pos
	Why string
}

// doc is the analyzer's help.
const doc = `report SQL texts that Colseal refuses

The analysis finds constant SQL texts that are given to database/sql, sqlx, GORM's Raw and Exec, bun's NewRaw, and
anything with the methods of database/sql, to pgxseal, and in a program that uses that to pgx's interfaces and batches,
and reports those that Colseal would refuse before sending. It also reports constant texts that other calls of native pgx,
which do not pass through Colseal, send to sealed columns.

A comment //colseal:ignore REASON on the line, or on the one above, silences a report.`

// New returns the analysis. Its result is a [*Result].
func New(cfg Config) *analysis.Analyzer {
	open := sync.OnceValues(cfg.Open)
	return &analysis.Analyzer{
		Name:       "colseal",
		Doc:        doc,
		Requires:   []*analysis.Analyzer{inspect.Analyzer},
		ResultType: reflect.TypeFor[*Result](),
		Run: func(pass *analysis.Pass) (any, error) {
			c := &checker{
				pass: pass, open: open, out: &Result{}, ignored: ignoredLines(pass),
				seen: map[Note]bool{},
			}
			if cfg.Native != nil {
				c.native = cfg.Native()
			} else {
				c.native = slices.ContainsFunc(pass.Pkg.Imports(), func(p *types.Package) bool { return p.Path() == sealPkg })
			}
			if cfg.Dialect != nil {
				c.dialect = cfg.Dialect()
			}
			return c.out, c.run(pass.ResultOf[inspect.Analyzer].(*inspector.Inspector))
		},
	}
}

// checker is one package's analysis.
type checker struct {
	pass    *analysis.Pass
	open    func() (Explain, error)
	dialect dialect.Dialect
	native  bool // see Config
	out     *Result

	decls    declarations
	wrappers *wrappers
	ignored  map[line]bool
	seen     map[Note]bool // reported: one text may be given to several calls
}

func (c *checker) run(in *inspector.Inspector) error {
	c.decls = declarationsOf(in, c.pass.TypesInfo)
	c.wrappers = wrappersOf(in, c.pass.TypesInfo)
	var sites []*site
	var copies []*copySite
	in.Preorder([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node) {
		call := n.(*ast.CallExpr)
		if s := siteOf(c.pass.TypesInfo, call); s != nil {
			sites = append(sites, s)
		} else if s := copyOf(c.pass.TypesInfo, call); s != nil {
			copies = append(copies, s)
		}
	})
	for len(sites) > 0 {
		more, err := c.site(sites[0])
		if err != nil {
			return err
		}
		sites = append(sites[1:], more...)
	}
	for _, s := range copies {
		if err := c.copied(s); err != nil {
			return err
		}
	}
	return nil
}

// site judges one call. If its text is a parameter of the function around it, it returns the calls of that.
func (c *checker) site(s *site) (more []*site, err error) {
	t, ok := c.decls.text(s.query)
	if !ok {
		more, all := c.wrappers.behind(s, c.decls.lost)
		if !all && !c.judgedInside(s.query) {
			c.out.Dynamic = append(c.out.Dynamic, Note{s.query.Pos(), "the text is no constant"})
		}
		return more, nil
	}
	explain, err := c.open()
	if err != nil {
		return nil, err
	}
	b, ok := bind(c.dialect, s, t.value, c.pass.TypesInfo)
	if !ok {
		c.out.Undecided = append(c.out.Undecided, Note{s.query.Pos(), "what its arguments become in the text is not known"})
		return nil, nil
	}
	e, err := explain(b.sql)
	if err != nil {
		return nil, err
	}
	c.out.Checked++
	at := func(offset int) token.Pos { return t.pos(b.origin(offset)) }
	if c.isPast(s.through) {
		c.bypassed(s.call, e, b, at(0))
	} else {
		c.refused(s.call, e, b, at)
	}
	return nil, nil
}

// isPast reports whether a statement goes past Colseal. A value of an interface that both pgx and pgxseal implement is taken for
// pgxseal's in a program that uses that.
func (c *checker) isPast(t through) bool { return t == past || t == either && !c.native }

// judgedInside reports whether an expression is a call like Rebind("…"), whose text is judged by itself.
func (c *checker) judgedInside(e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	s := siteOf(c.pass.TypesInfo, call)
	return s != nil && s.makesText
}

// report reports once, unless a comment says otherwise.
func (c *checker) report(call ast.Node, pos token.Pos, category, message string) {
	key := Note{pos, message}
	if c.seen[key] || c.silenced(pos) || c.silenced(call.Pos()) {
		return
	}
	c.seen[key] = true
	c.pass.Report(analysis.Diagnostic{Pos: pos, Category: category, Message: message})
}

// typeIn reports whether a type, or the one it points to, is declared in a package that ok accepts, and its name.
func typeIn(t types.Type, ok func(path string) bool) (name string, in bool) {
	if p, isPtr := types.Unalias(t).(*types.Pointer); isPtr {
		t = p.Elem()
	}
	n, isNamed := types.Unalias(t).(*types.Named)
	if !isNamed || n.Obj().Pkg() == nil || !ok(n.Obj().Pkg().Path()) {
		return "", false
	}
	return n.Obj().Name(), true
}
