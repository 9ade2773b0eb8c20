package localkms_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/localkms"
)

// childEnv makes the test binary open the KEK file that it names, print the key id
// and exit.
const childEnv = "LOCALKMS_TEST_OPEN"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		// Start together with the other processes: when standard input ends.
		_, _ = os.Stdin.Read(make([]byte, 1))
		w, err := localkms.Open(path)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Print(w.KeyID())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestFileIsMadeTight(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kek")
	first := open(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != 32 || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("size %d, mode %v", info.Size(), info.Mode())
	}
	if open(t, path).KeyID() != first.KeyID() {
		t.Error("opened again, it is another KEK")
	}
	onlyTheKEK(t, dir)
}

// onlyTheKEK checks that no temporary file is left.
func onlyTheKEK(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

func TestRaceOfGoroutines(t *testing.T) {
	dir := t.TempDir()
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if w, err := localkms.Open(filepath.Join(dir, "kek")); err != nil {
				t.Error(err)
			} else {
				ids[i] = w.KeyID()
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("several KEKs: %v", ids)
		}
	}
	onlyTheKEK(t, dir)
}

func TestRaceOfProcesses(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	for range 3 {
		dir := t.TempDir()
		start, hold, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		outs := make([]strings.Builder, 6)
		cmds := make([]*exec.Cmd, len(outs))
		for i := range cmds {
			cmds[i] = exec.CommandContext(t.Context(), exe)
			cmds[i].Env = append(os.Environ(), childEnv+"="+filepath.Join(dir, "kek"))
			cmds[i].Stdin, cmds[i].Stdout = start, &outs[i]
			if err := cmds[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		_ = hold.Close()
		for i, cmd := range cmds {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, outs[i].String())
			}
		}
		_ = start.Close()
		for i := range outs {
			if outs[i].String() != outs[0].String() || !strings.HasPrefix(outs[i].String(), "localkms:") {
				t.Fatalf("process %d opened %q, the first one %q", i, outs[i].String(), outs[0].String())
			}
		}
		onlyTheKEK(t, dir)
	}
}

func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		path  string
		class error
		text  string
		unix  bool
	}{
		{write("empty", 0, 0o600), kms.ErrDenied, "it has 0 bytes, a KEK file has 32", false},
		{write("short", 31, 0o600), kms.ErrDenied, "it has 31 bytes", false},
		{write("long", 33, 0o600), kms.ErrDenied, "it has 33 bytes", false},
		{write("group", 32, 0o640), kms.ErrDenied, "permissions are 0640", true},
		{write("world", 32, 0o604), kms.ErrDenied, "chmod 600", true},
		{write("writable", 32, 0o622), kms.ErrDenied, "permissions are 0622", true},
		{dir, kms.ErrDenied, "not a regular file", true},
		{filepath.Join(dir, "none", "kek"), kms.ErrKeyNotFound, "its directory does not exist", false},
		{filepath.Join(dir, "short", "kek"), kms.ErrUnavailable, "", true},
	} {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			if c.unix && runtime.GOOS == "windows" {
				t.Skip("no permission bits")
			}
			_, err := localkms.Open(c.path)
			if !errors.Is(err, c.class) || !strings.Contains(fmt.Sprintf("%+v", err), c.text) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
}
