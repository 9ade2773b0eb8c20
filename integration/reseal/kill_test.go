//go:build unix

package reseal

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/reseal"
)

// resealAndDie is a process of its own: it re-seals when it is told to, and dies at a given step, a step being a
// message to the server or from it, or a call of KMS.
func resealAndDie() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	life, pg, w, err := mortal.Open(ctx)
	if err != nil {
		return err
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), driver.Config{Schema: people, KMS: w})
	if err != nil {
		return err
	}
	db := sql.OpenDB(cn)
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // until the parent says go, by closing it
		return err
	}
	if _, err := reseal.Run(ctx, db, reseal.Options{Batch: 4}); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	life.Report()
	return nil
}

// killed runs a process that re-seals until it is through or dies, and returns its steps: 0 if it died.
func (w *world) killed(t *testing.T, dieAt int64) (steps int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(mortal.Env(w.pg.DSN(), w.kmsURL, dieAt), childEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdout := bufio.NewReader(out)
	if line, err := stdout.ReadString('\n'); line != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("the process says %q, %v\n%s", line, err, &stderr)
	}
	_ = stdin.Close()
	said, _ := io.ReadAll(stdout)
	if steps, err = mortal.Ended(cmd, said, cmd.Wait()); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return steps
}

// A process that re-seals is killed at any of its steps, beside one that writes: every row opens, is found by the
// values that were written last, and the work is taken up where it was left.
func TestKilled(t *testing.T) {
	stride := int64(6) // from another step in each run, so that all come to their turn
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) {
		defer func() { stride = 16 }() // on the second server fewer will do
		const n = 12
		w := newWorld(t, pg, people, "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bytea)")
		fill := func() {
			mustExec(t, pg.Admin, "TRUNCATE people, colseal_keys")
			first := w.open(t, nil)
			for i := range n {
				mustExec(t, first, "INSERT INTO people VALUES ($1, $2, $3, $4)", i, fmt.Sprint("m", i), "s", i)
			}
			w.renew(t, "")
			_ = first.Close()
		}
		fill()
		want := read(t, w)
		steps := w.killed(t, 0)
		died := 0
		for at := 1 + rand.Int64N(stride); at <= steps; at += stride {
			fill()
			writing := w.open(t, nil)
			writes := make(chan error, 1)
			go func() {
				_, err := writing.ExecContext(t.Context(), "UPDATE people SET mail = $1, age = $2 WHERE n = 7", fmt.Sprint("w", at), at)
				writes <- err
			}()
			if w.killed(t, at) == 0 {
				died++
			}
			if err := <-writes; err != nil {
				t.Fatal(err)
			}
			_ = writing.Close()
			want[7] = fmt.Sprint(7, fmt.Sprint("w", at), "s", at)
			again := w.open(t, nil)
			w.db = again
			if got := read(t, w); !slices.Equal(got, want) {
				t.Fatalf("killed at step %d of %d:\n%v\n%v", at, steps, got, want)
			}
			r := w.reseal(t, reseal.Options{})
			w.retire(t)
			_ = again.Close()
			w.db = w.open(t, nil)
			if got := read(t, w); r.Left() != 0 || !slices.Equal(got, want) {
				t.Fatalf("killed at step %d of %d, and run again: %+v\n%v\n%v", at, steps, r, got, want)
			}
			if got := all(t, w.db, "SELECT n FROM people WHERE mail = $1", fmt.Sprint("w", at)); !slices.Equal(got, []string{"7"}) {
				t.Fatalf("killed at step %d of %d: a search finds %v", at, steps, got)
			}
			_ = w.db.Close()
		}
		tried := steps / stride
		if t.Logf("killed at %d of %d steps", died, steps); int64(died) < tried*3/4 {
			t.Error("too few processes were killed")
		}
	})
}
