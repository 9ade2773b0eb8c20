package dbcatalog

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("é", 31)
	tests := []struct {
		in   string
		want Name // zero: an error
		sql  string
	}{
		{"users", Name{"", "users"}, `"users"`},
		{"Users", Name{"", "users"}, `"users"`},
		{"app.users", Name{"app", "users"}, `"app"."users"`},
		{"App.Users", Name{"app", "users"}, `"app"."users"`},
		{`"Users"`, Name{"", "Users"}, `"Users"`},
		{`"we.ird"."U""x"`, Name{"we.ird", `U"x`}, `"we.ird"."U""x"`},
		{`app."Users"`, Name{"app", "Users"}, `"app"."Users"`},
		{`"App".Users`, Name{"App", "users"}, `"App"."users"`},
		{`""""`, Name{"", `"`}, `""""`},
		{"_a$1", Name{"", "_a$1"}, `"_a$1"`},
		{"Straße", Name{"", "straße"}, `"straße"`},
		{"É", Name{"", "É"}, `"É"`}, // PostgreSQL folds ASCII only
		{long + "a", Name{"", long + "a"}, `"` + long + `a"`},
		{long + "ab", Name{}, ""},
		{`"` + long + `ab"`, Name{}, ""},
		{"", Name{}, ""},
		{".", Name{}, ""},
		{"a.", Name{}, ""},
		{".a", Name{}, ""},
		{"a.b.c", Name{}, ""},
		{`"a`, Name{}, ""},
		{"a b", Name{}, ""},
		{"a-b", Name{}, ""},
		{"1a", Name{}, ""},
		{"$a", Name{}, ""},
		{`a"b"`, Name{}, ""},
		{`"a"b`, Name{}, ""},
		{`""`, Name{}, ""},
		{"\"a\x00\"", Name{}, ""},
		{"\"a\xff\"", Name{}, ""},
	}
	for _, tt := range tests {
		got, err := ParseName(tt.in)
		if got != tt.want || (err != nil) != (tt.want == Name{}) {
			t.Errorf("ParseName(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
		if err == nil && got.SQL() != tt.sql {
			t.Errorf("ParseName(%q).SQL() = %s, want %s", tt.in, got.SQL(), tt.sql)
		}
	}
}

// A name that was parsed reads back from its SQL.
func FuzzParseName(f *testing.F) {
	f.Add("app.users")
	f.Add(`"we.ird"."U""x"`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if again, err := ParseName(n.SQL()); err != nil || again != n {
			t.Fatalf("ParseName(%s) = %q, %v, want %q", n.SQL(), again, err, n)
		}
	})
}

func TestClipName(t *testing.T) {
	for name, want := range map[string]string{
		"a":                              "a",
		strings.Repeat("a", 64):          strings.Repeat("a", 63),
		strings.Repeat("a", 62) + "éé":   strings.Repeat("a", 62),
		strings.Repeat("a", 61) + "éé":   strings.Repeat("a", 61) + "é",
		strings.Repeat("a", 63) + "é":    strings.Repeat("a", 63),
		strings.Repeat("\U0001f512", 17): strings.Repeat("\U0001f512", 15),
	} {
		if got := ClipName(name); got != want {
			t.Errorf("ClipName(%q) = %q, want %q", name, got, want)
		}
	}
}
