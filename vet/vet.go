// Package vet finds the SQL texts in Go code and in files of SQL. Before they run, it reports those
// that Colseal would refuse, and those that native pgx calls send past it. [New] makes it an
// analysis of golang.org/x/tools/go/analysis, `colseal vet` is the command, and package
// vet/golangci is a plugin of golangci-lint.
//
// It reports only what is certain, and counts what it cannot judge: texts that are put together at
// run time, and those that only the catalog of a database decides.
package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/ops/explain"
)

// Explain says what happens to a statement, as [explain.Query] and [explain.Offline] do. It must be
// safe for concurrent use.
type Explain func(query string) (*explain.Explanation, error)

// Config configures an analysis. The zero Config is for PostgreSQL, and finds its schema by
// [FindSchema].
type Config struct {
	// Schema is the path of a file that `colseal schema` wrote. If empty, [FindSchema] looks for
	// it. It is also a flag of the analysis.
	Schema string
	// Dialect is "postgres" or "sqlite". If empty, postgres. It is also a flag of the analysis.
	Dialect string
	// Open returns the function that judges texts. It is called once, at the first text: a program
	// without SQL needs no schema. If nil, the schema decides, without a database.
	Open func() (Explain, error)
	// Native reports whether the program uses package pgxseal, so that interfaces of native pgx
	// stand for it. If nil, this holds for packages that import it.
	Native func() bool
}

// Result is what was seen of one package.
type Result struct {
	Checked   []token.Pos // the statements that were judged, findings included
	NotJudged []Note      // those that were not
	Offers    []Offer     // texts and helpers that other packages may use
	Takes     []string    // the names of those of other packages that this one uses
}

// Note is a place, and what is to be said of it.
type Note struct {
	Pos token.Pos
	Why string
	// Catalog says that a database's catalog would decide it.
	Catalog bool
}

// Offer is a text, or a function that passes a parameter on as one, that is judged only if somebody
// uses it.
type Offer struct {
	Name string // as in Result.Takes
	Note
}

// doc is the analyzer's help.
const doc = `report SQL texts that Colseal refuses

The analysis finds the SQL texts that are given to database/sql, sqlx, GORM's Raw and Exec, bun's NewRaw, squirrel, and
anything with the methods of database/sql, to pgxseal, and in a program that uses that to pgx's interfaces and batches,
and reports those that Colseal would refuse before sending. It also reports texts that other calls of native pgx,
which do not pass through Colseal, send to sealed columns.

A comment //colseal:ignore REASON on the line, or on the one above, silences a report.`

// Analyzer is the analysis of the zero [Config].
var Analyzer = New(Config{})

// New returns the analysis. Its result is a [*Result].
func New(cfg Config) *analysis.Analyzer {
	open := sync.OnceValues(func() (Explain, error) {
		if cfg.Open != nil {
			return cfg.Open()
		}
		return cfg.Offline()
	})
	a := &analysis.Analyzer{
		Name:       "colseal",
		Doc:        doc,
		URL:        "https://github.com/colseal/colseal/blob/main/docs/cli-vet.md",
		Requires:   []*analysis.Analyzer{inspect.Analyzer},
		ResultType: reflect.TypeFor[*Result](),
		FactTypes:  []analysis.Fact{(*passes)(nil), (*holds)(nil)},
	}
	a.Flags.StringVar(&cfg.Schema, "schema", cfg.Schema, "`file` of the schema, as colseal schema writes it")
	a.Flags.StringVar(&cfg.Dialect, "dialect", cfg.Dialect, "SQL dialect: postgres or sqlite")
	a.Run = func(pass *analysis.Pass) (any, error) {
		c := &checker{pass: pass, open: open, out: &Result{}, seen: map[Note]bool{}, checked: map[token.Pos]bool{}}
		if len(pass.Files) == 0 {
			return c.out, nil // a package of which only the types are known
		}
		var err error
		if c.dialect, err = cfg.dialect(); err != nil {
			return nil, err
		}
		if c.foreign = isForeign(pass); c.foreign && !slices.ContainsFunc(pass.Pkg.Imports(), func(p *types.Package) bool { return sends[p.Path()] }) {
			return c.out, nil // it has no helper
		}
		c.ignored = ignoredLines(pass)
		if cfg.Native != nil {
			c.native = cfg.Native()
		} else {
			c.native = slices.ContainsFunc(pass.Pkg.Imports(), func(p *types.Package) bool { return p.Path() == sealPkg })
		}
		return c.out, c.run(pass.ResultOf[inspect.Analyzer].(*inspector.Inspector))
	}
	return a
}

func (cfg *Config) dialect() (dialect.Dialect, error) {
	if cfg.Dialect == "" {
		return dialect.Postgres, nil
	}
	return dialect.Parse(cfg.Dialect)
}

// Offline makes what judges texts by the schema alone, as where Open is nil.
func (cfg *Config) Offline() (Explain, error) {
	d, err := cfg.dialect()
	if err != nil {
		return nil, err
	}
	s, err := readSchema(cfg.Schema)
	if err != nil {
		return nil, err
	}
	return func(query string) (*explain.Explanation, error) { return explain.Offline(s, d, query) }, nil
}

// checker is one package's analysis.
type checker struct {
	pass    *analysis.Pass
	open    func() (Explain, error)
	dialect dialect.Dialect
	native  bool // see Config
	out     *Result

	values  *values
	helpers *helpers
	ignored map[line]bool
	foreign bool               // see isForeign
	seen    map[Note]bool      // reported: one text may be given to several calls
	checked map[token.Pos]bool // places that are counted
}

// sends are the packages that helpers of other modules send SQL by.
var sends = set(sqlPkg, sqlxPkg, gormPkg, bunPkg, sealPkg, "github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgxpool")

// isForeign reports whether a package is Go's own, or of a module that is only used. Its helpers
// are of interest, its texts are not.
func isForeign(pass *analysis.Pass) bool {
	if pass.Module != nil && pass.Module.Version != "" {
		return true
	}
	src, ok := strings.CutSuffix(filepath.Dir(pass.Fset.Position(pass.Files[0].FileStart).Filename), filepath.FromSlash(pass.Pkg.Path()))
	if !ok {
		return false
	}
	_, err := os.Stat(filepath.Join(src, "unsafe", "unsafe.go"))
	return err == nil
}

func (c *checker) run(in *inspector.Inspector) error {
	c.values = valuesOf(in, c.pass)
	in.Preorder([]ast.Node{(*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)}, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if f, ok := c.pass.TypesInfo.Defs[n.Name].(*types.Func); ok && n.Body != nil {
				c.values.follow(f.Signature(), n.Body)
			}
		case *ast.FuncLit:
			c.values.follow(nil, n.Body)
		}
	})
	c.values.export()
	c.helpers = helpersOf(in, c.values)
	sites, copies := c.sites(in)
	sites = append(sites, c.helpers.imported()...)
	for len(sites) > 0 {
		more, err := c.site(sites[0])
		if err != nil {
			return err
		}
		sites = append(sites[1:], more...)
	}
	c.helpers.export()
	for _, s := range copies {
		if err := c.copied(s); err != nil {
			return err
		}
	}
	if c.foreign {
		return nil
	}
	c.offers()
	return c.loose(in)
}

// sites finds the calls that take SQL.
func (c *checker) sites(in *inspector.Inspector) (sites []*site, copies []*copySite) {
	in.Preorder([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node) {
		call := n.(*ast.CallExpr)
		if isSquirrel(c.pass.TypesInfo, call) {
			sites = append(sites, c.squirrel(call))
		} else if s := siteOf(c.pass.TypesInfo, call); s != nil {
			sites = append(sites, s)
		} else if s := copyOf(c.pass.TypesInfo, call); s != nil {
			copies = append(copies, s)
		} else if lib := builtBy(c.pass.TypesInfo, call); lib != "" {
			c.notJudged(call, call.Pos(), lib+" puts the text together when it runs", false)
		}
	})
	return sites, copies
}

func (c *checker) squirrel(call *ast.CallExpr) *site {
	s := &site{call: call, query: call, texts: texts{unknown(call)}, makesText: true}
	if t, ok := c.values.squirrelText(call); ok {
		s.texts = texts{t}
	}
	ast.Inspect(call, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok {
			c.values.seen[lit] = true
		}
		return true
	})
	return s
}

// site judges one call. If its text holds a parameter of the function around it, site returns the
// calls of that function.
func (c *checker) site(s *site) (more []*site, err error) {
	of := s.texts
	if of == nil {
		of = c.values.texts(s.query)
	}
	why := Note{Pos: s.query.Pos()}
	judged := false
	for _, t := range of {
		for _, p := range t.pieces {
			if p.expr != nil {
				c.values.seen[p.expr] = true
			}
		}
		if len(t.params()) > 0 {
			decided, err := c.decided(s, t)
			if err != nil {
				return nil, err
			}
			if judged = judged || decided; !decided {
				more = append(more, c.helpers.behind(s, t)...)
			}
			continue
		}
		if c.foreign || s.texts == nil && t.isUnknown() && c.judgedInside(s.query) {
			continue
		}
		n, err := c.judge(s, t, len(of) > 1)
		if err != nil {
			return nil, err
		}
		judged = judged || n.Why == ""
		if why.Why == "" {
			why.Why, why.Catalog = n.Why, n.Catalog
		}
	}
	switch {
	case why.Why != "":
		c.notJudged(s.call, why.Pos, why.Why, why.Catalog)
	case judged:
		c.count(s.query.Pos())
	}
	return more, nil
}

// decided reports whether a text is refused whatever its parameters are.
func (c *checker) decided(s *site, t text) (bool, error) {
	if c.foreign || t.isUnknown() {
		return false, nil
	}
	n, err := c.judgeParts(s, t)
	return n.Why == "", err
}

// count counts a statement that was judged.
func (c *checker) count(pos token.Pos) {
	if !c.checked[pos] {
		c.checked[pos] = true
		c.out.Checked = append(c.out.Checked, pos)
	}
}

// isPast reports whether a statement goes past Colseal. In a program that uses pgxseal, an
// interface that both pgx and pgxseal implement stands for pgxseal.
func (c *checker) isPast(t through) bool { return t == past || t == either && !c.native }

// judgedInside reports whether an expression is a call like Rebind("…"), or its result, whose text
// is judged by itself.
func (c *checker) judgedInside(e ast.Expr) bool {
	e = ast.Unparen(e)
	if id, ok := e.(*ast.Ident); ok {
		call := c.values.results[c.pass.TypesInfo.Uses[id]]
		if call == nil || c.values.lost[c.pass.TypesInfo.Uses[id]] {
			return false
		}
		e = call
	}
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	s := siteOf(c.pass.TypesInfo, call)
	return s != nil && s.makesText || isSquirrel(c.pass.TypesInfo, call)
}

// report reports once, unless a comment says otherwise.
func (c *checker) report(call ast.Node, pos token.Pos, category, message string) {
	key := Note{Pos: pos, Why: message}
	if c.foreign || c.seen[key] || c.silenced(pos) || c.silenced(call.Pos()) {
		return
	}
	c.seen[key] = true
	c.pass.Report(analysis.Diagnostic{Pos: pos, Category: category, Message: message})
}

// notJudged counts what is not judged, unless a comment says that it is known.
func (c *checker) notJudged(call ast.Node, pos token.Pos, why string, catalog bool) {
	n := Note{pos, why, catalog}
	if c.foreign || c.seen[n] || c.silenced(pos) || call != nil && c.silenced(call.Pos()) {
		return
	}
	c.seen[n] = true
	c.out.NotJudged = append(c.out.NotJudged, n)
}

// offers lists the helpers, whose texts are judged where they are called, and what is taken of
// other packages.
func (c *checker) offers() {
	for f, p := range c.helpers.own {
		known, _ := taker(f) // its calls are looked at by their form
		if len(p.Texts) > 0 && known == nil && !c.silenced(f.Pos()) {
			c.out.Offers = append(c.out.Offers, Offer{f.FullName(), Note{Pos: f.Pos(), Why: "its parameter is a part of an SQL text, and no call of it is seen"}})
		}
	}
	for f := range c.helpers.takes {
		c.out.Takes = append(c.out.Takes, f.FullName())
	}
	for o := range c.values.taken {
		c.out.Takes = append(c.out.Takes, nameOf(o))
	}
	for _, pos := range c.helpers.usedAsValues() {
		c.notJudged(nil, pos, "a function that sends its parameter as SQL is not called here by its name", false)
	}
}

func nameOf(o types.Object) string { return o.Pkg().Path() + "." + o.Name() }

// statement matches how SQL begins.
var statement = regexp.MustCompile(`(?is)^(\s|--[^\n]*\n|/\*.*?\*/)*(select|insert|update|delete|with|merge|copy|create|alter|drop|truncate|explain|values|refresh|prepare|declare|replace)\s`)

// loose finds texts about sealed columns that go to no call that is known.
func (c *checker) loose(in *inspector.Inspector) error {
	owner := map[ast.Expr]types.Object{} // of what other packages can name
	for o, e := range c.values.decl {
		if o != nil && e != nil && o.Parent() == c.pass.Pkg.Scope() && o.Exported() {
			ast.Inspect(e, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok {
					owner[lit] = o
				}
				return true
			})
		}
	}
	var fail error
	in.WithStack([]ast.Node{(*ast.BasicLit)(nil)}, func(n ast.Node, push bool, stack []ast.Node) bool {
		lit := n.(*ast.BasicLit)
		if !push || fail != nil || lit.Kind != token.STRING || c.values.seen[lit] || c.inTest(lit.Pos()) {
			return true
		}
		t := c.values.texts(lit)
		if !t[0].isConstant() || !statement.MatchString(t[0].value) {
			return true
		}
		sealed, err := c.isSealed(t[0].value)
		if !sealed || err != nil {
			fail = err
			return true
		}
		const why = "the text names sealed columns, and which call sends it is not known"
		if o := owner[lit]; o != nil {
			c.out.Offers = append(c.out.Offers, Offer{nameOf(o), Note{Pos: lit.Pos(), Why: why}})
		} else {
			c.notJudged(stack[len(stack)-2], lit.Pos(), why, false)
		}
		return true
	})
	if fail != nil {
		return fail
	}
	return c.looseFiles()
}

func (c *checker) inTest(pos token.Pos) bool {
	return strings.HasSuffix(c.pass.Fset.Position(pos).Filename, "_test.go")
}

// looseFiles is loose for the files that the package embeds.
func (c *checker) looseFiles() error {
	const why = "the file has SQL about sealed columns, and which call sends it is not known: judge it by `colseal vet --sql`"
	look := func(f *sqlFile, o types.Object) error {
		if f.used {
			return nil
		}
		for _, s := range split(f.value) {
			sealed, err := c.isSealed(s.sql)
			if err != nil {
				return err
			}
			if !sealed {
				continue
			}
			at := f.pos + token.Pos(s.at)
			if o != nil && o.Exported() {
				c.out.Offers = append(c.out.Offers, Offer{nameOf(o), Note{Pos: at, Why: why}})
			} else {
				c.notJudged(nil, at, why, false)
			}
		}
		return nil
	}
	for o, f := range c.values.embeds.files {
		if err := look(f, o); err != nil {
			return err
		}
	}
	for _, t := range c.values.embeds.trees {
		for _, name := range t.sql() {
			f, err := c.values.embeds.read(name)
			if err != nil {
				return err
			}
			if err := look(f, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// isSealed reports whether a text is about sealed columns, as far as it can be read.
func (c *checker) isSealed(sql string) (bool, error) {
	explain, err := c.open()
	if err != nil {
		return false, err
	}
	e, err := explain(sql)
	if err != nil {
		return false, err
	}
	return e.Sealed || len(faults(e)) > 0, nil
}

// typeIn reports whether a type, or the one it points to, is declared in a package that ok accepts,
// and its name.
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
