package integration

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/schema"
)

// inboxOf is the users' table with an inbox in a column.
func inboxOf(column string) *schema.Schema {
	cols := []schema.Column{{Name: "email", Mode: schema.ModeDeterministic}, {Name: "ssn"}, {Name: "born", Kind: schema.KindTime}}
	for i := range cols {
		cols[i].Inbox = cols[i].Name == column
	}
	return schema.Must(schema.Columns("users", cols...))
}

// inbox makes the inbox of the desk's keyring, and returns its pin.
func (d *desk) inbox() string {
	d.t.Helper()
	_ = d.write(d.open()).Close()
	k, err := d.operator(d.wrapper()).Inbox(context.Background(), "", "")
	if err != nil {
		d.t.Fatal(err)
	}
	return k.Pin()
}

// form makes a program write-only. Its tags say inbox at users.ssn.
func form(pins ...string) func(*driver.Config) {
	return func(c *driver.Config) {
		c.KMS, c.AutoCreateKeyTable, c.Schema = nil, false, inboxOf("ssn")
		c.WriteOnly = &driver.Inbox{Pins: pins}
	}
}

const writeSSN = "UPDATE users SET ssn = $1 WHERE id = 1"

var writeOnlyTroubles = []trouble{
	{"The pin is written wrongly", func(d *desk) error {
		cfg := d.config()
		form("5a1ed0c1")(&cfg)
		_, err := driver.NewConnector(stdlib.GetConnector(pgx.ConnConfig{}), cfg)
		return err
	}, nil, "", "`Config.WriteOnly.Pins` are what a [write-only program](write-only.md) knows its inbox by.", "Copy what `colseal keys inbox` prints."},
	{"No inbox has the program's pin", func(d *desk) error {
		pin := d.inbox()
		return run(d.open(form(otherPin(pin))), writeSSN, "078-05-1120")
	}, driver.ErrNoInbox, "driver.ErrNoInbox", "The keyring has no inbox, or only ones that are revoked, or whose pins are others: the program is connected to another environment, its inbox was replaced, or somebody put in one of their own.",
		"`colseal keys list --purpose inbox` says what there is. Take a pin only from the operator who made the inbox. [Replacing an inbox](write-only.md#replacing-an-inbox) has the order in which nothing stops."},
	{"A write-only program reads", func(d *desk) error {
		return query(d.open(form(d.inbox())), "SELECT ssn FROM users")
	}, driver.ErrWriteOnly, "driver.ErrWriteOnly", "The program has `Config.WriteOnly`, and no key that opens the column. RETURNING of a sealed column is refused, too, and so is a comparison.",
		"Leave the column out of the result. A program with a KMS reads it."},
	{"A write-only program writes another column", func(d *desk) error {
		return run(d.open(form(d.inbox())), "UPDATE users SET email = $1 WHERE id = 1", "erika@example.org")
	}, driver.ErrWriteOnly, "driver.ErrWriteOnly", "A deterministic or ordered column needs the search key, by which values can be guessed. Of the randomized ones a write-only program writes those whose tag says `inbox`.",
		"Let a program with a KMS write the column, or add `inbox` to the tag of a randomized one, in every program."},
	{"A write-only program's value in a column without inbox", func(d *desk) error {
		if err := run(d.open(form(d.inbox())), writeSSN, "078-05-1120"); err != nil {
			d.t.Fatal(err)
		}
		return readUser(d.open()) // its tags do not say inbox
	}, driver.ErrAuth, "driver.ErrAuth", "The value was sealed by a write-only program, and this program's tag does not say `inbox`. Or somebody who may insert into the keyring has forged it.",
		"If write-only programs may write the column, add `inbox` to its tag in every program, the readers first."},
}

// otherPin is the pin of an inbox that is not there.
func otherPin(pin string) string {
	return pin[:8] + "-" + strings.Repeat("0", len(pin)-9)
}
