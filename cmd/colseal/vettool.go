package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/colseal/colseal/cmd/colseal/internal/vet"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

// isVetTool reports whether go vet runs this program as its tool: it asks for the program's identity, for its
// flags, and then gives it one package at a time.
func isVetTool(args []string) bool {
	if len(args) == 0 {
		return false
	}
	return args[0] == "-V=full" || args[0] == "-flags" || strings.HasSuffix(args[len(args)-1], ".cfg") && (len(args) == 1 || args[0][0] == '-')
}

// runVetTool speaks the protocol of go vet -vettool. It ends the program.
func runVetTool() {
	flag.Var(identity{}, "V", "print the program's identity and exit")
	dialectName := flag.String("dialect", "postgres", "SQL dialect: postgres or sqlite")
	dialectNow := func() dialect.Dialect {
		d, err := dialect.Parse(*dialectName)
		endVetTool(err)
		return d
	}
	unitchecker.Main(vet.New(vet.Config{
		Open: func() (vet.Explain, error) {
			s, err := schemaForGoVet()
			endVetTool(err)
			d := dialectNow()
			return func(query string) (*explain.Explanation, error) { return explain.Offline(s, d, query) }, nil
		},
		Dialect: dialectNow,
	}))
}

// endVetTool ends the program on an error. An error that the analysis returned would be told once: go vet then takes
// the package for one without findings.
func endVetTool(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "colseal:", err)
		os.Exit(statusFailed)
	}
}

func schemaForGoVet() (*schema.Schema, error) {
	file := foundSchemaFile()
	if file == "" {
		return nil, errNoSchemaFile
	}
	return (&source{file: file}).load(context.Background())
}

// errNoSchemaFile says what go vet lacks. To find the models, packages are compiled: not for each package anew.
var errNoSchemaFile = fmt.Errorf("no schema: run `colseal schema --models ./... > %s` beside go.mod, or name such a file by the variable %s", schemaFile, schemaEnv)

// identity is the flag -V=full. go vet keeps what a tool found for as long as the tool's identity stays, so the
// schema is a part of it.
type identity struct{}

func (identity) IsBoolFlag() bool { return true }
func (identity) String() string   { return "" }

// Set implements flag.Value.
func (identity) Set(string) error {
	h := sha256.New()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range []string{self, foundSchemaFile()} {
		if name == "" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(h, f)
		_ = f.Close() // it was only read
		if err != nil {
			return err
		}
	}
	fmt.Printf("%s version devel buildID=%02x\n", self, h.Sum(nil))
	os.Exit(statusOK)
	return nil
}
