package keylife

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// operate is an operator's process: it does one thing to the keys and dies at a given step of that, a step being a
// message to the database or from it, or a call of KMS.
func operate() error {
	if does, ok := strings.CutPrefix(os.Getenv("OPERATOR_DOES"), "program "); ok {
		return program(does)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dieAt, err := strconv.ParseInt(os.Getenv("OPERATOR_DIES_AT"), 10, 64)
	if err != nil {
		return err
	}
	w, err := kms.Open(ctx, os.Getenv("OPERATOR_KMS"))
	if err != nil {
		return err
	}
	pg, err := pgx.ParseConfig(os.Getenv("OPERATOR_DSN"))
	if err != nil {
		return err
	}
	life := mortal.New(0)
	pg.DialFunc = life.Dial(pg.DialFunc)
	db := sql.OpenDB(stdlib.GetConnector(*pg))
	defer func() { _ = db.Close() }()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	life.Restart(dieAt) // connecting changes nothing
	a := keyring.NewAdmin(keyring.OpenStore(db, keyring.Postgres, ""), life.KMS(w), keyring.AdminConfig{By: "ann"})
	if err := doTo(ctx, a, os.Getenv("OPERATOR_DOES")); err != nil {
		return err
	}
	fmt.Println("steps", life.Steps())
	return nil
}

// doTo does to the keys what a line says: "rotate data", "revoke 1234", …
func doTo(ctx context.Context, a *keyring.Admin, line string) error {
	verb, object, _ := strings.Cut(line, " ")
	id, _ := strconv.ParseUint(object, 10, 32)
	var err error
	switch verb {
	case "rotate":
		_, err = a.Rotate(ctx, keyring.Purpose(object), "")
	case "revoke":
		_, err = a.Revoke(ctx, uint32(id), "killed")
	case "retire":
		_, err = a.Retire(ctx, uint32(id), "killed")
	case "destroy":
		_, err = a.Destroy(ctx, object, "killed")
	case "rewrap":
		_, err = a.Rewrap(ctx, keyring.RewrapOptions{Parallel: 2})
	default:
		err = fmt.Errorf("no verb %q", verb)
	}
	return err
}

// operator runs an operator's process until it is done or dies, and returns its steps: 0 if it died.
func (w *world) operator(t *testing.T, does string, diesAt int64) (steps int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), childEnv+"=1", "OPERATOR_DSN="+w.pg.DSN(), "OPERATOR_DOES="+does,
		"OPERATOR_KMS="+w.kmsURL(), "OPERATOR_DIES_AT="+strconv.FormatInt(diesAt, 10), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	said, err := cmd.Output()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return 0
	}
	if _, scanErr := fmt.Sscanf(string(said), "steps %d\n", &steps); err != nil || scanErr != nil {
		t.Fatalf("%s: the operator's process ended with %v, said %q\n%s", does, err, said, &stderr)
	}
	return steps
}
