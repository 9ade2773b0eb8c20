package corpus

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A testCase is one statement of the corpus.
type testCase struct {
	id  string // file and number
	sql string
}

// readCorpus reads the statements in a folder of a module's test data. A file holds cases: a line of marks and a
// name, the statement, a line of divide, and what a parser should make of it.
func readCorpus(t *testing.T, module, folder, mark, divide string) []testCase {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", module, err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), folder, "*.test"))
	if err != nil {
		t.Fatal(err)
	}
	var all []testCase
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cases(strings.TrimSuffix(filepath.Base(f), ".test"), data, mark, divide)...)
	}
	return all
}

func cases(file string, data []byte, mark, divide string) []testCase {
	var all []testCase
	var name, sql strings.Builder
	reading := false
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, mark):
			name.Reset()
			sql.Reset()
			name.WriteString(strings.TrimPrefix(line, mark))
			reading = true
		case reading && line == divide:
			all = append(all, testCase{file + " " + name.String(), sql.String()})
			reading = false
		case reading:
			sql.WriteString(strings.TrimPrefix(line, "|") + "\n") // a bar escapes a line that looks like a mark
		}
	}
	return all
}
