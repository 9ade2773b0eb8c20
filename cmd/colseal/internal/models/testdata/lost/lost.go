// Package lost has a model without a table.
package lost

// User is it.
type User struct {
	Email string `seal:"random"`
}
