package reseal

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
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/keyring"
)

// KeyUse counts the cells of one column under one data key, or the values that are not cells.
type KeyUse struct {
	Table, Column string // as the schema writes them
	State         State
	Cells         int64
	KeyID         uint32          // 0 for StateNotCell
	Purpose       keyring.Purpose // of the key; "" if it is not known
	Scope         string
	Epoch         int64
}

// State is how cells stand, by their key.
type State uint8

// The states of cells.
const (
	StateCurrent   State = iota + 1 // under the key that seals now
	StateOld                        // under another key, or in the form of another mode: Run re-seals them
	StateDestroyed                  // under a key that was destroyed: lost on purpose
	StateUnknown                    // under a key that the keyring does not have
	StateNotCell                    // not cells of the column: plaintext, another column's, or damaged
)

// String returns the state's name: "current", "old", "destroyed", "unknown", "not cells".
func (s State) String() string {
	switch s {
	case StateCurrent:
		return "current"
	case StateOld:
		return "old"
	case StateDestroyed:
		return "destroyed"
	case StateUnknown:
		return "unknown"
	case StateNotCell:
		return "not cells"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Usage counts which data keys the stored cells of sealed columns are under: "users.email", or
// "users" for all of a table's; without names, of the whole schema. It does not count NULLs. It
// reads every row of the tables as they are at one moment, and opens nothing.
func Usage(ctx context.Context, db *sql.DB, columns ...string) ([]KeyUse, error) {
	var uses []KeyUse
	err := with(ctx, db, Options{Columns: columns}, func(r *resealer) (err error) {
		r.keys = newPassKeys(r.db, r.store, &r.opts)
		uses, _, err = r.count(ctx)
		return err
	})
	if err != nil {
		return nil, hint.Errorf("reseal: count cells by key: %w", err)
	}
	return uses, nil
}

// InUse returns the ids of the keys that have cells, for [keyring.CompactOptions]. It returns an
// error for a value that is no cell of its column: it may be a cell of another column, or damaged,
// and nobody knows its key.
func InUse(uses []KeyUse) (map[uint32]bool, error) {
	used := map[uint32]bool{}
	for _, u := range uses {
		if u.State == StateNotCell {
			return nil, fmt.Errorf("reseal: %s.%s has %d values that are no cells of the column: which keys they are under, if any, is not known", u.Table, u.Column, u.Cells)
		}
		used[u.KeyID] = true
	}
	return used, nil
}

// Unknown returns the keys that the keyring lacks, in order, and the number of their cells. Nobody
// can open these until the keys are imported from a backup, or a program that holds them stores
// them again.
func Unknown(uses []KeyUse) (keys []uint32, cells int64) {
	for _, u := range uses {
		if u.State != StateUnknown {
			continue
		}
		cells += u.Cells
		if !slices.Contains(keys, u.KeyID) {
			keys = append(keys, u.KeyID)
		}
	}
	slices.Sort(keys)
	return keys, cells
}

// count counts the cells of every column, and notes in the columns which ones are to be
// re-sealed; todo is their number. It sees one moment, so that it does not miss a cell that moves
// from one table to another, and fails if a policy has come that hides rows.
func (r *resealer) count(ctx context.Context) (uses []KeyUse, todo int64, err error) {
	begin := "BEGIN"
	if r.db.Dialect == dialect.Postgres {
		begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL row_security = off"
	}
	err = r.transaction(ctx, begin, func() error {
		for _, t := range r.tables {
			for _, col := range t.cols {
				of, n, err := r.countColumn(ctx, t, col)
				if err != nil {
					return fmt.Errorf("table %s: %w", t.label, err)
				}
				uses, todo = append(uses, of...), todo+n
			}
		}
		return nil
	})
	return uses, todo, err
}

func (r *resealer) countColumn(ctx context.Context, t *table, col *column) (uses []KeyUse, todo int64, err error) {
	groups, err := r.q.Query(ctx, t.sql.heads(col))
	if err != nil {
		return nil, 0, err
	}
	heads := make([]cellHead, len(groups))
	var ids []uint32
	for i, g := range groups {
		heads[i] = readHead(g.Text(0), col.Tag())
		if heads[i].cell {
			ids = append(ids, heads[i].KeyID)
		}
	}
	if err := r.keys.know(ctx, ids); err != nil {
		return nil, 0, err
	}
	col.stale = nil
	at := map[KeyUse]int{} // with Cells 0
	for i, g := range groups {
		use, due, err := r.use(ctx, t, col, heads[i])
		if err != nil {
			return nil, 0, err
		}
		cells := g.Int(1)
		if due {
			todo += cells
			col.stale = append(col.stale, g.Text(0))
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

// use says what the cells with a head are, and whether they are to be re-sealed.
func (r *resealer) use(ctx context.Context, t *table, col *column, h cellHead) (use KeyUse, due bool, err error) {
	use = KeyUse{Table: t.label, Column: col.label, State: StateNotCell}
	if !h.cell {
		return use, false, nil
	}
	state, err := r.keys.judge(ctx, col.Column, h.Header)
	if err != nil {
		return use, false, err
	}
	rec := r.keys.records[h.KeyID]
	use.State, use.KeyID, use.Purpose, use.Scope, use.Epoch = state, h.KeyID, rec.Purpose, rec.Scope, rec.Epoch
	return use, r.due(state, h.KeyID), nil
}

// due reports whether cells under a key are to be re-sealed, or to be opened to see of which kind
// they are.
func (r *resealer) due(state State, keyID uint32) bool {
	return r.wanted(keyID) && (state == StateOld || state == StateCurrent && r.opts.FromKind != 0)
}

// wanted reports whether the options ask for the cells of a key.
func (r *resealer) wanted(keyID uint32) bool {
	return len(r.opts.Keys) == 0 || slices.Contains(r.opts.Keys, keyID)
}

// cellHead is a head as the statements of a table return it (see headTextSize), read.
type cellHead struct {
	codec.Header
	cell bool // it is one of the column's cells
}

func readHead(s string, tag uint16) cellHead {
	var raw []byte
	var err error
	if text, ok := strings.CutPrefix(s, codec.TextPrefix); ok {
		// The last digit's lower bits belong to what follows.
		raw, err = base64.RawURLEncoding.DecodeString(text + "A")
	} else {
		raw, err = hex.DecodeString(s)
	}
	if err != nil || len(raw) < codec.HeaderSize {
		return cellHead{}
	}
	// A header alone is too short for a cell, which is what Recognize looks for.
	raw = append(raw[:codec.HeaderSize:codec.HeaderSize], make([]byte, codec.SuiteRandomTerms.Overhead())...)
	h, err := codec.Recognize(raw, tag)
	return cellHead{Header: h, cell: err == nil}
}
