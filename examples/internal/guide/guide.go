// Package guide has a test follow a page of docs: it runs the page's commands and SQL, and between
// them the steps that the page gives to the program.
package guide

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Walk is one way through a page.
type Walk struct {
	Page  string                                        // its path
	DSN   string                                        // of the database, for the commands
	KMS   string                                        // address of the key service, for the commands
	Env   []string                                      // more for the environment of the commands, as NAME=VALUE
	Admin *sql.DB                                       // runs the page's SQL
	Steps map[string]func(t *testing.T, printed string) // by the names in comments of the page: <!-- step: NAME -->; printed is what the last command printed
}

// A step in a comment, or a block of SQL or of commands with what they print.
var part = regexp.MustCompile("(?ms)^<!-- step: ([a-z ]+) -->$|^```(sql|console)\n(.*?)^```$")

// Follow goes through the page from its beginning to its end.
func (w Walk) Follow(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile(w.Page)
	if err != nil {
		t.Fatal(err)
	}
	colseal := filepath.Join(t.TempDir(), "colseal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", colseal, "github.com/colseal/colseal/cmd/colseal").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	done, printed := map[string]bool{}, ""
	for _, m := range part.FindAllStringSubmatch(string(page), -1) {
		switch name, language, text := m[1], m[2], m[3]; {
		case name != "":
			step, ok := w.Steps[name]
			if !ok {
				t.Fatalf("the page has a step %q, which this test does not know", name)
			}
			done[name] = true
			t.Log("step:", name)
			step(t, printed)
		case language == "sql":
			if _, err := w.Admin.ExecContext(t.Context(), text, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
		default:
			for _, command := range strings.Split("\n"+text, "\n$ ")[1:] {
				printed = w.command(t, colseal, command)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for name := range w.Steps {
		if !done[name] {
			t.Errorf("the page has no step %q", name)
		}
	}
}

// command runs a command of the page, through a shell, returns what it printed, and looks for the
// lines after it in what it prints. They may name its exit status, which is 0 otherwise.
func (w Walk) command(t *testing.T, colseal, text string) string {
	t.Helper()
	line, want, _ := strings.Cut(text, "\n")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Env = append(append(os.Environ(), w.Env...), "PATH="+filepath.Dir(colseal)+string(os.PathListSeparator)+os.Getenv("PATH"), "DATABASE_URL="+w.DSN, "COLSEAL_KMS="+w.KMS)
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	status := 0
	got := strings.Join(strings.Fields(string(out)), " ")
	for line := range strings.Lines(want) {
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case line == "(exit status 1)":
			status = 1
		case !strings.Contains(got, line):
			t.Errorf("$ %s\n%sdoes not print %q", text, out, line)
		}
	}
	if code := cmd.ProcessState.ExitCode(); code != status {
		t.Errorf("$ %s\n%sexit status %d, want %d", text, out, code, status)
	}
	return string(out)
}

// NoPlaintext reports the rows of a table in which one of the columns holds a text.
func NoPlaintext(t *testing.T, admin *sql.DB, table, text string, columns ...string) {
	t.Helper()
	for _, c := range columns {
		var n int
		if err := admin.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table+" WHERE position(convert_to($1, 'UTF8') IN "+c+") > 0", text).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s.%s: %d rows in plaintext, %v", table, c, n, err)
		}
	}
}

// Emptied reports the rows of a table in which a plain column holds something.
func Emptied(t *testing.T, admin *sql.DB, table string, columns ...string) {
	t.Helper()
	for _, c := range columns {
		var n int
		if err := admin.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table+" WHERE "+c+" IS NOT NULL").Scan(&n); err != nil || n != 0 {
			t.Errorf("%s.%s: %d rows in plaintext, %v", table, c, n, err)
		}
	}
}
