package reseal

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/internal/walk"
)

// storedRow is a row that was read.
type storedRow struct {
	key   []driver.Value
	old   []driver.Value // by column; nil where nothing is to be replaced
	new   []driver.Value
	cells int64 // to be replaced
}

// resealTable goes through a table once.
func (r *resealer) resealTable(ctx context.Context, t *table) error {
	var cols []*column
	for _, c := range t.cols {
		if len(c.stale) > 0 {
			cols = append(cols, c)
		}
	}
	if len(cols) == 0 {
		return nil
	}
	return t.rows.Each(func() int { return r.opts.Batch },
		func(after []driver.Value, before int64, limit int) ([]dbcatalog.Row, error) {
			return r.q.Query(ctx, t.sql.read(cols, after != nil, before, limit), after...)
		},
		func(got []dbcatalog.Row) (bool, error) {
			rows, n := make([]*storedRow, len(got)), len(t.rows.Keys)
			for i, values := range got {
				rows[i] = &storedRow{key: values[:n], old: values[n:], new: make([]driver.Value, len(cols))}
			}
			return r.batch(ctx, t, cols, rows)
		})
}

// batch re-seals what is due in some rows. blocked: a foreign key keeps every one of them from
// being changed before another table is.
func (r *resealer) batch(ctx context.Context, t *table, cols []*column, rows []*storedRow) (blocked bool, err error) {
	r.report.Rows += int64(len(rows))
	if err := r.knowKeys(ctx, cols, rows); err != nil {
		return false, err
	}
	var change []*storedRow
	for _, row := range rows {
		if err := r.fill(ctx, cols, row); err != nil {
			return false, err
		}
		if row.cells > 0 {
			change = append(change, row)
		}
	}
	if len(change) > 0 {
		if blocked, err = r.swap(ctx, t, cols, change); err != nil {
			return false, err
		}
	}
	r.db.Counts.Sealed(r.sealed)
	r.sealed = telemetry.Cells{}
	r.progress.Table = t.label
	if r.opts.Progress != nil {
		r.opts.Progress(r.progress)
	}
	return blocked, r.pace(ctx)
}

// knowKeys reads the records of all keys in a batch at once, and unwraps those that will open
// something side by side.
func (r *resealer) knowKeys(ctx context.Context, cols []*column, rows []*storedRow) error {
	var ids, open []uint32
	for _, row := range rows {
		for i, c := range cols {
			if cell, _, err := front.StoredCell(row.old[i], false, c.Tag()); err == nil {
				if h, err := codec.Recognize(cell, c.Tag()); err == nil {
					ids = append(ids, h.KeyID)
				}
			}
		}
	}
	if err := r.keys.know(ctx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		if rec := r.keys.records[id]; rec.ID != 0 && !rec.Destroyed && r.wanted(id) {
			open = append(open, id)
		}
	}
	r.keys.prefetch(ctx, open)
	return nil
}

// fill sets what takes the place of a row's values, and clears what stays.
func (r *resealer) fill(ctx context.Context, cols []*column, row *storedRow) error {
	for i, c := range cols {
		old := row.old[i]
		row.old[i] = nil
		if old == nil {
			continue
		}
		cell, err := r.value(ctx, c, old)
		if err != nil && !skipped(err) {
			return err
		}
		if err != nil {
			r.report.Unreadable++
			r.progress.Done++
			r.db.Rejected(ctx, c.Column, err)
			continue
		}
		if cell == nil {
			continue
		}
		row.cells++
		row.old[i] = old
		r.progress.Done++
		r.sealed.Add(c.Suite())
		if row.new[i] = cell; c.text {
			row.new[i] = codec.EncodeText(cell)
		}
	}
	return nil
}

// value returns the cell that takes the place of a stored value; nil if it stays.
func (r *resealer) value(ctx context.Context, c *column, old driver.Value) (cell []byte, err error) {
	stored, _, err := front.StoredCell(old, false, c.Tag())
	var h codec.Header
	if err == nil {
		h, err = codec.Recognize(stored, c.Tag())
	}
	if errors.Is(err, codec.ErrNotSealed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, err := r.keys.judge(ctx, c.Column, h)
	if err != nil || !r.due(state, h.KeyID) {
		return nil, err
	}
	return r.keys.reseal(ctx, c.Column, h, stored, state)
}

// swap replaces the values of rows that are still as they were read, and counts.
func (r *resealer) swap(ctx context.Context, t *table, cols []*column, rows []*storedRow) (blocked bool, err error) {
	done, err := r.write(ctx, t, cols, rows)
	switch o := walk.ObstacleOf(err); {
	case err == nil, o == walk.Contention:
		r.tally(rows, done)
		return false, nil
	case o == walk.NoObstacle:
		return false, err
	}
	// Find out which cells it is about.
	orphans, cells := r.report.Orphans, int64(0)
	for _, row := range rows {
		cells += row.cells
		if err := r.swapOne(ctx, t, cols, row); err != nil {
			return false, err
		}
	}
	return r.report.Orphans-orphans == cells, nil
}

// swapOne replaces the values of a row, one by one if it cannot be done at once.
func (r *resealer) swapOne(ctx context.Context, t *table, cols []*column, row *storedRow) error {
	one := []*storedRow{row}
	done, err := r.write(ctx, t, cols, one)
	o := walk.ObstacleOf(err)
	switch {
	case err == nil, o == walk.Contention:
		r.tally(one, done)
		return nil
	case o == walk.NoObstacle:
		return err
	}
	if parts := row.split(); len(parts) > 1 {
		for _, part := range parts {
			if err := r.swapOne(ctx, t, cols, part); err != nil {
				return err
			}
		}
		return nil
	}
	if o == walk.Duplicate {
		r.report.Duplicates += row.cells
	} else {
		r.report.Orphans += row.cells
	}
	return nil
}

// split makes a row for each value that is to be replaced.
func (row *storedRow) split() []*storedRow {
	var parts []*storedRow
	for i, v := range row.new {
		if v == nil {
			continue
		}
		part := &storedRow{key: row.key, old: make([]driver.Value, len(row.old)), new: make([]driver.Value, len(row.new)), cells: 1}
		part.old[i], part.new[i] = row.old[i], v
		parts = append(parts, part)
	}
	return parts
}

// tally counts the rows of which done says that they were written.
func (r *resealer) tally(rows []*storedRow, done map[int]bool) {
	for i, row := range rows {
		if !done[i] {
			r.report.Lost += row.cells
			continue
		}
		r.written++
		r.report.Resealed += row.cells
	}
}

// write replaces the values of rows in one transaction, and returns which ones it did.
func (r *resealer) write(ctx context.Context, t *table, cols []*column, rows []*storedRow) (map[int]bool, error) {
	if r.db.Dialect == dialect.SQLite {
		return r.writeSQLite(ctx, t, cols, rows)
	}
	got, err := r.q.Query(ctx, t.sql.swap(cols), arraysOf(rows)...)
	if err != nil {
		return nil, err
	}
	done := map[int]bool{}
	for _, row := range got {
		done[int(row.Int(0))-1] = true
	}
	return done, nil
}

// arraysOf returns the parameters of rows as arrays.
func arraysOf(rows []*storedRow) []driver.Value {
	params := make([][]driver.Value, len(rows))
	for i, row := range rows {
		params[i] = row.params()
	}
	return walk.Arrays(params)
}

func (row *storedRow) params() []driver.Value {
	p := slices.Clone(row.key)
	for i := range row.old {
		p = append(p, row.old[i], row.new[i])
	}
	return p
}

// writeSQLite begins a transaction that writes from its start: one that reads first may find that
// it cannot.
func (r *resealer) writeSQLite(ctx context.Context, t *table, cols []*column, rows []*storedRow) (map[int]bool, error) {
	done := map[int]bool{}
	text := t.sql.swap(cols)
	err := r.transaction(ctx, "BEGIN IMMEDIATE", func() error {
		for i, row := range rows {
			n, err := r.q.Exec(ctx, text, row.params()...)
			if err != nil {
				return err
			}
			done[i] = n > 0
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// transaction runs f between begin and COMMIT, or ROLLBACK if it fails.
func (r *resealer) transaction(ctx context.Context, begin string, f func() error) error {
	if _, err := r.q.Exec(ctx, begin); err != nil {
		return err
	}
	if err := f(); err != nil {
		_, rerr := r.q.Exec(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rerr)
	}
	if _, err := r.q.Exec(ctx, "COMMIT"); err != nil {
		_, _ = r.q.Exec(context.WithoutCancel(ctx), "ROLLBACK") // it may have ended by the failure
		return err
	}
	return nil
}
