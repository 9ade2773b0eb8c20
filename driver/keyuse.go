package driver

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keyring"
)

// KeyUse counts the cells of one column under one data key, or the values that are no cells.
type KeyUse struct {
	Table, Column string // as the schema writes them
	State         CellState
	Cells         int64
	KeyID         uint32          // 0 for CellsNone
	Purpose       keyring.Purpose // of the key; "" if it is not known
	Scope         string
	Epoch         int64
}

// CellState is how cells stand, by their key.
type CellState uint8

// The states of cells.
const (
	CellsCurrent   CellState = iota + 1 // under the key that seals now
	CellsOld                            // under another key, or in the form of another mode: Reseal seals them anew
	CellsDestroyed                      // under a key that was destroyed: lost on purpose
	CellsUnknown                        // under a key that the keyring does not have
	CellsNone                           // not cells of the column: plaintext, another column's, or damaged
)

// String returns the state's name: "current", "old", "destroyed", "unknown", "not cells".
func (s CellState) String() string {
	switch s {
	case CellsCurrent:
		return "current"
	case CellsOld:
		return "old"
	case CellsDestroyed:
		return "destroyed"
	case CellsUnknown:
		return "unknown"
	case CellsNone:
		return "not cells"
	}
	return fmt.Sprintf("CellState(%d)", uint8(s))
}

// KeyUsage counts which data keys the stored cells of sealed columns are under: "users.email",
// or "users" for all of a table's; without names, of the whole schema. NULLs are not counted.
// It reads every row of the tables, and no key: nothing is opened.
func KeyUsage(ctx context.Context, db *sql.DB, columns ...string) ([]KeyUse, error) {
	var uses []KeyUse
	err := withConn(ctx, db, func(c *conn) error {
		r, err := newResealer(ctx, c, columns)
		if err != nil {
			return err
		}
		r.keys = newResealKeys(r.store, c.st.observed())
		uses, _, err = r.count(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("colseal: count cells by key: %w", err)
	}
	return uses, nil
}

// count counts the cells of every column, and notes in the columns which ones are to be sealed
// anew; todo is their number.
func (r *resealer) count(ctx context.Context) (uses []KeyUse, todo int64, err error) {
	for _, t := range r.tables {
		for _, col := range t.cols {
			of, n, err := r.countColumn(ctx, t, col)
			if err != nil {
				return nil, 0, fmt.Errorf("table %s: %w", t.label, err)
			}
			uses, todo = append(uses, of...), todo+n
		}
	}
	return uses, todo, nil
}

func (r *resealer) countColumn(ctx context.Context, t *resealTable, col *resealCol) (uses []KeyUse, todo int64, err error) {
	rows, err := r.c.own().Query(ctx, t.text.heads(col))
	if err != nil {
		return nil, 0, err
	}
	heads := make([]cellHead, len(rows))
	var ids []uint32
	for i, row := range rows {
		heads[i] = readHead(row.Text(0), col.col.Tag())
		if heads[i].cell {
			ids = append(ids, heads[i].KeyID)
		}
	}
	if err := r.keys.know(ctx, ids); err != nil {
		return nil, 0, err
	}
	col.stale, col.plain = nil, false
	at := map[KeyUse]int{} // with Cells 0
	for i, row := range rows {
		use, again, err := r.use(ctx, t, col, heads[i])
		if err != nil {
			return nil, 0, err
		}
		cells := row.Int(1)
		if again {
			todo += cells
			if heads[i].cell {
				col.stale = append(col.stale, row.Text(0))
			} else {
				col.plain = true
			}
		}
		j, ok := at[use]
		if !ok {
			j = len(uses)
			at[use], uses = j, append(uses, use)
		}
		uses[j].Cells += cells
	}
	slices.SortFunc(uses, func(a, b KeyUse) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.KeyID, b.KeyID))
	})
	return uses, todo, nil
}

// use says what the cells with a head are, and whether they are to be sealed anew.
func (r *resealer) use(ctx context.Context, t *resealTable, col *resealCol, h cellHead) (KeyUse, bool, error) {
	use := KeyUse{Table: t.label, Column: col.col.Name, State: CellsNone}
	if !h.cell {
		return use, r.opts.Plaintext, nil
	}
	state, err := r.keys.judge(ctx, col.col, h.Header)
	if err != nil {
		return use, false, err
	}
	rec := r.keys.records[h.KeyID]
	use.State, use.KeyID, use.Purpose, use.Scope, use.Epoch = state, h.KeyID, rec.Purpose, rec.Scope, rec.Epoch
	return use, r.again(state, h.KeyID), nil
}

// cellHead is a head as headOf gives it, read.
type cellHead struct {
	codec.Header
	cell bool // it is one of the column's cells
}

func readHead(s string, tag uint16) cellHead {
	var raw []byte
	var err error
	if text, ok := strings.CutPrefix(s, textPrefix); ok {
		// The last digit's lower bits belong to what follows.
		raw, err = base64.RawURLEncoding.DecodeString(text + "A")
	} else {
		raw, err = hex.DecodeString(s)
	}
	if err != nil || len(raw) < codec.HeaderSize {
		return cellHead{}
	}
	// A header alone is too short for a cell, which is what ParseHeader looks for.
	raw = append(raw[:codec.HeaderSize:codec.HeaderSize], make([]byte, codec.OverheadRandomized)...)
	h, err := codec.Recognize(raw, tag)
	return cellHead{Header: h, cell: err == nil}
}
