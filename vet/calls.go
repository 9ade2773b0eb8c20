package vet

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// site is a call that takes an SQL text.
type site struct {
	call      *ast.CallExpr
	query     ast.Expr
	texts     texts      // what the text may be, where that is known otherwise than by query
	args      []ast.Expr // what follows the text
	spread    bool       // the last of them is a slice for all: args...
	style     style
	through   through
	makesText bool // the call's result is a text again
}

// The packages that are known by name. Others are known by the signatures of their methods.
const (
	sqlPkg  = "database/sql"
	sealPkg = "github.com/colseal/colseal/pgxseal"
	sqlxPkg = "github.com/jmoiron/sqlx"
	sqPkg   = "github.com/Masterminds/squirrel"
	gormPkg = "gorm.io/gorm"
	bunPkg  = "github.com/uptrace/bun"
)

// through is whether a statement passes through Colseal.
type through uint8

const (
	throughColseal through = iota
	past                   // native pgx, which sends it past Colseal
	either                 // an interface that pgx and pgxseal implement, or a batch that either sends
)

// isPgx accepts the packages of pgx, of every version. Not stdlib: that is database/sql.
func isPgx(path string) bool {
	return (strings.HasPrefix(path, "github.com/jackc/pgx/") || path == "github.com/jackc/pgx" || path == "github.com/jackc/pgconn") &&
		!strings.HasSuffix(path, "/stdlib")
}

func is(want string) func(string) bool { return func(path string) bool { return path == want } }

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

var (
	// standardNames are the methods of database/sql, which many types have: wrappers, and the
	// interfaces that sqlc writes.
	standardNames = set("Exec", "ExecContext", "Query", "QueryContext", "QueryRow", "QueryRowContext", "Prepare", "PrepareContext")
	standardTypes = set("Result", "Rows", "Row", "Stmt")
	pgxNames      = set("Exec", "ExecParams", "Query", "QueryRow", "Prepare", "Queue")
	pgxTypes      = set("CommandTag", "Rows", "Row", "QueuedQuery", "StatementDescription", "MultiResultReader", "ResultReader")

	// sqlxStyles are the functions and methods of sqlx, without the ending Context.
	sqlxStyles = map[string]style{
		"Get": native, "Select": native, "Queryx": native, "QueryRowx": native, "MustExec": native, "Preparex": native,
		"NamedExec": colon, "NamedQuery": colon, "PrepareNamed": colon, "Named": colon, "BindNamed": colon,
		"Rebind": question, "In": question,
	}
	sqlxTexts = set("Named", "BindNamed", "Rebind", "In")

	// gormRuns are the methods of GORM that send what it has put together; bunBuilds are those of
	// bun that begin to.
	gormRuns = set("Find", "First", "Last", "Take", "Scan", "Pluck", "Count", "Create", "CreateInBatches", "Save", "Update", "Updates",
		"UpdateColumn", "UpdateColumns", "Delete", "FirstOrCreate", "FirstOrInit", "FindInBatches", "Row", "Rows")
	bunBuilds = set("NewSelect", "NewInsert", "NewUpdate", "NewDelete", "NewMerge")
)

// builtBy names the library that puts the text of a call together when it runs; "" for other calls.
func builtBy(info *types.Info, call *ast.CallExpr) string {
	f, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() == nil {
		return ""
	}
	switch name, _ := typeIn(f.Signature().Recv().Type(), is(f.Pkg().Path())); {
	case f.Pkg().Path() == gormPkg && name == "DB" && gormRuns[f.Name()] && !hasRaw(call):
		return "GORM"
	case f.Pkg().Path() == bunPkg && bunBuilds[f.Name()]:
		return "bun"
	}
	return ""
}

// hasRaw reports whether GORM runs a text that Raw was given, which is judged by itself.
func hasRaw(call *ast.CallExpr) bool {
	for call != nil {
		s, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
		if !ok {
			return false
		}
		if s.Sel.Name == "Raw" {
			return true
		}
		call, _ = ast.Unparen(s.X).(*ast.CallExpr)
	}
	return false
}

// siteOf returns what a call does with an SQL text; nil if it takes none.
func siteOf(info *types.Info, call *ast.CallExpr) *site {
	f, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || f.Pkg() == nil {
		return nil
	}
	s, at := taker(f)
	if s == nil || at < 0 || at >= len(call.Args) {
		return nil
	}
	s.call, s.spread = call, call.Ellipsis.IsValid()
	s.query, s.args = call.Args[at], call.Args[at+1:]
	if s.style == native {
		s.style = pgxStyle(info, s.args)
	}
	return s
}

// taker returns what a function does with an SQL text, and which parameter that is. It returns nil
// for a function that is not known to take one.
func taker(f *types.Func) (s *site, at int) {
	s = &site{}
	at = firstString(f.Signature())
	switch {
	case isPgxCall(f):
		s.through, at = throughOf(f), lastString(f.Signature())
	case f.Pkg().Path() == sqlxPkg && known(sqlxStyles, f.Name()):
		name := strings.TrimSuffix(f.Name(), "Context")
		s.style, s.makesText = sqlxStyles[name], sqlxTexts[name]
	case f.Pkg().Path() == gormPkg && (f.Name() == "Raw" || f.Name() == "Exec"):
		s.style = gorm
	case f.Pkg().Path() == bunPkg && (f.Name() == "NewRaw" || isStandardCall(f)):
		s.style = bun
	case isStandardCall(f):
	default:
		return nil, -1
	}
	return s, at
}

func known(styles map[string]style, name string) bool {
	_, ok := styles[strings.TrimSuffix(name, "Context")]
	return ok
}

// isStandardCall reports whether a method is database/sql's, or has the name and the results of
// one.
func isStandardCall(f *types.Func) bool {
	return f.Signature().Recv() != nil && standardNames[f.Name()] && returns(f, is(sqlPkg), standardTypes)
}

func isPgxCall(f *types.Func) bool {
	return f.Signature().Recv() != nil && pgxNames[f.Name()] && returns(f, isPgx, pgxTypes)
}

// throughOf returns what the type tells whose method, one of pgx's, is called.
func throughOf(f *types.Func) through {
	t := f.Signature().Recv().Type()
	name, pgx := typeIn(t, isPgx)
	switch _, seal := typeIn(t, is(sealPkg)); {
	case seal:
		return throughColseal
	case types.IsInterface(t) || !pgx || name == "Batch":
		return either
	}
	return past
}

// returns reports whether the first result is one of the types of a package.
func returns(f *types.Func, pkg func(string) bool, names map[string]bool) bool {
	if f.Signature().Results().Len() == 0 {
		return false
	}
	name, ok := typeIn(f.Signature().Results().At(0).Type(), pkg)
	return ok && names[name]
}

// firstString returns the place of the first parameter of type string; -1 if there is none.
func firstString(sig *types.Signature) int {
	for i := range sig.Params().Len() {
		if isString(sig.Params().At(i).Type()) {
			return i
		}
	}
	return -1
}

// lastString is for pgx, whose Prepare takes the statement's name before its text.
func lastString(sig *types.Signature) int {
	for i := sig.Params().Len() - 1; i >= 0; i-- {
		if isString(sig.Params().At(i).Type()) {
			return i
		}
	}
	return -1
}

func isString(t types.Type) bool {
	b, ok := types.Unalias(t).(*types.Basic)
	return ok && b.Kind() == types.String
}

// pgxStyle looks for arguments with which pgx rewrites the text: its named arguments, and whatever
// else has a method RewriteQuery.
func pgxStyle(info *types.Info, args []ast.Expr) style {
	found := native
	for _, a := range args {
		t := info.TypeOf(a)
		if t == nil {
			continue
		}
		if name, ok := typeIn(t, isPgx); ok && (name == "NamedArgs" || name == "StrictNamedArgs") {
			return at
		}
		if o, _, _ := types.LookupFieldOrMethod(t, true, nil, "RewriteQuery"); o != nil {
			return rewritten
		}
		if s, ok := t.Underlying().(*types.Slice); ok {
			t = s.Elem() // args...
		}
		if types.IsInterface(t) {
			found = perhapsAt
		}
	}
	return found
}

// copySite is a call of pgx's CopyFrom.
type copySite struct {
	call    *ast.CallExpr
	table   *ast.CompositeLit // pgx.Identifier{…}
	columns *ast.CompositeLit // []string{…}; nil when it is not written out
	through through
}

// copyOf recognises CopyFrom(ctx, pgx.Identifier{"users"}, []string{…}, …).
func copyOf(info *types.Info, call *ast.CallExpr) *copySite {
	f, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || f.Name() != "CopyFrom" || f.Signature().Recv() == nil || len(call.Args) < 3 {
		return nil
	}
	table, ok := ast.Unparen(call.Args[1]).(*ast.CompositeLit)
	if !ok {
		return nil
	}
	if name, ok := typeIn(info.TypeOf(table), isPgx); !ok || name != "Identifier" {
		return nil
	}
	columns, _ := ast.Unparen(call.Args[2]).(*ast.CompositeLit)
	return &copySite{call: call, table: table, columns: columns, through: throughOf(f)}
}
