package pg

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

var update = flag.Bool("update", false, "rewrite testdata/lower.txt from what is printed now; then read the difference")

// testdata/lower.txt holds a text per line, each followed by the dump of its statements,
// or its error, indented.
func TestLowering(t *testing.T) {
	const path = "testdata/lower.txt"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	texts := 0
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || strings.HasPrefix(line, "  ") {
			continue
		}
		texts++
		got.WriteString(line + "\n")
		f, err := Parse(line, sqlparse.Limits{})
		out := "error: "
		if err != nil {
			out += err.Error()
		} else {
			out = dumpFile(f)
		}
		got.WriteString("  " + strings.ReplaceAll(out, "\n", "\n  ") + "\n")
	}
	if texts < 40 {
		t.Errorf("only %d texts in %s", texts, path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := strings.Split(string(data), "\n")
	text := ""
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(want) {
			t.Fatalf("more lines than %s has", path)
		}
		if !strings.HasPrefix(line, "  ") {
			text = line
		}
		if line != want[i] {
			t.Fatalf("%s\n got %s\nwant %s", text, line, want[i])
		}
	}
}
