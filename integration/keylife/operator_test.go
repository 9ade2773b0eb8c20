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
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/keyring"
)

// operate is an operator's process: it does one thing to the keys and dies at a given step of that, a step being a
// message to the database or from it, or a call of KMS.
func operate() error {
	if does, ok := strings.CutPrefix(os.Getenv("OPERATOR_DOES"), "program "); ok {
		return program(does)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	life, pg, w, err := mortal.Open(ctx)
	if err != nil {
		return err
	}
	dieAt := life.Restart(0)
	db := sql.OpenDB(stdlib.GetConnector(*pg))
	defer func() { _ = db.Close() }()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	life.Restart(dieAt) // connecting changes nothing
	a := keyring.NewAdmin(keyring.OpenStore(db, keyring.DialectPostgres, ""), w, keyring.AdminConfig{By: "ann"})
	if err := doTo(ctx, a, os.Getenv("OPERATOR_DOES")); err != nil {
		return err
	}
	life.Report()
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
	case "adopt":
		_, err = a.Adopt(ctx, "killed", keyring.AdoptOptions{Parallel: 2})
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
	cmd.Env = append(mortal.Env(w.pg.DSN(), w.kmsURL(), diesAt), childEnv+"=1", "OPERATOR_DOES="+does)
	said, err := cmd.Output()
	if steps, err = mortal.Ended(cmd, said, err); err != nil {
		t.Fatalf("%s: %v\n%s", does, err, &stderr)
	}
	return steps
}
