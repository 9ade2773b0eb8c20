package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// TestKeysInbox: the first time an inbox is made; later it is shown, once KMS has unwrapped its private key.
func TestKeysInbox(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	pins := regexp.MustCompile(`(?m)^pin ([0-9a-f]{8}-[0-9a-f]{64})$`)
	first := pins.FindStringSubmatch(w.must(t, "inbox"))
	if len(first) != 2 {
		t.Fatal(first)
	}
	if again := w.must(t, "inbox"); !strings.Contains(again, first[0]+"\n") || strings.Contains(again, "made") {
		t.Error(again)
	}
	if out := w.must(t, "inbox", "--next", "--dry-run"); out != "would make an inbox of the default scope\n" {
		t.Error(out)
	}
	if out := w.must(t, "inbox", "--dry-run"); out != "there is an inbox of the default scope\n" {
		t.Error(out)
	}
	next := pins.FindStringSubmatch(w.must(t, "inbox", "--next", "--kem", "mlkem768-p256"))
	if len(next) != 2 || next[1] == first[1] {
		t.Fatal(next)
	}
	if all := pins.FindAllStringSubmatch(w.must(t, "inbox"), -1); len(all) != 2 {
		t.Error(all)
	}
	if out := w.must(t, "inbox", "tenant:7"); !strings.Contains(out, `scope "tenant:7", epoch 1`) || !pins.MatchString(out) {
		t.Error(out)
	}
	if status, _, errs := w.keys(t, "inbox", "--next", "--kem", "x25519"); status != statusFailed || !strings.Contains(errs, `unknown KEM "x25519"`) {
		t.Error(status, errs)
	}
	if status, _, errs := w.keys(t, "inbox", "a\nb"); status != statusFailed || !strings.Contains(errs, "the scope's name is too long") {
		t.Error(status, errs)
	}
	if out := w.must(t, "list", "--json"); strings.Contains(out, first[1]) || !strings.Contains(out, `"purpose": "inbox"`) {
		t.Errorf("list prints a pin that nobody checked, or no inbox:\n%s", out)
	}

	// The owner of the keyring gives the second inbox the public key of the first, as one whose private key they have.
	if _, err := w.plain.Exec("UPDATE colseal_keys SET public = (SELECT public FROM colseal_keys WHERE purpose = 'inbox' AND scope = 'tenant:7')" +
		" WHERE purpose = 'inbox' AND scope = '' AND epoch = 2"); err != nil {
		t.Fatal(err)
	}
	status, out, errs := w.keys(t, "inbox")
	if status != statusFound || !strings.Contains(out, first[0]+"\n") || len(pins.FindAllString(out, -1)) != 1 || !strings.Contains(out, "attention: give its pin to no program") {
		t.Errorf("%d %s%s", status, out, errs)
	}
	var js struct {
		Keys []struct{ Pin, Invalid string }
	}
	status, out, _ = w.keys(t, "inbox", "--json")
	if err := json.Unmarshal([]byte(out), &js); err != nil || status != statusFound || len(js.Keys) != 2 ||
		js.Keys[0].Pin != first[1] || js.Keys[0].Invalid != "" || js.Keys[1].Pin != "" || !strings.Contains(js.Keys[1].Invalid, "private key") {
		t.Errorf("%d %v %s", status, err, out)
	}
	// It is revoked while the other is there, and that one is not.
	forged := next[1][:8]
	w.must(t, "revoke", forged, "--why", "not ours", "--yes="+forged)
	if status, _, errs := w.keys(t, "revoke", first[1][:8], "--why", "x", "--yes="+first[1][:8]); status != statusFailed || !strings.Contains(errs, "no other inbox is there") {
		t.Error(status, errs)
	}
	if out := w.must(t, "inbox"); strings.Count(out, "pin ") != 1 {
		t.Error(out)
	}
}

// TestKeysCompact: what no cell is under goes; what is young, in use, or not known to be unused stays.
func TestKeysCompact(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	w.must(t, "inbox")
	w.forms(t, 4, 3)
	writers := func() int { return w.count(t, "SELECT count(*) FROM colseal_keys WHERE purpose = 'writer'") }
	others := w.count(t, "SELECT count(*) FROM colseal_keys WHERE purpose <> 'writer'")
	if n := writers(); n != 4 {
		t.Fatalf("%d writers' keys", n)
	}
	for _, c := range []struct{ want, args string }{
		{"would delete 3 of 4 keys of write-only programs; 1 are in use, 0 are too young\n", "compact --dry-run --schema " + w.schema},
		{"deleted 0 of 4 keys of write-only programs; 0 are in use, 4 are too young\n", "compact --older-than 96h --schema " + w.schema},
	} {
		if out := w.must(t, strings.Fields(c.args)...); out != c.want {
			t.Errorf("%s says\n%s", c.args, out)
		}
	}
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"compact", statusFailed, "models schema"},
		{"compact --schema " + w.schema, statusFailed, `--yes="compact"`},
		{"compact --yes=yes --schema " + w.schema, statusFailed, "has to say"},
	} {
		if status, out, errs := w.keys(t, strings.Fields(c.args)...); status != c.status || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d %s%s", c.args, status, out, errs)
		}
	}
	// A value that is no cell of its column may be one of another column, under a key that would seem unused.
	if _, err := w.plain.Exec("INSERT INTO customers (id, born) SELECT 5000, ssn FROM customers WHERE id = 1003"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.plain.Exec("UPDATE customers SET ssn = NULL WHERE id = 1003"); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := w.keys(t, "compact", "--yes=compact", "--schema", w.schema); status != statusFailed || !strings.Contains(errs, "customers.born has 1 values that are no cells of the column") {
		t.Error(status, errs)
	}
	if n := writers(); n != 4 {
		t.Fatalf("%d writers' keys are left", n)
	}
	for _, query := range []string{"UPDATE customers SET ssn = (SELECT born FROM customers WHERE id = 5000) WHERE id = 1003", "DELETE FROM customers WHERE id = 5000"} {
		if _, err := w.plain.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	if out := w.must(t, "compact", "--yes=compact", "--schema", w.schema, "--json"); out != "{\n  \"dry_run\": false,\n  \"keys\": 4,\n  \"young\": 0,\n  \"in_use\": 1,\n  \"deleted\": 3\n}\n" {
		t.Error(out)
	}
	if n := writers(); n != 1 {
		t.Errorf("%d writers' keys are left", n)
	}
	// Resealed, the last one is not needed, either.
	w.must(t, "reseal", "--schema", w.schema)
	if out := w.must(t, "compact", "--yes=compact", "--schema", w.schema); !strings.HasPrefix(out, "deleted 1 of 1 key ") {
		t.Error(out)
	}
	if n := w.count(t, "SELECT count(*) FROM colseal_keys WHERE purpose <> 'writer'"); n != others {
		t.Errorf("%d other keys, want %d", n, others)
	}
	if out := w.must(t, "check", "--schema", w.schema); !strings.Contains(out, "the keyring has the keys of all") {
		t.Error(out)
	}
}

// TestKeysResealForged: a cell that was forged under a row of the keyring which is no key is told of, and stops nothing.
func TestKeysResealForged(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	w.must(t, "inbox")
	w.forms(t, 2, 0)
	for _, query := range []string{
		"INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, wrapped_to, seals_reserved) VALUES (1, 'writer', '', 1, '', x'00', 1, 9)",
		"UPDATE colseal_keys SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '-3 days') WHERE key_id = 1",
		"INSERT INTO customers (id, ssn) SELECT 1, CAST(substr(ssn, 1, 4) || x'00000001' || substr(ssn, 9) AS BLOB) FROM customers WHERE id = 1000 ON CONFLICT (id) DO UPDATE SET ssn = excluded.ssn",
	} {
		if _, err := w.plain.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	if status, out, errs := w.keys(t, "reseal", "--schema", w.schema); status != statusFound || !strings.Contains(out, "re-sealed 2 cells; 1 left") {
		t.Errorf("%d %s%s", status, out, errs)
	}
}
