package policy

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxLines   = 250 // of a page: one question, one page
	maxColumns = 100 // of a line of prose
)

// page is a Markdown file that users read.
type page struct {
	file    string // from the root
	prose   []string
	lines   int
	anchors map[string]bool
}

// pages reads all Markdown files.
func pages(t *testing.T) map[string]page {
	t.Helper()
	all := map[string]page{}
	for _, file := range find(t, ".md") {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		all[file] = parsePage(file, string(text))
	}
	return all
}

var heading = regexp.MustCompile(`^#+ (.*)$`)

// parsePage leaves blocks of code out of the prose: their lines become empty.
func parsePage(file, text string) page {
	p := page{file: file, anchors: map[string]bool{}}
	inCode := false
	for line := range strings.Lines(text) {
		p.lines++
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inCode, line = !inCode, ""
		}
		if inCode {
			line = ""
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			p.anchors[anchor(m[1])] = true
		}
		p.prose = append(p.prose, line)
	}
	return p
}

var (
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	heading = linkText.ReplaceAllString(heading, "$1")
	return strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func TestPageLength(t *testing.T) {
	for file, p := range pages(t) {
		if (strings.HasPrefix(file, "docs/") || file == "README.md") && p.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it, one page for each question", file, p.lines, maxLines)
		}
	}
}

func TestPageWidth(t *testing.T) {
	for file, p := range pages(t) {
		for i, line := range p.prose {
			if tooWide(line) {
				t.Errorf("%s:%d has %d columns, more than %d", file, i+1, utf8.RuneCountInString(line), maxColumns)
			}
		}
	}
}

var unbroken = regexp.MustCompile("^(- |[0-9]+\\. )?(`[^`]*`|[^\\s`])+$")

// tooWide reports whether a line of prose should be broken. Tables, formulas, and what cannot be broken, may be long.
func tooWide(line string) bool {
	text := strings.TrimSpace(line)
	return utf8.RuneCountInString(line) > maxColumns && !strings.HasPrefix(text, "|") && !strings.HasPrefix(line, "    ") && !unbroken.MatchString(text)
}

// TestCommentWidth: documentation of public packages is prose, too. What belongs in code, such as diagrams, may be wide.
func TestCommentWidth(t *testing.T) {
	packages := public(t)
	n := 0
	for _, file := range goFiles(t) {
		if !slices.Contains(packages, path.Dir(file)) || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "// "); ok {
				n++
				if width := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); width > maxColumns && !unbroken.MatchString(comment) {
					t.Errorf("%s:%d is a comment of %d columns, more than %d", file, i+1, width, maxColumns)
				}
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d comments were found: the test looks in the wrong place", n)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]*)?\)`)

// TestLinks holds every relative link to a file that is there, and to a heading in it.
func TestLinks(t *testing.T) {
	all := pages(t)
	n := 0
	for file, p := range all {
		for i, line := range p.prose {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				n++
				if why := broken(all, file, m[1], strings.TrimPrefix(m[2], "#")); why != "" {
					t.Errorf("%s:%d links to %s%s: %s", file, i+1, m[1], m[2], why)
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d links were found: the test looks in the wrong place", n)
	}
}

// broken tells why a link of a page leads nowhere, or "".
func broken(all map[string]page, from, target, fragment string) string {
	to := from
	if target != "" {
		to = path.Join(path.Dir(from), target)
	}
	if _, err := os.Stat(filepath.Join(root, to)); err != nil {
		return "no such file"
	}
	if p, ok := all[to]; ok && fragment != "" && !p.anchors[fragment] {
		return "no such heading"
	}
	return ""
}

// TestDesignNamesPackages holds the table of docs/design.md to the packages of the library. Those of key services, and those that
// only tests use, are named by what they belong to.
func TestDesignNamesPackages(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/design.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range goFiles(t) {
		pkg := path.Dir(file)
		if pkg == "." || strings.HasPrefix(pkg, "kms/") || strings.Contains(path.Base(pkg), "test") || !matchesAny(pkg, library) {
			continue
		}
		n++
		if parent := path.Dir(pkg); !strings.Contains(string(text), "`"+pkg+"`") &&
			!(strings.Contains(string(text), "`"+parent+"`") && strings.Contains(string(text), "`"+path.Base(pkg)+"`")) {
			t.Errorf("docs/design.md does not name %s", pkg)
		}
	}
	if n < 50 {
		t.Errorf("only %d files were found: the test looks in the wrong place", n)
	}
}

// The tests above can fail.
func TestPagesRefuse(t *testing.T) {
	long := strings.Repeat("word ", 21)
	for line, want := range map[string]bool{
		long: true, "- " + long: true, "| " + long: false, "`" + long + "`": false, "see `" + long + "`": true, "word": false, strings.Repeat("ä", 60): false,
	} {
		if got := tooWide(line); got != want {
			t.Errorf("tooWide(%q) = %v, want %v", line, got, want)
		}
	}
	p := parsePage("docs/a.md", "# The key's `ids`\n```\n# no heading\n```\n")
	if !p.anchors["the-keys-ids"] || len(p.anchors) != 1 || p.lines != 4 {
		t.Errorf("parsePage = %v", p)
	}
	all := map[string]page{"README.md": p}
	for _, tt := range []struct{ target, fragment, want string }{
		{"README.md", "the-keys-ids", ""}, {"", "the-keys-ids", ""}, {"", "other", "no such heading"}, {"missing.md", "", "no such file"}, {"docs/", "", ""},
	} {
		if got := broken(all, "README.md", tt.target, tt.fragment); got != tt.want {
			t.Errorf("broken(%q, %q) = %q, want %q", tt.target, tt.fragment, got, tt.want)
		}
	}
}
