//go:build unix

package inout

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// The sample is on the newest server alone. For what the page says:
// -inout.full -inout.rows 1000000 -inout.batch 0 -inout.think 2s -inout.programs 50 -inout.kills 6 -inout.hold 30s.
var (
	loadRows     = flag.Int("inout.rows", 50_000, "rows of the table under load")
	loadPrograms = flag.Int("inout.programs", 50, "programs that read and write it")
	loadKills    = flag.Int("inout.kills", 2, "processes that are killed in each step")
	loadHold     = flag.Duration("inout.hold", time.Second, "how long a transaction holds the table in each step")
	loadThink    = flag.Duration("inout.think", 500*time.Millisecond, "a program's pause between two transactions")
	loadBatch    = flag.Duration("inout.batch", batch, "how long a statement that writes rows takes; 0 for no bound and no pause")
	loadFull     = flag.Bool("inout.full", false, "on each server")
)

// twinDDL makes the same tables of plain values.
const twinDDL = `
CREATE TABLE twin_people (id bigint PRIMARY KEY, mail text NOT NULL UNIQUE, ssn text, age integer, note text);
CREATE TABLE twin_letters (id bigint PRIMARY KEY, mail text REFERENCES twin_people (mail) ON DELETE SET NULL, body text);
CREATE INDEX letters_mail ON letters (mail);
CREATE INDEX twin_letters_mail ON twin_letters (mail);
CREATE VIEW twin_adults AS SELECT id, mail AS address, age FROM twin_people WHERE note = 'n' AND mail IS NOT NULL;`

// stages of a program; unaware is one without Colseal.
const unaware = schema.StageNone

// load is programs that read and write both tables and their twins, each with rows of its own.
type load struct {
	t        *testing.T
	w        *world
	programs []*program
	phase    atomic.Value
	ops      atomic.Int64
	changed  atomic.Int64 // statements that failed as the page says: 0A000,
	twice    atomic.Int64 // and 23505 of upserts of one new value at one moment
	both     atomic.Bool  // both columns are UNIQUE
	pids     map[string]bool
	shared   atomic.Int64 // upserts of values that several programs have
	died     int          // processes that were killed in a step
	end      context.CancelFunc
	running  sync.WaitGroup
}

// program is one process, which is deployed again and again.
type program struct {
	l     *load
	n     int
	next  int64
	mu    sync.Mutex // guards db, find and stage: a deployment waits for the statement that runs
	db    *sql.DB
	find  *sql.Stmt // kept while the process lives
	stage schema.Stage
	told  map[int]bool // statements that have failed once, as what * stands for has changed
}

// deploy starts the process again in a stage.
func (p *program) deploy(stage schema.Stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db != nil {
		began := time.Now()
		if err := p.db.Close(); err != nil || time.Since(began) > time.Second {
			p.l.t.Logf("ending took %s: %v", time.Since(began), err)
		}
	}
	pg, err := pgx.ParseConfig(p.l.w.pg.DSN())
	if err != nil {
		p.l.t.Fatal(err)
	}
	pg.RuntimeParams["application_name"] = "program"
	cn := stdlib.GetConnector(*pg)
	if p.stage, p.told = stage, map[int]bool{}; stage == unaware {
		p.db = sql.OpenDB(cn)
	} else {
		s, err := people()
		if err != nil {
			p.l.t.Fatal(err)
		}
		cfg := driver.Config{Schema: s, KMS: p.l.w.kms, Stages: map[string]schema.Stage{"people": stage, "letters": stage}}
		sealed, err := driver.NewConnector(cn, cfg)
		if err != nil {
			p.l.t.Fatal(err)
		}
		p.db = sql.OpenDB(sealed)
	}
	p.db.SetMaxOpenConns(1)
	var pid string
	if err := p.db.QueryRow("SELECT pg_backend_pid()::text").Scan(&pid); err != nil {
		p.l.t.Fatal(err)
	}
	p.l.pids[pid] = true
	if p.find, err = p.db.Prepare("SELECT id, ssn, age FROM people WHERE mail = $1"); err != nil {
		p.l.t.Fatalf("%s: a program in %q prepares: %v", p.l.phase.Load(), stage, err)
	}
}

func (l *load) start(n int) {
	ctx, cancel := context.WithCancel(l.t.Context())
	l.end = cancel
	l.t.Cleanup(l.stop)
	for i := range n {
		p := &program{l: l, n: i + 1}
		p.deploy(unaware)
		l.programs = append(l.programs, p)
		l.running.Go(func() {
			for ctx.Err() == nil && !l.t.Failed() {
				p.mu.Lock()
				p.work()
				p.mu.Unlock()
				time.Sleep(*loadThink/2 + rand.N(*loadThink))
			}
		})
	}
}

func (l *load) stop() {
	l.end()
	l.running.Wait()
	for _, p := range l.programs {
		_ = p.db.Close()
	}
}

// deploy deploys programs one by one.
func (l *load) deploy(stage schema.Stage, programs []*program) {
	for _, p := range programs {
		p.deploy(stage)
	}
}

// mail is one of a program's own values.
func (p *program) mail(i int64) string { return fmt.Sprintf("w%d-%d@example", p.n, i) }

func (p *program) id(i int64) int64 { return int64(p.n)*1_000_000_000 + i }

// work does one thing to both tables, in one transaction, and compares.
func (p *program) work() {
	p.l.ops.Add(1)
	kind := rand.IntN(14)
	if err := p.try(kind); err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == "0A000" && p.stage == unaware && !p.told[kind] {
			p.told[kind] = true
			p.l.changed.Add(1)
			return
		}
		if errors.As(err, &pe) && pe.Code == "23505" && kind == 12 && p.l.both.Load() {
			p.l.twice.Add(1)
			return
		}
		if p.l.t.Context().Err() == nil {
			p.l.t.Errorf("%s: a program in stage %q, statement %d: %v", p.l.phase.Load(), p.stage, kind, err)
		}
	}
}

func (p *program) try(kind int) error {
	ctx := context.Background()
	opts := &sql.TxOptions{}
	if kind >= 7 && kind != 12 { // readers compare in one snapshot
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := p.db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	i := rand.Int64N(max(p.next, 1))
	age := func() any {
		if rand.IntN(10) == 0 {
			return nil
		}
		return rand.IntN(100)
	}
	switch kind {
	case 0, 1:
		p.next++
		err = p.both(tx, "INSERT INTO %speople (id, mail, ssn, age, note) VALUES ($1, $2, $3, $4, 'n')", p.id(p.next), p.mail(p.next), fmt.Sprint("s", p.next), age())
	case 2: // a value that is there, or not any more
		p.next++
		err = p.both(tx, "INSERT INTO %speople (id, mail, ssn, age, note) VALUES ($1, $2, $3, $4, 'n')", p.id(p.next), p.mail(i), "dup", age())
	case 3:
		err = p.both(tx, "UPDATE %speople SET ssn = $1, age = $2 WHERE id = $3", fmt.Sprint("u", rand.IntN(1000)), age(), p.id(i))
	case 4:
		err = p.both(tx, "UPDATE %speople SET note = $1, age = $2 WHERE mail = $3", "n", age(), p.mail(i))
	case 5:
		p.next++
		err = p.both(tx, "INSERT INTO %speople (id, mail, ssn, age, note) VALUES ($1, $2, $3, $4, 'n') ON CONFLICT (mail) DO UPDATE SET ssn = excluded.ssn, age = excluded.age",
			p.id(p.next), p.mail(i), fmt.Sprint("c", p.next), age())
	case 6:
		switch rand.IntN(3) {
		case 0:
			p.next++
			err = p.both(tx, "INSERT INTO %sletters (id, mail, body) VALUES ($1, $2, 'b')", p.id(p.next), p.mail(i))
		case 1:
			err = p.both(tx, "DELETE FROM %speople WHERE mail = $1", p.mail(i))
		default:
			p.next++
			err = p.both(tx, "UPDATE %speople SET mail = $1 WHERE id = $2", p.mail(p.next), p.id(i))
		}
	case 7:
		err = p.same(tx, "SELECT * FROM %speople WHERE id = $1", 5, p.id(i))
	case 8:
		err = p.same(tx, "SELECT p.id, p.mail, l.id, l.mail, p.age FROM %[1]speople p JOIN %[1]sletters l ON l.mail = p.mail WHERE p.id BETWEEN $1 AND $2 ORDER BY 1, 3", 5, p.id(0), p.id(1<<20))
	case 9:
		err = p.same(tx, "SELECT id, address, age FROM %sadults WHERE address IN ($1, $2) ORDER BY id", 3, p.mail(i), p.mail(rand.Int64N(max(p.next, 1))))
	case 10:
		err = p.same(tx, "SELECT id, mail, age FROM %speople WHERE id BETWEEN $1 AND $2 AND age >= $3 ORDER BY id", 3, p.id(0), p.id(1<<20), rand.IntN(100))
	case 11:
		err = p.found(tx, p.mail(i))
	case 12: // of one new value, at one moment
		p.next++
		mail := fmt.Sprintf("shared%d@example", p.l.shared.Add(1)/8)
		for _, prefix := range []string{"", "twin_"} {
			if _, err = tx.Exec("INSERT INTO "+prefix+"people (id, mail, ssn, age, note) VALUES ($1, $2, $3, 7, 'n') ON CONFLICT (mail) DO UPDATE SET ssn = excluded.ssn",
				p.id(p.next), mail, fmt.Sprint("v", p.next)); err != nil {
				break
			}
		}
	default: // a snapshot that is older than what happened meanwhile
		if _, err = tx.Exec("SELECT 1 FROM twin_letters LIMIT 1"); err == nil {
			time.Sleep(rand.N(500 * time.Millisecond))
			err = p.same(tx, "SELECT * FROM %speople WHERE id BETWEEN $1 AND $2 ORDER BY id", 5, p.id(0), p.id(1<<20))
		}
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// refusal is the class of an error with which the server refuses a row; "" for none.
func refusal(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && (pe.Code == "23505" || pe.Code == "23503") {
		return pe.Code
	}
	return ""
}

// both does the same to a table and its twin: both take it, for as many rows, or both refuse it.
func (p *program) both(tx *sql.Tx, query string, args ...any) error {
	var rows [2]int64
	var refused [2]string
	for i, prefix := range []string{"", "twin_"} {
		if _, err := tx.Exec("SAVEPOINT s"); err != nil {
			return err
		}
		r, err := tx.Exec(fmt.Sprintf(query, prefix), args...)
		if refused[i] = refusal(err); err != nil && refused[i] == "" {
			return err
		}
		end := "RELEASE s"
		if err == nil {
			rows[i], _ = r.RowsAffected()
		} else {
			end = "ROLLBACK TO s"
		}
		if _, err := tx.Exec(end); err != nil {
			return err
		}
	}
	if rows[0] != rows[1] || refused[0] != refused[1] {
		return fmt.Errorf("%s: %d rows, refused %q; the twin %d, %q", query, rows[0], refused[0], rows[1], refused[1])
	}
	return nil
}

// same compares what a query finds in the tables and in the twins.
func (p *program) same(tx *sql.Tx, query string, columns int, args ...any) error {
	got, err := lines(tx.Query(fmt.Sprintf(query, ""), args...))(columns)
	if err != nil {
		return err
	}
	want, err := lines(tx.Query(fmt.Sprintf(query, "twin_"), args...))(columns)
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("%s finds %v, in the twin %v", query, got, want)
	}
	return err
}

// found compares what the statement finds that the program has kept since it started.
func (p *program) found(tx *sql.Tx, mail string) error {
	got, err := lines(tx.Stmt(p.find).Query(mail))(3)
	if err != nil {
		return err
	}
	want, err := lines(tx.Query("SELECT id, ssn, age FROM twin_people WHERE mail = $1", mail))(3)
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("a kept statement finds %v, in the twin %v", got, want)
	}
	return err
}

// lines reads the first columns of rows.
func lines(rows *sql.Rows, err error) func(int) ([]string, error) {
	return func(columns int) ([]string, error) {
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		var out []string
		all, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			values, into := make([]any, len(all)), make([]any, len(all))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return nil, err
			}
			line := fmt.Sprintln(values[:columns]...) // the same of a number and of its text
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
		return out, rows.Err()
	}
}

// step takes one step, in processes that are killed again and again before one is let through.
func (l *load) step(i int) {
	l.phase.Store(way[i].String())
	ended := make(chan struct{})
	var holder sync.WaitGroup
	defer holder.Wait()
	defer close(ended)
	holder.Go(func() { l.hold(ended) })
	at := 1 + rand.Int64N(2*stride)
	for n := 0; n < *loadKills && !l.t.Failed(); n++ {
		if l.w.killed(l.t, i, at) > 0 {
			return
		}
		l.died++
		at += rand.Int64N(6 * stride)
	}
	if l.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), keyring.StageLease+5*time.Minute+5*time.Duration(*loadRows)*time.Millisecond)
	defer cancel()
	began := time.Now()
	r, err := way[i].run(ctx, l.w.db, migrate.Options{MaxBatch: *loadBatch, Notice: func(s string) { l.t.Log(s) }})
	for errors.Is(err, migrate.ErrPrograms) && ctx.Err() == nil { // one could not say that it ended, and counts until its lease ends
		l.t.Log(err, all(l.t, l.w.pg.Admin, "SELECT concat_ws(' ', process, place, stage, writes, now() - seen_at) FROM colseal_keys_stages WHERE seen_at < 'infinity' AND stage IN (SELECT stage FROM colseal_keys_stages GROUP BY stage HAVING count(DISTINCT process) < 4)"))
		time.Sleep(10 * time.Second)
		r, err = way[i].run(ctx, l.w.db, migrate.Options{MaxBatch: *loadBatch})
	}
	if err != nil {
		l.t.Fatalf("%s: %v", way[i], err)
	}
	l.t.Logf("%s: sealed %d, opened %d, cleared %d in %s; %d transactions", way[i], r.Sealed, r.Opened, r.Cleared, time.Since(began).Round(time.Millisecond), l.ops.Load())
}

// hold holds the table, as a long query does, once in a step.
func (l *load) hold(ended <-chan struct{}) {
	tx, err := l.w.pg.Admin.Begin()
	if err == nil {
		_, err = tx.Exec("LOCK TABLE people IN ACCESS SHARE MODE")
	}
	if err != nil {
		l.t.Error(err)
		return
	}
	select {
	case <-time.After(*loadHold):
	case <-ended:
	}
	if err := tx.Rollback(); err != nil {
		l.t.Error(err)
	}
}

// Programs read and write while columns go in and out again, deployed one by one, some of them
// without Colseal until sealed, the commands killed. What they find is what a twin of plain values
// has, nobody waits for a command, and in the end all is as it was.
func TestUnderLoad(t *testing.T) {
	switch {
	case *loadFull:
		pgtest.Each(t, underLoad)
		return
	case pgtest.Race:
		*loadPrograms = min(*loadPrograms, 8)
	}
	underLoad(t, pgtest.New(t))
}

func underLoad(t *testing.T, pg *pgtest.DB) {
	w := newWorld(t, pg, tablesDDL+twinDDL)
	w.fill(t, *loadRows)
	mustExec(t, pg.Admin, `INSERT INTO twin_people SELECT id, mail, ssn, age, note FROM people; INSERT INTO twin_letters SELECT id, mail, body FROM letters; ANALYZE`)
	dump, waits := w.dump(t), watchLocks(t, pg)
	l := &load{t: t, w: w, pids: map[string]bool{}}
	l.phase.Store("before")
	l.start(*loadPrograms)
	half, rest := l.programs[:len(l.programs)/2], l.programs[len(l.programs)/2:]
	l.deploy(schema.StageCopy, half)
	l.step(0)
	l.deploy(schema.StageCopy, rest)
	l.deploy(schema.StageCopy, half) // at once what comes by and by: it knows the companions
	l.both.Store(true)
	l.step(1)
	l.deploy(schema.StageSealed, l.programs)
	l.step(2)
	l.both.Store(false)
	l.deploy(schema.StageOnly, l.programs)
	l.step(3)
	time.Sleep(time.Second)
	l.step(4)
	l.deploy(schema.StageSealed, l.programs)
	l.both.Store(true)
	l.step(5)
	l.deploy(schema.StageCopy, l.programs)
	l.step(6)
	l.both.Store(false)
	l.deploy(unaware, l.programs)
	l.step(7)
	time.Sleep(time.Second)
	l.stop()
	for _, q := range []string{"SELECT concat_ws('|', id, mail, ssn, age, note) FROM %speople ORDER BY id", "SELECT concat_ws('|', id, mail, body) FROM %sletters ORDER BY id"} {
		got, want := all(t, pg.Admin, fmt.Sprintf(q, "")), all(t, pg.Admin, fmt.Sprintf(q, "twin_"))
		if !slices.Equal(got, want) {
			t.Errorf("in the end the tables differ from the twins: %d rows and %d", len(got), len(want))
		}
	}
	if got := w.dump(t); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
	waits(l.pids)
	t.Logf("%d transactions, %d processes were killed; statements that failed as the page says: %d of programs without Colseal, %d upserts", l.ops.Load(), l.died, l.changed.Load(), l.twice.Load())
	if l.ops.Load() < int64(*loadPrograms)*50 {
		t.Error("there was not much load")
	}
}

var waiting = regexp.MustCompile(`(\S*) LOG:  process (\d+) still waiting for (.*)\n.*DETAIL:  Process(?:es)? holding the locks?: ([\d, ]*)\.`)

// watchLocks has the server log whoever waits for a lock for 500 ms. The function that it returns
// fails the test for programs that waited, but for one another.
func watchLocks(t *testing.T, pg *pgtest.DB) func(programs map[string]bool) {
	mustExec(t, pg.Admin, "ALTER SYSTEM SET log_line_prefix = '%m [%p] %a '")
	mustExec(t, pg.Admin, "ALTER SYSTEM SET log_lock_waits = on")
	mustExec(t, pg.Admin, "ALTER SYSTEM SET deadlock_timeout = '500ms'")
	mustExec(t, pg.Admin, "SELECT pg_reload_conf()")
	t.Cleanup(func() {
		mustExec(t, pg.Admin, "ALTER SYSTEM RESET ALL")
		mustExec(t, pg.Admin, "SELECT pg_reload_conf()")
	})
	read := func() string {
		return all(t, pg.Admin, "SELECT encode(pg_read_binary_file(pg_current_logfile()), 'escape')")[0]
	}
	begin := len(read())
	// It hears: one transaction waits for another one. A busy server takes its time to read its new settings.
	for n := 0; !strings.Contains(read()[begin:], "control LOG:  process"); n++ {
		if n == 20 {
			t.Fatal("the server does not log who waits for a lock")
		}
		first, err := pg.Admin.Begin()
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, first, "LOCK TABLE twin_letters")
		time.AfterFunc(800*time.Millisecond, func() { _ = first.Rollback() })
		mustExec(t, pg.Admin, "SET application_name = control; SELECT 1 FROM twin_letters LIMIT 1; RESET application_name")
	}
	return func(programs map[string]bool) {
		t.Helper()
		for _, m := range waiting.FindAllStringSubmatch(read()[begin:], -1) {
			others := slices.DeleteFunc(strings.Split(m[4], ", "), func(pid string) bool { return programs[pid] })
			switch {
			case m[1] == "control":
			case m[1] == "program" && (len(others) > 0 && *loadFull || strings.Contains(m[3], " on relation")): // beside other tests a row may be held that long
				t.Errorf("a program waited: %s", m[0])
			default:
				t.Logf("somebody waited: %s", m[0])
			}
		}
	}
}
