package corpus

import (
	"context"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/schema"
)

// A table of the corpus and its columns, those that are declared sealed with their mode after a colon.
var tables = map[string]string{
	"onek": "unique1 unique2 two four ten twenty hundred thousand twothousand fivethous tenthous odd even stringu1:d,strings stringu2 string4:r",
	"tenk1": "unique1 unique2 two four ten twenty hundred thousand:di,thousands twothousand fivethous tenthous:ri odd even " +
		"stringu1:d,strings stringu2 string4:r",
	"tenk2":              "unique1 unique2 two four ten twenty hundred thousand:di,thousands twothousand fivethous tenthous odd even stringu1:d,strings stringu2:r string4",
	"int8_tbl":           "q1:di,q q2:di,q",
	"int4_tbl":           "f1:ri",
	"text_tbl":           "f1:r",
	"varchar_tbl":        "f1:d",
	"char_tbl":           "f1:d",
	"person":             "name:d,names age:ri location",
	"emp":                "name:d,names age:ri location salary:di manager:d,names",
	"student":            "name:d,names age:ri location gpa:r",
	"j1_tbl":             "i:di,i j t:r",
	"j2_tbl":             "i:di,i k:di",
	"aggtest":            "a b:r",
	"document":           "did cid dlevel dauthor:d dtitle:r",
	"target":             "tid balance:di,money",
	"source":             "sid delta:di,money",
	"wq_target":          "tid balance:di",
	"insertconflicttest": "key fruit:d",
	"upsert":             "key:di val:r",
	"empsalary":          "depname:d empno salary:di enroll_date",
	"arrtest":            "a b c d:r e f g",
	"foo":                "f1 f2:d f3 a:di b:r",
	"parent":             "id val:r f1:d",
	"test_view":          "id name:d",
	"xmltest":            "id data:r",
	"rngfunc":            "rngfuncid rngfuncsubid rngfuncname:d",
	"people":             "fn:r ln",
	"pagg_tab":           "a b c:d d",
	"prt1":               "a b c:d",
	"prt2":               "a b c:d",
}

// liteTables are those of SQLite's tests, which mostly have these names.
var liteTables = map[string]string{
	"t1": "a b:d c:r x:di",
	"t2": "a b:d c:r y:di",
	"t3": "a:d b:di c z:r",
}

// sealedNames are the names of each table's sealed columns.
func sealedNames(tables map[string]string) map[string][]string {
	names := map[string][]string{}
	for table, columns := range tables {
		for _, c := range strings.Fields(columns) {
			if name, _, ok := strings.Cut(c, ":"); ok {
				names[table] = append(names[table], name)
			}
		}
	}
	return names
}

// declared is the schema of the tables.
func declared(tables map[string]string) *schema.Schema {
	var all []schema.Source
	for table, columns := range tables {
		var sealed []schema.Column
		for _, c := range strings.Fields(columns) {
			name, how, ok := strings.Cut(c, ":")
			if !ok {
				continue
			}
			how, group, _ := strings.Cut(how, ",")
			col := schema.Column{Name: name, JoinGroup: group}
			if strings.HasPrefix(how, "d") {
				col.Mode = schema.ModeDeterministic
			}
			if strings.HasSuffix(how, "i") {
				col.Kind = schema.KindInt
			}
			sealed = append(sealed, col)
		}
		all = append(all, schema.Columns(table, sealed...))
	}
	return schema.Must(all...)
}

// catalog is a server that has the tables and no others.
type catalog map[string]*dbcatalog.Relation

func newCatalog(tables map[string]string) catalog {
	all := catalog{}
	for table, columns := range tables {
		r := &dbcatalog.Relation{Schema: "public", Name: table}
		for _, c := range strings.Fields(columns) {
			name, _, sealed := strings.Cut(c, ":")
			col := dbcatalog.Column{Name: name, Type: "text", Storage: dbcatalog.StorageText}
			if sealed {
				col.Type, col.Storage = "bytea", dbcatalog.StorageBytes
			}
			r.Columns = append(r.Columns, col)
		}
		all[table] = r
	}
	return all
}

// Relation implements sqlplan.Catalog.
func (c catalog) Relation(_ context.Context, schemaName, name string) (*dbcatalog.Relation, error) {
	if schemaName != "" && schemaName != "public" && schemaName != "main" {
		return nil, nil
	}
	return c[name], nil
}
