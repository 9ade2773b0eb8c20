package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/telemetry"
)

// resealRow is a row that was read.
type resealRow struct {
	key     []sqldriver.Value
	version sqldriver.Value   // nil: the old cells say enough
	old     []sqldriver.Value // by column; nil where nothing is to be replaced
	new     []sqldriver.Value
	cells   int64 // to be replaced by others
	plain   int64 // plaintexts to be replaced by cells
}

// windowPages are read at a time of a table that is read in the order of its pages.
const windowPages = 128

// table goes through a table once.
func (r *resealer) table(ctx context.Context, t *resealTable) error {
	var cols []*resealCol
	for _, c := range t.cols {
		if len(c.stale) > 0 || c.plain {
			cols = append(cols, c)
		}
	}
	if len(cols) == 0 {
		return nil
	}
	limit := r.opts.Batch
	var after []sqldriver.Value
	end := min(windowPages, t.pages)
	for {
		before := end
		if end >= t.pages {
			before = 0 // the table has grown since
		}
		rows, err := r.read(ctx, t, cols, after, before, limit)
		if err != nil {
			return err
		}
		full := len(rows) == limit
		if len(rows) > 0 {
			after = rows[len(rows)-1].key
			blocked, err := r.batch(ctx, t, cols, rows)
			if err != nil || blocked {
				return err
			}
		}
		if full {
			continue
		}
		if end >= t.pages {
			return nil
		}
		after = []sqldriver.Value{fmt.Sprintf("(%d,0)", end)} // no row is number 0 of its page
		end = min(end+windowPages, t.pages)
	}
}

func (r *resealer) read(ctx context.Context, t *resealTable, cols []*resealCol, after []sqldriver.Value, end int64, limit int) ([]*resealRow, error) {
	got, err := r.c.own().Query(ctx, t.text.read(cols, after != nil, end, limit), after...)
	if err != nil {
		return nil, err
	}
	rows := make([]*resealRow, len(got))
	for i, row := range got {
		rows[i] = &resealRow{key: row[:len(t.keys)], version: row[len(t.keys)], old: row[len(t.keys)+1:], new: make([]sqldriver.Value, len(cols))}
	}
	return rows, nil
}

// batch seals anew what is to be in some rows. blocked: a foreign key keeps every one of
// them from being changed before another table is.
func (r *resealer) batch(ctx context.Context, t *resealTable, cols []*resealCol, rows []*resealRow) (blocked bool, err error) {
	r.report.Rows += int64(len(rows))
	if err := r.knowKeys(ctx, cols, rows); err != nil {
		return false, err
	}
	var change []*resealRow
	for _, row := range rows {
		if err := r.anew(ctx, cols, row); err != nil {
			return false, err
		}
		if row.cells+row.plain > 0 {
			change = append(change, row)
		}
	}
	if len(change) > 0 {
		if blocked, err = r.swap(ctx, t, cols, change); err != nil {
			return false, err
		}
	}
	r.c.st.tel.Counts.Sealed(r.sealed)
	r.sealed = telemetry.Cells{}
	r.progress.Table = t.label
	if r.opts.Progress != nil {
		r.opts.Progress(r.progress)
	}
	return blocked, r.pace(ctx)
}

// knowKeys has the records of all keys in a batch read at once, and those that will open
// something unwrapped side by side.
func (r *resealer) knowKeys(ctx context.Context, cols []*resealCol, rows []*resealRow) error {
	var ids, open []uint32
	for _, row := range rows {
		for i, c := range cols {
			if cell, _, err := storedCell(row.old[i], false, c.col.Tag()); err == nil {
				if h, err := codec.Recognize(cell, c.col.Tag()); err == nil {
					ids = append(ids, h.KeyID)
				}
			}
		}
	}
	if err := r.keys.know(ctx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		if rec := r.keys.records[id]; rec.ID != 0 && !rec.Destroyed && (len(r.opts.Keys) == 0 || slices.Contains(r.opts.Keys, id)) {
			open = append(open, id)
		}
	}
	r.keys.prefetch(ctx, open)
	return nil
}

// anew fills in what takes the place of a row's values, and clears what stays.
func (r *resealer) anew(ctx context.Context, cols []*resealCol, row *resealRow) error {
	version := row.version
	row.version = nil
	for i, c := range cols {
		old := row.old[i]
		row.old[i] = nil
		if old == nil {
			continue
		}
		cell, plain, err := r.value(ctx, c, old)
		if err != nil && !skipped(err) {
			return err
		}
		switch {
		case err != nil:
			r.report.Unreadable++
			r.progress.Done++
			r.c.st.rejected(ctx, c.col, err)
			continue
		case cell == nil:
			continue
		case plain:
			row.plain++
			if r.c.st.cfg.Dialect == Postgres {
				row.version = version // the row's version vouches for it: a plaintext is not sent
			} else {
				row.old[i] = old
			}
		default:
			row.cells++
			row.old[i] = old
		}
		r.progress.Done++
		r.sealed.Add(c.col.Suite())
		if row.new[i] = cell; c.text {
			row.new[i] = codec.EncodeText(cell)
		}
	}
	return nil
}

// value returns the cell that takes the place of a stored value; nil if it stays.
func (r *resealer) value(ctx context.Context, c *resealCol, old sqldriver.Value) (cell []byte, plain bool, err error) {
	stored, _, err := storedCell(old, false, c.col.Tag())
	var h codec.Header
	if err == nil {
		h, err = codec.Recognize(stored, c.col.Tag())
	}
	if errors.Is(err, codec.ErrNotSealed) {
		if !r.opts.Plaintext {
			return nil, false, nil
		}
		cell, err = r.keys.seal(ctx, c.col, old)
		return cell, true, err
	}
	if err != nil {
		return nil, false, err
	}
	state, err := r.keys.judge(ctx, c.col, h)
	if err != nil || !r.again(state, h.KeyID) {
		return nil, false, err
	}
	cell, err = r.keys.reseal(ctx, c.col, h, stored)
	return cell, false, err
}

// again reports whether cells under a key are to be sealed anew.
func (r *resealer) again(state CellState, keyID uint32) bool {
	return state == CellsOld && (len(r.opts.Keys) == 0 || slices.Contains(r.opts.Keys, keyID))
}

// swap replaces the values of rows that are still as they were read, and counts.
func (r *resealer) swap(ctx context.Context, t *resealTable, cols []*resealCol, rows []*resealRow) (blocked bool, err error) {
	done, err := r.write(ctx, t, cols, rows)
	switch {
	case err == nil:
		r.note(rows, done)
		return false, nil
	case contended(err):
		r.note(rows, nil)
		return false, nil
	case !isUnique(err) && !isForeign(err):
		return false, err
	}
	// Find out which cells it is about.
	orphans, cells := r.report.Orphans, int64(0)
	for _, row := range rows {
		cells += row.cells + row.plain
		if err := r.swapOne(ctx, t, cols, row); err != nil {
			return false, err
		}
	}
	return r.report.Orphans-orphans == cells, nil
}

// swapOne replaces the values of a row, one by one if it cannot be done at once.
func (r *resealer) swapOne(ctx context.Context, t *resealTable, cols []*resealCol, row *resealRow) error {
	one := []*resealRow{row}
	done, err := r.write(ctx, t, cols, one)
	switch {
	case err == nil, contended(err):
		r.note(one, done)
		return nil
	case !isUnique(err) && !isForeign(err):
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
	if isUnique(err) {
		r.report.Duplicates += row.cells + row.plain
	} else {
		r.report.Orphans += row.cells + row.plain
	}
	return nil
}

// split makes a row for each value that is to be replaced.
func (row *resealRow) split() []*resealRow {
	var parts []*resealRow
	for i, v := range row.new {
		if v == nil {
			continue
		}
		part := &resealRow{key: row.key, old: make([]sqldriver.Value, len(row.old)), new: make([]sqldriver.Value, len(row.new))}
		part.old[i], part.new[i] = row.old[i], v
		if row.old[i] == nil || row.cells == 0 {
			part.version, part.plain = row.version, 1
		} else {
			part.cells = 1
		}
		parts = append(parts, part)
	}
	return parts
}

func (r *resealer) note(rows []*resealRow, done map[int]bool) {
	for i, row := range rows {
		if !done[i] {
			r.report.Lost += row.cells + row.plain
			continue
		}
		r.written++
		r.report.Resealed += row.cells
		r.report.Sealed += row.plain
	}
}
