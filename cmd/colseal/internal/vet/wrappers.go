package vet

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// wrappers knows the functions of a package that pass a parameter on as an SQL text, so that their calls are looked
// at like those of the library itself.
type wrappers struct {
	info   *types.Info
	calls  map[*types.Func][]*ast.CallExpr // by whom they call
	params map[types.Object]parameter      // the strings that functions of the package take
	known  map[parameter]bool
}

// parameter is one of a function's.
type parameter struct {
	of *types.Func
	n  int
}

func wrappersOf(in *inspector.Inspector, info *types.Info) *wrappers {
	w := &wrappers{info: info, calls: map[*types.Func][]*ast.CallExpr{}, params: map[types.Object]parameter{}, known: map[parameter]bool{}}
	in.Preorder([]ast.Node{(*ast.CallExpr)(nil), (*ast.FuncDecl)(nil)}, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := typeutil.Callee(info, n).(*types.Func); ok {
				w.calls[f.Origin()] = append(w.calls[f.Origin()], n)
			}
		case *ast.FuncDecl:
			f, ok := info.Defs[n.Name].(*types.Func)
			if !ok {
				return
			}
			params := f.Signature().Params()
			for i := range params.Len() {
				if isString(params.At(i).Type()) {
					w.params[params.At(i)] = parameter{f, i}
				}
			}
		}
	})
	return w
}

// behind returns the calls that give a site its text, when that is a parameter of the function around it; all says
// that there can be no others.
func (w *wrappers) behind(s *site, lost map[types.Object]bool) (sites []*site, all bool) {
	id, ok := ast.Unparen(s.query).(*ast.Ident)
	if !ok {
		return nil, false
	}
	p, ok := w.params[w.info.Uses[id]]
	if !ok || lost[w.info.Uses[id]] {
		return nil, false
	}
	all = !p.of.Exported() && len(w.calls[p.of]) > 0
	if w.known[p] {
		return nil, all
	}
	w.known[p] = true
	for _, call := range w.calls[p.of] {
		if p.n >= len(call.Args) {
			continue
		}
		outer := &site{
			call: call, query: call.Args[p.n], args: call.Args[p.n+1:], spread: call.Ellipsis.IsValid(),
			style: s.style, through: s.through,
		}
		if s.style == perhapsAt {
			outer.style = pgxStyle(w.info, outer.args)
		}
		sites = append(sites, outer)
	}
	return sites, all
}
