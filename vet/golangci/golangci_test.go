package golangci

import (
	"testing"

	"github.com/golangci/plugin-module-register/register"
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
	if err != nil || len(all) != 1 {
		t.Fatalf("BuildAnalyzers() = %d analyzers, %v", len(all), err)
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
