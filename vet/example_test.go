package vet_test

import (
	"fmt"
	"log"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
	"github.com/colseal/colseal/vet"
)

func ExampleCheckSQL() {
	users := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}))
	result, err := vet.CheckSQL(`
-- name: ByEmail :one
SELECT id FROM users WHERE email = $1;

-- name: ByDomain :many
SELECT id FROM users WHERE email LIKE $1;
`, "postgres", func(query string) (*explain.Explanation, error) {
		return explain.Offline(users, driver.DialectPostgres, query)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Checked, "checked")
	for _, n := range result.Found {
		fmt.Println(n.Line, n.Column)
	}
	// Output:
	// 2 checked
	// 6 28
}

func ExampleNew() {
	// Give it to singlechecker.Main, multichecker.Main or unitchecker.Main.
	a := vet.New(vet.Config{Schema: "colseal.schema.json", Dialect: "sqlite"})
	fmt.Println(a.Name, a.Flags.Lookup("dialect").Value)
	// Output: colseal sqlite
}
