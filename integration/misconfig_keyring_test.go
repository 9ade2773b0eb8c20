package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	colsealkms "github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// otherKeyring is the id of a keyring that no test makes.
var otherKeyring = strings.Repeat("0", 31) + "1"

// operator is an operator of the desk's keyring.
func (d *desk) operator(w kms.Wrapper) *keyring.Admin {
	return keyring.NewAdmin(keyring.OpenStore(d.pg.Admin, keyring.DialectPostgres, ""), w, keyring.AdminConfig{By: "ann"})
}

func (d *desk) wrapper() kms.Wrapper { return colsealkms.New(d.kms.Client(d.t), alias) }

func pinned(c *driver.Config) { c.KeyringID = otherKeyring }

func readOnly(c *driver.Config) { c.Keys.ReadOnly = true }

var keyringTroubles = []trouble{
	{"The id of the keyring is written wrongly", func(d *desk) error {
		cfg := d.config()
		cfg.KeyringID = "app"
		_, err := driver.NewConnector(stdlib.GetConnector(pgx.ConnConfig{}), cfg)
		return err
	}, nil, "", "`Config.KeyringID` is 16 bytes in hexadecimal digits.", "Copy the id that `colseal keys status` or `colseal keys init` prints."},
	{"It is another keyring", func(d *desk) error {
		_ = d.write(d.open()).Close()
		return readUser(d.open(pinned))
	}, driver.ErrOtherKeyring, "driver.ErrOtherKeyring", "`Config.KeyringID` names one keyring, and this database has another: the program is connected to another environment, or the database was adopted, or made again.",
		"Check the connection string. If this database is meant, configure the id that `colseal keys status` prints. [A copy](cli-keys.md#a-copy-of-the-database) can be given an id of its own."},
	{"A new keyring, where the program expects one", func(d *desk) error {
		return insertUser(d.open(pinned))
	}, driver.ErrOtherKeyring, "driver.ErrOtherKeyring", "The database has no keyring, and `Config.KeyringID` names one. A program with an id makes no new keyring, since the one that it knows may only be lost.",
		"Restore the keyring with the data. If the database is meant to be new, run `colseal keys init` and configure the id that it prints."},
	{"The keyring has lost its id", func(d *desk) error {
		_ = d.write(d.open()).Close()
		d.admin("DELETE FROM colseal_keys WHERE key_id = 0")
		return readUser(d.open())
	}, driver.ErrOtherKeyring, "driver.ErrOtherKeyring", "The row with `key_id` 0 holds the keyring's id, which every key is wrapped with. Somebody deleted it, or it was not restored.",
		"Restore the row from a backup. Its `wrapped` is the id as 16 bytes; the id also stands in CloudTrail, and in the configuration of programs that set `KeyringID`."},
	{"The scope was destroyed", func(d *desk) error {
		ctx := keyring.WithScope(context.Background(), "tenant:42")
		db := d.open()
		if _, err := db.ExecContext(ctx, "INSERT INTO users (id, ssn) VALUES (1, $1)", "078-05-1120"); err != nil {
			d.t.Fatal(err)
		}
		if _, err := d.operator(d.wrapper()).Destroy(ctx, "tenant:42", "contract ended"); err != nil {
			d.t.Fatal(err)
		}
		_, err := d.open().ExecContext(ctx, "UPDATE users SET ssn = $1 WHERE id = 1", "078-05-1120")
		return err
	}, driver.ErrKeyDestroyed, "driver.ErrKeyDestroyed", "An operator destroyed the keys of this scope. What was sealed in it cannot be opened by anybody, and nothing is sealed in it again.",
		"Answer as for data that was deleted. A new tenant takes a new name."},
	{"A program that only reads the keyring seals", func(d *desk) error {
		if err := run(d.open(), "INSERT INTO users (id, email) VALUES (1, $1)", "erika@example.org"); err != nil { // there is a search key
			d.t.Fatal(err)
		}
		return run(d.open(readOnly), "UPDATE users SET ssn = $1 WHERE id = 1", "078-05-1120")
	}, keyring.ErrReadOnly, "keyring.ErrReadOnly", "`Config.Keys.ReadOnly` is set, so the program makes no keys and reserves no seals.",
		"Write over a program without it, to the primary server."},
	{"The keyring does not answer", func(d *desk) error {
		db := d.write(d.open())
		tx, err := d.pg.Admin.Begin()
		if err != nil {
			d.t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Exec("LOCK TABLE colseal_keys"); err != nil {
			d.t.Fatal(err)
		}
		mine, err := db.Begin()
		if err != nil {
			d.t.Fatal(err)
		}
		defer func() { _ = mine.Rollback() }()
		_, err = mine.ExecContext(keyring.WithScope(context.Background(), "tenant:42"), "UPDATE users SET ssn = $1 WHERE id = 1", "078-05-1120")
		return err
	}, driver.ErrKeyUnavailable, "driver.ErrKeyUnavailable", "Something holds a lock on the key table, such as a migration or `VACUUM FULL`, or the server hangs. A lookup of a key that is not in memory is tried again until its context ends, and for thirty seconds at most. In a transaction it fails after two seconds, since the keyring may be waiting for a connection that transactions hold. A running program goes on with the keys that it has in memory for `keycache.Config.MaxStale`.",
		"End the transaction that holds the lock (`pg_locks`, `pg_stat_activity`). Programs try again by themselves."},
	{"No connection is left for the keyring", func(d *desk) error {
		role := d.pg.Name
		_ = d.write(d.open()).Close()
		d.admin(fmt.Sprintf("CREATE ROLE %[1]s LOGIN PASSWORD 'once' CONNECTION LIMIT 1; GRANT ALL ON users, colseal_keys TO %[1]s; GRANT USAGE ON SCHEMA public TO %[1]s", role))
		defer d.admin(fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role))
		return d.scopeWithin(role)
	}, driver.ErrKeyUnavailable, "driver.ErrKeyUnavailable", "The role or the pooler allows no connection more, and the transaction's own cannot be used to make a key: a rollback would take it back. The transaction began without the scope that it now seals in, so its keys were not fetched before it.",
		"Give the context that begins the transaction the scope ([connections](keyring.md#the-keyrings-connections)), or allow one connection more. Nothing was sent, and the transaction may go on."},
	{"A key under a KEK that is not known to be yours", func(d *desk) error {
		_ = d.write(d.open()).Close()
		d.kms.CreateKey(kmstest.Alias("alias/next"))
		report, err := d.operator(colsealkms.New(d.kms.Client(d.t), "alias/next")).Rewrap(context.Background(), keyring.RewrapOptions{})
		if err == nil || len(report.Failed) == 0 {
			d.t.Fatal("keys were taken from a KEK that nobody named")
		}
		return slices.MinFunc(slices.Collect(maps.Values(report.Failed)), func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	}, keyring.ErrForeignKEK, "keyring.ErrForeignKEK", "A rewrap takes keys from the current KEK, from those that are trusted, and from those that are named. Whoever may insert into the keyring could have put a key there that they know.",
		"If the KEK was yours, name it: `colseal keys rewrap --from ARN`. If not, revoke the key."},
}

// scopeWithin seals in a scope without keys, in a transaction that began without the scope, as a role with one connection.
func (d *desk) scopeWithin(role string) error {
	d.t.Helper()
	dsn, err := pgx.ParseConfig(d.pg.DSN())
	if err != nil {
		d.t.Fatal(err)
	}
	dsn.User, dsn.Password = role, "once"
	cn, err := driver.NewConnector(stdlib.GetConnector(*dsn), d.config())
	if err != nil {
		d.t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithTimeout(keyring.WithScope(context.Background(), "tenant:42"), 30*time.Second)
	defer cancel()
	_, err = tx.ExecContext(ctx, "UPDATE users SET ssn = $1 WHERE id = 1", "078-05-1120")
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		d.t.Error("the statement waited for its context")
	}
	return err
}
