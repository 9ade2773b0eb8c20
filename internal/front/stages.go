package front

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Only programs in neighbouring stages of a column may run side by side. One in schema.StageOnly
// does not write the plain column, which one in schema.StageCopy reads. So each process reports its
// stages in a table beside the keyring, and sends no statement while another one is two stages
// away. On SQLite programs stand still when a stage changes: they report nothing, and each looks at
// what the database is ready for.

// How often a process reports its stages while it sends statements, and when one that was refused
// looks again.
const (
	tellEvery = keyring.StageLease / 5
	lookAgain = keyring.StageRetry
)

// stages is what a process tells of its stages.
type stages struct {
	process string
	columns []*schema.Column // of tables, that have one. None: nothing is told
	silent  bool             // it only looks

	told    atomic.Int64  // when it was told last; Unix time in nanoseconds. 0: it has to be told before the next statement
	changes atomic.Uint64 // counts when what has to be told may have become different
	stored  atomic.Bool   // the table may have rows of this process
	refused atomic.Pointer[sqlplan.Refusal]
	once    singleflight.Group

	mu     sync.Mutex // guards what follows
	busy   bool       // it is told in the background
	closed bool
	work   sync.WaitGroup
}

// begin finds what a process has to tell.
func (st *stages) begin(cfg *Config) {
	if st.process = rand.Text(); cfg.Keys != nil {
		return
	}
	st.silent = cfg.Dialect != dialect.Postgres
	for _, t := range cfg.Schema.Tables() {
		for _, c := range t.Columns() {
			if t.ViewOf == "" && c.Stage != schema.StageNone {
				st.columns = append(st.columns, c)
			}
		}
	}
}

// age is how long ago the stages were told. If the clock was set back meanwhile, it is not known.
func (st *stages) age() time.Duration {
	age := time.Duration(time.Now().UnixNano() - st.told.Load())
	if age < 0 {
		return keyring.StageLease
	}
	return age
}

// tellStages reports the stages, if there are any and it is time to. It returns an error if another
// process is two stages away.
func (s *Session) tellStages(ctx context.Context) error {
	if len(s.db.stages.columns) == 0 {
		return nil
	}
	return s.tellStagesInTime(ctx)
}

func (s *Session) tellStagesInTime(ctx context.Context) error {
	st := &s.db.stages
	switch age := st.age(); {
	case age >= keyring.StageLease:
		if err := s.db.exchangeStages(ctx); err != nil {
			return err
		}
	case age >= tellEvery:
		s.db.exchangeLater()
	}
	if r := st.refused.Load(); r != nil {
		return r
	}
	return nil
}

// stagesIfOld reports the stages in the background if it is time to, for statements that have a
// plan. A prepared statement is planned again if the last report is too old.
func (db *DB) stagesIfOld() {
	st := &db.stages
	if len(st.columns) == 0 {
		return
	}
	switch age := st.age(); {
	case age >= keyring.StageLease:
		db.planner.Invalidate()
		db.facts.forget()
	case age >= tellEvery:
		db.exchangeLater()
	}
}

// exchangeLater tells the stages in the background.
func (db *DB) exchangeLater() {
	st := &db.stages
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.busy || st.closed {
		return
	}
	st.busy = true
	st.work.Go(func() {
		_ = db.exchangeStages(context.Background()) // it is told again
		st.mu.Lock()
		st.busy = false
		st.mu.Unlock()
	})
}

// stagesChanged makes the next statement report the stages first: what this process writes may be
// different.
func (db *DB) stagesChanged() {
	db.stages.changes.Add(1)
	db.stages.told.Store(0)
}

// exchangeStages reports the stages, and looks at those of the others. If it cannot, nothing is
// refused, and a later statement tries again.
func (db *DB) exchangeStages(ctx context.Context) error {
	st := &db.stages
	done := st.once.DoChan("", func() (any, error) {
		changes, next := st.changes.Load(), time.Now() // before: the process may stand still in between
		r, err := db.exchange(context.WithoutCancel(ctx))
		if err != nil {
			db.Observed(ctx, &sqlplan.Refusal{Class: colseal.ClassStorage, Reason: "the stage of this program could not be told to others: " + why(err)})
		}
		if old := st.refused.Swap(r); old != r {
			db.forgetFacts("the stages of programs") // what was prepared is planned again
		}
		switch {
		case r != nil:
			next = next.Add(lookAgain - tellEvery)
		case errors.Is(err, keyring.ErrNoStageTable): // whoever makes the table does not wait long for who is there
			next = next.Add(lookAgain - keyring.StageLease)
		}
		st.told.Store(next.UnixNano())
		if st.changes.Load() != changes {
			st.told.Store(0) // what was told is of before
		}
		return nil, nil
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// why says of an error what holds no value.
func why(err error) string {
	if errors.Is(err, keyring.ErrNoStageTable) {
		return "the table of stages, which colseal ddl prints, is not there"
	}
	return audit.Failure(err)[1].Value.String()
}

// exchange returns why nothing may be sent; nil if it may.
func (db *DB) exchange(ctx context.Context) (*sqlplan.Refusal, error) {
	store, err := db.Keyring(ctx)
	if err != nil {
		return nil, err
	}
	st := &db.stages
	known := db.planner.Known()
	var mine []keyring.ProgramStage
	own := map[string]*schema.Column{}
	for _, c := range st.columns {
		mine = append(mine, keyring.ProgramStage{Column: c.StageName(), Stage: c.Stage.String(), Writes: known.HasCompanion(c)})
		own[c.StageName()] = c
	}
	others, err := db.tellOthers(ctx, store, mine)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		theirs, ok := schema.ParseStage(o.Stage)
		switch o.Stage {
		case keyring.ReadyPlain:
			theirs, ok = schema.StageNone, true
		case keyring.ReadyFinished:
			theirs, ok = schema.StageOnly+1, true
		}
		c := own[o.Column]
		if !ok || c == nil || max(c.Stage, theirs)-min(c.Stage, theirs) <= 1 {
			continue
		}
		name := c.TableName() + "." + c.Name
		r := &sqlplan.Refusal{Class: colseal.ClassSession,
			Reason: fmt.Sprintf("this program has the column %s in the stage %s, and another one that runs has it in %s: they would not see what the other writes", name, c.Stage, o.Stage),
			Hint:   "go through all stages, and begin one when no program is left two stages away; what a program that was killed told counts for " + keyring.StageLease.String()}
		if o.Process == keyring.StageDatabase {
			r.Reason = fmt.Sprintf("this program has the column %s in the stage %s, and the database is not ready for it", name, c.Stage)
			r.Hint = "colseal status says what it is ready for; colseal seal and unseal make it ready for the next stage"
		}
		if st.silent {
			return r, nil
		}
		if err := store.ForgetStages(ctx, st.process); err != nil {
			return r, err
		}
		st.stored.Store(false)
		return r, nil
	}
	return nil, nil
}

// tellOthers tells the stages of this process, and returns those of others.
func (db *DB) tellOthers(ctx context.Context, store *keyring.Store, mine []keyring.ProgramStage) (others []keyring.ProgramStage, err error) {
	st := &db.stages
	if st.silent {
		if others, err = store.Stages(ctx); errors.Is(err, keyring.ErrNoStageTable) {
			return nil, nil // nothing was sealed or unsealed here
		}
		return others, err
	}
	st.stored.Store(true)
	others, err = store.TellStages(ctx, st.process, mine)
	if errors.Is(err, keyring.ErrNoStageTable) && db.cfg.AutoCreateKeyTable {
		if err = store.CreateStages(ctx); err == nil {
			others, err = store.TellStages(ctx, st.process, mine)
		}
	}
	return others, err
}

// Opened counts the connections that statements are sent on: n is 1, or -1 for one that was closed.
func (db *DB) Opened(n int64) { db.open.Add(n) }

// endStages takes back what was told, unless a connection is still in use.
func (db *DB) endStages() {
	st := &db.stages
	st.mu.Lock()
	st.closed = true
	st.mu.Unlock()
	st.work.Wait()
	if !st.stored.Load() || db.open.Load() > 0 { // or a transaction goes on
		return
	}
	if o := db.keys.ready.Load(); o != nil && o.store != nil {
		_ = o.store.ForgetStages(context.Background(), st.process) // then it counts until its lease ends
	}
}
