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
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const bouncerPID = "pgbouncer.pid"

// startBouncer starts a PgBouncer in front of a server, and returns its address: a DSN without a
// database.
func startBouncer(ctx context.Context, s *server, pool int) (string, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return "", errors.New("there is no pgbouncer on this machine (Debian's package is pgbouncer)")
		}
	}
	dir, err := os.MkdirTemp("", "colseal-test-")
	if err != nil {
		return "", err
	}
	if err := undertake(ward{Cluster: dir}); err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	attr, err := unprivileged(dir) // it refuses root, too
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	settings := filepath.Join(dir, "pgbouncer.ini")
	text, err := bouncerSettings(s, dir, port, pool)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil { // the directory is 0700
		return "", err
	}
	cmd := exec.Command(program, "-q", settings)
	cmd.Dir, cmd.SysProcAttr = dir, attr
	if err := cmd.Start(); err != nil {
		return "", err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	address := (&url.URL{
		Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), RawQuery: "sslmode=disable",
	}).String()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return address, conn.Close()
		}
		select {
		case err := <-exited:
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return "", fmt.Errorf("pgbouncer ended: %w: %s", err, log)
		case <-ctx.Done():
			return "", fmt.Errorf("pgbouncer does not answer: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// bouncerSettings pools transactions. Whoever asks is let in as the server's superuser.
func bouncerSettings(s *server, dir string, port, pool int) (string, error) {
	cfg, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		return "", errors.New("the server's address cannot be read") // it may hold a password
	}
	return fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 500
pidfile = %s
logfile = %s
`, cfg.Host, cfg.Port, cfg.User, cfg.Password, port, pool, filepath.Join(dir, bouncerPID), filepath.Join(dir, "log")), nil
}
