//go:build unix

package inout

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

const liteChangeDDL = `CREATE TABLE accounts (id INTEGER PRIMARY KEY, email BLOB NOT NULL CONSTRAINT colseal_email_check CHECK (typeof(email) = 'blob'), age BLOB, note text, name TEXT, pin BLOB UNIQUE, login text UNIQUE);
CREATE INDEX accounts_age ON accounts (age);
CREATE TABLE visits (id INTEGER PRIMARY KEY, login text REFERENCES accounts (login) ON DELETE SET NULL, body text);
CREATE VIEW addresses AS SELECT id, note FROM accounts`

// On SQLite, too, the options of sealed columns change by a second companion, in one transaction, and change back.
func TestSQLiteChangeThereAndBack(t *testing.T) {
	dir := t.TempDir()
	file := liteConnector(filepath.Join(dir, "db"))
	w, err := kms.Open(t.Context(), "localkms://"+filepath.Join(dir, "kek"))
	if err != nil {
		t.Fatal(err)
	}
	admin := sql.OpenDB(file)
	admin.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = admin.Close() })
	for statement := range strings.SplitSeq(liteChangeDDL, ";\n") {
		mustExec(t, admin, statement)
	}
	if err := keyring.OpenStore(admin, keyring.DialectSQLite, "").Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	open := func(tables *schema.Schema, err error, stages map[string]schema.Stage) *sql.DB {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		cn, err := driver.NewConnector(file, driver.Config{Schema: tables, KMS: w, Dialect: driver.DialectSQLite, Stages: stages})
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(cn)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	both := func(s schema.Stage) map[string]schema.Stage {
		return map[string]schema.Stage{"accounts": s, "visits": s}
	}
	login := schema.Column{Name: "login", Mode: schema.ModeDeterministic, JoinGroup: "login", Stage: schema.StageCopy}
	first, err := schema.New(schema.Columns("accounts", login), schema.Columns("visits", login))
	mustExec(t, admin, "INSERT INTO accounts (id, email, login) VALUES (1, x'', 'l1')")
	if _, err := migrate.Seal(t.Context(), open(first, err, nil), liteSeal); err != nil {
		t.Fatal(err)
	}
	mustExec(t, admin, "DELETE FROM accounts")

	tables, err := accountsBefore()
	before := open(tables, err, nil)
	for i := range 260 {
		ctx := t.Context()
		if i%3 == 0 {
			ctx = keyring.WithScope(ctx, fmt.Sprint("tenant", i%2))
		}
		if _, err := before.ExecContext(ctx, "INSERT INTO accounts (id, email, age, note, name, pin, login) VALUES (?, ?, ?, 'n', ?, ?, ?)", i, fmt.Sprintf("m%d@x", i), i%100, sql.NullString{String: fmt.Sprintf("name%d", i), Valid: i%5 > 0},
			fmt.Sprint(i), fmt.Sprintf("canary%06d", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := before.ExecContext(ctx, "INSERT INTO visits (id, login) VALUES (?, ?)", i, fmt.Sprintf("canary%06d", i)); err != nil {
			t.Fatal(err)
		}
	}
	dump := func() string {
		return strings.Join(all(t, admin, `SELECT concat_ws(' ', type, name, tbl_name, sql) FROM sqlite_master WHERE tbl_name NOT LIKE 'colseal%' ORDER BY type, name`), "\n")
	}
	rows := func(db *sql.DB) string {
		t.Helper()
		got, err := lines(db.QueryContext(t.Context(), "SELECT a.id, a.email, a.age, a.name, a.pin, a.login, v.id FROM accounts a JOIN visits v ON v.login = a.login ORDER BY a.id"))(7)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(got, "\n")
	}
	want, definitions := rows(before), dump()
	tables, err = accounts()
	inCopy, only := open(tables, err, both(schema.StageCopy)), open(tables, err, both(schema.StageOnly))
	if got := rows(inCopy); got != want {
		t.Errorf("a program in copy:\n%s", diff(want, got))
	}

	mustExec(t, before, "UPDATE accounts SET pin = '007' WHERE id = 7")
	r, err := migrate.Seal(t.Context(), inCopy, liteSeal)
	if !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 1 || dump() != definitions {
		t.Fatalf("a value that the other kind does not hold: %+v, %v\n%s", r, err, diff(definitions, dump()))
	}
	mustExec(t, before, "UPDATE accounts SET pin = '7' WHERE id = 7")
	mustExec(t, admin, "CREATE VIEW logins AS SELECT login_sealed FROM accounts")
	if r, err = migrate.Seal(t.Context(), inCopy, liteSeal); !errors.Is(err, migrate.ErrProblems) || !strings.Contains(strings.Join(r.Problems, "\n"), "view logins") {
		t.Errorf("a view of a companion that is dropped: %q, %v", r.Problems, err)
	}
	mustExec(t, admin, "DROP VIEW logins")
	if r, err = migrate.Seal(t.Context(), inCopy, liteSeal); err != nil || r.Sealed == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	t.Logf("sealed %d; notes %q", r.Sealed, r.Notes)
	if got := rows(only); got != want {
		t.Errorf("a program in only:\n%s", diff(want, got))
	}
	for _, q := range []string{"SELECT id FROM accounts WHERE email = 'm33@x'", "SELECT id FROM accounts WHERE pin = 33"} {
		for _, scope := range []string{"", "tenant1"} {
			got, err := lines(only.QueryContext(keyring.WithScope(t.Context(), scope), q))(1)
			if err != nil || slices.Equal(got, []string{"33"}) != (scope == "tenant1") {
				t.Errorf("%s in %q: %q, %v", q, scope, got, err)
			}
		}
	}
	if _, err := before.ExecContext(t.Context(), "UPDATE accounts SET email = 'other' WHERE id = 3"); err == nil {
		t.Error("a program with the former tag writes")
	}
	if again, err := migrate.Seal(t.Context(), only, liteSeal); err != nil || again.Sealed != 0 {
		t.Errorf("seal again: %+v, %v", again, err)
	}
	opened, err := migrate.Unseal(t.Context(), only, liteUnseal)
	if err != nil {
		t.Fatalf("%q, %v", opened.Problems, err)
	}
	if got := dump(); got != definitions {
		t.Errorf("the schema differs in the end:\n%s", diff(definitions, got))
	}
	if got := rows(before); got != want {
		t.Errorf("the rows differ in the end:\n%s", diff(want, got))
	}
	if types := all(t, admin, "SELECT DISTINCT concat_ws(' ', typeof(email), typeof(age), coalesce(nullif(typeof(name), 'null'), 'text'), typeof(pin), typeof(login_sealed)) FROM accounts"); !slices.Equal(types, []string{"blob blob text blob blob"}) {
		t.Errorf("cells are stored as %q", types)
	}
}
