package golangci_test

import (
	"fmt"
	"log"

	"github.com/colseal/colseal/vet/golangci"
)

func ExampleNew() {
	plugin, err := golangci.New(map[string]any{"schema": "colseal.schema.json"}) // what .golangci.yml holds as its settings
	if err != nil {
		log.Fatal(err)
	}
	analyzers, err := plugin.BuildAnalyzers()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(analyzers[0].Name, analyzers[0].Flags.Lookup("schema").Value)
	// Output: colseal colseal.schema.json
}

func ExampleSettings() {
	_, err := golangci.New(map[string]any{"shcema": "colseal.schema.json"})
	fmt.Println(err != nil)
	// Output: true
}
