//go:build unix

package integration

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
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

func init() { children["letters"] = writeLetters }

// letters has a column of each mode, so that a writer needs a key of each purpose.
var letters = schema.Must(schema.Columns("letters",
	schema.Column{Name: "sender", Mode: schema.ModeDeterministic}, schema.Column{Name: "body"}))

const (
	lettersDDL  = "CREATE TABLE letters (id bigserial PRIMARY KEY, writer text, sender bytea, body bytea)"
	lettersEach = 3 // how many a process writes
)

// writeLetters is a process of its own: it opens the database when it is told to, writes letters and dies at a
// given step, a step being a message to the server or from it, or a call of KMS.
func writeLetters() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	life, pg, w, err := mortal.Open(ctx)
	if err != nil {
		return err
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg),
		driver.Config{Schema: letters, KMS: w, AutoCreateKeyTable: true})
	if err != nil {
		return err
	}
	db := sql.OpenDB(cn)
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // until the parent says go, by closing it
		return err
	}
	for i := range lettersEach {
		if _, err := db.ExecContext(ctx, "INSERT INTO letters (writer, sender, body) VALUES ($1, $2, $3)",
			os.Getenv("LETTERS_WRITER"), "everybody", fmt.Sprint("letter ", i)); err != nil {
			return err
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	life.Report()
	return nil
}

// process is a running writeLetters.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// startLetters starts a process and waits until it is ready to go. It is killed when the test ends, at the latest.
func startLetters(t *testing.T, pg *pgtest.DB, srv *kmstest.Server, writer string, dieAt int64) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p := &process{cmd: exec.CommandContext(ctx, os.Args[0])}
	p.cmd.Stderr = &p.stderr
	p.cmd.Env = append(mortal.Env(pg.DSN(), "awskms:///"+alias+"?region="+kmstest.DefaultRegion+"&endpoint="+srv.URL(), dieAt),
		childEnv+"=letters", "LETTERS_WRITER="+writer)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := p.stdout.ReadString('\n'); line != "ready\n" {
		_ = p.cmd.Wait()
		t.Fatalf("the process says %q, %v\n%s", line, err, &p.stderr)
	}
	return p
}

// end tells the process to go, if it was not, waits for it and returns how many steps it made: 0 if it was killed.
func (p *process) end(t *testing.T) (steps int64) {
	t.Helper()
	_ = p.stdin.Close()
	said, _ := io.ReadAll(p.stdout)
	steps, err := mortal.Ended(p.cmd, said, p.cmd.Wait())
	if err != nil {
		t.Fatalf("%v\n%s", err, &p.stderr)
	}
	return steps
}

// emptyKeyring makes the database one that nobody has sealed anything in.
func emptyKeyring(t *testing.T, pg *pgtest.DB) {
	t.Helper()
	mustExec(t, pg.Admin, "DROP TABLE IF EXISTS colseal_keys; DROP TABLE IF EXISTS letters; "+lettersDDL)
}

// checkLetters opens every letter as a new process would, writes one more, and wants one key per purpose.
func checkLetters(t *testing.T, pg *pgtest.DB, srv *kmstest.Server, least int) {
	t.Helper()
	db, err := openConfig(pg.DSN(), pgx.QueryExecModeCacheStatement,
		driver.Config{Schema: letters, KMS: awskms.New(srv.Client(t), alias), AutoCreateKeyTable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("INSERT INTO letters (writer, sender, body) VALUES ('test', 'everybody', 'letter 9')"); err != nil {
		t.Fatalf("nobody can write any more: %v", err)
	}
	stored := scanOne[int](t, pg.Admin, "SELECT count(*) FROM letters")
	if stored < least+1 {
		t.Errorf("%d letters, want at least %d", stored, least+1)
	}
	if found := scanOne[int](t, db, "SELECT count(*) FROM letters WHERE sender = $1", "everybody"); found != stored {
		t.Errorf("%d of %d letters are found by their sender", found, stored)
	}
	rows, err := db.Query("SELECT sender, body FROM letters")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var sender, body string
		if err := rows.Scan(&sender, &body); err != nil {
			t.Fatal(err)
		}
		if sender != "everybody" || !strings.HasPrefix(body, "letter ") {
			t.Errorf("a letter reads %q, %q", sender, body)
		}
	}
	if err := rows.Err(); err != nil {
		t.Errorf("a cell without its key: %v", err)
	}
	if keys := scanOne[string](t, pg.Admin, "SELECT string_agg(purpose, ' ' ORDER BY purpose) FROM colseal_keys"); keys != "data keyring search" {
		t.Errorf("keys for the purposes %q, want one for data, one for search and the keyring's id", keys)
	}
}

// TestTwoProcessesMakeOneKey starts two processes at once where there is no key, and not even a table of keys.
func TestTwoProcessesMakeOneKey(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		srv := newKMS(t)
		raced := 0
		for i := range 10 {
			emptyKeyring(t, pg)
			srv.Reset()
			if i == 5 {
				srv.Slow(50 * time.Millisecond) // from here on, the second surely asks before the first has its answer
			}
			one := startLetters(t, pg, srv, "one", 0)
			two := startLetters(t, pg, srv, "two", 0)
			_, _ = one.stdin.Close(), two.stdin.Close()
			if one.end(t) == 0 || two.end(t) == 0 {
				t.Fatal("a process was killed")
			}
			if srv.Calls("GenerateDataKey") > 2 {
				raced++
			}
			checkLetters(t, pg, srv, 2*lettersEach)
		}
		if raced == 0 {
			t.Error("the processes never raced")
		}
		t.Logf("in %d of 10 starts both processes asked KMS for a key, and one of them threw it away", raced)
	})
}

// TestKilledProcessLeavesNoCellWithoutItsKey kills a process at each of its steps, alone and beside another one.
func TestKilledProcessLeavesNoCellWithoutItsKey(t *testing.T) {
	stride := int64(2) // from another step in each run, so that all come to their turn
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) {
		defer func() { stride = 4 }() // on the second server fewer will do
		srv := newKMS(t)
		emptyKeyring(t, pg)
		steps := startLetters(t, pg, srv, "counter", 0).end(t)
		checkLetters(t, pg, srv, lettersEach)
		killed, tried := 0, 0
		for at := 1 + rand.Int64N(stride); at <= steps; at += stride {
			tried++
			emptyKeyring(t, pg)
			if startLetters(t, pg, srv, "victim", at).end(t) == 0 {
				killed++
			}
			checkLetters(t, pg, srv, 0)
			if t.Failed() {
				t.Fatalf("killed at step %d of %d", at, steps)
			}
		}
		// What happens in the background differs from run to run, so the last steps may not be reached.
		if t.Logf("killed at %d of %d steps", killed, steps); killed < tried*3/4 {
			t.Error("too few processes were killed")
		}
		for range 5 {
			at := 1 + rand.Int64N(steps)
			emptyKeyring(t, pg)
			victim, survivor := startLetters(t, pg, srv, "victim", at), startLetters(t, pg, srv, "survivor", 0)
			_, _ = victim.stdin.Close(), survivor.stdin.Close()
			victim.end(t)
			survivor.end(t)
			checkLetters(t, pg, srv, lettersEach)
			if t.Failed() {
				t.Fatalf("killed at step %d beside another process", at)
			}
		}
	})
}
