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
//	        description: SQL that Colseal refuses
//	        settings: {schema: colseal.schema.json, dialect: postgres}
//
// `golangci-lint custom` then builds custom-gcl, a golangci-lint that has it.
package golangci

import (
	"crypto/sha256"
	"encoding/hex"
	"os"

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

// BuildAnalyzers implements [register.LinterPlugin]. golangci-lint keeps what it found in a package
// under the names of the analyzers. So there is a second analyzer, which finds nothing: its name
// changes with the schema.
func (p plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	return []*analysis.Analyzer{
		vet.New(vet.Config{Schema: p.settings.Schema, Dialect: p.settings.Dialect}),
		{
			Name: Name + "_" + digest(p.settings.Schema),
			Doc:  "makes golangci-lint look again when the schema of colseal has changed",
			Run:  func(*analysis.Pass) (any, error) { return nil, nil },
		},
	}, nil
}

// digest returns a name for the content of a schema's file, as [vet.Config] names it. A file that
// cannot be read is the analysis' to report.
func digest(file string) string {
	if file == "" {
		file = vet.FindSchema()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "none"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// GetLoadMode implements [register.LinterPlugin].
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
