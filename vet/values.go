package vet

import (
	"go/ast"
	goconstant "go/constant"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// values knows what the strings of a package are.
type values struct {
	pass *analysis.Pass
	info *types.Info

	decl    map[types.Object]ast.Expr      // what constants, variables and functions without parameters are declared as
	results map[types.Object]*ast.CallExpr // variables that are the first result of a call
	lost    map[types.Object]bool          // variables that are assigned to later, or have their address taken
	params  map[types.Object]parameter     // the strings that functions of the package take
	embeds  embeds

	at   map[*ast.Ident]texts   // what a local variable that is assigned to more than once is, where it is used
	now  map[types.Object]texts // the same at the statement that flow is at; nil after it
	seen map[ast.Expr]bool      // literals in a text that stands at a call

	taken map[types.Object]bool // texts of other packages that are evaluated
}

// holds is the value of a variable, or of a function's result, of another package. It is a fact of
// the analysis.
type holds struct {
	Value string
	File  string // of SQL, that the value is read from; "" if it is in Go code
}

// AFact implements [analysis.Fact].
func (*holds) AFact() {}

func (h *holds) String() string { return "holds " + h.Value }

func valuesOf(in *inspector.Inspector, pass *analysis.Pass) *values {
	v := &values{
		pass: pass, info: pass.TypesInfo,
		decl: map[types.Object]ast.Expr{}, results: map[types.Object]*ast.CallExpr{}, lost: map[types.Object]bool{},
		params: map[types.Object]parameter{}, at: map[*ast.Ident]texts{}, seen: map[ast.Expr]bool{}, taken: map[types.Object]bool{},
	}
	v.embeds = embedsOf(pass)
	nodes := []ast.Node{(*ast.ValueSpec)(nil), (*ast.AssignStmt)(nil), (*ast.RangeStmt)(nil), (*ast.UnaryExpr)(nil), (*ast.FuncDecl)(nil)}
	in.Preorder(nodes, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if len(n.Values) == len(n.Names) {
					v.decl[v.info.Defs[name]] = n.Values[i]
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				v.assigned(left, n, i)
			}
		case *ast.RangeStmt:
			v.lose(n.Key)
			v.lose(n.Value)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				v.lose(n.X)
			}
		case *ast.FuncDecl:
			v.function(n)
		}
	})
	return v
}

// function notes what a function takes, and what one that only returns a string returns.
func (v *values) function(n *ast.FuncDecl) {
	f, ok := v.info.Defs[n.Name].(*types.Func)
	if !ok {
		return
	}
	params, results := f.Signature().Params(), f.Signature().Results()
	for i := range params.Len() {
		if isString(params.At(i).Type()) && !(f.Signature().Variadic() && i == params.Len()-1) {
			v.params[params.At(i)] = parameter{f, i}
		}
	}
	if params.Len() > 0 || results.Len() != 1 || !isString(results.At(0).Type()) || n.Body == nil || len(n.Body.List) != 1 {
		return
	}
	if r, ok := n.Body.List[0].(*ast.ReturnStmt); ok && len(r.Results) == 1 {
		v.decl[f] = r.Results[0]
	}
}

// assigned notes left side i of an assignment.
func (v *values) assigned(left ast.Expr, s *ast.AssignStmt, i int) {
	name, ok := ast.Unparen(left).(*ast.Ident)
	if ok && v.info.Defs[name] != nil {
		if len(s.Lhs) == len(s.Rhs) {
			v.decl[v.info.Defs[name]] = s.Rhs[i]
			return
		}
		if call, ok := ast.Unparen(s.Rhs[0]).(*ast.CallExpr); ok && i == 0 {
			v.results[v.info.Defs[name]] = call
			return
		}
	}
	v.lose(left)
}

// lose forgets a variable for good.
func (v *values) lose(e ast.Expr) {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		v.lost[v.info.ObjectOf(e)] = true
	case *ast.SelectorExpr:
		v.lost[v.info.Uses[e.Sel]] = true // of another package, or a field
	}
}

// export tells other packages what variables and functions of this one hold.
func (v *values) export() {
	for _, name := range v.pass.Pkg.Scope().Names() {
		o := v.pass.Pkg.Scope().Lookup(name)
		if _, isConst := o.(*types.Const); isConst || !o.Exported() {
			continue
		}
		if file, ok := v.embeds.files[o]; ok && !v.lost[o] {
			v.pass.ExportObjectFact(o, &holds{Value: file.value, File: file.name})
			continue
		}
		e := v.decl[o]
		if e == nil || v.lost[o] || !isString(v.info.TypeOf(e)) {
			continue
		}
		if t := v.texts(e); len(t) == 1 && t[0].isConstant() && t[0].value != "" {
			v.pass.ExportObjectFact(o, &holds{Value: t[0].value})
		}
	}
}

// texts evaluates an expression.
func (v *values) texts(e ast.Expr) texts { return v.eval(e, 0) }

// maxDepth bounds how far a name is followed.
const maxDepth = 50

func (v *values) eval(e ast.Expr, depth int) texts {
	e = ast.Unparen(e)
	if depth > maxDepth {
		return texts{unknown(e)}
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return v.eval(e.X, depth+1).plus(v.eval(e.Y, depth+1), e)
		}
	case *ast.Ident:
		if t := v.named(e, v.info.Uses[e], depth); t != nil {
			return t
		}
	case *ast.SelectorExpr:
		if t := v.named(e, v.info.Uses[e.Sel], depth); t != nil {
			return t
		}
	case *ast.CallExpr:
		if t := v.call(e, depth); t != nil {
			return t
		}
	}
	if tv := v.info.Types[e]; tv.Value != nil && tv.Value.Kind() == goconstant.String {
		return texts{{goconstant.StringVal(tv.Value), []piece{{expr: e}}}}
	}
	return texts{unknown(e)}
}

// named evaluates a name; nil if it is not known here.
func (v *values) named(e ast.Expr, o types.Object, depth int) texts {
	id, isIdent := e.(*ast.Ident)
	if t, ok := v.now[o]; ok && isIdent {
		return t
	}
	if t, ok := v.at[id]; ok && isIdent {
		return t
	}
	if o != nil && o.Pkg() != nil && o.Pkg() != v.pass.Pkg {
		v.taken[o] = true
	}
	switch o := o.(type) {
	case *types.Const:
		if e := v.decl[o]; e != nil {
			return v.eval(e, depth+1)
		}
	case *types.Var:
		if o.IsField() || v.lost[o] {
			return nil
		}
		if _, ok := v.params[o]; ok {
			return texts{{pieces: []piece{{kind: anything, expr: e, param: o}}}}
		}
		if file, ok := v.embeds.files[o]; ok {
			return texts{file.text()}
		}
		if d := v.decl[o]; d != nil {
			return v.eval(d, depth+1)
		}
		if call := v.results[o]; call != nil {
			return v.fileRead(call)
		}
		return v.elsewhere(e, o)
	}
	return nil
}

// elsewhere returns what an object of another package holds.
func (v *values) elsewhere(e ast.Expr, o types.Object) texts {
	var h holds
	if o == nil || o.Pkg() == nil || o.Pkg() == v.pass.Pkg || !v.pass.ImportObjectFact(o, &h) {
		return nil
	}
	if h.File != "" {
		if file, err := v.embeds.read(h.File); err == nil && file.value == h.Value {
			return texts{file.text()}
		}
	}
	return texts{{h.Value, []piece{{expr: e}}}}
}

// call evaluates what functions make of strings; nil if it is another function.
func (v *values) call(call *ast.CallExpr, depth int) texts {
	if tv := v.info.Types[call.Fun]; tv.IsType() { // string(x)
		if len(call.Args) == 1 && isText(tv.Type) && isText(v.info.TypeOf(call.Args[0])) {
			return v.eval(call.Args[0], depth+1)
		}
		return nil
	}
	f, ok := typeutil.Callee(v.info, call).(*types.Func)
	if !ok || f.Pkg() == nil {
		return nil
	}
	arg := func(i int) ast.Expr { return call.Args[i] }
	switch full := f.FullName(); {
	case full == "fmt.Sprintf" && len(call.Args) > 0 && !call.Ellipsis.IsValid():
		return v.sprintf(call, arg(0), call.Args[1:], depth)
	case full == "strconv.Itoa", full == "strconv.FormatInt", full == "strconv.FormatUint":
		return texts{{pieces: []piece{{kind: number, expr: call}}}}
	case full == "fmt.Sprint" && len(call.Args) == 1:
		return v.printed(arg(0), 'v', depth)
	case full == "strings.TrimSpace":
		return v.trimmed(arg(0), strings.TrimSpace, depth)
	case (full == "strings.TrimSuffix" || full == "strings.TrimRight") && len(call.Args) == 2:
		return v.trimmed(arg(0), func(s string) string {
			if end, ok := v.single(arg(1)); ok && f.Name() == "TrimSuffix" {
				return strings.TrimSuffix(s, end)
			} else if ok {
				return strings.TrimRight(s, end)
			}
			return ""
		}, depth)
	case full == "strings.Join" && len(call.Args) == 2:
		return v.joined(call, depth)
	case full == "(*strings.Builder).String", full == "(*bytes.Buffer).String":
		if recv, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
			if id, ok := ast.Unparen(recv.X).(*ast.Ident); ok {
				return v.named(id, v.info.Uses[id], depth)
			}
		}
	case len(call.Args) == 0 && v.decl[f] != nil:
		return v.eval(v.decl[f], depth+1)
	case len(call.Args) == 0:
		return v.elsewhere(call, f)
	}
	return nil
}

// isText reports whether a type is string or []byte underneath.
func isText(t types.Type) bool {
	if t == nil {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0
	case *types.Slice:
		b, ok := u.Elem().Underlying().(*types.Basic)
		return ok && b.Kind() == types.Byte
	}
	return false
}

// trimmed evaluates what a function removes from the ends of a text. What it removes from an
// unknown end is not known either.
func (v *values) trimmed(e ast.Expr, trim func(string) string, depth int) texts {
	var out texts
	for _, t := range v.eval(e, depth+1) {
		switch rest := trim(t.value); {
		case t.isConstant() && strings.Contains(t.value, rest):
			start := strings.Index(t.value, rest)
			out = append(out, t.slice(start, start+len(rest)))
		case t.pieces[len(t.pieces)-1].kind == anything:
			out = append(out, t)
		default:
			out = append(out, unknown(e))
		}
	}
	return out
}

// joined evaluates strings.Join of a list that is written out.
func (v *values) joined(call *ast.CallExpr, depth int) texts {
	list, ok := ast.Unparen(call.Args[0]).(*ast.CompositeLit)
	if !ok {
		return nil
	}
	sum, between := texts{{}}, v.eval(call.Args[1], depth+1)
	for i, e := range list.Elts {
		if i > 0 {
			sum = sum.plus(between, call)
		}
		sum = sum.plus(v.eval(e, depth+1), call)
	}
	return sum
}

// sprintf evaluates a call of fmt.Sprintf, or of one that has its arguments.
func (v *values) sprintf(call *ast.CallExpr, format ast.Expr, args []ast.Expr, depth int) texts {
	var all texts
	for _, f := range v.eval(format, depth+1) {
		if !f.isConstant() {
			return texts{unknown(call)}
		}
		all = all.join(v.formatted(call, f, args, depth))
	}
	return all.bounded(call)
}

func (v *values) formatted(call *ast.CallExpr, f text, args []ast.Expr, depth int) texts {
	out, rest, next := texts{{}}, 0, 0
	for i := 0; i < len(f.value); i++ {
		if f.value[i] != '%' {
			continue
		}
		out = out.plus(texts{f.slice(rest, i)}, call)
		verb := i + 1
		for verb < len(f.value) && strings.IndexByte("+-# 0123456789.", f.value[verb]) >= 0 {
			verb++
		}
		plain := verb == i+1
		switch {
		case verb == len(f.value) || strings.IndexByte("[*", f.value[verb]) >= 0:
			return texts{unknown(call)}
		case f.value[verb] == '%':
			out = out.plus(texts{f.slice(verb, verb+1)}, call)
		case next >= len(args):
			return texts{unknown(call)}
		case plain:
			out = out.plus(v.printed(args[next], f.value[verb], depth), call)
			next++
		default:
			out = out.plus(texts{unknown(args[next])}, call)
			next++
		}
		i, rest = verb, verb+1
	}
	return out.plus(texts{f.slice(min(rest, len(f.value)), len(f.value))}, call)
}

// printed evaluates what a verb of fmt makes of an argument.
func (v *values) printed(e ast.Expr, verb byte, depth int) texts {
	t := v.info.TypeOf(e)
	if t == nil || strings.IndexByte("sdv", verb) < 0 || hasMethods(t) {
		return texts{unknown(e)}
	}
	b, ok := t.Underlying().(*types.Basic)
	switch {
	case ok && b.Info()&types.IsString != 0 && verb != 'd':
		return v.eval(e, depth+1)
	case ok && b.Info()&types.IsInteger != 0 && verb != 's':
		if c := v.info.Types[e].Value; c != nil {
			return texts{{c.ExactString(), []piece{{expr: e}}}}
		}
		return texts{{pieces: []piece{{kind: number, expr: e}}}}
	}
	return texts{unknown(e)}
}

// hasMethods reports whether a value may say itself how it is printed.
func hasMethods(t types.Type) bool {
	return types.NewMethodSet(t).Len() > 0
}
