// Command declared is a program whose main must not run.
package main

import "github.com/colseal/colseal/schema"

type user struct {
	Email string `seal:"deterministic"`
}

var tables = schema.Must(schema.Model("users", user{}), schema.View("mails", "users"))

func main() { panic("main runs") }
