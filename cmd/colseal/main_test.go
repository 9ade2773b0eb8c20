package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colseal/colseal/schema"
)

const sample = "../../examples/sampleapp"

// colseal runs the command and returns what it printed.
func colseal(t *testing.T, stdin string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(stdin), &o, &e)
	return status, o.String(), e.String()
}

// sampleSchema writes the sample application's schema to a file.
func sampleSchema(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: compiles packages")
	}
	status, out, errs := colseal(t, "", "schema", "--models", sample+"/models")
	if status != statusOK {
		t.Fatal(errs)
	}
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOffline(t *testing.T) {
	file := sampleSchema(t)
	for _, c := range []struct {
		name   string
		stdin  string
		args   []string
		status int
		want   []string
	}{
		{"version", "", []string{"--version"}, statusOK, []string{"colseal version "}},
		{"schema", "", []string{"schema", "--schema", file}, statusOK, []string{`"name": "customers"`, `"identity": "join:email"`}},
		{"schema of a program", "", []string{"schema", "--models", sample + "/..."}, statusOK, []string{`"name": "subscribers"`}},
		{"ddl", "", []string{"ddl", "--schema", file, "--key-table", "app.keys"}, statusOK, []string{`CREATE TABLE IF NOT EXISTS "app"."keys"`, `"colseal_ssn_check"`, "'bytea'::regtype"}},
		{"ddl text", "", []string{"ddl", "--schema", file, "--text", "customers.ssn", "--not-valid"}, statusOK, []string{"'^cs1:", "NOT VALID", "-- ALTER TABLE \"customers\" VALIDATE CONSTRAINT \"colseal_email_check\", VALIDATE CONSTRAINT \"colseal_ssn_check\", VALIDATE CONSTRAINT \"colseal_born_check\";"}},
		{"ddl sqlite", "", []string{"ddl", "--schema", file, "--dialect", "sqlite"}, statusOK, []string{"CREATE TRIGGER"}},
		{"explain", "", []string{"explain", "--schema", file, "SELECT ssn FROM customers WHERE email = $1"}, statusOK, []string{"WORKS", "sealed for customers.email"}},
		{"explain refused", "SELECT id FROM customers WHERE ssn = $1", []string{"explain", "--schema", file, "-"}, statusFound, []string{"REFUSED", "^", "hint"}},
		{"explain sqlite", "", []string{"explain", "--schema", file, "--dialect", "sqlite", "SELECT ssn FROM customers WHERE email = ?"}, statusOK, []string{"?1", "taken for BLOB,"}},
		{"unknown column", "", []string{"ddl", "--schema", file, "--text", "x.y"}, statusFailed, []string{"no sealed column", "customers.email"}},
		{"unknown dialect", "", []string{"ddl", "--schema", file, "--dialect", "mysql"}, statusFailed, []string{"mysql"}},
		{"no schema", "", []string{"ddl"}, statusFailed, []string{"models", "schema"}},
		{"no database", "", []string{"audit", "--schema", file}, statusFailed, []string{"--dsn"}},
		{"bad DSN", "", []string{"audit", "--schema", file, "--dsn", "postgres://u:hunter2@:x/y"}, statusFailed, []string{"the DSN cannot be read"}},
		{"bad key table", "", []string{"ddl", "--schema", file, "--key-table", "a.b.c"}, statusFailed, []string{"a.b.c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(dsnEnv, "")
			status, out, errs := colseal(t, c.stdin, c.args...)
			if status != c.status {
				t.Fatalf("status %d: %s%s", status, out, errs)
			}
			got := out
			if status == statusFailed {
				got = errs
			}
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q is missing in\n%s", w, got)
				}
			}
			if strings.Contains(out+errs, "hunter2") {
				t.Error("the password is printed")
			}
		})
	}
}

// What sealed will refuse ends explain and vet as what is refused now does.
func TestStaged(t *testing.T) {
	text, err := json.Marshal(schema.Must(schema.Columns("users", schema.Column{Name: "email", Stage: schema.StageCopy})))
	if err != nil {
		t.Fatal(err)
	}
	file, queries := filepath.Join(t.TempDir(), "schema.json"), filepath.Join(t.TempDir(), "queries.sql")
	const query = "SELECT id FROM users WHERE email LIKE $1"
	if err := errors.Join(os.WriteFile(file, text, 0o600), os.WriteFile(queries, []byte(query), 0o600)); err != nil {
		t.Fatal(err)
	}
	const want = "WORKS in the stage copy, REFUSED in the stage sealed: LIKE cannot work on a sealed column"
	if status, out, errs := colseal(t, "", "explain", "--schema", file, query); status != statusFound || !strings.Contains(out, want) {
		t.Errorf("explain: status %d, %s%s", status, out, errs)
	}
	const found = "queries.sql:1:28: refused by Colseal in the stage sealed: LIKE cannot work on a sealed column: users.email; "
	if status, out, errs := colseal(t, "", "vet", "--schema", file, "--sql", queries); status != statusFound || !strings.Contains(out, found) {
		t.Errorf("vet: status %d, %s%s", status, out, errs)
	}
}
