package colseal_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

var users = schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}))

// refusal returns the error that db.QueryContext returns for the query.
func refusal(query string) error {
	said, err := explain.Offline(users, driver.DialectPostgres, query)
	if err != nil {
		log.Fatal(err)
	}
	return said.Refused[0]
}

func ExampleHint() {
	err := refusal("SELECT id FROM users WHERE email LIKE '%@example.com'")
	fmt.Println(errors.Is(err, colseal.ErrRefused))
	fmt.Println(colseal.Hint(err))
	// Output:
	// true
	// the database holds only ciphertext, which has no parts; tag the column prefix= or suffix= to find it by its beginning or end, or do this in the program
}

func ExampleQueryError() {
	err := refusal("SELECT max(email) FROM users") // db.QueryContext returns it
	var refused *colseal.QueryError
	if errors.As(err, &refused) {
		line, column := refused.Position()
		fmt.Println(refused.Class, refused.Table, refused.Column, line, column)
		fmt.Println(refused.Reason)
	}
	// Output:
	// operation users email 1 12
	// the function max cannot work on a sealed column
}
