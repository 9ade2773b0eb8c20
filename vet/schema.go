package vet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/colseal/colseal/schema"
)

// Where the schema is when nothing says so.
const (
	SchemaEnv  = "COLSEAL_SCHEMA"      // names a file; relative to the module's folder
	SchemaFile = "colseal.schema.json" // in the module's folder
)

// FindSchema returns the path of the schema's file of the module around the working folder: the one
// that [SchemaEnv] names, or else [SchemaFile] beside go.mod. It returns "" if there is none.
func FindSchema() string {
	root := ModuleRoot()
	name := os.Getenv(SchemaEnv)
	if name == "" {
		name = filepath.Join(root, SchemaFile)
		if _, err := os.Stat(name); err != nil || root == "" {
			return ""
		}
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(root, name)
	}
	return name
}

// ModuleRoot returns the folder of the go.mod above the working folder, or "".
func ModuleRoot() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return ""
}

// errNoSchema says how to get a schema. Finding models compiles packages, which is too slow to do
// again for each package.
var errNoSchema = fmt.Errorf("no schema: run `colseal schema --models ./... > %s` beside go.mod, or name such a file by the variable %s", SchemaFile, SchemaEnv)

// readSchema reads the schema from a file, or from the one that is found where none is given.
func readSchema(file string) (*schema.Schema, error) {
	if file == "" {
		file = FindSchema()
	}
	if file == "" {
		return nil, errNoSchema
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := schema.ParseJSON(text)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s is no schema", file), err)
	}
	return s, nil
}
