package driver

import (
	"reflect"
	"slices"
	"testing"
)

func TestParseArray(t *testing.T) {
	null := element{null: true}
	txt := func(s string) element { return element{text: s} }
	tests := []struct {
		in   string
		want []element // nil: an error
	}{
		{"{}", []element{}},
		{" { } ", []element{}},
		{"{a}", []element{txt("a")}},
		{"{a,b}", []element{txt("a"), txt("b")}},
		{" { a , b } ", []element{txt("a"), txt("b")}},
		{`{"a b","c\"d","e\\f",""}`, []element{txt("a b"), txt(`c"d`), txt(`e\f`), txt("")}},
		{`{NULL,null,"NULL"}`, []element{null, null, txt("NULL")}},
		{`[2:3]={a,b}`, []element{txt("a"), txt("b")}},
		{`{"\\x00ff"}`, []element{txt(`\x00ff`)}},
		{"", nil}, {"a", nil}, {"{", nil}, {"}", nil}, {"{a", nil}, {"{a,}", nil}, {"{,a}", nil},
		{"{{a},{b}}", nil}, {`{"a}`, nil}, {`{"a"b}`, nil}, {`{"a\`, nil}, {"[1:2]", nil}, {`{a\b}`, nil},
	}
	for _, tt := range tests {
		got, err := parseArray(tt.in)
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %v, %v", tt.in, got, err)
		}
	}
}

// What appendElement writes, parseArray reads back.
func FuzzArrayElements(f *testing.F) {
	for _, s := range []string{"", "a", "NULL", `\`, `"`, "{", " x ", "a,b", "é", "\v"} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		lit := append(appendElement([]byte{'{'}, a), ',')
		lit = append(appendElement(lit, b), '}')
		got, err := parseArray(string(lit))
		if err != nil || !slices.Equal(got, []element{{text: a}, {text: b}}) {
			t.Fatalf("%q: %v, %v", lit, got, err)
		}
		_, _ = parseArray(a) // whatever it is, an answer
	})
}

func TestSplitTable(t *testing.T) {
	for in, want := range map[string][2]string{
		"users": {"", "users"}, "Users": {"", "users"}, "app.users": {"app", "users"}, `"Users"`: {"", "Users"},
		`"we.ird"."U""x"`: {"we.ird", `U"x`}, `app."Users"`: {"app", "Users"},
		"": {}, ".": {}, "a.": {}, ".a": {}, "a.b.c": {}, `"a`: {}, `a b`: {}, `"a"b`: {}, `""`: {},
	} {
		s, n, err := splitTable(in)
		if (err != nil) != (want[1] == "") || s != want[0] || n != want[1] {
			t.Errorf("%q: %q %q %v", in, s, n, err)
		}
	}
}
