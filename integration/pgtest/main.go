package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tclog "github.com/testcontainers/testcontainers-go/log"
)

// Main runs the package's tests, removes what they started and exits. It is to be TestMain's whole
// body, or its end.
func Main(m *testing.M) {
	if os.Getenv(janitorEnv) != "" {
		os.Exit(beJanitor(os.Stdin))
	}
	// The janitor does the work of testcontainers' reaper, whose image may not be to be had.
	os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	tclog.SetDefault(tclog.NewNoopLogger()) // it introduces itself at length
	janitor.mu.Lock()
	janitor.ready = true
	janitor.mu.Unlock()

	code := m.Run()
	for _, s := range fleet.servers {
		s.admin.Close()
	}
	if err := dismissJanitor(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: cleaning up:", err)
		code = max(code, 1)
	}
	if missing := absent(); len(missing) > 0 {
		sayLoudly(closingLine(missing, len(fleet.servers)))
	}
	os.Exit(code)
}

// closingLine tells what did not run.
func closingLine(missing []string, servers int) string {
	head := "THE TESTS ON A POSTGRESQL SERVER DID NOT RUN"
	if servers > 0 {
		head = "THE TESTS DID NOT RUN ON EVERY VERSION OF POSTGRESQL"
	}
	return fmt.Sprintf("\n*** %s, package %s: %s ***\n", head, filepath.Base(os.Args[0]), strings.Join(missing, "; "))
}

// sayLoudly prints the line where it will be seen. `go test` of several packages throws away what a
// package that passed has printed, so the line also goes to the go command's own stderr, where that
// is a terminal or a pipe. (Not where it is a file: go keeps its own place in it, and would write
// over the line.)
func sayLoudly(line string) {
	fmt.Fprint(os.Stderr, line)
	if testing.Verbose() {
		return // go passed it on
	}
	parent := fmt.Sprintf("/proc/%d", os.Getppid())
	if name, err := os.ReadFile(parent + "/comm"); err != nil || strings.TrimSpace(string(name)) != "go" {
		return
	}
	path := parent + "/fd/2"
	info, err := os.Stat(path)
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) == 0 {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprint(f, line)
}
