// Package cli_test runs the command colseal on real PostgreSQL servers, as a program of its own.
package cli_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The exit statuses.
const (
	statusOK     = 0
	statusFound  = 1
	statusFailed = 2
)

// program is the path of the command.
type program string

// build builds the command for one test.
func build(t *testing.T) program {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: builds the command")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "github.com/colseal/colseal/cmd/colseal").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program(filepath.Join(dir, "colseal"))
}

// run runs the command and returns what it printed.
func (p program) run(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), string(p), args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

const sample = "../../examples/sampleapp"

// The whole way of the sample application: its tables, the DDL that is printed, an audit without and with
// findings, an explanation from the catalog.
func TestOnServer(t *testing.T) {
	colseal := build(t)
	status, text, errs := colseal.run(t, "schema", "--models", sample+"/models")
	if status != statusOK {
		t.Fatal(errs)
	}
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		tables, err := os.ReadFile(sample + "/schema.sql")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Admin.Exec(string(tables)); err != nil {
			t.Fatal(err)
		}
		audit := func(want int, args ...string) string {
			t.Helper()
			status, out, errs := colseal.run(t, append([]string{"audit", "--schema", file, "--dsn", db.DSN()}, args...)...)
			if status != want {
				t.Fatalf("status %d: %s%s", status, out, errs)
			}
			return out
		}
		if out := audit(statusFound); !regexp.MustCompile(`danger +key-table +colseal_keys `).MatchString(out) || strings.Count(out, " no-check ") != 4 {
			t.Errorf("before the DDL: %s", out)
		}
		accepted := filepath.Join(t.TempDir(), "accepted")
		if err := os.WriteFile(accepted, []byte("key-table; colseal_keys; 2999-12-31; made by the next migration\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := audit(statusFound, "--accept", accepted, "--json"); !strings.Contains(out, `"open": 4,`) || !strings.Contains(out, `"reason": "made by the next migration"`) {
			t.Errorf("before the DDL, with an accepted finding: %s", out)
		}
		_, statements, _ := colseal.run(t, "ddl", "--schema", file)
		if _, err := db.Admin.Exec(statements); err != nil {
			t.Fatal(err)
		}
		if out := audit(statusOK); out != "no findings\n" {
			t.Errorf("after the DDL: %s", out)
		}
		doctor := func(args ...string) (int, string) {
			status, out, errs := colseal.run(t, append([]string{"doctor", "--schema", file, "--dsn", db.DSN()}, args...)...)
			return status, out + errs
		}
		if status, out := doctor(); status != statusFound || !strings.Contains(out, "warning  unreadable  (key service)  it was not asked\n                                    hint: name the programs' key service") {
			t.Errorf("doctor without a key service: %d, %s", status, out)
		}
		if status, out := doctor("--kms", "localkms://"+filepath.Join(t.TempDir(), "none")); status != statusFailed || !strings.Contains(out, "is not there") {
			t.Errorf("doctor makes a key encryption key: %d, %s", status, out)
		}
		key := filepath.Join(t.TempDir(), "kek")
		if status, _, errs := colseal.run(t, "keys", "init", "--warm", "--dsn", db.DSN(), "--kms", "localkms://"+key); status != statusOK {
			t.Fatal(errs)
		}
		if status, out := doctor("--kms", "localkms://"+key); status != statusOK || out != "no findings\n" {
			t.Errorf("doctor of a healthy system: %d, %s", status, out)
		}
		if status, out := doctor("--kms", "localkms://"+key, "--max-skew", "1ns", "--json"); status != statusFound || !strings.Contains(out, `"rule": "clock"`) {
			t.Errorf("doctor of clocks that are apart: %d, %s", status, out)
		}
		status, out, errs := colseal.run(t, "explain", "--schema", file, "--dsn", db.DSN(), "SELECT * FROM customers")
		if status != statusOK || !strings.Contains(out, "2 email") || strings.Contains(out, "note:") {
			t.Errorf("explain: %d %s%s", status, out, errs)
		}
	})
}

// The life of a key on PostgreSQL, as operators see it.
func TestKeysOnServer(t *testing.T) {
	colseal := build(t)
	file := filepath.Join(t.TempDir(), "schema.json")
	customers := schema.Must(schema.Columns("customers",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "email"}, schema.Column{Name: "ssn"}, schema.Column{Name: "born", Kind: schema.KindTime}))
	text, err := customers.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		server := kmstest.Start(t)
		first := server.CreateKey(kmstest.Alias("alias/app"))
		url := func(key string) string {
			return "awskms:///" + key + "?region=" + kmstest.DefaultRegion + "&endpoint=" + server.URL()
		}
		t.Setenv("DATABASE_URL", pg.DSN())
		t.Setenv("COLSEAL_KMS", url("alias/app"))
		if _, err := pg.Admin.Exec("CREATE TABLE customers (id bigserial PRIMARY KEY, email bytea UNIQUE, ssn bytea, born bytea)"); err != nil {
			t.Fatal(err)
		}
		step := func(want string, command string) string {
			t.Helper()
			status, out, errs := colseal.run(t, append([]string{"keys"}, strings.Fields(command)...)...)
			if status == statusFailed || !strings.Contains(out, want) {
				t.Fatalf("%s: status %d\n%s%s", command, status, out, errs)
			}
			return out
		}
		schemaFlag := " --schema " + file
		step("CREATE TABLE", "init --dry-run")
		step("created the keyring table", "init --warm")
		fill(t, pg, url("alias/app"), customers)
		old := strings.Fields(step("active", "list --purpose search"))[7]
		step("seals from", "rotate --purpose search")
		if _, err := pg.Admin.Exec("UPDATE colseal_keys SET created_at = created_at - interval '3h', seals_from = seals_from - interval '3h'"); err != nil {
			t.Fatal(err)
		}
		step("searched", "list")
		step("re-sealed 300 cells; 0 left", "reseal --rate 5000"+schemaFlag)
		step("retired search key "+old, "retire "+old+" --yes="+old+schemaFlag)
		step("made the first", "init --warm --scope tenant:1")
		step("destroyed 2", "destroy tenant:1 --why test --yes=tenant:1")
		server.CreateKey(kmstest.Alias("alias/next"))
		t.Setenv("COLSEAL_KMS", url("alias/next"))
		step("rewrapped 0 of 3 keys", "rewrap") // the former KEK may be anybody's
		step("rewrapped 3 of 3 keys", "rewrap --from "+first)
		step("KMS answers", "status")
	})
}

// fill seals 300 customers in a program.
func fill(t *testing.T, pg *pgtest.DB, url string, customers *schema.Schema) {
	t.Helper()
	key, err := kms.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := stdlib.GetDefaultDriver().(*stdlib.Driver).OpenConnector(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := driver.NewConnector(inner, driver.Config{Schema: customers, KMS: key})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(sealed)
	defer db.Close()
	for n := range 300 {
		if _, err := db.Exec("INSERT INTO customers (email) VALUES ($1)", fmt.Sprint("u", n)); err != nil {
			t.Fatal(err)
		}
	}
}

// The way of a column into sealing and out of it, as operators go it.
func TestSealOnServer(t *testing.T) {
	colseal := build(t)
	file := filepath.Join(t.TempDir(), "schema.json")
	text, err := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageCopy})).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COLSEAL_KMS", "localkms://"+filepath.Join(t.TempDir(), "kek"))
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		t.Setenv("DATABASE_URL", pg.DSN())
		if _, err := pg.Admin.Exec("CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE); INSERT INTO users (email) SELECT 'u' || n FROM generate_series(1, 300) n"); err != nil {
			t.Fatal(err)
		}
		step := func(status int, want string, command ...string) {
			t.Helper()
			args := append(command, "--schema", file)
			if command[0] == "keys" {
				args = command
			}
			got, out, errs := colseal.run(t, args...)
			if got != status || !strings.Contains(out+errs, want) {
				t.Fatalf("%s: status %d, want %d and %q\n%s%s", command, got, status, want, out, errs)
			}
		}
		step(statusOK, "created", "keys", "init", "--warm")
		step(statusOK, "nothing was changed; it would be ready for copy", "seal", "--dry-run")
		step(statusOK, "plain", "status")
		step(statusFailed, "see --help", "seal", "--for", "every")
		step(statusFound, "take the steps one by one", "seal", "--for", "only")
		step(statusFailed, "drop", "seal", "--drop")
		step(statusOK, "sealed 300, opened 0, cleared 0; ready for copy", "seal", "users.email", "--max-batch", "0")
		step(statusOK, "ready for copy and sealed", "seal", "--for", "sealed")
		step(statusOK, "ready for sealed and only", "seal", "--for", "only")
		step(statusOK, "cleared 300; ready for only", "seal", "--finish")
		step(statusOK, "rewrite it", "seal", "--finish", "--rewrite")
		step(statusOK, "behind the other columns", "seal", "--finish", "--drop")
		step(statusOK, "email_sealed  only", "status")
		step(statusOK, "ready for sealed and only", "unseal")
		step(statusOK, `"opened": 300`, "unseal", "--for", "copy", "--json")
		step(statusOK, "ready for copy", "unseal", "--for", "plain")
		step(statusOK, "ready for plain", "unseal", "--finish")
	})
}
