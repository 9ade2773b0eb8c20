package snippets

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keyring"
)

const root = "../.."

// pages returns the Markdown pages that users read, by path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		paths = append(paths, filepath.Join(root, name))
	}
	all := map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(filepath.ToSlash(p), root+"/")] = string(text)
	}
	return all
}

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// blocks returns the code blocks of a language.
func blocks(page, language string) []string {
	var out []string
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

// plain takes away what differs between a block on a page and the source: the
// indentation, and how much blank space there is.
func plain(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// TestGoCompiles finds every Go block of the pages, and every line that a diff adds, in
// the sources of this package and of the sample applications, which are compiled, and in the Examples of packages.
func TestGoCompiles(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../*/*.go", root + "/example_test.go", root + "/*/example_test.go", root + "/*/*/example_test.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	var sources string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") && filepath.Base(f) != "example_test.go" {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources += "\n" + plain(string(text))
	}
	found := 0
	for name, page := range pages(t) {
		for _, block := range blocks(page, "go") {
			found++
			if !strings.Contains(sources, "\n"+plain(block)) {
				t.Errorf("%s: this block is not in the sources of this package:\n%s", name, block)
			}
		}
		for _, block := range blocks(page, "diff") {
			for line := range strings.Lines(block) {
				if added, ok := strings.CutPrefix(line, "+"); ok && !strings.Contains(sources, plain(added)) {
					t.Errorf("%s: this line of a diff is not in the sources of this package: %s", name, added)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d Go blocks were found: the test looks in the wrong place", found)
	}
}

func TestKeyringDDL(t *testing.T) {
	page := pages(t)["docs/keyring.md"]
	ddl := keyring.OpenStore(nil, keyring.DialectPostgres, "").DDL()
	if !strings.Contains(plain(page), plain(ddl)) {
		t.Errorf("docs/keyring.md does not hold the statement that the program prints:\n%s", ddl)
	}
}

// measured are the figures that other pages quote from those with the measurements.
var measured = []struct {
	page, section string // that quote them
	after         string // where they are measured
	figures       *regexp.Regexp
}{
	{"README.md", "What it costs", "**SELECT by primary key, 3 values, 1 connection", ratioOf("Colseal, 3 sealed columns")},
	{"README.md", "What it costs", "**SELECT 1000 × 3 values, 1 connection", ratioOf("Colseal, 3 sealed columns")},
	{"README.md", "What it costs", "**A month by rotation period", regexp.MustCompile(`\| 30 days \| [^|]+\| [^|]+\| ([0-9]+) \| (\$[0-9.]+) `)},
	{"docs/compare.md", "Figures", "**SELECT by primary key, 3 values, 1 connection", ratioOf("Colseal, 3 sealed columns")},
	{"docs/compare.md", "Figures", "**SELECT by primary key, 3 values, 1 connection", ratioOf("pgcrypto encrypt() aes-cbc")},
	{"docs/compare.md", "Figures", "**SELECT by primary key, 3 values, 1 connection", ratioOf("pgcrypto pgp_sym_encrypt()")},
	{"docs/compare.md", "Figures", "**SELECT 1000 × 3 values, 1 connection", ratioOf("Colseal, 3 sealed columns")},
	{"docs/compare.md", "Figures", "**SELECT 1000 × 3 values, 1 connection", ratioOf("pgcrypto encrypt() aes-cbc")},
	{"docs/compare.md", "Figures", "**SELECT 1000 × 3 values, 1 connection", ratioOf("pgcrypto pgp_sym_encrypt()")},
}

// ratioOf finds the ratio of a way to plain pgx.
func ratioOf(way string) *regexp.Regexp {
	return regexp.MustCompile(`\| ` + regexp.QuoteMeta(way) + ` \| [0-9.]+ \| ([0-9.]+) `)
}

// TestCosts holds figures that are quoted to those of the pages with the measurements.
func TestCosts(t *testing.T) {
	all := pages(t)
	section := func(page, heading string) string {
		_, text, _ := strings.Cut(all[page], "\n## "+heading+"\n")
		text, _, _ = strings.Cut(text, "\n## ")
		return text
	}
	for _, q := range measured {
		_, table, _ := strings.Cut(all["docs/benchmarks-queries.md"]+all["docs/benchmarks-cache.md"], q.after)
		m := q.figures.FindStringSubmatch(table)
		if m == nil {
			t.Fatalf("docs/benchmarks-*.md have no figures after %q", q.after)
		}
		for _, f := range m[1:] {
			if !strings.Contains(section(q.page, q.section), f) {
				t.Errorf("%s does not say %s, as docs/benchmarks-*.md do after %q", q.page, f, q.after)
			}
		}
	}
	costs := section("README.md", "What it costs")
	for _, n := range []int{codec.SuiteDeterministic.Overhead(), codec.SuiteRandomized.Overhead()} {
		if !strings.Contains(costs, strconv.Itoa(n)) {
			t.Errorf("README does not say that a cell has %d bytes more than its value", n)
		}
	}
}
