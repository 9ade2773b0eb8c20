package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colseal/colseal/vet"
)

// The queries of the sample application that are refused, and none of the others, are found where they stand,
// and the page shows what is printed.
func TestVet(t *testing.T) {
	file := sampleSchema(t)
	status, out, errs := colseal(t, "", "vet", "-v", "--schema", file, sample+"/...")
	if status != statusFound {
		t.Fatalf("status %d: %s", status, errs)
	}
	wantSample(t, out)
	if want := "8 statements checked, 4 found, 1 not judged\n"; !strings.HasSuffix(errs, want) {
		t.Errorf("%s\ndoes not end in %s", errs, want)
	}
	status, out, errs = colseal(t, "", "vet", "--schema", file, sample+"/models")
	if status != statusOK || out != "" || errs != "0 statements checked, 0 found, 0 not judged\n" {
		t.Errorf("nothing to be found: status %d, %s%s", status, out, errs)
	}
	status, _, errs = colseal(t, "", "vet", "--schema", file, "./absent")
	if status != statusFailed || !strings.Contains(errs, "absent") {
		t.Errorf("no such package: status %d, %s", status, errs)
	}
}

// What was not judged is a failure if --strict says so, and so is a schema that is not there.
func TestVetStrict(t *testing.T) {
	file := sampleSchema(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("queries.sql", "-- name: all :many\nSELECT id FROM customers ORDER BY born;\n-- name: star :many\nSELECT * FROM customers;\n")
	write("fine.sql", "SELECT id FROM customers WHERE email = $1")
	write("notes.txt", "SELECT id FROM customers ORDER BY born")
	for _, tt := range []struct {
		args   []string
		status int
		out    string
		errs   string
	}{
		{[]string{"--sql", dir + "/q*.sql"}, statusFound, "queries.sql:2:35: refused by Colseal: ORDER BY", "1 statement checked, 1 found, 1 not judged (1 of these --dsn can decide)\n"},
		{[]string{"--sql", dir}, statusFound, "queries.sql:2:35:", "2 statements checked, 1 found, 1 not judged"},
		{[]string{"--strict", "--sql", dir + "/fine.sql"}, statusOK, "", "1 statement checked, 0 found, 0 not judged\n"},
		{[]string{"--sql", dir + "/absent"}, statusFailed, "", "there is no such file"},
		{[]string{"--sql", dir, "./..."}, statusFailed, "", "--sql is for files of SQL"},
	} {
		status, out, errs := colseal(t, "", append([]string{"vet", "--schema", file}, tt.args...)...)
		if status != tt.status || !strings.Contains(out, tt.out) || !strings.Contains(errs, tt.errs) {
			t.Errorf("%q: status %d, %q, %q; want %d, %q, %q", tt.args, status, out, errs, tt.status, tt.out, tt.errs)
		}
	}
	write("undecided.sql", "SELECT * FROM customers")
	status, _, errs := colseal(t, "", "vet", "--schema", file, "--strict", "--sql", dir+"/undecided.sql")
	if status != statusFound || !strings.Contains(errs, "undecided.sql:1:1: not judged: without a database: which columns * yields is not known") {
		t.Errorf("--strict: status %d, %s", status, errs)
	}
	status, _, errs = colseal(t, "", "vet", "--schema", "missing.json", sample+"/models")
	if status != statusFailed || !strings.Contains(errs, "missing.json") {
		t.Errorf("no such schema: status %d, %s", status, errs)
	}
	status, _, errs = colseal(t, "", "vet", "--models", "./internal/models/testdata/broken", "./internal/models/testdata/nothing")
	if status != statusFailed || !strings.Contains(errs, "did you mean deterministic") {
		t.Errorf("a wrong schema, and no SQL: status %d, %s", status, errs)
	}
}

// wantSample compares reports with the lines of refused.go and with the page.
func wantSample(t *testing.T, out string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/cli-vet.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, place := range []string{"13:71: ", "18:71: ", "23:70: ", "28:66: "} {
		if i >= len(lines) {
			t.Fatalf("%s is missing in %s", place, out)
		}
		_, found, _ := strings.Cut(lines[i], "refused.go:")
		if !strings.HasPrefix(found, place) {
			t.Errorf("report %d: %s, want it at %s", i, lines[i], place)
		}
		if !strings.Contains(string(page), "refused.go:"+found+"\n") {
			t.Errorf("docs/cli-vet.md does not show %q", found)
		}
	}
	if len(lines) != 4 {
		t.Errorf("%d reports", len(lines))
	}
}

// The program is a tool of go vet, which does not go on using what was found for another schema.
func TestGoVet(t *testing.T) {
	file := sampleSchema(t)
	tool := filepath.Join(t.TempDir(), "colseal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	goVet := func(schema string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "vet", "-vettool="+tool, sample+"/store")
		cmd.Env = append(os.Environ(), vet.SchemaEnv+"="+schema)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := goVet(file)
	if err == nil {
		t.Error("go vet is content")
	}
	wantSample(t, strings.TrimPrefix(out, "# github.com/colseal/colseal/examples/sampleapp/store\n"))
	for range 2 { // an error is not forgotten
		if out, err := goVet(""); err == nil || !strings.Contains(out, "no schema: run `colseal schema") {
			t.Errorf("without a schema: %v\n%s", err, out)
		}
	}
	identity := func() string {
		cmd := exec.CommandContext(t.Context(), tool, "-V=full")
		cmd.Env = append(os.Environ(), vet.SchemaEnv+"="+file)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := identity()
	if err := os.WriteFile(file, []byte(`{"version":1,"tables":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if identity() == before {
		t.Error("with another schema go vet would print what it found with this one")
	}
}

func TestFindSchemaFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv(vet.SchemaEnv, "")
	if _, err := (&source{}).loadOrFind(t.Context()); err == nil || !strings.Contains(err.Error(), "--models or --schema") {
		t.Errorf("no module: %v", err)
	}
	sub := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", vet.SchemaFile} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(sub)
	if got := vet.FindSchema(); filepath.Base(got) != vet.SchemaFile || vet.ModuleRoot() == "" {
		t.Errorf("beside go.mod: %q", got)
	}
	t.Setenv(vet.SchemaEnv, "other.json")
	if got := vet.FindSchema(); got != filepath.Join(vet.ModuleRoot(), "other.json") {
		t.Errorf("a relative name: %q", got)
	}
}
