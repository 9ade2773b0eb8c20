package schema_test

import (
	"fmt"
	"log"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/schema"
)

type Patient struct {
	ID        int64
	Insurance string    `seal:"deterministic"`
	Notes     string    `seal:"random"`
	Born      time.Time `seal:"random,kind=date"`
}

func ExampleModel() {
	s, err := schema.New(schema.Model("patients", Patient{}))
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range s.Tables() {
		for _, c := range t.Columns() {
			fmt.Println(c.Field(), "is", c.Name+",", c.Mode, c.Kind)
		}
	}
	// Output:
	// Patient.Insurance is insurance, deterministic text
	// Patient.Notes is notes, random text
	// Patient.Born is born, random date
}

func ExampleNew() {
	_, err := schema.New(schema.Columns("patients", schema.Column{Name: "notes", Min: "1"}))
	fmt.Println(err)
	fmt.Println(colseal.Hint(err))
	// Output:
	// schema: table patients, column notes: min=, max= or step= on a column that is not ordered
	// make it ordered, or remove them
}
