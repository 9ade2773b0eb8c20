package shows

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/schema"
)

// TestPages: the pages say what the package says.
func TestPages(t *testing.T) {
	table, tag := "  | tag | at rest | in words | attacks that are known |\n  |---|---|---|---|\n", "// What its cells show to whoever reads the database:\n//\n"
	var words []string
	for _, r := range Table() {
		table += fmt.Sprintf("  | %s | %s | %s | %s |\n", r.Tag, r.AtRest, r.Words, r.Attacks)
		tag += "//   - " + strings.ReplaceAll(r.Tag, "`", "") + ": " + r.Words + "\n"
		words = append(words, r.Words)
	}
	for page, want := range map[string][]string{"docs/threat-model.md": {table}, "schema/doc.go": {tag}, "docs/search.md": words} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		got := string(text)
		if strings.HasSuffix(page, ".go") { // where lines are broken does not matter
			got = regexp.MustCompile(`\n//     `).ReplaceAllString(got, " ")
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s must hold\n%s", page, w)
			}
		}
	}
}

// TestOf: each tag has what its mode and its options show.
func TestOf(t *testing.T) {
	for _, tt := range []struct {
		column schema.Column
		want   string
	}{
		{schema.Column{}, "`random`"},
		{schema.Column{Mode: schema.ModeDeterministic}, "`deterministic`, with `cursor` or not"},
		{schema.Column{Mode: schema.ModeDeterministic, Cursor: true}, "`deterministic`, with `cursor` or not"},
		{schema.Column{Mode: schema.ModeDeterministic, Terms: codec.Terms{Fold: true}}, "`deterministic`, with `cursor` or not; `fold`"},
		{schema.Column{Terms: codec.Terms{Equal: true, Prefix: codec.Lengths{Min: 3, Max: 8}}}, "`equal`; `prefix=`, `suffix=`"},
		{schema.Column{Kind: schema.KindTextArray, Terms: codec.Terms{Elements: true}}, "`elements`"},
		{schema.Column{Mode: schema.ModeOrdered, Kind: schema.KindInt}, "`ordered`"},
	} {
		var tags []string
		for _, r := range Of(&tt.column) {
			tags = append(tags, r.Tag)
		}
		if got := strings.Join(tags, "; "); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.column, got, tt.want)
		}
	}
}
