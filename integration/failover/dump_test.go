package failover

import (
	"bytes"
	"database/sql"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// TestImportDump: keys that the keyring lost come back from what pg_dump wrote, in each of its plain forms.
func TestImportDump(t *testing.T) {
	p, dir := start(t), t.TempDir()
	kek := filepath.Join(dir, "kek.json")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "github.com/colseal/colseal/cmd/colseal").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.psql(t, 0, "CREATE TABLE letters (id bigint PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)")
	// A function whose body looks like the table's data is none of it.
	p.psql(t, 0, "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; END")
	db := p.open(t, kek, keycache.Config{})
	const scopes = 3
	for i := range scopes {
		ctx := keyring.WithScope(t.Context(), "tenant:'\\"+strings.Repeat("x", i))
		if _, err := db.ExecContext(ctx, "INSERT INTO letters (id, scope, sender, body) VALUES ($1, 'x', 'ann', $2)", i, "letter "+string(rune('0'+i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("INSERT INTO letters (id, scope, sender, body) VALUES (3, 'x', 'ann', 'letter 3')"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil { // a program would store its keys again
		t.Fatal(err)
	}
	p.writeOnly(t, kek, "UPDATE letters SET body = 'letter 3' WHERE id = 3")
	for _, tt := range []struct {
		flags, lose string
		want        string
	}{
		{"-t colseal_keys", "DELETE FROM colseal_keys WHERE scope <> ''", "imported 6 keys of 10\n"},
		{"", "DELETE FROM colseal_keys WHERE purpose IN ('inbox', 'writer')", "imported 2 keys of 10\n"},
		{"", "DELETE FROM colseal_keys WHERE purpose = 'data'", "imported 4 keys of 10\n"},
		{"--inserts", "TRUNCATE colseal_keys", "imported 10 keys of 10\n"},
		{"--rows-per-insert=3 --on-conflict-do-nothing -a", "TRUNCATE colseal_keys", ""},
		{"--rows-per-insert=3 --on-conflict-do-nothing", "TRUNCATE colseal_keys", "imported 10 keys of 10\n"},
		{"-Fc", "", ""},
	} {
		dump := p.output(t, "pg_dump -h /tmp -p 5433 -U postgres "+tt.flags)
		if tt.want != "" {
			p.psql(t, 0, tt.lose)
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "colseal"), "keys", "import", "--dump", "-", "--dsn", p.dsn())
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(dump), &out, &errs
		_ = cmd.Run() // judged by its exit status
		switch {
		case tt.want == "" && (cmd.ProcessState.ExitCode() != 2 || !strings.Contains(errs.String(), "no dump in plain format")):
			t.Errorf("%s: %d %s%s", tt.flags, cmd.ProcessState.ExitCode(), &out, &errs)
		case tt.want != "" && (cmd.ProcessState.ExitCode() != 0 || out.String() != tt.want):
			t.Fatalf("%s: %d %s%s", tt.flags, cmd.ProcessState.ExitCode(), &out, &errs)
		}
		if n := p.check(t, kek); n != scopes+1 {
			t.Errorf("%s: %d rows", tt.flags, n)
		}
	}
}

// writeOnly runs a statement as a write-only program, in an inbox that it makes.
func (p *pair) writeOnly(t *testing.T, kek, query string) {
	t.Helper()
	w, err := kms.Open(t.Context(), "localkms://"+kek)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := sql.Open("pgx", p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	inbox, err := keyring.NewAdmin(keyring.OpenStore(plain, keyring.DialectPostgres, ""), w, keyring.AdminConfig{}).Inbox(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	form := p.openAs(t, driver.Config{WriteOnly: &driver.Inbox{Pins: []string{inbox.Pin()}}})
	if _, err := form.Exec(query); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil { // or it would store its key again
		t.Fatal(err)
	}
}

// TestWaitForStandbys: the command says whether the standbys have what it changed, waits for them if it is told to, and exits with 1 if
// one of them lacks it in the end.
func TestWaitForStandbys(t *testing.T) {
	p, dir := start(t), t.TempDir()
	kek := filepath.Join(dir, "kek.json")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "github.com/colseal/colseal/cmd/colseal").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rotate := func(what string, exit int, says string, flags ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "colseal"), append([]string{"keys", "rotate", "--purpose", "data", "--kms", "localkms://" + kek, "--dsn", p.dsn()}, flags...)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		_ = cmd.Run() // judged by its exit status
		t.Logf("%s: exit status %d, %s", what, cmd.ProcessState.ExitCode(), strings.TrimSpace(errs.String()))
		if cmd.ProcessState.ExitCode() != exit || !strings.Contains(errs.String(), says) || says == "" && errs.Len() > 0 {
			t.Errorf("%s: want exit status %d and %q", what, exit, says)
		}
	}
	p.psql(t, 0, "CREATE TABLE letters (id bigint PRIMARY KEY, scope text NOT NULL, sender bytea, body bytea)")
	if _, err := p.open(t, kek, keycache.Config{}).Exec("INSERT INTO letters (id, scope, sender, body) VALUES (1, '', 'ann', 'x')"); err != nil {
		t.Fatal(err)
	}
	const wait = "--wait-for-standbys"
	rotate("without a standby", 0, "", wait, "1s")
	p.replica(t)
	rotate("a standby", 0, "received by 1 standby connection", wait, "20s")
	p.psql(t, 0, "SELECT pg_create_physical_replication_slot('kept', true)")
	rotate("a standby that is away", 1, "1 of 2 standbys do not have it yet: kept", wait, "1s")
	rotate("a standby that is away, not waited for", 0, "kept")
}
