package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Several --kms wrap each key under several key encryption keys, and COLSEAL_KMS names them too; a key of before gets
// all of them by a rewrap.
func TestSeveralKMS(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "app.db")
	a, b := "localkms://"+filepath.ToSlash(filepath.Join(dir, "a")), "localkms://"+filepath.ToSlash(filepath.Join(dir, "b"))
	t.Setenv(kmsEnv, "")
	keys := func(want int, args ...string) string {
		t.Helper()
		status, out, errs := colseal(t, "", append([]string{"keys", "--dialect", "sqlite", "--dsn", db}, args...)...)
		if status != want {
			t.Fatalf("%v: status %d: %s%s", args, status, out, errs)
		}
		return out + errs
	}
	keks := func() int { t.Helper(); return strings.Count(keys(statusOK, "list", "--json"), "localkms:") }
	keys(statusOK, "init")
	keys(statusOK, "rotate", "--purpose", "data", "--kms", a)
	if n := keks(); n != 1 {
		t.Errorf("under %d KEKs", n)
	}
	keys(statusOK, "rewrap", "--kms", a, "--kms", b)
	if n := keks(); n != 2 {
		t.Errorf("rewrapped under %d KEKs", n)
	}
	t.Setenv(kmsEnv, a+"  "+b)
	if out := keys(statusOK, "rewrap"); !strings.Contains(out, "1") || keks() != 2 {
		t.Error(out)
	}
	keys(statusOK, "rotate", "--purpose", "data")
	if n := keks(); n != 4 {
		t.Errorf("two keys are under %d KEKs", n)
	}
	keys(statusFailed, "rotate", "--purpose", "data", "--kms", a, "--kms", "nokms:///x")
}

// A key under a key encryption key that no other key is under is told of, and so are keys that --kms does not reach.
func TestForeignKEK(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	wrong := "localkms://" + filepath.ToSlash(filepath.Join(t.TempDir(), "typo"))
	for _, c := range []struct {
		told bool
		args []string
	}{
		{false, []string{"rotate", "--purpose", "data"}},
		{false, []string{"init", "--warm", "--scope", "tenant:42"}},
		{true, []string{"rotate", "--purpose", "data", "--kms", wrong}},
		{false, []string{"rotate", "--purpose", "data", "--kms", wrong}}, // it is known by now
		{false, []string{"rotate", "--purpose", "data"}},
	} {
		status, out, errs := w.keys(t, c.args...)
		if status != statusOK || strings.Contains(errs, "no other key is under localkms:") != c.told {
			t.Errorf("%q: status %d: %s%s", c.args, status, out, errs)
		}
	}
	status, out, _ := w.keys(t, "status", "--kms", wrong)
	if status != statusFound || !strings.Contains(out, ", which wraps 6 keys, is not what --kms") || strings.Count(out, "attention:") != 1 {
		t.Errorf("status %d: %s", status, out)
	}
	if out := w.must(t, "reseal", "--help"); !strings.Contains(out, "--schema file ") {
		t.Error(out)
	}
	// Nothing could be rewrapped, so it is not known to what.
	if status, out, _ := w.keys(t, "rewrap", "--kms", wrong+"-too"); status != statusFound || !strings.HasPrefix(out, "rewrapped 0 of 8 keys; 0 under it already\n") {
		t.Errorf("status %d: %s", status, out)
	}
}
