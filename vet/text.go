package vet

import (
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// text is what an expression of type string may be at run time: constant pieces, and others.
type text struct {
	value  string // the constant pieces
	pieces []piece
}

// piece is a part of a text, from a byte of its value on. Only constant pieces have bytes in the
// value.
type piece struct {
	kind  pieceKind
	from  int
	skip  int          // where it begins in its literal's value
	expr  ast.Expr     // a literal, or an expression whose inside is not at hand
	pos   token.Pos    // where it stands, if there is no expr: in a file of SQL
	param types.Object // the parameter of a function, if it is one
}

type pieceKind uint8

const (
	constant pieceKind = iota
	number             // digits, perhaps with a sign
	anything
)

// unknown returns a text of which nothing is known.
func unknown(e ast.Expr) text { return text{pieces: []piece{{kind: anything, expr: e}}} }

// isConstant reports whether all of the text is known.
func (t text) isConstant() bool {
	for _, p := range t.pieces {
		if p.kind != constant {
			return false
		}
	}
	return true
}

// isUnknown reports whether nothing of the text is known.
func (t text) isUnknown() bool { return strings.TrimSpace(t.value) == "" && !t.isConstant() }

// params lists the parameters in the text.
func (t text) params() (of []types.Object) {
	for _, p := range t.pieces {
		if p.param != nil {
			of = append(of, p.param)
		}
	}
	return of
}

func (t text) plus(u text) text {
	sum := text{t.value + u.value, append([]piece(nil), t.pieces...)}
	for _, p := range u.pieces {
		p.from += len(t.value)
		sum.pieces = append(sum.pieces, p)
	}
	return sum
}

// key returns the same for equal texts.
func (t text) key() string {
	var b strings.Builder
	for i, p := range t.pieces {
		b.WriteString(t.piece(i))
		if p.kind != constant {
			b.WriteByte(0)
			b.WriteByte(byte(p.kind))
		}
	}
	return b.String()
}

// piece returns the bytes of a piece.
func (t text) piece(i int) string {
	end := len(t.value)
	if i+1 < len(t.pieces) {
		end = t.pieces[i+1].from
	}
	return t.value[t.pieces[i].from:end]
}

// slice returns the bytes of a constant text from i to j.
func (t text) slice(i, j int) text {
	out := text{value: t.value[i:j]}
	for n, p := range t.pieces {
		from, to := max(i, p.from), min(j, p.from+len(t.piece(n)))
		if from >= to {
			continue
		}
		p.skip += from - p.from
		p.from = from - i
		out.pieces = append(out.pieces, p)
	}
	return out
}

// pos returns where a byte of the text stands in the source: within a literal where it is one.
func (t text) pos(offset int) token.Pos {
	if len(t.pieces) == 0 {
		return token.NoPos
	}
	p := t.pieces[0]
	for _, next := range t.pieces[1:] {
		if next.from > offset {
			break
		}
		p = next
	}
	if p.expr == nil {
		return p.pos + token.Pos(p.skip+offset-p.from)
	}
	lit, ok := p.expr.(*ast.BasicLit)
	if !ok || p.kind != constant {
		return p.expr.Pos()
	}
	return lit.Pos() + token.Pos(literalOffset(lit.Value, p.skip+offset-p.from))
}

// literalOffset returns where byte n of a literal's value stands in the literal.
func literalOffset(lit string, n int) int {
	if lit[0] == '`' {
		return min(1+n, len(lit)-1)
	}
	rest := lit[1 : len(lit)-1]
	for n > 0 && rest != "" {
		r, multi, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			break // the parser accepted it
		}
		n--
		if multi {
			n -= len(string(r)) - 1
		}
		if n < 0 {
			break // within this character
		}
		rest = tail
	}
	return len(lit) - 1 - len(rest)
}

// texts are what an expression may be, one of them at a time.
type texts []text

// maxTexts bounds how many texts an expression may be before nothing is said of it.
const maxTexts = 32

// join returns all of both, once.
func (a texts) join(b texts) texts {
	seen := map[string]bool{}
	var all texts
	for _, t := range append(append(texts(nil), a...), b...) {
		if k := t.key(); !seen[k] {
			seen[k] = true
			all = append(all, t)
		}
	}
	return all
}

// bounded returns the texts, or that they are not known if they are too many.
func (a texts) bounded(e ast.Expr) texts {
	if len(a) > maxTexts {
		return texts{unknown(e)}
	}
	return a
}

// plus returns each of the first before each of the second.
func (a texts) plus(b texts, e ast.Expr) texts {
	var sum texts
	if len(a)*len(b) > maxTexts {
		return texts{unknown(e)}
	}
	for _, x := range a {
		for _, y := range b {
			sum = append(sum, x.plus(y))
		}
	}
	return sum.join(nil)
}
