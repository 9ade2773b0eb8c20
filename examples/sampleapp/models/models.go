// Package models has the tables of the sample application.
package models

import "time"

// Customer is a person who buys.
type Customer struct {
	ID      int64     `db:"id"`
	Email   string    `db:"email" seal:"deterministic,join=email"` // looked up by equality
	SSN     *string   `db:"ssn" seal:"random"`                     // only ever read
	Born    time.Time `db:"born" seal:"random,kind=date"`
	Country string    `db:"country"`
}

// TableName is the customers' table.
func (Customer) TableName() string { return "customers" }

// Subscriber gets the newsletter, and may be a customer or not.
type Subscriber struct {
	ID    int64  `db:"id"`
	Email string `db:"email" seal:"deterministic,join=email"` // joined with customers
}

// TableName is the subscribers' table.
func (Subscriber) TableName() string { return "subscribers" }
