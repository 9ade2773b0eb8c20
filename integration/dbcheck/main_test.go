package dbcheck

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var sealedSchema = schema.Must(
	schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"},
		schema.Column{Name: "Born On", Kind: schema.KindTime}),
	schema.Columns("found", schema.Column{Name: "Full Name", Terms: codec.Terms{Fold: true, Prefix: codec.Lengths{Min: 3, Max: 5}}}),
	schema.Columns("app.leads",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "phone", Mode: schema.ModeDeterministic, ID: "contacts.phone"},
		schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "150"}),
	schema.View("user_mails", "users"))

const tables = `CREATE SCHEMA app;
CREATE TABLE users (id bigint PRIMARY KEY, email bytea UNIQUE, ssn varchar, "Born On" bytea, note text DEFAULT 'n');
CREATE TABLE app.leads (id bigint PRIMARY KEY, email bytea, phone text, age bytea);
CREATE TABLE found (id bigint PRIMARY KEY, "Full Name" bytea);
CREATE INDEX ON app.leads USING hash (phone) WHERE phone IS NOT NULL;
CREATE VIEW user_mails AS SELECT id, email, ssn, "Born On" FROM users;
CREATE VIEW notes AS SELECT id, note FROM users;`

func asText(c *schema.Column) bool { return c.Name == "ssn" || c.Name == "phone" }

// statements is the DDL for the schema.
func statements(t *testing.T, o ddl.Options) string {
	t.Helper()
	o.Text = asText
	s, err := ddl.Write(sealedSchema, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, db *sql.DB, statements string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%v in %s", err, statements)
	}
}

// open opens a database through Colseal.
func open(t *testing.T, db *pgtest.DB, change ...func(*driver.Config)) *sql.DB {
	t.Helper()
	wrapper, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := driver.Config{Schema: sealedSchema, KMS: wrapper}
	for _, f := range change {
		f(&cfg)
	}
	pg, err := pgx.ParseConfig(db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), cfg)
	if err != nil {
		t.Fatal(err)
	}
	sealed := sql.OpenDB(cn)
	t.Cleanup(func() { _ = sealed.Close() })
	return sealed
}
