package schema

import (
	"reflect"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/hint"
)

func TestOrdered(t *testing.T) {
	type person struct {
		Age   int    `seal:"ordered,min=0,max=150"`
		Owed  string `seal:"ordered,kind=numeric,min=-10,max=10,step=0.5,join=money"`
		Token string `seal:"deterministic,cursor"`
		Zip   string `seal:"deterministic"`
		Seen  int64  `seal:"ordered,id=people.seen_at"`
	}
	s := Must(Model("people", person{}), Columns("debts", Column{Name: "owed", Mode: ModeOrdered, Kind: KindNumeric, Min: "-10.0", Max: "10", Step: ".5", JoinGroup: "money"}))
	for _, tt := range []struct {
		column, identity string
		suite            codec.Suite
		term             int
		equal, sorted    bool
	}{
		{"age", "people.age#ord:int:0:150:1", codec.SuiteOrdered, 8, true, true},
		{"owed", "join:money#ord:numeric:-10:10:0.5", codec.SuiteOrdered, 6, true, true},
		{"token", "people.token", codec.SuiteDeterministic, 0, true, true},
		{"zip", "people.zip", codec.SuiteDeterministic, 0, true, false},
		{"seen", "people.seen_at#ord:int", codec.SuiteOrdered, 64, true, true},
	} {
		c := s.Lookup("", "people").Column(tt.column)
		if c.Identity() != tt.identity || c.Suite() != tt.suite || c.EqualCells() != tt.equal || c.Sorted() != tt.sorted || c.Tag() != codec.ColumnTag(tt.identity) {
			t.Errorf("%s: %s, %s", tt.column, c.Identity(), c.Suite())
		}
		if o := c.Layout().Order; (o == nil) != (tt.term == 0) || o != nil && o.Size() != tt.term {
			t.Errorf("%s: %+v", tt.column, c.Layout())
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
	again, err := back.MarshalJSON()
	if err != nil || string(again) != string(form) || back.Lookup("", "people").Column("seen").ID != "people.seen_at" {
		t.Errorf("%s\nread back:\n%s %v", form, again, err)
	}
	if _, err := ParseJSON([]byte(strings.Replace(string(form), "#ord:int:0:150:1", "#ord:int:0:151:1", 1))); err == nil || !strings.Contains(err.Error(), "does not end in the order") {
		t.Errorf("an identity with other bounds: %v", err)
	}
}

func TestOrderedRefused(t *testing.T) {
	for _, tt := range []struct {
		typ       any
		tag, want string
	}{
		{"", `seal:"ordered"`, "a collation's order is another one"},
		{true, `seal:"ordered"`, "two values"},
		{[16]byte{}, `seal:"ordered"`, "deterministic,cursor"},
		{[]string{}, `seal:"ordered"`, "text[] cannot be ordered"},
		{0, `seal:"ordered,min=3,max=3"`, "not less than max"},
		{0, `seal:"ordered,min=3"`, "together"},
		{0, `seal:"deterministic,min=3,max=4"`, "not ordered"},
		{0, `seal:"random,cursor"`, "cursor on a column that is random"},
		{0, `seal:"ordered,cursor"`, "an ordered column needs none"},
		{0, `seal:"deterministic,cursor=yes"`, "write cursor alone"},
		{0, `seal:"deterministic,cursor,cursor"`, "option cursor is given twice"},
		{0, `seal:"deterministic,curser"`, "did you mean cursor?"},
		{0.5, `seal:"ordered,min=0,max=1,step=0.1"`, "a float has no step="},
	} {
		if _, err := New(tagged(tt.typ, reflect.StructTag(tt.tag))); err == nil || !strings.Contains(hint.Text(err), tt.want) {
			t.Errorf("%s: %v", tt.tag, err)
		}
	}
	owed := func(table, max string) Source {
		return Columns(table, Column{Name: "owed", Mode: ModeOrdered, Kind: KindInt, Min: "0", Max: max, JoinGroup: "money"})
	}
	if _, err := New(owed("a", "10"), owed("b", "11")); err == nil || !strings.Contains(err.Error(), "within other bounds") {
		t.Errorf("a join group of two orders: %v", err)
	}
}
