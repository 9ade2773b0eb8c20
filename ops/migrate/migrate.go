// Package migrate takes columns of plain values into sealing and out of it again, beside the
// programs that use them. docs/migrating.md tells the way.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Ready says for which stages of programs the database is ready: a column's plain one and its
// companion agree, and both have what the programs of these stages need of them.
type Ready uint8

// What a database is ready for.
const (
	ReadyPlain      Ready = iota + 1 // programs without Colseal, and those in copy: there is no companion
	ReadyCopy                        // programs without Colseal, and those in copy
	ReadySealed                      // copy and sealed
	ReadyOnly                        // sealed and only
	ReadySealedOnly                  // only: the plain column holds nothing, or is gone
)

var readyNames = []string{"", "plain", "copy", "copy and sealed", "sealed and only", "only"}

// String returns the stages that programs may be in: "plain", "copy", "copy and sealed", "sealed
// and only", "only".
func (r Ready) String() string {
	if int(r) < len(readyNames) {
		return readyNames[r]
	}
	return fmt.Sprintf("Ready(%d)", uint8(r))
}

// Options says what Seal and Unseal do.
type Options struct {
	// Columns are the columns to work on: "users.email", or "users" for all columns of a table that
	// have a stage, as the schema writes the names. If empty, all of the schema.
	Columns []string

	// For is what the database is made ready for. If zero, Seal goes to ReadyCopy and Unseal to
	// ReadyOnly, the first step of each.
	For Ready

	// MaxBatch bounds the time of one statement that writes rows: batches become smaller, and a
	// pause as long as the batch follows each. If zero, batches are large and follow each other.
	MaxBatch time.Duration

	// MaxLag makes the work wait while a replica that the server knows is further behind. If zero,
	// it does not wait.
	MaxLag time.Duration

	// Replica, if not nil, is a replica that the server does not know, behind another one or behind
	// an archive. MaxLag holds for it, too.
	Replica *sql.DB

	// Drop makes Seal drop the plain columns at ReadySealedOnly. Rewrite makes it rewrite their
	// tables, so that nothing of them is left in the tables' files. Everybody waits while a table
	// is rewritten.
	Drop, Rewrite bool

	// Lock takes all steps up to For in one transaction, which locks everybody out of the tables.
	// Use it while programs stand still. All is done, or nothing.
	Lock bool

	// ScopeColumn is the column that holds the scope of each row, for Seal. If empty, all rows
	// are sealed in the scope of the context.
	ScopeColumn string

	// DryRun reports what would be done, and changes nothing.
	DryRun bool

	// Progress, if not nil, is called after each batch, and Notice with what the work waits for.
	// Both run in the goroutine that called Seal or Unseal.
	Progress func(Progress)
	Notice   func(string)
}

// Progress is how far the rows of a table are.
type Progress struct {
	Table string // as the schema writes it
	Doing string // sealing, opening or clearing
	Done  int64  // rows
	Total int64  // rows, when the pass began
	Lag   time.Duration
}

// Report is what was done, or would be.
type Report struct {
	Steps    []Step
	Problems []string // what cannot be carried along: nothing is done while there is one
	Notes    []string // what the database cannot carry along, and you have to know
	Sealed   int64    // values
	Opened   int64    // values
	Cleared  int64    // values
	Unfit    int64    // values that do not fit the kind, or cells that do not open
}

// Step is one step of the work. It can be cut short: after an error, or a kill, run the command
// again.
type Step struct {
	Table string
	What  string
	SQL   []string // what is executed for it; nothing for the work on rows
}

// ErrProblems is returned, with the report, if something cannot be carried along.
var ErrProblems = errors.New("something cannot be carried along: see the report's problems")

// ErrUnfit is returned, with the report, if values cannot be sealed, or cells not be opened.
var ErrUnfit = errors.New("values are left that do not fit the column's kind, or cells that do not open")

// Seal makes a database ready for programs of the next stage on the way in:
//
//   - ReadyCopy: companions beside the plain columns, filled;
//   - ReadySealed: the companions have the indexes and constraints of the plain columns, and each
//     write has to have both. Stop or upgrade programs without Colseal before;
//   - ReadyOnly: the plain columns have none any more. Stop or upgrade programs in copy before;
//   - ReadySealedOnly: the plain columns are NULL, and held to it by a CHECK: they keep their
//     places for SELECT * and INSERT without a list. Stop or upgrade programs in sealed before.
//
// Options.Lock takes all steps up to For at once, while programs stand still. On SQLite this is the
// only way, and For is the last step.
//
// It works beside the programs. It asks for a lock that keeps others waiting for 60 to 300 ms at a
// time, again and again. Each step is done or not: repeat a run that was cut short, even by a kill.
func Seal(ctx context.Context, db *sql.DB, opts Options) (Report, error) {
	if opts.For == 0 {
		opts.For = ReadyCopy
	}
	return run(ctx, db, opts, "seal", true)
}

// Unseal makes a database ready for programs of the stage before, on the way out:
//
//   - ReadyOnly: plain columns beside the companions, which may be filled;
//   - ReadySealed: the plain columns are filled, with their indexes and constraints, and each write
//     has to have both. Stop programs in only before;
//   - ReadyCopy: the companions have no constraints any more, and a write without one makes it
//     NULL. Stop programs in sealed before;
//   - ReadyPlain: the companions are gone. Stop programs in copy before.
//
// It works as Seal does.
func Unseal(ctx context.Context, db *sql.DB, opts Options) (Report, error) {
	if opts.For == 0 {
		opts.For = ReadyOnly
	}
	return run(ctx, db, opts, "unseal", false)
}

func run(ctx context.Context, db *sql.DB, opts Options, op string, in bool) (Report, error) {
	var report Report
	switch {
	case opts.For < ReadyPlain || opts.For > ReadySealedOnly:
		return report, fmt.Errorf("%s: unknown state %s", op, opts.For)
	case (opts.Drop || opts.Rewrite) && !(in && opts.For == ReadySealedOnly):
		return report, fmt.Errorf("%s: plain columns are dropped, and tables rewritten, when programs are in only alone", op)
	}
	err := with(ctx, db, opts, func(m *migration) error {
		m.report = &report
		return m.run(ctx, in)
	})
	if err != nil {
		return report, fmt.Errorf("%s: %w", op, err)
	}
	return report, nil
}

// migration is the work of one call, on one connection.
type migration struct {
	db     *sealeddb.DB
	q      dbcatalog.Querier
	store  *keyring.Store
	cache  *keycache.Cache
	opts   Options
	report *Report
	tables []*table
	scopes map[uint32]string      // of keys, by their ids
	locked bool                   // all is done in one transaction, with the tables locked
	held   map[heldKey]*codec.Key // keys that were fetched before; on SQLite alone
}

// onLite reports whether the database is SQLite's.
func (m *migration) onLite() bool { return m.db.Dialect == dialect.SQLite }

// with runs f with the tables that the options name, on one connection of db.
func with(ctx context.Context, db *sql.DB, opts Options, f func(*migration) error) error {
	return sealeddb.With(ctx, db, func(d *sealeddb.DB, q dbcatalog.Querier) (err error) {
		m := &migration{db: d, q: q, opts: opts, scopes: map[uint32]string{}}
		find := func() error {
			if m.store, err = d.Keyring(ctx); err == nil {
				m.tables, err = m.findTables(ctx)
			}
			return err
		}
		if m.onLite() {
			err = m.patientlyLite(ctx, errInUse, find)
		} else {
			var undo func()
			undo, err = m.settle(ctx)
			defer undo()
			if err == nil {
				err = find()
			}
		}
		if err != nil {
			return err
		}
		m.cache = d.NewCache(m.store)
		defer func() { err = errors.Join(err, m.cache.Close()) }()
		return f(m)
	})
}

// findTables finds the tables with the columns that were asked for.
func (m *migration) findTables(ctx context.Context) ([]*table, error) {
	var tables []*table
	named := map[string]bool{}
	for _, t := range m.db.Schema.Tables() {
		if t.ViewOf != "" {
			continue
		}
		var cols []*schema.Column
		for _, col := range t.Columns() {
			if col.Stage != schema.StageNone && chosen(m.opts.Columns, named, t.String(), col.Name) {
				cols = append(cols, col)
			}
		}
		if len(cols) == 0 {
			continue
		}
		found, err := m.findTable(ctx, t, cols)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t, err)
		}
		tables = append(tables, found)
	}
	var unknown []string
	for _, name := range m.opts.Columns {
		if !named[name] {
			unknown = append(unknown, name)
		}
	}
	switch {
	case len(unknown) > 0:
		return nil, fmt.Errorf("no columns with a stage: %s: write table.column, or table, and give the column a stage in the schema (stage=copy)", strings.Join(unknown, ", "))
	case len(tables) == 0:
		return nil, errors.New("the schema has no column with a stage: begin with stage=copy in its tag")
	}
	return tables, nil
}

// chosen reports whether a column was asked for, and marks the names that asked for it as found.
func chosen(columns []string, found map[string]bool, table, column string) bool {
	hit := len(columns) == 0
	for _, name := range []string{table, table + "." + column} {
		if slices.Contains(columns, name) {
			found[name], hit = true, true
		}
	}
	return hit
}

// run goes from where each table is to what was asked for.
func (m *migration) run(ctx context.Context, in bool) error {
	if m.onLite() {
		return m.runLite(ctx, in)
	}
	if m.opts.Lock && (m.opts.DryRun || m.opts.Rewrite) {
		return errors.New("one transaction can neither be listed before nor rewrite tables: list the steps one by one, and rewrite tables afterwards")
	}
	if m.opts.Lock {
		return m.runLocked(ctx, in)
	}
	if err := m.check(ctx, in); err != nil || m.opts.DryRun && len(m.report.Problems) > 0 {
		return err
	}
	if len(m.report.Problems) > 0 {
		return ErrProblems
	}
	if !m.opts.DryRun {
		unlock, err := m.alone(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		if err := m.guard(ctx, in); err != nil {
			return err
		}
	}
	if m.opts.Drop && !m.opts.DryRun {
		for _, n := range m.report.Notes {
			m.notice("%s", n)
		}
	}
	if m.opts.DryRun {
		if err := m.try(ctx, in); err != nil { // before the steps are listed: listing them counts as having taken them
			return err
		}
	}
	if err := m.take(ctx, in); err != nil {
		return err
	}
	if !m.opts.DryRun {
		if err := m.tellAll(ctx); err != nil {
			return err
		}
	}
	if m.report.Unfit > 0 {
		return ErrUnfit
	}
	return nil
}

// take takes the steps, or lists them.
func (m *migration) take(ctx context.Context, in bool) error {
	for _, s := range m.plan(in) {
		if !m.opts.DryRun {
			if err := s.do(ctx); err != nil {
				return fmt.Errorf("table %s: %s: %w", s.Table, s.What, err)
			}
		}
		m.report.Steps = append(m.report.Steps, s.Step)
	}
	return nil
}

// try reads the values that are to be of another kind, and counts those that it does not hold.
// Nothing is changed.
func (m *migration) try(ctx context.Context, in bool) error {
	doing := opening
	switch {
	case in && m.opts.For > ReadySealed, !in && m.opts.For < ReadySealed:
		return nil
	case in:
		doing = sealing
	}
	for _, mv := range m.moving(m.opts.For, in) {
		pairs := slices.DeleteFunc(slices.Clone(mv.pairs), func(p *pair) bool { return p.Was == nil || p.Was.Kind == p.Kind })
		if len(pairs) == 0 {
			continue
		}
		if err := m.work(ctx, mv.table, pairs, doing, 1); err != nil {
			return fmt.Errorf("table %s: %w", mv.label, err)
		}
	}
	return nil
}

func (m *migration) notice(format string, args ...any) {
	if m.opts.Notice != nil {
		m.opts.Notice(fmt.Sprintf(format, args...))
	}
}
