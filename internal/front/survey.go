package front

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
)

// DefaultCatalogMaxAge is the CatalogMaxAge of a Config that has none.
const DefaultCatalogMaxAge = time.Minute

// A survey says how old the planner's knowledge of views, children and routines is. All sessions of
// a DB share one. It is made before the first statement, before the next one after DDL of this
// process, and in the background when it is older than CatalogMaxAge. A session with uncommitted
// DDL has a survey of its own. So has every session on SQLite, because of its temporary views and
// attached databases.
type survey struct {
	state atomic.Uint32 // surveyFresh or what is due
	epoch atomic.Uint64 // counts what makes a session's own old

	adopting sync.Mutex                  // guards seen; held while what was found is put to use
	seen     time.Time                   // as of when it was
	failed   atomic.Pointer[lookFailure] // why no connection beside the program's was to be had; nil if one was

	mu      sync.Mutex    // guards what follows
	wanted  uint64        // counts what made it necessary
	running chan struct{} // closed when the one that is being made has ended; nil if none is
	timer   *time.Timer
	closed  bool
	work    sync.WaitGroup // the one in the background
	cancel  context.CancelFunc
}

const (
	surveyNeeded  uint32 = iota // before any statement is planned: what was found is known to have changed, or there is nothing yet
	surveyOverdue               // likewise: what was found is too old, and the one in the background failed
	surveyFresh
	surveyOld // one in the background is due
)

// awaited reports whether a survey has to be made before a statement is planned.
func (v *survey) awaited() bool { return v.state.Load() <= surveyOverdue }

// need has the next statement wait for a new survey.
func (v *survey) need(state uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wanted++
	v.epoch.Add(1)
	v.state.Store(min(state, v.state.Load()))
}

// close ends the one in the background.
func (v *survey) close() {
	v.mu.Lock()
	v.closed = true
	if v.timer != nil {
		v.timer.Stop()
	}
	if v.cancel != nil {
		v.cancel()
	}
	v.mu.Unlock()
	v.work.Wait()
}

// survey makes sure that the planner's knowledge is good enough for a statement of this session. If
// it cannot, it returns a refusal, unless the knowledge makes no difference to the statement.
func (s *Session) survey(ctx context.Context, query string) error {
	if s.surveyed() {
		return nil
	}
	return s.surveyIfNeeded(ctx, query)
}

// surveyTable is survey for a statement that names a table and nothing else.
func (s *Session) surveyTable(ctx context.Context, n dbcatalog.Name) error {
	if s.surveyed() {
		return nil
	}
	return s.surveyIfNeeded(ctx, "TABLE "+n.SQL())
}

// surveyed reports whether the knowledge of all is good enough, whatever the statement is: that is
// the usual case.
func (s *Session) surveyed() bool {
	if s.db.cfg.Dialect == dialect.SQLite || s.db.survey.state.Load() != surveyFresh || s.facts.pending != 0 {
		return false
	}
	s.env.Known = nil
	return true
}

func (s *Session) surveyIfNeeded(ctx context.Context, query string) error {
	if s.db.cfg.Dialect == dialect.SQLite {
		return s.surveyOwn(ctx, s.facts.gen, query)
	}
	s.db.surveyIfOld()
	if s.facts.pending&sqlplan.ChangesDependents != 0 {
		return s.surveyOwn(ctx, s.changes, query)
	}
	s.env.Known = nil
	if !s.db.survey.awaited() || s.namesNothing(query) {
		return nil
	}
	return s.certainly(ctx, query, s.surveyShared(ctx))
}

// namesNothing reports whether a statement reaches nothing that is in the catalog. The catalog is
// not read for the end of a transaction, which may have failed, nor for a setting that a
// transaction must begin with.
func (s *Session) namesNothing(query string) bool {
	names, ok := s.db.planner.Named(query)
	return ok && len(names) == 0
}

// certainly returns nil in place of errBehind for a statement that names only registered tables and
// functions that are known to be harmless. It reaches only these, whatever else is in the catalog.
func (s *Session) certainly(ctx context.Context, query string, err error) error {
	var behind *behindError
	if !errors.As(err, &behind) {
		return err
	}
	names, ok := s.db.planner.Named(query)
	if !ok {
		return behind.refusal()
	}
	for _, n := range names {
		if n.Schema == "" {
			if n, err = s.resolve(ctx, n); err != nil {
				return err
			}
		}
		if !s.db.planner.Registers(n) {
			return behind.refusal()
		}
	}
	return nil
}

// resolve returns the name with the schema that it means on this connection, or without a schema if
// there is no such relation.
func (s *Session) resolve(ctx context.Context, n dbcatalog.Name) (dbcatalog.Name, error) {
	rel, err := s.relation(ctx, n.Schema, n.Table)
	if err != nil || rel == nil {
		return n, err
	}
	return dbcatalog.Name{Schema: rel.Schema, Table: rel.Name}, nil
}

// A behindError says that a transaction sees the catalog as it was, and that there is no other
// connection.
type behindError struct{ cause error }

func (e *behindError) Error() string { return e.cause.Error() }
func (e *behindError) Unwrap() error { return e.cause }

func (e *behindError) refusal() error {
	return &sqlplan.Refusal{Class: colseal.ClassSession,
		Reason: "what stands for sealed tables is to be looked up again, which this transaction cannot, since it sees the catalog as it was, and there is no other connection (" + why(e.cause) + ")",
		Hint:   "end the transaction, and run it again; let the role or the pool have one more connection; or set CatalogMaxAge to more than such transactions take"}
}

// ownSurvey is what a session knows that others may not.
type ownSurvey struct {
	at, epoch uint64    // what it depends on here and in the DB
	made      time.Time // when it was begun
	known     *sqlplan.Known
	shared    *sqlplan.Known // what it was compared with
	same      bool
}

// surveyOwn reads the catalog over the session's own connection, unless it has done so since at and
// since the last news.
func (s *Session) surveyOwn(ctx context.Context, at uint64, query string) error {
	v := &s.db.survey
	// On SQLite the first session to look does so for all: most know no more.
	first := s.db.cfg.Dialect == dialect.SQLite && v.state.Load() != surveyFresh
	if epoch := v.epoch.Load(); s.own.known == nil || s.own.at != at || s.own.epoch != epoch || first || s.ownIsOld() {
		if s.namesNothing(query) {
			s.env.Known = nil
			return nil
		}
		v.mu.Lock()
		wanted := v.wanted
		v.mu.Unlock()
		made := time.Now()
		known, err := s.db.planner.Survey(ctx, s.conn)
		if err != nil {
			return err
		}
		if s.db.cfg.Dialect == dialect.Postgres {
			if known, err = s.withOthers(ctx, known); err != nil {
				return s.certainly(ctx, query, err)
			}
			epoch = v.epoch.Load()
		}
		if first {
			s.db.adopt(known, wanted, made)
			epoch++
		}
		s.own = ownSurvey{at: at, epoch: epoch, made: made, known: known}
	}
	if shared := s.db.planner.Known(); s.own.shared != shared {
		s.own.shared, s.own.same = shared, s.own.known.Equal(shared)
	}
	if s.env.Known = s.own.known; s.own.same {
		s.env.Known = nil // plans are shared
	}
	return nil
}

// ownIsOld reports whether what others make has to be looked for again.
func (s *Session) ownIsOld() bool {
	maxAge := s.db.cfg.CatalogMaxAge
	return s.db.cfg.Dialect == dialect.Postgres && maxAge > 0 && time.Since(s.own.made) > maxAge
}

// withOthers adds what other sessions see to what a session sees itself, if that sees the catalog
// as it was.
func (s *Session) withOthers(ctx context.Context, known *sqlplan.Known) (*sqlplan.Known, error) {
	behind, err := dbcatalog.Behind(ctx, s.conn, s.db.cfg.Dialect)
	if err != nil || behind == 0 {
		return known, err
	}
	if s.db.survey.awaited() {
		if err := s.surveyShared(ctx); err != nil {
			return nil, err
		}
	}
	return s.db.planner.Both(known, s.db.planner.Known()), nil
}

// surveyShared makes the survey over the session's own connection, or waits for another session
// that does.
func (s *Session) surveyShared(ctx context.Context) error {
	v := &s.db.survey
	for {
		v.mu.Lock()
		if !v.awaited() {
			v.mu.Unlock()
			return nil
		}
		wanted := v.wanted
		if running := v.running; running != nil {
			v.mu.Unlock()
			made, err := s.await(ctx, running)
			if err != nil {
				return err
			}
			if made {
				continue
			}
			return s.lookFor(ctx, wanted)
		}
		running := make(chan struct{})
		v.running = running
		v.mu.Unlock()

		defer func() { // also if a tracer of the program's panics
			v.mu.Lock()
			v.running = nil
			v.mu.Unlock()
			close(running)
		}()
		return s.lookFor(ctx, wanted)
	}
}

// lookFor makes a survey for all.
func (s *Session) lookFor(ctx context.Context, wanted uint64) error {
	known, seen, err := s.look(ctx)
	if err == nil {
		s.db.adopt(known, wanted, seen)
	}
	return err
}

// How long a session waits for the survey of another one, and how long in a transaction.
const (
	surveyPatience   = 5 * time.Second
	surveyPatienceTx = 100 * time.Millisecond
)

// await waits for the survey of another session. It returns false if this one has waited long
// enough: the other one's connection may be dead, and behind a pooler it may be waiting for the
// server's connection that a transaction of this one holds.
func (s *Session) await(ctx context.Context, running <-chan struct{}) (made bool, err error) {
	patience := surveyPatience
	if !s.Idle() {
		patience = surveyPatienceTx
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-running:
		return true, nil
	case <-enough.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// look reads the catalog over the session's connection. If that sees the catalog as it was, and
// longer ago than CatalogMaxAge allows, look uses a new connection. seen is the moment as of which
// the catalog was seen.
func (s *Session) look(ctx context.Context) (known *sqlplan.Known, seen time.Time, err error) {
	seen = time.Now()
	if s.db.seals() && s.conn.TxStatus() != 'I' {
		behind, err := dbcatalog.Behind(ctx, s.conn, s.db.cfg.Dialect)
		if err != nil {
			return nil, seen, err
		}
		maxAge := s.db.cfg.CatalogMaxAge
		if behind > 0 && (s.db.survey.state.Load() != surveyOverdue || behind >= maxAge || s.facts.pending&sqlplan.ImportsSnapshot != 0) {
			return s.db.lookInstead(ctx)
		}
		seen = seen.Add(-behind)
	}
	known, err = s.db.planner.Survey(ctx, s.conn)
	return known, seen, err
}

// How long a transaction that sees the catalog as it was waits for another connection, and after a
// failure none does.
const (
	insteadTime  = 2 * time.Second
	insteadPause = 10 * time.Second
)

// lookInstead reads the catalog over a new connection for a transaction that may hold the only one.
// If it fails, it returns a *behindError.
func (db *DB) lookInstead(ctx context.Context) (*sqlplan.Known, time.Time, error) {
	v := &db.survey
	seen := time.Now()
	if f := v.failed.Load(); f != nil && seen.Before(f.until) {
		return nil, seen, &behindError{f.err}
	}
	bounded, cancel := context.WithTimeout(ctx, insteadTime)
	defer cancel()
	known, err := db.lookAfresh(bounded)
	if err == nil || ctx.Err() != nil {
		return known, seen, err
	}
	return nil, seen, &behindError{err}
}

// lookFailure is why no other connection was to be had.
type lookFailure struct {
	err   error
	until time.Time // it counts
}

// lookAfresh asks the catalog over a new connection.
func (db *DB) lookAfresh(ctx context.Context) (known *sqlplan.Known, err error) {
	defer func() {
		if caught := audit.Caught(recover()); caught != nil { // connecting may run code of the program's
			err = caught
		}
		err = ofOthers(err)
		if db.survey.failed.Store(nil); err != nil {
			db.survey.failed.Store(&lookFailure{err, time.Now().Add(insteadPause)})
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	conn, closeConn, err := db.cfg.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeConn()) }()
	return db.planner.Survey(ctx, conn)
}

// adopt puts a survey to use that saw the catalog as of seen, and began when wanted was the last
// need for one. It drops a survey that saw less than the one in use.
func (db *DB) adopt(known *sqlplan.Known, wanted uint64, seen time.Time) {
	v := &db.survey
	v.adopting.Lock()
	defer v.adopting.Unlock()
	if seen.Before(v.seen) {
		return
	}
	v.seen = seen
	if db.planner.Learn(known) {
		db.forgetFacts("views, children or functions of sealed tables changed")
		db.stagesChanged() // a companion may have come
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.epoch.Add(1)
	if v.wanted != wanted {
		return
	}
	v.state.Store(surveyFresh)
	if db.cfg.CatalogMaxAge < 0 || v.closed {
		return
	}
	if v.timer != nil {
		v.timer.Stop()
	}
	v.timer = time.AfterFunc(db.cfg.CatalogMaxAge-time.Since(seen), func() { v.state.CompareAndSwap(surveyFresh, surveyOld) })
}

// surveyIfOld begins a survey in the background, over a connection of its own, if one is due. If
// that fails, the next statement makes one.
func (db *DB) surveyIfOld() {
	v := &db.survey
	if db.cfg.Dialect == dialect.SQLite || v.state.Load() != surveyOld {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || !v.state.CompareAndSwap(surveyOld, surveyFresh) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	wanted := v.wanted
	v.cancel = cancel
	v.work.Go(func() {
		defer cancel()
		seen := time.Now()
		known, err := db.lookAfresh(ctx)
		if err != nil {
			db.survey.need(surveyOverdue)
			db.forgetFacts("it could not be read in the background") // so that what is prepared waits for it, too
			return
		}
		db.adopt(known, wanted, seen)
	})
}
