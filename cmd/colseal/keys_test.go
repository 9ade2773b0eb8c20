package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/kms/kmstest"
)

// keys runs a keys command on SQLite.
func (w *keysWorld) keys(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	return colseal(t, "", append([]string{"keys", "--dialect", "sqlite"}, args...)...)
}

// must runs a keys command that has to succeed.
func (w *keysWorld) must(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errs := w.keys(t, args...)
	if status != statusOK {
		t.Fatalf("keys %q: status %d\n%s%s", args, status, out, errs)
	}
	return out
}

// firstKey returns the id of the first key that the list names with all words.
func (w *keysWorld) firstKey(t *testing.T, words ...string) string {
	t.Helper()
lines:
	for line := range strings.Lines(w.must(t, "list")) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return strings.Fields(line)[0]
	}
	t.Fatalf("no key with %q", words)
	return ""
}

func TestKeysRefuse(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	search := w.firstKey(t, "search", "(default)")
	data := w.firstKey(t, "data", "(default)")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no purpose", []string{"rotate"}, "--purpose data"},
		{"bad purpose", []string{"rotate", "--purpose", "both"}, `unknown purpose "both"`},
		{"bad purpose of a filter", []string{"list", "--purpose", "x"}, `unknown purpose "x"`},
		{"bad scope", []string{"rotate", "--purpose", "data", "--scope", "a\nb"}, "the scope's name"},
		{"bad key", []string{"revoke", "12", "--why", "x"}, "eight hexadecimal digits"},
		{"another bad key", []string{"retire", "zzzzzzzz", "--unchecked"}, "eight hexadecimal digits"},
		{"no key", []string{"revoke"}, "write colseal keys revoke KEY"},
		{"unknown key", []string{"revoke", "00000001", "--why", "x", "--yes=00000001"}, "no key 00000001"},
		{"no reason", []string{"revoke", data}, "--why"},
		{"unconfirmed", []string{"revoke", data, "--why", "x"}, `--yes="` + data + `"`},
		{"confirmed otherwise", []string{"revoke", data, "--why", "x", "--yes=" + search}, "has to say"},
		{"no scope", []string{"destroy", "--why", "x"}, "which scope"},
		{"empty scope", []string{"destroy", "", "--why", "x"}, "which scope"},
		{"two scopes", []string{"destroy", "a", "--default", "--why", "x"}, "which scope"},
		{"unknown scope", []string{"destroy", "tenant:77", "--why", "x", "--yes=tenant:77"}, `no keys of scope "tenant:77"`},
		{"destroy without a reason", []string{"destroy", "tenant:42"}, "--why"},
		{"destroy unconfirmed", []string{"destroy", "tenant:42", "--why", "x"}, "standard input is no terminal"},
		{"destroy confirmed otherwise", []string{"destroy", "tenant:42", "--why", "x", "--yes=yes"}, "has to say"},
		{"retire without a schema", []string{"retire", search}, "models schema unchecked"},
		{"retire what is in use", []string{"retire", search, "--schema", w.schema, "--yes=" + search}, "customers.email has 3 cells under key " + search},
		{"retire the only one", []string{"retire", search, "--unchecked", "--yes=" + search}, "rotate first"},
		{"reseal without a schema", []string{"reseal"}, "models schema"},
		{"reseal of a column that is not there", []string{"reseal", "--schema", w.schema, "--column", "customers.name"}, "unknown sealed columns customers.name"},
		{"reseal of two kinds", []string{"reseal", "--schema", w.schema, "--column", "customers", "--purpose", "data"}, "exclude each other"},
		{"reseal of an unknown key", []string{"reseal", "--schema", w.schema, "--key", "00000001"}, "no key 00000001"},
		{"reseal from no kind", []string{"reseal", "--schema", w.schema, "--column", "customers.born", "--from-kind", "integer"}, `unknown kind "integer"`},
		{"reseal from a kind of all columns", []string{"reseal", "--schema", w.schema, "--from-kind", "int"}, "needs --column"},
		{"reseal from a kind without opening", []string{"reseal", "--schema", w.schema, "--column", "customers.born", "--from-kind", "int", "--dry-run"}, "exclude each other"},
		{"reseal in no time zone", []string{"reseal", "--schema", w.schema, "--time-zone", "Mars"}, "--time-zone"},
		{"reseal of a bad key", []string{"reseal", "--schema", w.schema, "--key", "1"}, "eight hexadecimal digits"},
		{"unknown command", []string{"rotat"}, "unknown command"},
		{"bad table", []string{"list", "--key-table", "a b"}, `colseal: keyring: "a b" is not a table name`},
		{"no table", []string{"list", "--key-table", "other"}, "does not exist"},
		{"bad KMS", []string{"status", "--kms", "awskms://hunter2@x/y?endpoint=hunter2"}, "awskms"},
		{"unknown KMS", []string{"status", "--kms", "vault:///x"}, `"vault" is not registered`},
		{"settings", []string{"status", "--rotate-every", "0s"}, "--rotate-every"},
		{"dialect", []string{"list", "--dialect", "mysql"}, "mysql"},
		{"bad DSN", []string{"list", "--dialect", "postgres", "--dsn", "postgres://u:hunter2@:x/y"}, "the DSN cannot be read"},
		{"another bad DSN", []string{"list", "--dialect", "postgres", "--dsn", "host=x password=hunter2 port=nope"}, "the DSN cannot be read"},
		{"no server", []string{"list", "--dialect", "postgres", "--dsn", "postgres://u:hunter2@127.0.0.1:1/y?connect_timeout=2"}, "refused"},
		{"no file", []string{"list", "--dsn", filepath.Join(t.TempDir(), "hunter2.db")}, "cannot be read"},
		{"memory", []string{"list", "--dsn", "file::memory:"}, "names no SQLite file"},
		{"a server's DSN", []string{"list", "--dsn", "postgres://u:hunter2@h/y"}, "names no SQLite file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.must(t, "list")
			status, out, errs := w.keys(t, c.args...)
			if status != statusFailed || !strings.Contains(errs, c.want) {
				t.Errorf("status %d: %s%s", status, out, errs)
			}
			if strings.Contains(out+errs, "hunter2") {
				t.Error("the password is printed")
			}
			if w.must(t, "list") != before {
				t.Error("the keys were changed")
			}
		})
	}
	t.Run("no database", func(t *testing.T) {
		t.Setenv(dsnEnv, "")
		if status, _, errs := w.keys(t, "list"); status != statusFailed || !strings.Contains(errs, "--dsn") {
			t.Error(status, errs)
		}
	})
	t.Run("no KMS", func(t *testing.T) {
		t.Setenv(kmsEnv, "")
		for _, args := range [][]string{{"init", "--warm"}, {"rotate", "--purpose", "data"}, {"revoke", data, "--why", "x", "--yes=" + data}, {"rewrap"}, {"reseal", "--schema", w.schema}} {
			if status, _, errs := w.keys(t, args...); status != statusFailed || !strings.Contains(errs, "--kms") {
				t.Error(args, status, errs)
			}
		}
		w.must(t, "list")
		w.must(t, "status")
		w.must(t, "reseal", "--schema", w.schema, "--dry-run")
		w.must(t, "rotate", "--purpose", "data", "--dry-run")
	})
}

// Nothing that --dry-run says is done.
func TestKeysDryRun(t *testing.T) {
	w := newKeysWorld(t)
	if err := os.Remove(w.file); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if out := w.must(t, "init", "--dry-run", "--warm"); !strings.Contains(out, `CREATE TABLE IF NOT EXISTS "colseal_keys"`) {
		t.Error(out)
	}
	if status, _, errs := w.keys(t, "init", "--dry-run", "--key-table", "1.2.3"); status != statusFailed || !strings.Contains(errs, "1.2.3") {
		t.Error(status, errs)
	}
	if tables := w.count(t, "SELECT count(*) FROM sqlite_master"); tables != 0 {
		t.Errorf("%d tables were made", tables)
	}
	w.must(t, "init", "--warm")
	w.fill(t, 8)
	data, search := w.firstKey(t, "data", "tenant:42"), w.firstKey(t, "search", "(default)")
	w.must(t, "rotate", "--purpose", "search")
	w.later(t)
	dump := func() string {
		return w.must(t, "list", "--json") + w.must(t, "reseal", "--schema", w.schema, "--dry-run", "--json")
	}
	before := dump()
	for _, c := range []struct{ want, args string }{
		{"would make data key epoch 2 of the default scope", "rotate --purpose data"},
		{"would fail: a change of search keys is under way; retire key " + search, "rotate --purpose search"},
		{"would make the first data key of scope \"new\"", "rotate --purpose data --scope new"},
		{"would revoke data key " + data, "revoke " + data + " --why x"},
		{"would retire search key " + search, "retire --unchecked " + search},
		{"would destroy 2 keys of scope \"tenant:42\"", "destroy tenant:42 --why x"},
		{"would destroy 3 keys of the default scope", "destroy --default --why x"},
		{"would re-seal 6 cells", "reseal --schema " + w.schema},
		{"would rewrap 0 of 5 keys", "rewrap"},
	} {
		if out := w.must(t, append(strings.Fields(c.args), "--dry-run")...); !strings.Contains(out, c.want) {
			t.Errorf("%s says\n%s", c.args, out)
		}
	}
	if after := dump(); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
}

func (w *keysWorld) count(t *testing.T, query string) (n int) {
	t.Helper()
	if err := w.plain.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// At a terminal one is asked.
func TestKeysConfirm(t *testing.T) {
	real := isTerminal
	t.Cleanup(func() { isTerminal = real })
	isTerminal = func(stream any) bool { _, in := stream.(*strings.Reader); return in }
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	run := func(typed string) (int, string) {
		var out, errs bytes.Buffer
		status := run(t.Context(), []string{"keys", "--dialect", "sqlite", "destroy", "tenant:42", "--why", "x"}, strings.NewReader(typed), &out, &errs)
		return status, out.String() + errs.String()
	}
	for _, typed := range []string{"", "\n", "yes\n", "tenant:4\n", "tenant:42 \n", "TENANT:42\n"} {
		if status, said := run(typed); status != statusFound || !strings.Contains(said, "nothing was changed") {
			t.Errorf("%q: %d %s", typed, status, said)
		}
	}
	w.firstKey(t, "tenant:42", "active")
	if status, said := run("tenant:42\n"); status != statusOK || !strings.Contains(said, "everything that was sealed in it") || !strings.Contains(said, "destroyed 2") {
		t.Errorf("%d %s", status, said)
	}
	if status, said := run("tenant:42\n"); status != statusOK || !strings.Contains(said, `scope "tenant:42" was destroyed before`) {
		t.Errorf("once more: %d %s", status, said)
	}
	if out := w.must(t, "list", "--scope", "tenant:42"); strings.Contains(out, "active") || strings.Count(out, "destroyed") != 5 {
		t.Error(out)
	}
}

// The events go to standard error, where they are asked for and only there.
func TestKeysEvents(t *testing.T) {
	w := newKeysWorld(t)
	if status, _, errs := w.keys(t, "init", "--warm"); status != statusOK || errs != "" {
		t.Fatalf("status %d, %s", status, errs)
	}
	status, out, errs := w.keys(t, "rotate", "--purpose", "data", "--by", "ann", "--events")
	if status != statusOK || strings.Contains(out, "colseal.key.") {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	var event struct{ Msg, Purpose string }
	for line := range strings.Lines(errs) {
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if event.Msg == "colseal.key.rotated" {
			return
		}
	}
	t.Errorf("no event of the rotation:\n%s", errs)
}

func TestKeysStatus(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init")
	if out := w.must(t, "status"); !strings.Contains(out, "no keys") || !strings.Contains(out, "KMS answers") {
		t.Error(out)
	}
	w.must(t, "init", "--warm")
	if out := w.must(t, "init", "--warm"); !strings.Contains(out, "is there") || !strings.Contains(out, "has 1 search key") {
		t.Error(out)
	}
	w.must(t, "rotate", "--purpose", "search")
	var st jsonStatus
	status, out, errs := w.keys(t, "status", "--json", "--rotate-every", "1h")
	if err := json.Unmarshal([]byte(out), &st); err != nil || status != statusFound {
		t.Fatalf("status %d, %v: %s%s", status, err, out, errs)
	}
	if len(st.Rings) != 2 || len(st.KEKs) != 1 || st.KEKs[0].Keys != 3 || !st.KMS.Answers || len(st.Attention) != 1 || len(st.Rings[1].Searched) != 2 || st.Rings[1].Epoch != 1 {
		t.Errorf("%+v", st)
	}
	w.later(t)
	if _, out, _ := w.keys(t, "status", "--rotate-every", "1h"); !strings.Contains(out, "now, at its next use") || !strings.Contains(out, "2 keys searched for") {
		t.Error(out)
	}
	// A search key that was revoked stands in until its successor's time has come.
	w.must(t, "rotate", "--purpose", "search", "--scope", "s")
	w.must(t, "revoke", w.firstKey(t, "search", "s  "), "--why", "x", "--yes="+w.firstKey(t, "search", "s  "))
	if _, out, _ := w.keys(t, "status", "--scope", "s"); !strings.Contains(out, w.firstKey(t, "revoked")) {
		t.Error(out)
	}
	for _, kms := range []string{w.url("alias/none"), "awskms:///alias/app?region=eu-west-1&timeout=200ms&endpoint=http://127.0.0.1:1"} {
		if status, out, _ := w.keys(t, "status", "--kms", kms); status != statusFound || !strings.Contains(out, "attention: KMS does not answer: ") {
			t.Errorf("%s: status %d\n%s", kms, status, out)
		}
	}
}

// The commands go on where a change was cut short, and say what is left.
func TestKeysReseal(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 8)
	old := w.firstKey(t, "search", "(default)")
	w.must(t, "rotate", "--purpose", "search")
	status, out, _ := w.keys(t, "reseal", "--schema", w.schema, "--purpose", "search")
	if status != statusFound || !strings.Contains(out, "sealed 0 cells") || !strings.Contains(out, "begins to seal in 1h") {
		t.Errorf("before its time: %d %s", status, out)
	}
	w.later(t)
	var r jsonReseal
	if err := json.Unmarshal([]byte(w.must(t, "reseal", "--schema", w.schema, "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Resealed != 6 || r.Left != 0 || len(r.Uses) != 6 {
		t.Errorf("%+v", r)
	}
	w.must(t, "retire", old, "--schema", w.schema, "--yes="+old)
	if out := w.must(t, "reseal", "--schema", w.schema); !strings.Contains(out, "re-sealed 0 cells; 0 left") {
		t.Error(out)
	}
	// Altered cells are left.
	if _, err := w.plain.Exec("UPDATE customers SET ssn = CAST(substr(ssn, 1, 30) || x'00' AS BLOB) WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	w.must(t, "rotate", "--purpose", "data")
	status, out, _ = w.keys(t, "reseal", "--schema", w.schema)
	if status != statusFound || !strings.Contains(out, "attention: 1 cell did not open") {
		t.Errorf("with an altered cell: %d %s", status, out)
	}
}

func TestKeysRewrap(t *testing.T) {
	w := newKeysWorld(t)
	if out := w.must(t, "init"); !strings.Contains(out, "created") {
		t.Error(out)
	}
	if out := w.must(t, "rewrap"); out != "no keys to rewrap\n" {
		t.Error(out)
	}
	w.must(t, "init", "--warm")
	first := regexp.MustCompile(`arn:aws:kms\S+`).FindString(w.must(t, "list"))
	other := w.kms.CreateKey(kmstest.Alias("alias/other"))
	// Keys under a KEK that nobody named could be somebody else's.
	if status, out, _ := w.keys(t, "rewrap", "--kms", w.url("alias/other")); status != statusFound ||
		!strings.Contains(out, "rewrapped 0 of 2 keys") || strings.Count(out, "key is under another KEK") != 2 {
		t.Errorf("%d %s", status, out)
	}
	if out := w.must(t, "rewrap", "--kms", w.url("alias/other"), "--from", first); !strings.Contains(out, "rewrapped 2 of 2 keys") {
		t.Error(out)
	}
	if out := w.must(t, "list"); strings.Count(out, other) != 2 {
		t.Error(out)
	}
	// One that fails does not keep the others.
	if _, err := w.plain.Exec("UPDATE colseal_keys SET wrapped = x'00' WHERE purpose = 'data'"); err != nil {
		t.Fatal(err)
	}
	status, out, _ := w.keys(t, "rewrap", "--from", other)
	if status != statusFound || !strings.Contains(out, "rewrapped 1 of 2 keys") || !strings.Contains(out, "failed: ") {
		t.Errorf("%d %s", status, out)
	}
	var r jsonRewrap
	_, out, _ = w.keys(t, "rewrap", "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Current != 1 || len(r.Failed) != 1 {
		t.Errorf("%v: %s", err, out)
	}
}

// At a terminal there is a bar; it leaves the output alone.
func TestKeysBar(t *testing.T) {
	real := isTerminal
	t.Cleanup(func() { isTerminal = real })
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	w.must(t, "rotate", "--purpose", "data")
	plain := w.must(t, "reseal", "--schema", w.schema)
	isTerminal = func(stream any) bool { _, out := stream.(*bytes.Buffer); return out }
	w.must(t, "rotate", "--purpose", "data")
	status, out, errs := w.keys(t, "reseal", "--schema", w.schema)
	if status != statusOK || !strings.Contains(errs, "reseal") || len(out) != len(plain) || strings.Contains(out, "\r") {
		t.Errorf("%d %q %q", status, out, errs)
	}
	if _, _, errs := w.keys(t, "rewrap", "--force"); !strings.Contains(errs, "rewrap") {
		t.Errorf("%q", errs)
	}
}

func TestKeysHelp(t *testing.T) {
	for _, name := range []string{"", "init", "list", "status", "rotate", "revoke", "retire", "destroy", "rewrap", "reseal", "check", "import"} {
		status, out, errs := colseal(t, "", append([]string{"keys"}, strings.Fields(name+" --help")...)...)
		if status != statusOK || !strings.Contains(out, "--dsn") || len(out) < 600 {
			t.Errorf("keys %s: %d %s%s", name, status, out, errs)
		}
	}
}
