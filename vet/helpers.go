package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// passes says how a function passes its parameters on in SQL texts, so that its calls are looked at
// like those of a library. It is a fact of the analysis: packages that import the function's read
// it.
type passes struct{ Texts []template }

// AFact implements [analysis.Fact].
func (*passes) AFact() {}

func (p *passes) String() string { return "passes on SQL" }

// template is a text with parameters of a function in it.
type template struct {
	Parts   []part
	After   int // the parameters from here on are the statement's arguments
	Style   style
	Through through
}

type part struct {
	Kind  pieceKind
	Value string
	Param int // -1: not a parameter
}

// parameter is one of a function's.
type parameter struct {
	of *types.Func
	n  int
}

// helpers knows the functions that pass parameters on.
type helpers struct {
	v     *values
	calls map[*types.Func][]*ast.CallExpr // by whom they call
	named map[*ast.Ident]bool             // the functions' names in those
	own   map[*types.Func]*passes         // of this package
	takes map[*types.Func]bool            // functions whose calls are looked at
}

func helpersOf(in *inspector.Inspector, v *values) *helpers {
	h := &helpers{v: v, calls: map[*types.Func][]*ast.CallExpr{}, named: map[*ast.Ident]bool{}, own: map[*types.Func]*passes{}, takes: map[*types.Func]bool{}}
	in.Preorder([]ast.Node{(*ast.CallExpr)(nil)}, func(n ast.Node) {
		call := n.(*ast.CallExpr)
		f, ok := typeutil.Callee(v.info, call).(*types.Func)
		if !ok {
			return
		}
		id := calleeName(call)
		if s, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && v.info.Selections[s] != nil && v.info.Selections[s].Kind() == types.MethodExpr {
			return // its receiver stands among the arguments
		}
		h.named[id] = true
		h.calls[f.Origin()] = append(h.calls[f.Origin()], call)
	})
	return h
}

// calleeName returns the identifier that names what is called.
func calleeName(call *ast.CallExpr) *ast.Ident {
	fun := ast.Unparen(call.Fun)
	switch x := fun.(type) {
	case *ast.IndexExpr:
		fun = ast.Unparen(x.X)
	case *ast.IndexListExpr:
		fun = ast.Unparen(x.X)
	}
	switch x := fun.(type) {
	case *ast.Ident:
		return x
	case *ast.SelectorExpr:
		return x.Sel
	}
	return nil
}

// imported returns the sites at the calls of other packages' helpers.
func (h *helpers) imported() (sites []*site) {
	for f, calls := range h.calls {
		var p passes
		if f.Pkg() == nil || f.Pkg() == h.v.pass.Pkg || !h.v.pass.ImportObjectFact(f, &p) {
			continue
		}
		for _, call := range calls {
			if siteOf(h.v.info, call) != nil {
				continue // it is known by itself
			}
			h.takes[f] = true
			for _, t := range p.Texts {
				sites = append(sites, h.site(call, t))
			}
		}
	}
	slices.SortStableFunc(sites, func(a, b *site) int { return int(a.call.Pos() - b.call.Pos()) })
	return sites
}

// behind makes a helper of the function whose parameters stand in the text of a site, and returns
// the sites at its calls in this package.
func (h *helpers) behind(s *site, t text) (sites []*site) {
	f, made := h.template(s, t)
	if f == nil {
		return nil
	}
	p := h.own[f]
	if p == nil {
		p = &passes{}
		h.own[f] = p
	}
	same := func(o template) bool {
		return slices.Equal(o.Parts, made.Parts) && o.Style == made.Style && o.Through == made.Through
	}
	if slices.ContainsFunc(p.Texts, same) || len(p.Texts) >= maxTexts {
		return nil
	}
	p.Texts = append(p.Texts, made)
	for _, call := range h.calls[f] {
		h.takes[f] = true
		if siteOf(h.v.info, call) == nil {
			sites = append(sites, h.site(call, made))
		}
	}
	return sites
}

// template turns a text into one; nil if its parameters are those of several functions.
func (h *helpers) template(s *site, t text) (*types.Func, template) {
	var f *types.Func
	made := template{Style: s.style, Through: s.through}
	for i, p := range t.pieces {
		one := part{Kind: p.kind, Value: t.piece(i), Param: -1}
		if p.param != nil {
			of := h.v.params[p.param]
			if f != nil && f != of.of {
				return nil, template{}
			}
			f, one.Param = of.of, of.n
			made.After = max(made.After, of.n+1)
		}
		made.Parts = append(made.Parts, one)
	}
	return f, made
}

// site is a call of a helper.
func (h *helpers) site(call *ast.CallExpr, t template) *site {
	all := texts{{}}
	for _, p := range t.Parts {
		next := texts{{p.Value, []piece{{kind: p.Kind, expr: call}}}}
		if p.Param >= 0 {
			if p.Param >= len(call.Args) {
				next = texts{unknown(call)}
			} else {
				next = h.v.texts(call.Args[p.Param])
			}
		}
		all = all.plus(next, call)
	}
	s := &site{call: call, query: call, texts: all, spread: call.Ellipsis.IsValid(), style: t.Style, through: t.Through}
	if t.After <= len(call.Args) {
		s.args = call.Args[t.After:]
	}
	if i := t.After - 1; i >= 0 && i < len(call.Args) {
		s.query = call.Args[i]
		if len(t.Parts) == 1 {
			s.texts = nil // it is the argument's
		}
	}
	if s.style == perhapsAt {
		s.style = pgxStyle(h.v.info, s.args)
	}
	return s
}

// export tells the packages that import this one.
func (h *helpers) export() {
	for f, p := range h.own {
		if f.Exported() {
			h.v.pass.ExportObjectFact(f, p)
		}
	}
}

// usedAsValues lists the places where a helper is used other than by a call.
func (h *helpers) usedAsValues() (at []token.Pos) {
	for id, o := range h.v.info.Uses {
		if f, ok := o.(*types.Func); ok && h.own[f.Origin()] != nil && !h.named[id] {
			at = append(at, id.Pos())
		}
	}
	return at
}
