package front

import (
	"errors"
	"testing"

	"github.com/colseal/colseal/codec"
)

// The elements of an array arrive as text: of text columns as they are, of bytea and domains over it in
// the form of bytea_output.
func TestStoredText(t *testing.T) {
	cell := "\x01\x02^\n\\a\xff\x00"
	for text, want := range map[string]string{
		`\x01025e0a5c61ff00`:       cell,
		`\001\002^\012\\a\377\000`: cell,
		"cs1:AQJe":                 "cs1:AQJe",
		"plain":                    "plain",
		`C:\dir\001`:               `C:\dir\001`,
		"":                         "",
	} {
		if got, err := StoredText(text); err != nil || string(got) != want {
			t.Errorf("StoredText(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`\x0`, `\xzz`, `\001\9`} {
		if got, err := StoredText(text); !errors.Is(err, codec.ErrFormat) {
			t.Errorf("StoredText(%q) = %q, %v, want %v", text, got, err, codec.ErrFormat)
		}
	}
}
