package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/hint"
)

func jsonExample() *Schema {
	return Must(
		Columns("app.users",
			Column{Name: "email", Mode: ModeDeterministic, JoinGroup: "email"},
			Column{Name: "ssn", ID: "people.ssn"},
			Column{Name: "profile", Kind: KindJSON}),
		Columns(`"Or.ders"`, Column{Name: "Mail", Mode: ModeDeterministic, JoinGroup: "email"}, Column{Name: "items", Kind: KindIntArray}),
		View("user_names", "users"),
	)
}

func TestJSON(t *testing.T) {
	s := jsonExample()
	got, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/schema.json", append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.TrimSpace(want)) {
		t.Errorf("the form changed (go test -update rewrites it):\n%s", got)
	}
	back, err := ParseJSON(want)
	if err != nil {
		t.Fatal(err)
	}
	if back.String() != s.String() {
		t.Errorf("read back:\n%s\nwant:\n%s", back, s)
	}
	if c := back.Lookup("app", "users").Column("ssn"); c.ID != "people.ssn" {
		t.Errorf("ID %q", c.ID)
	}
	if c := back.Lookup("app", "users").Column("profile"); c.ID != "" {
		t.Errorf("a default identity became ID %q", c.ID)
	}
}

func TestEmptyJSON(t *testing.T) {
	for _, s := range []*Schema{nil, Must()} {
		got, err := s.MarshalJSON()
		if err != nil || string(got) != `{"version":1,"tables":[]}` {
			t.Errorf("%s, %v", got, err)
		}
		if _, err := ParseJSON(got); err != nil {
			t.Error(err)
		}
	}
}

func TestJSONErrors(t *testing.T) {
	column := func(c string) string { return `{"version":1,"tables":[{"name":"users","columns":[` + c + `]}]}` }
	for _, tt := range []struct{ in, want string }{
		{``, "cannot be read"},
		{`{"version":1,"tables":[]} x`, "followed by something else"},
		{`{"version":2,"tables":[]}`, "version 2"},
		{`{"version":1,"tabels":[]}`, "tabels"},
		{column(`{"name":"a","mode":"randm","kind":"text"}`), "did you mean random?"},
		{column(`{"name":"a","mode":"random","kind":"string"}`), "did you mean text?"},
		{column(`{"name":"a","mode":"random","kind":"text","tag":"0000"}`), `tag "0000" is not that of identity "users.a"`},
		{column(`{"name":"a","mode":"deterministic","kind":"text","join_group":"g","identity":"users.a"}`), `not that of join group "g"`},
		{column(`{"name":"a","mode":"random","kind":"text","join_group":"g"}`), "join= on a random column"},
		{column(``), "no sealed columns"},
		{`{"version":1,"tables":[{"name":"v","view_of":{"name":"users"}}]}`, "not registered"},
		{`{"version":1,"tables":[{"name":"v","view_of":{"name":"users"},"columns":[{"name":"a","mode":"random","kind":"text"}]}]}`, "both view_of and columns"},
	} {
		_, err := ParseJSON([]byte(tt.in))
		if err == nil || !strings.Contains(hint.Text(err), tt.want) {
			t.Errorf("%s\ngot  %v\nwant %s", tt.in, err, tt.want)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	seed, err := jsonExample().MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseJSON(data)
		if err != nil {
			return
		}
		out, err := s.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseJSON(out)
		if err != nil || again.String() != s.String() {
			t.Fatalf("%s\nwas written %s\nand read back as %v, %v", data, out, again, err)
		}
	})
}
