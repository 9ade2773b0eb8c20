//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// removeCluster stops the server of a cluster, or the PgBouncer, whose directory this is, if it
// runs, and deletes the directory.
func removeCluster(dir string) error {
	for _, name := range []string{filepath.Join("data", "postmaster.pid"), bouncerPID} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(text), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil || pid <= 1 {
			return fmt.Errorf("cluster %s: its %s cannot be read", dir, name)
		}
		stopServer(pid)
	}
	return os.RemoveAll(dir)
}

// stopServer ends a postmaster or a PgBouncer: at once and without a checkpoint, and by force if it
// does not listen.
func stopServer(pid int) {
	signals := []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, signal := range signals {
		if syscall.Kill(pid, signal) != nil {
			return
		}
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) {
			<-tick.C
			if gone(pid) {
				return
			}
		}
	}
}

// gone also counts a zombie as gone: its parent, the test process, may not get to wait for it.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// detach starts cmd in a process group of its own, out of reach of an interrupt from the keyboard.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
