package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dialect are the words of our own that the field has other words for.
var dialect = []struct{ pattern, instead string }{
	{`mend(s|ed|ing)?`, "hint; repair, correct"},
	{`anew`, "again; re-seal, rewrite"},
	{`inner (driver|conn\w*|rows|statement)`, "underlying"},
	{`database handle`, "*sql.DB"},
	{`tak(e|es|en|ing) in (?:that|what|the|a)`, "collect, record"},
	{`giv(e|es|en|ing) back`, "release, return"},
	{`for ever`, "permanently"},
	{`blanks? between`, "separated by spaces"},
	{`(for|to|by|of|with) who (may|can|has|holds|reads|writes|asks|uses|waits)`, "whoever"},
	{`must be gone`, "stop or upgrade"},
}

// TestWords holds comments, pages, texts and names to the words of the field.
func TestWords(t *testing.T) {
	words := make([]*regexp.Regexp, len(dialect))
	for i, d := range dialect {
		words[i] = regexp.MustCompile(`(?i)\b` + d.pattern + `\b`)
		if !words[i].MatchString(example[i]) {
			t.Errorf("%s does not match %q", words[i], example[i])
		}
	}
	files := slices.Concat(goFiles(t), find(t, ".md"), []string{".ci/run", ".ci/images", ".ci/release"})
	for _, file := range files {
		if file == "integration/policy/words_test.go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			for i, w := range words {
				if hit := w.FindString(line); hit != "" {
					t.Errorf("%s:%d: %q: write %s", file, n, hit, dialect[i].instead)
				}
			}
		}
	}
}

// example are sentences that the list refuses, one for each of its lines.
var example = []string{
	"it is mended", "Sealed anew", "the inner driver", "a database handle", "note takes in what changed", "rows are given back", "lost for ever",
	"one blank between them", "for who holds it", "Programs must be gone",
}
