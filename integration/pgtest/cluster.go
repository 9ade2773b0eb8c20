//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// programs is one installation of PostgreSQL on this machine.
type programs struct {
	version int
	bin     string // the directory of initdb and postgres
}

// installedPrograms finds the installations that can make a cluster, newest first.
func installedPrograms() []programs {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	more, _ := filepath.Glob("/usr/pgsql-*/bin")
	dirs = append(dirs, more...)
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	var found []programs
	for _, dir := range dirs {
		version := versionOf(dir)
		known := slices.ContainsFunc(found, func(p programs) bool { return p.version == version })
		if version > 0 && !known {
			found = append(found, programs{version: version, bin: dir})
		}
	}
	slices.SortFunc(found, func(a, b programs) int { return b.version - a.version })
	return found
}

var versionDigits = regexp.MustCompile(`PostgreSQL\) (\d+)`)

// versionOf asks the directory's postgres for its major version; 0 when there is none that works.
func versionOf(bin string) int {
	if _, err := os.Stat(filepath.Join(bin, "initdb")); err != nil {
		return 0
	}
	out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	m := versionDigits.FindSubmatch(out)
	if m == nil {
		return 0
	}
	version, _ := strconv.Atoi(string(m[1]))
	return version
}

// startCluster makes a throw-away cluster of the version with programs of this machine.
func startCluster(ctx context.Context, version int) (*server, error) {
	for _, p := range installedPrograms() {
		if p.version == version {
			return startClusterOf(ctx, p)
		}
	}
	return nil, errors.New("no PostgreSQL programs of this version on this machine")
}

func startClusterOf(ctx context.Context, p programs) (*server, error) {
	dir, err := os.MkdirTemp("", "colseal-test-")
	if err != nil {
		return nil, err
	}
	w := ward{Cluster: dir}
	if err := undertake(w); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	attr, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	password := randomHex(16)
	if err := initialise(ctx, p, dir, password, attr); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := append([]string{"-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + dir}, settingArgs()...)
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), args...)
	cmd.Dir, cmd.SysProcAttr = dir, attr
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	s, err := answer(ctx, p, dir, port, password, exited)
	if err != nil {
		return nil, err
	}
	s.ward = w
	return s, nil
}

// answer waits until the cluster's server takes connections.
func answer(ctx context.Context, p programs, dir string, port int, password string, exited <-chan error) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dsn := (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}).String()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if s, err := probe(ctx, dsn, "a cluster of "+p.bin); err == nil {
			return s, nil
		}
		select {
		case err := <-exited:
			if err == nil {
				err = errors.New("exit status 0")
			}
			text, _ := os.ReadFile(filepath.Join(dir, "output"))
			return nil, fmt.Errorf("%s/postgres ended: %w: %s", p.bin, err, text)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s/postgres does not answer: %w", p.bin, ctx.Err())
		case <-tick.C:
		}
	}
}

func initialise(ctx context.Context, p programs, dir, password string, attr *syscall.SysProcAttr) error {
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o644); err != nil { // the directory is 0700
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--no-sync", "--username=postgres", "--encoding=UTF8",
		"--locale=C", "--auth=scram-sha-256", "--pwfile="+secret, "--pgdata="+filepath.Join(dir, "data"))
	cmd.Dir, cmd.SysProcAttr = dir, attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s/initdb: %w: %s", p.bin, err, out)
	}
	return nil
}

// unprivileged gives dir to a user whom PostgreSQL runs for: it refuses root. The server runs in a
// process group of its own, so that an interrupt from the keyboard leaves its end to the janitor.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("running as root, and there is no user postgres or nobody to run a cluster as")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
