package golangci

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"
)

// The plugin is registered under its name, and hands its settings on.
func TestPlugin(t *testing.T) {
	make, err := register.GetPlugin(Name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := make(map[string]any{"schema": "x.json", "dialect": "sqlite"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := p.BuildAnalyzers()
	if err != nil || len(all) != 2 {
		t.Fatalf("BuildAnalyzers() = %d analyzers, %v", len(all), err)
	}
	if err := analysis.Validate(all); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"schema": "x.json", "dialect": "sqlite"} {
		if got := all[0].Flags.Lookup(name).Value.String(); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := p.GetLoadMode(); got != register.LoadModeTypesInfo {
		t.Errorf("GetLoadMode() = %q", got)
	}
	if _, err := make(map[string]any{"shcema": "x.json"}); err == nil {
		t.Error("an unknown setting is taken")
	}
}

// golangci-lint takes what it found before for packages that did not change, unless an analyzer has another name: a column
// that is sealed from now on would not be looked for.
func TestSchemaChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	names := func() (all string) {
		p, err := New(map[string]any{"schema": file})
		if err != nil {
			t.Fatal(err)
		}
		analyzers, err := p.BuildAnalyzers()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range analyzers {
			all += a.Name + " "
		}
		return all
	}
	missing := names()
	write := func(text string) string {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return names()
	}
	first, second := write(`{"version":1,"tables":[]}`), write(`{"version":1,"tables":[ ]}`)
	if first == missing || second == first {
		t.Errorf("the analyzers are %q, then %q, then %q, want other names each time", missing, first, second)
	}
	if again := names(); again != second {
		t.Errorf("the analyzers are %q, want %q: the schema did not change", again, second)
	}
}
