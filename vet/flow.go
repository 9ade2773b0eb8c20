package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"

	"golang.org/x/tools/go/types/typeutil"
)

// flow follows the local variables of a function that are put together in several statements, and
// records in values.at what each is where it is used. It joins branches. What a loop appends is not
// known.
type flow struct {
	v       *values
	tracked map[types.Object]bool
	exits   []*state // of the loops and switches around
}

// state is what the tracked variables are at a statement; nil where it is not reached.
type state map[types.Object]texts

// follow looks at the body of one function, without those within it.
func (v *values) follow(f *types.Signature, body *ast.BlockStmt) {
	w := &flow{v: v, tracked: map[types.Object]bool{}}
	w.track(f, body)
	if len(w.tracked) == 0 {
		return
	}
	now := state{}
	for o := range w.tracked {
		if _, ok := v.params[o]; ok {
			now[o] = texts{{pieces: []piece{{kind: anything, expr: &ast.Ident{NamePos: o.Pos(), Name: o.Name()}, param: o}}}}
		}
	}
	w.block(body.List, now)
	v.now = nil
}

// track finds the variables: strings that are assigned to after their declaration, and builders of
// strings. It leaves out those that a function within this one changes, or whose address is taken.
func (w *flow) track(f *types.Signature, body *ast.BlockStmt) {
	own, spoiled := map[types.Object]bool{}, map[types.Object]bool{}
	statements := map[ast.Expr]bool{} // calls that are statements, or all of an assignment
	if f != nil {
		for i := range f.Params().Len() {
			if p := f.Params().At(i); isString(p.Type()) {
				own[p] = true
			}
		}
	}
	var walk func(n ast.Node, inside bool)
	walk = func(n ast.Node, inside bool) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				if !inside {
					walk(n.Body, true)
					return false
				}
			case *ast.Ident:
				o := w.v.info.Defs[n]
				if x, ok := o.(*types.Var); ok && !inside && (isString(x.Type()) || isBuilder(x.Type())) {
					own[o] = true
				}
				if o := w.v.info.Uses[n]; inside && o != nil && isBuilder(o.Type()) {
					spoiled[o] = true
				}
			case *ast.ExprStmt:
				statements[n.X] = true
			case *ast.AssignStmt:
				statements[n.Rhs[0]] = len(n.Rhs) == 1
				for i, left := range n.Lhs {
					if id, ok := ast.Unparen(left).(*ast.Ident); ok && w.v.info.Uses[id] != nil {
						o := w.v.info.Uses[id]
						w.tracked[o] = true
						spoiled[o] = spoiled[o] || inside || isBuilder(o.Type()) || len(n.Lhs) != len(n.Rhs) && i > 0
					}
				}
			case *ast.RangeStmt:
				for _, e := range []ast.Expr{n.Key, n.Value} {
					if id, ok := e.(*ast.Ident); ok {
						spoiled[w.v.info.ObjectOf(id)] = true
					}
				}
			case *ast.CallExpr:
				if o, _ := w.written(n); o != nil {
					w.tracked[o] = true
					spoiled[o] = spoiled[o] || inside || !statements[n]
					for _, a := range n.Args {
						if u, ok := a.(*ast.UnaryExpr); !ok || w.receiverOf(u.X) != o { // not the address that it takes
							walk(a, inside)
						}
					}
					return false
				}
				if o := w.receiver(n); o != nil && isBuilder(o.Type()) && !readers[n.Fun.(*ast.SelectorExpr).Sel.Name] {
					spoiled[o] = true
				}
			case *ast.UnaryExpr:
				if id, ok := ast.Unparen(n.X).(*ast.Ident); ok && n.Op == token.AND {
					spoiled[w.v.info.Uses[id]] = true
				}
			case *ast.BranchStmt:
				if n.Tok == token.GOTO {
					maps.Copy(spoiled, own)
				}
			}
			return true
		})
	}
	walk(body, false)
	for o := range w.tracked {
		if !own[o] || spoiled[o] {
			delete(w.tracked, o)
		}
	}
}

// readers are the methods of a builder that leave its text alone.
var readers = set("String", "Len", "Cap", "Grow")

func isBuilder(t types.Type) bool {
	name, ok := typeIn(t, is("strings"))
	if ok && name == "Builder" {
		return true
	}
	name, ok = typeIn(t, is("bytes"))
	return ok && name == "Buffer"
}

// written returns the builder that a call appends to, and what; nil if it is no such call.
func (w *flow) written(call *ast.CallExpr) (to types.Object, what func() texts) {
	f, ok := typeutil.Callee(w.v.info, call).(*types.Func)
	if !ok {
		return nil, nil
	}
	switch f.FullName() {
	case "(*strings.Builder).WriteString", "(*bytes.Buffer).WriteString":
		return w.receiver(call), func() texts { return w.v.texts(call.Args[0]) }
	case "(*strings.Builder).WriteByte", "(*strings.Builder).WriteRune", "(*bytes.Buffer).WriteByte", "(*bytes.Buffer).WriteRune", "(*strings.Builder).Write", "(*bytes.Buffer).Write":
		return w.receiver(call), func() texts { return texts{unknown(call)} }
	case "fmt.Fprintf", "fmt.Fprint", "fmt.Fprintln":
		at, ok := ast.Unparen(call.Args[0]).(*ast.UnaryExpr)
		if !ok || at.Op != token.AND {
			return nil, nil
		}
		if !isBuilder(w.v.info.TypeOf(at.X)) {
			return nil, nil
		}
		return w.receiverOf(at.X), func() texts {
			if f.Name() != "Fprintf" || len(call.Args) < 2 || call.Ellipsis.IsValid() {
				return texts{unknown(call)}
			}
			return w.v.sprintf(call, call.Args[1], call.Args[2:], 0)
		}
	}
	return nil, nil
}

// receiver returns the local variable whose method is called.
func (w *flow) receiver(call *ast.CallExpr) types.Object {
	if s, ok := call.Fun.(*ast.SelectorExpr); ok {
		return w.receiverOf(s.X)
	}
	return nil
}

func (w *flow) receiverOf(e ast.Expr) types.Object {
	if id, ok := ast.Unparen(e).(*ast.Ident); ok {
		return w.v.info.Uses[id]
	}
	return nil
}

// joined returns what holds where two ways meet.
func joined(a, b state) state {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	out := state{}
	for o, t := range a {
		if u, ok := b[o]; ok { // else it is declared in one branch only
			out[o] = t.join(u)
			if len(out[o]) > maxTexts {
				out[o] = texts{unknown(t[0].pieces[0].expr)}
			}
		}
	}
	return out
}

func (w *flow) block(list []ast.Stmt, now state) state {
	for _, s := range list {
		now = w.stmt(s, now)
	}
	return now
}

// stmt returns the state after a statement.
func (w *flow) stmt(s ast.Stmt, now state) state {
	if now == nil || s == nil {
		return now
	}
	switch s := s.(type) {
	case *ast.BlockStmt:
		return w.block(s.List, now)
	case *ast.LabeledStmt:
		return w.stmt(s.Stmt, now)
	case *ast.IfStmt:
		now = w.stmt(s.Init, now)
		w.note(s.Cond, now)
		then := w.block(s.Body.List, maps.Clone(now))
		if s.Else == nil {
			return joined(then, now)
		}
		return joined(then, w.stmt(s.Else, maps.Clone(now)))
	case *ast.ForStmt:
		now = w.stmt(s.Init, now)
		return w.loop(s, now, func(in state) state {
			w.note(s.Cond, in)
			return w.stmt(s.Post, w.block(s.Body.List, in))
		})
	case *ast.RangeStmt:
		w.note(s.X, now)
		return w.loop(s, now, func(in state) state { return w.block(s.Body.List, in) })
	case *ast.SwitchStmt:
		now = w.stmt(s.Init, now)
		w.note(s.Tag, now)
		return w.cases(s.Body, now)
	case *ast.TypeSwitchStmt:
		return w.cases(s.Body, w.stmt(s.Init, now))
	case *ast.SelectStmt:
		return w.cases(s.Body, now)
	case *ast.ReturnStmt:
		w.note(s, now)
		return nil
	case *ast.BranchStmt:
		for _, e := range w.exits {
			*e = joined(*e, now)
		}
		return nil
	case *ast.AssignStmt:
		w.note(s, now)
		return w.assign(s, w.append(s.Rhs[0], now))
	case *ast.DeclStmt:
		w.note(s, now)
		return w.declare(s, now)
	}
	w.note(s, now)
	if e, ok := s.(*ast.ExprStmt); ok {
		return w.append(e.X, now)
	}
	return now
}

// cases returns the branches of a switch.
func (w *flow) cases(body *ast.BlockStmt, now state) state {
	var exit, out state
	w.exits = append(w.exits, &exit)
	whole := false
	for _, c := range body.List {
		in := maps.Clone(now)
		switch c := c.(type) {
		case *ast.CaseClause:
			for _, e := range c.List {
				w.note(e, in)
			}
			whole = whole || c.List == nil
			out = joined(out, w.block(c.Body, in))
		case *ast.CommClause:
			whole = true
			out = joined(out, w.block(c.Body, w.stmt(c.Comm, in)))
		}
	}
	w.exits = w.exits[:len(w.exits)-1]
	if !whole {
		out = joined(out, now)
	}
	return joined(out, exit)
}

// loop follows the body of a loop. What it appends to a variable from outside is not known, and
// what it assigns may have been assigned before.
func (w *flow) loop(s ast.Node, now state, body func(state) state) state {
	appended, assigned := w.changed(s)
	in := maps.Clone(now)
	for o := range appended {
		if _, ok := in[o]; !ok {
			continue
		}
		more := texts{unknown(&ast.Ident{NamePos: s.Pos()})}
		if assigned[o] {
			in[o] = more
		} else {
			in[o] = in[o].plus(more, more[0].pieces[0].expr)
		}
	}
	first := maps.Clone(in)
	var exit state
	w.exits = append(w.exits, &exit)
	out := joined(body(maps.Clone(first)), exit)
	if len(assigned) > 0 {
		out = joined(body(joined(first, out)), joined(out, exit))
	}
	w.exits = w.exits[:len(w.exits)-1]
	after := joined(first, out)
	for o := range appended {
		if t, ok := first[o]; ok {
			after[o] = t
		}
	}
	return after
}

// changed lists the tracked variables that a loop appends to, and those that it assigns to.
func (w *flow) changed(s ast.Node) (appended, assigned map[types.Object]bool) {
	appended, assigned = map[types.Object]bool{}, map[types.Object]bool{}
	ast.Inspect(s, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				o := w.variable(left)
				switch {
				case o == nil:
				case n.Tok == token.ADD_ASSIGN, i < len(n.Rhs) && w.mentions(n.Rhs[i], o):
					appended[o] = true
				default:
					assigned[o] = true
				}
				if o != nil && n.Tok != token.ADD_ASSIGN && appended[o] {
					assigned[o] = true // q = "(" + q + ")"
				}
			}
		case *ast.CallExpr:
			if o, _ := w.written(n); o != nil {
				appended[o] = true
			}
		}
		return true
	})
	return appended, assigned
}

func (w *flow) mentions(e ast.Expr, o types.Object) (found bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && w.v.info.Uses[id] == o {
			found = true
		}
		return true
	})
	return found
}

// variable returns the tracked variable that an expression is.
func (w *flow) variable(e ast.Expr) types.Object {
	id, ok := ast.Unparen(e).(*ast.Ident)
	if !ok {
		return nil
	}
	if o := w.v.info.ObjectOf(id); w.tracked[o] {
		return o
	}
	return nil
}

func (w *flow) assign(s *ast.AssignStmt, now state) state {
	out := maps.Clone(now)
	w.v.now = now
	for i, left := range s.Lhs {
		o := w.variable(left)
		switch {
		case o == nil:
		case len(s.Lhs) != len(s.Rhs):
			out[o] = texts{unknown(left)}
		case s.Tok == token.ADD_ASSIGN:
			out[o] = now[o].plus(w.v.texts(s.Rhs[i]), s.Rhs[i])
		case isBuilder(o.Type()):
			out[o] = texts{unknown(left)}
		default:
			out[o] = w.v.texts(s.Rhs[i])
		}
	}
	w.v.now = nil
	return out
}

func (w *flow) declare(s *ast.DeclStmt, now state) state {
	d, ok := s.Decl.(*ast.GenDecl)
	if !ok {
		return now
	}
	out := maps.Clone(now)
	w.v.now = now
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, name := range v.Names {
			o := w.variable(name)
			switch {
			case o == nil:
			case len(v.Values) == 0:
				out[o] = texts{{}}
			case len(v.Values) == len(v.Names) && !isBuilder(o.Type()):
				out[o] = w.v.texts(v.Values[i])
			default:
				out[o] = texts{unknown(name)}
			}
		}
	}
	w.v.now = nil
	return out
}

// append looks for a call that appends to a builder.
func (w *flow) append(e ast.Expr, now state) state {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return now
	}
	o, what := w.written(call)
	if o == nil || !w.tracked[o] {
		return now
	}
	out := maps.Clone(now)
	w.v.now = now
	out[o] = now[o].plus(what(), call)
	w.v.now = nil
	return out
}

// note keeps what the variables are where a statement or expression uses them.
func (w *flow) note(n ast.Node, now state) {
	if e, ok := n.(ast.Expr); n == nil || ok && e == nil {
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.Ident:
			if o := w.v.info.Uses[n]; w.tracked[o] {
				w.v.at[n] = w.v.at[n].join(now[o])
				if len(w.v.at[n]) > maxTexts || now[o] == nil {
					w.v.at[n] = texts{unknown(n)}
				}
			}
		}
		return true
	})
}
