package snippets

import (
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/schema"
)

type Form struct {
	ID   int64
	Name string
	Tax  string `seal:"random,inbox"`
}

func writeOnly(pin string) {
	driver.Register("pgx-form", driver.Config{
		Driver:    stdlib.GetDefaultDriver(),
		Schema:    schema.Must(schema.Model("forms", Form{})),
		WriteOnly: &driver.Inbox{Pins: []string{pin}}, // no KMS
	})
}
