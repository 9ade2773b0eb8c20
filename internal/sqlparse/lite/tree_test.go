package lite

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sqlc-dev/meyer/lexer"
	"github.com/sqlc-dev/meyer/token"

	"github.com/colseal/colseal/internal/sqlparse"
)

// checkTree holds what is true of every tree: positions lie in their statement,
// every End is set, and no parameter of the text is missing from the tree.
func checkTree(t testing.TB, f *sqlparse.File) {
	t.Helper()
	last := 0
	params := 0
	for _, s := range f.Statements {
		if s.Start < last || s.End < s.Start || s.End > len(f.Text) {
			t.Fatalf("statement at %d to %d after %d of %d", s.Start, s.End, last, len(f.Text))
		}
		last = s.End
		c := checker{t: t, text: f.Text, in: s}
		c.value(reflect.ValueOf(s.Stmt))
		params += c.params
	}
	want := 0
	virtual := false
	for _, k := range lexer.Lex(f.Text) {
		virtual = virtual || k.Kind == token.VIRTUAL // whose arguments are no SQL
		if k.Kind == token.VARIABLE {
			want++
		}
	}
	if params != want && !virtual {
		t.Fatalf("%d parameters in the text, %d in the tree", want, params)
	}
}

type checker struct {
	t      testing.TB
	text   string
	in     sqlparse.Statement
	params int
}

func (c *checker) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			c.value(v.Elem())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c.value(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.value(v.Index(i))
		}
	case reflect.Struct:
		c.node(v)
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() >= reflect.Array && f.Kind() != reflect.String {
				c.value(f)
			}
		}
	}
}

func (c *checker) node(v reflect.Value) {
	at, end := v.FieldByName("At"), v.FieldByName("End")
	if !at.IsValid() {
		return
	}
	start := int(at.Int())
	if start < c.in.Start || start > c.in.End {
		c.t.Fatalf("%s at %d, in a statement from %d to %d", v.Type(), start, c.in.Start, c.in.End)
	}
	if !end.IsValid() {
		return
	}
	stop := int(end.Int())
	if stop <= start || stop > c.in.End {
		c.t.Fatalf("%s from %d to %d, in a statement from %d to %d", v.Type(), start, stop, c.in.Start, c.in.End)
	}
	if v.Type() == reflect.TypeFor[sqlparse.Param]() {
		c.params++
		if !strings.ContainsRune("?:@$#", rune(c.text[start])) {
			c.t.Fatalf("a parameter at %d", start)
		}
		if n, name := v.FieldByName("Number").Int(), v.FieldByName("Name").String(); (n == 0) == (name == "") {
			c.t.Fatalf("a parameter at %d with the number %d and the name %q", start, n, name)
		}
	}
}

func TestTrees(t *testing.T) {
	for _, set := range [][]lowering{queries, writes, utilities} {
		for _, test := range set {
			checkTree(t, mustParse(t, test.sql))
		}
	}
}

// TestSpans cuts the text at the positions of nodes that are edited in place.
func TestSpans(t *testing.T) {
	const sql = `INSERT INTO main."We.ird" AS w (a) SELECT - 5, CAST(:p AS VARCHAR (20)), (e) = (?2), 'it''s' FROM x ;SELECT 1`
	f := mustParse(t, sql)
	if s := sql[f.Statements[0].Start:f.Statements[0].End]; !strings.HasSuffix(s, "FROM x") {
		t.Errorf("the statement ends %q", s)
	}
	ins := f.Statements[0].Stmt.(*sqlparse.Insert)
	cast := ins.Source.Targets[1].Expr.(*sqlparse.Cast)
	compare := ins.Source.Targets[2].Expr.(*sqlparse.Compare)
	for _, test := range []struct {
		start sqlparse.At
		end   int
		want  string
	}{
		{ins.Table.At, ins.Table.End, `main."We.ird"`},
		{sqlparse.At(ins.SourceAt), ins.SourceAt + 6, "SELECT"},
		{ins.Source.Targets[0].Expr.(*sqlparse.Const).At, ins.Source.Targets[0].Expr.(*sqlparse.Const).End, "- 5"},
		{cast.At, cast.At.Pos() + 4, "CAST"},
		{cast.Arg.(*sqlparse.Param).At, cast.Arg.(*sqlparse.Param).End, ":p"},
		{cast.Type.At, cast.Type.End, "VARCHAR (20)"},
		{compare.At, compare.End, "(e) = (?2)"},
		{compare.Right.(*sqlparse.Param).At, compare.Right.(*sqlparse.Param).End, "?2"},
		{ins.Source.Targets[3].Expr.(*sqlparse.Const).At, ins.Source.Targets[3].Expr.(*sqlparse.Const).End, "'it''s'"},
	} {
		if got := sql[test.start:test.end]; got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
