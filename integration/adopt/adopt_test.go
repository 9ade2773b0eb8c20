// Package adopt_test adds Colseal to a program that has other dependencies, and looks at what becomes of those.
package adopt_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const colseal = "github.com/colseal/colseal"

// requires are what a program had a year before this test was written.
var requires = []string{
	"gorm.io/gorm@v1.31.1", "gorm.io/driver/postgres@v1.6.0", "github.com/jackc/pgx/v5@v5.7.6", "modernc.org/sqlite@v1.40.0",
	"github.com/aws/aws-sdk-go-v2/service/kms@v1.48.0", "go.opentelemetry.io/otel/sdk@v1.38.0",
}

const program = `package main

import (
	_ "github.com/aws/aws-sdk-go-v2/service/kms"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "go.opentelemetry.io/otel/sdk/trace"
	_ "gorm.io/driver/postgres"
	_ "gorm.io/gorm"
	_ "modernc.org/sqlite"
)

func main() {}
`

const adoption = `package main

import (
	_ "github.com/colseal/colseal/driver"
	_ "github.com/colseal/colseal/kms/awskms"
	_ "github.com/colseal/colseal/kms/localkms"
	_ "github.com/colseal/colseal/schema"
)
`

// TestNothingElseMoves: a program that adopts Colseal gets its pgx and what that requires, and keeps its other
// dependencies at the versions that it had.
func TestNothingElseMoves(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs a module proxy")
	}
	p := newProgram(t)
	p.write(t, "main.go", program)
	for _, r := range requires {
		p.run(t, "mod", "edit", "-require="+r)
	}
	p.run(t, "mod", "tidy")
	before := p.versions(t)

	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "colseal.go", adoption)
	p.run(t, "mod", "edit", "-require="+colseal+"@v0.0.0", "-replace="+colseal+"="+root)
	p.run(t, "mod", "tidy")
	after := p.versions(t)

	const pgx = "github.com/jackc/pgx/v5"
	if before[pgx] != "v5.7.6" || before["modernc.org/sqlite"] != "v1.40.0" || after[colseal] == "" {
		t.Fatalf("the program is not as it should be: %v, then %v", before, after)
	}
	needed := p.needs(t, pgx+"@"+after[pgx])
	for module, was := range before {
		switch is := after[module]; {
		case is == was:
		case is == "":
			t.Logf("%s: nothing needs it now", module)
		case module == pgx || needed[module+"@"+is]:
			t.Logf("%s: %s, was %s", module, is, was)
		default:
			t.Errorf("%s: %q, want %s as it was", module, is, was)
		}
	}
	t.Logf("%d modules in go.mod, before %d", len(after), len(before))
}

// programModule is the folder of a module.
type programModule string

func newProgram(t *testing.T) programModule {
	t.Helper()
	p := programModule(t.TempDir())
	p.write(t, "go.mod", "module example.com/program\n\ngo 1.24.0\n")
	return p
}

func (p programModule) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(p), name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs the go command on the module and returns what it printed.
func (p programModule) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = string(p)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// versions reads the versions in go.mod: the build list, but for what no package of the program is in.
func (p programModule) versions(t *testing.T) map[string]string {
	t.Helper()
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(p.run(t, "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range mod.Require {
		versions[r.Path] = r.Version
	}
	return versions
}

// needs returns what a version of a module requires, directly or not.
func (p programModule) needs(t *testing.T, module string) map[string]bool {
	t.Helper()
	requires := map[string][]string{}
	for edge := range strings.Lines(p.run(t, "mod", "graph")) {
		from, to, _ := strings.Cut(strings.TrimSpace(edge), " ")
		requires[from] = append(requires[from], to)
	}
	needed := map[string]bool{}
	var visit func(string)
	visit = func(m string) {
		for _, r := range requires[m] {
			if !needed[r] {
				needed[r] = true
				visit(r)
			}
		}
	}
	visit(module)
	return needed
}
