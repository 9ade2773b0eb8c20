package models

import (
	"bytes"
	"fmt"
)

const (
	testName = "TestColsealSchema"
	outEnv   = "COLSEAL_SCHEMA_OUT"
)

// source returns the file that is added to package number i. Its imports have names that a package
// is not likely to declare itself.
func (p *pkg) source(i int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `package %s

import (
	colseal_json "encoding/json"
	colseal_fmt "fmt"
	colseal_os "os"
	colseal_path "path/filepath"
	colseal_testing "testing"

	colseal_schema %q
)

func %s(t *colseal_testing.T) {
	answer := struct {
		Schemas []*colseal_schema.Schema
		Error   string
	}{}
	var err error
`, p.Name, schemaPath, testName)
	for _, name := range p.schemas {
		fmt.Fprintf(&b, "\tif %[1]s == nil {\n\t\tanswer.Error = %[2]q\n\t}\n\tanswer.Schemas = append(answer.Schemas, %[1]s)\n",
			name, "variable "+name+" is nil until main runs; give it its value where it is declared")
	}
	if len(p.schemas) == 0 {
		b.WriteString("\tvar s *colseal_schema.Schema\n\ts, err = colseal_schema.New(\n")
		for _, m := range p.models {
			fmt.Fprintf(&b, "\t\tcolseal_schema.Model(%q, (*%s)(nil)),\n", m.table, m.typ)
		}
		b.WriteString("\t)\n\tanswer.Schemas = append(answer.Schemas, s)\n")
	}
	fmt.Fprintf(&b, `	if err != nil {
		answer.Error = colseal_fmt.Sprintf("%%+v", err)
	}
	if answer.Error != "" {
		answer.Schemas = nil
	}
	text, err2 := colseal_json.Marshal(answer)
	if err2 == nil {
		err2 = colseal_os.WriteFile(colseal_path.Join(colseal_os.Getenv(%q), "%d.json"), text, 0o600)
	}
	if err2 != nil {
		t.Fatal(err2)
	}
}
`, outEnv, i)
	return b.Bytes()
}
