// Package broken has a mistake in a tag.
package broken

// User has it.
type User struct {
	Email string `seal:"determinstic"`
}

// TableName names the table.
func (User) TableName() string { return "users" }
