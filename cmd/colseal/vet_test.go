package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
	if want := "8 statements checked, 4 found, 0 not decided, 1 not constant\n"; !strings.HasSuffix(errs, want) {
		t.Errorf("%s\ndoes not end in %s", errs, want)
	}
	status, out, errs = colseal(t, "", "vet", "--schema", file, sample+"/models")
	if status != statusOK || out+errs != "" {
		t.Errorf("nothing to be found: status %d, %s%s", status, out, errs)
	}
	status, _, errs = colseal(t, "", "vet", "--schema", file, "./absent")
	if status != statusFailed || !strings.Contains(errs, "absent") {
		t.Errorf("no such package: status %d, %s", status, errs)
	}
}

// wantSample compares reports with the lines of refused.go and with the page.
func wantSample(t *testing.T, out string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/cli.md")
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
			t.Errorf("docs/cli.md does not show %q", found)
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
		cmd.Env = append(os.Environ(), schemaEnv+"="+schema)
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
		cmd.Env = append(os.Environ(), schemaEnv+"="+file)
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
	t.Setenv(schemaEnv, "")
	if _, err := (&source{}).loadOrFind(t.Context()); err == nil || !strings.Contains(err.Error(), "--models or --schema") {
		t.Errorf("no module: %v", err)
	}
	sub := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", schemaFile} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(sub)
	if got := foundSchemaFile(); filepath.Base(got) != schemaFile || moduleRoot() == "" {
		t.Errorf("beside go.mod: %q", got)
	}
	t.Setenv(schemaEnv, "other.json")
	if got := foundSchemaFile(); got != filepath.Join(moduleRoot(), "other.json") {
		t.Errorf("a relative name: %q", got)
	}
}
