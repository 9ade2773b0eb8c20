// Package reseal seals the stored cells of a database again, beside the programs that use it,
// and counts them by data key.
package reseal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/internal/walk"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Options says what Run is to do. The zero value re-seals every cell of every registered table
// whose key is not the one that seals now.
type Options struct {
	// Columns are the columns to work on: "users.email", or "users" for all sealed columns of a
	// table, as the schema writes the names. If empty, all of the schema.
	Columns []string

	// Keys are the data keys whose cells are re-sealed, for example one that was revoked. If
	// empty, all keys but those that seal now.
	Keys []uint32

	// FromKind, if not zero, is a kind that Columns were declared to hold before, and converts the
	// cells that hold it: each value is written as text, as PostgreSQL writes it, and the text is
	// sealed as the kind that the schema declares now. Run opens every cell of Columns to find
	// them, and needs Columns to be named.
	FromKind schema.Kind

	// TimeZone is where an instant becomes a date or a timestamp and they become one, by FromKind.
	// If nil, such values are left.
	TimeZone *time.Location

	// Batch is the number of rows that are read and written at a time. If zero, 200.
	Batch int

	// RowsPerSecond bounds the rows that are written, on average. If zero, there is no bound.
	RowsPerSecond int

	// Progress, if not nil, is called after each batch, by the goroutine that called Run.
	Progress func(Progress)
}

// Progress is how far a Run is.
type Progress struct {
	Pass  int    // from 1
	Table string // as the schema writes it
	Done  int64  // cells looked at in this pass, over all tables
	Total int64  // cells that were to be sealed when the pass began
}

// Report is what a Run did.
type Report struct {
	Passes     int           // over the tables
	Rows       int64         // rows read
	Resealed   int64         // cells sealed again, converted ones among them
	Lost       int64         // cells that somebody else had just written or locked; a later pass looked again
	Destroyed  int64         // cells left alone because their key was destroyed
	Unreadable int64         // cells left alone because they do not open or convert: altered, of another kind, or their key is unknown
	Duplicates int64         // cells left alone because a unique index has their value under the other key already
	Orphans    int64         // cells left alone because a foreign key holds them to the cell of another table
	Pending    time.Duration // not 0: a newer search key begins to seal in this time; call Run again then
	Uses       []KeyUse      // the cells of each column by their keys, counted after the last pass
}

// Left returns the number of cells that are not under the key that seals now, and could be.
func (r Report) Left() int64 {
	var n int64
	for _, u := range r.Uses {
		if u.State == StateOld {
			n += u.Cells
		}
	}
	return n
}

const (
	maxPasses    = 20
	passPause    = 200 * time.Millisecond // between passes, so that those who hold rows finish
	defaultBatch = 200
)

// Run re-seals stored cells under the data key that seals now: to finish a change of search
// keys, or after a key was revoked. A cell keeps its scope, which is that of its key.
//
// Run works beside the application. It reads and writes rows in batches, each in one short
// transaction of its own, and replaces a cell only if it is still the one that was read:
// concurrent writers win. On PostgreSQL locked rows are skipped and retried in a later pass, so
// that nobody waits longer than one batch takes. Cells under the right key are skipped: a Run
// that was interrupted, even killed, is simply called again. Cells whose key was destroyed stay
// as they are.
//
// Every row that changes is an UPDATE to the server: triggers fire, columns that an update sets
// are set, replicas receive the row.
//
// Run stops at the first error. Work already committed stays committed and is reported. Cells
// that are left are no error: see Report.Left. Run uses one connection of db, and its own cache
// of keys.
func Run(ctx context.Context, db *sql.DB, opts Options) (Report, error) {
	var report Report
	if opts.FromKind != 0 && len(opts.Columns) == 0 {
		return report, hint.With(errors.New("reseal: Options.FromKind is set, and Columns is not"), "name the columns that held that kind")
	}
	err := with(ctx, db, opts, func(r *resealer) error {
		r.report = &report
		return r.run(ctx)
	})
	if err != nil {
		return report, hint.Errorf("reseal: %w", err)
	}
	return report, nil
}

func (o Options) withDefaults() Options {
	if o.Batch <= 0 {
		o.Batch = defaultBatch
	}
	if o.RowsPerSecond > 0 {
		o.Batch = min(o.Batch, o.RowsPerSecond)
	}
	return o
}

// resealer is the work of one Run or Usage, on one connection.
type resealer struct {
	db     *sealeddb.DB
	q      dbcatalog.Querier
	store  *keyring.Store
	tables []*table
	opts   Options
	report *Report
	keys   *passKeys // of the present pass

	progress Progress
	sealed   telemetry.Cells // in the present batch
	begun    time.Time
	written  int64 // rows, since begun
}

// with runs f with a resealer on one connection of db.
func with(ctx context.Context, db *sql.DB, opts Options, f func(*resealer) error) error {
	return sealeddb.With(ctx, db, func(d *sealeddb.DB, q dbcatalog.Querier) error {
		store, err := d.Keyring(ctx)
		if err != nil {
			return err
		}
		r := &resealer{db: d, q: q, store: store, opts: opts.withDefaults(), begun: time.Now()}
		if r.tables, err = r.findTables(ctx); err != nil {
			return err
		}
		return f(r)
	})
}

// run makes passes until nothing is left that a further one could change.
func (r *resealer) run(ctx context.Context) error {
	for pass := 1; ; pass++ {
		r.keys = newPassKeys(r.db, r.store, &r.opts)
		done, err := r.pass(ctx, pass)
		if cerr := r.keys.close(); err == nil {
			err = cerr
		}
		if err != nil || done {
			return err
		}
		if err := walk.Pause(ctx, passPause); err != nil {
			return err
		}
	}
}

// pass counts the cells by their keys, and re-seals those that are due.
func (r *resealer) pass(ctx context.Context, pass int) (done bool, err error) {
	uses, todo, err := r.count(ctx)
	if err != nil {
		return false, err
	}
	r.report.Uses, r.report.Pending = uses, r.keys.pending
	r.report.Unreadable, r.report.Duplicates, r.report.Orphans = 0, 0, 0 // of the last pass
	r.report.Destroyed = 0
	for _, u := range uses {
		if u.State == StateDestroyed {
			r.report.Destroyed += u.Cells
		}
	}
	if todo == 0 || pass > maxPasses {
		return true, nil
	}
	r.report.Passes = pass
	r.progress = Progress{Pass: pass, Total: todo}
	before, lost := r.report.Resealed, r.report.Lost
	for _, t := range r.tables {
		if err := r.resealTable(ctx, t); err != nil {
			return false, fmt.Errorf("table %s: %w", t.label, err)
		}
	}
	if r.report.Resealed > before || r.report.Lost > lost {
		return false, nil
	}
	// Nothing changed, and nobody was in the way: what is left stays so.
	r.report.Uses, _, err = r.count(ctx)
	return true, err
}

// pace waits until the rows that were written are within the bound.
func (r *resealer) pace(ctx context.Context) error {
	return walk.Pause(ctx, owed(r.written, r.opts.RowsPerSecond, time.Since(r.begun)))
}

// owed returns how long to wait so that rows written in the time that went by are perSecond; 0
// means no bound.
func owed(written int64, perSecond int, gone time.Duration) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	return max(0, time.Duration(float64(written)/float64(perSecond)*float64(time.Second))-gone)
}

// chosen reports whether a column was asked for, and marks the names that asked for it as found.
func chosen(columns []string, found map[string]bool, table, column string) bool {
	if len(columns) == 0 {
		return true
	}
	hit := false
	for _, name := range []string{table, table + "." + column} {
		if slices.Contains(columns, name) {
			found[name], hit = true, true
		}
	}
	return hit
}

// checkColumns refuses names that no sealed column answers to.
func checkColumns(columns []string, found map[string]bool) error {
	var unknown []string
	for _, name := range columns {
		if !found[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return hint.With(errors.New("unknown sealed columns "+strings.Join(unknown, ", ")), "write table.column, or table for all of its sealed columns, as the schema names them")
}
