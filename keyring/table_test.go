package keyring

import (
	"errors"
	"testing"
)

func TestTableNames(t *testing.T) {
	for name, want := range map[string]string{
		"":                      `"colseal_keys"`,
		"keys":                  `"keys"`,
		"App.Keys":              `"app"."keys"`,
		`"App"."we.ird ""k"""`:  `"App"."we.ird ""k"""`,
		`app."Keys"`:            `"app"."Keys"`,
		"a.b.c":                 "",
		"a.":                    "",
		".a":                    "",
		`"a`:                    "",
		`""`:                    "",
		"keys; DROP TABLE keys": "",
		"a b":                   "",
	} {
		s := OpenStore(nil, DialectPostgres, name)
		if s.table != want {
			t.Errorf("%q: got %s, want %s", name, s.table, want)
		}
		if err := s.invalid; (err != nil) != (want == "") {
			t.Errorf("%q: %v", name, err)
		}
		if want == "" && !errors.Is(s.Check(t.Context()), s.invalid) {
			t.Errorf("%q: Check does not say that the name is no good", name)
		}
	}
}
