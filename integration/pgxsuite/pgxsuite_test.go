package pgxsuite

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

//go:embed testdata/colseal_test.go
var helper []byte

// fewest is how many tests and subtests pgx's suite had when this was written (Go 1.26, pgx 5.12): fewer means
// that they did not run.
const fewest = 198

var stdlibPackage = []string{"./stdlib"}

// Every test of pgx's stdlib package goes through the wrapper as it goes without: with an empty schema, and
// with one that seals a column somewhere else, where every statement is analysed.
func TestPgxSuite(t *testing.T) {
	db := pgtest.New(t)
	suite := copyPgx(t)
	plain := suite.run(t, db, "COLSEAL_PGXSUITE_TAGGED=", stdlibPackage, nil)
	if len(plain) < fewest {
		t.Fatalf("only %d tests ran over plain pgx, want %d", len(plain), fewest)
	}
	suite.wrap(t)
	tagged := ""
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		env := "COLSEAL_PGXSUITE_TAGGED=" + tagged
		tagged = "1" // one way on each server
		t.Parallel() // most of the suite's time is spent waiting
		compare(t, plain, suite.run(t, db, env, stdlibPackage, nil))
	})
}

// compare fails for every test that went otherwise through the wrapper.
func compare(t *testing.T, plain, wrapped results) {
	count := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		if plain[name] != wrapped[name] {
			t.Errorf("%s: %s over plain pgx, %q through the wrapper", name, plain[name], wrapped[name])
		}
		count[wrapped[name]]++
	}
	for name := range wrapped {
		if _, ok := plain[name]; !ok {
			t.Errorf("%s ran through the wrapper only", name)
		}
	}
	t.Logf("pgx's suite through the wrapper: %d tests and subtests: %d passed, %d skipped, %d failed",
		len(wrapped), count["pass"], count["skip"], count["fail"])
}

// results holds the outcome ("pass", "fail", "skip") of every test and subtest, by name.
type results map[string]string

// suite is a copy of pgx's module beside this one in a workspace.
type suite struct{ dir string }

func copyPgx(t *testing.T) suite {
	t.Helper()
	dir := t.TempDir()
	source := goOutput(t, "list", "-m", "-f", "{{.Dir}}", "github.com/jackc/pgx/v5")
	if err := os.CopyFS(filepath.Join(dir, "pgx"), os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	goMod := goOutput(t, "env", "GOMOD")
	version := goOutput(t, "list", "-m", "-f", "{{.GoVersion}}", "github.com/colseal/colseal/integration")
	// In a workspace both modules are at hand as they are, and the sums of both count.
	work := fmt.Sprintf("go %s\n\nuse (\n\t./pgx\n\t%s\n)\n", version, filepath.Dir(goMod))
	if err := os.WriteFile(filepath.Join(dir, "go.work"), []byte(work), 0o644); err != nil {
		t.Fatal(err)
	}
	return suite{dir}
}

func goOutput(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// wrap has the copy's tests go through Colseal.
func (s suite) wrap(t *testing.T) {
	t.Helper()
	stdlib := filepath.Join(s.dir, "pgx", "stdlib")
	files, err := filepath.Glob(filepath.Join(stdlib, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[f] = string(text)
	}
	if err := substitute(texts); err != nil {
		t.Fatal(err)
	}
	for f, text := range texts {
		if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(stdlib, "colseal_test.go"), helper, 0o644); err != nil {
		t.Fatal(err)
	}
}

// deadlocked is what a test of the suite may meet by itself, and with it the next one: it drops a function whose
// trigger hangs on a temporary table, while the server still clears away the session before, with that table.
const deadlocked = "deadlock detected (SQLSTATE 40P01)"

// run runs the tests of packages on db, and fails the test for each of them that fails, unless that is expected; after a deadlock it
// runs the suite again, twice at most.
func (s suite) run(t *testing.T, db *pgtest.DB, env string, packages []string, expected map[string]string) results {
	t.Helper()
	for again := 2; ; again-- {
		got, output, err := s.once(t, db, env, packages)
		if err != nil && again > 0 && slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(name string) bool {
			return got[name] == "fail" && strings.Contains(output[name], deadlocked)
		}) {
			t.Logf("once more, after a deadlock")
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(got)) {
			if got[name] == "fail" && expected[name] == "" {
				t.Errorf("%s failed:\n%s", name, output[name])
			}
		}
		if err != nil && len(expected) == 0 {
			t.Fatal(err)
		}
		return got
	}
}

// once runs the suite; the error tells of the run as a whole.
func (s suite) once(t *testing.T, db *pgtest.DB, env string, packages []string) (results, map[string]string, error) {
	t.Helper()
	// With -trimpath the build cache serves although the copy's place changes.
	args := slices.Concat([]string{"test", "-json", "-count=1", "-trimpath"}, packages)
	if pgtest.Race {
		args = slices.Insert(args, 1, "-race")
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join(s.dir, "pgx")
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(s.dir, "go.work"), "GOFLAGS=-mod=readonly",
		"PGX_TEST_DATABASE="+db.DSN(), env)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, runErr := cmd.Output()
	got, output := parse(t, out)
	if runErr != nil {
		runErr = fmt.Errorf("go test of pgx: %w\n%s%s", runErr, errors.Bytes(), output[""])
	}
	return got, output, runErr
}

// parse reads the stream of go test -json: the tests' outcomes, and what each printed ("" for none's).
func parse(t *testing.T, stream []byte) (results, map[string]string) {
	t.Helper()
	got, output := results{}, map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(stream))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("go test -json printed %q", lines.Text())
		}
		if e.Test != "" && path.Base(e.Package) == "pgxpool" { // has tests of the same names as pgx
			e.Test = "pgxpool." + e.Test
		}
		switch {
		case e.Action == "output" || e.Action == "build-output":
			output[e.Test] += e.Output
		case e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
			got[e.Test] = e.Action
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return got, output
}
