// Package tagged has models with seal tags only. Its own names must not disturb the reader.
package tagged

import (
	"time"

	s "github.com/colseal/colseal/schema"
)

var schema, json, os, testing, t, err int

// Base is embedded.
type Base struct {
	Born time.Time `db:"born" seal:"random"`
}

// User is named by its method.
type User struct {
	Base
	ID    int64
	Email string `db:"email" seal:"deterministic"`
}

// TableName implements the convention.
func (*User) TableName() string { return "app.users" }

type lead struct {
	Phone string `seal:"deterministic,kind=int"`
}

// Sources names the tables of lead.
func Sources() []s.Source {
	return []s.Source{s.Model("leads", lead{}), s.Model("old_leads", &lead{})}
}

// Plain has nothing sealed.
type Plain struct{ ID int64 }
