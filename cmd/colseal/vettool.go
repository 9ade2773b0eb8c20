package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/vet"
)

// isVetTool reports whether go vet runs this program as its tool: it asks for the program's
// identity, for its flags, and then gives it one package at a time.
func isVetTool(args []string) bool {
	if len(args) == 0 {
		return false
	}
	return args[0] == "-V=full" || args[0] == "-flags" || strings.HasSuffix(args[len(args)-1], ".cfg") && (len(args) == 1 || args[0][0] == '-')
}

// runVetTool speaks the protocol of go vet -vettool. It ends the program.
func runVetTool() {
	flag.Var(identity{}, "V", "print the program's identity and exit")
	var cfg vet.Config
	a := vet.New(vet.Config{Open: func() (vet.Explain, error) {
		ask, err := cfg.Offline()
		if err != nil {
			// One that the analysis returned would be told once: go vet then takes the package for
			// one without findings.
			fmt.Fprintln(os.Stderr, "colseal:", err)
			os.Exit(statusFailed)
		}
		return ask, nil
	}})
	flag.Func("dialect", "SQL dialect: postgres or sqlite", func(s string) error {
		if _, err := dialect.Parse(s); err != nil {
			return err
		}
		cfg.Dialect = s
		return a.Flags.Set("dialect", s)
	})
	unitchecker.Main(a)
}

// identity is the flag -V=full. go vet keeps what a tool found for as long as the tool's identity
// stays, so the schema is a part of it.
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
	for _, name := range []string{self, vet.FindSchema()} {
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
