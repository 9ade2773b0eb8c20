package schema

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func changing(t *testing.T) *Schema {
	t.Helper()
	s, err := New(
		Model("users", struct {
			Email string `seal:"deterministic,stage=copy,stored=email_found" was:"random"`
			Login string `seal:"deterministic,join=signin,stage=copy,stored=login_new" was:"deterministic,join=login,stored=login_sealed"`
			Age   int64  `seal:"ordered,min=0,max=150,stage=copy,stored=age_tight" was:"ordered"`
		}{}),
		Columns("visits", Column{Name: "login", Mode: ModeDeterministic, JoinGroup: "signin", Stage: StageCopy, Stored: "login_new", Was: &Column{Mode: ModeDeterministic, JoinGroup: "login"}}),
		View("people", "users", Renamed{Column: "email", As: "mail"}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A column whose options change has its cells in two columns, and says so in every form of the
// schema.
func TestWas(t *testing.T) {
	s := changing(t)
	data, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.WithStages(map[string]Stage{"users": StageSealed, "visits": StageSealed})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Schema{s, parsed, sealed} {
		users := s.Lookup("", "users")
		var cells, sources []string
		for _, c := range users.CellColumns() {
			cells = append(cells, c.CellColumn()+" "+c.Mode.String()+" "+c.Identity())
		}
		for _, c := range users.Columns() {
			sources = append(sources, c.Source())
		}
		if want := []string{"email_found deterministic users.email", "email random users.email", "login_new deterministic join:signin", "login_sealed deterministic join:login",
			"age_tight ordered users.age#ord:int:0:150:1", "age ordered users.age#ord:int"}; !slices.Equal(cells, want) {
			t.Errorf("cells %q, want %q", cells, want)
		}
		if want := []string{"email", "login_sealed", "age"}; !slices.Equal(sources, want) {
			t.Errorf("sources %q, want %q", sources, want)
		}
		mail := s.Lookup("", "people").Column("mail")
		if mail.Source() != "mail" || mail.Was.Identity() != "users.email" || mail.Copied() {
			t.Errorf("in a view: %q, %q, %v", mail.Source(), mail.Was.Identity(), mail.Copied())
		}
	}
	if again, err := parsed.MarshalJSON(); err != nil || string(again) != string(data) {
		t.Errorf("JSON differs: %s, %v; %s", again, err, data)
	}
	if text := s.String(); !strings.Contains(text, `stage copy stored email_found was (random text identity "users.email"`) {
		t.Error(text)
	}
}

func TestWasRefused(t *testing.T) {
	for _, tt := range []struct{ tag, want string }{
		{`seal:"deterministic" was:"random"`, "and has no stage"},
		{`seal:"deterministic,stage=copy" was:"randm"`, "in the was tag: unknown mode"},
		{`seal:"deterministic,stage=copy" was:"-"`, `the was tag is "-"`},
		{`seal:"deterministic,stage=copy" was:"random,name=other"`, "names another column"},
		{`seal:"deterministic,stage=copy" was:"deterministic"`, "its cells would be those that it has"},
		{`seal:"deterministic,cursor,stage=copy" was:"deterministic"`, "its cells would be those that it has"},
		{`seal:"deterministic,stage=copy" was:"random,stage=sealed"`, "it was in the stage sealed"},
		{`seal:"deterministic,stage=copy" was:"random,stored=email_sealed"`, "column email_sealed would be used for it and for email"},
		{`seal:"random,kind=date,stage=copy" was:"random,kind=date"`, "its cells would be those that it has"},
		{`seal:"deterministic,stage=copy" was:"random,join=x"`, "join= on a random column"},
	} {
		if _, err := New(tagged("", reflect.StructTag(tt.tag))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.tag, err, tt.want)
		}
	}
	was := Column{Was: &Column{Mode: ModeDeterministic}}
	if _, err := New(Columns("users", Column{Name: "a", Mode: ModeDeterministic, Stage: StageCopy, Was: &was})); err == nil || !strings.Contains(err.Error(), "says what that was") {
		t.Error(err)
	}
	was.Was = &was // without an end
	if _, err := New(Columns("users", Column{Name: "a", Mode: ModeDeterministic, Stage: StageCopy, Was: &was})); err == nil || !strings.Contains(err.Error(), "says what that was") {
		t.Error(err)
	}
	deep := strings.Repeat(`{"mode":"random","kind":"text","was":`, 3000) + "null" + strings.Repeat("}", 3000)
	began := time.Now()
	if _, err := ParseJSON([]byte(`{"version":1,"tables":[{"name":"users","columns":[{"name":"a","mode":"deterministic","kind":"text","stage":"copy","was":` + deep + `}]}]}`)); err == nil || !strings.Contains(err.Error(), "says what that was") {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
}
