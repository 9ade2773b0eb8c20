// Package mistaken has two mistakes in tags, and a schema.
package mistaken

import "github.com/colseal/colseal/schema"

// User has them.
type User struct {
	Email string `seal:"determinstic"`
	Born  string `seal:"random,kind=dat"`
}

// Tables panics.
var Tables = schema.Must(schema.Model("users", User{}))
