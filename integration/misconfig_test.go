package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/testdiff"
)

var update = flag.Bool("update", false, "rewrite docs/troubleshooting.md and docs/trouble-*.md")

// TestWrongConfigurations makes every mistake that a newcomer makes, and holds docs/troubleshooting.md and its pages to
// the errors that it really gets; -update writes them.
func TestWrongConfigurations(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		pages := map[string]string{"troubleshooting.md": index()}
		all := ""
		for _, s := range sections {
			page := "# Troubleshooting: " + s.title + "\n\n" + fill("[All pages](troubleshooting.md), and how to read them.", "") + "\n"
			for _, tr := range s.troubles {
				t.Run(tr.title, func(t *testing.T) { page += entry(t, tr, tr.make(newDesk(t, pg))) })
			}
			pages["trouble-"+s.page+".md"] = page
			all += page
		}
		everyClass(t, all)
		if t.Failed() {
			return
		}
		for name, want := range pages {
			file := filepath.Join("..", "docs", name)
			if *update {
				if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := testdiff.Lines(string(got), want); diff != "" {
				t.Errorf("docs/%s is stale (-page +tests); run go test ./integration -run TestWrongConfigurations -update:\n%s", name, diff)
			}
		}
	})
}

// index is the page that leads to the others.
func index() string {
	var b strings.Builder
	b.WriteString("# Troubleshooting\n\n" + fill(indexHead, "") + "\n")
	for _, s := range sections {
		page := "trouble-" + s.page + ".md"
		fmt.Fprintf(&b, "\n## [%s](%s)\n\n", s.title, page)
		for _, tr := range s.troubles {
			b.WriteString(fill(fmt.Sprintf("- [%s](%s#%s)", tr.title, page, anchor(tr.title)), "  ") + "\n")
		}
	}
	return b.String()
}

// anchor is what a link to a heading ends in.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// words are not broken: neither code nor the target of a link is.
var words = regexp.MustCompile("(?:`[^`]*`|[^\\s`])+")

// fill breaks a paragraph into lines of 100 columns. Those after the first begin with indent.
func fill(text, indent string) string {
	var b strings.Builder
	column := 0
	for _, word := range words.FindAllString(text, -1) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > 100:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// everyClass checks that each class of refusals, as docs/operating.md lists them, has an entry.
func everyClass(t *testing.T, page string) {
	t.Helper()
	operating, err := os.ReadFile(filepath.Join("..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `colseal\\.refusal\\.class` \\| (.*) \\|$").FindSubmatch(operating)
	if row == nil {
		t.Fatal("docs/operating.md lists no classes of refusals")
	}
	for _, class := range strings.Split(string(row[1]), ", ") {
		if !strings.Contains(page, ", class "+class+".\n") {
			t.Errorf("no entry of the page is of class %s", class)
		}
	}
}

const indexHead = "What you see, why, and what to do. The errors are those that the tests really got from PostgreSQL and KMS, as `%+v` prints them: " +
	"the text, and the hint on a line of its own. `colseal.Hint(err)` returns the hint alone. Addresses and ids are made up. No error ever holds a value or a key. " +
	"The pages are written by `go test ./integration -run TestWrongConfigurations -update`."

// entry is a trouble's part of the page.
func entry(t *testing.T, tr trouble, err error) string {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if !errorIs(err, tr.is) {
		t.Errorf("the error is not %s: %v", tr.name, err)
	}
	text := stable(fmt.Sprintf("%+v", err))
	for _, secret := range []string{"erika", "078-05", "yesterday", "secret"} {
		if strings.Contains(strings.ToLower(text), secret) {
			t.Errorf("the error shows a value: %s", text)
		}
	}
	branch := ""
	if tr.name != "" {
		branch = fmt.Sprintf("\nIn the program: `errors.Is(err, %s)`.\n", tr.name)
	}
	var refused *driver.QueryError
	if errors.As(err, &refused) {
		branch = strings.TrimSuffix(branch, ".\n") + fmt.Sprintf(", class `%s`.\n", refused.Class)
	}
	return fmt.Sprintf("\n## %s\n\n```text\n%s\n```\n\n%s\n\n%s\n%s", tr.title, text, fill("**Why.** "+tr.why, ""), fill("**What to do.** "+tr.remedy, ""), branch)
}

// What differs from run to run, and what stands for it in the page.
var unstable = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "1234abcd-12ab-34cd-56ef-1234567890ab"},
	{regexp.MustCompile(`\b(data key|search key|key) [0-9a-f]{8}\b`), "$1 5a1ed0c1"},
	{regexp.MustCompile(`(keyring in \S+ is) [0-9a-f]{32}\b`), "$1 6f1d0c7be2a94835a0d95b1c44e7f302"},
	{regexp.MustCompile(`127\.0\.0\.1:\d{2,}`), "127.0.0.1:4566"},
	{regexp.MustCompile(`\bt_[a-z0-9_]+_[0-9a-f]{10}\b`), "app"},
	{regexp.MustCompile(`/\S+/kek\b`), "/etc/app/kek"},
}

func stable(text string) string {
	for _, u := range unstable {
		text = u.pattern.ReplaceAllString(text, u.instead)
	}
	return text
}
