package front

import (
	"errors"
	"testing"

	"github.com/colseal/colseal/codec"
)

// Text for a column of bytes is read as PostgreSQL reads the text of a bytea.
func TestParseBytea(t *testing.T) {
	for in, want := range map[string]string{
		``: "", `abc`: "abc", `\x`: "", `\x0102`: "\x01\x02", `\xAb cD`: "\xab\xcd", `a\\b`: `a\b`, `\001\377z`: "\x01\xffz", "é": "é",
	} {
		if got, err := parseBytea(in); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{`\x0`, `\xzz`, `\`, `\4`, `\400`, `\12`, `\x0 1`, `a\x01`} {
		if got, err := parseBytea(in); !errors.Is(err, codec.ErrValue) {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}
