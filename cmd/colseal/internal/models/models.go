// Package models reads a schema out of Go packages: from their variables of type *schema.Schema, or
// else from the seal tags of their structs.
//
// There is one interpreter of struct tags, package schema, and it works by reflection. So the
// packages are not interpreted here, but compiled, each with one more test file, which go test runs
// in the place of the package's own tests: it reads unexported types, and works in package main.
// Nothing is written to the packages' folders. What runs is the initialisation of the packages'
// variables and their init functions; never main.
package models

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/colseal/colseal/schema"
)

// schemaPath is the package that declares schemas.
const schemaPath = "github.com/colseal/colseal/schema"

// Load reads the schema of the packages that the patterns name, as `go list` reads them from folder
// dir; "" is the working folder. It needs the go command, and a module that requires Colseal. A
// package with variables of type *schema.Schema has exactly those tables. In one without, each
// struct with seal tags is a model: of the tables for which schema.Model is called with it
// somewhere in the package, else of the one that its TableName method names.
func Load(ctx context.Context, dir string, patterns ...string) (*schema.Schema, error) {
	listed, err := list(ctx, dir, patterns)
	if err != nil {
		return nil, err
	}
	var found []*pkg
	for _, p := range listed {
		if err := p.scan(); err != nil {
			return nil, err
		}
		if len(p.schemas)+len(p.models) > 0 {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("models: no seal tag and no schema in %s", strings.Join(patterns, " "))
	}
	answers, err := run(ctx, dir, found)
	if err != nil {
		return nil, err
	}
	return merge(answers)
}

// listing is what go list tells of a package.
type listing struct {
	Dir, ImportPath, Name     string
	GoFiles, CgoFiles         []string
	TestGoFiles, XTestGoFiles []string
}

func list(ctx context.Context, dir string, patterns []string) ([]*pkg, error) {
	args := append([]string{"list", "-json=Dir,ImportPath,Name,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles", "--"}, patterns...)
	out, err := goCommand(ctx, dir, nil, args...)
	if err != nil {
		return nil, err
	}
	var pkgs []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		p := &pkg{}
		if err := dec.Decode(&p.listing); err != nil {
			return nil, fmt.Errorf("models: go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs, nil
}

// goCommand runs the go command and returns what it prints. Its error holds what it complained of.
func goCommand(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String() + "\n" + stdout.String())
		if args[0] == "list" {
			said = strings.TrimSpace(stderr.String())
		}
		// Faults of the schema itself need no stack. A panic writes them line by line.
		if _, faults, ok := strings.Cut(said, "panic: schema: "); ok {
			faults, _, _ = strings.Cut(faults, "\n\n")
			return nil, errors.New("schema: " + strings.ReplaceAll(strings.TrimSuffix(faults, " [recovered]"), "\n\t", "\n"))
		}
		return nil, fmt.Errorf("models: go %s: %w\n%s", args[0], err, said)
	}
	return stdout.Bytes(), nil
}

// answer is what the file that is added to a package writes.
type answer struct {
	Schemas []json.RawMessage
	Error   string
}

// run compiles the packages with the added files and collects the answers.
func run(ctx context.Context, dir string, pkgs []*pkg) (answers []answer, err error) {
	tmp, err := os.MkdirTemp("", "colseal-models-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	args := []string{"test", "-count=1", "-vet=off", "-run=^" + testName + "$", "-overlay=" + filepath.Join(tmp, "overlay.json")}
	for i, p := range pkgs {
		code := filepath.Join(tmp, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(code, p.source(i), 0o600); err != nil {
			return nil, err
		}
		for _, own := range append(p.TestGoFiles, p.XTestGoFiles...) {
			overlay.Replace[filepath.Join(p.Dir, own)] = "" // as if it were not there
		}
		overlay.Replace[filepath.Join(p.Dir, "zz_colseal_schema_test.go")] = code
		args = append(args, p.ImportPath)
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, "overlay.json"), text, 0o600); err != nil {
		return nil, err
	}
	if _, err := goCommand(ctx, dir, []string{outEnv + "=" + tmp}, args...); err != nil {
		return nil, err
	}
	for i, p := range pkgs {
		a, err := readAnswer(filepath.Join(tmp, fmt.Sprintf("%d.json", i)))
		if err != nil {
			return nil, fmt.Errorf("models: package %s: %w", p.ImportPath, err)
		}
		answers = append(answers, a)
	}
	return answers, nil
}

func readAnswer(file string) (a answer, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return a, errors.New("it gave no answer: an init function or a variable's initialisation ended the program")
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// merge makes one schema of all. A table that stands in several, exactly alike, is one.
func merge(answers []answer) (*schema.Schema, error) {
	type form struct {
		Version int               `json:"version"`
		Tables  []json.RawMessage `json:"tables"`
	}
	var all form
	seen := map[string]bool{}
	for _, a := range answers {
		for _, text := range a.Schemas {
			var f form
			if err := json.Unmarshal(text, &f); err != nil {
				return nil, err
			}
			all.Version = max(all.Version, f.Version)
			for _, t := range f.Tables {
				if !seen[string(t)] {
					seen[string(t)] = true
					all.Tables = append(all.Tables, t)
				}
			}
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return schema.ParseJSON(text)
}
