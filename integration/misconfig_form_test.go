package integration

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

// native opens a connection of native pgx through Colseal.
func (d *desk) native() *pgxseal.Conn {
	d.t.Helper()
	c, err := pgxseal.Connect(context.Background(), d.pg.DSN(), d.config())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// scoped makes the users' values belong to scopes.
func scoped(c *driver.Config) {
	c.Schema = schema.Must(schema.Scoped(schema.Model("users", user{})))
}

// unscoped makes the users' values belong to no scope.
func unscoped(c *driver.Config) {
	c.Schema = schema.Must(schema.Unscoped(schema.Model("users", user{})))
}

func query(db *sql.DB, text string, args ...any) error {
	rows, err := db.Query(text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
	}
	return rows.Err()
}

// valueTroubles are about what a statement does with columns and values.
var valueTroubles = []trouble{
	{"A column that the sealed table does not have", func(d *desk) error {
		return run(d.open(), "SELECT emial FROM users")
	}, driver.ErrRefused, "driver.ErrRefused", "The name is no column of the table. PostgreSQL would refuse it too, but where a name is not known, neither is what the values beside it are for.",
		"Correct the name, or qualify it with the table that it belongs to."},
	{"Two columns that are sealed differently", func(d *desk) error {
		return run(d.open(), "UPDATE users SET email = ssn")
	}, driver.ErrRefused, "driver.ErrRefused", "A cell is bound to its column, so it does not open in another one, and cells of two columns are never equal.",
		"Read the value and write it in the program. Deterministic columns that are compared with each other get one `join=` group."},
	{"A sealed column that is copied into a plain one", func(d *desk) error {
		d.admin("CREATE TABLE notes (id bigint, memo text)")
		return run(d.open(), "INSERT INTO notes (id, memo) SELECT id, email FROM users")
	}, driver.ErrRefused, "driver.ErrRefused", "The plain column would hold cells, which nothing opens when it is read.",
		"Read the value and write it in the program, or seal the other column in the same `join=` group."},
	{"A literal whose value depends on the session", func(d *desk) error {
		return run(d.open(), "UPDATE users SET born = 'now' WHERE id = 1")
	}, driver.ErrRefused, "driver.ErrRefused", "The literal is sealed in the program, so the server does not convert it. What it would become there is not known here.",
		"Give the value as a parameter."},
	{"A list of several dimensions", func(d *desk) error {
		return query(d.open(), "SELECT id FROM users WHERE email = ANY($1)", [][]string{{"erika@example.org"}})
	}, driver.ErrValue, "driver.ErrValue", "Each element of a list is sealed by itself. A list has one dimension and begins at index 1. A sealed column of arrays takes any.",
		"Give a slice of values."},
	{"More parameters than the server takes", func(d *desk) error {
		return tooMany(d.open())
	}, driver.ErrRefused, "driver.ErrRefused", "Some parameters are sent twice, for example where a value stands in a sealed and in a plain place. PostgreSQL takes 65,535.",
		"Write fewer rows in one statement, or give a list as one array: `= ANY($1)`."},
}

// formTroubles are about what a statement is, and what it stands in.
var formTroubles = []trouble{
	{"A value without a scope", func(d *desk) error {
		return insertUser(d.open(scoped))
	}, driver.ErrRefused, "driver.ErrRefused", "The table is `schema.Scoped`, or `Config.Scopes` is `driver.ScopesRequired`, and the statement's context has no scope. The value would be sealed in the default scope.",
		"Give the statement a context of `keyring.WithScope`. Reading needs none."},
	{"A value under a scope, where there is none", func(d *desk) error {
		_, err := d.open(unscoped).ExecContext(keyring.WithScope(context.Background(), "tenant:42"), "INSERT INTO users (id, email) VALUES (1, $1)", "erika@example.org")
		return err
	}, driver.ErrRefused, "driver.ErrRefused", "The table is `schema.Unscoped`, or `Config.Scopes` is `driver.ScopesNever`: all of its values are in the default scope.",
		"Give the statement a context without a scope. A statement with values for a scoped and for an unscoped table is made two."},
	{"A search key is being changed", func(d *desk) error {
		d.write(d.open())
		if _, err := d.operator(d.wrapper()).Rotate(context.Background(), keyring.PurposeSearch, ""); err != nil {
			d.t.Fatal(err)
		}
		return query(d.open(), "SELECT count(*) FROM users GROUP BY email")
	}, driver.ErrRefused, "driver.ErrRefused", "While two search keys are live, equal values have different cells, so cells cannot be grouped, joined or made unique. Equality with a parameter works.",
		"Finish [the change](keys.md#search-keys): reseal, then retire the old key. It passes then."},
	{"The keyring table would be changed", func(d *desk) error {
		return run(d.write(d.open()), "DELETE FROM colseal_keys")
	}, driver.ErrRefused, "driver.ErrRefused", "Without the keyring no value can be read. Statements of the program may only read it.",
		"Change keys with [`colseal keys`](cli-keys.md). What an administrator does to the table goes over a connection without Colseal."},
	{"COPY", func(d *desk) error {
		return run(d.open(), "COPY users TO STDOUT")
	}, driver.ErrRefused, "driver.ErrRefused", "The rows of COPY go past the statement, so they would be neither sealed nor opened. [SQL](sql.md#everything-else) lists other statements that are not analysed, such as DO.",
		"Write with `driver.CopyFrom`, or `CopyFrom` of `pgxseal`. Read with SELECT."},
	{"A write to a view that PostgreSQL cannot update by itself", func(d *desk) error {
		d.admin(`CREATE VIEW pairs AS SELECT a.id, a.ssn FROM users a JOIN users b ON a.id = b.id`)
		return run(d.open(), "INSERT INTO pairs (id, ssn) VALUES ($1, $2)", 1, "078-05-1120")
	}, driver.ErrRefused, "driver.ErrRefused", "The view has an `INSTEAD OF` trigger or a rule, or is not of one table. What becomes of the values is not known.",
		"Write to the table."},
	{"A rule that names a sealed table", func(d *desk) error {
		d.admin(`CREATE TABLE log (id bigint); CREATE RULE copy AS ON INSERT TO log DO ALSO UPDATE users SET ssn = NULL WHERE id = NEW.id`)
		return run(d.open(), "INSERT INTO log (id) VALUES ($1)", 1)
	}, driver.ErrRefused, "driver.ErrRefused", "PostgreSQL makes another statement of the write, which is not analysed.",
		"Drop the rule, and do in the program what it does."},
	{"Several statements with parameters", func(d *desk) error {
		return run(d.open(), "UPDATE users SET ssn = $1 WHERE id = 1; DELETE FROM users WHERE id = 2", "078-05-1120")
	}, nil, "", "PostgreSQL takes parameters with one statement only. The error is its own, as it is without Colseal.", "Send the statements one by one, in a transaction if they belong together."},
	{"Several statements that are queried", func(d *desk) error {
		return query(d.open(), "SELECT email FROM users; SELECT ssn FROM users")
	}, driver.ErrRefused, "driver.ErrRefused", "It is not known which result is which, so none could be opened.", "Send the statements one by one. Without results, use `Exec`."},
	{"Several statements, of which one may change what names mean", func(d *desk) error {
		d.admin("CREATE FUNCTION enter() RETURNS void LANGUAGE sql AS 'SELECT set_config(''search_path'', ''pg_temp'', false)'")
		return run(d.open(), "SELECT enter(); UPDATE users SET ssn = NULL WHERE id = 1")
	}, driver.ErrRefused, "driver.ErrRefused", "The text is analysed before any of it runs. `SET`, DDL, and functions that are not known to leave names alone may make `users` another table by the time the second statement runs.",
		"Send the statements one by one. What was changed is read again before the next."},
	{"Several statements in a transaction that has failed", func(d *desk) error {
		tx, err := d.open().Begin()
		if err != nil {
			d.t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Exec("SELECT 1/0"); err == nil {
			d.t.Fatal("the transaction has not failed")
		}
		_, err = tx.Exec("ROLLBACK; UPDATE users SET ssn = NULL WHERE id = 1")
		return err
	}, driver.ErrRefused, "driver.ErrRefused", "In a failed transaction the server answers no question, so it cannot be found out which tables the names mean once it has ended.",
		"Send `ROLLBACK` or `ROLLBACK TO` by itself, then the others."},
	{"Native pgx: a batch that changes what names mean", func(d *desk) error {
		var b pgx.Batch
		b.Queue("SET search_path = public")
		b.Queue("SELECT email FROM users")
		return d.native().SendBatch(context.Background(), &b).Close()
	}, driver.ErrRefused, "driver.ErrRefused", "All statements of a batch are analysed before one is sent, and this one may be about another table by then. None was sent.",
		"Send the earlier statement before the batch."},
	{"Native pgx: a statement that was prepared past Colseal", func(d *desk) error {
		c := d.native()
		if _, err := c.Raw().Prepare(context.Background(), "by_id", "SELECT email FROM users WHERE id = $1"); err != nil {
			d.t.Fatal(err)
		}
		_, err := c.Exec(context.Background(), "by_id", 1)
		return err
	}, driver.ErrRefused, "driver.ErrRefused", "The statement was prepared by `Raw` or by a hook of the pool, so its values and results are not sealed or opened.",
		"Use `Prepare` of `pgxseal.Conn` or `Tx`, or send the text: pgx prepares it by itself."},
}

// tooMany gives each of 40,000 parameters to a sealed and to a plain column.
func tooMany(db *sql.DB) error {
	const rows = 40_000
	args := make([]any, rows)
	var b strings.Builder
	b.WriteString("INSERT INTO users (id, ssn, email) VALUES ")
	for i := range args {
		args[i] = "erika"
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d, $%d, $%d)", i, i+1, i+1)
	}
	return run(db, b.String(), args...)
}
