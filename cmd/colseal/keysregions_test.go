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
