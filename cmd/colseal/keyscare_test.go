package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What only looks makes no key encryption key, be its name right or wrong.
func TestKeysMakeNoKEKFile(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	file := filepath.Join(t.TempDir(), "kek")
	t.Setenv(kmsEnv, "localkms://"+filepath.ToSlash(file))
	for _, args := range []string{
		"list", "destroy tenant:42 --why x --dry-run", "rotate --purpose data --dry-run", "reseal --dry-run --schema " + w.schema,
		"revoke --dry-run --why x " + w.firstKey(t, "data"), "retire --unchecked --dry-run " + w.firstKey(t, "search"), "init --warm --dry-run",
	} {
		w.must(t, strings.Fields(args)...)
	}
	for _, args := range []string{"status", "rewrap --dry-run"} {
		if status, out, errs := w.keys(t, strings.Fields(args)...); status != statusFailed || !strings.Contains(errs, "is not there") {
			t.Errorf("%s: status %d: %s%s", args, status, out, errs)
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Error("the file was made:", err)
	}
}

// An interrupt at the question ends it.
func TestKeysConfirmInterrupted(t *testing.T) {
	real := isTerminal
	t.Cleanup(func() { isTerminal = real })
	isTerminal = func(stream any) bool { _, in := stream.(*io.PipeReader); return in }
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	ctx, interrupt := context.WithCancel(t.Context())
	in, typed := io.Pipe() // on which nothing is typed
	defer typed.Close()
	asked := &onWrite{f: interrupt}
	var out bytes.Buffer
	status := run(ctx, []string{"keys", "--dialect", "sqlite", "destroy", "tenant:42", "--why", "x"}, in, &out, asked)
	if status != statusFound || !strings.Contains(asked.String(), "not confirmed") {
		t.Errorf("status %d: %s%s", status, &out, asked)
	}
	w.firstKey(t, "tenant:42", "active")
}

// onWrite calls f when something is written.
type onWrite struct {
	bytes.Buffer
	f func()
}

func (w *onWrite) Write(p []byte) (int, error) {
	w.f()
	return w.Buffer.Write(p)
}

// The cells that are left of a key that was asked for are told.
func TestKeysResealTellsWhatIsLeft(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 4)
	data := w.firstKey(t, "data", "(default)")
	w.must(t, "revoke", data, "--why", "x", "--yes="+data)
	if out := w.must(t, "reseal", "--schema", w.schema, "--dry-run", "--key", w.firstKey(t, "search", "(default)")); !strings.Contains(out, "would re-seal 0 cells") {
		t.Error(out)
	}
	// The row is taken away from it, pass for pass.
	if _, err := w.plain.Exec("CREATE TRIGGER stay BEFORE UPDATE ON customers WHEN old.id = 2 BEGIN SELECT RAISE(IGNORE); END"); err != nil {
		t.Fatal(err)
	}
	status, out, errs := w.keys(t, "reseal", "--schema", w.schema, "--column", "customers.ssn", "--key", data)
	if status != statusFound || !strings.Contains(out, "; 1 left") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

// A search key that programs may seal under cannot be retired, however few cells are under it now.
func TestKeysRetireWaits(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	w.fill(t, 0)
	search := w.firstKey(t, "search", "(default)")
	w.must(t, "rotate", "--purpose", "search")
	status, out, errs := w.keys(t, "retire", search, "--schema", w.schema, "--dry-run")
	if status != statusFailed || !strings.Contains(errs, "programs may seal under key "+search) {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

// What others wrote into the keyring does not reach the terminal as a command.
func TestKeysPrintNoCommands(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init")
	if _, err := w.plain.Exec("INSERT INTO colseal_keys (key_id, purpose, scope, epoch, kek_id, wrapped, seals_reserved) VALUES (77, 'data', ?, 1, ?, x'00', 0)",
		"a\x1b[2J\tb\u202e", "kek\r\u009b0m"); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"list", "status", "list --json"} {
		_, out, errs := w.keys(t, strings.Fields(args)...)
		if strings.ContainsAny(out+errs, "\x1b\r\t\u009b\u202e") && args != "list --json" || strings.ContainsAny(out+errs, "\x1b\r") {
			t.Errorf("%s: %q", args, out+errs)
		}
		if !strings.Contains(out, "[2J") {
			t.Errorf("%s: %q", args, out+errs)
		}
	}
}
