package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysMissing: a keyring that is older than the data. The commands say so, name the keys, and bring them back from
// a copy.
func TestKeysMissing(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 8)
	if out := w.must(t, "check", "--schema", w.schema); out != "the keyring has the keys of all 24 cells\n" {
		t.Error(out)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if _, err := w.plain.Exec("VACUUM INTO '" + copied + "'"); err != nil {
		t.Fatal(err)
	}
	data, search := w.firstKey(t, "data", "tenant:42"), w.firstKey(t, "search", "tenant:42")
	if _, err := w.plain.Exec("DELETE FROM colseal_keys WHERE scope = 'tenant:42'"); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"check", "reseal --dry-run", "reseal"} {
		status, out, _ := w.keys(t, strings.Fields(args+" --schema "+w.schema)...)
		if status != statusFound || !strings.Contains(out, "6 cells under keys that the keyring does not have: ") || !strings.Contains(out, data) || !strings.Contains(out, search) {
			t.Errorf("%s: status %d:\n%s", args, status, out)
		}
	}
	var found jsonCheck
	if status, out, _ := w.keys(t, "check", "--json", "--schema", w.schema); status != statusFound {
		t.Error(status)
	} else if err := json.Unmarshal([]byte(out), &found); err != nil || found.Cells != 24 || found.MissingCells != 6 || len(found.MissingKeys) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	if out := w.must(t, "import", "--from", copied, "--dry-run"); !strings.Contains(out, "would import 2 keys of 4") || w.count(t, "SELECT count(*) FROM colseal_keys WHERE key_id <> 0") != 2 {
		t.Error(out)
	}
	for range 2 { // nothing the second time
		w.must(t, "import", "--from", copied)
	}
	w.must(t, "check", "--schema", w.schema)
	w.firstKey(t, data, "recovered")
	w.firstKey(t, search, "active")
	w.must(t, "reseal", "--schema", w.schema) // those under the data key, which does not seal any more
	if status, _, errs := w.keys(t, "import", "--from", copied, "--from-table", "other"); status != statusFailed || !strings.Contains(errs, "other") {
		t.Error(status, errs)
	}

	// A destroyed scope stays so.
	w.must(t, "destroy", "tenant:42", "--why", "x", "--yes", "tenant:42")
	if _, err := w.plain.Exec("DELETE FROM colseal_keys WHERE scope = 'tenant:42' AND epoch = 1"); err != nil {
		t.Fatal(err)
	}
	if out := w.must(t, "import", "--from", copied); !strings.Contains(out, "imported 0 keys") || !strings.Contains(out, "2 keys of destroyed scopes left out") {
		t.Error(out)
	}
	if _, err := os.Stat(copied); err != nil {
		t.Error(err)
	}
}

// TestKeyringMadeAnew: data that was restored without its keyring. The commands say to restore it, and how to go back
// where somebody made a new one.
func TestKeyringMadeAnew(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 8)
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, q := range []string{"VACUUM INTO '" + copied + "'", "DROP TABLE colseal_keys"} {
		if _, err := w.plain.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{"status", "list", "check --schema " + w.schema, "import --from " + copied} {
		if status, _, errs := w.keys(t, strings.Fields(args)...); status != statusFailed || !strings.Contains(errs, "restore the key table with it") {
			t.Errorf("%s: status %d:\n%s", args, status, errs)
		}
	}
	w.must(t, "init")
	status, _, errs := w.keys(t, "import", "--from", copied)
	if status != statusFailed || !strings.Contains(errs, "is another keyring") || !strings.Contains(errs, "drop its table and restore the other one") {
		t.Errorf("status %d:\n%s", status, errs)
	}
}
