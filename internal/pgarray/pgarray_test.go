package pgarray

import (
	"reflect"
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	null := Element{Text: "NULL", Null: true}
	text := func(s string) Element { return Element{Text: s} }
	tests := []struct {
		in   string
		want []Element // nil: an error
	}{
		{"{}", []Element{}},
		{" { } ", []Element{}},
		{"{a}", []Element{text("a")}},
		{"{a,b}", []Element{text("a"), text("b")}},
		{" { a , b } ", []Element{text("a"), text("b")}},
		{`{"a b","c\"d","e\\f",""}`, []Element{text("a b"), text(`c"d`), text(`e\f`), text("")}},
		{`{NULL,null,"NULL",\NULL}`, []Element{null, {Text: "null", Null: true}, text("NULL"), text("NULL")}},
		{`{"\\x00ff"}`, []Element{text(`\x00ff`)}},
		{`{a\,b}`, []Element{text("a,b")}},
		{`{a\b, \" ,c\ }`, []Element{text("ab"), text(`"`), text("c ")}},
		{`{ a b }`, []Element{text("a b")}},
		{`[2:3]={a,b}`, []Element{text("a"), text("b")}},
		{` [-1:+0] = {a,b}`, []Element{text("a"), text("b")}},
		{`[1]={a}`, []Element{text("a")}},
		{"", nil},
		{"a", nil},
		{"{", nil},
		{"}", nil},
		{"{a", nil},
		{"{a,}", nil},
		{"{,a}", nil},
		{"{a}b", nil},
		{"{{a},{b}}", nil},
		{"{{}}", nil},
		{`{"a}`, nil},
		{`{"a"b}`, nil},
		{`{a"b"}`, nil},
		{`{a\b"c}`, nil},
		{`{"a"{b}`, nil},
		{`{"a\`, nil},
		{`{a\`, nil},
		{"[1:2]", nil},
		{"[1:2={a,b}", nil},
		{"[1:3]={a,b}", nil},
		{"[1:1]={}", nil},
		{"[1:0]={}", nil},
		{"[ 1:2]={a,b}", nil},
		{"[]={a}", nil},
		{"[1:99999999999]={a}", nil},
		{"[1:1][1:1]={{a}}", nil},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Parse(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestFirst(t *testing.T) {
	for s, want := range map[string]int{"{a}": 1, " [2:3]={a,b}": 2, "[-1]={}": 1, "[-3:-3]={a}": -3, "[": 1} {
		if got := First(s); got != want {
			t.Errorf("First(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestParseArray(t *testing.T) {
	for in, want := range map[string]string{
		"{}": "{}", " { } ": "{}", "{a}": "{a}", "{{a,b},{c,NULL}}": "{{a,b},{c,NULL}}", " { { a , b } , { c , null } } ": "{{a,b},{c,NULL}}",
		"{{{a}},{{b}}}": "{{{a}},{{b}}}", "[1:2]={a,b}": "{a,b}", "[2:3]={a,b}": "[2:3]={a,b}", "[2][0:1]={{a,b},{c,d}}": "[1:2][0:1]={{a,b},{c,d}}",
		"[1:1] [-2:-1] = {{1,2}}": "[1:1][-2:-1]={{1,2}}", "{{{{{{a}}}}}}": "{{{{{{a}}}}}}", `{{"{",\}}}`: `{{"{","}"}}`,
		"[-2147483648:-2147483648]={a}": "[-2147483648:-2147483648]={a}",
		"{{{{{{{a}}}}}}}":               "", "{{a},{b,c}}": "", "{a,{b}}": "", "{{a},b}": "", "{{a}": "", "{{a}}}": "", "{{a},}": "", "{{}}": "", "{{},{}}": "", "{{a}{b}}": "", "{{{a}},{b}}": "",
		"[1:2]={{a}}": "", "[1:1][1:2]={{a}}": "", "[1:1]={}": "", "[1:0]={}": "", "{{a,b},{c}}": "", "{{{a},{b}},{{c}}}": "", "[2147483647:2147483647]={a}": "", "": "", "{": "", "{{": "", "x": "", "{{a}}x": "",
	} {
		a, err := ParseArray(in)
		if (err != nil) != (want == "") {
			t.Errorf("ParseArray(%q) = %v, %v", in, a, err)
		}
		if err != nil {
			continue
		}
		got, _ := a.Append(nil, func(dst []byte, e Element) ([]byte, error) { return AppendElement(dst, e.Text), nil })
		if string(got) != want {
			t.Errorf("ParseArray(%q) is written %s, want %s", in, got, want)
		}
	}
}

func TestElementsStops(t *testing.T) {
	for e := range Elements("{a,b}") {
		if e.Text != "a" {
			t.Errorf("Elements went on to %q after the loop ended", e.Text)
		}
		break
	}
}

// Parse reads back what AppendElement writes.
func FuzzElements(f *testing.F) {
	for _, s := range []string{"", "a", "NULL", `\`, `"`, "{", " x ", "a,b", "é", "\v"} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		literal := append(AppendElement([]byte{'{'}, a), ',')
		literal = append(AppendElement(literal, b), '}')
		got, err := Parse(string(literal))
		if err != nil || !slices.Equal(got, []Element{{Text: a}, {Text: b}}) {
			t.Fatalf("Parse(%q) = %v, %v", literal, got, err)
		}
		_, _ = Parse(a) // does not panic
		arr, err := ParseArray(a)
		if err != nil {
			return
		}
		again, _ := arr.Append(nil, func(dst []byte, e Element) ([]byte, error) { return AppendElement(dst, e.Text), nil })
		if back, err := ParseArray(string(again)); err != nil || !reflect.DeepEqual(back, arr) {
			t.Fatalf("ParseArray(%q) = %v is written %q and read as %v, %v", a, arr, again, back, err)
		}
	})
}
