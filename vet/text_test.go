package vet

import (
	"go/types"
	"strconv"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
)

// Each byte of a value is found in its literal again.
func TestLiteralOffset(t *testing.T) {
	for _, lit := range []string{`"abc"`, `"a\tb\"c\\"`, `"\u00e9x"`, `"é\x41é"`, `"\101\n"`, "`raw\nline`", `""`, "``"} {
		value, err := strconv.Unquote(lit)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(value) + 1 {
			n := literalOffset(lit, i)
			if i == len(value) {
				if n != len(lit)-1 {
					t.Errorf("%s: the end is at %d", lit, n)
				}
				continue
			}
			if c := lit[n]; c != '\\' && c < 0x80 && c != value[i] {
				t.Errorf("%s: byte %d, %q, is at %d, %q", lit, i, value[i], n, c)
			}
		}
	}
	if n := literalOffset(`"a\n\u00e9b"`, 4); n != 10 {
		t.Errorf("behind escapes: %d", n)
	}
}

func TestBind(t *testing.T) {
	for _, c := range []struct {
		name  string
		style style
		sql   string
		want  string // "": not known
	}{
		{"native", native, "a = $1 AND b = ?", "a = $1 AND b = ?"},
		{"question", question, "a = ? AND b IN (?)", "a = $1 AND b IN ($2)"},
		{"colon", colon, "a = :a AND b = :b.c_1", "a = $1 AND b = $2"},
		{"colon twice", colon, ":a, :a", "$1, $2"},
		{"colon at the end", colon, "x=:a", "x=$1"},
		{"colons escaped", colon, "now()::::date, a := b", "now()::date, a := b"},
		{"colon in a literal", colon, "'12:30'", ""},
		{"colon alone", colon, "a : b", ""},
		{"at", at, "a = @a AND b = @b OR a = @a", "a = $1 AND b = $2 OR a = $1"},
		{"at in a literal", at, `'@a' "@b" /* @c */ -- @d`, `'@a' "@b" /* @c */ -- @d`},
		{"at after a comment", at, "-- it's @a\n@b", "-- it's @a\n$1"},
		{"at as an operator", at, "a @> b", "a @> b"},
		{"at in an open literal", at, "'@a", "'@a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ok := bind(driver.DialectPostgres, &site{style: c.style}, c.sql, &types.Info{})
			if !ok {
				b.sql = ""
			}
			if b.sql != c.want {
				t.Fatalf("%q, want %q", b.sql, c.want)
			}
			for i := range len(b.sql) {
				if from := b.origin(i); b.sql[i] != c.sql[from] && !strings.ContainsRune("?:@", rune(c.sql[from])) {
					t.Errorf("byte %d, %q, comes from %q", i, b.sql[i], c.sql[from])
				}
			}
		})
	}
	b, _ := bind(driver.DialectSQLite, &site{style: colon}, "a = :a", &types.Info{})
	if b.sql != "a = ?1" {
		t.Errorf("SQLite: %q", b.sql)
	}
}
