//go:build unix

package inout

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// before are the stages of the programs that run when a step of the way begins, and after is one that may be beside them when it is through.
var (
	before = [][]schema.Stage{{unaware, schema.StageCopy}, {schema.StageCopy}, {schema.StageSealed}, {schema.StageOnly},
		{schema.StageOnly}, {schema.StageSealed}, {schema.StageCopy}, {unaware}}
	after = []schema.Stage{schema.StageCopy, schema.StageSealed, schema.StageOnly, schema.StageOnly,
		schema.StageSealed, schema.StageCopy, unaware, unaware}
)

// An old transaction is one of REPEATABLE READ, of a program that has rows of its own.
type old struct {
	program
	tx     *sql.Tx
	held   bool // it has read the tables before the step, so that it holds locks of them
	rows   [2]int64
	failed int // writes of rows that the step has written since the transaction began (40001)
}

// begin begins a transaction before a step.
func (o *old) begin(t *testing.T) {
	t.Helper()
	var err error
	if o.tx, err = o.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead}); err != nil {
		t.Fatal(err)
	}
	mustExec(t, o.tx, "SELECT 1 FROM other")
	if o.held {
		o.reads(t, "before")
	}
}

// reads compares what the transaction finds with what it finds in the twin.
func (o *old) reads(t *testing.T, when string) {
	t.Helper()
	first := fmt.Sprintf("m%d@x", o.rows[0])
	for _, q := range []struct {
		sql     string
		columns int
		args    []any
	}{
		{"SELECT id, mail, ssn, age, note FROM %speople ORDER BY id", 5, nil},
		{"SELECT id, mail, body FROM %sletters ORDER BY id", 3, nil},
		{"SELECT id, ssn FROM %speople WHERE mail = $1", 2, []any{first}},
		{"SELECT p.id, p.mail, l.id, l.mail FROM %[1]speople p JOIN %[1]sletters l ON l.mail = p.mail ORDER BY 1, 3", 4, nil},
		{"SELECT id, address, age FROM %sadults WHERE address IN ($1, 'm3@x') ORDER BY id", 3, []any{first}},
		{"SELECT id, age FROM %speople WHERE age >= $1 ORDER BY id", 2, []any{50}},
		{"SELECT * FROM %speople WHERE id < $1 ORDER BY id", 5, []any{20}},
	} {
		if o.stage == unaware && q.args != nil && q.args[0] == 20 {
			continue // * shows it the companions, and fails once (0A000)
		}
		if err := o.same(o.tx, q.sql, q.columns, q.args...); err != nil {
			t.Fatalf("%s: a transaction of a program in %q: %v", when, o.stage, err)
		}
	}
}

// writes does the same to the tables and their twins: to rows that the transaction makes, and to some that were there.
func (o *old) writes(t *testing.T, when string) {
	t.Helper()
	do := func(made bool, query string, args ...any) {
		t.Helper()
		err := o.both(o.tx, query, args...)
		if !made && dbcatalog.SQLState(err) == "40001" {
			o.failed++
			_, err = o.tx.ExecContext(t.Context(), "ROLLBACK TO s")
		}
		if err != nil {
			t.Fatalf("%s: a transaction of a program in %q: %s: %v", when, o.stage, query, err)
		}
	}
	const insert = "INSERT INTO %speople (id, mail, ssn, age, note) VALUES ($1, $2, $3, $4, 'n')"
	o.next++
	id, mail, there := o.id(o.next), o.mail(o.next), o.rows[0]
	do(true, insert, id, mail, "s", 70)
	do(true, insert, id+1000, mail, "a duplicate", 70)
	do(true, "UPDATE %speople SET ssn = $1, age = $2 WHERE mail = $3", "u", nil, mail)
	do(true, insert+" ON CONFLICT (mail) DO UPDATE SET ssn = excluded.ssn, age = excluded.age", id+1000, mail, "again", 71)
	do(true, "INSERT INTO %sletters (id, mail, body) VALUES ($1, $2, 'b')", id, mail)
	do(true, insert, id+2000, mail+"x", nil, 72)
	do(true, "DELETE FROM %speople WHERE mail = $1", mail+"x")
	do(false, "UPDATE %speople SET mail = $1, ssn = $2 WHERE id = $3", fmt.Sprintf("%d%s", there, mail), nil, there)
	do(false, "UPDATE %speople SET age = $1 WHERE mail = $2", 73, fmt.Sprintf("m%d@x", there+1))
	do(false, insert+" ON CONFLICT (mail) DO UPDATE SET ssn = excluded.ssn", id+3000, fmt.Sprintf("m%d@x", there+2), "upsert", 74)
	do(false, "DELETE FROM %speople WHERE mail = $1", fmt.Sprintf("m%d@x", there+3))
	o.reads(t, when+", after it wrote")
}

// commit ends the transaction, and has its program do in a new one what failed in it.
func (o *old) commit(t *testing.T, when string) {
	t.Helper()
	if err := o.tx.Commit(); err != nil {
		t.Fatalf("%s: a transaction of a program in %q: %v", when, o.stage, err)
	}
	if o.failed == 0 {
		return
	}
	failed := o.failed
	for before := -1; o.failed != before; { // the step may still be writing
		before = o.failed
		o.begin(t)
		o.writes(t, when+", again")
		if err := o.tx.Commit(); err != nil || o.failed > 10*failed {
			t.Fatalf("%s: another transaction of a program in %q: %d failed, %v", when, o.stage, o.failed-failed, err)
		}
	}
	o.failed = failed
}

// Transactions of REPEATABLE READ that began before a step find and write what a twin of plain values has, while the step is taken and when it is through.
func TestOldTransactions(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, tablesDDL+twinDDL+"CREATE TABLE other (id bigint)")
	w.fill(t, 130)
	mustExec(t, pg.Admin, `INSERT INTO twin_people SELECT id, mail, ssn, age, note FROM people; INSERT INTO twin_letters SELECT id, mail, body FROM letters`)
	programs, again := 0, 0
	open := func(stage schema.Stage, held bool) *old {
		o := &old{program: program{n: programs + 1, stage: stage}, held: held}
		o.rows[0] = int64(programs*5 + 1)
		programs++
		if stage == unaware {
			cfg, err := pgx.ParseConfig(pg.DSN())
			if err != nil {
				t.Fatal(err)
			}
			o.db = stdlib.OpenDB(*cfg)
			t.Cleanup(func() { _ = o.db.Close() })
		} else {
			o.db = w.in(t, stage)
		}
		o.begin(t)
		return o
	}
	for i, l := range way {
		var olds []*old
		for _, stage := range before[i] {
			olds = append(olds, open(stage, true), open(stage, false))
		}
		through := make(chan error, 1)
		var report migrate.Report
		go func() {
			var err error
			report, err = l.run(t.Context(), w.db, migrate.Options{})
			through <- err
		}()
		ended := false
		wait := func(most time.Duration) {
			if ended {
				return
			}
			select {
			case err := <-through:
				if ended = true; err != nil {
					t.Fatalf("%s: %v", l, err)
				}
			case <-time.After(most):
			}
		}
		end := func(held bool) {
			for _, o := range olds {
				if o.held == held {
					o.reads(t, l.String())
					o.writes(t, l.String())
					o.commit(t, l.String())
				}
			}
		}
		wait(50 * time.Millisecond)
		end(true)
		if builds := i == 1 || i == 5; builds { // CREATE INDEX CONCURRENTLY waits for older transactions
			wait(200 * time.Millisecond)
		} else {
			if wait(time.Minute); !ended {
				t.Fatalf("%s waits for transactions that hold no lock", l)
			}
			o := open(after[i], true) // deployed meanwhile
			o.writes(t, l.String())
			o.commit(t, l.String())
			olds = append(olds, o)
		}
		for _, o := range olds[:2*len(before[i])] {
			if !o.held {
				o.reads(t, l.String())
			}
		}
		end(false)
		wait(time.Minute)
		if !ended {
			t.Fatalf("%s does not end", l)
		}
		failed := 0
		for _, o := range olds {
			failed += o.failed
			if err := o.db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if again += failed; failed > 0 && report.Sealed+report.Opened+report.Cleared == 0 {
			t.Errorf("%s: it changes no values, and %d writes failed", l, failed)
		}
		if l.to == migrate.ReadyCopy { // programs that do not know the companions wrote
			w.goTo(t, way[0])
		}
		w.look(t, l.to, append(all(t, pg.Admin, "SELECT concat_ws('|', id, mail, coalesce(ssn, '-'), coalesce(age::text, '-'), note) FROM twin_people ORDER BY id"),
			all(t, pg.Admin, "SELECT concat_ws('|', id, coalesce(mail, '-'), body) FROM twin_letters ORDER BY id")...))
	}
	if t.Logf("%d programs, %d writes were done again", programs, again); again == 0 {
		t.Error("no transaction was older than what a step wrote")
	}
}

// A transaction that goes on when its program was closed counts for the stage: a step waits until its lease ends.
func TestClosedInTransaction(t *testing.T) {
	w := newWorld(t, pgtest.New(t), tablesDDL)
	w.fill(t, 20)
	w.goTo(t, way[:2]...)
	db := w.in(t, schema.StageCopy)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	_, err = lines(tx.QueryContext(t.Context(), "SELECT id FROM people"))(1)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := way[2].run(t.Context(), w.db, migrate.Options{}); !errors.Is(err, migrate.ErrPrograms) {
		t.Errorf("%s while a transaction in copy goes on: %v", way[2], err)
	}
}
