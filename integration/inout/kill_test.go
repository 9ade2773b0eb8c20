//go:build unix

package inout

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
)

// changeStep stands before the step of a process that changes options of sealed columns.
const changeStep = "change "

// a leg is one step of the way there and back.
type leg struct {
	in bool
	to migrate.Ready
}

var way = []leg{
	{true, migrate.ReadyCopy}, {true, migrate.ReadySealed}, {true, migrate.ReadyOnly}, {true, migrate.ReadySealedOnly},
	{false, migrate.ReadyOnly}, {false, migrate.ReadySealed}, {false, migrate.ReadyCopy}, {false, migrate.ReadyPlain},
}

func (l leg) String() string {
	if l.in {
		return "seal for " + l.to.String()
	}
	return "unseal for " + l.to.String()
}

func (l leg) run(ctx context.Context, db *sql.DB, opts migrate.Options) (migrate.Report, error) {
	if opts.For = l.to; l.in {
		return migrate.Seal(ctx, db, opts)
	}
	return migrate.Unseal(ctx, db, opts)
}

// goAndDie is a process of its own: it takes one step, and dies at a given message to the server or from it, or call of KMS.
func goAndDie() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // who started it waits less
	defer cancel()
	step, change := strings.CutPrefix(os.Getenv(childEnv), changeStep)
	i, err := strconv.Atoi(step)
	if err != nil {
		return err
	}
	life, pg, w, err := mortal.Open(ctx)
	if err != nil {
		return err
	}
	tables := people
	if change {
		tables = accounts
	}
	s, err := tables()
	if err != nil {
		return err
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), driver.Config{Schema: s, KMS: w})
	if err != nil {
		return err
	}
	db := sql.OpenDB(cn)
	if _, err := way[i].run(ctx, db, migrate.Options{MaxBatch: batch}); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	life.Report()
	return nil
}

// killed runs a process that takes a step until it is through or dies, and returns its messages: 0 if it died.
func (w *world) killed(t *testing.T, i int, dieAt int64) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(*loadRows)*time.Millisecond)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	step := strconv.Itoa(i)
	if w.tables != nil {
		step = changeStep + step
	}
	cmd.Env = append(mortal.Env(w.pg.DSN(), w.kmsURL, dieAt), childEnv+"="+step)
	out, err := cmd.Output()
	var exit *exec.ExitError
	steps, ended := mortal.Ended(cmd, out, err)
	if ended != nil {
		if errors.As(err, &exit) {
			t.Fatalf("%s, killed at %d: %v\n%s", way[i], dieAt, ended, exit.Stderr)
		}
		t.Fatal(ended)
	}
	return steps
}

// batch is how long a statement that writes rows takes, as the command has it.
const batch = 50 * time.Millisecond

// stride is from one message at which a process dies to the next, in the sample.
const stride = 19

// Each step is killed at some of its messages, and run again: the rows are the same, and so is what the server has of the table.
func TestKilled(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL)
	w.fill(t, 60)
	want, dump := w.rows(t), w.dump(t)
	died := 0
	for i, l := range way {
		for at := 1 + rand.Int64N(stride); w.killed(t, i, at) == 0; at += stride {
			died++
		}
		w.look(t, l.to, want)
	}
	if got := w.dump(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
	if t.Logf("%d processes were killed", died); died < 5*len(way) {
		t.Error("too few processes were killed")
	}
}
