package vet

import (
	"go/ast"
	goconstant "go/constant"
	"go/types"
	"reflect"

	"github.com/Masterminds/squirrel"
	"golang.org/x/tools/go/types/typeutil"
)

// squirrelEnds are the methods of squirrel's builders that make or run a text.
var squirrelEnds = set("ToSql", "MustSql", "Exec", "ExecContext", "Query", "QueryContext", "QueryRow", "QueryRowContext", "Scan", "ScanContext")

// isSquirrel reports whether a call makes or runs a text of a squirrel builder, which is its
// receiver.
func isSquirrel(info *types.Info, call *ast.CallExpr) bool {
	f, ok := typeutil.Callee(info, call).(*types.Func)
	if !ok || f.Signature().Recv() == nil || !squirrelEnds[f.Name()] {
		return false
	}
	name, ok := typeIn(f.Signature().Recv().Type(), is(sqPkg))
	return ok && squirrelBuilders[name]
}

var squirrelBuilders = set("SelectBuilder", "InsertBuilder", "UpdateBuilder", "DeleteBuilder")

// squirrelText makes the text as squirrel itself does, from calls with constant arguments.
func (v *values) squirrelText(call *ast.CallExpr) (t text, ok bool) {
	defer func() {
		if recover() != nil { // squirrel panics where a call of it is wrong
			ok = false
		}
	}()
	s, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return t, false
	}
	b, ok := v.squirrel(s.X, 0)
	if !ok {
		return t, false
	}
	maker, ok := b.Interface().(squirrel.Sqlizer)
	if !ok {
		return t, false
	}
	sql, _, err := maker.ToSql()
	return text{sql, []piece{{expr: s.Sel}}}, err == nil
}

// squirrelValues are what the package declares and its users name.
var squirrelValues = map[string]any{
	"StatementBuilder": squirrel.StatementBuilder,
	"Question":         squirrel.Question, "Dollar": squirrel.Dollar, "Colon": squirrel.Colon, "AtP": squirrel.AtP,
	"Select": squirrel.Select, "Insert": squirrel.Insert, "Replace": squirrel.Replace, "Update": squirrel.Update, "Delete": squirrel.Delete,
	"Expr": squirrel.Expr, "Alias": squirrel.Alias,
}

// squirrelMaps are its conditions that are maps, and lists of conditions.
var squirrelMaps = map[string]reflect.Type{
	"Eq": reflect.TypeFor[squirrel.Eq](), "NotEq": reflect.TypeFor[squirrel.NotEq](), "Like": reflect.TypeFor[squirrel.Like](), "NotLike": reflect.TypeFor[squirrel.NotLike](),
	"ILike": reflect.TypeFor[squirrel.ILike](), "NotILike": reflect.TypeFor[squirrel.NotILike](), "Lt": reflect.TypeFor[squirrel.Lt](), "LtOrEq": reflect.TypeFor[squirrel.LtOrEq](),
	"Gt": reflect.TypeFor[squirrel.Gt](), "GtOrEq": reflect.TypeFor[squirrel.GtOrEq](), "And": reflect.TypeFor[squirrel.And](), "Or": reflect.TypeFor[squirrel.Or](),
}

// squirrel evaluates an expression of squirrel's types.
func (v *values) squirrel(e ast.Expr, depth int) (out reflect.Value, ok bool) {
	e = ast.Unparen(e)
	if depth > maxDepth {
		return out, false
	}
	switch e := e.(type) {
	case *ast.Ident:
		return v.squirrelNamed(v.info.Uses[e], depth)
	case *ast.SelectorExpr:
		return v.squirrelNamed(v.info.Uses[e.Sel], depth)
	case *ast.CompositeLit:
		return v.squirrelCondition(e, depth)
	case *ast.CallExpr:
		return v.squirrelCall(e, depth)
	}
	return out, false
}

func (v *values) squirrelNamed(o types.Object, depth int) (out reflect.Value, ok bool) {
	if o == nil || o.Pkg() == nil {
		return out, false
	}
	if o.Pkg().Path() == sqPkg {
		known, ok := squirrelValues[o.Name()]
		return reflect.ValueOf(known), ok
	}
	if x, isVar := o.(*types.Var); !isVar || x.IsField() || v.lost[o] || v.decl[o] == nil {
		return out, false
	}
	return v.squirrel(v.decl[o], depth+1)
}

func (v *values) squirrelCall(call *ast.CallExpr, depth int) (out reflect.Value, ok bool) {
	f, ok := typeutil.Callee(v.info, call).(*types.Func)
	if !ok || f.Pkg() == nil || f.Pkg().Path() != sqPkg || call.Ellipsis.IsValid() {
		return out, false
	}
	var fun reflect.Value
	if f.Signature().Recv() == nil {
		fun, ok = v.squirrelNamed(f, depth)
	} else {
		recv, known := v.squirrel(call.Fun.(*ast.SelectorExpr).X, depth+1)
		if !known || f.Name() == "RunWith" {
			return recv, known
		}
		fun, ok = recv.MethodByName(f.Name()), true
	}
	if !ok || !fun.IsValid() {
		return out, false
	}
	var in []reflect.Value
	for i, a := range call.Args {
		n := fun.Type().NumIn()
		want := fun.Type().In(min(i, n-1))
		if fun.Type().IsVariadic() && i >= n-1 {
			want = want.Elem()
		}
		x, known := v.squirrelArg(a, want, depth+1)
		if !known {
			return out, false
		}
		in = append(in, x)
	}
	results := fun.Call(in)
	return results[0], len(results) == 1
}

// squirrelArg evaluates an argument. An argument that is a part of the text must be constant.
// Others stand for themselves.
func (v *values) squirrelArg(e ast.Expr, want reflect.Type, depth int) (out reflect.Value, ok bool) {
	if t := v.info.TypeOf(e); t != nil {
		if _, ours := typeIn(t, is(sqPkg)); ours {
			out, ok = v.squirrel(e, depth)
			return out, ok && out.Type().AssignableTo(want)
		}
	}
	switch {
	case want.Kind() == reflect.String:
		s, ok := v.single(e)
		return reflect.ValueOf(s).Convert(want), ok
	case want.Kind() == reflect.Uint64:
		n := uint64(1)
		if c := v.info.Types[e].Value; c != nil {
			n, ok = goconstant.Uint64Val(c)
			return reflect.ValueOf(n), ok
		}
		return reflect.ValueOf(n), true
	case want.Kind() == reflect.Map:
		lit, isLit := ast.Unparen(e).(*ast.CompositeLit)
		if !isLit {
			return out, false
		}
		return v.squirrelMap(lit, want)
	case want.Kind() != reflect.Interface || want.NumMethod() > 0:
		return out, false
	}
	if s, constant := v.single(e); constant {
		return reflect.ValueOf(&s).Elem(), true // a condition, or a value
	}
	return v.squirrelValue(e)
}

// single returns the one constant that an expression is.
func (v *values) single(e ast.Expr) (string, bool) {
	if t := v.info.TypeOf(e); t == nil || !isText(t) {
		return "", false
	}
	t := v.texts(e)
	return t[0].value, len(t) == 1 && t[0].isConstant()
}

// squirrelValue returns a value with which squirrel does what it does with the argument's.
func (v *values) squirrelValue(e ast.Expr) (out reflect.Value, ok bool) {
	if v.info.Types[e].IsNil() {
		return reflect.Zero(reflect.TypeFor[any]()), true
	}
	switch argKind(v.info, e) {
	case single:
		return reflect.ValueOf("x"), true
	case list:
		return reflect.ValueOf([]string{"x", "y"}), true
	}
	return out, false
}

func (v *values) squirrelCondition(lit *ast.CompositeLit, depth int) (out reflect.Value, ok bool) {
	name, _ := typeIn(v.info.TypeOf(lit), is(sqPkg))
	typ, ok := squirrelMaps[name]
	if !ok {
		return out, false
	}
	if typ.Kind() == reflect.Map {
		return v.squirrelMap(lit, typ)
	}
	out = reflect.MakeSlice(typ, 0, len(lit.Elts))
	for _, e := range lit.Elts {
		one, ok := v.squirrel(e, depth+1)
		if !ok || !one.Type().AssignableTo(typ.Elem()) {
			return out, false
		}
		out = reflect.Append(out, one)
	}
	return out, true
}

func (v *values) squirrelMap(lit *ast.CompositeLit, typ reflect.Type) (out reflect.Value, ok bool) {
	out = reflect.MakeMap(typ)
	for _, e := range lit.Elts {
		kv, isPair := e.(*ast.KeyValueExpr)
		if !isPair {
			return out, false
		}
		key, ok := v.single(kv.Key)
		if !ok {
			return out, false
		}
		value, ok := v.squirrelValue(kv.Value)
		if !ok {
			return out, false
		}
		out.SetMapIndex(reflect.ValueOf(key), value)
	}
	return out, true
}
