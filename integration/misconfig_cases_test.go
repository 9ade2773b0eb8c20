package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	colsealkms "github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// trouble is one thing that goes wrong, and an entry of one of the pages docs/trouble-*.md.
type trouble struct {
	title  string
	make   func(d *desk) error // does it, and returns what the program sees
	is     error               // what errors.Is finds in it; nil: the server's or the KMS's own error
	name   string              // how a program writes is
	why    string
	remedy string
}

// desk is what a newcomer has: a database with a table, a KMS with a key, and a program.
type desk struct {
	t   *testing.T
	pg  *pgtest.DB
	kms *kmstest.Server
}

func newDesk(t *testing.T, pg *pgtest.DB) *desk {
	t.Helper()
	mustExec(t, pg.Admin, `DROP SCHEMA public CASCADE; CREATE SCHEMA public;
		CREATE TABLE users (id bigint PRIMARY KEY, email bytea, ssn bytea, born bytea)`)
	return &desk{t: t, pg: pg, kms: newKMS(t)}
}

func (d *desk) config() driver.Config {
	return driver.Config{Schema: schema.Must(schema.Model("users", user{})), AutoCreateKeyTable: true,
		KMS: colsealkms.New(d.kms.Client(d.t), alias)}
}

// open is the program, with what is wrong in its configuration.
func (d *desk) open(change ...func(*driver.Config)) *sql.DB {
	d.t.Helper()
	cfg := d.config()
	for _, f := range change {
		f(&cfg)
	}
	return openSealed(d.t, d.pg.DSN(), pgx.QueryExecModeCacheStatement, cfg)
}

// admin runs statements around Colseal.
func (d *desk) admin(statements string) { d.t.Helper(); mustExec(d.t, d.pg.Admin, statements) }

// write writes a user, for a start.
func (d *desk) write(db *sql.DB) *sql.DB {
	d.t.Helper()
	if err := insertUser(db); err != nil {
		d.t.Fatal(err)
	}
	return db
}

func insertUser(db *sql.DB) error {
	_, err := db.Exec("INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3)", 1, "erika@example.org", "078-05-1120")
	return err
}

// insertWith writes a user over connections with a setting.
func (d *desk) insertWith(setting, value string) error { return d.with(setting, value, insertUser) }

// with does something over connections with a setting.
func (d *desk) with(setting, value string, do func(*sql.DB) error) error {
	d.t.Helper()
	pg, err := pgx.ParseConfig(d.pg.DSN())
	if err != nil {
		d.t.Fatal(err)
	}
	pg.RuntimeParams[setting] = value
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), d.config())
	if err != nil {
		d.t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	defer func() { _ = db.Close() }()
	return do(db)
}

func readUser(db *sql.DB) error {
	var u user
	return db.QueryRow("SELECT email, ssn FROM users WHERE id = 1").Scan(&u.Email, &u.SSN)
}

func run(db *sql.DB, query string, args ...any) error {
	_, err := db.Exec(query, args...)
	return err
}

// section is a page of troubles.
type section struct {
	page     string // docs/trouble-PAGE.md
	title    string
	troubles []trouble
}

var sections = []section{
	{"starting", "Starting", startTroubles},
	{"schema", "The schema and the database", slices.Concat(schemaTroubles, databaseTroubles)},
	{"kms", "KMS", kmsTroubles},
	{"keyring", "The keyring", keyringTroubles},
	{"reading", "Reading", readTroubles},
	{"write-only", "Write-only programs", writeOnlyTroubles},
	{"refused", "Statements refused for what they do with a sealed column", slices.Concat(refusedTroubles, valueTroubles)},
	{"refused-form", "Statements refused for their form, their scope, or what they stand in", formTroubles},
}

var startTroubles = []trouble{
	{"A part of the configuration is missing", func(d *desk) error {
		_, err := driver.NewConnector(stdlib.GetConnector(pgx.ConnConfig{}), driver.Config{})
		return err
	}, nil, "", "`driver.Config` needs a schema and a KMS; it does not do without in silence, for then nothing would be sealed. " +
		"`sql.Open` reports it, or `NewConnector`.", "Set both fields. For development, `localkms` keeps the key in a file: `localkms:///PATH`."},
	{"The driver's name is taken", func(d *desk) (err error) {
		defer func() { err = fmt.Errorf("panic: %v", recover()) }()
		cfg := d.config()
		cfg.Driver = stdlib.GetDefaultDriver()
		driver.Register("pgx", cfg)
		return nil
	}, nil, "", "`database/sql` knows each driver by one name, and panics when a name is registered twice. pgx takes `pgx` itself.",
		"Register Colseal under a name of your own, such as `pgx-colseal`, once per program, and open that one. Two schemas need two names, " +
			"or `driver.NewConnector` and `sql.OpenDB`, which need none."},
	{"There is no key table", func(d *desk) error {
		return insertUser(d.open(func(c *driver.Config) { c.AutoCreateKeyTable = false }))
	}, driver.ErrNoKeyTable, "driver.ErrNoKeyTable", "The wrapped data keys stand in a table beside your data, so that they are backed up with it. Colseal makes it only when it is told to.",
		"If the data was restored from a backup, restore the key table from the same one. For new data, put the statement that `(*keyring.TableError).DDL` returns, or `colseal ddl` prints, into your migrations, or set `Config.AutoCreateKeyTable`, or run [`colseal keys init`](cli-keys.md). If the table exists, check that " +
			"the connection's database and `search_path` are those that you think of, and that `Config.KeyTable` names it."},
	{"The key table is missing, and the data is there", func(d *desk) error {
		d.write(d.open())
		d.admin("ALTER TABLE colseal_keys RENAME TO elsewhere") // a restore without it
		return readUser(d.open())
	}, driver.ErrNoKeyTable, "driver.ErrNoKeyTable", "The sealed columns hold cells, and the table with their keys is not there: it was not restored with the data, was dropped, or was renamed. " +
		"`AutoCreateKeyTable` does not make a new one then. New keys would open none of the cells, and searches would find nothing.",
		"Restore the key table from the backup that the data is from. If the cells are to be given up, make a new keyring with [`colseal keys init`](cli-keys.md)."},
	{"The key table is empty, and the data is there", func(d *desk) error {
		_ = d.write(d.open()).Close()
		d.admin("TRUNCATE colseal_keys")
		return readUser(d.open())
	}, driver.ErrNoKeyTable, "driver.ErrNoKeyTable", "Somebody emptied the key table, or a dump was restored without its rows. A program that starts makes no new keys over cells that are there. " +
		"One that was running holds keys: it stores them again as soon as it looks at the keyring, which it does within `keycache.Config.MaxAge`, and logs `colseal.key.recovered`.",
		"Let programs that run go on, and wait until they have stored their keys. Then [import](cli-keys.md) the rest from a backup. If the cells are to be given up, run `colseal keys init`."},
	{"The key table is empty, and the data may not be read", func(d *desk) error {
		_ = d.write(d.open()).Close()
		role := d.pg.Name
		d.admin(fmt.Sprintf("TRUNCATE colseal_keys; CREATE ROLE %[1]s; GRANT INSERT ON users TO %[1]s; GRANT ALL ON colseal_keys TO %[1]s; GRANT USAGE ON SCHEMA public TO %[1]s", role))
		defer d.admin(fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role))
		return d.insertWith("role", role)
	}, driver.ErrNoKeyTable, "driver.ErrNoKeyTable", "The key table is empty or missing, and the program cannot tell whether the sealed columns hold cells of an earlier keyring: its role may not read them, a row-level policy hides some, a lock is in the way, or the search took 30 seconds.",
		"If the database is new, run `colseal keys init`: a keyring that was made on purpose is not questioned. Otherwise restore the key table from the backup that the data is from."},
	{"The key table may not be read", func(d *desk) error {
		d.write(d.open())
		role := d.pg.Name // of its own, for roles belong to the whole server
		d.admin(fmt.Sprintf("CREATE ROLE %[1]s; GRANT SELECT, INSERT ON users TO %[1]s; GRANT USAGE ON SCHEMA public TO %[1]s", role))
		defer d.admin(fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role))
		return d.insertWith("role", role)
	}, nil, "", "The program's database user needs the key table as much as your own tables.",
		"Give the program's user the [grants](keyring.md) that `colseal ddl` prints; an operator's needs more."},
	{"The key table is another table", func(d *desk) error {
		d.admin("CREATE TABLE colseal_keys (id bigint PRIMARY KEY, key bytea)")
		return insertUser(d.open())
	}, nil, "", "There is a table of this name, but it is not Colseal's.", "Name another in `Config.KeyTable`."},
	{"The KMS URL has a scheme that nobody knows", func(d *desk) error {
		_, err := kms.Open(context.Background(), "vault:///transit/app")
		return err
	}, nil, "", "`kms.Open` knows the schemes of the packages that the program imports, as `sql.Open` does with drivers.",
		`Import the implementation: ` + "`import _ \"github.com/colseal/colseal/kms/awskms\"`" + `. [Key services](key-services.md) lists those that Colseal has; any other KMS is a type with the methods of ` + "`kms.Wrapper`."},
	{"The KMS URL cannot be read", func(d *desk) error {
		_, err := kms.Open(context.Background(), "awskms://alias/app?region=eu-west-1")
		return err
	}, nil, "", "The key is the URL's path, so three slashes stand before it: what follows two is a host.",
		"Write `awskms:///alias/app?region=eu-west-1`."},
	{"The file of the development key can be read by others", func(d *desk) error {
		path := filepath.Join(d.t.TempDir(), "kek")
		if err := os.WriteFile(path, make([]byte, 32), 0o600); err != nil {
			d.t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			d.t.Fatal(err)
		}
		_, err := kms.Open(context.Background(), "localkms://"+path)
		return err
	}, nil, "", "The file is the key to everything.", "`chmod 600` it, and consider whether somebody has read it already. In production use a KMS."},
}

var schemaTroubles = []trouble{
	{"A mistake in a tag", func(d *desk) error {
		type User struct {
			Email string `db:"email" seal:"determinstic"`
			Phone string `db:"phone" seal:"random,jion=phones"`
			SSN   string `db:"ssn" Seal:"random"`
		}
		_, err := schema.New(schema.Model("users", User{}))
		return err
	}, nil, "", "The tags are read once, and every mistake in them is an error: a column that you meant to seal is never left in plaintext.",
		"Correct each field that is named. The grammar is `seal:\"MODE[,name=COLUMN][,id=IDENTITY][,join=GROUP][,kind=KIND][,min=V][,max=V][,step=V][,cursor][,equal][,fold][,prefix=[MIN-]MAX][,suffix=[MIN-]MAX][,elements][,inbox][,stage=STAGE][,stored=COLUMN]\"`."},
	{"A field of a type that cannot be sealed as it is", func(d *desk) error {
		type Money struct{ Cents int64 }
		type Account struct {
			Balance Money `db:"balance" seal:"random"`
		}
		_, err := schema.New(schema.Model("accounts", Account{}))
		return err
	}, nil, "", "Colseal must know how to encode the values of a field.",
		"Say it with `kind=`. A struct needs `driver.Valuer` and `sql.Scanner` too, as it would with any driver."},
	{"A table that the database does not have", func(d *desk) error {
		d.admin("DROP TABLE users")
		return insertUser(d.open())
	}, driver.ErrRefused, "driver.ErrRefused", "The schema names a table that the connection does not see.",
		"Check the name in `schema.Model`, whether the migrations ran, and the connection's database and `search_path`. A table outside the " +
			"search path is written `app.users`, in the statement as in the schema."},
	{"A column that the table does not have", func(d *desk) error {
		d.admin("ALTER TABLE users RENAME COLUMN ssn TO social")
		return insertUser(d.open())
	}, driver.ErrRefused, "driver.ErrRefused", "The schema, the statement and the table do not agree on the column's name. Statements that do not need the column work, so that a release may run before its migration; an INSERT without a column list needs all.",
		"Name the column as it is now, with `db:` or `name=`. If a column with cells was renamed, keep them readable with `id=` and the former name: " +
			"`seal:\"random,name=social,id=users.ssn\"`."},
	{"A sealed column of a type that holds no cells", func(d *desk) error {
		d.admin("ALTER TABLE users ALTER COLUMN ssn TYPE integer USING 0")
		return insertUser(d.open())
	}, driver.ErrRefused, "driver.ErrRefused", "A cell is some bytes, whatever the value was: it fits into no `integer`, `date` or `jsonb`.",
		"Make the column `bytea` (smaller and faster) or `text`. For a table with data see [migrating](migrating.md)."},
	{"A sealed column that is too short", func(d *desk) error {
		d.admin("ALTER TABLE users ALTER COLUMN ssn TYPE varchar(20)")
		return insertUser(d.open())
	}, nil, "", "A cell is 25 to 37 bytes longer than its value, and a third more on top in a column of text. The error is PostgreSQL's own.",
		"Make the column `bytea` or `text`, and check lengths in the program or with a `CHECK` on the length of the cell."},
	{"The functions that a search needs are missing", func(d *desk) error {
		return run(d.open(func(c *driver.Config) {
			c.Schema = schema.Must(schema.Columns("users", schema.Column{Name: "email", Terms: codec.Terms{Prefix: codec.Lengths{Min: 3, Max: 8}}}))
		}), "SELECT id FROM users WHERE email LIKE $1", "ana%")
	}, nil, "", "A search by `prefix=`, `suffix=`, `elements`, `equal` or `fold` calls functions in the schema `colseal`, and `colseal ddl` was not run on this database. The error is PostgreSQL's own: it may also say `function colseal.terms1(bytea) does not exist` or `permission denied for schema colseal`.",
		"Run what [`colseal ddl`](cli.md#ddl) prints, and `GRANT USAGE ON SCHEMA colseal` to the program's role. [`colseal audit`](cli-audit.md#audit) tells of all that is missing."},
	{"A value that is not of the column's kind", func(d *desk) error {
		return run(d.open(), "INSERT INTO users (id, born) VALUES ($1, $2)", 1, "yesterday")
	}, driver.ErrValue, "driver.ErrValue", "The database no longer checks the values of a sealed column, so Colseal does: `born` is a `time.Time` in the schema.",
		"Give a value of that kind, or declare another kind. The error never shows the value."},
}

var databaseTroubles = []trouble{
	{"The database is down", func(d *desk) error {
		db, err := openConfig("postgres://app:secret@127.0.0.1:1/app?sslmode=disable", pgx.QueryExecModeCacheStatement, d.config())
		if err != nil {
			d.t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		return insertUser(db)
	}, nil, "", "The error is the underlying driver's own, as it is without Colseal: what retries on it goes on working.", "What you do without Colseal."},
	{"standard_conforming_strings is off", func(d *desk) error {
		return d.with("standard_conforming_strings", "off", func(db *sql.DB) error {
			return run(db, "INSERT INTO users (id, email) VALUES (1, 'erika@example.org')")
		})
	}, driver.ErrRefused, "driver.ErrRefused", "With this setting of the last century, a backslash in a string has another meaning, so that where the string ends depends on the session. Colseal would have to guess, and does not. A statement without a backslash is sent: it means the same. Colseal itself writes one for a value of a sealed column that stands in the text.",
		"Remove the setting from the connection string, the role, the database or `postgresql.conf`. It has been `on` by default since PostgreSQL 9.1. Or give values as parameters."},
}

var kmsTroubles = []trouble{
	{"KMS denies the use of the key", func(d *desk) error {
		d.kms.Deny("", "GenerateDataKey")
		return insertUser(d.open())
	}, kms.ErrDenied, "kms.ErrDenied", "The program's AWS identity may not use the key.",
		"Allow `kms:GenerateDataKey` and `kms:Decrypt` (and `kms:ReEncrypt*` to whoever rotates), in the key's policy or the identity's; see [AWS](aws.md). " +
			"Programs that only read need `kms:Decrypt` alone."},
	{"The key is disabled, or is going to be deleted", func(d *desk) error {
		db := d.write(d.open())
		_ = db.Close()
		for _, e := range d.kms.Events() {
			d.kms.SetState(e.KeyID, kmstest.StateDisabled)
		}
		return readUser(d.open())
	}, kms.ErrDenied, "kms.ErrDenied", "Somebody disabled the key in KMS, or scheduled its deletion. A running program goes on for as long as its keys in memory may serve (`keycache.Config`), a new one cannot begin.",
		"Enable the key, or cancel its deletion. Once it is deleted, everything sealed under it is lost permanently."},
	{"The key does not exist", func(d *desk) error {
		return insertUser(d.open(func(c *driver.Config) { c.KMS = colsealkms.New(d.kms.Client(d.t), "alias/ap") }))
	}, kms.ErrKeyNotFound, "kms.ErrKeyNotFound", "There is no such key in this account and Region.",
		"Check the alias or key id, and the Region: an alias belongs to one Region of one account, and a key of another account is named by its ARN."},
	{"KMS cannot be reached", func(d *desk) error {
		nobody := func(o *awskms.Options) { o.BaseEndpoint = aws.String("http://127.0.0.1:1") }
		return insertUser(d.open(func(c *driver.Config) { c.KMS = colsealkms.New(d.kms.Client(d.t, nobody), alias) }))
	}, driver.ErrKeyUnavailable, "driver.ErrKeyUnavailable", "KMS did not answer, and no key that may still serve is in memory. While KMS is away, a running program goes on for `keycache.Config.MaxStale`.",
		"Check the endpoint, the Region, the network (a VPC endpoint, if there is no way to the internet) and AWS's status. Programs try again by themselves."},
	{"KMS does not answer", func(d *desk) error {
		d.kms.Break(kmstest.OutageUnanswered)
		return insertUser(d.open(func(c *driver.Config) {
			c.KMS = colsealkms.New(d.kms.Client(d.t), alias, colsealkms.WithTimeout(100*time.Millisecond))
		}))
	}, driver.ErrKeyUnavailable, "driver.ErrKeyUnavailable", "Something on the way swallows the requests: a firewall, or a network without a way to KMS.",
		"Check the security groups and the VPC endpoint of KMS. `awskms.WithTimeout` says how long to wait."},
	{"KMS throttles", func(d *desk) error {
		d.kms.Throttle(0)
		return insertUser(d.open())
	}, driver.ErrKeyUnavailable, "driver.ErrKeyUnavailable", "The account's quota of KMS requests in the Region is used up. Colseal asks once per key and `MaxAge`, so look for others too.",
		"Find who calls KMS that often; raise `keycache.Config.MaxAge` or the quota."},
	{"The keyring was wrapped by another key", func(d *desk) error {
		_ = d.write(d.open()).Close()
		d.kms = newKMS(d.t)
		return readUser(d.open())
	}, nil, "", "The data keys in this database were wrapped by a KMS key that this configuration does not have: a copy of the production database is opened " +
		"with the key of another environment, or somebody changed the alias's account.",
		"Configure the KMS key that the error names. To move a database to another key, rewrap its keyring while both can be used; see [keys](keys.md)."},
	{"A row of the key table was changed", func(d *desk) error {
		_ = d.write(d.open()).Close()
		d.admin("UPDATE colseal_keys SET wrapped = set_byte(wrapped, length(wrapped) - 1, get_byte(wrapped, length(wrapped) - 1) # 1)")
		return readUser(d.open())
	}, kms.ErrInvalidWrapped, "kms.ErrInvalidWrapped", "KMS does not recognise the wrapped key. Each is bound to its row (id, purpose, scope, table), so a row that was edited or copied does not unwrap either.",
		"Restore the key table from a backup."},
}

// toTextCells makes textual cells of those that ALTER TABLE made hexadecimal text.
const toTextCells = `UPDATE users SET ssn = 'cs1:' || rtrim(translate(encode(ssn::bytea, 'base64'), E'+/\n', '-_'), '=') WHERE ssn LIKE '\\x%'`

var readTroubles = []trouble{
	{"Plaintext in a sealed column", func(d *desk) error {
		d.admin("INSERT INTO users (id, ssn) VALUES (1, 'plaintext')")
		return readUser(d.open())
	}, driver.ErrNotSealed, "driver.ErrNotSealed", "The row was written before the column was sealed, or around Colseal: by another program, a migration, psql.",
		"Find such rows with `colseal audit`, read them over a connection without Colseal, and write their values again through Colseal. For a table that was never sealed see [migrating](migrating.md). A `CHECK` constraint keeps plaintext out for good."},
	{"A cell of another column", func(d *desk) error {
		d.write(d.open())
		d.admin("UPDATE users SET email = ssn")
		return readUser(d.open())
	}, driver.ErrColumnMismatch, "driver.ErrColumnMismatch", "A cell is bound to its table and column. This one was copied from another, or the table or column was renamed, or its tag got another `join=`, bounds or search options.",
		"After a rename keep the former identity: `seal:\"random,id=users.ssn\"` for a column, `schema.WithIdentityTable(\"users\")` for a table. [Options are changed](migrating.md#change-the-options-of-a-column-that-is-sealed) in steps. To copy values " +
			"between columns, read and write them in the program."},
	{"A cell that was altered", func(d *desk) error {
		d.write(d.open())
		d.admin("UPDATE users SET ssn = set_byte(ssn, 20, get_byte(ssn, 20) # 1)")
		return readUser(d.open())
	}, driver.ErrAuth, "driver.ErrAuth", "The cell is not what Colseal wrote: somebody, or a fault, changed it. Nothing of it is returned.",
		"Restore the value from a backup, and find out who wrote to the table."},
	{"A cell that was cut", func(d *desk) error {
		d.write(d.open())
		d.admin("UPDATE users SET ssn = substr(ssn, 1, 12)")
		return readUser(d.open())
	}, driver.ErrFormat, "driver.ErrFormat", "A part of the cell is missing. Older versions of Colseal say the same of the cells of newer ones.",
		"Restore the value from a backup; bring all programs to the newest version."},
	{"A column of cells that was made text", func(d *desk) error {
		_ = d.write(d.open()).Close()
		d.admin("ALTER TABLE users ALTER COLUMN ssn TYPE text")
		err := readUser(d.open())
		d.admin(toTextCells)
		if err := readUser(d.open()); err != nil {
			d.t.Error(err)
		}
		return err
	}, driver.ErrFormat, "driver.ErrFormat", "PostgreSQL made the cells the text of a `bytea`, which is not how a column of text holds cells. A CSV file that was copied into a column of text has the same effect.",
		"Make the column `bytea` again: `ALTER TABLE users ALTER COLUMN ssn TYPE bytea USING ssn::bytea`. If it is to stay `text`: `" + toTextCells + "`."},
	{"A column whose kind was changed", func(d *desk) error {
		_ = d.write(d.open()).Close()
		return readUser(d.open(func(c *driver.Config) {
			c.Schema = schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn", Kind: schema.KindInt}))
		}))
	}, driver.ErrKind, "driver.ErrKind", "The cell is genuine, and holds a value of the kind that was declared when it was sealed. A field's type was changed, or `kind=` in its tag.",
		"Declare the former kind again, or [convert the cells](values.md#changing-a-columns-kind)."},
	{"A cell whose key is not in the keyring", func(d *desk) error {
		_ = d.write(d.open()).Close()
		d.admin("DELETE FROM colseal_keys WHERE key_id <> 0")
		return readUser(d.open())
	}, driver.ErrKeyNotFound, "driver.ErrKeyNotFound", "The key table does not belong to the data: it was not restored together with it, or rows of it were deleted, or the cell comes from another database.",
		"Restore the key table from a backup. Never delete rows of it: without the key its cells cannot be read by anybody."},
}

var refusedTroubles = []trouble{
	{"LIKE on a sealed column", func(d *desk) error {
		return run(d.open(), "SELECT id FROM users WHERE email LIKE 'erika%'")
	}, driver.ErrRefused, "driver.ErrRefused", "The database does not know the values, so it cannot search in them. The statement was not sent.",
		"Tag the column with the [terms](search.md#terms-beginnings-ends-members-case) that the search needs, search for equality in a deterministic column, or filter in the program. [SQL](sql.md) lists what works."},
	{"Search in a randomized column", func(d *desk) error {
		return run(d.open(), "SELECT id FROM users WHERE ssn = $1", "078-05-1120")
	}, driver.ErrRefused, "driver.ErrRefused", "Randomized cells of equal values differ, which is what makes them strong.",
		"If the column must be searched, make it `deterministic`, re-seal its rows, and mind that equal values then show as equal."},
	{"Sorting by a sealed column", func(d *desk) error {
		return run(d.open(), "SELECT id FROM users ORDER BY email")
	}, driver.ErrRefused, "driver.ErrRefused", "The database would sort by ciphertext.", "Sort in the program, or by another column."},
	{"A function of a sealed column", func(d *desk) error {
		return run(d.open(), "SELECT upper(email) FROM users")
	}, driver.ErrRefused, "driver.ErrRefused", "The database would compute with ciphertext.", "Compute in the program."},
	{"A value that a function makes", func(d *desk) error {
		return run(d.open(), "UPDATE users SET email = lower($1) WHERE id = 1", "Erika@example.org")
	}, driver.ErrRefused, "driver.ErrRefused", "The value would come into being in the database, in plaintext.", "Make it in the program."},
	{"A view that cannot be read through", func(d *desk) error {
		d.admin("CREATE VIEW domains AS SELECT id, split_part(encode(email, 'escape'), '@', 2) AS domain FROM users")
		return run(d.open(), "SELECT domain FROM domains")
	}, driver.ErrRefused, "driver.ErrRefused", "The view computes with a sealed column, casts it, or compares it with a constant: the database would do that with ciphertext.",
		"Query the table, and compute in the program; or let the view select the column as it is. [Views](sql-views.md) that do need no registration."},
	{"A function that names a sealed table", func(d *desk) error {
		d.admin("CREATE FUNCTION user_count() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users'")
		return run(d.open(), "SELECT user_count()")
	}, driver.ErrRefused, "driver.ErrRefused", "What the function does with the table is not analysed: it may compare its arguments with cells, or store them in plaintext.",
		"Do it in the program. If the function leaves the sealed columns alone, say so: `schema.Functions(\"it counts rows\", \"user_count\")` in `schema.New`."},
	{"A named query of sqlx", func(d *desk) error {
		_, err := sqlx.NewDb(d.open(), "pgx-colseal").NamedExec("UPDATE users SET ssn = :ssn WHERE id = :id", user{ID: 1})
		return err
	}, driver.ErrRefused, "driver.ErrRefused", "sqlx goes by the driver's name, does not know yours, and writes `?` for `:ssn`. PostgreSQL has no such placeholders.",
		"`sqlx.NewDb(db, \"pgx\")` on the handle of `sql.Open`, or `sqlx.BindDriver(\"pgx-colseal\", sqlx.DOLLAR)` at the start."},
	{"A statement that cannot be parsed", func(d *desk) error {
		return run(d.open(), "SELEC email FROM users")
	}, driver.ErrRefused, "driver.ErrRefused", "What cannot be understood and names a sealed table is not sent. (Statements that name none are, and PostgreSQL answers.)", "Correct the statement. If PostgreSQL accepts it, please report it."},
}

// errorIs is errors.Is, and true when nothing is asked for.
func errorIs(err, target error) bool { return target == nil || errors.Is(err, target) }
