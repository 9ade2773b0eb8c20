package cli_test

import (
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

// The log of a program with columns in the stage copy is summarised, and explain names its statements as the log does.
func TestObserve(t *testing.T) {
	colseal, pg := build(t), pgtest.New(t)
	if _, err := pg.Admin.Exec("CREATE TABLE users (id bigint PRIMARY KEY, email text, age text, email_sealed bytea, age_sealed bytea)"); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	tables := schema.Must(schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: schema.StageCopy},
		schema.Column{Name: "age", Kind: schema.KindInt, Stage: schema.StageCopy}))
	key, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	var logs []string
	for name, handler := range map[string]func(*os.File) slog.Handler{
		"json": func(f *os.File) slog.Handler { return slog.NewJSONHandler(f, nil) },
		"text": func(f *os.File) slog.Handler { return slog.NewTextHandler(f, nil) },
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, f.Name())
		cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: tables, KMS: key, AutoCreateKeyTable: true, Logger: slog.New(handler(f))})
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(cn)
		for _, query := range []string{
			"INSERT INTO users (id, email, age) VALUES (1, 'a@x', 'old') ON CONFLICT (id) DO UPDATE SET email = 'b@x'",
			"SELECT id FROM users WHERE email = 'b@x'",
			"SELECT id FROM users WHERE email LIKE 'a%'",
			"SELECT id FROM users WHERE email LIKE 'secret%'",
			"UPDATE users SET\nemail = lower(email)",
		} {
			if _, err := db.ExecContext(t.Context(), query); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		e, err := explain.Query(t.Context(), db, "SELECT id FROM users WHERE email LIKE 'b%'")
		if err != nil || len(e.Observed) != 1 {
			t.Errorf("%v, %v", e, err)
		}
		status, out, errs := colseal.run(t, "observe", f.Name())
		for _, want := range []string{
			"users.email  " + e.Fingerprint + "  1:28   ",
			"LIKE cannot work on a sealed column\n",
			" 2:15   ",
			"\n1      value ",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", name, want, out)
			}
		}
		if n := strings.Count(out, "\n"); status != statusFound || n != 4 || strings.Contains(out, "secret") {
			t.Errorf("%s: status %d\n%s%s", name, status, out, errs)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if status, out, errs := colseal.run(t, append([]string{"observe"}, logs...)...); status != statusFound || strings.Count(out, "\n2 ") != 3 {
		t.Errorf("both: status %d\n%s%s", status, out, errs)
	}
}
