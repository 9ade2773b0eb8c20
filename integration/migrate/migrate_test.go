// Package migrate holds that migration tools work on a sealed *sql.DB: golang-migrate, goose,
// GORM's AutoMigrate and bun's AutoMigrator. What they would destroy is refused.
package migrate

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	bunmigrate "github.com/uptrace/bun/migrate"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

//go:embed testdata/files
var testdata embed.FS

// canary is in every value of a sealed column.
const canary = "zqcanary"

var customers = schema.Must(schema.Columns("customers",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}))

func open(t *testing.T, pg *pgtest.DB, s *schema.Schema) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	kek, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	connector, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: s, KMS: kek, AutoCreateKeyTable: true})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// one returns the single value of a query, as text.
func one(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var v any
	if err := db.QueryRow(query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

// wantRefused holds that a statement was refused in a class.
func wantRefused(t *testing.T, err error, class string) {
	t.Helper()
	var refusal *driver.QueryError
	if !errors.As(err, &refusal) || string(refusal.Class) != class {
		t.Errorf("err = %v, want a refusal of class %s", err, class)
	}
}

// files returns the migrations, and one that is added.
func files(t *testing.T, more map[string]string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	const dir = "testdata/files"
	entries, err := testdata.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := testdata.ReadFile(dir + "/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = &fstest.MapFile{Data: text}
	}
	for name, text := range more {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

// checks is what colseal ddl prints of the columns.
func checks() string {
	var b strings.Builder
	for _, t := range customers.Tables() {
		for _, c := range t.Columns() {
			b.WriteString(ddl.AddCheck(t, c, false, false))
		}
	}
	return b.String()
}

// Bad migrations, each with what the refusal is about.
var bad = []struct{ name, sql, class string }{
	{"type", "ALTER TABLE customers ALTER email TYPE text USING email::text", "operation"},
	{"check", "ALTER TABLE customers ADD CHECK (email <> '" + canary + "-x')", "plaintext"},
	{"keyring", `ALTER TABLE orders ADD COLUMN x int; DROP TABLE "public"."colseal_keys"`, "keyring"},
	{"schema", "CREATE TABLE y (id int); DROP SCHEMA public CASCADE", "name"},
	{"literal", "UPDATE customers SET note = '" + canary + "' || lower(email)", "operation"},
}

func TestGolangMigrate(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		db := open(t, pg, customers)
		run := func(more map[string]string) *migrate.Migrate {
			source, err := iofs.New(files(t, more), ".")
			if err != nil {
				t.Fatal(err)
			}
			target, err := migratepgx.WithInstance(db, &migratepgx.Config{})
			if err != nil {
				t.Fatal(err)
			}
			m, err := migrate.NewWithInstance("iofs", source, "pgx", target)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		m := run(map[string]string{"003_checks.up.sql": checks()})
		must(m.Steps(1))
		exec(t, db, "INSERT INTO customers(email, ssn, note) VALUES ($1, $2, 'n'), ($3, NULL, 'm'), ($4, NULL, 'o')", canary+"-a", canary+"-s", canary+"-b", canary+"-c")
		must(m.Up())
		if got := one(t, db, "SELECT string_agg(plan::text, ' ' ORDER BY id) FROM customers"); got != "paid paid free" {
			t.Errorf("plans are %q, want paid paid free", got)
		}
		if got := one(t, db, "SELECT ssn FROM customers WHERE email = $1", canary+"-c"); got != canary+"-unknown" {
			t.Errorf("ssn = %q, want %s-unknown", got, canary)
		}
		if _, err := pg.Admin.Exec("UPDATE customers SET email = 'plaintext'"); err == nil {
			t.Error("the CHECK takes plaintext")
		}
		for _, b := range bad {
			err := run(map[string]string{"003_checks.up.sql": checks(), "004_bad.up.sql": b.sql}).Steps(1)
			if failed := (database.Error{}); errors.As(err, &failed) {
				err = failed.OrigErr // which it does not unwrap
			}
			wantRefused(t, err, b.class)
			must(run(map[string]string{"003_checks.up.sql": checks()}).Force(3)) // as its documentation says
		}
		exec(t, db, "ALTER TABLE customers DROP CONSTRAINT colseal_email_check, DROP CONSTRAINT colseal_ssn_check")
		must(run(nil).Force(2))
		must(run(nil).Down())
		if got := one(t, pg.Admin, "SELECT to_regclass('customers') IS NULL AND to_regclass('colseal_keys') IS NOT NULL"); got != "true" {
			t.Error("after Down, customers is there, or the keyring is not")
		}
		wiretap.Check(t, pg.Admin, wiretap.Text("canary", canary))
	}, pgtest.Logged())
}

// gooseFile makes a migration of goose of an up and a down file. Each is one text: the
// functions have semicolons of their own.
func gooseFile(t *testing.T, fsys fs.FS, name string) string {
	t.Helper()
	up, err := fs.ReadFile(fsys, name+".up.sql")
	if err != nil {
		t.Fatal(err)
	}
	down, err := fs.ReadFile(fsys, name+".down.sql")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "\n-- +goose StatementBegin\n", "\n-- +goose StatementEnd\n"
	return "-- +goose Up" + begin + string(up) + end + "-- +goose Down" + begin + string(down) + end
}

func TestGoose(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		db := open(t, pg, customers)
		all := files(t, nil)
		migrations := fstest.MapFS{}
		add := func(name, text string) { migrations[name] = &fstest.MapFile{Data: []byte(text)} }
		run := func() *goose.Provider {
			p, err := goose.NewProvider(goose.DialectPostgres, db, migrations)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		add("001_init.sql", gooseFile(t, all, "001_init"))
		if _, err := run().Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "INSERT INTO customers(email, ssn, note) VALUES ($1, $2, 'n'), ($3, NULL, 'm')", canary+"-a", canary+"-s", canary+"-c")
		add("002_plan.sql", gooseFile(t, all, "002_plan"))
		add("003_checks.sql", "-- +goose Up\n"+checks()+"-- +goose Down\nALTER TABLE customers DROP CONSTRAINT colseal_email_check, DROP CONSTRAINT colseal_ssn_check;\n")
		if _, err := run().Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := one(t, db, "SELECT ssn FROM customers WHERE email = $1 AND plan = 'free'", canary+"-c"); got != canary+"-unknown" {
			t.Errorf("ssn = %q, want %s-unknown", got, canary)
		}
		for i, b := range bad {
			name := fmt.Sprintf("1%02d_%s.sql", i, b.name)
			add(name, "-- +goose Up\n"+b.sql+";\n")
			_, err := run().Up(t.Context())
			wantRefused(t, err, b.class)
			delete(migrations, name)
		}
		if got := one(t, pg.Admin, "SELECT to_regclass('y') IS NULL"); got != "true" {
			t.Error("a migration that was refused left a table behind")
		}
		if _, err := run().DownTo(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		wiretap.Check(t, pg.Admin, wiretap.Text("canary", canary))
	}, pgtest.Logged())
}

// Models as an application has them: with the type that holds cells, and without.
type sealedCustomer struct {
	bun.BaseModel `bun:"table:customers" gorm:"-"`
	ID            int64  `gorm:"primaryKey;autoIncrement:false" bun:"id,pk"`
	Email         string `gorm:"type:bytea;uniqueIndex" bun:"email,type:bytea,unique" seal:"deterministic"`
	SSN           string `gorm:"column:ssn;type:bytea;not null" bun:"ssn,type:bytea,notnull" seal:"random"`
	Note          string `gorm:"check:note <> 'x';index:,where:note = 'new'" bun:"note"`
}

func (sealedCustomer) TableName() string { return "customers" }

type plainCustomer struct {
	bun.BaseModel `bun:"table:customers" gorm:"-"`
	ID            int64  `gorm:"primaryKey;autoIncrement:false" bun:"id,pk"`
	Email         string `gorm:"uniqueIndex" bun:"email,unique" seal:"deterministic"`
	SSN           string `gorm:"column:ssn;not null" bun:"ssn,notnull" seal:"random"`
	Note          string `bun:"note"`
	Level         int    `bun:"level"`
}

func (plainCustomer) TableName() string { return "customers" }

type checkedCustomer struct {
	ID    int64  `gorm:"primaryKey;autoIncrement:false"`
	Email string `gorm:"type:bytea;check:email <> 'zqcanary-x'"`
}

func (checkedCustomer) TableName() string { return "customers" }

func openGORM(t *testing.T, db *sql.DB) *gorm.DB {
	t.Helper()
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// columnType is a column's type on the server.
func columnType(t *testing.T, pg *pgtest.DB, column string) string {
	t.Helper()
	return one(t, pg.Admin, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attname = $1", column)
}

func TestGORM(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		db := open(t, pg, customers)
		g := openGORM(t, db)
		for range 3 { // the first makes the table, the others find nothing to do
			if err := g.AutoMigrate(&sealedCustomer{}); err != nil {
				t.Fatal(err)
			}
			if got := columnType(t, pg, "email"); got != "bytea" {
				t.Fatalf("email is %s, want bytea", got)
			}
		}
		want := sealedCustomer{ID: 1, Email: canary + "-a", SSN: canary + "-s", Note: "new"}
		if err := g.Create(&want).Error; err != nil {
			t.Fatal(err)
		}

		// Without the type, GORM would make text of the cells by ALTER … TYPE text USING email::text.
		wantRefused(t, g.AutoMigrate(&plainCustomer{}), "operation")
		wantRefused(t, g.AutoMigrate(&checkedCustomer{}), "plaintext")
		wantRefused(t, g.Migrator().DropTable("colseal_keys"), "keyring")
		wantRefused(t, g.Migrator().RenameColumn(&sealedCustomer{}, "email", "mail"), "plaintext")
		var got sealedCustomer
		if err := g.Where("email = ?", want.Email).First(&got).Error; err != nil || got != want {
			t.Errorf("after refused migrations: %+v, %v, want %+v", got, err, want)
		}

		// A table that GORM makes without the type stores cells as text.
		exec(t, db, "DROP TABLE customers")
		for range 2 {
			if err := g.AutoMigrate(&plainCustomer{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := columnType(t, pg, "email"); got != "text" {
			t.Errorf("email is %s, want text", got)
		}
		if err := g.Create(&plainCustomer{ID: 1, Email: want.Email, SSN: want.SSN}).Error; err != nil {
			t.Fatal(err)
		}
		if got := one(t, pg.Admin, "SELECT left(email, 4) FROM customers"); got != "cs1:" {
			t.Errorf("what is stored begins with %q, want cs1:", got)
		}
		wiretap.Check(t, pg.Admin, wiretap.Text("canary", canary))
	}, pgtest.Logged())
}

func TestBun(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		db := open(t, pg, customers)
		b := bun.NewDB(db, pgdialect.New())
		run := func(opts ...bunmigrate.AutoMigratorOption) error {
			opts = append(opts, bunmigrate.WithMigrationsDirectoryAuto(t.TempDir()))
			m, err := bunmigrate.NewAutoMigrator(b, opts...)
			if err != nil {
				t.Fatal(err)
			}
			if err := bunmigrate.NewMigrator(b, bunmigrate.NewMigrations()).Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			exec(t, db, "DELETE FROM bun_migrations") // they are named by the second, and two may be made in one
			_, err = m.Migrate(t.Context())
			return err
		}
		exec(t, db, "CREATE TABLE customers (id bigint PRIMARY KEY, email bytea UNIQUE, ssn bytea NOT NULL)")
		want := sealedCustomer{ID: 1, Email: canary + "-a", SSN: canary + "-s"}
		if _, err := b.NewInsert().Model(&want).Column("id", "email", "ssn").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}

		// bun drops the tables that have no model, the keyring among them.
		wantRefused(t, run(bunmigrate.WithModel((*sealedCustomer)(nil))), "keyring")
		for range 2 {
			if err := run(bunmigrate.WithModel((*sealedCustomer)(nil)), bunmigrate.WithExcludeTable("colseal_keys")); err != nil {
				t.Fatal(err)
			}
		}
		if got := columnType(t, pg, "note"); got != "character varying" {
			t.Errorf("note is %s, want character varying", got)
		}
		wantRefused(t, run(bunmigrate.WithModel((*plainCustomer)(nil)), bunmigrate.WithExcludeTable("colseal_keys")), "operation")
		var got sealedCustomer
		if err := b.NewSelect().Model(&got).Column("id", "email", "ssn").Where("email = ?", want.Email).Scan(t.Context()); err != nil || got != want {
			t.Errorf("after refused migrations: %+v, %v, want %+v", got, err, want)
		}
		wiretap.Check(t, pg.Admin, wiretap.Text("canary", canary))
	}, pgtest.Logged())
}
