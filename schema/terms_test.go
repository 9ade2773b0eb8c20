package schema

import (
	"reflect"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
)

func TestTerms(t *testing.T) {
	type person struct {
		Name  string   `seal:"random,fold,prefix=8"`
		Email string   `seal:"deterministic,fold,suffix=12-14,equal"`
		Tags  []string `seal:"random,elements"`
		Pin   int      `seal:"random,equal"`
		Plain string   `seal:"random"`
	}
	s := Must(Model("people", person{}))
	for _, tt := range []struct {
		column, identity string
		suite            codec.Suite
		equal            bool
	}{
		{"name", "people.name#fold,prefix=3-8", codec.SuiteRandomTerms, false},
		{"email", "people.email#equal,fold,suffix=12-14", codec.SuiteTerms, true},
		{"tags", "people.tags#elements", codec.SuiteRandomTerms, false},
		{"pin", "people.pin#equal", codec.SuiteRandomTerms, false},
		{"plain", "people.plain", codec.SuiteRandomized, false},
	} {
		c := s.Lookup("", "people").Column(tt.column)
		if c.Identity() != tt.identity || c.Suite() != tt.suite || c.EqualCells() != tt.equal {
			t.Errorf("%s: %s, %s, %t", tt.column, c.Identity(), c.Suite(), c.EqualCells())
		}
	}
	form, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseJSON(form)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.MarshalJSON(); err != nil || string(again) != string(form) {
		t.Errorf("%s\nread back:\n%s %v", form, again, err)
	}
}

func TestTermsRefused(t *testing.T) {
	for _, tt := range []struct {
		typ       any
		tag, want string
	}{
		{"", `seal:"random,prefix=2"`, "prefix=2 does not say lengths"},
		{"", `seal:"random,prefix=0-2"`, "prefix=0-2 does not say lengths"},
		{"", `seal:"random,suffix=x"`, "suffix=x does not say lengths"},
		{"", `seal:"random,prefix"`, "prefix= has no value"},
		{"", `seal:"random,fold=yes"`, "fold has a value"},
		{"", `seal:"random,elements"`, "elements on a column of text values"},
		{1, `seal:"random,fold"`, "fold on a column of int values"},
		{1, `seal:"random,prefix=3"`, "prefix=3-3 on a column of int values"},
		{1, `seal:"ordered,equal"`, "equal on a column that is ordered"},
		{1, `seal:"deterministic,equal"`, "searched by = anyway"},
		{"", `seal:"deterministic,cursor,fold"`, "cursor and fold together"},
		{map[string]int{}, `seal:"random,kind=json,equal"`, "equal on a column of json"},
		{"", `seal:"random,equal,inbox"`, "inbox and equal together"},
		{"", `seal:"random,fold,join=a"`, "join= on a random column"},
	} {
		if _, err := New(tagged(tt.typ, reflect.StructTag(tt.tag))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.tag, err, tt.want)
		}
	}
	if _, err := New(Columns("users", Column{Name: "a", Terms: codec.Terms{Prefix: codec.Lengths{Min: 5, Max: 3}}})); err == nil || !strings.Contains(err.Error(), "bad terms") {
		t.Errorf("prefix=5-3: %v", err)
	}
}
