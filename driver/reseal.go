package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keyring"
)

// ResealOptions says what Reseal is to do. The zero value seals every cell of every
// registered table anew whose key is not the one that seals now.
type ResealOptions struct {
	// Columns bounds the work to these: "users.email", or "users" for all sealed columns of
	// a table, as the schema writes the names. Default: all of the schema.
	Columns []string

	// Keys bounds the work to the cells under these data keys, for example one that was
	// revoked. Default: all keys but the ones that seal now.
	Keys []uint32

	// Plaintext has values that are not cells sealed too, in the scope of the context, in
	// place of leaving them. It is for the first sealing of a table, whose columns can hold
	// cells already. See docs/migrating.md.
	Plaintext bool

	// Batch is the number of rows that are read and written at a time. Default 200.
	Batch int

	// RowsPerSecond bounds the rows that are written, on average. Default: no bound.
	RowsPerSecond int

	// Progress, if not nil, is called after each batch, by the goroutine that called Reseal.
	Progress func(ResealProgress)
}

// ResealProgress is how far a Reseal is.
type ResealProgress struct {
	Pass  int    // from 1
	Table string // as the schema writes it
	Done  int64  // cells looked at in this pass, over all tables
	Total int64  // cells that were to be sealed when the pass began
}

// ResealReport is what a Reseal did.
type ResealReport struct {
	Passes     int           // over the tables
	Rows       int64         // rows read
	Resealed   int64         // cells sealed anew
	Sealed     int64         // plaintext values sealed
	Lost       int64         // cells that somebody else had just written or locked; a later pass looked again
	Destroyed  int64         // cells left alone because their key was destroyed
	Unreadable int64         // cells left alone because they do not open: altered, or their key is unknown
	Duplicates int64         // cells left alone because a unique index has their value under the other key already
	Orphans    int64         // cells left alone because a foreign key holds them to the cell of another table
	Pending    time.Duration // not 0: a newer search key begins to seal in this time; run Reseal again then
	Uses       []KeyUse      // the cells of each column by their keys, counted after the last pass
}

// Left is the number of cells that are not under the key that seals now, and could be.
func (r ResealReport) Left() int64 {
	var n int64
	for _, u := range r.Uses {
		if u.State == CellsOld {
			n += u.Cells
		}
	}
	return n
}

// Passes over the tables. Each finds the rows that the one before lost to somebody else.
const (
	resealPasses = 20
	resealPause  = 200 * time.Millisecond // between passes, for those who hold the rows to be done
	resealBatch  = 200
)

// Reseal seals stored cells anew under the data key that seals now: for the change of a
// search key, after a key was revoked, or, with Plaintext, for the first time. A cell keeps
// its scope, which is that of its key.
//
// It runs beside the application. Rows are read and written in batches, each in one short
// transaction of its own, and a cell is replaced only if it is still the one that was
// read: who writes at the same time wins. On PostgreSQL a row that somebody has locked is
// left for a later pass, so that nobody waits for Reseal but for the length of one batch.
// What is under the right key already is passed over, so a Reseal that was
// interrupted, even killed, is simply run again. Cells whose key was destroyed are left
// as they are.
//
// Every row that changes is an UPDATE to the server: triggers fire, columns that an update
// sets are set, replicas are sent the row.
//
// An error ends it; what was done until then is in the report, and done. That cells are
// left is no error: see Left. Reseal keeps one connection of db, and its own cache of keys.
func Reseal(ctx context.Context, db *sql.DB, opts ResealOptions) (ResealReport, error) {
	var report ResealReport
	err := withConn(ctx, db, func(c *conn) error {
		r, err := newResealer(ctx, c, opts.Columns)
		if err != nil {
			return err
		}
		r.opts, r.report = opts.withDefaults(), &report
		return r.run(ctx)
	})
	if err != nil {
		return report, fmt.Errorf("colseal: reseal: %w", err)
	}
	return report, nil
}

func (o ResealOptions) withDefaults() ResealOptions {
	if o.Batch <= 0 {
		o.Batch = resealBatch
	}
	if o.RowsPerSecond > 0 {
		o.Batch = min(o.Batch, o.RowsPerSecond)
	}
	return o
}

// resealer is the work of one Reseal or KeyUsage, on one connection.
type resealer struct {
	c      *conn
	store  *keyring.Store
	tables []*resealTable
	opts   ResealOptions
	report *ResealReport
	keys   *resealKeys // of the present pass

	progress ResealProgress
	sealed   telemetry.Cells // in the present batch
	begun    time.Time
	written  int64 // rows, since begun
}

func newResealer(ctx context.Context, c *conn, columns []string) (*resealer, error) {
	c.settle()
	store, err := c.st.ring.keyring(ctx)
	if err != nil {
		return nil, err
	}
	r := &resealer{c: c, store: store}
	if r.tables, err = c.resealTables(ctx, columns); err != nil {
		return nil, err
	}
	return r, nil
}

// run makes passes until nothing is left that a further one could change.
func (r *resealer) run(ctx context.Context) error {
	r.begun = time.Now()
	for pass := 1; ; pass++ {
		r.keys = newResealKeys(r.store, r.c.st.observed())
		done, err := r.pass(ctx, pass)
		if cerr := r.keys.close(); err == nil {
			err = cerr
		}
		if err != nil || done {
			return err
		}
		if err := pause(ctx, resealPause); err != nil {
			return err
		}
	}
}

// pass counts the cells by their keys, and seals anew those that are to be.
func (r *resealer) pass(ctx context.Context, pass int) (done bool, err error) {
	uses, todo, err := r.count(ctx)
	if err != nil {
		return false, err
	}
	r.report.Uses, r.report.Pending = uses, r.keys.pending
	r.report.Unreadable, r.report.Duplicates, r.report.Orphans = 0, 0, 0 // of the last pass
	r.report.Destroyed = 0
	for _, u := range uses {
		if u.State == CellsDestroyed {
			r.report.Destroyed += u.Cells
		}
	}
	if todo == 0 || pass > resealPasses {
		return true, nil
	}
	r.report.Passes = pass
	r.progress = ResealProgress{Pass: pass, Total: todo}
	before, lost := r.report.Resealed+r.report.Sealed, r.report.Lost
	for _, t := range r.tables {
		if err := r.table(ctx, t); err != nil {
			return false, fmt.Errorf("table %s: %w", t.label, err)
		}
	}
	if r.report.Resealed+r.report.Sealed > before || r.report.Lost > lost {
		return false, nil
	}
	// Nothing moved, and nobody was in the way: what is left stays so.
	r.report.Uses, _, err = r.count(ctx)
	return true, err
}

// pace waits until the rows that were written are within the bound.
func (r *resealer) pace(ctx context.Context) error {
	return pause(ctx, owed(r.written, r.opts.RowsPerSecond, time.Since(r.begun)))
}

// owed is how long to wait so that rows written in the time that went by are perSecond; 0 means no bound.
func owed(written int64, perSecond int, gone time.Duration) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	return max(0, time.Duration(float64(written)/float64(perSecond)*float64(time.Second))-gone)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// chosen tells whether a column was asked for, and marks what asked for it as found.
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

// unknownColumns is the error for names that no sealed column answers to.
func unknownColumns(columns []string, found map[string]bool) error {
	var unknown []string
	for _, name := range columns {
		if !found[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return errors.New("the schema seals no " + strings.Join(unknown, ", no ") +
		": write table.column, or table for all of its sealed columns, as the schema names them")
}
