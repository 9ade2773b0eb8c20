package front

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
)

// DefaultCatalogMaxAge is the CatalogMaxAge of a Config that has none.
const DefaultCatalogMaxAge = time.Minute

// A survey says how old the planner's knowledge of views, children and routines is. It is made once for all sessions of a DB: before
// the first statement, before the next one after DDL of this process, and in the background when it is older than CatalogMaxAge. A
// session whose own DDL is not committed has one of its own; on SQLite every session does, as it has temporary views and attached
// databases of its own.
type survey struct {
	state atomic.Uint32 // surveyFresh or what is due

	mu      sync.Mutex    // guards what follows
	wanted  uint64        // counts what made it necessary
	adopted uint64        // counts those that were made
	running chan struct{} // closed when the one that is being made has ended; nil if none is
	timer   *time.Timer
	closed  bool
	work    sync.WaitGroup // the one in the background
	cancel  context.CancelFunc
}

const (
	surveyNeeded uint32 = iota // before any statement is planned
	surveyFresh
	surveyOld // one in the background is due
)

// need has the next statement wait for a new survey.
func (v *survey) need() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wanted++
	v.state.Store(surveyNeeded)
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

// survey makes sure that the planner's knowledge is good enough for a statement of this session.
func (s *Session) survey(ctx context.Context) error {
	if s.db.cfg.Dialect == dialect.SQLite {
		return s.surveyOwn(ctx, s.facts.gen)
	}
	if s.facts.pending&sqlplan.ChangesCatalog != 0 {
		return s.surveyOwn(ctx, s.changes)
	}
	s.env.Known = nil
	switch s.db.survey.state.Load() {
	case surveyNeeded:
		return s.surveyShared(ctx)
	case surveyOld:
		s.db.surveyInBackground()
	}
	return nil
}

// ownSurvey is what a session knows that others do not.
type ownSurvey struct {
	at              uint64 // what it depends on, plus one; 0: it was not made
	wanted, adopted uint64 // of the DB's survey then
	known           *sqlplan.Known
}

// surveyOwn looks over the session's own connection, unless it has done so since at and since the last news.
func (s *Session) surveyOwn(ctx context.Context, at uint64) error {
	v := &s.db.survey
	if s.db.cfg.Dialect != dialect.SQLite && v.state.Load() == surveyOld {
		s.db.surveyInBackground()
	}
	v.mu.Lock()
	wanted, adopted := v.wanted, v.adopted
	v.mu.Unlock()
	shares := s.db.cfg.Dialect == dialect.SQLite && v.state.Load() != surveyFresh
	if s.own.at != at+1 || s.own.wanted != wanted || s.own.adopted != adopted || shares {
		known, err := s.db.planner.Survey(ctx, s.conn)
		if err != nil {
			return err
		}
		if shares { // most sessions know no more than the first one
			s.db.adopt(known, wanted)
			adopted++
		}
		s.own = ownSurvey{at: at + 1, wanted: wanted, adopted: adopted, known: known}
	}
	if s.env.Known = s.own.known; s.own.known.Equal(s.db.planner.Known()) {
		s.env.Known = nil // plans are shared
	}
	return nil
}

// surveyShared makes the survey over the session's own connection, or waits for another session that does.
func (s *Session) surveyShared(ctx context.Context) error {
	v := &s.db.survey
	for {
		v.mu.Lock()
		if v.state.Load() != surveyNeeded {
			v.mu.Unlock()
			return nil
		}
		if running := v.running; running != nil {
			v.mu.Unlock()
			select {
			case <-running:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		running, wanted := make(chan struct{}), v.wanted
		v.running = running
		v.mu.Unlock()

		known, err := s.look(ctx)
		if err == nil {
			s.db.adopt(known, wanted)
		}
		v.mu.Lock()
		v.running = nil
		v.mu.Unlock()
		close(running)
		return err
	}
}

// look asks the catalog over the session's connection, or over a new one if this one sees the catalog as it was some time ago.
func (s *Session) look(ctx context.Context) (*sqlplan.Known, error) {
	if s.conn.TxStatus() != 'I' {
		old, err := dbcatalog.Snapshot(ctx, s.conn, s.db.cfg.Dialect)
		if err != nil {
			return nil, err
		}
		if old {
			return s.db.lookAfresh(ctx)
		}
	}
	return s.db.planner.Survey(ctx, s.conn)
}

func (db *DB) lookAfresh(ctx context.Context) (known *sqlplan.Known, err error) {
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	conn, closeConn, err := db.cfg.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeConn()) }()
	return db.planner.Survey(ctx, conn)
}

// adopt takes in a survey that was begun when wanted was the last that made one necessary.
func (db *DB) adopt(known *sqlplan.Known, wanted uint64) {
	if db.planner.Learn(known) {
		db.forgetFacts("views, children or functions of sealed tables changed")
	}
	v := &db.survey
	v.mu.Lock()
	defer v.mu.Unlock()
	v.adopted++
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
	v.timer = time.AfterFunc(db.cfg.CatalogMaxAge, func() { v.state.CompareAndSwap(surveyFresh, surveyOld) })
}

// surveyInBackground makes the survey over a connection of its own. If it fails, the next statement makes it.
func (db *DB) surveyInBackground() {
	v := &db.survey
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
		known, err := db.lookAfresh(ctx)
		if err != nil {
			db.log.Emit(ctx, audit.CatalogReread, slog.String(audit.Because, "it could not be read in the background"))
			v.need()
			return
		}
		db.adopt(known, wanted)
	})
}
