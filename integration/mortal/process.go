//go:build unix

package mortal

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/kms"
)

// The environment by which a test tells a process what it works on and when it dies.
const (
	dsnEnv   = "MORTAL_DSN"
	kmsEnv   = "MORTAL_KMS"
	dieAtEnv = "MORTAL_DIES_AT"
)

// Env returns the environment of a process that calls [Open].
func Env(dsn, kmsURL string, dieAt int64) []string {
	return append(os.Environ(), dsnEnv+"="+dsn, kmsEnv+"="+kmsURL, dieAtEnv+"="+strconv.FormatInt(dieAt, 10),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
}

// Open returns what [Env] named, with the steps of one Life: the settings of connections to the database, and KMS.
func Open(ctx context.Context) (*Life, *pgx.ConnConfig, kms.Wrapper, error) {
	dieAt, err := strconv.ParseInt(os.Getenv(dieAtEnv), 10, 64)
	if err != nil {
		return nil, nil, nil, err
	}
	w, err := kms.Open(ctx, os.Getenv(kmsEnv))
	if err != nil {
		return nil, nil, nil, err
	}
	pg, err := pgx.ParseConfig(os.Getenv(dsnEnv))
	if err != nil {
		return nil, nil, nil, err
	}
	life := New(dieAt)
	pg.DialFunc = life.Dial(pg.DialFunc)
	return life, pg, life.KMS(w), nil
}

// Report prints the number of steps, as the last thing that a process does. [Ended] reads it.
func (l *Life) Report() { fmt.Println("steps", l.Steps()) }

// Ended returns the steps that a process reported before it ended, given what it printed and what Wait returned.
// It returns 0 for a process that was killed.
func Ended(cmd *exec.Cmd, said []byte, err error) (steps int64, _ error) {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return 0, nil
	}
	if _, scanErr := fmt.Sscanf(string(said), "steps %d\n", &steps); err != nil || scanErr != nil {
		return 0, fmt.Errorf("the process ended with %w, said %q", err, said)
	}
	return steps, nil
}
