package keyring

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/dbcatalog"
)

// The keyring's own pool may give no connection: a pooler's are all held by transactions that wait
// for keys, or the server allows no more. Then a step runs over a connection whose owner waits for
// the keyring, and lends it meanwhile. The owner's goroutine runs it, so that no connection is ever
// used by two.

// A Spare is a connection to the keyring's database that can be lent.
type Spare interface {
	driver.QueryerContext
	driver.ExecerContext

	// TxStatus returns the transaction status that the server reported last: 'I', 'T' or 'E', or 0
	// if the driver does not tell.
	TxStatus() byte
	// Parameter is what the server reported last for a setting; "" if it does not report it.
	Parameter(name string) string
}

// patience is how long the first try of a step waits for the keyring's own pool alone. lentTime is
// how long the server may take for it over a lent connection, whose owner may need it. Together
// they are within answerTimeout.
const (
	patience = answerTimeout / 2
	lentTime = answerTimeout / 4
)

// Loans is where a Store finds connections that are lent. It is safe for concurrent use.
type Loans struct {
	reads, writes chan *loan
	scarce        atomic.Bool  // the keyring's own pool did not connect
	lent          atomic.Int64 // when a connection was lent last; Unix time in nanoseconds
}

// patience returns how long a step waits for the keyring's own pool alone: less if a connection had
// to be lent just now, and half of the time of a later try.
func (l *Loans) patience(ctx context.Context) time.Duration {
	if time.Now().UnixNano()-l.lent.Load() < lentLately.Nanoseconds() {
		return lenderGrace
	}
	if end, ok := ctx.Deadline(); ok {
		return max(patience, time.Until(end)/2)
	}
	return patience
}

// NewLoans returns a Loans.
func NewLoans() *Loans { return &Loans{reads: make(chan *loan), writes: make(chan *loan)} }

// Borrow has the Store use connections that are lent. It is called before the Store is used.
func (s *Store) Borrow(l *Loans) { s.loans = l }

// Scarce reports whether the keyring, as far as is known, has only connections that are lent.
func (s *Store) Scarce() bool { return s.loans != nil && s.loans.scarce.Load() }

// loan is a step that looks for a connection.
type loan struct {
	run   func(context.Context, Spare) error
	begin chan bool  // whether the step is still to be run
	done  chan error // its result
}

// errNotLent: the step did not run, because the connection is in no state for it.
var errNotLent = errors.New("keyring: the connection cannot be lent")

// Lend lends a connection until the channel is closed. Outside of a transaction every step may run
// over it, in a transaction of its own. Inside of one only steps that read may, behind a savepoint.
// What they do to the session is undone, an error does not end the transaction, and they see only
// what is committed. ctx bounds their statements.
func (l *Loans) Lend(ctx context.Context, conn Spare, until <-chan struct{}) {
	var reads, writes chan *loan
	// Statements and results are UTF-8.
	if conn.Parameter("client_encoding") == "UTF8" {
		switch conn.TxStatus() {
		case 'I':
			reads, writes = l.reads, l.writes
		case 'T':
			reads = l.reads
		}
	}
	for {
		var step *loan
		select {
		case <-until:
			return
		case step = <-reads:
		case step = <-writes:
		}
		if !<-step.begin {
			continue
		}
		err := step.try(ctx, conn)
		step.done <- err
		if errors.Is(err, errNotLent) {
			reads, writes = nil, nil
		}
	}
}

// try runs the step. A panic is its error: another goroutine waits for it.
func (l *loan) try(ctx context.Context, conn Spare) (err error) {
	defer func() {
		if caught := audit.Caught(recover()); caught != nil {
			err = caught
		}
	}()
	return l.run(ctx, conn)
}

// A step is what is done over one connection.
type step struct {
	writes bool // it must not be part of a caller's transaction
	run    func(context.Context, *sql.Conn) error
}

// noConn is the error of a pool that gives no connection.
type noConn struct{ error }

func (e noConn) Unwrap() error { return e.error }

// onAny runs a step over a connection of the keyring's own, or one that is lent where that
// takes too long. It never runs over two at once.
func (s *Store) onAny(ctx context.Context, st step) error {
	if s.loans == nil {
		return s.onOwn(ctx, st)
	}
	offers := s.loans.reads
	if st.writes {
		offers = s.loans.writes
	}
	for {
		err, lent := s.race(ctx, st, offers)
		if !lent || !errors.Is(err, errNotLent) || ctx.Err() != nil {
			return err
		}
	}
}

// race runs the step over the keyring's own pool until a connection is lent, which is asked for
// when that has taken too long, or has failed to connect.
func (s *Store) race(ctx context.Context, st step, offers chan<- *loan) (err error, lent bool) {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.tryOwn(own, st) }()
	l := &loan{begin: make(chan bool, 1), done: make(chan error, 1)}
	l.run = func(ctx context.Context, conn Spare) error { return s.onSpare(ctx, conn, st) }
	var open chan<- *loan // nil until a connection is asked for
	wait := time.NewTimer(s.loans.patience(ctx))
	defer wait.Stop()
	for running := done; ; {
		select {
		case err = <-running:
			if !errors.As(err, new(noConn)) || ctx.Err() != nil {
				return err, false
			}
			running, open = nil, offers
			s.loans.scarce.Store(true)
			s.db.SetMaxIdleConns(0) // one that is idle may be the only one that the program can have
			wait.Reset(lenderGrace)
		case <-wait.C:
			if running == nil {
				return err, false
			}
			open = offers
		case open <- l:
			if running != nil {
				cancel()
				if err = <-running; err == nil {
					l.begin <- false
					return nil, false
				}
			}
			l.begin <- true
			err = <-l.done
			if err == nil {
				s.loans.lent.Store(time.Now().UnixNano())
			}
			return err, true
		}
	}
}

// lenderGrace is how long a step waits for a lender if the pool does not connect. lentLately is how
// long a step remembers that the pool gave nothing in time.
const (
	lenderGrace = 50 * time.Millisecond
	lentLately  = 10 * time.Second
)

// tryOwn is onOwn, with a panic as an error: connecting may run code of the program's.
func (s *Store) tryOwn(ctx context.Context, st step) (err error) {
	defer func() {
		if caught := audit.Caught(recover()); caught != nil {
			err = caught
		}
	}()
	return s.onOwn(ctx, st)
}

// onSpare runs a step over a connection that is lent.
func (s *Store) onSpare(ctx context.Context, conn Spare, st step) (err error) {
	// The server ends the statements long before, also a busy one. Where it does not answer at all,
	// the connection is dead, and its owner's transaction too.
	ctx, cancel := context.WithTimeout(ctx, 5*answerTimeout)
	defer cancel()
	begin, commit, undo := "BEGIN ISOLATION LEVEL READ COMMITTED", []string{"COMMIT"}, []string{"ROLLBACK"}
	inside := conn.TxStatus() == 'T'
	switch {
	case inside:
		begin, undo = "SAVEPOINT colseal_keyring", []string{"ROLLBACK TO SAVEPOINT colseal_keyring", "RELEASE SAVEPOINT colseal_keyring"}
		commit = undo
	case st.writes:
		begin += " READ WRITE"
	}
	if _, err := conn.ExecContext(ctx, begin, nil); err != nil {
		return fmt.Errorf("%w: %w", errNotLent, err)
	}
	end := undo
	defer func() {
		// What began over the connection ends over it, whatever has become of the step: its owner
		// goes on with it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		for _, text := range end {
			if _, failed := conn.ExecContext(ctx, text, nil); failed != nil && err == nil {
				err = failed
			}
		}
	}()
	db := sql.OpenDB(lentConnector{conn})
	defer func() { _ = db.Close() }() // it closes nothing
	over, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = over.Close() }()
	if err := s.prepareSession(ctx, over, inside); err != nil {
		return fmt.Errorf("%w: %w", errNotLent, err)
	}
	if err = st.run(ctx, over); err == nil {
		end = commit
	}
	switch dbcatalog.SQLState(err) {
	case "57014", "55P03": // by what prepareSession set
		return lentTooShort{err}
	}
	return err
}

// lentTooShort is the error of a step that took longer than a connection is lent.
type lentTooShort struct{ error }

func (e lentTooShort) Unwrap() error { return e.error }

// prepareSession gives the session known settings until the end of the step. If the step is inside
// a transaction, prepareSession checks that it sees what everybody sees.
func (s *Store) prepareSession(ctx context.Context, conn *sql.Conn, inside bool) error {
	path := "'pg_catalog'"
	if !s.resolved { // the keyring is where a new session finds it
		path = "(SELECT s.reset_val FROM pg_catalog.pg_settings s WHERE s.name OPERATOR(pg_catalog.=) 'search_path')"
	}
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SELECT pg_catalog.set_config('search_path', %s, true), pg_catalog.set_config('statement_timeout', '%[2]d', true), "+
		"pg_catalog.set_config('lock_timeout', '%[2]d', true)", path, lentTime.Milliseconds()))
	if err != nil || !inside {
		return err
	}
	var level string
	var touched bool
	err = conn.QueryRowContext(ctx, "SELECT pg_catalog.current_setting('transaction_isolation'), EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.pid = pg_catalog.pg_backend_pid()"+
		" AND l.locktype = 'relation' AND l.relation = pg_catalog.to_regclass(CAST($1 AS pg_catalog.text))::oid AND l.mode NOT IN ('AccessShareLock', 'RowShareLock'))",
		s.table).Scan(&level, &touched)
	switch {
	case err != nil:
		return err
	case level != "read committed" && level != "read uncommitted":
		return errors.New("its transaction sees the keyring as it was")
	case touched:
		return errors.New("its transaction has changed the keyring")
	}
	return nil
}

// lentConnector gives database/sql a connection that is lent.
type lentConnector struct{ conn Spare }

func (c lentConnector) Connect(context.Context) (driver.Conn, error) { return lentConn(c), nil }
func (c lentConnector) Driver() driver.Driver                        { return nil }

type lentConn struct{ conn Spare }

func (c lentConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.conn.QueryContext(ctx, query, args)
}

func (c lentConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.conn.ExecContext(ctx, query, args)
}

// Prepare is not lent, nor are Begin and Close: a step needs no more.
func (c lentConn) Prepare(string) (driver.Stmt, error) { return nil, errNotLent }
func (c lentConn) Begin() (driver.Tx, error)           { return nil, errNotLent }
func (c lentConn) Close() error                        { return nil }
