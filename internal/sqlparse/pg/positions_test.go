package pg

import (
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

// checkPositions holds that every node stands inside its statement, and that what can
// be edited stands exactly where the tree says.
func checkPositions(t *testing.T, text string, s sqlparse.Statement) {
	t.Helper()
	tokens, err := Tokens(text)
	if err != nil {
		t.Fatal(err)
	}
	sqlparse.Inspect(s.Stmt, func(n any) bool {
		p, ok := n.(interface{ Pos() int })
		if !ok {
			return true
		}
		if at := p.Pos(); at < s.Start || at >= s.End {
			t.Errorf("%s: %T at %d, outside its statement", text, n, at)
			return true
		}
		switch x := n.(type) {
		case *sqlparse.Param:
			if got := text[x.Pos():x.End]; !strings.HasPrefix(got, "$") {
				t.Errorf("%s: parameter %d at %q", text, x.Number, got)
			}
		case *sqlparse.Const:
			if _, ok := ConstEnd(tokens, text, x.Pos()); !ok {
				t.Errorf("%s: no constant at %d", text, x.Pos())
			}
		case *sqlparse.TableName:
			if _, ok := nameEnd(tokens, text, x.Pos()); !ok {
				t.Errorf("%s: no name at %d", text, x.Pos())
			}
		case *sqlparse.Cast:
			if _, _, ok := Span(tokens, text, x); !ok && spannable(x.Arg) {
				t.Errorf("%s: no span of the cast at %d", text, x.Pos())
			}
		}
		return true
	})
}

func spannable(e sqlparse.Expr) bool {
	switch e.(type) {
	case *sqlparse.Column, *sqlparse.Param, *sqlparse.Const, *sqlparse.Array:
		return true
	}
	return false
}

// checkFound holds for any text what checkPositions holds for texts that were written
// by hand: what stands at the position of a parameter, a string or a cast of one is
// that, or is not found at all.
func checkFound(t *testing.T, text string, tokens []sqlparse.Token, s sqlparse.Statement) {
	sqlparse.Inspect(s.Stmt, func(n any) bool {
		switch x := n.(type) {
		case *sqlparse.Param:
			if text[x.Pos()] != '$' || x.End > len(text) {
				t.Errorf("a parameter at %d, where there is none", x.Pos())
			}
		case *sqlparse.Cast:
			start, end, ok := Span(tokens, text, x)
			if !ok {
				break
			}
			f, err := Parse("SELECT "+text[start:end], sqlparse.Limits{})
			if err != nil {
				t.Errorf("the span %q of a cast does not parse: %v", text[start:end], err)
			} else if got := dump(f.Statements[0].Stmt.(*sqlparse.Select).Targets[0].Expr); got != dump(x) {
				t.Errorf("the span %q of a cast is %s, want %s", text[start:end], got, dump(x))
			}
		case *sqlparse.Const:
			str, is := x.Value.(string)
			if end, ok := ConstEnd(tokens, text, x.Pos()); ok && is {
				f, err := Parse("SELECT "+text[x.Pos():end], sqlparse.Limits{})
				if err != nil || dump(f.Statements[0].Stmt.(*sqlparse.Select).Targets[0].Expr) != dump(&sqlparse.Const{Value: str}) {
					t.Errorf("the span %q of a string is no such string", text[x.Pos():end])
				}
			}
		}
		return true
	})
}
