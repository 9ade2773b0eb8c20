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
	epoch atomic.Uint64 // counts what makes a session's own old

	mu      sync.Mutex    // guards what follows
	wanted  uint64        // counts what made it necessary
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
	v.epoch.Add(1)
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
	s.db.surveyIfOld()
	if s.facts.pending&sqlplan.ChangesDependents != 0 {
		return s.surveyOwn(ctx, s.changes)
	}
	s.env.Known = nil
	if s.db.survey.state.Load() == surveyNeeded {
		return s.surveyShared(ctx)
	}
	return nil
}

// ownSurvey is what a session knows that others may not.
type ownSurvey struct {
	at, epoch uint64 // what it depends on here and in the DB
	known     *sqlplan.Known
	shared    *sqlplan.Known // what it was compared with
	same      bool
}

// surveyOwn looks over the session's own connection, unless it has done so since at and since the last news.
func (s *Session) surveyOwn(ctx context.Context, at uint64) error {
	v := &s.db.survey
	// On SQLite the first session to look does so for all: most know no more.
	first := s.db.cfg.Dialect == dialect.SQLite && v.state.Load() != surveyFresh
	if epoch := v.epoch.Load(); s.own.known == nil || s.own.at != at || s.own.epoch != epoch || first {
		v.mu.Lock()
		wanted := v.wanted
		v.mu.Unlock()
		known, err := s.db.planner.Survey(ctx, s.conn)
		if err != nil {
			return err
		}
		if first {
			s.db.adopt(known, wanted)
			epoch++
		}
		s.own = ownSurvey{at: at, epoch: epoch, known: known}
	}
	if shared := s.db.planner.Known(); s.own.shared != shared {
		s.own.shared, s.own.same = shared, s.own.known.Equal(shared)
	}
	if s.env.Known = s.own.known; s.own.same {
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
			known, err := s.look(ctx)
			if err == nil {
				s.db.adopt(known, wanted)
			}
			return err
		}
		running := make(chan struct{})
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

// surveyPatience is how long a session in a transaction waits for the survey of another one.
const surveyPatience = 100 * time.Millisecond

// await waits for the survey of another session. It is false for a session in a transaction that has waited long enough: behind a
// pooler the other one may be waiting for the server's connection that this one holds.
func (s *Session) await(ctx context.Context, running <-chan struct{}) (made bool, err error) {
	var enough <-chan time.Time
	if !s.Idle() {
		t := time.NewTimer(surveyPatience)
		defer t.Stop()
		enough = t.C
	}
	select {
	case <-running:
		return true, nil
	case <-enough:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// look asks the catalog over the session's connection, or over a new one if this one sees the catalog as it was some time ago.
func (s *Session) look(ctx context.Context) (*sqlplan.Known, error) {
	if s.db.seals() && s.conn.TxStatus() != 'I' {
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

// adopt puts to use a survey that was begun when wanted was the last that made one necessary.
func (db *DB) adopt(known *sqlplan.Known, wanted uint64) {
	if db.planner.Learn(known) {
		db.forgetFacts("views, children or functions of sealed tables changed")
		db.stagesChanged() // a companion may have come
	}
	v := &db.survey
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
	v.timer = time.AfterFunc(db.cfg.CatalogMaxAge, func() { v.state.CompareAndSwap(surveyFresh, surveyOld) })
}

// surveyIfOld begins a survey in the background, over a connection of its own, if one is due. If it fails, the next statement makes
// one.
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
		known, err := db.lookAfresh(ctx)
		if err != nil {
			db.log.Emit(ctx, audit.CatalogReread, slog.String(audit.Because, "it could not be read in the background"))
			v.need()
			return
		}
		db.adopt(known, wanted)
	})
}
