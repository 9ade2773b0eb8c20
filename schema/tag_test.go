package schema

import (
	"reflect"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
)

func TestParseSealTag(t *testing.T) {
	for _, tt := range []struct {
		tag  string
		want sealTag
	}{
		{"random", sealTag{}},
		{"deterministic", sealTag{mode: ModeDeterministic}},
		{"-", sealTag{skip: true}},
		{"random,kind=text[],id=a=b,name=Name", sealTag{kind: KindTextArray, id: "a=b", name: "Name"}},
		{"deterministic,join=g", sealTag{mode: ModeDeterministic, join: "g"}},
	} {
		got, err := parseSealTag(tt.tag)
		if err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v", tt.tag, got, err)
		}
	}
}

// format writes a tag that parseSealTag reads as t.
func (t sealTag) format() string {
	if t.skip {
		return "-"
	}
	s := t.mode.String()
	for _, o := range []struct{ key, value string }{{"name", t.name}, {"id", t.id}, {"join", t.join}, {"min", t.min}, {"max", t.max}, {"step", t.step}} {
		if o.value != "" {
			s += "," + o.key + "=" + o.value
		}
	}
	if t.kind != 0 {
		s += ",kind=" + t.kind.String()
	}
	if t.cursor {
		s += ",cursor"
	}
	if t.terms != (codec.Terms{}) {
		s += "," + t.terms.String()
	}
	return s
}

// FuzzSealTag: what is read is written and read the same, and what is not read
// is refused with a reason and a hint.
func FuzzSealTag(f *testing.F) {
	for _, s := range []string{"random", "deterministic,join=g", "random,name=a,id=b,kind=int[]", "-", "random,equal,fold,prefix=8,suffix=2-3", "random,elements", "ordered,min=1,max=2,step=1", "deterministic,cursor", "", "random,", "random,kind=x", "rand om", ",,", "random,name=é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := parseSealTag(s)
		if err != nil {
			if err.reason == "" || err.hint == "" {
				t.Fatalf("%q is refused with %+v", s, err)
			}
			return
		}
		again, err := parseSealTag(tag.format())
		if err != nil || again != tag {
			t.Fatalf("%q is %+v, which is written %q and read as %+v, %v", s, tag, tag.format(), again, err)
		}
		if strings.Count(s, ",") != strings.Count(tag.format(), ",") {
			t.Fatalf("%q lost an option: %q", s, tag.format())
		}
	})
}

// FuzzLookupSeal: wherever reflect finds a seal tag, so do we or we refuse; and
// nothing that only looks like one passes for a field without.
func FuzzLookupSeal(f *testing.F) {
	for _, s := range []string{`seal:"random"`, `db:"a" seal:"random"`, `db:"a"seal:"random"`, `seal:random`, "seal:\"a\\\"b\"", `json:"a,omitempty"`, `x seal:"random"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		value, found, err := lookupSeal(reflect.StructTag(tag))
		if err != nil {
			return
		}
		want, ok := reflect.StructTag(tag).Lookup("seal")
		if ok != found || want != value {
			t.Fatalf("reflect finds %q %v, and we find %q %v", want, ok, value, found)
		}
	})
}

func FuzzRelation(f *testing.F) {
	for _, s := range []string{"users", "app.users", `"Users"`, `"we.ird"."U""sers"`, "a..b", `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		schemaName, name, err := parseRelation(s)
		if err != nil {
			return
		}
		text := relationText(schemaName, name)
		schemaAgain, nameAgain, err := parseRelation(text)
		if err != nil || schemaAgain != schemaName || nameAgain != name {
			t.Fatalf("%q is %q.%q, which is written %s and read as %q.%q, %v", s, schemaName, name, text, schemaAgain, nameAgain, err)
		}
	})
}
