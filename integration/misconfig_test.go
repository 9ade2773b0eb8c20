package integration

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/testdiff"
)

var update = flag.Bool("update", false, "rewrite docs/troubleshooting.md")

// TestWrongConfigurations makes every mistake that a newcomer makes, and holds docs/troubleshooting.md to the errors
// that it really gets; -update writes the page.
func TestWrongConfigurations(t *testing.T) {
	page := filepath.Join("..", "docs", "troubleshooting.md")
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		var b bytes.Buffer
		b.WriteString(pageHead)
		for _, s := range sections {
			fmt.Fprintf(&b, "- [%s](#%s)\n", s.title, strings.ReplaceAll(strings.ToLower(s.title), " ", "-"))
		}
		for _, s := range sections {
			fmt.Fprintf(&b, "\n## %s\n", s.title)
			for _, tr := range s.troubles {
				t.Run(tr.title, func(t *testing.T) { b.WriteString(entry(t, tr, tr.make(newDesk(t, pg)))) })
			}
		}
		everyClass(t, b.String())
		if t.Failed() {
			return
		}
		if *update {
			if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if diff := testdiff.Lines(string(got), b.String()); diff != "" {
			t.Errorf("docs/troubleshooting.md is stale (-page +tests); run go test ./integration -run TestWrongConfigurations -update:\n%s", diff)
		}
	})
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

const pageHead = `# Troubleshooting

What you see, why, and what to do. The errors are those that the tests really got from PostgreSQL and KMS, as ` + "`%+v`" + ` prints them:
the text, and the hint on a line of its own. ` + "`colseal.Hint(err)`" + ` returns the hint alone. Addresses and ids are made up. No error
ever holds a value or a key. This page is written by
` + "`go test ./integration -run TestWrongConfigurations -update`" + `.

`

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
	return fmt.Sprintf("\n### %s\n\n```text\n%s\n```\n\n**Why.** %s\n\n**What to do.** %s\n%s", tr.title, text, tr.why, tr.remedy, branch)
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
