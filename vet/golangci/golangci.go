// Package golangci makes the analysis of package vet a linter of golangci-lint, as a plugin of its
// module system. In .custom-gcl.yml:
//
//	version: v2.15.0
//	plugins:
//	  - module: github.com/colseal/colseal/vet
//	    import: github.com/colseal/colseal/vet/golangci
//	    version: latest
//
// In .golangci.yml:
//
//	linters:
//	  enable: [colseal]
//	  settings:
//	    custom:
//	      colseal:
//	        type: module
//	        settings: {schema: colseal.schema.json, dialect: postgres}
//
// `golangci-lint custom` then builds a golangci-lint that has it.
package golangci

import (
	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/colseal/colseal/vet"
)

// Name is the linter's.
const Name = "colseal"

func init() { register.Plugin(Name, New) }

// Settings are the linter's in .golangci.yml; see [vet.Config].
type Settings struct {
	Schema  string `json:"schema"`
	Dialect string `json:"dialect"`
}

// New makes the plugin of its settings.
func New(settings any) (register.LinterPlugin, error) {
	s, err := register.DecodeSettings[Settings](settings)
	if err != nil {
		return nil, err
	}
	return plugin{s}, nil
}

type plugin struct{ settings Settings }

// BuildAnalyzers implements [register.LinterPlugin].
func (p plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	return []*analysis.Analyzer{vet.New(vet.Config{Schema: p.settings.Schema, Dialect: p.settings.Dialect})}, nil
}

// GetLoadMode implements [register.LinterPlugin].
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
